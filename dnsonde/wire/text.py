"""Names and other octets of messages as Arrow text (RFC 1035, 5.1), safe to show and to store."""

from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dnsonde.wire._arrays import frozen, parts
from dnsonde.wire._kernels import text as kernel
from dnsonde.wire.batch import Batch


def name_text(batch: Batch, messages: NDArray[np.void], *, lower: bool = False) -> pa.StringArray:
    r"""The asked names in presentation form (RFC 1035, 5.1), case kept unless `lower`.

    No trailing dot, the root is ".", a message without a question (or one cut within its name) "". Octets that
    are not printable are `\DDD`, so that any name is safe ASCII.
    """
    start = np.where(messages["qname_length"] > 0, 12, -1)
    room = 4 * int(messages["qname_length"].sum())
    return _names(batch.data, batch.offset, batch.length, start, room, lower)


def names_at(
    data: NDArray[np.uint8], start: NDArray[np.int64], octets: NDArray[np.int32], *, lower: bool = False
) -> pa.StringArray:
    """As `name_text`, of uncompressed wire names at `start` of the buffer; empty where there are no octets."""
    at = np.where(octets > 0, 0, -1)
    return _names(data, start, octets, at, 4 * int(octets.sum(dtype=np.int64)), lower)


def name_text_into(
    batch: Batch, messages: NDArray[np.void], out: NDArray[np.uint8], ends: NDArray[np.int32]
) -> int:
    """As `name_text`, into the caller's room, for a loop that need not allocate; how many octets of `out` it took.

    out: uint8, at least four times the names' octets; ends: int32 (n + 1,), gets where each text begins and ends in
    `out`. Both contiguous; ValueError where they are too small.
    """
    if len(ends) != len(messages) + 1 or len(out) < 4 * int(messages["qname_length"].sum()):
        raise ValueError(f"{len(out)} octets and {len(ends)} ends for {len(messages)} names")
    start = np.where(messages["qname_length"] > 0, 12, -1)
    written = int(kernel.name_text(*parts(batch), frozen(start, np.int64), False, out, ends))
    if written < 0:
        raise ValueError("these rows do not belong to this batch")
    return written


def gather(data: NDArray[np.uint8], start: NDArray[np.int64], length: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Slices of a buffer one behind the other, in a buffer of their own; none may be shorter than nothing."""
    out = np.empty(int(length.sum(dtype=np.int64)), np.uint8)
    kernel.gather(frozen(data, np.uint8), frozen(start, np.int64), frozen(length, np.int32), out)
    return out


def octet_text(batch: Batch, start: NDArray[np.integer], length: NDArray[np.integer]) -> pa.StringArray:
    r"""Octets at positions of the batch's messages (NSID, TXT rdata) as ASCII; control and high ones are `\DDD`."""
    octets = frozen(length, np.int64)
    position = frozen(batch.offset + start, np.int64)
    out = np.empty(4 * int(octets.sum()), np.uint8)
    ends = np.empty(len(octets) + 1, np.int32)
    written = kernel.octet_text(frozen(batch.data, np.uint8), position, octets, out, ends)
    return _strings(out, ends, written)


def warm() -> None:
    """Compile each kernel once."""
    batch = Batch.of([b"\0"])
    names_at(batch.data, np.zeros(1, np.int64), np.zeros(1, np.int32))
    octet_text(batch, np.zeros(1, np.int64), np.zeros(1, np.int64))
    gather(batch.data, np.zeros(1, np.int64), np.zeros(1, np.int32))


def _names(
    data: NDArray[np.uint8],
    base: NDArray[np.int64],
    length: NDArray[np.int32],
    start: NDArray[np.int64],
    room: int,
    lower: bool,
) -> pa.StringArray:
    out = np.empty(room, np.uint8)
    ends = np.empty(len(start) + 1, np.int32)
    arrays = frozen(data, np.uint8), frozen(base, np.int64), frozen(length, np.int32), frozen(start, np.int64)
    return _strings(out, ends, kernel.name_text(*arrays, lower, out, ends))


def _strings(out: NDArray[np.uint8], ends: NDArray[np.int32], written: int) -> pa.StringArray:
    if written < 0 or written > np.iinfo(np.int32).max:
        raise ValueError(
            "these rows do not belong to this batch, or it is larger than a column of text can be"
        )
    text_buffer = pa.py_buffer(out[:written].copy())  # a copy, since the room is four times what is used
    return cast("pa.StringArray", pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), text_buffer))
