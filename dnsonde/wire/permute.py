"""Random-looking orders in constant memory, and the ranges of addresses that they run over."""

import numpy as np
from numpy.typing import NDArray

from dnsonde.wire._arrays import frozen
from dnsonde.wire.batch import ADDRESS

MOST = 1 << 62  # what can be permuted; positions and sums stay within int64

I64 = NDArray[np.int64]


def permute(values: I64, size: int, keys: I64, *, reverse: bool = False) -> I64:
    """Where each of `values` goes in the permutation of 0 .. size-1 that `keys` select; `reverse` undoes it.

    values: int64 (n,); a value outside gives -1. keys: int64, one a round, eight or more of them for a
    permutation without visible structure. ValueError when `size` is not in 1 .. MOST.
    """
    if not 0 < size <= MOST:
        raise ValueError(f"{size} things cannot be permuted: 1 to 2**62 can")
    from dnsonde.wire._kernels import permute as kernel  # noqa: PLC0415 - compiled code is slow to load, and who reads a plan needs none

    out = np.empty(len(values), np.int64)
    bits = (size - 1).bit_length()
    kernel.permute_values(frozen(values, np.int64), size, bits, frozen(keys, np.int64), bool(reverse), out)
    return out


def range_addresses(index: I64, start: I64, first: NDArray[np.void]) -> NDArray[np.void]:
    """The address (ADDRESS) at each position; 0/0 where the position is outside.

    start: int64 (ranges + 1,), ascending, position of each range's first address and then the total;
    first: ADDRESS (ranges,), ascending as unsigned numbers.
    """
    from dnsonde.wire._kernels import permute as kernel  # noqa: PLC0415 - see `permute`

    out = np.zeros(len(index), ADDRESS)
    kernel.range_addresses(frozen(index, np.int64), frozen(start, np.int64), frozen(first, ADDRESS), out)
    return out


def range_positions(addresses: NDArray[np.void], start: I64, first: NDArray[np.void]) -> I64:
    """The position (int64) of each address, -1 where no range has it; the inverse of `range_addresses`."""
    from dnsonde.wire._kernels import permute as kernel  # noqa: PLC0415 - see `permute`

    out = np.empty(len(addresses), np.int64)
    kernel.range_positions(frozen(addresses, ADDRESS), frozen(start, np.int64), frozen(first, ADDRESS), out)
    return out


def warm() -> None:
    """Compile each kernel, or load it from the cache."""
    one, first = np.zeros(1, np.int64), np.zeros(1, ADDRESS)
    permute(one, 1, one)
    range_addresses(one, np.array([0, 1]), first)
    range_positions(first, np.array([0, 1]), first)
