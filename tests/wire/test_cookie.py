"""Server cookies: the RFC's own examples, and the kernel against its twin."""

import random
import sys
from importlib import util
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dnsonde.wire import cookie
from dnsonde.wire._kernels import cookie as kernel
from dnsonde.wire.batch import Batch, address_pair
from dnsonde.wire.cookie import COOKIE, server_cookies
from dnsonde.wire.decode import decode_messages


def load_twin(name: str) -> ModuleType:
    spec = util.spec_from_file_location(f"{name}_twin", Path(__file__).parent / "twins" / f"{name}.py")
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    sys.modules[f"{name}_twin"] = module
    spec.loader.exec_module(module)
    return module


twin, siphash = load_twin("cookie"), load_twin("probe").siphash


def query(option: bytes) -> bytes:
    """A query for the root with a COOKIE option."""
    opt = b"\0\0\x29\4\xd0\0\0\0\0" + (4 + len(option)).to_bytes(2, "big")
    opt += b"\0\x0a" + len(option).to_bytes(2, "big") + option
    return bytes(4) + b"\0\1\0\0\0\0\0\1" + b"\0\0\1\0\1" + opt


def ours(
    options: list[bytes], addresses: list[str], secret: bytes, now_s: int
) -> list[tuple[bytes | None, bool]]:
    batch = Batch.of([query(option) for option in options])
    net, host = np.array([address_pair(a) for a in addresses], np.int64).T
    out = np.zeros((len(options), COOKIE), np.uint8)
    verified = server_cookies(batch, decode_messages(batch), net, host, secret, now_s, out)
    return [
        (row.tobytes() if row.any() else None, bool(good)) for row, good in zip(out, verified, strict=True)
    ]


@pytest.mark.parametrize(
    ("client", "server", "address", "secret", "now_s"),
    [
        # RFC 9018, appendix A.1 (learning a new cookie) and A.2 (the same client learning a renewed one)
        (
            "2464c4abcf10c957", "010000005cf79f111f8130c3eee29480", "198.51.100.100",
            "e5e973e5a6b2a43f48e7dc849e37bfcf", 1559731985,
        ),
        (
            "2464c4abcf10c957", "010000005cf7a871d4a564a1442aca77", "198.51.100.100",
            "e5e973e5a6b2a43f48e7dc849e37bfcf", 1559734385,
        ),
    ],
)  # fmt: skip
def test_the_examples_of_the_rfc(client: str, server: str, address: str, secret: str, now_s: int) -> None:
    whole = bytes.fromhex(client + server)
    assert ours([whole[:8]], [address], bytes.fromhex(secret), now_s) == [(whole, False)]
    assert ours([whole], [address], bytes.fromhex(secret), now_s + 60)[0][1]


def damaged(seed: int, count: int) -> tuple[list[bytes], list[str], bytes, int]:
    """Options of all lengths, good and stale and forged ones, of both families."""
    chance = random.Random(seed)
    secret, now_s = chance.randbytes(16), chance.choice([1_700_000_000, (1 << 32) - 100, (1 << 32) + 100])
    options, addresses = [], []
    for _ in range(count):
        address: IPv4Address | IPv6Address = IPv4Address(chance.randbytes(4))
        if chance.random() < 0.5:
            address = IPv6Address(chance.randbytes(16))
        then = now_s + chance.choice([0, -3600, -3601, 300, 301, -5, chance.randrange(-(1 << 31), 1 << 31)])
        second = chance.choice([b"\1\0\0\0", b"\1\0\0\0", b"\1\7\7\7", b"\2\0\0\0"]) + (
            then % (1 << 32)
        ).to_bytes(4, "big")
        option = bytearray(twin.make(siphash, chance.randbytes(8), second, address, secret))
        match chance.randrange(4):
            case 0:
                option[chance.randrange(24)] ^= 1 << chance.randrange(8)
            case 1:
                option = bytearray(chance.randbytes(chance.randrange(1, 60)))
        options.append(bytes(option))
        addresses.append(str(address))
    return options, addresses, secret, now_s


def compare(seed: int, count: int) -> int:
    options, addresses, secret, now_s = damaged(seed, count)
    expected = [
        twin.answer(siphash, option, ip_address(address), secret, now_s)
        for option, address in zip(options, addresses, strict=True)
    ]
    assert ours(options, addresses, secret, now_s) == expected
    return sum(good for _, good in expected)


@pytest.mark.parametrize("seed", range(10))
def test_equals_the_twin(seed: int) -> None:
    good = compare(seed, 200)
    assert 0 < good < 150, "the test meets both kinds"


def test_wrong_arguments_are_refused() -> None:
    batch = Batch.of([b""])
    messages, address = decode_messages(batch), np.zeros(1, np.int64)
    with pytest.raises(ValueError, match="secret"):
        server_cookies(batch, messages, address, address, b"short", 0, np.zeros((1, COOKIE), np.uint8))
    with pytest.raises(ValueError, match="room"):
        server_cookies(batch, messages, address, address, bytes(16), 0, np.zeros((2, COOKIE), np.uint8))


def test_one_signature_each() -> None:
    cookie.warm()
    test_equals_the_twin(1)
    assert len(kernel.server_cookies.signatures) == 1
