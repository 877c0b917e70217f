"""Rows as people read them: each pair of address columns as one text, and groups by their names."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dnsonde.table.rows import Relation
from dnsonde.table.store import ROWS_PER_GROUP
from dnsonde.wire.batch import address_text

UNKNOWN = "-"  # the group of what nobody told of


def readable(rows: pa.RecordBatchReader | Relation, *, columns: Iterable[str] = ()) -> pa.RecordBatchReader:
    """The rows, with every pair `<role>_net`, `<role>_host` as one text column `<role>`; a relation is run.

    columns: which of the resulting columns, in order; all when none is named.
    """
    if not isinstance(rows, pa.RecordBatchReader):
        rows = rows.fetch_arrow_reader(ROWS_PER_GROUP)
    empty = pa.record_batch([pa.nulls(0, f.type) for f in rows.schema], schema=rows.schema)
    schema = texts(empty).schema
    wanted = list(columns) or schema.names
    told = (texts(batch).select(wanted) for batch in rows)
    return pa.RecordBatchReader.from_batches(pa.schema([schema.field(name) for name in wanted]), told)


def texts(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with each address pair as one text column in the pair's place."""
    columns: dict[str, pa.Array] = {}
    for name, first, second in _told(batch.schema):
        column = batch.column(first)
        columns[name] = column if second is None else address_column(column, batch.column(second))
    return pa.record_batch(columns)


def names(schema: pa.Schema) -> list[str]:
    """How the columns are named once pairs are texts; a name may be there twice."""
    return [name for name, *_ in _told(schema)]


def _told(schema: pa.Schema) -> Iterator[tuple[str, int, int | None]]:
    """The columns to be told: name, place, and of an address, whose halves are 64 bits each, the second place."""
    halves = {field.name: place for place, field in enumerate(schema) if field.type == pa.int64()}
    for place, field in enumerate(schema):
        name, role = field.name, field.name.removesuffix("_net")
        other = f"{name.removesuffix('_host')}_net" if name.endswith("_host") else None
        if role != name and name in halves and f"{role}_host" in halves:
            yield role, place, halves[f"{role}_host"]
        elif not (name in halves and other in halves):
            yield name, place, None


def address_column(net: pa.Array, host: pa.Array) -> pa.Array:
    """Text of address pairs, null where the pair is; IPv4 all at once, IPv6 one by one."""
    valid = pc.is_valid(net)
    high, low = (pc.fill_null(half, 0).to_numpy(zero_copy_only=False) for half in (net, host))
    mapped = (high == 0) & (low >> 32 == 0xFFFF)
    octets = [pa.array((low >> shift & 0xFF).astype(np.int16)).cast(pa.string()) for shift in (24, 16, 8, 0)]
    dotted = pc.binary_join_element_wise(*octets, ".")
    text = pc.if_else(pa.array(mapped), dotted, pa.scalar(None, pa.string()))
    rest = np.flatnonzero(~mapped & valid.to_numpy(zero_copy_only=False))
    if len(rest):
        spelled = [address_text(int(net[i].as_py()), int(host[i].as_py())) for i in rest.tolist()]
        mask = np.zeros(len(net), bool)
        mask[rest] = True
        text = pc.replace_with_mask(text, pa.array(mask), pa.array(spelled, pa.string()))
    return pc.if_else(valid, text, pa.scalar(None, pa.string()))


def group_text(row: Mapping[str, Any], by: str) -> str:
    """A group as people write it: 192.0.2.0/24, AS64500 Example, AT; `UNKNOWN` for what nobody told of."""
    value = row[by]
    if value is None:
        return UNKNOWN
    if by == "prefix":
        return f"{value}/48" if ":" in value else f"{value}/24"
    return f"AS{value} {row.get('as_name') or ''}".strip() if by == "asn" else str(value)
