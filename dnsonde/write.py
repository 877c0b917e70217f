"""Rows, a run or a lake, written into a file or a stream in a format by name."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType
from typing import Any, BinaryIO

import pyarrow as pa

from dnsonde.registry import entries, entry
from dnsonde.view.view import View
from dnsonde.whole import target

PACKAGE = "dnsonde.export"


def forms() -> dict[str, FunctionType]:
    """Every format by the name that people type: dashes for underscores."""
    return {name.replace("_", "-"): form for name, form in entries(PACKAGE, FunctionType).items()}


def form_of(name: str) -> FunctionType:
    """The format of that name, and no other imported."""
    return entry(PACKAGE, FunctionType, name.replace("-", "_"))


def takes_view(form: FunctionType) -> bool:
    """Whether a format writes a run or a lake as a whole, not rows."""
    return next(iter(inspect.signature(form).parameters)) == "view"


def write(rows: pa.RecordBatchReader, name: str, output: Path | BinaryIO) -> None:
    """Write rows in the format of that name; SystemRefusal where a file cannot be written."""
    form = form_of(name)
    with target(output) as out:
        form(rows, out)


def write_view(form: FunctionType, view: View, output: Path | BinaryIO, settings: Mapping[str, Any]) -> None:
    """Write a view in a format; a file appears whole or not at all."""
    with target(output) as out:
        form(view, out, **settings)
