"""One JSON object a line, ASCII only: what `jq` and every log shipper reads."""

import json
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc


def jsonl(rows: pa.RecordBatchReader, out: BinaryIO) -> None:
    r"""Write rows as JSON lines (RFC 8259); everything beyond ASCII is `\uNNNN`, so no reader is steered."""
    encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode
    for batch in rows:
        sayable = pa.record_batch([_without_nan(c) for c in batch.columns], names=batch.schema.names)
        out.writelines(f"{encode(row)}\n".encode() for row in sayable.to_pylist())


def _without_nan(column: pa.Array) -> pa.Array:
    """JSON has no word for NaN and infinity; null is the nearest."""
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_finite(column), column, None)
