"""Every record that the zone can hold, laid out once, so that answering is looking up.

An answer is a `Shape`: which records, at which place of the blob, with which code. What differs from row to
row of a batch (the asker's address) and from name to name (how far the zone lies from the message's start,
for compression pointers) is reached by stride, so one table serves a whole batch without building anything.
"""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address

import numpy as np
from numpy.typing import NDArray

from dnsonde.authority.zone import Zone
from dnsonde.wire import choose
from dnsonde.wire.batch import ADDRESS, address_pair
from dnsonde.wire.choose import EGRESS, FIXED, SHAPE, Tables
from dnsonde.wire.codes import Class, Ede, Flag, Rcode, Type
from dnsonde.wire.cookie import COOKIE
from dnsonde.wire.message import RECORD_SPEC
from dnsonde.wire.name import Kind, NameStatus, parse_name

HEADER = 12  # octets before the question, where its name begins

ANSWER, AUTHORITY, ADDITIONAL = 1, 2, 3


class Shape(IntEnum):
    """What kind of answer; numbers above the last one are the fixed names' own. The first eight are `wire.choose`'s."""

    DROP = choose.DROP
    FORMERR = choose.FORMERR
    NOTIMP = choose.NOTIMP
    BADVERS = choose.BADVERS
    REFUSED = choose.REFUSED
    EMPTY = choose.EMPTY
    TRUNCATED = choose.TRUNCATED
    SIZE = choose.SIZE  # TXT of the asked size
    SAW = 8  # TXT: what we saw of the asker
    CHAIN = 9  # CNAME, one step
    NODATA = 10
    NXDOMAIN = 11
    PAIR4 = 12  # egress and control, A
    PAIR6 = 13  # egress and control, AAAA
    CONTROL4 = 14  # the asker came by IPv6
    CONTROL6 = 15
    HINFO = 16  # to ANY (RFC 8482, 4.2)
    SOA = 17
    NS = 18
    NOTICE = 19  # TXT: who measures here
    UNSUPPORTED = 20  # refused within the zone: transfers and other types that are no data


class Ask(IntEnum):
    """Query types, as far as answers differ."""

    OTHER = 0
    A = 1
    AAAA = 2
    TXT = 3
    NS = 4
    SOA = 5
    ANY = 6
    META = 7  # AXFR, IXFR, TSIG and what else is no data (RFC 6895, 3.1)


def _asks() -> NDArray[np.uint8]:
    table = np.zeros(1 << 16, np.uint8)
    table[128:256] = Ask.META
    table[0] = table[Type.OPT] = Ask.META
    for name in ("A", "AAAA", "TXT", "NS", "SOA", "ANY"):
        table[Type[name]] = Ask[name]
    return table


@dataclass(frozen=True, slots=True)
class Layout:
    """The zone, ready for batches of up to `rows`.

    tables: for `wire.choose`; blob: static octets, then `rows` addresses from `egress`, then `rows` cookies from
    `cookies`; nsid: place and octets of our identifier in it; records: RECORD_SPEC, read-only as the kernels want them;
    controls: ADDRESS, of the pairs' second records.
    """

    rows: int
    tables: Tables
    records: NDArray[np.void]
    blob: NDArray[np.uint8]
    egress: int
    cookies: int
    nsid: tuple[int, int]
    ttl_s: int
    controls: NDArray[np.void]


Spec = tuple[int, int, int, int, int, int, int, int]


class _Builder:
    """Collects octets, records and shapes."""

    def __init__(self, zone: Zone, rows: int) -> None:
        self.zone, self.rows = zone, rows
        self.octets = bytearray()
        self.places: dict[bytes, int] = {}
        self.records: list[Spec] = []
        self.shapes: list[tuple[int, ...]] = [(0,) * len(SHAPE.names or ()) for _ in Shape]

    def place(self, octets: bytes) -> int:
        if octets not in self.places:
            self.places[octets] = len(self.octets)
            self.octets += octets
        return self.places[octets]

    def record(
        self, section: int, rtype: int, rdata: bytes, name: bytes = b"", ttl: int = -1, rclass: int = 1
    ) -> Spec:
        """One record; without a name it is the question's, without a ttl the zone's."""
        start = self.place(name) if name else -1
        return (
            section,
            start,
            len(name),
            rtype,
            rclass,
            self.zone.ttl_s if ttl < 0 else ttl,
            self.place(rdata),
            len(rdata),
        )

    def shape(
        self,
        *records: Spec,
        rcode: int = 0,
        flags: int = Flag.AA,
        ede: int = -1,
        number: int = -1,
        rare: int = 0,
    ) -> int:
        """A shape of records that are always the same."""
        self.records += records
        count = len(records)
        row = (rcode, int(flags), len(self.records) - count, 0, 0, count, ede + 1, rare)
        if number < 0:
            self.shapes.append(row)
            return len(self.shapes) - 1
        self.shapes[number] = row
        return number


