"""`dnsonde probe`: measure what a plan names."""

from pathlib import Path

import click

from dnsonde import stopping
from dnsonde.cli import _progress


@click.command()
@click.argument("path", metavar="PLAN.toml", type=click.Path(path_type=Path))
@click.option("-o", "folder", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--no-authority", is_flag=True, help="The authority runs elsewhere (`dnsonde authority`).")
@_progress.option
def probe(path: Path, folder: Path, mode: str, *, no_authority: bool) -> int:
    """Measure what a plan names.

    Probes it, answers as its authority, and tells what kind of DNS host each address is.

    The authority is started along where the plan's authority address is this machine's. Ctrl-C ends cleanly, and the
    same command continues the run; who was asked is not asked again, but for the last five minutes or so of a process
    that was killed. `dnsonde plan check` tells in advance what would be sent.
    """
    from dnsonde import run
    from dnsonde.cli import _summary
    from dnsonde.cli._terminal import console
    from dnsonde.clock import SystemClock
    from dnsonde.compile import MEASURING, compile_once
    from dnsonde.escape import typed

    with _progress.watch(mode) as watch:
        compile_once(watch.say, MEASURING)
        measured = run.measure(
            path, folder, SystemClock(), authority=not no_authority, on_progress=watch.tell, say=watch.say
        )
    again = f"dnsonde probe {typed(path)} -o {typed(folder)}" + (" --no-authority" if no_authority else "")
    _summary.show(measured, console(), continued_by=again)
    return 0 if measured.finished else stopping.exit_code()
