"""The twin of `_kernels/cookie.py`: a server cookie as RFC 9018, 4 writes it down."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

Hash = Callable[[bytes, bytes], int]


def make(
    siphash: Hash, client: bytes, second: bytes, address: IPv4Address | IPv6Address, secret: bytes
) -> bytes:
    """Client cookie, version with reserved octets and timestamp, hash."""
    return client + second + siphash(secret, client + second + address.packed).to_bytes(8, "little")


def answer(
    siphash: Hash, option: bytes, address: IPv4Address | IPv6Address, secret: bytes, now_s: int
) -> tuple[bytes | None, bool]:
    """The cookie to answer an option with (None: no client cookie), and whether the option was a good one."""
    if len(option) < 8:
        return None, False
    fresh = make(siphash, option[:8], b"\1\0\0\0" + (now_s & 0xFFFFFFFF).to_bytes(4, "big"), address, secret)
    if len(option) != 24 or option[8] != 1:
        return fresh, False
    age = (now_s - int.from_bytes(option[12:16], "big")) % (1 << 32)
    lasts = age <= 3600 or age >= (1 << 32) - 300
    return fresh, lasts and option == make(siphash, option[:8], option[8:16], address, secret)
