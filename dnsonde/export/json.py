"""One JSON array, ASCII only: for programs that read a document and not lines."""

from typing import BinaryIO

import pyarrow as pa

from dnsonde.export.jsonl import encoder, sayable


def json(rows: pa.RecordBatchReader, out: BinaryIO) -> None:
    r"""Write rows as a JSON array (RFC 8259), a row a line; everything beyond ASCII is `\uNNNN`."""
    encode = encoder().encode
    mark = b"["
    for row in sayable(rows):
        out.write(mark + b"\n" + encode(row).encode())
        mark = b","
    out.write(b"\n]\n" if mark == b"," else b"[]\n")
