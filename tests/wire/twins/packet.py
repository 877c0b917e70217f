"""The packet kernel's twin: the same decisions, written for reading, one packet at a time, on bytes."""

from dataclasses import dataclass, field
from typing import Any

from dnsonde.wire.codes import PacketStatus as S

TAGS = (0x8100, 0x88A8, 0x9100, 0x9200)
PPP_PROTOCOLS = {0x21: "v4", 0x57: "v6", 0x281: "mpls"}
ETHERTYPES = {0x0800: "v4", 0x86DD: "v6", 0x8847: "mpls", 0x8848: "mpls", 0x8864: "pppoe", 0x6558: "ethernet"}


class GiveUp(Exception):  # noqa: N818 - control flow of the twin
    def __init__(self, status: S) -> None:
        self.status = status


@dataclass
class Row:
    src_mac: int = -1
    dst_mac: int = -1
    vlan: int = -1
    depth: int = 0
    status: int = 0
    inner_status: int = 0
    outer: dict[str, int] | None = None
    ip: dict[str, int] = field(default_factory=dict)


def number(octets: bytes) -> int:
    return int.from_bytes(octets, "big")


def signed(octets: bytes) -> int:
    return int.from_bytes(octets, "big", signed=True)


def need(view: bytes, size: int, status: S) -> None:
    if len(view) < size:
        raise GiveUp(status)


def kind_of(ethertype: int) -> str:
    if ethertype in TAGS:
        return "tag"
    if ethertype < 0x600:
        return "llc"
    if ethertype not in ETHERTYPES:
        raise GiveUp(S.NOT_IP)
    return ETHERTYPES[ethertype]


def wireless(view: bytes, row: Row, *, padded: bool) -> tuple[bytes, str]:
    need(view, 24, S.SHORT_LINK)
    first, flags = view[0], view[1]
    if first & 0x0C != 0x08 or first & 0x40:
        raise GiveUp(S.NOT_IP)
    if flags & 0x40:
        raise GiveUp(S.ENCRYPTED)
    to_ds, from_ds = bool(flags & 1), bool(flags & 2)
    size = 30 if to_ds and from_ds else 24
    qos = size
    if first & 0x80:
        size += 2 + (4 if flags & 0x80 else 0)
    if padded:
        size += -size % 4
    need(view, size, S.SHORT_LINK)
    if first & 0x80 and view[qos] & 0x80:
        raise GiveUp(S.NOT_IP)
    one, two, three, four = (number(view[at : at + 6]) for at in (4, 10, 16, 24))
    row.dst_mac = three if to_ds else one
    row.src_mac = {(0, 0): two, (1, 0): two, (0, 1): three, (1, 1): four}[int(to_ds), int(from_ds)]
    return view[size:], "llc"


def radiotap(view: bytes, row: Row) -> tuple[bytes, str]:
    need(view, 8, S.SHORT_LINK)
    length = int.from_bytes(view[2:4], "little")
    if length < 8 or length > len(view):
        raise GiveUp(S.SHORT_LINK)
    head, words = view[:length], 1
    while head[4 * words + 3] & 0x80:
        words += 1
        if 4 + 4 * words > length:
            raise GiveUp(S.SHORT_LINK)
    at = 4 + 4 * words
    if head[4] & 1:
        at += -at % 8 + 8
    padded = bool(head[4] & 2 and at < length and head[at] & 0x20)
    return wireless(view[length:], row, padded=padded)


def nflog(view: bytes) -> tuple[bytes, str]:
    need(view, 4, S.SHORT_LINK)
    family, rest = view[0], view[4:]
    while len(rest) >= 4:
        size, kind = int.from_bytes(rest[:2], "little"), int.from_bytes(rest[2:4], "little")
        if size < 4 or size > len(rest):
            raise GiveUp(S.SHORT_LINK)
        if kind == 9:
            if family not in (2, 10):
                raise GiveUp(S.NOT_IP)
            return rest[4:size], "ip"
        rest = rest[size + -size % 4 :]
    raise GiveUp(S.NOT_IP)


