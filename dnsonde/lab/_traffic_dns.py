"""DNS messages for a capture file (RFC 1035, EDNS of RFC 6891): questions and what answers them, on a tape."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from dnsonde.lab._traffic_tape import Tape, packed

A, NS, CNAME, SOA, NULL, PTR, MX, TXT, AAAA, SRV, DS, DNSKEY, ANY = (
    1,
    2,
    5,
    6,
    10,
    12,
    15,
    16,
    28,
    33,
    43,
    48,
    255,
)
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
IN, CHAOS = 1, 3
EDNS = 1232

Record = tuple[int, int, bytes]
"""Type, TTL, data; the owner is the asked name."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that is on the tape."""

    client: bytes
    port: int
    server: bytes
    id: int
    question: bytes
    rd: bool


@lru_cache(maxsize=4096)
def wire_name(name: str) -> bytes:
    """Wire form of a name; labels are Latin-1, so that one may hold any octet but a dot."""
    labels = [label.encode("latin-1") for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def ask(
    tape: Tape,
    at_s: float,
    client: bytes,
    server: bytes,
    name: str,
    qtype: int = A,
    *,
    qclass: int = IN,
    rd: bool = True,
    edns: int = EDNS,
    port: int | None = None,
    id_: int | None = None,
    ttl: int | None = None,
    ip_id: int | None = None,
    inbound: bool | None = None,
) -> Asked:
    """A query over UDP; `edns` 0: without OPT."""
    question = wire_name(name) + struct.pack(">HH", qtype, qclass)
    asked = Asked(
        client,
        tape.random.randrange(20_000, 65_000) if port is None else port,
        server,
        tape.random.getrandbits(16) if id_ is None else id_,
        question,
        rd,
    )
    again(tape, at_s, asked, edns=edns, ttl=ttl, ip_id=ip_id, inbound=inbound)
    return asked


def again(
    tape: Tape,
    at_s: float,
    asked: Asked,
    *,
    server: bytes | None = None,
    edns: int = EDNS,
    ttl: int | None = None,
    ip_id: int | None = None,
    inbound: bool | None = None,
) -> None:
    """The same question once more, by default to the same server."""
    body = struct.pack(">HHHHHH", asked.id, asked.rd << 8, 1, 0, 0, int(edns > 0)) + asked.question
    if edns:
        body += b"\0" + struct.pack(">HHIH", 41, edns, 0, 0)
    to = asked.server if server is None else server
    tape.udp(at_s, asked.client, asked.port, to, 53, body, ttl=ttl, ip_id=ip_id, inbound=inbound)


def answer(
    tape: Tape,
    at_s: float,
    asked: Asked,
    records: Sequence[Record] = (),
    *,
    rcode: int = NOERROR,
    aa: bool = False,
    ra: bool = True,
    referral: bool = False,
    edns: int = EDNS,
    ttl: int | None = None,
    server: bytes | None = None,
    inbound: bool | None = None,
) -> None:
    """A response over UDP; `server`: another address than the one that was asked."""
    flags = 0x8000 | aa << 10 | asked.rd << 8 | ra << 7 | rcode
    denied = rcode == NXDOMAIN or (rcode == NOERROR and not records and not referral)
    head = struct.pack(">HHHHHH", asked.id, flags, 1, len(records), int(denied) + 2 * referral, int(edns > 0))
    body = head + asked.question + b"".join(_record(b"\xc0\x0c", *record) for record in records)
    if denied:
        body += _record(b"\xc0\x0c", SOA, 900, wire_name("ns.example") + b"\0" + bytes(20))
    if referral:
        body += b"".join(_record(b"\xc0\x0c", NS, 3600, wire_name(f"ns{n}.example")) for n in (1, 2))
    if edns:
        body += b"\0" + struct.pack(">HHIH", 41, edns, 0, 0)
    source = asked.server if server is None else server
    tape.udp(at_s, source, 53, asked.client, asked.port, body, ttl=ttl, inbound=inbound)


def lookup(
    tape: Tape,
    at_s: float,
    client: bytes,
    server: bytes,
    name: str,
    qtype: int = A,
    records: Sequence[Record] = (),
    *,
    after_s: float = 0.012,
    rcode: int = NOERROR,
    aa: bool = False,
    ra: bool = True,
    rd: bool = True,
    referral: bool = False,
) -> Asked:
    """A question and its answer."""
    asked = ask(tape, at_s, client, server, name, qtype, rd=rd)
    answer(tape, at_s + after_s, asked, records, rcode=rcode, aa=aa, ra=ra, referral=referral)
    return asked


def a(address: str | bytes, ttl: int = 300) -> Record:
    """An A or AAAA record."""
    data = packed(address) if isinstance(address, str) else address
    return A if len(data) == 4 else AAAA, ttl, data


def txt(data: bytes, ttl: int = 60) -> Record:
    """A TXT record, in strings of up to 255 octets (RFC 1035, 3.3.14)."""
    pieces = [data[first : first + 255] for first in range(0, max(1, len(data)), 255)]
    return TXT, ttl, b"".join(bytes([len(piece)]) + piece for piece in pieces)


def mx(name: str, ttl: int = 300) -> Record:
    """An MX record of preference 10."""
    return MX, ttl, b"\0\x0a" + wire_name(name)


def _record(owner: bytes, kind: int, ttl: int, data: bytes) -> bytes:
    return owner + struct.pack(">HHIH", kind, IN, ttl, len(data)) + data
