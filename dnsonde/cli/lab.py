"""`dnsonde lab`: DNS hosts of every kind on loopback, whose truth is known."""

from pathlib import Path

import click

from dnsonde.cli import _progress

STOPPED = 130


@click.group()
def lab() -> None:
    """Try it on loopback, where the truth is known."""


@lab.command()
@click.option(
    "--scenario", "name", default="default", show_default=True, help="A scenario's name or .toml file."
)
@click.option(
    "--hosts",
    type=click.IntRange(min=16, max=1 << 23),
    help="How many addresses, rounded up to a power of two.",
)
@click.option("--seed", type=int, help="Another number makes other addresses be of other kinds.")
@click.option(
    "-o", "folder", type=click.Path(path_type=Path), help="Folder of the run.  [default: runs/demo-TIME]"
)
@_progress.option
def demo(name: str, hosts: int | None, seed: int | None, folder: Path | None, mode: str) -> int:
    """Measure a lab and hold the verdicts against the truth.

    65,536 DNS hosts of every kind come up on 127.0.0.0/8 and are measured like a real network. No packet leaves the
    machine. About a minute.
    """
    from dnsonde import run
    from dnsonde.cli import _summary
    from dnsonde.cli._terminal import console
    from dnsonde.clock import SystemClock

    clock = SystemClock()
    scenario = run.scenario(name, hosts, seed)
    folder = folder or run.fresh_folder(Path("runs"), clock)
    with _progress.watch(mode) as watch:
        run.compile_once(watch.say)
        watch.say(f"A lab of {scenario.size:,} addresses, {scenario.prefix} on loopback.")
        measured, truth = run.demo(scenario, folder, clock, on_progress=watch.tell, say=watch.say)
    out = console()
    # Half a measurement is right about nothing.
    _summary.show(measured, out, truth if measured.finished else None)
    if not measured.finished:
        out.print("Stopped before the end.")
        return STOPPED
    return 0


@lab.command()
@click.argument("name", metavar="[SCENARIO]", default="default")
@click.option(
    "-o", "folder", required=True, type=click.Path(path_type=Path), help="Folder for the plan and the truth."
)
@click.option(
    "--hosts",
    type=click.IntRange(min=16, max=1 << 23),
    help="How many addresses, rounded up to a power of two.",
)
@click.option("--seed", type=int, help="Another number makes other addresses be of other kinds.")
def serve(name: str, folder: Path, hosts: int | None, seed: int | None) -> None:
    """Serve a lab's hosts and its authority until Ctrl-C.

    Writes a plan that measures it. SCENARIO is a name (`dnsonde lab scenarios`) or a .toml file.
    """
    from dnsonde import run
    from dnsonde.clock import SystemClock

    run.compile_once(lambda sentence: click.echo(sentence, err=True))
    scenario = run.scenario(name, hosts, seed)

    def ready(plan: Path) -> None:
        click.echo(f"{scenario.size:,} hosts on {scenario.prefix}, port {scenario.port}. Ctrl-C ends it.")
        click.echo(f"Next, in another terminal: dnsonde probe {plan} -o runs/lab --no-authority")

    served = run.serve_lab(scenario, folder, SystemClock(), ready)
    click.echo(f"{served.world['probes']:,} probes, {served.authority.queries:,} queries at the authority.")
    click.echo(f"Next: dnsonde join runs/lab {folder}")


@lab.command()
def scenarios() -> None:
    """List the scenarios that come with dnsonde."""
    from dnsonde.lab.scenario import load_scenario, names

    for name in names():
        scenario = load_scenario(name)
        click.echo(f"{name:12}  {scenario.size:>10,} hosts  {scenario.title}")