def link_layer(view: bytes, link: int, row: Row) -> tuple[bytes, str]:
    if link in (149, 192, 258):
        need(view, 12, S.SHORT_LINK)
        if link == 149 and view[4:6] != b"\x01\0":
            raise GiveUp(S.UNKNOWN_LINK)
        size, inner = (view[2:4], view[4:8]) if link == 192 else (view[:4], view[8:12])
        stated, link = int.from_bytes(size, "little"), int.from_bytes(inner, "little")
        if not 8 <= stated <= len(view):
            raise GiveUp(S.SHORT_LINK)
        view = view[stated:]
    if link == 1:
        return view, "ethernet"
    if link == 10:
        need(view, 13, S.SHORT_LINK)
        row.dst_mac, row.src_mac = number(view[1:7]), number(view[7:13])
        if view[0] & 0xF0 != 0x50:
            raise GiveUp(S.NOT_IP)
        return view[13:], "llc"
    if link in (12, 14, 101, 228, 229):
        return view, "ip"
    if link == 113:
        need(view, 16, S.SHORT_LINK)
        if number(view[4:6]) == 6:
            row.src_mac = number(view[6:12])
        return view[16:], kind_of(number(view[14:16]))
    if link == 276:
        need(view, 20, S.SHORT_LINK)
        if view[11] == 6:
            row.src_mac = number(view[12:18])
        return view[20:], kind_of(number(view[:2]))
    if link in (0, 108):
        need(view, 4, S.SHORT_LINK)
        family = number(view[:4])
        if family > 0xFFFF:
            family = int.from_bytes(view[:2], "little")
        if family not in (2, 10, 24, 28, 30):
            raise GiveUp(S.NOT_IP)
        return view[4:], "ip"
    if link in (9, 50):
        return view, "ppp"
    if link == 51:
        return view, "pppoe"
    if link == 104:
        need(view, 4, S.SHORT_LINK)
        return (view, "ppp") if view[0] == 0xFF else (view[4:], kind_of(number(view[2:4])))
    if link == 105:
        return wireless(view, row, padded=False)
    if link == 127:
        return radiotap(view, row)
    if link == 107:
        need(view, 4, S.SHORT_LINK)
        if not view[1] & 1 or view[2] != 3 or view[3] not in (0xCC, 0x8E):
            raise GiveUp(S.NOT_IP)
        return view[4:], "ip"
    if link == 239:
        return nflog(view)
    raise GiveUp(S.UNKNOWN_LINK)


def to_network(view: bytes, kind: str, row: Row) -> tuple[bytes, str]:
    while kind not in ("v4", "v6", "ip"):
        if kind == "ethernet":
            need(view, 14, S.SHORT_LINK)
            if row.depth == 0:
                row.dst_mac, row.src_mac = number(view[:6]), number(view[6:12])
            view, kind = view[14:], kind_of(number(view[12:14]))
        elif kind == "llc":
            need(view, 3, S.SHORT_LINK)
            if view[:3] == b"\x06\x06\x03":
                return view[3:], "ip"
            if view[:3] != b"\xaa\xaa\x03":
                raise GiveUp(S.NOT_IP)
            need(view, 8, S.SHORT_LINK)
            if view[3:6] != bytes(3) or number(view[6:8]) < 0x600:
                raise GiveUp(S.NOT_IP)
            view, kind = view[8:], kind_of(number(view[6:8]))
        elif kind == "tag":
            need(view, 4, S.SHORT_LINK)
            if row.depth == 0 and row.vlan < 0:
                row.vlan = number(view[:2]) & 0xFFF
            view, kind = view[4:], kind_of(number(view[2:4]))
        elif kind == "mpls":
            bottom = 0
            while not bottom:
                need(view, 4, S.SHORT_LINK)
                bottom, view = view[2] & 1, view[4:]
            need(view, 1, S.SHORT_LINK)
            if view[0] >> 4 in (4, 6):
                return view, "ip"
            if view[0] >> 4:
                raise GiveUp(S.NOT_IP)
            view, kind = view[4:], "ethernet"
        elif kind == "pppoe":
            need(view, 8, S.SHORT_LINK)
            if view[:2] != b"\x11\x00":
                raise GiveUp(S.NOT_IP)
            view, protocol = view[8:], number(view[6:8])
            if protocol not in PPP_PROTOCOLS:
                raise GiveUp(S.NOT_IP)
            kind = PPP_PROTOCOLS[protocol]
        else:
            view = view.removeprefix(b"\xff\x03")
            need(view, 2, S.SHORT_LINK)
            size = 1 if view[0] & 1 else 2
            view, protocol = view[size:], number(view[:size])
            if protocol not in PPP_PROTOCOLS:
                raise GiveUp(S.NOT_IP)
            kind = PPP_PROTOCOLS[protocol]
    return view, kind


