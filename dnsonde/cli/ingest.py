"""`dnsonde ingest`: keep traffic in a lake."""

from pathlib import Path

import click

from dnsonde.cli import _options, _progress
from dnsonde.table.engine import ENGINES


@click.command()
@click.argument("paths", metavar="FILES...", nargs=-1, required=True)
@click.option("-o", "folder", required=True, type=click.Path(path_type=Path), help="Folder of the lake.")
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="duckdb",
    show_default=True,
    help="spark (an extra) reads many files at once, one a core of DNSONDE_SPARK_MASTER.",
)
@_options.port
@_progress.option
def ingest(paths: tuple[str, ...], folder: Path, engine: str, ports: tuple[int, ...], mode: str) -> None:
    """Read captures, logs and flows into a lake, to look into often.

    A lake is a folder of Parquet. Each file is read once, however often it is named: it is known by its content. Its
    rows become visible together; after a Ctrl-C or worse the same command continues.

    `unix:/path` and `tcp:port` listen for a resolver's dnstap until Ctrl-C; what came can be looked into every minute.
    """
    from dnsonde import take
    from dnsonde.cli import _findings
    from dnsonde.cli._terminal import console
    from dnsonde.clock import SystemClock
    from dnsonde.compile import READING, compile_once
    from dnsonde.escape import typed

    with _progress.watch(mode, _progress.reading) as watcher:
        compile_once(watcher.say, READING)
        taken = take.ingest(paths, folder, SystemClock(), watcher.tell, engine, take.on_ports(ports))
    out = console()
    _findings.read(taken, out)
    if ports and taken.known:
        out.print(
            "What was read before stays as it was read then: to have it read with --port, name a new lake.",
            soft_wrap=True,
        )
    out.print(f"Next: dnsonde detect {typed(folder)} --home PREFIX", soft_wrap=True)
