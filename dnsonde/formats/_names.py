"""The columns of `message` that are about its name: what it embeds, and what it is made of."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dnsonde.wire import domain, embedded
from dnsonde.wire.batch import ADDRESS, Batch


def name_columns(
    qname: pa.StringArray, address: dict[str, NDArray[np.int64]], time_us: NDArray[np.int64]
) -> dict[str, Any]:
    """Those columns, by name.

    qname: lower case, presentation form, no last dot; address: the packet's src_net, src_host, dst_net, dst_host.
    """
    names = text_batch(qname)
    count = len(names)
    facts = domain.name_facts(names)
    ends = np.zeros((2, count), ADDRESS)
    for row, role in zip(ends, ("src", "dst"), strict=True):
        row["net"], row["host"] = address[f"{role}_net"], address[f"{role}_host"]
    search = np.ascontiguousarray(facts["search"])
    found = embedded.embedded(names, search, ends[0], ends[1], time_us)
    has = found["count"] > 0
    timed = found["time_kind"] > 0
    return {
        "embedded_kind": _optional(found["kind"][:, 0], has, embedded.KINDS),
        "embedded_net": (found["net"][:, 0], has),
        "embedded_host": (found["host"][:, 0], has),
        "embedded_relation": _optional(found["relation"][:, 0], has, embedded.RELATIONS),
        "embedded_time_us": (found["time_us"], timed),
        "embedded_time_kind": _optional(found["time_kind"], timed, embedded.TIME_KINDS),
        "template": embedded.templates(names, search, found),
        "registered_domain": domain.registered_domains(names, facts),
        **{
            column: facts[column]
            for column in ("sub_hash", "sub_bytes", "labels", "label_max", "digits", "entropy")
        },
    }


def text_batch(texts: pa.StringArray) -> Batch:
    """A column of text as a batch, without a copy of the octets; null is empty."""
    _, ends, data = texts.buffers()
    offset = np.frombuffer(ends, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    octets = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return Batch(octets, offset[:-1].copy(), np.diff(offset).astype(np.int32))


def _optional(code: NDArray[Any], has: NDArray[np.bool_], texts: list[str]) -> pa.Array:
    if not has.any():
        return pa.nulls(len(code), pa.string())
    index = pa.array(code.astype(np.int8), mask=~has)
    return pa.DictionaryArray.from_arrays(index, pa.array(texts)).cast(pa.string())
