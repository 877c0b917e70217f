"""The twin of `_kernels/siphash.py`, `_kernels/probe_name.py` and the probe encoder: by the paper and the grammar."""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Any

WORD = (1 << 64) - 1
DIGITS = "0123456789abcdefghijklmnopqrstuv"

NAME = re.compile(
    rb"(?:(?P<target>[0-9a-f]{8}|[0-9a-f]{32})(?P<attempt>[1-9a-f])(?P<tag>[0-9a-f]{12})\.)?"
    rb"(?:(?P<kind>nx|s(?P<octets>[0-9]{3,4})|c(?P<steps>[0-9a-f]))\.)?"
    rb"(?P<run>[0-9a-v]{8})"
)


def rotate(x: int, bits: int) -> int:
    return (x << bits | x >> (64 - bits)) & WORD


def siphash(key: bytes, data: bytes) -> int:
    """SipHash-2-4 as section 2 of the paper defines it."""
    k = [int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")]
    start = b"somepseudorandomlygeneratedbytes"
    v = [int.from_bytes(start[8 * n : 8 * n + 8], "big") ^ k[n % 2] for n in range(4)]

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = (v[0] + v[1]) & WORD
            v[2] = (v[2] + v[3]) & WORD
            v[1] = rotate(v[1], 13) ^ v[0]
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[1]) & WORD
            v[0] = (v[0] + v[3]) & WORD
            v[1] = rotate(v[1], 17) ^ v[2]
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = rotate(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 255])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def tag(key: bytes, run: str, target: IPv4Address | IPv6Address, attempt: int, kind: int) -> int:
    packed = target.packed if target.version == 6 else bytes(10) + b"\xff\xff" + target.packed
    return siphash(key, packed + bytes([attempt, kind]) + run.encode()) & 0xFFFFFFFFFFFF


def query(
    zone: str,
    target: IPv4Address | IPv6Address,
    attempt: int,
    kind: int,
    step: int,
    qtype: int,
    key: bytes,
    run: str,
    edns_size: int,
) -> bytes:
    """The probe, octet for octet."""
    secret = tag(key, run, target, attempt, kind)
    between = ["", "nx.", f"s{step:04d}.", f"c{step:x}."][kind]
    name = f"{target.packed.hex()}{attempt:x}{secret:012x}.{between}{run}.{zone}"
    wire = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    number = (secret ^ secret >> 16 ^ secret >> 32) & 0xFFFF
    head = b"".join(n.to_bytes(2, "big") for n in (number, 0x0100, 1, 0, 0, int(edns_size > 0)))
    opt = b"\0\0\x29" + edns_size.to_bytes(2, "big") + bytes(6) if edns_size else b""
    return head + wire + qtype.to_bytes(2, "big") + b"\0\1" + opt


def parse(labels: tuple[bytes, ...], zone: tuple[bytes, ...]) -> dict[str, Any]:
    """What a name is to the zone, both as labels, as a PROBE_NAME row without `mixed_case`."""
    row: dict[str, Any] = dict.fromkeys(["status", "run", "attempt", "kind", "step", "tag", "labels"], 0) | {
        "target": (0, 0)
    }
    lower = tuple(label.lower() for label in labels)
    below = len(labels) - len(zone)
    if below < 0 or lower[below:] != zone:
        return row | {"status": 1}
    row["labels"] = below
    if below == 0:
        return row | {"status": 2}
    # A dot within a label would look like two labels.
    match = NAME.fullmatch(b".".join(lower[:below])) if not any(b"." in label for label in lower) else None
    if not match:
        return row | {"status": 4}
    if match["target"]:
        packed = bytes.fromhex(match["target"].decode())
        if len(packed) == 16 and IPv6Address(packed).ipv4_mapped is not None:
            return row | {"status": 4}
        packed = packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed
        row["target"] = tuple(int.from_bytes(packed[k : k + 8], "big", signed=True) for k in (0, 8))
        row["attempt"], row["tag"] = int(match["attempt"], 16), int(match["tag"], 16)
    else:
        row["status"] = 3
    for char in match["run"].decode():
        row["run"] = row["run"] * 32 + DIGITS.index(char)
    if match["kind"]:
        row["kind"] = 1
        if match["octets"]:
            row["kind"], row["step"] = 2, int(match["octets"])
        if match["steps"]:
            row["kind"], row["step"] = 3, int(match["steps"], 16)
    return row
