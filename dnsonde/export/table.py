"""A table for people: aligned columns, as wide as the terminal."""

import shutil
from io import TextIOWrapper
from typing import BinaryIO

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dnsonde.escape import terminal

WIDE = 160  # of what goes to a file or a pipe
LEAST = 9  # of a column, on the average: below it a row is told value by value


def table(rows: pa.RecordBatchReader, out: BinaryIO) -> None:
    """Write rows as aligned text; whatever would steer a terminal is spelled out."""
    to_terminal = out.isatty()
    width = shutil.get_terminal_size().columns if to_terminal else WIDE
    text = TextIOWrapper(out, encoding="utf-8", write_through=True)
    console = Console(file=text, width=width, force_terminal=to_terminal, highlight=False)
    if width < LEAST * len(rows.schema):
        _print_one_by_one(rows, console)
    else:
        console.print(_table(rows))
    text.detach()


def _print_one_by_one(rows: pa.RecordBatchReader, console: Console) -> None:
    """A line a value, where columns would be too narrow to be read."""
    longest = max(map(len, rows.schema.names), default=0)
    for batch in rows:
        for row in batch.to_pylist():
            told = Table.grid(padding=(0, 2, 0, 0))
            told.add_column(min_width=longest, style="bold")
            told.add_column(overflow="fold")
            for name, value in row.items():
                told.add_row(Text(name), Text(_said(value)))
            console.print(told)
            console.print()


def _table(rows: pa.RecordBatchReader) -> Table:
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for field in rows.schema:
        number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        shown.add_column(
            field.name,
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=not pa.types.is_string(field.type),
            min_width=len(field.name),
        )
    for batch in rows:
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            shown.add_row(*(Text(_said(value)) for value in row))
    return shown


def _said(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return terminal(str(value), keep="")
