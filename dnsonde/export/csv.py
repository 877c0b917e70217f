"""Comma-separated values that a spreadsheet can open without running them."""

import json
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as writer

from dnsonde.escape import terminal
from dnsonde.table.texts import finite, said

# What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection), its full-width forms and
# the white space that some of them skip before it.
FORMULA = r"^(\s*[=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]|[\t\r\n])"
STEERING = r"[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]"  # as `escape.terminal` has it


def csv(rows: pa.RecordBatchReader, out: BinaryIO) -> None:
    """Write rows as CSV (RFC 4180) with a header.

    A text that looks like a formula gets a leading `'`; what would steer a terminal is spelled out. Lists and the like
    are written as JSON, octets in hex.
    """
    options = writer.WriteOptions(quoting_style="needed")
    schema = pa.schema([f if _is_plain(f.type) else f.with_type(pa.string()) for f in rows.schema])
    with writer.CSVWriter(out, schema, write_options=options) as file:
        for batch in rows:
            file.write_batch(pa.record_batch([_harmless(c) for c in batch.columns], schema=schema))


def _is_plain(kind: pa.DataType) -> bool:
    """Whether values are numbers, times and the like: whatever else may hold a stranger's text."""
    return bool(pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind))


def _harmless(column: pa.Array) -> pa.Array:
    if _is_plain(column.type):
        return column
    if not pa.types.is_string(column.type):
        column = pa.array(map(_text, column.to_pylist()), pa.string())
    if pc.any(pc.match_substring_regex(column, STEERING)).as_py():
        spelled = [None if text is None else terminal(text, keep="\t\r\n") for text in column.to_pylist()]
        column = pa.array(spelled, pa.string())
    guarded = pc.binary_join_element_wise("'", column, "")
    return pc.if_else(pc.match_substring_regex(column, FORMULA), guarded, column)


def _text(value: Any) -> str | None:
    if isinstance(value, dict | list):
        return json.dumps(finite(value), default=said)
    return None if value is None else said(value)
