"""Kernel: tunnels, IP and transport headers of many packets; `packet_link` is what stands before them.

One packet is walked as a chain of protocols, a step of which consumes octets or gives up.
"""

import numpy as np

from dnsonde.wire._kernels.jit import borrowed, helper, kernel
from dnsonde.wire._kernels.packet_link import (
    ETHERNET,
    IP,
    MPLS,
    NOTHING,
    PPP,
    V4,
    V6,
    be16,
    be32,
    be64,
    link_layer,
    to_network,
)
from dnsonde.wire.codes import PacketStatus

BAD_VERSION = int(PacketStatus.BAD_VERSION)
SHORT_IP = int(PacketStatus.SHORT_IP)
BAD_LENGTH = int(PacketStatus.BAD_LENGTH)
BAD_EXTENSION = int(PacketStatus.BAD_EXTENSION)
SHORT_TRANSPORT = int(PacketStatus.SHORT_TRANSPORT)
BAD_TRANSPORT = int(PacketStatus.BAD_TRANSPORT)
BAD_FRAGMENT = int(PacketStatus.BAD_FRAGMENT)

FNV_SEED = -3750763034362895579  # 0xCBF29CE484222325, FNV-1a
FNV_PRIME = 0x100000001B3


@helper
def extensions(data, pos, end, protocol, row):
    """(position, protocol) after IPv6's extension headers, which mark fragments; position < 0: -status."""
    while True:
        if protocol == 44:
            if end - pos < 8:
                return -BAD_EXTENSION, protocol
            field = be16(data, pos + 2)
            row.ip_id = be32(data, pos + 4)
            row.fragment_offset = field & 0xFFF8
            row.more = field & 1
            row.fragment = row.fragment_offset > 0 or row.more
            protocol = np.int64(data[pos])
            pos += 8
            if row.fragment:
                return pos, protocol  # what follows belongs to the whole datagram
        elif protocol in (0, 43, 60, 135, 139, 140):
            if end - pos < 8:
                return -BAD_EXTENSION, protocol
            size = (np.int64(data[pos + 1]) + 1) * 8
            if size > end - pos:
                return -BAD_EXTENSION, protocol
            protocol = np.int64(data[pos])
            pos += size
        elif protocol == 51:
            if end - pos < 8:
                return -BAD_EXTENSION, protocol
            size = (np.int64(data[pos + 1]) + 2) * 4
            if size > end - pos:
                return -BAD_EXTENSION, protocol
            protocol = np.int64(data[pos])
            pos += size
        else:
            return pos, protocol


@helper
def network(data, pos, end, kind, row):
    """(payload position, its end, status) of one IP header; fills the row's network columns."""
    row.ip_version = 0
    row.protocol = 0
    row.src_port = 0
    row.dst_port = 0
    row.tcp_flags = 0
    row.seq = 0
    row.window = 0
    row.options = 0
    row.fragment = 0
    row.more = 0
    row.fragment_offset = 0
    row.ip_id = -1
    row.payload_start = 0
    row.payload_length = 0
    row.body_start = 0
    row.body_length = 0
    if pos >= end:
        return pos, end, SHORT_IP
    version = data[pos] >> 4
    if (version != 4 or kind == V6) and (version != 6 or kind == V4):
        return pos, end, BAD_VERSION
    size = end - pos
    row.ip_start = pos
    if version == 4:
        if size < 20:
            return pos, end, SHORT_IP
        header = int(data[pos] & 15) * 4
        if header < 20 or header > size:
            return pos, end, SHORT_IP
        total = be16(data, pos + 2)
        if total == 0:  # left to the interface that splits it (segmentation offload)
            total = size
        row.ip_version = 4
        row.ip_bytes = total
        row.ip_id = be16(data, pos + 4)
        row.ip_ttl = data[pos + 8]
        row.src_net = 0
        row.src_host = 0xFFFF00000000 | be32(data, pos + 12)
        row.dst_net = 0
        row.dst_host = 0xFFFF00000000 | be32(data, pos + 16)
        row.protocol = data[pos + 9]
        if total < header:
            return pos, end, BAD_LENGTH
        field = be16(data, pos + 6)
        row.fragment_offset = (field & 0x1FFF) * 8
        row.more = field >> 13 & 1
        row.fragment = row.fragment_offset > 0 or row.more
        start = pos + header
    else:
        if size < 40:
            return pos, end, SHORT_IP
        total = be16(data, pos + 4) + 40
        if total == 40 and size > 40:  # a jumbogram (RFC 2675), or offloaded as above
            total = size
        row.ip_version = 6
        row.ip_bytes = total
        row.ip_ttl = data[pos + 7]
        row.src_net = be64(data, pos + 8)
        row.src_host = be64(data, pos + 16)
        row.dst_net = be64(data, pos + 24)
        row.dst_host = be64(data, pos + 32)
        row.protocol = data[pos + 6]
        start = pos + 40
    row.short = total > size
    end = min(end, pos + total)
    if version == 6:
        start, protocol = extensions(data, start, end, np.int64(data[pos + 6]), row)
        row.protocol = protocol
        if start < 0:
            return pos, end, -start
    row.body_start = start
    row.body_length = end - start
    row.payload_start = start
    row.payload_length = end - start
    if row.fragment:
        stop = row.fragment_offset + end - start
        if stop > 65535 or (row.more and (end - start) % 8 and not row.short):
            return start, end, BAD_FRAGMENT
    return start, end, 0


