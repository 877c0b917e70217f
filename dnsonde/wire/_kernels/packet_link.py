# ruff: noqa: SIM109 - a chain of comparisons compiles to a jump; a tuple or set would be built
"""Kernel parts of `packet`: from the capture's link type to where IP begins.

`kind` says what stands at `pos`: an Ethertype, or one of the numbers past 0xFFFF below. Every step consumes
octets or gives up, so that no input holds it up.
"""

import numpy as np

from dnsonde.wire._kernels.jit import kernel
from dnsonde.wire.codes import PacketStatus

UNKNOWN_LINK = int(PacketStatus.UNKNOWN_LINK)
NOT_IP = int(PacketStatus.NOT_IP)
ENCRYPTED = int(PacketStatus.ENCRYPTED)
SHORT_LINK = int(PacketStatus.SHORT_LINK)

IP = 0x10000  # either version, told by its first nibble
ETHERNET = 0x10001
PPP = 0x10002
NOTHING = 0x10003  # the chain ends here

V4 = 0x0800
V6 = 0x86DD
MPLS = 0x8847
LLC = 0x05FF  # the greatest 802.3 length: an LLC header follows


_1 = np.uint64(1)


@kernel
def be16(data, pos):
    """Two octets as a number. A signed index may be negative in Python, which would be asked of each; none here is."""
    at = np.uint64(pos)
    return np.int64(data[at]) << 8 | np.int64(data[at + _1])


@kernel
def le16(data, pos):
    """The same, the lower octet first."""
    at = np.uint64(pos)
    return np.int64(data[at]) | np.int64(data[at + _1]) << 8


@kernel
def be32(data, pos):
    """Four octets as a number."""
    return be16(data, pos) << 16 | be16(data, pos + 2)


@kernel
def be64(data, pos):
    """Eight octets as a two's-complement number."""
    return be32(data, pos) << 32 | be32(data, pos + 4)


@kernel
def mac(data, pos):
    """Six octets as a number."""
    return be16(data, pos) << 32 | be32(data, pos + 2)


@kernel
def ppp_kind(protocol):
    """PPP's protocol numbers (RFC 1661, 2) as Ethertypes."""
    if protocol == 0x21:
        return V4
    if protocol == 0x57:
        return V6
    if protocol == 0x281:
        return MPLS
    return -NOT_IP


@kernel
def radio(data, pos, end):
    """(start of the 802.11 frame, its header is padded to 4 octets), start -1: short (radiotap)."""
    if end - pos < 8:
        return -1, False
    length = le16(data, pos + 2)
    if length < 8 or length > end - pos:
        return -1, False
    stop = pos + length
    first = be32(data, pos + 4)  # little endian: bit 0 of the first octet is TSFT, bit 1 the flags
    at = pos + 8
    word = pos + 4
    while data[word + 3] & 0x80:  # another presence word follows
        word += 4
        at += 4
        if at > stop:
            return -1, False
    if first & 0x01000000:
        at = pos + (at - pos + 7) // 8 * 8 + 8
    padded = bool(first & 0x02000000 and at < stop and data[at] & 0x20)
    return stop, padded


@kernel
def wireless(data, pos, end, padded, row):
    """(position, kind) of what an IEEE 802.11 data frame carries; sets both link-layer addresses."""
    if end - pos < 24:
        return pos, -SHORT_LINK
    control = be16(data, pos)
    if control & 0x0C00 != 0x0800 or control & 0x4000:  # not data, or data without a body
        return pos, -NOT_IP
    if control & 0x0040:
        return pos, -ENCRYPTED
    to_ds = control & 0x0001
    from_ds = control & 0x0002
    size = 30 if to_ds and from_ds else 24
    qos = size
    if control & 0x8000:
        size += 2
        if control & 0x0080:
            size += 4
    if padded:
        size = (size + 3) // 4 * 4
    if end - pos < size:
        return pos, -SHORT_LINK
    if control & 0x8000 and data[pos + qos] & 0x80:  # several subframes in one (A-MSDU)
        return pos, -NOT_IP
    row.dst_mac = mac(data, pos + 16) if to_ds else mac(data, pos + 4)
    if from_ds:
        row.src_mac = mac(data, pos + 24) if to_ds else mac(data, pos + 16)
    else:
        row.src_mac = mac(data, pos + 10)
    return pos + size, LLC


@kernel
def nflog(data, pos, end):
    """(position, kind, end) of the packet in a LINKTYPE_NFLOG record: TLVs in the host's order."""
    if end - pos < 4:
        return pos, -SHORT_LINK, end
    family = data[pos]
    pos += 4
    while end - pos >= 4:
        size = le16(data, pos)
        type_ = le16(data, pos + 2)
        if size < 4 or size > end - pos:
            return pos, -SHORT_LINK, end
        if type_ == 9:  # NFULA_PAYLOAD
            if family != 2 and family != 10:
                return pos, -NOT_IP, end
            return pos + 4, IP, pos + size
        pos += (size + 3) // 4 * 4
    return pos, -NOT_IP, end


