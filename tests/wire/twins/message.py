"""The twin of `_kernels/message_decode.py` and its helpers: one message at a time, read like the RFCs are written."""

from ipaddress import IPv6Address
from typing import Any

OK, SHORT_HEADER, TRUNCATED, BAD_LABEL, BAD_POINTER, NAME_TOO_LONG, BAD_RDATA, BAD_EDNS, TRAILING = range(9)
A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, DNAME, OPT = 1, 2, 5, 6, 12, 15, 16, 28, 39, 41
IN = 1
WORD = (1 << 64) - 1
MAPPED = 0xFFFF << 32

Name = tuple[bytes, ...]
Row = dict[str, Any]


class FaultError(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


def number(octets: bytes) -> int:
    return int.from_bytes(octets, "big")


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def read_name(message: bytes, at: int) -> tuple[Name, int]:
    """The labels of a name, and where the record goes on behind it."""
    labels: list[bytes] = []
    behind: int | None = None
    part = at
    jumps = 0
    while True:
        if at >= len(message):
            raise FaultError(TRUNCATED)
        size = message[at]
        if size == 0:
            return tuple(labels), at + 1 if behind is None else behind
        if size >> 6 == 0:
            if sum(len(label) + 1 for label in labels) + 1 + size + 1 > 255:
                raise FaultError(NAME_TOO_LONG)
            labels.append(message[at + 1 : at + 1 + size])
            at += 1 + size
        elif size >> 6 == 3:
            if at + 2 > len(message):
                raise FaultError(TRUNCATED)
            if behind is None:
                behind = at + 2
            at = number(message[at : at + 2]) & 0x3FFF
            jumps += 1
            if not 12 <= at < part or jumps > 127:
                raise FaultError(BAD_POINTER)
            part = at
        else:
            raise FaultError(BAD_LABEL)


def octets_of(name: Name) -> int:
    return sum(len(label) + 1 for label in name) + 1


def lower(name: Name) -> Name:
    return tuple(label.lower() for label in name)


def wire(name: Name) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in name) + b"\0"


def rdata_names(message: bytes, kind: int, at: int, stop: int) -> list[bytes]:
    """The rdata of a type with names in it as pieces: names as lower-case wire, the rest as it is."""
    pieces = []
    if kind == MX:
        pieces.append(message[at : at + 2])
        at += 2
    tail = stop - 20 if kind == SOA else stop
    for _ in range(2 if kind == SOA else 1):
        if at >= tail:
            raise FaultError(BAD_RDATA)
        name, at = read_name(message, at)
        pieces.append(wire(lower(name)))
    if at != tail:
        raise FaultError(BAD_RDATA)
    if kind == SOA:
        pieces.append(message[tail:stop])
    return pieces


def check_rdata(message: bytes, kind: int, at: int, stop: int) -> None:
    if (kind == A and stop - at != 4) or (kind == AAAA and stop - at != 16):
        raise FaultError(BAD_RDATA)
    if kind == TXT:
        if at == stop:
            raise FaultError(BAD_RDATA)
        while at < stop:
            at += 1 + message[at]
        if at != stop:
            raise FaultError(BAD_RDATA)
    if kind in {NS, CNAME, SOA, PTR, MX, DNAME}:
        rdata_names(message, kind, at, stop)


def read_options(message: bytes, at: int, stop: int, row: Row) -> None:
    while at < stop:
        if at + 4 > stop:
            raise FaultError(BAD_EDNS)
        code, size = number(message[at : at + 2]), number(message[at + 2 : at + 4])
        at += 4
        if at + size > stop:
            raise FaultError(BAD_EDNS)
        data = message[at : at + size]
        if code == 10 and row["cookie_length"] == 0:
            row["cookie_start"], row["cookie_length"] = at, min(size, 255)
        if code == 3 and row["nsid_length"] == 0:
            row["nsid_start"], row["nsid_length"] = at, size
        if code == 15 and row["ede"] == -1 and size >= 2:
            row["ede"] = number(data[:2])
        if code == 8 and row["ecs_family"] == 0 and size >= 4:
            read_subnet(data, row)
        at += size