def network(view: bytes, kind: str, row: Row) -> tuple[bytes, dict[str, int]]:
    ip = row.ip = {}
    need(view, 1, S.SHORT_IP)
    version = view[0] >> 4
    if version not in {"v4": (4,), "v6": (6,), "ip": (4, 6)}[kind]:
        raise GiveUp(S.BAD_VERSION)
    size = len(view)
    if version == 4:
        need(view, 20, S.SHORT_IP)
        header = (view[0] & 15) * 4
        if header < 20 or header > size:
            raise GiveUp(S.SHORT_IP)
        total = number(view[2:4]) or size
        mapped = 0xFFFF << 32
        ip.update(
            ip_version=4, ip_bytes=total, ip_id=number(view[4:6]), ip_ttl=view[8], protocol=view[9],
            src_net=0, src_host=mapped | number(view[12:16]),
            dst_net=0, dst_host=mapped | number(view[16:20]),
        )  # fmt: skip
        if total < header:
            raise GiveUp(S.BAD_LENGTH)
        word = number(view[6:8])
        ip.update(fragment_offset=(word & 0x1FFF) * 8, more=word >> 13 & 1)
    else:
        need(view, 40, S.SHORT_IP)
        header, total = 40, number(view[4:6]) + 40
        if total == 40:
            total = size
        ip.update(
            ip_version=6, ip_bytes=total, ip_id=-1, ip_ttl=view[7], protocol=view[6],
            src_net=signed(view[8:16]), src_host=signed(view[16:24]),
            dst_net=signed(view[24:32]), dst_host=signed(view[32:40]),
            fragment_offset=0, more=0,
        )  # fmt: skip
    ip["short"] = int(total > size)
    body = view[header:total]
    if version == 6:
        body = extensions(body, ip)
    ip["fragment"] = int(ip["fragment_offset"] > 0 or ip["more"])
    ip["payload_length"] = ip["body_length"] = len(body)
    if ip["fragment"] and (
        ip["fragment_offset"] + len(body) > 65535 or (ip["more"] and len(body) % 8 and not ip["short"])
    ):
        raise GiveUp(S.BAD_FRAGMENT)
    return body, ip


def extensions(body: bytes, ip: dict[str, int]) -> bytes:
    while ip["protocol"] in (0, 43, 44, 51, 60, 135, 139, 140):
        here = ip["protocol"]
        need(body, 8, S.BAD_EXTENSION)
        size = {44: 8, 51: (body[1] + 2) * 4}.get(here, (body[1] + 1) * 8)
        need(body, size, S.BAD_EXTENSION)
        ip["protocol"] = body[0]
        if here == 44:
            word = number(body[2:4])
            ip.update(ip_id=number(body[4:8]), fragment_offset=word & 0xFFF8, more=word & 1)
            if ip["fragment_offset"] or ip["more"]:
                return body[8:]
        body = body[size:]
    return body


def options_hash(options: bytes) -> int:
    """FNV-1a as signed 64 bits, octet by octet, timestamps' values left out."""
    if not options:
        return 0
    kept, at = b"", 0
    while at < len(options):
        kind = options[at]
        if kind == 0:
            kept += options[at : at + 1]
            break
        size = 1 if kind == 1 or at + 1 == len(options) else max(2, options[at + 1])
        kept += options[at : at + (min(size, 2) if kind == 8 else size)]
        at += size
    state = 0xCBF29CE484222325
    for octet in kept:
        state = (state ^ octet) * 0x100000001B3 % 2**64
    return (state - 2**64 if state >> 63 else state) or 1


def transport(body: bytes, ip: dict[str, int]) -> bytes:
    if ip["fragment_offset"] > 0:
        return body
    protocol, size = ip["protocol"], len(body)
    if protocol == 17:
        need(body, 8, S.SHORT_TRANSPORT)
        ip.update(src_port=number(body[:2]), dst_port=number(body[2:4]))
        stated = number(body[4:6])
        if stated == 0 and size > 8:
            stated = size
        if stated < 8:
            raise GiveUp(S.BAD_TRANSPORT)
        if stated > size and not ip["fragment"]:
            ip["short"] = 1
        payload = body[8:stated]
    elif protocol == 6:
        if 8 <= size < 20 and ip["more"] and not ip["short"]:
            ip.update(src_port=number(body[:2]), dst_port=number(body[2:4]), seq=number(body[4:8]))
            ip["payload_length"] = 0
            return b""
        need(body, 20, S.SHORT_TRANSPORT)
        ip.update(
            src_port=number(body[:2]), dst_port=number(body[2:4]), seq=number(body[4:8]),
            ack=number(body[8:12]), tcp_flags=body[13], window=number(body[14:16]),
        )  # fmt: skip
        header = (body[12] >> 4) * 4
        if header < 20:
            raise GiveUp(S.BAD_TRANSPORT)
        need(body, header, S.SHORT_TRANSPORT if ip["short"] else S.BAD_TRANSPORT)
        if body[13] & 2:
            ip["options"] = options_hash(body[20:header])
        payload = body[header:]
    elif protocol in (1, 58):
        need(body, 4, S.SHORT_TRANSPORT)
        ip.update(src_port=body[0], dst_port=body[1])
        payload = body[8:]
    elif protocol in (132, 33, 136):
        header = 8 if protocol == 136 else 12
        need(body, header, S.SHORT_TRANSPORT)
        ip.update(src_port=number(body[:2]), dst_port=number(body[2:4]))
        payload = body[header:]
    else:
        return body
    ip["payload_length"] = len(payload)
    return payload