@kernel
def link_layer(data, pos, end, link, row):
    """(position, kind, end) after the outermost header, by the capture's link type; kind < 0: -status."""
    if (
        link == 192 or link == 258 or link == 149
    ):  # PPI, PKTAP of macOS: a header of a stated length, and its packet
        if end - pos < 12:
            return pos, -SHORT_LINK, end
        if (
            link == 149 and le16(data, pos + 4) != 1
        ):  # it is for private use: a packet's PKTAP header begins so
            return pos, -UNKNOWN_LINK, end
        if link == 192:
            stated = le16(data, pos + 2)
            link = le16(data, pos + 4) | le16(data, pos + 6) << 16
        else:
            stated = le16(data, pos) | le16(data, pos + 2) << 16
            link = le16(data, pos + 8) | le16(data, pos + 10) << 16
        if stated < 8 or stated > end - pos:
            return pos, -SHORT_LINK, end
        pos += stated
    size = end - pos
    if link == 1:
        return pos, ETHERNET, end
    if link == 10:  # FDDI; frames with LLC in them
        if size < 13:
            return pos, -SHORT_LINK, end
        row.dst_mac = mac(data, pos + 1)
        row.src_mac = mac(data, pos + 7)
        return pos + 13, LLC if data[pos] & 0xF0 == 0x50 else -NOT_IP, end
    if link == 101 or link == 12 or link == 14 or link == 228 or link == 229:
        return pos, IP, end
    if link == 113:  # Linux cooked
        if size < 16:
            return pos, -SHORT_LINK, end
        if be16(data, pos + 4) == 6:
            row.src_mac = mac(data, pos + 6)
        return pos + 16, be16(data, pos + 14), end
    if link == 276:  # Linux cooked, version 2
        if size < 20:
            return pos, -SHORT_LINK, end
        if data[pos + 11] == 6:
            row.src_mac = mac(data, pos + 12)
        return pos + 20, be16(data, pos), end
    if link == 0 or link == 108:  # BSD loopback: an address family, in either order
        if size < 4:
            return pos, -SHORT_LINK, end
        family = be32(data, pos)
        if family > 0xFFFF:
            family = le16(data, pos)
        if family == 2 or family == 10 or family == 24 or family == 28 or family == 30:
            return pos + 4, IP, end
        return pos, -NOT_IP, end
    if link == 9 or link == 50:
        return pos, PPP, end
    if link == 51:
        return pos, 0x8864, end
    if link == 104:  # Cisco HDLC
        if size < 4:
            return pos, -SHORT_LINK, end
        if data[pos] == 0xFF:
            return pos, PPP, end
        return pos + 4, be16(data, pos + 2), end
    if link == 105:
        pos, kind = wireless(data, pos, end, False, row)
        return pos, kind, end
    if link == 127:
        pos, padded = radio(data, pos, end)
        if pos < 0:
            return 0, -SHORT_LINK, end
        pos, kind = wireless(data, pos, end, padded, row)
        return pos, kind, end
    if link == 107:  # frame relay, Q.922 addresses of two octets (RFC 2427)
        if size < 4:
            return pos, -SHORT_LINK, end
        if not data[pos + 1] & 1 or data[pos + 2] != 3:
            return pos, -NOT_IP, end
        if data[pos + 3] == 0xCC or data[pos + 3] == 0x8E:
            return pos + 4, IP, end
        return pos, -NOT_IP, end
    if link == 239:
        return nflog(data, pos, end)
    return pos, -UNKNOWN_LINK, end


@kernel
def to_network(data, pos, end, kind, row):
    """(position, kind) with tags, labels and PPP taken off: V4, V6 or IP, or -status."""
    while True:
        size = end - pos
        if kind < 0 or kind == V4 or kind == V6 or kind == IP:
            return pos, kind
        if kind == ETHERNET or kind == 0x6558:
            if size < 14:
                return pos, -SHORT_LINK
            if row.depth == 0:
                row.dst_mac = mac(data, pos)
                row.src_mac = mac(data, pos + 6)
            kind = be16(data, pos + 12)
            pos += 14
        elif kind < 0x600:
            if size < 3:
                return pos, -SHORT_LINK
            if data[pos] == 6 and data[pos + 1] == 6 and data[pos + 2] == 3:
                return pos + 3, IP
            if data[pos] != 0xAA or data[pos + 1] != 0xAA or data[pos + 2] != 3:
                return pos, -NOT_IP
            if size < 8:
                return pos, -SHORT_LINK
            if data[pos + 3] or data[pos + 4] or data[pos + 5] or be16(data, pos + 6) < 0x600:
                return pos, -NOT_IP
            kind = be16(data, pos + 6)
            pos += 8
        elif kind == 0x8100 or kind == 0x88A8 or kind == 0x9100 or kind == 0x9200:
            if size < 4:
                return pos, -SHORT_LINK
            if row.depth == 0 and row.vlan < 0:
                row.vlan = be16(data, pos) & 0x0FFF
            kind = be16(data, pos + 2)
            pos += 4
        elif kind == MPLS or kind == 0x8848:
            bottom = False
            while not bottom:
                if end - pos < 4:
                    return pos, -SHORT_LINK
                bottom = bool(data[pos + 2] & 1)
                pos += 4
            if pos >= end:
                return pos, -SHORT_LINK
            nibble = data[pos] >> 4
            if nibble == 4 or nibble == 6:
                return pos, IP
            if nibble != 0:
                return pos, -NOT_IP
            pos += 4  # a pseudo-wire's control word (RFC 4385)
            kind = ETHERNET
        elif kind == 0x8864:
            if size < 8:
                return pos, -SHORT_LINK
            if data[pos] != 0x11 or data[pos + 1]:
                return pos, -NOT_IP
            kind = ppp_kind(be16(data, pos + 6))
            pos += 8
        elif kind == PPP:
            if size >= 2 and data[pos] == 0xFF and data[pos + 1] == 3:
                pos += 2
            if end - pos < 2:
                return pos, -SHORT_LINK
            if data[pos] & 1:  # compressed to one octet (RFC 1661, 6.5)
                kind = ppp_kind(np.int64(data[pos]))
                pos += 1
            else:
                kind = ppp_kind(be16(data, pos))
                pos += 2
        else:
            return pos, -NOT_IP
