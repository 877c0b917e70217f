"""What happens to datagrams on their way: loss, doubling, delay and overtaking, in one direction.

Chance is a hash of what the datagram is (seed, direction, host, DNS id, what it is of), not of when it came:
the same probes meet the same fate in every run.
"""

import numpy as np
from numpy.typing import NDArray

from dnsonde.lab.behavior import U64, draw, threshold
from dnsonde.lab.scenario import Link
from dnsonde.net.udp import DATAGRAM

Rows = tuple[NDArray[np.uint8], NDArray[np.void]]  # data (n, width), DATAGRAM (n,)
_LEAST_WIDTH = 32
FOREVER = np.iinfo(np.int64).max


class Calendar:
    """Datagrams that wait for their time: at most `capacity`, each of up to `width` octets.

    Sorted by time, so that taking what is due is a slice; what does not fit is counted in `refused`.
    """

    def __init__(self, capacity: int, width: int) -> None:
        # Left uninitialised: pages that no datagram ever lies in cost nothing.
        self._data = np.empty((capacity, width), np.uint8)
        self._meta = np.empty(capacity, DATAGRAM)
        self._free = np.arange(capacity - 1, -1, -1, dtype=np.int32)
        self._free_count = capacity
        self._due = np.empty(0, np.int64)
        self._slot = np.empty(0, np.int32)
        self.refused = 0

    def __len__(self) -> int:
        return len(self._slot)

    @property
    def next_us(self) -> int:
        """When the first one is due; FOREVER when there is none."""
        return int(self._due[0]) if len(self._due) else FOREVER

    def put(self, data: NDArray[np.uint8], meta: NDArray[np.void], due_us: NDArray[np.int64]) -> None:
        """Keep rows (n, any width), their DATAGRAM rows, until `due_us`."""
        count = min(len(meta), self._free_count)
        self.refused += len(meta) - count
        if count == 0:
            return
        slot = self._free[self._free_count - count : self._free_count].copy()
        self._free_count -= count
        width = int(meta["length"][:count].max())
        self._data[slot, :width] = data[:count, :width]
        self._meta[slot] = meta[:count]
        order = np.argsort(due_us[:count], kind="stable")
        due = due_us[:count][order]
        place = np.searchsorted(self._due, due, side="right")
        self._due = np.insert(self._due, place, due)
        self._slot = np.insert(self._slot, place, slot[order])

    def take(self, now_us: int, limit: int) -> Rows:
        """Rows that are due, in order of time, at most `limit`."""
        count = min(int(np.searchsorted(self._due, now_us, side="right")), limit)
        slot = self._slot[:count]
        meta = self._meta[slot]
        # Never narrower than what looks at rows wants to see, however short they are.
        width = max(int(meta["length"].max()), _LEAST_WIDTH) if count else _LEAST_WIDTH
        data = self._data[slot, :width]
        self._free[self._free_count : self._free_count + count] = slot
        self._free_count += count
        self._due, self._slot = self._due[count:], self._slot[count:]
        return data, meta


class Leg:
    """One direction: `send` gives what arrives at once, `due` what arrives now.

    lost, doubled, held: datagrams so far; a Leg that delivers everything at once gives back what it got.
    """

    def __init__(self, link: Link, seed: int, salt: int, *, capacity: int, width: int) -> None:
        self.link = link
        self.waiting = Calendar(capacity, width)
        self.lost = self.doubled = self.held = 0
        self._seed, self._salt = seed, salt
        self._loss, self._duplicate, self._reorder = map(threshold, (link.loss, link.duplicate, link.reorder))

    def send(
        self,
        data: NDArray[np.uint8],
        meta: NDArray[np.void],
        key: U64,
        now_us: int,
        extra_us: NDArray[np.integer] | None = None,
    ) -> Rows:
        """What arrives at once of these rows; `key` names each datagram, `extra_us` adds to its delay."""
        if self.link.clear and extra_us is None:
            return data, meta
        bits = draw(self._seed, self._salt, key)
        if self._loss or self._duplicate:
            kept = np.flatnonzero(_part(bits, 0) >= self._loss)
            self.lost += len(meta) - len(kept)
            twice = kept[_part(bits, 1)[kept] < self._duplicate]
            self.doubled += len(twice)
            index = np.concatenate([kept, twice])
            copy = np.arange(len(index)) >= len(kept)
        else:
            index = np.arange(len(meta))
            copy = np.zeros(len(index), np.bool_)
        delay = np.zeros(len(index), np.int64)
        # A copy takes a way of its own.
        ways = np.where(copy, draw(self._seed, self._salt + 16, key)[index], bits[index])
        link = self.link
        if link.delay_ms or link.jitter_ms:
            delay += (1000 * (link.delay_ms + link.jitter_ms * _part(ways, 2) / 65536)).astype(np.int64)
        if self._reorder:
            delay += np.where(_part(ways, 3) < self._reorder, int(link.reorder_ms * 1000), 0)
        if extra_us is not None:
            delay += extra_us[index]
        later = delay > 0
        if later.any():
            late = index[later]
            self.held += len(late)
            self.waiting.put(data[late], meta[late], now_us + delay[later])
            index = index[~later]
        return data[index], meta[index]

    def due(self, now_us: int, limit: int) -> Rows:
        """Held rows whose time has come, at most `limit`."""
        return self.waiting.take(now_us, limit)


def _part(bits: U64, which: int) -> NDArray[np.int64]:
    """16 of the 64 bits."""
    return ((bits >> np.uint64(16 * which)) & np.uint64(0xFFFF)).astype(np.int64)
