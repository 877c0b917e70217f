"""Comma-separated values that a spreadsheet can open without running them."""

import json
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as writer

from dnsonde.escape import terminal

# What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection), its full-width forms and
# the white space that some of them skip before it.
FORMULA = r"^(\s*[=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]|[\t\r\n])"
STEERING = r"[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]"  # as `escape.terminal` has it


def csv(rows: pa.RecordBatchReader, out: BinaryIO) -> None:
    """Write rows as CSV (RFC 4180) with a header.

    A text that looks like a formula gets a leading `'`; what would steer a terminal is spelled out. Lists and the like
    are written as JSON.
    """
    options = writer.WriteOptions(quoting_style="needed")
    schema = pa.schema([f.with_type(pa.string()) if pa.types.is_nested(f.type) else f for f in rows.schema])
    with writer.CSVWriter(out, schema, write_options=options) as file:
        for batch in rows:
            file.write_batch(pa.record_batch([_harmless(c) for c in batch.columns], schema=schema))


def _harmless(column: pa.Array) -> pa.Array:
    if pa.types.is_nested(column.type):
        said = [None if value is None else json.dumps(value, default=str) for value in column.to_pylist()]
        column = pa.array(said, pa.string())
    if not pa.types.is_string(column.type):
        return column
    if pc.any(pc.match_substring_regex(column, STEERING)).as_py():
        said = [None if text is None else terminal(text, keep="\t\r\n") for text in column.to_pylist()]
        column = pa.array(said, pa.string())
    guarded = pc.binary_join_element_wise("'", column, "")
    return pc.if_else(pc.match_substring_regex(column, FORMULA), guarded, column)
