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


def table(rows: pa.RecordBatchReader, out: BinaryIO) -> None:
    """Write rows as aligned text; whatever would steer a terminal is spelled out."""
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
    text = TextIOWrapper(out, encoding="utf-8", write_through=True)
    to_terminal = out.isatty()
    width = shutil.get_terminal_size().columns if to_terminal else WIDE
    Console(file=text, width=width, force_terminal=to_terminal, highlight=False).print(shown)
    text.detach()


def _said(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return terminal(str(value), keep="")