def gre(body: bytes) -> tuple[bytes, str] | None:
    if len(body) < 4:
        return None
    flags, protocol = number(body[:2]), number(body[2:4])
    if flags & 7 == 1:
        rest = body[8 + (4 if flags & 0x1000 else 0) + (4 if flags & 0x80 else 0) :]
        return (rest, "ppp") if protocol == 0x880B and rest else None
    if flags & 7 or flags & 0x4000:
        return None
    rest = body[4 + 4 * sum(bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000)) :]
    if protocol == 0x88BE:
        rest, kind = rest[8 if flags & 0x1000 else 0 :], "ethernet"
    elif protocol == 0x22EB:
        if len(rest) < 12:
            return None
        rest, kind = rest[20 if rest[11] & 1 else 12 :], "ethernet"
    else:
        kind = f"type {protocol}"
    return (rest, kind) if rest else None


def gtp(payload: bytes) -> tuple[bytes, str] | None:
    if len(payload) < 9 or payload[0] & 0xF0 != 0x30 or payload[1] != 255:
        return None
    flags, rest = payload[0], payload[8:]
    if flags & 7:
        if len(rest) < 4:
            return None
        following = rest[3] if flags & 4 else 0
        rest = rest[4:]
        while following:
            if not rest or not rest[0] or rest[0] * 4 >= len(rest):
                return None
            size = rest[0] * 4
            following, rest = rest[size - 1], rest[size:]
    return (rest, "ip") if rest and rest[0] >> 4 in (4, 6) else None


def tunnel(body: bytes, payload: bytes, ip: dict[str, int]) -> tuple[bytes, str] | None:
    protocol = ip["protocol"]
    if ip["fragment"]:
        return None
    if protocol in (4, 41, 137):
        return body, {4: "v4", 41: "v6", 137: "mpls"}[protocol]
    if protocol == 47:
        return gre(body)
    if protocol == 97:
        return (body[2:], "ethernet") if len(body) >= 2 and body[0] == 0x30 else None
    if protocol != 17:
        return None
    if ip["dst_port"] in (4789, 4790, 8472):
        if len(payload) < 8 or payload[0] & ~0x84 != 8:
            return None
        inside = {1: "v4", 2: "v6", 3: "ethernet"}.get(payload[3] if payload[0] & 4 else 3)
        return (payload[8:], inside) if inside else None
    if ip["dst_port"] == 6081:
        if len(payload) < 8 or payload[0] >> 6:
            return None
        return payload[8 + (payload[0] & 63) * 4 :], f"type {number(payload[2:4])}"
    if 2152 in (ip["src_port"], ip["dst_port"]):
        return gtp(payload)
    if ip["dst_port"] == 4754:
        return gre(payload)
    if 3544 in (ip["src_port"], ip["dst_port"]):
        if len(payload) >= 4 and payload[:2] == b"\0\x01":
            payload = payload[13 + payload[2] + payload[3] :]
        if len(payload) >= 8 and payload[:2] == b"\0\0":
            payload = payload[8:]
        if len(payload) >= 40 and payload[0] >> 4 == 6:
            return payload, "v6"
    return None


def decode_packet(packet: bytes, link: int, deepest: int = 4) -> dict[str, Any]:
    """One packet's row, by column name; only the columns that mean something."""
    row = Row()
    spare: dict[str, int] = {}
    try:
        view, kind = link_layer(packet, link, row)
        while True:
            view, kind = to_network(view, kind, row)
            body, ip = network(view, kind, row)
            payload = transport(body, ip)
            inside = tunnel(body, payload, ip)
            if inside is None or row.depth >= deepest:
                break
            spare = ip
            row.depth += 1
            mirrored = ip["protocol"] == 47 and inside[1] == "ethernet"
            if row.depth == 1 and not mirrored:
                names = ("src_net", "src_host", "dst_net", "dst_host")
                row.outer = {"outer_protocol": ip["protocol"], "outer_ttl": ip["ip_ttl"]}
                row.outer |= {f"outer_{name}": ip[name] for name in names}
                row.outer |= {"outer_id": ip["ip_id"], "outer_bytes": ip["ip_bytes"]}
                row.outer |= {"outer_length": ip["payload_length"]}
            view, kind = inside
            if kind.startswith("type "):
                kind = kind_of(int(kind[5:]))
    except GiveUp as end:
        if row.depth > 0:
            row.depth -= 1
            row.inner_status = end.status
            row.ip = spare
            if row.depth == 0:
                row.outer = None
        else:
            row.status = end.status
    result: dict[str, Any] = {
        name: getattr(row, name) for name in ("src_mac", "dst_mac", "vlan", "depth", "status", "inner_status")
    }
    return result | (row.outer or {"outer_protocol": 0}) | row.ip