def pointer(offset: int) -> bytes:
    """A compression pointer (RFC 1035, 4.1.4)."""
    return (0xC000 | offset).to_bytes(2)


def lay_out(zone: Zone, rows: int, version: str) -> Layout:
    """Lay the zone out for batches of up to `rows` messages; `version` is what `version.bind` tells."""
    build = _Builder(zone, rows)
    for shape, rcode, flags, ede in (
        (Shape.FORMERR, Rcode.FORMERR, 0, -1),
        (Shape.NOTIMP, Rcode.NOTIMP, 0, Ede.NOT_SUPPORTED),
        (Shape.BADVERS, Rcode.BADVERS, 0, -1),
        (Shape.REFUSED, Rcode.REFUSED, 0, Ede.NOT_AUTHORITATIVE),
        (Shape.EMPTY, Rcode.NOERROR, 0, -1),
        (Shape.TRUNCATED, Rcode.NOERROR, Flag.TC | Flag.AA, -1),
        (Shape.UNSUPPORTED, Rcode.REFUSED, 0, Ede.NOT_SUPPORTED),
    ):
        build.shape(rcode=rcode, flags=flags, ede=ede, number=shape)
    for shape in (Shape.SAW, Shape.SIZE, Shape.CHAIN):
        build.shape(number=shape, rare=1)
    _negative(build)
    _controls(build)
    fixed, names = _fixed(build, version)
    _pairs(build)
    nsid = zone.nsid.encode()
    nsid_at = build.place(nsid)
    egress = len(build.octets)
    cookies = egress + rows * EGRESS
    blob = np.zeros(cookies + rows * COOKIE, np.uint8)
    blob[:egress] = np.frombuffer(bytes(build.octets), np.uint8)
    records = np.array(build.records, RECORD_SPEC)
    # Rows of the pairs point into the room behind the static octets, which was not known before.
    late = records["rdata_start"] < 0
    records["rdata_start"][late] = egress - 1 - records["rdata_start"][late]
    tables = Tables(
        asks=_asks(),
        keys=_keys(zone),
        shapes=np.array(build.shapes, SHAPE),
        fixed=fixed,
        wire=np.frombuffer(names, np.uint8),
        zone=len(zone.wire),
    )
    controls = np.array([address_pair(ip_address(c)) for c in (zone.control4, zone.control6) if c], ADDRESS)
    return Layout(rows, tables, records, blob, egress, cookies, (nsid_at, len(nsid)), zone.ttl_s, controls)


def _soa(build: _Builder, section: int, offset: int) -> Spec:
    zone = build.zone
    ttl = min(zone.negative_ttl_s, zone.ttl_s) if section == AUTHORITY else zone.ttl_s
    mailbox = zone.mailbox or b"\x0ahostmaster" + pointer(offset)
    times = b"".join(n.to_bytes(4) for n in (zone.serial, 3600, 600, 86400, zone.negative_ttl_s))
    rdata = b"\x03ns1" + pointer(offset) + mailbox + times
    return build.record(section, Type.SOA, rdata, pointer(offset), ttl)


def _negative(build: _Builder) -> None:
    """One SOA for each place in a message where the zone's name can begin (RFC 2308, 2 and 3)."""
    base = len(build.records)
    offsets = range(HEADER, HEADER + 256 - len(build.zone.wire))
    build.records += [_soa(build, AUTHORITY, offset) for offset in offsets]
    for number, rcode in ((Shape.NODATA, Rcode.NOERROR), (Shape.NXDOMAIN, Rcode.NXDOMAIN)):
        build.shapes[number] = (rcode, Flag.AA, base - HEADER, 0, 1, 1, 0, 0)
    build.shape(_soa(build, ANSWER, HEADER), number=Shape.SOA)
    # RFC 8482, 4.2: type HINFO, CPU "RFC8482", OS empty.
    hinfo = build.record(ANSWER, 13, b"\x07RFC8482\x00")
    build.shape(hinfo, ede=Ede.NOT_SUPPORTED, number=Shape.HINFO)


def _controls(build: _Builder) -> None:
    for number, rtype, rdata in (
        (Shape.CONTROL4, Type.A, build.zone.control4),
        (Shape.CONTROL6, Type.AAAA, build.zone.control6),
    ):
        if rdata:
            build.shape(build.record(ANSWER, rtype, rdata), number=number)


