"""How many probes are under way: sent, not answered, not timed out."""

import numpy as np
from numpy.typing import NDArray

from dnsonde.probe._bitmap import Bitmap

I64 = NDArray[np.int64]


class Window:
    """Holds one round's probes under way to at most `limit`, so that no state table on the way fills up.

    A probe leaves with its first reply to `attempt` and `kind`, whatever that says, or when its time is up.
    """

    def __init__(self, limit: int, heard: Bitmap, kind: int, attempt: int) -> None:
        self._limit, self.heard, self.kind, self.attempt = limit, heard, kind, attempt
        self._under_way = 0

    @property
    def room(self) -> int:
        """How many more may be sent now; none until a quarter of the limit is free, as batches are cheaper."""
        free = self._limit - self._under_way
        return free if 4 * free >= self._limit else 0

    def sent(self, count: int) -> None:
        """So many were sent."""
        self._under_way += count

    def answered(self, count: int) -> None:
        """So many have replied for the first time: their bits in `heard` were clear, and are set now."""
        self.heard.count += count
        self._leave(count)

    def over(self, index: I64) -> None:
        """The time of the probes to these targets, positions in the scope, is up."""
        self._leave(int(np.count_nonzero(~self.heard.get(index))))

    def _leave(self, count: int) -> None:
        # A late reply to an earlier probe with the same name may have been counted already.
        self._under_way = max(self._under_way - count, 0)
