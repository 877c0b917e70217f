"""The twin of `encode_responses`: one response, put together from byte strings."""

from collections.abc import Sequence
from typing import Any


def two(value: int) -> bytes:
    return (value & 0xFFFF).to_bytes(2, "big")


def option(code: int, data: bytes) -> bytes:
    return two(code) + two(len(data)) + data if data else b""


def respond(
    request: bytes,
    message: Any,
    reply: Sequence[int],
    records: list[tuple[int, ...]],
    blob: bytes,
    stride: int,
) -> bytes:
    """The response's octets; `message` is the request's MESSAGE row, `reply` and `records` are specifications."""
    flags, rcode, first, count, limit, edns, edns_size, cookie_start, cookie_length = reply[:9]
    nsid_start, nsid_length, ede, drop = reply[9:]
    if drop or len(request) < 12:
        return b""
    question = request[12 : message["question_end"]] if message["qname_length"] else b""
    cookie = option(10, blob[cookie_start : cookie_start + cookie_length])
    room = min(limit or stride, stride) - 12 - len(question) - (11 + len(cookie) if edns else 0)
    body = b""
    counts = [0, 0, 0]
    flags = flags & 0xFFF0 | rcode & 15
    for section, start, size, kind, group, ttl, rdata, octets in records[first : first + count]:
        owner = b"\xc0\x0c" if start < 0 else blob[start : start + size]
        data = blob[rdata : rdata + octets]
        record = owner + two(kind) + two(group) + ttl.to_bytes(4, "big") + two(octets) + data
        if len(body) + len(record) > room:
            if section == 3:
                continue
            body, counts, flags = b"", [0, 0, 0], flags | 0x0200
            break
        body += record
        counts[section - 1] += 1
    opt = b""
    if edns:
        options = cookie
        room -= len(body)
        if ede and room < 6:
            flags |= 0x0200
        for more in (option(15, two(ede - 1)) if ede else b"", option(3, blob[nsid_start:][:nsid_length])):
            if len(more) <= room:
                options += more
                room -= len(more)
        flags_of_opt = two(int(message["edns_flags"]) & 0x8000)
        opt = b"\0" + two(41) + two(edns_size) + bytes([rcode >> 4, 0]) + flags_of_opt
        opt += two(len(options)) + options
        counts[2] += 1
    head = request[:2] + two(flags) + two(int(bool(question))) + b"".join(two(n) for n in counts)
    return head + question + body + opt
