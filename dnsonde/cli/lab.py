"""`dnsonde lab`: DNS hosts of every kind on loopback, whose truth is known."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnsonde import stopping
from dnsonde.cli import _progress

if TYPE_CHECKING:
    from dnsonde.lab.scenario import Scenario


@click.group()
def lab() -> None:
    """Try it on loopback, where the truth is known."""


@lab.command()
@click.option(
    "--scenario", "name", default="default", show_default=True, help="A scenario's name or .toml file."
)
@click.option(
    "--hosts",
    type=click.IntRange(min=16, max=1 << 22),
    help="How many addresses, rounded up to a power of two.",
)
@click.option("--seed", type=int, help="Another number makes other addresses be of other kinds.")
@click.option(
    "-o", "folder", type=click.Path(path_type=Path), help="Folder of the run.  [default: runs/demo-TIME]"
)
@click.option(
    "--no-loop", is_flag=True, help="Only the measurement: no prober like SecShow's, and no report."
)
@_progress.option
def demo(
    name: str, hosts: int | None, seed: int | None, folder: Path | None, mode: str, *, no_loop: bool
) -> int:
    """Measure a lab, then watch a prober like SecShow's come.

    65,536 DNS hosts of every kind come up on 127.0.0.0/8 and are measured like a real network, and the verdicts held
    against the truth. Then the lab's own prober sweeps them with names like SecShow's, its traffic is captured to a
    file and watched, and a report shows both views side by side. No packet leaves the machine. About a minute.
    """
    from dnsonde import run, watch
    from dnsonde.cli import _loop, _summary
    from dnsonde.cli._terminal import console
    from dnsonde.clock import SystemClock
    from dnsonde.compile import MEASURING, compile_once
    from dnsonde.escape import typed
    from dnsonde.probe import judge

    clock = SystemClock()
    scenario = run.scenario(name, hosts, seed)
    folder = folder or run.fresh_folder(Path("runs"), clock)
    with _progress.watch(mode) as watcher:
        if no_loop:
            compile_once(watcher.say, MEASURING, judge.to_prepare())
        else:
            compile_once(watcher.say, None, judge.to_prepare() | watch.to_prepare(watch.Asked()))
        watcher.say(f"A lab of {scenario.size:,} addresses, {scenario.prefix} on loopback.")
        measured, truth = run.demo(scenario, folder, clock, on_progress=watcher.tell, say=watcher.say)
    out = console()
    # Half a measurement is right about nothing.
    again = f"the same command with -o {typed(folder)}"
    _summary.show(measured, out, truth if measured.finished else None, again)
    if not measured.finished:
        return stopping.exit_code()
    if not no_loop:
        return _loop.run_and_show(scenario, folder, clock, mode, out)
    return 0


@lab.command()
@click.argument("name", metavar="[SCENARIO]", default="default")
@click.option(
    "-o", "folder", required=True, type=click.Path(path_type=Path), help="Folder for the plan and the truth."
)
@click.option(
    "--hosts",
    type=click.IntRange(min=16, max=1 << 22),
    help="How many addresses, rounded up to a power of two.",
)
@click.option("--seed", type=int, help="Another number makes other addresses be of other kinds.")
def serve(name: str, folder: Path, hosts: int | None, seed: int | None) -> None:
    """Serve a lab's hosts and its authority until Ctrl-C.

    Writes a plan that measures it. SCENARIO is a name (`dnsonde lab scenarios`) or a .toml file.
    """
    from dnsonde import run
    from dnsonde.clock import SystemClock
    from dnsonde.compile import MEASURING, compile_once
    from dnsonde.escape import typed

    compile_once(lambda sentence: click.echo(sentence, err=True), MEASURING)
    scenario = run.scenario(name, hosts, seed)

    def ready(served: "Scenario", plan: Path) -> None:
        click.echo(f"{served.size:,} hosts on {served.prefix}, port {served.port}. Ctrl-C ends it.")
        click.echo(f"Next, in another terminal: dnsonde probe {typed(plan)} -o runs/lab --no-authority")

    served = run.serve_lab(scenario, folder, SystemClock(), ready)
    click.echo(f"{served.world['probes']:,} probes, {served.authority.queries:,} queries at the authority.")
    click.echo(f"Next: dnsonde join runs/lab {typed(folder)}")


@lab.command()
def scenarios() -> None:
    """List the scenarios that come with dnsonde."""
    from dnsonde.cli._terminal import console, show_list
    from dnsonde.lab.scenario import load_scenario, names

    known = [(name, load_scenario(name)) for name in names()]
    told = ((name, f"{scenario.size:,} hosts", scenario.title) for name, scenario in known)
    show_list(console(), ("scenario", "size", "what it is"), told)


@lab.command()
@click.argument("name", metavar="[SCENARIO]", required=False)
@click.option("-o", "output", metavar="FILE.pcap", type=click.Path(path_type=Path), help="File to write.")
def traffic(name: str | None, output: Path | None) -> None:
    """Write labelled traffic to a file, or list what there is.

    Each threat that dnsonde finds, over traffic that means no harm. What is true of it goes to FILE.truth.jsonl.
    Nothing is ever sent. SCENARIO is a name or a .toml file.
    """
    from dnsonde.cli._terminal import console, counted, show_list
    from dnsonde.clock import VirtualClock
    from dnsonde.escape import typed
    from dnsonde.lab.traffic import HOME, load_traffic, record, scenario_names, write_truth

    if name is None:
        if output is not None:
            raise click.UsageError("say which traffic to write: `dnsonde lab traffic` lists what there is")
        told = ((known, load_traffic(known).title) for known in scenario_names())
        show_list(console(), ("scenario", "what is in it"), told)
        return
    if output is None:
        raise click.UsageError("say where to write it: -o FILE.pcap")
    capture = record(load_traffic(name), output, VirtualClock())
    truth = output.with_suffix(".truth.jsonl")
    write_truth(capture, truth)
    expected = [label for label in capture.labels if label.expected]
    things = counted(len(expected), "thing", "things")
    click.echo(f"{typed(output)}: {capture.packets:,} packets; {typed(truth)}: {things} to find.")
    for label in expected:
        click.echo(f"  {label.detector:22} {label.subject}")
    click.echo(f"Next: dnsonde detect {typed(output)} {' '.join(f'--home {prefix}' for prefix in HOME)}")


@lab.command()
@click.argument("names", metavar="[SCENARIO]...", nargs=-1)
def evaluate(names: tuple[str, ...]) -> None:
    """Tell how right the detectors are, on labelled traffic.

    Writes the scenarios of `dnsonde lab traffic` (all, or those named) to files that go away again, looks for threats
    in each, and holds the findings against the truth: precision, recall and F1 of each detector, and every mistake.
    """
    from rich.table import Table

    from dnsonde import escape
    from dnsonde.cli._terminal import console, counted
    from dnsonde.compile import compile_once
    from dnsonde.lab import evaluate as judge
    from dnsonde.watch import Asked, to_prepare

    compile_once(lambda sentence: click.echo(sentence, err=True), None, to_prepare(Asked()))
    result = judge.evaluate(names, lambda name, done, of: click.echo(f"{done + 1} of {of}: {name}", err=True))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("detector", no_wrap=True)
    for column in ("right", "wrong", "missed", "precision", "recall", "F1", "named"):
        table.add_column(column, justify="right")
    for name, score in [*sorted(result.scores.items()), ("all", result.total)]:
        counts = (score.right, score.wrong, score.missed)
        if any(counts) or name == "all":
            shares = (score.precision, score.recall, score.f1)
            named = f"{score.named}/{score.of}" if score.of else ""
            table.add_row(name, *(f"{c:,}" for c in counts), *(f"{s:.3f}" for s in shares), named)
    out = console()
    out.print(table)
    out.print("named: findings whose evidence says campaign, protocol or vector as the truth does.")
    for fault in result.faults:
        detail = f": {fault.detail}" if fault.detail else ""
        line = f"{fault.kind:9} {fault.detector} {fault.subject} in {fault.scenario}{detail}"
        out.print(escape.terminal(line), soft_wrap=True)
    out.print(
        f"{counted(result.scenarios, 'capture', 'captures')}, {result.packets:,} packets; "
        f"{counted(len(result.alarms), 'finding', 'findings')} of medium severity or more where there is nothing to "
        "find."
    )
