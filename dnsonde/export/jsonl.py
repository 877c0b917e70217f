"""One JSON object a line, ASCII only: what `jq` and every log shipper reads."""

import json
from typing import BinaryIO

import pyarrow as pa


def jsonl(rows: pa.RecordBatchReader, out: BinaryIO) -> None:
    r"""Write rows as JSON lines (RFC 8259); everything beyond ASCII is `\uNNNN`, so no reader is steered."""
    encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode
    for batch in rows:
        out.writelines(f"{encode(row)}\n".encode() for row in batch.to_pylist())
