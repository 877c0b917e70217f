"""The twin of `_kernels/reply_choose.py`: one request at a time, in plain Python."""

from typing import Any

DROP, FORMERR, NOTIMP, BADVERS, REFUSED, EMPTY, TRUNCATED, SIZE = range(8)


def fixed(request: bytes, message: Any, ask: int, tables: Any, otherwise: int) -> int:
    name = request[12 : 12 + int(message["qname_length"])].lower()
    for known in tables.fixed:
        start = int(known["start"])
        wire = tables.wire[start : start + int(known["octets"])].tobytes()
        if wire == name and known["qclass"] == message["qclass"]:
            return int(known["shapes"][ask])
    return otherwise


def shape(request: bytes, message: Any, name: Any, v6: bool, tables: Any) -> int:
    ask = int(tables.asks[message["qtype"]])
    cookie = int(message["cookie_length"])
    if message["flags"] & 0x8000 or len(request) < 12:
        return DROP
    if message["opcode"]:
        return NOTIMP
    if message["status"] or message["qdcount"] > 1 or (cookie and cookie not in {8, *range(16, 41)}):
        return FORMERR
    if message["edns_version"] > 0:
        return BADVERS
    if message["qdcount"] == 0:
        return EMPTY if cookie else FORMERR
    if message["qclass"] != 1:
        return fixed(request, message, ask, tables, REFUSED)
    kind = 0 if name["kind"] == 3 and name["step"] == 0 else int(name["kind"])
    found = int(tables.keys.reshape(5, 4, 8, 2)[int(name["status"]), kind, ask, int(v6)])
    return fixed(request, message, ask, tables, found) if name["status"] == 4 else found


def reply(
    request: bytes, message: Any, name: Any, peer: Any, *, tcp: bool, verified: bool, row: int,
    tables: Any, closed: set[int], udp: int, factor: float, cookies: int, nsid: tuple[int, int],
) -> tuple[int, bytes, dict[str, int]]:  # fmt: skip
    """Shape, the asker's 16 octets, and the fields of the reply specification."""
    address = (int(peer["net"]) % (1 << 64)).to_bytes(8, "big") + (int(peer["host"]) % (1 << 64)).to_bytes(
        8, "big"
    )
    v6 = address[:12] != bytes(10) + b"\xff\xff"
    chosen = DROP if not tcp and int(peer["port"]) in closed else shape(request, message, name, v6, tables)
    edns = message["edns_version"] >= 0 and message["status"] == 0
    cookie = 24 if edns and message["cookie_length"] >= 8 else 0
    if tcp:
        limit = 65535
    else:
        limit = min(max(int(message["edns_size"]), 512), udp) if edns else 512
        if not verified:
            limit = min(limit, int(len(request) * factor))
    if chosen == SIZE:
        smallest = int(message["question_end"]) + 13 + (11 if edns else 0) + (28 if cookie else 0)
        if max(int(name["step"]), smallest) > limit:
            chosen = TRUNCATED
    line = tables.shapes[chosen]
    offset = int(message["question_end"]) - 4 - tables.zone
    return chosen, address, {
        "flags": int(message["flags"]) & 0x7910 | 0x8000 | int(line["flags"]),
        "rcode": int(line["rcode"]),
        "first_record": int(line["first"]) + int(line["per_row"]) * row + int(line["per_offset"]) * offset,
        "record_count": int(line["count"]),
        "limit": limit,
        "edns": int(edns),
        "edns_size": udp,
        "cookie_start": cookies + 24 * row,
        "cookie_length": cookie,
        "nsid_start": nsid[0],
        "nsid_length": nsid[1] if edns and message["nsid_start"] else 0,
        "ede": int(line["ede"]) if edns else 0,
        "drop": int(chosen == DROP),
    }  # fmt: skip
