"""dnstap: Frame Streams, whole, cut and damaged, and one bare message."""

import runpy
import struct
from pathlib import Path
from types import SimpleNamespace

from tests.formats.reading import ends, read

make = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "capture_files.py")))


def field(number: int, value: int | bytes, *, fixed: bool = False) -> bytes:
    def varint(n: int) -> bytes:
        out = b""
        while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])

    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if fixed:
        return varint(number << 3 | 5) + struct.pack("<I", value)
    return varint(number << 3) + varint(value)


def dnstap_message(kind: int, message: bytes, *, protocol: int = 1) -> bytes:
    base = 8 if kind % 2 else 12
    body = (
        field(1, kind)
        + field(2, 1)
        + field(3, protocol)
        + field(4, make.A)
        + field(5, make.B)
        + field(6, 4000)
    )
    body += (
        field(7, 53)
        + field(base, 1_700_000_000)
        + field(base + 1, 7000, fixed=True)
        + field(base + 2, message)
    )
    return field(1, b"server") + field(14, body) + field(15, 1)


def frames(*bodies: bytes) -> bytes:
    content = b"protobuf:dnstap.Dnstap"
    start = struct.pack(">III", 2, 1, len(content)) + content
    data = bytes(4) + struct.pack(">I", len(start)) + start
    data += b"".join(struct.pack(">I", len(b)) + b for b in bodies)
    return data + bytes(4) + struct.pack(">II", 4, 3)


def test_dnstap_frames(tmp_path: Path) -> None:
    raw = frames(
        dnstap_message(5, make.dns(id_=9)), dnstap_message(6, make.dns(id_=9, response=True), protocol=2),
        dnstap_message(5, make.dns(), protocol=3), field(1, b"no message"), b"\x0a\xff\xff\xff\x7f",
    )  # fmt: skip
    messages, _, account = read(tmp_path, raw)
    query, answer, dot = messages
    assert (ends(query), query["time_us"]) == (("192.0.2.1", 4000, "198.51.100.7", 53), 1_700_000_000_000_007)
    assert ends(answer) == ("198.51.100.7", 53, "192.0.2.1", 4000)
    assert [m["transport"] for m in (query, answer, dot)] == ["udp", "tcp", "unknown"]
    assert (query["qname"], query["id"], answer["response"], answer["answers"]) == (
        "www.example.com",
        9,
        True,
        1,
    )
    assert (account.packets, account.parsed) == (5, 3)
    assert (dict(account.ignored), dict(account.malformed)) == ({"no_message": 1}, {"damaged_frame": 1})


def test_dnstap_cut_and_damaged(tmp_path: Path) -> None:
    raw = frames(dnstap_message(5, make.dns()), dnstap_message(5, make.dns()))
    messages, _, account = read(tmp_path, raw[:-40])
    assert (len(messages), account.notes[0][:9]) == (1, "cut short")
    messages, _, account = read(tmp_path, raw[:-12] + b"\xff\xff\xff\xff....")
    assert (len(messages), account.notes[0][:7]) == (2, "damaged")


def test_a_bare_dnstap_message(tmp_path: Path) -> None:
    messages, _, account = read(tmp_path, dnstap_message(5, make.dns()))
    assert (len(messages), account.format) == (1, "dnstap")
