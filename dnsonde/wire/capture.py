"""Capture files to columns: the records of pcap and snoop and the blocks of pcapng in one buffer.

No files here: `formats.pcap` brings the octets. `ENTRY` is one row a packet, positions in the buffer.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from dnsonde.wire._arrays import frozen
from dnsonde.wire._kernels import packet_index as kernel
from dnsonde.wire.batch import Batch

ENTRY = np.dtype(
    [
        ("offset", "i8"),  # where the packet begins in the buffer
        ("time_us", "i8"),
        ("length", "i4"),  # octets captured
        ("original", "i4"),  # octets on the wire
        ("linktype", "i4"),
    ],
    align=True,
)

INTERFACE = np.dtype(
    [
        ("offset_us", "i8"),  # if_tsoffset
        ("snaplen", "i8"),  # 0: no limit
        ("linktype", "i4"),
        ("unit", "i4"),  # if_tsresol; 6: microseconds
    ],
    align=True,
)


@dataclass(slots=True)
class Chunk:
    """Some packets in a row of one file: `data` holds them, `entry` (`ENTRY`) says where; `first`: number of the first.

    Numbers count from 1.
    """

    data: NDArray[np.uint8]
    entry: NDArray[np.void]
    first: int

    @property
    def batch(self) -> Batch:
        """The packets as a batch."""
        return Batch(
            self.data, np.ascontiguousarray(self.entry["offset"]), np.ascontiguousarray(self.entry["length"])
        )


class Stop(IntEnum):
    """Why indexing ended where it did."""

    END = kernel.END
    WAIT = kernel.WAIT
    FULL = kernel.FULL
    DAMAGED = kernel.DAMAGED
    OTHER = kernel.OTHER


def index_pcap(
    data: NDArray[np.uint8],
    stop: int,
    entry: NDArray[np.void],
    *,
    big: bool,
    nano: bool,
    header: int,
    most: int,
) -> tuple[int, int, Stop]:
    """(packets, position after the last, why it ended) of pcap records from the start of `data` to `stop`.

    `Stop.OTHER`: another file's header stands there.

    header: octets of a record's header; most: octets of the longest packet that is believed. The link type is
    the file's and the caller's to fill in.
    """
    count, pos, why = kernel.pcap(frozen(data, np.uint8), stop, big, nano, header, most, entry)
    return count, pos, Stop(why)


def index_pcapng(
    data: NDArray[np.uint8],
    stop: int,
    entry: NDArray[np.void],
    interfaces: NDArray[np.void],
    known: int,
    *,
    big: bool,
    most: int,
) -> tuple[int, int, Stop]:
    """The same for pcapng blocks; a section or an interface ends it with `Stop.OTHER` at that block.

    interfaces: `INTERFACE` rows of the section, the first `known` of them described.
    """
    count, pos, why = kernel.pcapng(frozen(data, np.uint8), stop, big, interfaces, known, most, entry)
    return count, pos, Stop(why)


def index_snoop(
    data: NDArray[np.uint8], stop: int, entry: NDArray[np.void], *, most: int
) -> tuple[int, int, Stop]:
    """The same for snoop's records (RFC 1761); the link type is the caller's to fill in."""
    count, pos, why = kernel.snoop(frozen(data, np.uint8), stop, most, entry)
    return count, pos, Stop(why)


def warm() -> None:
    """Compile this facade's kernels."""
    data, entry = np.zeros(4, np.uint8), np.zeros(1, ENTRY)
    index_pcap(data, 4, entry, big=False, nano=False, header=16, most=1)
    index_pcapng(data, 4, entry, np.zeros(1, INTERFACE), 0, big=False, most=1)
    index_snoop(data, 4, entry, most=1)