@kernel
def options_hash(data, pos, end):
    """FNV-1a over TCP options without the values of timestamps, which differ by packet; 0: none."""
    if pos >= end:
        return 0
    state = FNV_SEED
    skip_from = 0
    skip_to = 0
    at = pos
    while at < end:
        if at >= skip_to:
            kind = data[at]
            size = 1
            if kind > 1 and at + 1 < end:
                size = max(2, np.int64(data[at + 1]))
            skip_to = at + size
            skip_from = at + 2 if kind == 8 else skip_to
            if kind == 0:
                skip_to = end  # padding follows
                skip_from = at + 1
        if at < skip_from:
            state = (state ^ np.int64(data[at])) * FNV_PRIME
        at += 1
    return state if state != 0 else 1


@helper
def transport(data, pos, end, row):
    """Ports, flags and payload of the transport header at `pos`; returns a status."""
    if row.fragment and row.fragment_offset > 0:
        return 0
    protocol = row.protocol
    size = end - pos
    if protocol == 17:
        if size < 8:
            return SHORT_TRANSPORT
        row.src_port = be16(data, pos)
        row.dst_port = be16(data, pos + 2)
        stated = be16(data, pos + 4)
        if stated == 0 and size > 8:  # a jumbogram (RFC 2675, 4), or offloaded
            stated = size
        if stated < 8:
            return BAD_TRANSPORT
        row.payload_start = pos + 8
        row.payload_length = min(size, stated) - 8
        if stated > size and not row.fragment:
            row.short = 1
    elif protocol == 6:
        if size < 20:
            if size < 8 or not row.more or row.short:
                return SHORT_TRANSPORT
            # The header's rest follows (RFC 1858, 3).
            row.src_port = be16(data, pos)
            row.dst_port = be16(data, pos + 2)
            row.seq = be32(data, pos + 4)
            row.payload_start = end
            row.payload_length = 0
            return 0
        row.src_port = be16(data, pos)
        row.dst_port = be16(data, pos + 2)
        row.seq = be32(data, pos + 4)
        row.ack = be32(data, pos + 8)
        row.tcp_flags = data[pos + 13]
        row.window = be16(data, pos + 14)
        header = int(data[pos + 12] >> 4) * 4
        if header < 20:
            return BAD_TRANSPORT
        if header > size:
            return SHORT_TRANSPORT if row.short else BAD_TRANSPORT
        if row.tcp_flags & 2:
            row.options = options_hash(data, pos + 20, pos + header)
        row.payload_start = pos + header
        row.payload_length = size - header
    elif protocol == 1 or protocol == 58:
        if size < 4:
            return SHORT_TRANSPORT
        row.src_port = data[pos]
        row.dst_port = data[pos + 1]
        header = min(8, size)
        row.payload_start = pos + header
        row.payload_length = size - header
    elif protocol == 132 or protocol == 33 or protocol == 136:  # SCTP, DCCP, UDP-Lite
        header = 8 if protocol == 136 else 12
        if size < header:
            return SHORT_TRANSPORT
        row.src_port = be16(data, pos)
        row.dst_port = be16(data, pos + 2)
        row.payload_start = pos + header
        row.payload_length = size - header
    return 0


@helper
def gre(data, pos, end):
    """(position, kind) of what GRE carries (RFC 2784, RFC 2890; version 1: RFC 2637)."""
    if end - pos < 4:
        return pos, NOTHING
    flags = be16(data, pos)
    kind = be16(data, pos + 2)
    pos += 4
    if flags & 7 == 1:
        pos += 4 + (4 if flags & 0x1000 else 0) + (4 if flags & 0x80 else 0)
        return pos, PPP if kind == 0x880B and pos < end else NOTHING
    if flags & 7 or flags & 0x4000:  # unknown version, or source routes (RFC 1701, deprecated)
        return pos, NOTHING
    if flags & 0x8000:
        pos += 4
    if flags & 0x2000:
        pos += 4
    if flags & 0x1000:
        pos += 4
    if kind == 0x88BE:  # ERSPAN: type 2 has a sequence number and a header of its own
        if flags & 0x1000:
            pos += 8
        kind = ETHERNET
    elif kind == 0x22EB:  # ERSPAN type 3
        if end - pos < 12:
            return pos, NOTHING
        pos += 20 if data[pos + 11] & 1 else 12
        kind = ETHERNET
    if pos >= end:
        return pos, NOTHING
    return pos, kind


