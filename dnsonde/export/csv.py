"""Comma-separated values that a spreadsheet can open without running them."""

from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as writer

# What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection), its full-width forms and
# the white space that some of them skip before it.
FORMULA = r"^(\s*[=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]|[\t\r\n])"


def csv(rows: pa.RecordBatchReader, out: BinaryIO) -> None:
    """Write rows as CSV (RFC 4180) with a header; a text that looks like a formula gets a leading `'`."""
    options = writer.WriteOptions(quoting_style="needed")
    with writer.CSVWriter(out, rows.schema, write_options=options) as file:
        for batch in rows:
            file.write_batch(pa.record_batch([_harmless(c) for c in batch.columns], schema=rows.schema))


def _harmless(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column
    guarded = pc.binary_join_element_wise("'", column, "")
    return pc.if_else(pc.match_substring_regex(column, FORMULA), guarded, column)
