"""Solaris' snoop captures (RFC 1761), which other systems and network gear write too."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnsonde.formats import pcap
from dnsonde.formats._contract import Account, Format, Options, Tables
from dnsonde.formats._stream import Stream
from dnsonde.wire.capture import Stop, index_snoop
from dnsonde.wire.packet import Link

MARK = b"snoop\0\0\0"
DATALINKS = {0: Link.ETHERNET, 4: Link.ETHERNET, 8: Link.FDDI}  # IEEE 802.3, Ethernet, FDDI
UNKNOWN = -1


@dataclass(slots=True)
class _Snoop:
    """The state of a snoop file: what its header said."""

    linktype: int = UNKNOWN

    def head(self, data: NDArray[np.uint8]) -> tuple[int, str]:
        """As `pcap.State.head`."""
        if len(data) < 16:
            return 0, ""
        version, datalink = struct.unpack(">II", data[8:16].tobytes())
        self.linktype = DATALINKS.get(datalink, UNKNOWN)
        return 16, "" if version == 2 else f"version {version} of snoop"

    def index(self, data: NDArray[np.uint8], entry: NDArray[np.void]) -> tuple[int, int, Stop]:
        """As `wire.capture.index_snoop`."""
        found = index_snoop(data, len(data), entry, most=pcap.LONGEST)
        entry["linktype"][: found[0]] = self.linktype
        return found


def _sniff(head: bytes) -> float:
    return 1.0 if head.startswith(MARK) else 0.0


def _read(stream: Stream, account: Account, options: Options) -> Tables:
    return pcap.packets(stream, account, options, _Snoop())


snoop = Format("snoop captures (RFC 1761)", ("message", "flow"), _sniff, _read)
