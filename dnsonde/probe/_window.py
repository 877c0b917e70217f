"""How many probes are under way: sent, not answered, not timed out."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from dnsonde.probe._bitmap import Bitmap

I64 = NDArray[np.int64]
USED = 0.75  # of the limit, at least, while there is somebody to ask


class Window:
    """Holds the probes under way to at most `limit`, so that no state table on the way fills up.

    A probe leaves with its first reply to the round's `attempt` and `kind`, whatever that says, or when its time,
    `timeout_us`, is up; one of a round before this with that alone. `heard`: who has replied in this round. Times are
    monotonic.
    """

    heard: Bitmap
    kind: int
    attempt: int

    def __init__(self, limit: int, timeout_us: int) -> None:
        self._limit, self._timeout_us = limit, timeout_us
        self._under_way = 0
        self._batches: deque[tuple[int, I64, Bitmap]] = deque()

    def begin(self, heard: Bitmap, kind: int, attempt: int) -> None:
        """Go on to a round; what is under way stays so."""
        self.heard, self.kind, self.attempt = heard, kind, attempt

    @property
    def room(self) -> int:
        """How many more may be sent now; none until a quarter of the limit is free, as batches are cheaper."""
        free = self._limit - self._under_way
        return free if free >= (1 - USED) * self._limit else 0

    def sent(self, index: I64, now_us: int) -> None:
        """Probes to these targets, positions in the scope, were sent."""
        self._under_way += len(index)
        self._batches.append((now_us, index, self.heard))

    def answered(self, count: int) -> None:
        """So many have replied for the first time: their bits in `heard` were clear, and are set now."""
        self.heard.count += count
        self._leave(count)

    def expire(self, now_us: int) -> None:
        """Let those leave whose time is up."""
        while self._batches and self._batches[0][0] + self._timeout_us <= now_us:
            _, index, heard = self._batches.popleft()
            self._leave(int(np.count_nonzero(~heard.get(index))))

    def _leave(self, count: int) -> None:
        # A late reply to an earlier probe with the same name may have been counted already.
        self._under_way = max(self._under_way - count, 0)
