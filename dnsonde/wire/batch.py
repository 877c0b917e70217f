"""Many messages side by side: one buffer, and where each begins and ends.

Sockets fill rows of a fixed stride, readers leave packets where the file had them; both are a `Batch`.
Addresses travel as `ADDRESS` records: the network and the host half of an IPv6 address as two's-complement
int64, IPv4 mapped (RFC 4291, 2.5.5.2), so that both families share every column and every engine.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import numpy as np
from numpy.typing import NDArray

ADDRESS = np.dtype([("net", "i8"), ("host", "i8")])

MAPPED = 0xFFFF_0000_0000  # host half of ::ffff:0:0/96


@dataclass(slots=True)
class Batch:
    """`n` byte strings in one buffer.

    data: uint8 (any length); offset: int64 (n,), where each begins; length: int32 (n,), its octets.
    """

    data: NDArray[np.uint8]
    offset: NDArray[np.int64]
    length: NDArray[np.int32]

    @classmethod
    def of(cls, items: Sequence[bytes]) -> "Batch":
        """Copy some byte strings into one batch."""
        length = np.array([len(item) for item in items], np.int32)
        offset = np.zeros(len(items), np.int64)
        np.cumsum(length[:-1], out=offset[1:])
        return cls(np.frombuffer(b"".join(items), np.uint8), offset, length)

    @classmethod
    def rows(cls, data: NDArray[np.uint8], length: NDArray[np.int32]) -> "Batch":
        """View the rows of a 2-D buffer (n, stride) as a batch, without a copy."""
        offset = np.arange(len(length), dtype=np.int64) * data.shape[1]
        return cls(data.reshape(-1), offset, length)

    def __len__(self) -> int:
        return len(self.length)

    def __getitem__(self, index: int) -> bytes:
        start = int(self.offset[index])
        return self.data[start : start + int(self.length[index])].tobytes()


def address_array(addresses: Iterable[str | IPv4Address | IPv6Address]) -> NDArray[np.void]:
    """Addresses, as text or objects, to an `ADDRESS` array; a bad text raises ValueError."""
    pairs = [address_pair(a) for a in addresses]
    return np.array(pairs, ADDRESS)


def address_pair(address: str | IPv4Address | IPv6Address) -> tuple[int, int]:
    """One address as its (net, host) pair of signed integers."""
    parsed = ip_address(address) if isinstance(address, str) else address
    value = int(parsed)
    if parsed.version == 4:
        return 0, MAPPED | value
    return _signed(value >> 64), _signed(value & 0xFFFF_FFFF_FFFF_FFFF)


def address_text(net: int, host: int) -> str:
    """One (net, host) pair as text: dotted for IPv4-mapped, RFC 5952 otherwise."""
    net, host = int(net) & 0xFFFF_FFFF_FFFF_FFFF, int(host) & 0xFFFF_FFFF_FFFF_FFFF
    if net == 0 and host >> 32 == 0xFFFF:
        return str(IPv4Address(host & 0xFFFF_FFFF))
    return str(IPv6Address(net << 64 | host))


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
