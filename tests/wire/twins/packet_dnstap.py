"""The dnstap kernel's twin: Frame Streams and protobuf in plain Python."""

from typing import Any


class Damaged(Exception):  # noqa: N818 - control flow of the twin
    pass


def frames(data: bytes, most: int) -> tuple[list[tuple[int, int]], int, str]:
    """((position, octets) of each data frame, position after them, why it ended)."""
    found: list[tuple[int, int]] = []
    pos = 0
    while pos < len(data):
        if len(data) - pos < 4:
            return found, pos, "WAIT"
        size = int.from_bytes(data[pos : pos + 4], "big")
        if size == 0:
            if len(data) - pos < 8:
                return found, pos, "WAIT"
            control = int.from_bytes(data[pos + 4 : pos + 8], "big")
            if control > 512:
                return found, pos, "DAMAGED"
            if len(data) < pos + 8 + control:
                return found, pos, "WAIT"
            pos += 8 + control
            continue
        if size > most:
            return found, pos, "DAMAGED"
        if len(data) < pos + 4 + size:
            return found, pos, "WAIT"
        found.append((pos + 4, size))
        pos += 4 + size
    return found, pos, "END"


def varint(data: bytes) -> tuple[int, bytes]:
    value = 0
    for index in range(min(10, len(data))):
        value |= (data[index] & 127) << 7 * index
        if data[index] < 128:
            return value % 2**64, data[index + 1 :]
    raise Damaged


def fields(data: bytes) -> list[tuple[int, int, int | bytes]]:
    """(number, wire type, content) of each field; Damaged ends it after those before."""
    found: list[tuple[int, int, int | bytes]] = []
    while data:
        tag, data = varint(data)
        kind = tag & 7
        if kind == 0:
            value, data = varint(data)
            found.append((tag >> 3, kind, value))
        elif kind == 2:
            size, data = varint(data)
            if size > len(data):
                raise Damaged
            found.append((tag >> 3, kind, data[:size]))
            data = data[size:]
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            if size > len(data):
                raise Damaged
            found.append((tag >> 3, kind, int.from_bytes(data[:size], "little")))
            data = data[size:]
        else:
            raise Damaged
    return found


def address(octets: bytes) -> tuple[int, int]:
    if len(octets) == 4:
        octets = bytes(10) + b"\xff\xff" + octets
    return int.from_bytes(octets[:8], "big", signed=True), int.from_bytes(octets[8:], "big", signed=True)


def decode(frame: bytes) -> dict[str, Any]:
    """One frame's row; only `status` where it is not OK (0 fine, 1 damaged, 2 no message)."""
    try:
        inner = [value for number, kind, value in fields(frame) if (number, kind) == (14, 2)]
        if not inner:
            return {"status": 2}
        message = fields(bytes(inner[-1]))
    except Damaged:
        return {"status": 1}
    row: dict[str, Any] = dict.fromkeys(("type", "protocol", "query_port", "response_port"), 0)
    row |= dict.fromkeys(("query_sec", "response_sec", "query_nsec", "response_nsec"), 0)
    row |= {"status": 0, "query": None, "response": None, "query_address": (0, 0), "response_address": (0, 0)}
    numbers = {
        1: ("type", 0xFF),
        3: ("protocol", 0xFF),
        6: ("query_port", 0xFFFF),
        7: ("response_port", 0xFFFF),
    }
    numbers |= {8: ("query_sec", 2**40 - 1), 12: ("response_sec", 2**40 - 1)}
    for number, kind, value in message:
        if isinstance(value, bytes):
            if number in (4, 5) and len(value) in (4, 16):
                row["query_address" if number == 4 else "response_address"] = address(value)
            elif number in (10, 14):
                row["query" if number == 10 else "response"] = value
        elif kind == 0 and number in numbers:
            name, mask = numbers[number]
            row[name] = value & mask
        elif kind == 5 and number in (9, 13):
            row["query_nsec" if number == 9 else "response_nsec"] = value
    return row
