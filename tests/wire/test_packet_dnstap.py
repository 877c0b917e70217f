"""dnstap: the kernels against their twin on damaged frames."""

import random
import runpy
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from dnsonde.wire import dnstap
from dnsonde.wire._kernels import packet_dnstap as kernel
from dnsonde.wire.batch import Batch

twin = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "twins" / "packet_dnstap.py")))


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def some_field(chance: random.Random) -> bytes:
    number = chance.choice((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 99))
    kind = {4: 2, 5: 2, 10: 2, 14: 2, 9: 5, 13: 5}.get(number, 0)
    if chance.random() < 0.1:
        kind = chance.choice((0, 1, 2, 3, 5))
    tag = varint(number << 3 | kind)
    if kind == 0:
        return tag + varint(chance.choice((0, 1, 53, 2**20, 2**63, 2**64 - 1)))
    if kind == 2:
        octets = chance.randbytes(chance.choice((0, 4, 16, 30)))
        return tag + bytes([len(octets)]) + octets
    return tag + chance.randbytes({1: 8, 5: 4}.get(kind, 0))


def some_frames(seed: int, count: int) -> list[bytes]:
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        inner = b"".join(some_field(chance) for _ in range(chance.randrange(12)))
        frame = bytearray(b"\x0a\x02me")
        if chance.random() < 0.9:
            frame += varint(14 << 3 | 2) + varint(len(inner)) + inner
        for _ in range(chance.choice((0, 0, 1, 2))):
            frame[chance.randrange(len(frame))] = chance.choice((0, 127, 128, 255, chance.randrange(256)))
        found.append(bytes(frame[: chance.choice((len(frame), chance.randrange(1, len(frame) + 1)))]))
    return found


def compare(seed: int, count: int) -> None:
    raw = some_frames(seed, count)
    batch = Batch.of(raw)
    rows = dnstap.decode_frames(batch)
    for frame, row in zip(raw, rows, strict=True):
        want = twin.decode(frame)
        assert row["status"] == want.pop("status"), frame.hex()
        for name, value in want.items():
            if name.endswith("_address"):
                side = name.split("_")[0]
                assert (row[f"{side}_net"], row[f"{side}_host"]) == value
            elif name in ("query", "response"):
                start, length = int(row[f"{name}_start"]), int(row[f"{name}_length"])
                assert (None if length < 0 else batch.data[start : start + length].tobytes()) == value
            else:
                assert row[name] == value, (name, frame.hex())


def compare_streams(seed: int, count: int) -> None:
    chance = random.Random(seed)
    for _ in range(count):
        parts = [
            struct.pack(">I", size) + chance.randbytes(size) if size else struct.pack(">III", 0, 4, 2)
            for size in (chance.randrange(20) for _ in range(6))
        ]
        data = bytearray(b"".join(parts))
        if chance.random() < 0.5:
            data[chance.randrange(len(data))] = chance.choice((0, 255, chance.randrange(256)))
        cut = bytes(data[: chance.randrange(len(data) + 1)])
        batch, pos, why = dnstap.index_frames(np.frombuffer(cut, np.uint8), 100, 50)
        found = list(zip(batch.offset.tolist(), batch.length.tolist(), strict=True))
        assert (found, pos, why.name) == twin.frames(cut, 100)


def test_frames_equal_their_twin() -> None:
    compare(1, 4000)
    compare_streams(1, 1000)


def test_no_octet_outside_is_touched(checked: dict[str, str]) -> None:
    code = (
        f"import runpy; t = runpy.run_path({__file__!r}); t['compare'](2, 500); t['compare_streams'](2, 200)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=checked, timeout=300)


def test_one_signature_each() -> None:
    dnstap.warm()
    compare(3, 5)
    compare_streams(3, 5)
    assert len(kernel.frames.signatures) == len(kernel.decode_frames.signatures) == 1
