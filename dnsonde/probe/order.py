"""Which addresses, and in which order: both in memory that does not grow with their number."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import numpy as np
from numpy.typing import NDArray

from dnsonde.wire import permute
from dnsonde.wire.batch import ADDRESS, MAPPED

ROUNDS = 8
MOST = permute.MOST

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]

_NARROW = 1 << 61  # below it, an address and two more bits fit one sortable number
_MINE = np.array([1, -1, 0, 0], np.int8)
_THEIRS = np.array([0, 0, 1, -1], np.int8)
_ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@dataclass(frozen=True, slots=True)
class Ranges:
    """Address ranges as they come, in any order, overlapping or not: IPv4-mapped or IPv6, both ends included.

    net, host: uint64 (n,), the first address; last_net, last_host: uint64 (n,), the last.
    """

    net: U64
    host: U64
    last_net: U64
    last_host: U64

    @classmethod
    def of_prefixes(
        cls, net: NDArray[np.int64], host: NDArray[np.int64], bits: NDArray[np.integer]
    ) -> "Ranges":
        """Prefixes as columns: address halves, and the length out of 128 (IPv4: 96 more than written)."""
        first_net, first_host = net.astype(np.int64).view(np.uint64), host.astype(np.int64).view(np.uint64)
        wide = bits.astype(np.int64)
        return cls(
            first_net,
            first_host,
            first_net | _free_bits(64 - np.minimum(wide, 64)),
            first_host | _free_bits(np.minimum(128 - wide, 64)),
        )

    @classmethod
    def of_networks(cls, networks: Iterable[IPv4Network | IPv6Network]) -> "Ranges":
        """A few networks, as objects."""
        pairs = [(_mapped(n.network_address), _mapped(n.broadcast_address)) for n in networks]
        columns = np.array(
            [(a >> 64, a & int(_ONES), b >> 64, b & int(_ONES)) for a, b in pairs], np.uint64
        ).reshape(-1, 4)
        return cls(*(np.ascontiguousarray(columns[:, k]) for k in range(4)))

    @classmethod
    def joined(cls, parts: Sequence["Ranges"]) -> "Ranges":
        """Several lists as one."""
        empty = np.zeros(0, np.uint64)
        return cls(
            np.concatenate([empty, *(p.net for p in parts)]),
            np.concatenate([empty, *(p.host for p in parts)]),
            np.concatenate([empty, *(p.last_net for p in parts)]),
            np.concatenate([empty, *(p.last_host for p in parts)]),
        )

    def __len__(self) -> int:
        return len(self.net)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Ranges":
        return Ranges(self.net[rows], self.host[rows], self.last_net[rows], self.last_host[rows])

    def count(self) -> int:
        """Addresses in all of them, those in several counted several times."""
        net = _total(self.last_net) - _total(self.net)
        return (net << 64) + _total(self.last_host) - _total(self.host) + len(self)

    def is_ipv4(self) -> NDArray[np.bool_]:
        """Which of them are mapped IPv4; no range of a scope is partly so."""
        found: NDArray[np.bool_] = (self.net == 0) & (self.host >> np.uint64(32) == MAPPED >> 32)
        return found

    def without(self, others: "Ranges") -> "Ranges":
        """What is in these and not in `others`: ascending, disjoint, adjacent ones joined.

        A sweep over all ends at once; IPv4 sorts one number an end, IPv6 two.
        """
        mine, theirs = _narrow(self), _narrow(others)
        narrow = mine if _is_settled(mine, theirs) else _swept_narrow(mine, theirs)
        mine, theirs = _wide(self), _wide(others)
        if len(mine) == 0:
            return narrow
        wide = _swept_wide(mine, theirs)
        at_seam = len(narrow) and narrow.last_host[-1] == _NARROW - 1
        if at_seam and len(wide) and not wide.net[0] and wide.host[0] == _NARROW:  # one range over it
            last_net = np.append(narrow.last_net[:-1], wide.last_net[0])
            last_host = np.append(narrow.last_host[:-1], wide.last_host[0])
            narrow = Ranges(narrow.net, narrow.host, last_net, last_host)
            wide = wide[np.arange(1, len(wide))]
        return Ranges.joined([narrow, wide])

    def merged(self) -> "Ranges":
        """The same addresses: ascending, disjoint, adjacent ranges joined."""
        if not self.net.any() and np.array_equal(self.host, self.last_host):
            return _runs(self.host)
        return self.without(_NONE)

    def within(self, others: "Ranges") -> NDArray[np.bool_]:
        """Which of them lie wholly in one of `others`, which must be ascending and disjoint."""
        if len(others) == 0:
            return np.zeros(len(self), np.bool_)
        net, host = np.concatenate([others.net, self.net]), np.concatenate([others.host, self.host])
        keys = _ordered(net, host)
        row = np.searchsorted(keys[: len(others)], keys[len(others) :], side="right") - 1
        at = np.maximum(row, 0)
        last_net, last_host = others.last_net[at], others.last_host[at]
        ends = (self.last_net < last_net) | (self.last_net == last_net) & (self.last_host <= last_host)
        found: NDArray[np.bool_] = (row >= 0) & ends
        return found

    def is_sorted(self) -> bool:
        """Whether they are ascending and disjoint already."""
        net, host, last_net, last_host = self.net[1:], self.host[1:], self.last_net[:-1], self.last_host[:-1]
        return bool(((last_net < net) | (last_net == net) & (last_host < host)).all())


def _narrow(ranges: Ranges) -> Ranges:
    """The part below _NARROW, where IPv4 lies."""
    if not ranges.last_net.any() and int(ranges.last_host.max(initial=0)) < _NARROW:
        return ranges
    part = ranges[(ranges.net == 0) & (ranges.host < _NARROW)]
    cut = (part.last_net > 0) | (part.last_host >= _NARROW)
    last_host = np.where(cut, np.uint64(_NARROW - 1), part.last_host)
    return Ranges(part.net, part.host, np.zeros_like(part.net), last_host)


def _wide(ranges: Ranges) -> Ranges:
    """The part from _NARROW on."""
    part = ranges[(ranges.last_net > 0) | (ranges.last_host >= _NARROW)]
    cut = (part.net == 0) & (part.host < _NARROW)
    return Ranges(part.net, np.where(cut, np.uint64(_NARROW), part.host), part.last_net, part.last_host)


def _is_settled(mine: Ranges, theirs: Ranges) -> bool:
    """Whether narrow ranges are ascending, with gaps between them, and none of `theirs` touches them."""
    if not (mine.last_host[:-1] + np.uint64(1) < mine.host[1:]).all():
        return False
    row = np.searchsorted(mine.last_host, theirs.host)  # the first that could reach into each of theirs
    near = row < len(mine)
    return bool((mine.host[row[near]] > theirs.last_host[near]).all())


def _runs(numbers: U64) -> Ranges:
    """Single narrow addresses as ranges."""
    numbers = np.sort(numbers)
    ends = np.flatnonzero(numbers[1:] - numbers[:-1] > 1)
    first = np.concatenate([numbers[:1], numbers[ends + 1]])
    last = np.concatenate([numbers[ends], numbers[-1:]])
    zero = np.zeros(len(first), np.uint64)
    return Ranges(zero, first, zero, last)


def _swept_narrow(mine: Ranges, theirs: Ranges) -> Ranges:
    """Sweep over the ends of addresses below _NARROW: a number each, with what it is in two bits."""
    ends = [mine.host, mine.last_host + np.uint64(1), theirs.host, theirs.last_host + np.uint64(1)]
    keys = np.concatenate(ends)
    keys <<= np.uint64(2)
    start = 0
    for tag, part in enumerate(ends):
        keys[start : start + len(part)] |= np.uint64(tag)
        start += len(part)
    keys.sort()
    kind = (keys & np.uint64(3)).astype(np.int8)
    keys >>= np.uint64(2)
    last_of_equal = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=last_of_equal[:-1])
    wanted = np.cumsum(_MINE[kind], dtype=np.int32) > 0
    wanted &= np.cumsum(_THEIRS[kind], dtype=np.int32) == 0
    keys, wanted = keys[last_of_equal], wanted[last_of_equal]
    opens, closes = _changes(wanted)
    first, last = keys[opens], keys[closes] - np.uint64(1)
    zero = np.zeros(len(first), np.uint64)
    return Ranges(zero, first, zero, last)


def _swept_wide(mine: Ranges, theirs: Ranges) -> Ranges:
    """Sweep over the ends of any addresses; a range up to the last address of all has no end."""
    ends = [r[~((r.last_net == _ONES) & (r.last_host == _ONES))] for r in (mine, theirs)]
    behind = [_successor(r.last_net, r.last_host) for r in ends]
    net = np.concatenate([mine.net, behind[0][0], theirs.net, behind[1][0]])
    host = np.concatenate([mine.host, behind[0][1], theirs.host, behind[1][1]])
    kind = np.repeat(np.arange(4), [len(mine), len(ends[0]), len(theirs), len(ends[1])])
    rank = np.lexsort((host, net))
    net, host, kind = net[rank], host[rank], kind[rank]
    wanted = (np.cumsum(_MINE[kind], dtype=np.int32) > 0) & (np.cumsum(_THEIRS[kind], dtype=np.int32) == 0)
    last_of_equal = np.ones(len(net), np.bool_)
    last_of_equal[:-1] = (net[1:] != net[:-1]) | (host[1:] != host[:-1])
    net, host, wanted = net[last_of_equal], host[last_of_equal], wanted[last_of_equal]
    opens, closes = _changes(wanted)
    last_net, last_host = np.full(len(opens), _ONES), np.full(len(opens), _ONES)
    last_net[: len(closes)], last_host[: len(closes)] = _predecessor(net[closes], host[closes])
    return Ranges(net[opens], host[opens], last_net, last_host)


def _changes(wanted: NDArray[np.bool_]) -> tuple[I64, I64]:
    changes = np.flatnonzero(np.diff(np.concatenate([[False], wanted])))
    return changes[::2], changes[1::2]


class Scope:
    """The addresses of a measurement: sorted, each once, IPv4 before IPv6 as far as their numbers are.

    `size` of them stand at positions 0 .. size-1; `start` and `first` are what `wire.permute` takes. ValueError above
    MOST (2**62).
    """

    def __init__(self, ranges: Ranges) -> None:
        ranges = ranges if ranges.is_sorted() else ranges.merged()
        self.size = ranges.count()
        if self.size > MOST:
            raise ValueError(f"{self.size} addresses are more than 2**62")
        self.first = np.zeros(len(ranges), ADDRESS)
        self.first["net"] = ranges.net.view(np.int64)
        self.first["host"] = ranges.host.view(np.int64)
        self.start = np.zeros(len(ranges) + 1, np.int64)
        np.cumsum((ranges.last_host - ranges.host).view(np.int64) + 1, out=self.start[1:])
        self.ranges = ranges

    def __len__(self) -> int:
        return self.size

    def at(self, index: NDArray[np.int64]) -> NDArray[np.void]:
        """The address (ADDRESS) at each position; IndexError where a position is outside."""
        index = np.ascontiguousarray(index, np.int64)
        if index.size and (int(index.min()) < 0 or int(index.max()) >= self.size):
            raise IndexError(f"positions go from 0 to {self.size - 1}")
        return permute.range_addresses(index, self.start, self.first)

    def index(self, addresses: NDArray[np.void]) -> I64:
        """The position (int64) of each address (ADDRESS), -1 where it is not in the scope."""
        return permute.range_positions(addresses, self.start, self.first)

    def contains(self, addresses: NDArray[np.void]) -> NDArray[np.bool_]:
        """Which addresses (ADDRESS) are in the scope."""
        return self.index(addresses) >= 0


class Order:
    """A keyed pseudo-random order of 0 .. total-1, so that no network sees a burst, in constant memory.

    key: any octets; the same key gives the same order. shard (i, n), 1 <= i <= n: every n-th position, from
    the i-th on; the shards of one key are disjoint and together complete. `size` positions are in this shard.
    """

    def __init__(self, total: int, key: bytes, shard: tuple[int, int] = (1, 1)) -> None:
        number, shards = shard
        if not 1 <= number <= shards:
            raise ValueError(f"there is no shard {number} of {shards}")
        if not 0 < total <= MOST:
            raise ValueError(f"{total} things cannot be ordered: 1 to 2**62 can")
        self.total = total
        self._offset, self._shards = number - 1, shards
        self.size = max(0, (total - self._offset + shards - 1) // shards)
        rounds = hashlib.blake2b(key, digest_size=8 * ROUNDS, person=b"dnsonde-order").digest()
        self._keys = np.frombuffer(rounds, "<i8").astype(np.int64)

    def __len__(self) -> int:
        return self.size

    def at(self, position: NDArray[np.int64]) -> I64:
        """What stands at each position of the shard; IndexError where a position is outside 0 .. size-1."""
        position = np.asarray(position, np.int64)
        if position.size and (int(position.min()) < 0 or int(position.max()) >= self.size):
            raise IndexError(f"positions go from 0 to {self.size - 1}")
        return permute.permute(position * self._shards + self._offset, self.total, self._keys)

    def position(self, index: NDArray[np.int64]) -> I64:
        """The inverse of `at`: where each index stands in this shard, -1 where it is in another or outside."""
        place = permute.permute(np.asarray(index, np.int64), self.total, self._keys, reverse=True)
        mine = (place >= 0) & (place % self._shards == self._offset)
        return np.where(mine, place // self._shards, -1)


def _total(column: U64) -> int:
    """The exact sum, which 64 bits may not hold."""
    low = int((column & np.uint64(0xFFFF_FFFF)).sum())
    return (int((column >> np.uint64(32)).sum()) << 32) + low


def _mapped(address: IPv4Address | IPv6Address) -> int:
    return int(address) | MAPPED if address.version == 4 else int(address)


def _free_bits(count: NDArray[np.int64]) -> U64:
    """Numbers with `count` (0 to 64) low bits set; numpy shifts by 64 are undefined, hence two steps."""
    half = (count // 2).astype(np.uint64)
    rest = (count - count // 2).astype(np.uint64)
    return ~((_ONES << half) << rest)


def _successor(net: U64, host: U64) -> tuple[U64, U64]:
    return np.where(host == _ONES, net + np.uint64(1), net), host + np.uint64(1)


def _predecessor(net: U64, host: U64) -> tuple[U64, U64]:
    return np.where(host == 0, net - np.uint64(1), net), host - np.uint64(1)


def _ordered(net: U64, host: U64) -> NDArray[np.int64] | U64:
    """Keys that sort and compare as the addresses do."""
    if not net.any():
        return host
    rank = np.lexsort((host, net))
    net, host = net[rank], host[rank]
    fresh = np.ones(len(net), np.int64)
    fresh[1:] = (net[1:] != net[:-1]) | (host[1:] != host[:-1])
    keys = np.empty(len(net), np.int64)
    keys[rank] = np.cumsum(fresh)
    return keys


_NONE = Ranges(*(np.zeros(0, np.uint64) for _ in range(4)))