@helper
def gtp(data, pos, end):
    """(position, kind) of what a GTP-U version 1 G-PDU carries (3GPP TS 29.281, 5)."""
    if end - pos < 9 or data[pos] & 0xF0 != 0x30 or data[pos + 1] != 255:
        return pos, NOTHING
    flags = data[pos]
    pos += 8
    if flags & 7:
        if end - pos < 4:
            return pos, NOTHING
        following = data[pos + 3] if flags & 4 else 0
        pos += 4
        while following:
            if pos >= end or data[pos] == 0:
                return pos, NOTHING
            size = np.int64(data[pos]) * 4
            if size >= end - pos:
                return pos, NOTHING
            following = data[pos + size - 1]
            pos += size
    return pos, IP if pos < end and data[pos] >> 4 in (4, 6) else NOTHING


@helper
def tunnel(data, start, end, row):
    """(position, kind) of what the packet carries when it is a tunnel, kind NOTHING when it is none."""
    if row.fragment:
        return start, NOTHING
    protocol = row.protocol
    if protocol == 4:
        return start, V4
    if protocol == 41:
        return start, V6
    if protocol == 47:
        return gre(data, start, end)
    if protocol == 137:
        return start, MPLS
    if protocol == 97:  # EtherIP (RFC 3378)
        if end - start < 2 or data[start] != 0x30:
            return start, NOTHING
        return start + 2, ETHERNET
    if protocol != 17:
        return start, NOTHING
    pos = row.payload_start
    stop = pos + row.payload_length
    port = row.dst_port
    if (
        port == 4789 or port == 8472 or port == 4790
    ):  # VXLAN (RFC 7348, 5), with a group's policy (bit G) or GPE
        if stop - pos < 8 or data[pos] & 0x7B != 0x08:
            return pos, NOTHING
        following = data[pos + 3] if data[pos] & 0x04 else 3  # bit P: the next protocol is told
        pos += 8
        if following == 3:
            return pos, ETHERNET
        return pos, V4 if following == 1 else V6 if following == 2 else NOTHING
    if port == 6081:  # GENEVE (RFC 8926, 3.4)
        if stop - pos < 8 or data[pos] >> 6:
            return pos, NOTHING
        return pos + 8 + int(data[pos] & 63) * 4, be16(data, pos + 2)
    if port == 2152 or row.src_port == 2152:
        return gtp(data, pos, stop)
    if port == 4754:  # GRE in UDP (RFC 8086)
        return gre(data, pos, stop)
    if port == 3544 or row.src_port == 3544:  # Teredo (RFC 4380, 5.1.1)
        if stop - pos >= 4 and data[pos] == 0 and data[pos + 1] == 1:  # authentication
            pos += 13 + np.int64(data[pos + 2]) + np.int64(data[pos + 3])
        if stop - pos >= 8 and data[pos] == 0 and data[pos + 1] == 0:  # origin
            pos += 8
        if stop - pos >= 40 and data[pos] >> 4 == 6:
            return pos, V6
    return pos, NOTHING


@kernel
def decode_packets(data, offset, length, linktype, deepest, out, spare):
    """Fill one row of `out` a packet, whatever was in it.

    spare: two rows; the first holds the tunnel's own row, in case its inside is damaged, the second is all zero.
    """
    data = borrowed(data)
    for i in range(len(offset)):
        out[i] = spare[1]
        row = out[i]
        begin = offset[i]
        row.src_mac = -1
        row.dst_mac = -1
        row.vlan = -1
        pos, kind, end = link_layer(data, begin, begin + length[i], linktype[i], row)
        while True:
            pos, kind = to_network(data, pos, end, kind, row)
            status = -kind if kind < 0 else 0
            if status == 0:
                pos, end, status = network(data, pos, end, kind, row)
            if status == 0:
                status = transport(data, pos, end, row)
            if status != 0:
                break
            pos, kind = tunnel(data, pos, end, row)
            if kind == NOTHING or row.depth >= deepest:
                break
            if row.protocol == 17:
                end = min(end, row.payload_start + row.payload_length)
            spare[0] = row
            row.depth += 1
            mirrored = row.protocol == 47 and kind == ETHERNET  # ERSPAN: the envelope is no traffic
            if row.depth == 1 and not mirrored:
                row.outer_protocol = row.protocol
                row.outer_src_net = row.src_net
                row.outer_src_host = row.src_host
                row.outer_dst_net = row.dst_net
                row.outer_dst_host = row.dst_host
                row.outer_id = row.ip_id
                row.outer_ttl = row.ip_ttl
                row.outer_bytes = row.ip_bytes
                row.outer_start = row.payload_start
                row.outer_length = row.payload_length
        if status != 0 and row.depth > 0:
            out[i] = spare[0]
            row.inner_status = status
            status = 0
        row.status = status
        if row.ip_version != 0:
            row.ip_start -= begin
            row.payload_start -= begin
            row.body_start -= begin
            row.outer_start -= begin
