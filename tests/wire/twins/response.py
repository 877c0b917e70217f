"""The twin of `encode_responses`: one response, put together from byte strings."""

from collections.abc import Sequence
from typing import Any


def two(value: int) -> bytes:
    return (value & 0xFFFF).to_bytes(2, "big")


def respond(
    request: bytes,
    message: Any,
    reply: Sequence[int],
    records: list[tuple[int, ...]],
    blob: bytes,
    stride: int,
) -> bytes:
    """The response's octets; `message` is the request's MESSAGE row, `reply` and `records` are specifications."""
    flags, rcode, first, count, limit, edns, edns_size, cookie_start, cookie_length, drop = reply
    if drop or len(request) < 12:
        return b""
    question = request[12 : message["question_end"]] if message["qname_length"] else b""
    opt = b""
    if edns:
        cookie = blob[cookie_start : cookie_start + cookie_length]
        option = two(10) + two(len(cookie)) + cookie if cookie else b""
        flags_of_opt = two(int(message["edns_flags"]) & 0x8000)
        opt = (
            b"\0"
            + two(41)
            + two(edns_size)
            + bytes([rcode >> 4, 0])
            + flags_of_opt
            + two(len(option))
            + option
        )
    room = min(limit or stride, stride) - 12 - len(question) - len(opt)
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
    counts[2] += bool(opt)
    head = request[:2] + two(flags) + two(int(bool(question))) + b"".join(two(n) for n in counts)
    return head + question + body + opt
