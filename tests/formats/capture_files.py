"""Small captures, built octet by octet, for the tests of this folder."""

import struct

A, B = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
START = 1_700_000_000


def dns(name: str = "www.example.com", *, id_: int = 1, response: bool = False, pad: int = 0) -> bytes:
    qname = b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0"
    flags = b"\x81\x80" if response else b"\x01\x00"
    answers = 1 if response else 0
    body = struct.pack(">H2sHHHH", id_, flags, 1, answers, 0, 0) + qname + b"\0\x01\0\x01"
    if response and pad:
        return (
            body + b"\xc0\x0c\0\x10\0\x01\0\0\0\x3c" + struct.pack(">H", pad + 1) + bytes([pad]) + b"x" * pad
        )
    return body + (b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x63" if response else b"")


def udp(payload: bytes, sport: int = 40000, dport: int = 53) -> bytes:
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload


def tcp(payload: bytes, *, seq: int, flags: int = 0x18, sport: int = 40001, dport: int = 53) -> bytes:
    return struct.pack(">HHIIBBHHH", sport, dport, seq, 0, 0x50, flags, 1024, 0, 0) + payload


def ip4(
    body: bytes, protocol: int = 17, *, field: int = 0, id_: int = 99, src: bytes = A, dst: bytes = B
) -> bytes:
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), id_, field, 61, protocol, 0) + src + dst + body


def ether(body: bytes, kind: int = 0x0800) -> bytes:
    return bytes.fromhex("020000000002") + bytes.fromhex("020000000001") + struct.pack(">H", kind) + body


def fragments(body: bytes, size: int, *, id_: int = 7) -> list[bytes]:
    """An IPv4 UDP datagram in pieces of `size` octets."""
    starts = range(0, len(body), size)
    return [
        ip4(body[at : at + size], id_=id_, field=at // 8 | (0x2000 if at + size < len(body) else 0))
        for at in starts
    ]


def pcap(
    packets: list[bytes], *, order: str = "<", nano: bool = False, linktype: int = 101, step_us: int = 1000
) -> bytes:
    head = struct.pack(f"{order}IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 65535, linktype)
    records = []
    for number, packet in enumerate(packets):
        seconds, micros = divmod(number * step_us, 1_000_000)
        fraction = micros * 1000 + 7 if nano else micros
        records.append(
            struct.pack(f"{order}IIII", START + seconds, fraction, len(packet), len(packet)) + packet
        )
    return head + b"".join(records)


def snoop(packets: list[bytes], *, datalink: int = 4, step_us: int = 1000) -> bytes:
    records = []
    for number, packet in enumerate(packets):
        seconds, micros = divmod(number * step_us, 1_000_000)
        padded = packet + bytes(-len(packet) % 4)
        head = struct.pack(">6I", len(packet), len(packet), 24 + len(padded), 0, START + seconds, micros)
        records.append(head + padded)
    return b"snoop\0\0\0" + struct.pack(">II", 2, datalink) + b"".join(records)


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + size + body + size


def section(order: str = "<") -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(
    order: str = "<", linktype: int = 101, *, unit: int | None = None, offset: int | None = None
) -> bytes:
    options = b""
    if unit is not None:
        options += struct.pack(f"{order}HHBxxx", 9, 1, unit)
    if offset is not None:
        options += struct.pack(f"{order}HHq", 14, 8, offset)
    if options:
        options += bytes(4)
    return block(order, 1, struct.pack(f"{order}HHI", linktype, 0, 0) + options)


def enhanced(packet: bytes, ticks: int, *, order: str = "<", which: int = 0) -> bytes:
    head = struct.pack(f"{order}IIIII", which, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet))
    return block(order, 6, head + packet)


def simple(packet: bytes, order: str = "<") -> bytes:
    return block(order, 3, struct.pack(f"{order}I", len(packet)) + packet)


def old(packet: bytes, ticks: int, order: str = "<") -> bytes:
    head = struct.pack(f"{order}HHIIII", 0, 0, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet))
    return block(order, 2, head + packet)
