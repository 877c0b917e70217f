"""One bit a target, in a file that has no name: memory only for what is in use, nothing left behind."""

import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dnsonde.errors import SystemRefusal

RESERVED = 1 << 30  # octets up to which the disk must have the room from the beginning


class Bitmap:
    """Bits 0 .. size-1, all clear at first; `count` of them are set. `bits`: uint8, eight each, the lowest first.

    SystemRefusal where the file cannot be had.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.size, self.count = size, 0
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                octets = max((size + 7) // 8, 1)
                file.truncate(octets)
                if octets <= RESERVED:
                    # A page of a hole that finds the disk full is no error but the end of the process (SIGBUS).
                    os.posix_fallocate(file.fileno(), 0, octets)
                self.bits = np.memmap(file, np.uint8, "r+").view(np.ndarray)
        except OSError as error:
            raise SystemRefusal(
                f"cannot keep {size:,} bits in {folder} ({error.strerror}): free some space, or choose another folder"
            ) from error

    def get(self, index: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which bits (positions int64) are set."""
        found: NDArray[np.bool_] = (self.bits[index >> 3] >> (index & 7).astype(np.uint8) & 1).view(np.bool_)
        return found

    def set(self, index: NDArray[np.int64]) -> int:
        """Set bits; tell how many were clear. Positions may repeat."""
        clear = index[~self.get(index)]
        if len(clear) == 0:
            return 0  # duplicates and late replies
        clear.sort()
        fresh = 1 + int(np.count_nonzero(clear[1:] != clear[:-1]))
        np.bitwise_or.at(self.bits, clear >> 3, np.uint8(1) << (clear & 7).astype(np.uint8))
        self.count += fresh
        return fresh
