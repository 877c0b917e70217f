"""Packets to columns: link layer, tunnels, IP and transport headers (RFC 791, 8200, 768, 9293, 792, 4443).

`PACKET` is one row a packet and describes its *innermost* IP packet; the `outer_` fields keep the
outermost one where there is a tunnel. Positions are octets from the start of that packet.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from dnsonde.wire._arrays import frozen
from dnsonde.wire._kernels import packet as kernels
from dnsonde.wire.batch import Batch
from dnsonde.wire.codes import PacketStatus

DEEPEST = 4  # tunnels within tunnels that are followed


class Link(IntEnum):
    """Link types that are read (the LINKTYPE_ registry of pcap)."""

    NULL = 0
    ETHERNET = 1
    PPP = 9
    FDDI = 10
    RAW_BSD = 12
    RAW_OPENBSD = 14
    PPP_HDLC = 50
    PPPOE = 51
    RAW = 101
    C_HDLC = 104
    IEEE802_11 = 105
    FRELAY = 107
    LOOP = 108
    LINUX_SLL = 113
    RADIOTAP = 127
    USER2 = 149  # macOS' PKTAP of old
    PPI = 192
    IPV4 = 228
    IPV6 = 229
    NFLOG = 239
    PKTAP = 258
    LINUX_SLL2 = 276


PACKET = np.dtype(
    [
        ("src_net", "i8"),  # addresses as in wire.batch; valid where ip_version is not 0
        ("src_host", "i8"),
        ("dst_net", "i8"),
        ("dst_host", "i8"),
        ("outer_src_net", "i8"),  # the outermost IP header; valid where outer_protocol is not 0
        ("outer_src_host", "i8"),
        ("outer_dst_net", "i8"),
        ("outer_dst_host", "i8"),
        ("src_mac", "i8"),  # outermost frame, 48 bits; -1: none
        ("dst_mac", "i8"),
        ("options", "i8"),  # hash of a SYN's options, see `options_hash`; 0: none
        ("ip_id", "i8"),  # IPv4: 16 bits; IPv6: a fragment's 32; -1: none
        ("outer_id", "i8"),
        ("seq", "u4"),  # TCP
        ("ack", "u4"),
        ("ip_start", "i4"),
        ("ip_bytes", "i4"),  # stated by the IP header, header included
        ("body_start", "i4"),  # what IP carries: after extension headers, the transport header included
        ("body_length", "i4"),
        ("payload_start", "i4"),  # what the transport carries; of a later fragment: what IP carries
        ("payload_length", "i4"),  # octets of it that are there
        ("fragment_offset", "i4"),  # octets
        ("outer_bytes", "i4"),
        ("outer_start", "i4"),  # what the outermost transport carries
        ("outer_length", "i4"),
        ("src_port", "u2"),  # ICMP: type
        ("dst_port", "u2"),  # ICMP: code
        ("window", "u2"),
        ("vlan", "i2"),  # outermost 802.1Q tag; -1: none
        ("status", "u1"),  # wire.codes.PacketStatus
        ("inner_status", "u1"),  # why a tunnel's inside was not read: the row is then the tunnel itself
        ("ip_version", "u1"),  # 0: no IP header was read
        ("protocol", "u1"),  # IP protocol number
        ("ip_ttl", "u1"),
        ("tcp_flags", "u1"),  # CWR ECE URG ACK PSH RST SYN FIN
        ("fragment", "u1"),  # 1: a fragment
        ("more", "u1"),  # 1: more fragments follow
        ("short", "u1"),  # 1: fewer octets than the headers state
        ("depth", "u1"),  # tunnels around it
        ("outer_protocol", "u1"),  # 0: no tunnel, or a mirror's envelope (ERSPAN)
        ("outer_ttl", "u1"),
    ],
    align=True,
)


def decode_packets(
    batch: Batch,
    linktype: int | NDArray[np.int32],
    *,
    original: NDArray[np.int32] | None = None,
    deepest: int = DEEPEST,
    out: NDArray[np.void] | None = None,
) -> NDArray[np.void]:
    """Decode every packet of `batch` into a `PACKET` row; nothing raises, a `status` tells.

    linktype: one number, or one a packet; original: octets on the wire, where the capture kept fewer, so that
    a header cut by the snap length is told from a malformed one; deepest: tunnels that are followed. `out`
    (contiguous PACKET rows, at least as many) is filled and returned cut to the batch, so that a loop need not
    allocate.
    """
    count = len(batch)
    if out is None:
        out = np.empty(count, PACKET)
    link = np.broadcast_to(np.asarray(linktype, np.int32), (count,))
    kernels.decode_packets(
        frozen(batch.data, np.uint8),
        frozen(batch.offset, np.int64),
        frozen(batch.length, np.int32),
        frozen(link, np.int32),
        deepest,
        out[:count],
        np.zeros(2, PACKET),
    )
    rows = out[:count]
    if original is not None:
        bad = np.flatnonzero(rows["status"])  # a few, as a rule
        cut = np.isin(rows["status"][bad], _CUT_MAKES) & (original[bad] > batch.length[bad])
        rows["status"][bad[cut]] = PacketStatus.CUT
    return rows


_CUT_MAKES = [
    PacketStatus.SHORT_LINK,
    PacketStatus.SHORT_IP,
    PacketStatus.BAD_EXTENSION,
    PacketStatus.SHORT_TRANSPORT,
    PacketStatus.BAD_FRAGMENT,
]


def options_hash(options: bytes) -> int:
    """The `options` fingerprint of these TCP options, padding included; 0: none."""
    data = np.frombuffer(options, np.uint8)
    return int(kernels.options_hash(frozen(data, np.uint8), 0, len(data)))


def warm() -> None:
    """Compile this facade's kernels."""
    decode_packets(Batch.of([b""]), Link.RAW)
    options_hash(b"")
