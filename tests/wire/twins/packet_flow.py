"""The twins of the capture index, the flow meter and the TCP streams: plain Python, for reading."""

import struct
from collections import defaultdict
from typing import Any


def pcap(
    data: bytes, *, big: bool, nano: bool, header: int, most: int
) -> tuple[list[tuple[int, int, int, int]], int, str]:
    """((position, octets, original, microseconds) of each record, position after them, why it ended)."""
    mark, pos = ">" if big else "<", 0
    found: list[tuple[int, int, int, int]] = []
    while True:
        rest = data[pos:]
        if not rest:
            return found, pos, "END"
        if len(rest) < header:
            return found, pos, "WAIT"
        seconds, fraction, size, original = struct.unpack(f"{mark}IIII", rest[:16])
        magic, version = rest[:4], rest[4:8]
        if magic in (
            b"\xa1\xb2\xc3\xd4",
            b"\xd4\xc3\xb2\xa1",
            b"\xa1\xb2\x3c\x4d",
            b"\x4d\x3c\xb2\xa1",
        ) and version in (b"\0\2\0\4", b"\2\0\4\0"):
            return found, pos, "OTHER"
        if size > most:
            return found, pos, "DAMAGED"
        if len(rest) < header + size:
            return found, pos, "WAIT"
        micros = seconds * 1_000_000 + (fraction // 1000 if nano else fraction)
        found.append((pos + header, size, min(original, 2**31 - 1), micros))
        pos += header + size


def snoop(data: bytes, *, most: int) -> tuple[list[tuple[int, int, int, int]], int, str]:
    """The same of snoop's records (RFC 1761)."""
    pos = 0
    found: list[tuple[int, int, int, int]] = []
    while pos < len(data):
        if len(data) - pos < 24:
            return found, pos, "WAIT"
        original, size, record, _drops, seconds, micros = struct.unpack(">6I", data[pos : pos + 24])
        if size > most or record > most + 64 or record < size + 24:
            return found, pos, "DAMAGED"
        if len(data) - pos < record:
            return found, pos, "WAIT"
        found.append((pos + 24, size, min(original, 2**31 - 1), seconds * 1_000_000 + micros))
        pos += record
    return found, pos, "END"


def microseconds(ticks: int, unit: int, offset_us: int) -> int:
    """A pcapng timestamp in exact arithmetic."""
    scale: int = 2 ** (unit & 0x7F) if unit & 0x80 else 10**unit
    return ticks * 1_000_000 // scale + offset_us


def _zero() -> Any:
    return 0


def flows(
    packets: list[dict[str, Any]], times: list[int], payloads: list[bytes], window_us: int
) -> dict[Any, Any]:
    """Key to counters, in the words of table `flow`."""
    table: dict[Any, Any] = {}
    for p, when, payload in zip(packets, times, payloads, strict=True):
        if p["ip_version"] == 0:
            continue
        gre = p["outer_protocol"] == 47
        side = "outer_" if gre else ""
        ends = tuple(p[f"{side}{name}"] for name in ("src_net", "src_host", "dst_net", "dst_host"))
        ports = (47, 0, 0) if gre else (p["protocol"], p["src_port"], p["dst_port"])
        size, ttl = p[f"{side}bytes" if gre else "ip_bytes"], p["outer_ttl" if gre else "ip_ttl"]
        f = table.setdefault(
            (*ends, *ports, when // window_us), defaultdict(_zero, sizes=[], ttls=[], times=[], payload=b"")
        )
        f["packets"] += 1
        f["bytes"] += size
        f["sizes"].append(size)
        f["ttls"].append(ttl)
        f["times"].append(when)
        f["payload_bytes"] += len(payload)
        f["payload"] = f["payload"] or payload[:32]
        if gre:
            continue
        f["fragments"] += p["fragment"]
        if p["protocol"] == 6:
            flags = p["tcp_flags"]
            syn, ack = bool(flags & 2), bool(flags & 16)
            f["fin"] += flags & 1
            f["rst"] += bool(flags & 4)
            f["push"] += bool(flags & 8)
            f["syn"] += syn and not ack
            f["synack"] += syn and ack
            f["ack"] += ack and not syn
            mirai = p["ip_version"] == 4 and p["seq"] == p["dst_host"] & 0xFFFFFFFF
            f["mirai_syn"] += syn and not ack and mirai
    return table


def stream_messages(segments: list[tuple[int, bytes]]) -> list[bytes]:
    """DNS messages of one stream's segments (sequence number after the SYN from 0, octets), holes waited out."""
    octets: dict[int, int] = {}
    for start, payload in segments:
        for index, octet in enumerate(payload):
            octets.setdefault(start + index, octet)
    whole = bytearray()
    while len(whole) in octets:
        whole.append(octets[len(whole)])
    found = []
    while len(whole) >= 2 and len(whole) >= 2 + (size := int.from_bytes(whole[:2], "big")):
        found.append(bytes(whole[2 : 2 + size]))
        del whole[: 2 + size]
    return found
