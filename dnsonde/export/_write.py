"""Rows into a file or a stream, in a format by name."""

from pathlib import Path
from types import FunctionType
from typing import BinaryIO

import pyarrow as pa

from dnsonde.errors import SystemRefusal
from dnsonde.registry import entry


def write(rows: pa.RecordBatchReader, name: str, output: Path | BinaryIO) -> None:
    """Write rows in a format of this folder; SystemRefusal where a file cannot be written."""
    form = entry("dnsonde.export", FunctionType, name)
    if not isinstance(output, Path):
        form(rows, output)
        return
    try:
        with output.open("wb") as file:
            form(rows, file)
    except OSError as error:
        raise SystemRefusal(f"cannot write {output}: {error.strerror}") from error
