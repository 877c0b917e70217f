"""Routing tables as collectors dump them: MRT (RFC 6396) TABLE_DUMP and TABLE_DUMP_V2, also with paths (RFC 8050)."""

import struct
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import BinaryIO

from dnsonde.owners.owner import Entry, Owner

HEADER = struct.Struct(">IHHI")  # seconds since 1970, type, subtype, octets that follow (RFC 6396, 2)
TABLE_DUMP, TABLE_DUMP_V2 = 12, 13
UPDATES = (16, 17)  # BGP4MP, BGP4MP_ET: what collectors heard, not what they held
RECORD_MAX = 1 << 24
FAMILIES = {  # by type and subtype: octets of an address, whether an entry has the number of its path
    (TABLE_DUMP, 1): (4, False), (TABLE_DUMP, 2): (16, False),
    (TABLE_DUMP_V2, 2): (4, False), (TABLE_DUMP_V2, 4): (16, False),
    (TABLE_DUMP_V2, 8): (4, True), (TABLE_DUMP_V2, 10): (16, True),
}  # fmt: skip
EXTENDED = 0x10  # attribute flag: its length takes two octets (RFC 4271, 4.3)
AS_PATH = 2
AS_SEQUENCE = 2

KINDS: Mapping[int, type[IPv4Address] | type[IPv6Address]] = {4: IPv4Address, 16: IPv6Address}

Route = tuple[int, int, int, int]  # address as a number, its octets, bits of the prefix, origin


def is_mrt(head: bytes) -> bool:
    """Whether a file that begins with these octets (12 or more) is MRT, a routing table or updates."""
    if len(head) < HEADER.size:
        return False
    _, kind, subtype, size = HEADER.unpack_from(head)
    return kind in {TABLE_DUMP, TABLE_DUMP_V2, *UPDATES} and subtype < 16 and 0 < size <= RECORD_MAX


def entries(file: BinaryIO) -> Iterator[Entry]:
    """Each prefix once, with the system that originates it by the first of its paths that tells.

    Default routes, which nobody originates, and records of other kinds are passed over. ValueError where the file is
    damaged or ends within a record.
    """
    seen = set()
    for number, octets, bits, origin in _routes(file):
        if (number, octets, bits) not in seen:
            seen.add((number, octets, bits))
            kind = KINDS[octets]
            first, last = kind(number), kind(number | (1 << 8 * octets - bits) - 1)
            yield Entry(first, last, Owner(asn=origin, prefix=f"{first}/{bits}"))


def _routes(file: BinaryIO) -> Iterator[Route]:
    while head := file.read(HEADER.size):
        if len(head) < HEADER.size:
            raise ValueError("it ends within a record")
        _, kind, subtype, size = HEADER.unpack(head)
        if size > RECORD_MAX:
            raise ValueError(f"a record of {size:,} octets")
        body = file.read(size)
        if len(body) < size:
            raise ValueError("it ends within a record")
        family = FAMILIES.get((kind, subtype))
        if family is None:
            continue
        octets, numbered = family
        try:
            found = _old(body, octets) if kind == TABLE_DUMP else _new(body, octets, numbered=numbered)
        except (IndexError, struct.error):
            raise ValueError("a record that is shorter than it says") from None
        if found is not None:
            yield found


def _old(body: bytes, octets: int) -> Route | None:
    """RFC 6396, 4.2: a prefix and one path, with systems of two octets."""
    bits = body[4 + octets]
    at = 4 + octets + 6 + octets + 2
    (size,) = struct.unpack_from(">H", body, at)
    return _route(body[4 : 4 + octets], octets, bits, _origin(body, at + 2, size, 2))


def _new(body: bytes, octets: int, *, numbered: bool) -> Route | None:
    """RFC 6396, 4.3.2 (RFC 8050, 4: with the number of the path): a prefix and its paths."""
    bits = body[4]
    at = 5 + (bits + 7) // 8
    prefix = body[5:at]
    (count,) = struct.unpack_from(">H", body, at)
    at += 2
    origin = 0
    for _ in range(count):
        at += 10 if numbered else 6
        (size,) = struct.unpack_from(">H", body, at)
        origin = _origin(body, at + 2, size, 4)
        if origin:
            break
        at += 2 + size
    return _route(prefix, octets, bits, origin)


def _route(prefix: bytes, octets: int, bits: int, origin: int) -> Route | None:
    if not origin or not 0 < bits <= 8 * octets:
        return None
    number = int.from_bytes(prefix, "big") << 8 * (octets - len(prefix))
    spare = 8 * octets - bits
    return number >> spare << spare, octets, bits, origin


def _origin(body: bytes, at: int, size: int, width: int) -> int:
    """The last system of an AS_PATH (RFC 4271, 4.3), of a set at its end the first; 0 where there is none."""
    end = at + size
    while at < end:
        flags, kind = body[at], body[at + 1]
        if flags & EXTENDED:
            (length,) = struct.unpack_from(">H", body, at + 2)
            at += 4
        else:
            length = body[at + 2]
            at += 3
        if kind == AS_PATH:
            return _last(body, at, at + length, width)
        at += length
    return 0


def _last(body: bytes, at: int, end: int, width: int) -> int:
    origin = 0
    while at < end:
        kind, count = body[at], body[at + 1]
        at += 2
        if count:
            which = at + width * (count - 1) if kind == AS_SEQUENCE else at
            origin = int.from_bytes(body[which : which + width], "big")
        at += width * count
    return origin
