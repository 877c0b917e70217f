"""Captures that commands are given, written by hand, and what they say of them."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

START = 1_700_000_000
HOSTILE = b"\x1b[31m<b>=cmd"


def address(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


def datagram(src: str, dst: str, ports: tuple[int, int], payload: bytes, ttl: int = 57) -> bytes:
    udp = b"".join(p.to_bytes(2, "big") for p in (*ports, 8 + len(payload), 0)) + payload
    head = b"\x45\0" + (20 + len(udp)).to_bytes(2, "big") + b"\0\1\0\0" + bytes([ttl, 17]) + b"\0\0"
    return bytes.fromhex("0200000000010200000000020800") + head + address(src) + address(dst) + udp


def syn(src: str, dst: str, port: int, sequence: bytes) -> bytes:
    tcp = (
        (40000).to_bytes(2, "big")
        + port.to_bytes(2, "big")
        + sequence
        + bytes(4)
        + b"\x50\x02\x10\0"
        + bytes(4)
    )
    head = b"\x45\0\0\x28\0\1\0\0\x40\x06\0\0"
    return bytes.fromhex("0200000000010200000000020800") + head + address(src) + address(dst) + tcp


def question(label: bytes, *, answer: str = "", number: int = 7) -> bytes:
    name = bytes([len(label)]) + label + b"\7example\3net\0"
    flags, count = (b"\x81\x80", 1) if answer else (b"\x01\0", 0)
    head = number.to_bytes(2, "big") + flags + b"\0\1" + count.to_bytes(2, "big") + bytes(4)
    record = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4" + address(answer) if answer else b""
    return head + name + b"\0\1\0\1" + record


def pcap(path: Path, *frames: tuple[float, bytes]) -> Path:
    """Write a capture: (seconds after START, frame)."""
    out = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")
    for time_s, frame in frames:
        micros = round((START + time_s) * 1e6)
        stamp = (micros // 1_000_000, micros % 1_000_000, len(frame), len(frame))
        out += b"".join(field.to_bytes(4, "little") for field in stamp) + frame
    path.write_bytes(out)
    return path


def bot() -> Iterator[tuple[float, bytes]]:
    """A host at home that scans as Mirai does."""
    for n in range(40):
        target = f"198.51.{n}.{n + 1}"
        yield n / 10, syn("192.0.2.66", target, 23, address(target))


def open_resolver() -> Iterator[tuple[float, bytes]]:
    """A host at home that answers a stranger, whose names would steer a terminal."""
    for n in range(5):
        label = HOSTILE + b"%d" % n
        asked = question(label, number=n)
        yield n, datagram("203.0.113.9", "192.0.2.53", (40000 + n, 53), asked)
        answered = question(label, answer="198.51.100.7", number=n)
        yield n + 0.01, datagram("192.0.2.53", "203.0.113.9", (53, 40000 + n), answered)


def found(said: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert said.returncode in {0, 1}, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]
