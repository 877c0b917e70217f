"""`dnsonde authority`: our name server alone."""

from pathlib import Path

import click

from dnsonde.cli import _progress

SLOWEST = 1e-6  # answers a second: one in twelve days


def _kept(_context: click.Context, _option: click.Parameter, rate: float | None) -> float | None:
    """A rate that can be kept; NaN is in every range."""
    if rate is not None and not (rate == 0 or rate >= SLOWEST):
        raise click.BadParameter(
            f"{rate:g} is no rate: give {SLOWEST:f} or more a second, or 0 for no limit."
        )
    return rate


@click.command()
@click.argument("path", metavar="PLAN.toml", type=click.Path(path_type=Path))
@click.option(
    "-o", "folder", required=True, type=click.Path(path_type=Path), help="Folder for the sightings."
)
@click.option(
    "--listen", multiple=True, metavar="ADDRESS", help="Bind this instead of the plan's address (NAT)."
)
@click.option(
    "--per-second",
    type=click.FloatRange(min=0),
    callback=_kept,
    help="Answers to one /24 or /48, by UDP without a cookie; 0: any number.",
)
@_progress.option
def authority(path: Path, folder: Path, listen: tuple[str, ...], per_second: float | None, mode: str) -> None:
    """Serve a plan's zone, and record every query.

    Until Ctrl-C.

    For an authority on another host than the prober; its sightings are joined to the run later (`dnsonde join`).
    It answers for the plan's zone only, never with an address that is neither the asker's nor the plan's, and
    limits what it sends to those that have not shown that their address is theirs.
    """
    from dnsonde import run
    from dnsonde.cli._terminal import counted
    from dnsonde.clock import SystemClock
    from dnsonde.compile import MEASURING, compile_once
    from dnsonde.escape import typed

    with _progress.watch(mode) as watch:
        compile_once(watch.say, MEASURING)
        served = run.serve_authority(path, folder, SystemClock(), listen, per_second, watch.tell, watch.say)
    asked = counted(served.queries, "query", "queries")
    click.echo(f"{asked}, {served.answered:,} answered. Sightings: {typed(folder)}")
    click.echo(f"Next: dnsonde join RUN {typed(folder)}")
