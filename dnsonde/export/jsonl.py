"""One JSON object a line, ASCII only: what `jq` and every log shipper reads."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from dnsonde.export._texts import nest, nested


def jsonl(rows: pa.RecordBatchReader, out: BinaryIO) -> None:
    r"""Write rows as JSON lines (RFC 8259); everything beyond ASCII is `\uNNNN`, so no reader is steered."""
    encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=str).encode
    out.writelines(f"{encode(row)}\n".encode() for row in sayable(rows))


def sayable(rows: pa.RecordBatchReader) -> Iterator[dict[str, Any]]:
    """Rows as JSON can say them."""
    names = nested(rows.schema)
    for batch in rows:
        columns = [_sayable(column) for column in batch.columns]
        for row in pa.record_batch(columns, names=batch.schema.names).to_pylist():
            yield nest(row, names)


def _sayable(column: pa.Array) -> pa.Array:
    """JSON has no word for NaN and infinity, null is the nearest; octets are written in hex."""
    if pa.types.is_binary(column.type):
        return pa.array([None if o is None else o.hex() for o in column.to_pylist()], pa.string())
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_finite(column), column, None)