def _pairs(build: _Builder) -> None:
    """For each row of a batch: the record of its own address, and the control."""
    for number, rtype, length, control in (
        (Shape.PAIR4, Type.A, 4, build.zone.control4),
        (Shape.PAIR6, Type.AAAA, 16, build.zone.control6),
    ):
        base, count = len(build.records), 2 if control else 1
        for row in range(build.rows):
            place = -1 - (row * EGRESS + EGRESS - length)
            build.records.append((ANSWER, -1, 0, rtype, Class.IN, build.zone.ttl_s, place, length))
            if control:
                build.records.append(build.record(ANSWER, rtype, control))
        build.shapes[number] = (0, Flag.AA, base, count, 0, count, 0, 0)


def _fixed(build: _Builder, version: str) -> tuple[NDArray[np.void], bytes]:
    zone = build.zone
    servers = zone.servers
    # At the apex the question always ends at the same octet, so glue can point at the NS rdata before it.
    rdata_at = HEADER + len(zone.wire) + 4 + 12
    records, glue = [], []
    for k, (four, six) in enumerate(servers):
        name = b"\x03ns%d" % (k + 1) + pointer(HEADER)
        records.append(build.record(ANSWER, Type.NS, name))
        owner = pointer(rdata_at + 18 * k)
        glue += [
            build.record(ADDITIONAL, rtype, rdata, owner)
            for rtype, rdata in ((Type.A, four), (Type.AAAA, six))
            if rdata
        ]
    build.shape(*records, *glue, number=Shape.NS)
    notice = b"".join(bytes([len(s)]) + s for s in zone.notice)
    build.shape(build.record(ANSWER, Type.TXT, notice), number=Shape.NOTICE)

    fixed: list[tuple[bytes, int, list[int]]] = []
    for k, (four, six) in enumerate(servers):
        known = {Ask.ANY: int(Shape.HINFO)}
        if four:
            known[Ask.A] = build.shape(build.record(ANSWER, Type.A, four))
        if six:
            known[Ask.AAAA] = build.shape(build.record(ANSWER, Type.AAAA, six))
        fixed.append(_known(b"\x03ns%d" % (k + 1) + zone.wire, known))
    fixed.append(_known(b"\x07probing" + zone.wire, {Ask.TXT: Shape.NOTICE, Ask.ANY: Shape.HINFO}))
    fixed.append(_known(b"\x06whoami" + zone.wire, {Ask.TXT: Shape.SAW, Ask.ANY: Shape.HINFO}))
    told = version.encode()[:255]
    chaos = build.shape(build.record(ANSWER, Type.TXT, bytes([len(told)]) + told, ttl=0, rclass=Class.CH))
    for asked in ("version.bind", "version.server", "hostname.bind", "id.server", "authors.bind"):
        shapes = [chaos if ask in {Ask.TXT, Ask.ANY} else int(Shape.UNSUPPORTED) for ask in Ask]
        fixed.append((parse_name(asked), Class.CH, shapes))
    names = b"".join(name for name, _, _ in fixed)
    starts = np.cumsum([0, *(len(name) for name, _, _ in fixed)])
    rows = [
        (int(at), len(name), qclass, shapes)
        for at, (name, qclass, shapes) in zip(starts, fixed, strict=False)
    ]
    return np.array(rows, FIXED), names


def _known(wire: bytes, known: dict[Ask, int]) -> tuple[bytes, int, list[int]]:
    rest = {ask: int(Shape.UNSUPPORTED if ask == Ask.META else Shape.NODATA) for ask in Ask}
    return wire, Class.IN, list((rest | known).values())


def _keys(zone: Zone) -> NDArray[np.uint8]:
    """The shape for every (status, kind, Ask, IPv6); a chain whose steps are used up is asked as SWEEP."""
    keys = np.full((len(NameStatus), len(Kind), len(Ask), 2), Shape.NODATA, np.uint8)
    probe = keys[NameStatus.PROBE]
    probe[:, Ask.A] = Shape.PAIR4, Shape.CONTROL4 if zone.control4 else Shape.NODATA
    probe[:, Ask.AAAA] = Shape.CONTROL6 if zone.control6 else Shape.NODATA, Shape.PAIR6
    probe[:, Ask.TXT] = Shape.SAW
    probe[Kind.SIZE, Ask.TXT] = Shape.SIZE
    probe[Kind.CHAIN] = Shape.CHAIN
    probe[Kind.NXDOMAIN] = Shape.NXDOMAIN
    probe[[Kind.SWEEP, Kind.SIZE], Ask.ANY] = Shape.HINFO
    keys[NameStatus.APEX, :, Ask.NS] = Shape.NS
    keys[NameStatus.APEX, :, Ask.SOA] = Shape.SOA
    keys[NameStatus.APEX, :, Ask.TXT] = Shape.NOTICE
    keys[NameStatus.APEX, :, Ask.ANY] = Shape.HINFO
    keys[NameStatus.UNKNOWN] = Shape.NXDOMAIN
    keys[:, :, Ask.META] = Shape.UNSUPPORTED
    keys[NameStatus.FOREIGN] = Shape.REFUSED
    return keys.reshape(-1)
