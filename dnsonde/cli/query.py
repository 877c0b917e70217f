"""`dnsonde query`: ask a lake anything."""

import sys
from pathlib import Path

import click

from dnsonde.cli import _options

FORMATS = ("table", "jsonl", "json", "csv", "parquet")
LIMIT = 50


@click.command()
@click.argument("folder", metavar="LAKE", type=click.Path(path_type=Path))
@click.argument("sql", metavar="SELECT")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="How to print it.",
)
@_options.output
@click.option("--limit", type=click.IntRange(min=0), help=f"Rows of a table, 0 for all.  [default: {LIMIT}]")
def query(folder: Path, sql: str, form: str, output: Path | None, limit: int | None) -> None:
    """Ask a lake with SQL, as DuckDB has it.

    The tables are message, flow, account, enrichment (what `dnsonde enrich` learned) and, where somebody has looked,
    finding. A pair of columns X_net and X_host becomes the address X. The lake is only read, and nothing else can be.

    \b
    dnsonde query LAKE "SELECT registered_domain, count(*) AS n FROM message GROUP BY ALL ORDER BY n DESC"
    """
    from dnsonde import watch
    from dnsonde.export._write import write

    if form == "parquet" and output is None:
        raise click.UsageError("parquet is no text: name a file with -o.")
    most = LIMIT if limit is None and form == "table" and output is None else limit or None
    rows = watch.query(folder, sql, most)
    write(rows, form, output or sys.stdout.buffer)
