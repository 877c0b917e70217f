"""A keyed permutation of 0 .. size-1, and positions in a sorted list of address ranges.

Everything is int64, as numba makes floats of mixed signs; bits are what counts, and sums may wrap.
"""

from typing import Any

from dnsonde.wire._kernels.jit import helper, kernel

_MIX1 = -0x61C8864680B583EB  # 2^64 / golden ratio, odd
_MIX2 = -0x4B47D0C55E6A21B7
_LOW = 0xFFFF_FFFF
_TOP = -0x8000_0000_0000_0000  # flips signed order into unsigned order


@helper
def _scatter(half: int, key: int) -> int:
    """The round function: every bit of `half` and `key` reaches the upper bits, which are what is used."""
    x = (half ^ key) * _MIX1
    x = (x ^ ((x >> 32) & _LOW)) * _MIX2
    return x ^ ((x >> 29) & 0x7_FFFF_FFFF)


@kernel
def permute_values(values: Any, size: int, bits: int, keys: Any, reverse: bool, out: Any) -> None:
    """Map each of `values` (0 <= v < size <= 2**bits) to its place, or back; -1 where it is outside.

    An unbalanced Feistel network over `bits` bits (Luby and Rackoff 1988), its two parts changed in turn, one
    round a key; what lands at or above `size` goes round again (cycle walking; Black and Rogaway 2002),
    less than twice on average.
    """
    low_bits = (bits + 1) // 2
    low_mask = (1 << low_bits) - 1
    high_mask = (1 << (bits - low_bits)) - 1
    rounds = keys.size
    for i in range(values.size):
        x = values[i]
        if x < 0 or x >= size:
            out[i] = -1
            continue
        while True:
            low = x & low_mask
            high = x >> low_bits
            for r in range(rounds):
                k = rounds - 1 - r if reverse else r
                if k & 1:
                    high ^= (_scatter(low, keys[k]) >> 31) & high_mask
                else:
                    low ^= (_scatter(high, keys[k]) >> 31) & low_mask
            x = high << low_bits | low
            if x < size:
                break
        out[i] = x


@kernel
def range_addresses(index: Any, start: Any, first: Any, out: Any) -> None:
    """The address at each position of the ranges laid end to end; 0/0 where `index` is outside.

    start: i8 (ranges + 1), position of each range's first address, then the total; first: ADDRESS (ranges,).
    """
    last = start.size - 1
    for i in range(index.size):
        at = index[i]
        if at < 0 or at >= start[last]:
            out[i].net = 0
            out[i].host = 0
            continue
        low, high = 0, last
        while high - low > 1:
            middle = (low + high) >> 1
            if start[middle] <= at:
                low = middle
            else:
                high = middle
        net, begin = first[low].net, first[low].host
        host = begin + (at - start[low])
        if (host ^ _TOP) < (begin ^ _TOP):
            net += 1
        out[i].net = net
        out[i].host = host


@helper
def range_position(net: int, host: int, start: Any, first: Any) -> int:
    """The position of one address, -1 where no range has it."""
    low, high = -1, start.size - 1  # the last range that begins at or before the address
    while high - low > 1:
        middle = (low + high) >> 1
        there = first[middle].net ^ _TOP
        same = there == net ^ _TOP
        if there < net ^ _TOP or (same and (first[middle].host ^ _TOP) <= (host ^ _TOP)):
            low = middle
        else:
            high = middle
    if low < 0:
        return -1
    step = host - first[low].host
    carry = 1 if (host ^ _TOP) < (first[low].host ^ _TOP) else 0
    if net - first[low].net - carry == 0 and 0 <= step < start[low + 1] - start[low]:
        place: int = start[low] + step
        return place
    return -1


@kernel
def range_positions(addresses: Any, start: Any, first: Any, out: Any) -> None:
    """The inverse of `range_addresses`: the position of each address, -1 where no range has it."""
    for i in range(addresses.size):
        out[i] = range_position(addresses[i].net, addresses[i].host, start, first)
