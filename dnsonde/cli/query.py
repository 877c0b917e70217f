"""`dnsonde query`: ask a lake anything."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnsonde.cli import _options

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

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
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help=f"Rows, 0 for all.  [default: {LIMIT} in a table on the terminal, else all]",
)
def query(folder: Path, sql: str, form: str, output: Path | None, limit: int | None) -> None:
    """Ask a lake with SQL, as DuckDB has it.

    The tables are message, flow, account, enrichment (what `dnsonde enrich` learned) and, where somebody has looked,
    finding. A pair of columns X_net and X_host becomes the address X, and within(X_net, X_host, PREFIX) asks
    whether it lies in a prefix. The lake is only read, and nothing else can be.

    \b
    dnsonde query LAKE "SELECT registered_domain, count(*) AS n FROM message GROUP BY ALL ORDER BY n DESC"
    """
    from dnsonde import watch
    from dnsonde.write import write

    _options.require_file(form, output)
    _options.require_other(output, folder)
    most = LIMIT if limit is None and form == "table" and output is None else limit or None
    rows = watch.query(folder, sql, most and most + 1)
    if most is None:
        write(rows, form, output or sys.stdout.buffer)
        return
    import pyarrow as pa

    cut = _Cut(rows, most)
    write(pa.RecordBatchReader.from_batches(rows.schema, cut), form, output or sys.stdout.buffer)
    if cut.more:
        click.echo(
            f"... and more than these {most:,}: --limit 0 shows all, --format csv -o FILE keeps them.",
            err=True,
        )


class _Cut:
    """The first `most` rows; once they have been gone through, whether there are `more`."""

    def __init__(self, rows: "pa.RecordBatchReader", most: int) -> None:
        self._rows, self._left, self.more = rows, most, False

    def __iter__(self) -> "Iterator[pa.RecordBatch]":
        for batch in self._rows:
            self.more = batch.num_rows > self._left
            yield batch.slice(0, self._left)
            self._left -= min(batch.num_rows, self._left)
