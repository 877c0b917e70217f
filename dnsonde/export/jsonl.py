"""One JSON object a line, ASCII only: what `jq` and every log shipper reads."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from dnsonde.table.texts import finite, nest, nested, said


def jsonl(rows: pa.RecordBatchReader, out: BinaryIO) -> None:
    r"""Write rows as JSON lines (RFC 8259); everything beyond ASCII is `\uNNNN`, so no reader is steered."""
    encode = encoder().encode
    out.writelines(f"{encode(row)}\n".encode() for row in sayable(rows))


def encoder() -> json.JSONEncoder:
    """What writes a sayable row."""
    return json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=said)


def sayable(rows: pa.RecordBatchReader) -> Iterator[dict[str, Any]]:
    """Rows as JSON can say them."""
    names = nested(rows.schema)
    unsure = [
        field.name
        for field in rows.schema
        if pa.types.is_floating(field.type) or pa.types.is_nested(field.type)
    ]
    for batch in rows:
        for row in batch.to_pylist():
            yield nest(row | {name: finite(row[name]) for name in unsure}, names)
