"""Rows into a file or a stream, in a format by name."""

from pathlib import Path
from types import FunctionType
from typing import BinaryIO

import pyarrow as pa

from dnsonde.registry import entry
from dnsonde.whole import target


def write(rows: pa.RecordBatchReader, name: str, output: Path | BinaryIO) -> None:
    """Write rows in a format of this folder; SystemRefusal where a file cannot be written."""
    form = entry("dnsonde.export", FunctionType, name)
    with target(output) as out:
        form(rows, out)