def read_subnet(data: bytes, row: Row) -> None:
    family, source, scope, address = number(data[:2]), data[2], data[3], data[4:]
    width = {1: 32, 2: 128}.get(family)
    if width is None or source > width or len(address) != -(-source // 8):
        return
    value = number(address.ljust(width // 8, b"\0")) >> (width - source) << (width - source)
    row["ecs_family"], row["ecs_source"], row["ecs_scope"] = family, source, scope
    if family == 1:
        row["ecs"] = (0, MAPPED | value)
    else:
        row["ecs"] = (signed(value >> 64), signed(value & WORD))


PRIME = 0x9E3779B97F4A7C15


def fold(h: int) -> int:
    return h ^ h >> 33


def record_hash(kind: int, pieces: list[tuple[bytes, bool]]) -> int:
    """As `record_hash` of the kernel: names octet by octet, all else in little-endian words."""
    h = fold((kind + 1) * PRIME & WORD)
    for piece, is_name in pieces:
        if is_name:
            for octet in piece:
                h = (h ^ octet) * PRIME & WORD
            h = fold(h)
        else:
            for k in range(0, len(piece), 8):
                h = fold((h ^ int.from_bytes(piece[k : k + 8], "little")) * PRIME & WORD)
    h = fold(h)
    h = fold(h * 0xFF51AFD7ED558CCD & WORD)
    return fold(h * 0xC4CEB9FE1A85EC53 & WORD)


def follow(message: bytes, row: Row, asked: Name, answers: list[tuple[Name, int, int, int, int]]) -> None:
    """What the answers say about the asked name; an answer is (owner, type, class, rdata start, rdata stop)."""
    seen = [lower(asked)]
    found: list[tuple[int, int]] = []
    while True:
        target = seen[-1]
        cnames: list[Name] = []
        dnames: list[Name] = []
        for owner, kind, group, at, stop in answers:
            if group != row["qclass"]:
                continue
            if lower(owner) == target:
                if kind == A and group == IN:
                    found.append((0, MAPPED | number(message[at:stop])))
                if kind == AAAA and group == IN:
                    found.append(
                        (signed(number(message[at : at + 8])), signed(number(message[at + 8 : stop])))
                    )
                if kind == TXT and stop > at and row["txt_length"] == 0:
                    row["txt_start"], row["txt_length"] = at, stop - at
                if kind == CNAME and group == IN:
                    cnames.append(lower(read_name(message, at)[0]))
            elif kind == DNAME and group == IN and target[len(target) - len(owner) :] == lower(owner):
                dnames.append(target[: len(target) - len(owner)] + lower(read_name(message, at)[0]))
        row["cname_count"] += bool(cnames)
        steps = cnames or dnames
        if not steps or len(seen) == 16 or octets_of(steps[0]) > 255 or steps[0] in seen:
            break
        seen.append(steps[0])
    row["address_count"] = len(found)
    for k, (net, host) in enumerate(found[:4]):
        row["address_net"][k], row["address_host"][k] = net, host


def decode(message: bytes, records: list[tuple[Any, ...]] | None = None) -> Row:
    """One MESSAGE row; its records, as RECORD rows without the message's number, are appended to `records`."""
    zero = "id flags opcode rcode qdcount ancount nscount arcount qname_length qname_labels mixed_case qtype qclass"
    zero += " edns_size edns_flags ecs_family ecs_source ecs_scope cookie_start cookie_length nsid_start nsid_length"
    zero += " address_count cname_count txt_start txt_length authority_ns answer_hash"
    row: Row = dict.fromkeys(zero.split(), 0)
    row |= {"question_end": 12, "edns_version": -1, "ede": -1, "ttl_min": -1, "ecs": (0, 0)}
    row |= {"address_net": [0] * 4, "address_host": [0] * 4, "status": OK}
    try:
        read_message(message, row, [] if records is None else records)
    except FaultError as fault:
        row["status"] = fault.status
    return row


def read_message(message: bytes, row: Row, records: list[tuple[Any, ...]]) -> None:
    if len(message) < 12:
        raise FaultError(SHORT_HEADER)
    fields = ["id", "flags", "qdcount", "ancount", "nscount", "arcount"]
    row |= {field: number(message[2 * k : 2 * k + 2]) for k, field in enumerate(fields)}
    row["opcode"] = row["flags"] >> 11 & 15
    row["rcode"] = row["flags"] & 15
    at = 12
    asked: Name = ()
    for question in range(row["qdcount"]):
        name, at = read_name(message, at)
        if at + 4 > len(message):
            raise FaultError(TRUNCATED)
        if question == 0:
            asked = name
            text = b"".join(name)
            row["mixed_case"] = text != text.lower() and text != text.upper()
            row["qname_length"], row["qname_labels"] = octets_of(name), len(name)
            row["qtype"], row["qclass"] = number(message[at : at + 2]), number(message[at + 2 : at + 4])
            row["question_end"] = at + 4
        at += 4
    answers = []
    ttls = []
    digest = 0
    sections = [1] * row["ancount"] + [2] * row["nscount"] + [3] * row["arcount"]
    for section in sections:
        start = at
        owner, at = read_name(message, start)
        if at + 10 > len(message):
            raise FaultError(TRUNCATED)
        kind, group = number(message[at : at + 2]), number(message[at + 2 : at + 4])
        ttl, size = number(message[at + 4 : at + 8]), number(message[at + 8 : at + 10])
        at += 10
        stop = at + size
        if stop > len(message):
            raise FaultError(TRUNCATED)
        address = (0, 0)
        if kind == A and size == 4:
            address = (0, MAPPED | number(message[at:stop]))
        if kind == AAAA and size == 16:
            value = int(IPv6Address(message[at:stop]))
            address = (signed(value >> 64), signed(value & WORD))
        records.append((section, start, kind, group, ttl, at, size, address))
        if kind == OPT:
            read_opt(message, row, (section, owner, group, ttl), at, stop)
            at = stop
            continue
        if group == IN:
            check_rdata(message, kind, at, stop)
        if section == 1:
            answers.append((owner, kind, group, at, stop))
            ttls.append(ttl if ttl < 1 << 31 else 0)
            if group == IN and kind in {NS, CNAME, SOA, PTR, MX, DNAME}:
                names = rdata_names(message, kind, at, stop)
                pieces = [(piece, not (kind == MX and k == 0) and k != 2) for k, piece in enumerate(names)]
            else:
                pieces = [(message[at:stop], False)]
            digest = digest + record_hash(kind, pieces) & WORD
        elif section == 2 and kind == NS and row["qdcount"] and group == row["qclass"]:
            row["authority_ns"] += lower(asked)[len(asked) - len(owner) :] == lower(owner)
        at = stop
    if ttls:
        row["ttl_min"] = min(ttls)
        row["answer_hash"] = signed(digest) or 1
    if row["qdcount"]:
        follow(message, row, asked, answers)
    if at != len(message):
        raise FaultError(TRAILING)


def read_opt(message: bytes, row: Row, head: tuple[int, Name, int, int], at: int, stop: int) -> None:
    section, owner, group, ttl = head
    if section != 3 or owner or row["edns_version"] >= 0:
        raise FaultError(BAD_EDNS)
    row["edns_size"], row["edns_version"], row["edns_flags"] = group, ttl >> 16 & 255, ttl & 0xFFFF
    row["rcode"] = ttl >> 24 << 4 | row["flags"] & 15
    try:
        read_options(message, at, stop, row)
    except FaultError:
        if row["edns_version"] == 0:
            raise
