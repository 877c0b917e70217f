"""The columns of `message` that are about its name: what it embeds, and what it is made of."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dnsonde.wire import domain, embedded
from dnsonde.wire.batch import ADDRESS, Batch

FACTS = ("sub_hash", "sub_bytes", "labels", "label_max", "digits", "entropy")
EMBEDDED = (
    "embedded_kind", "embedded_net", "embedded_host", "embedded_relation", "embedded_time_us",
    "embedded_time_kind", "template",
)  # fmt: skip


def name_columns(
    qname: pa.StringArray, address: dict[str, NDArray[np.int64]], time_us: NDArray[np.int64]
) -> dict[str, Any]:
    """Those columns, by name.

    qname: lower case, presentation form, no last dot; address: the packet's src_net, src_host, dst_net, dst_host.
    """
    coded = qname.fill_null("").dictionary_encode()
    return repeated_name_columns(coded.dictionary, coded.indices.to_numpy(), address, time_us)


def repeated_name_columns(
    name: pa.StringArray,
    index: NDArray[np.int32],
    address: dict[str, NDArray[np.int64]],
    time_us: NDArray[np.int64],
) -> dict[str, Any]:
    """The same where row i has the name `name[index[i]]`: what is the name's alone is worked out once."""
    names = text_batch(name)
    number = index.astype(np.intp)  # as numpy takes it
    facts = domain.name_facts(names)
    domains = domain.registered_domains(names, facts).dictionary_encode()
    columns: dict[str, Any] = {column: facts[column].take(number) for column in FACTS}
    columns["registered_domain"] = pa.DictionaryArray.from_arrays(
        domains.indices.take(pa.array(index)), domains.dictionary
    )
    search = np.ascontiguousarray(facts["search"])
    rows = np.flatnonzero(embedded.may_embed(names, search).take(number))
    return columns | _embedded(names, search, index, rows, address, time_us)


def _embedded(
    names: Batch,
    search: NDArray[np.int32],
    index: NDArray[np.int32],
    rows: NDArray[np.int64],
    address: dict[str, NDArray[np.int64]],
    time_us: NDArray[np.int64],
) -> dict[str, Any]:
    """What the names of these rows embed, null in all the others."""
    if not len(rows):
        return dict.fromkeys(EMBEDDED)
    which = index[rows]
    chosen = Batch(names.data, names.offset[which], names.length[which])
    search = search[which]
    ends = np.empty((2, len(rows)), ADDRESS)
    for row, role in zip(ends, ("src", "dst"), strict=True):
        row["net"], row["host"] = address[f"{role}_net"][rows], address[f"{role}_host"][rows]
    found = embedded.embedded(chosen, search, ends[0], ends[1], time_us[rows])
    has = found["count"] > 0
    timed = found["time_kind"] > 0
    if not has.any() and not timed.any():
        return dict.fromkeys(EMBEDDED)
    columns = {
        "embedded_kind": _optional(found["kind"][:, 0], has, embedded.KINDS),
        "embedded_net": pa.array(found["net"][:, 0], mask=~has),
        "embedded_host": pa.array(found["host"][:, 0], mask=~has),
        "embedded_relation": _optional(found["relation"][:, 0], has, embedded.RELATIONS),
        "embedded_time_us": pa.array(found["time_us"], mask=~timed),
        "embedded_time_kind": _optional(found["time_kind"], timed, embedded.TIME_KINDS),
        "template": embedded.templates(chosen, search, found),
    }
    if len(rows) == len(index):
        return columns
    place = np.full(len(index), -1, np.int32)
    place[rows] = np.arange(len(rows))
    spread = pa.array(place, mask=place < 0)
    return {name: column.take(spread) for name, column in columns.items()}


def text_batch(texts: pa.StringArray) -> Batch:
    """A column of text as a batch, without a copy of the octets; null is empty."""
    _, ends, data = texts.buffers()
    offset = np.frombuffer(ends, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    octets = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return Batch(octets, offset[:-1].copy(), np.diff(offset).astype(np.int32))


def _optional(code: NDArray[Any], has: NDArray[np.bool_], texts: list[str]) -> pa.Array:
    """`texts[code]` where there is one; the codes of a column may repeat, its texts must not."""
    kept = list(dict.fromkeys(texts))
    number = np.array([kept.index(text) for text in texts], np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(number[code], mask=~has), pa.array(kept))
