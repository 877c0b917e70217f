"""dnstap to columns: Frame Streams (fstrm) and the protobuf messages in it (dnstap.proto), parsed by a kernel."""

import numpy as np
from numpy.typing import NDArray

from dnsonde.wire._arrays import frozen
from dnsonde.wire._kernels import packet_dnstap as kernel
from dnsonde.wire.batch import Batch
from dnsonde.wire.capture import Stop

OK, DAMAGED, NO_MESSAGE = kernel.OK, kernel.DAMAGED_FRAME, kernel.NO_MESSAGE
UDP, TCP = 1, 2  # socket_protocol; others are encrypted transports

DNSTAP = np.dtype(
    [
        ("query_net", "i8"),  # who asked; 0, 0: not told
        ("query_host", "i8"),
        ("response_net", "i8"),  # who answers
        ("response_host", "i8"),
        ("query_sec", "i8"),
        ("response_sec", "i8"),
        ("query_start", "i8"),  # positions in the buffer
        ("response_start", "i8"),
        ("query_length", "i8"),  # -1: none
        ("response_length", "i8"),
        ("query_nsec", "u4"),
        ("response_nsec", "u4"),
        ("query_port", "u2"),
        ("response_port", "u2"),
        ("status", "u1"),  # OK, DAMAGED, NO_MESSAGE
        ("type", "u1"),  # odd: a query, even: a response
        ("protocol", "u1"),
    ],
    align=True,
)


def index_frames(data: NDArray[np.uint8], most: int, limit: int) -> tuple[Batch, int, Stop]:
    """(data frames, position after the last, why it ended) of a Frame Streams buffer, `limit` frames at the most."""
    start, length = np.empty(limit, np.int64), np.empty(limit, np.int32)
    count, pos, why = kernel.frames(frozen(data, np.uint8), len(data), most, start, length)
    return Batch(data, start[:count], length[:count]), pos, Stop(why)


def decode_frames(batch: Batch) -> NDArray[np.void]:
    """One `DNSTAP` row a frame; a damaged one has a status."""
    out = np.zeros(len(batch), DNSTAP)
    kernel.decode_frames(
        frozen(batch.data, np.uint8), frozen(batch.offset, np.int64), frozen(batch.length, np.int32), out
    )
    return out


def warm() -> None:
    """Compile this facade's kernels."""
    batch, _, _ = index_frames(np.zeros(4, np.uint8), 1, 1)
    decode_frames(batch)
