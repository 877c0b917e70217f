"""Questions that hosts have put to the authority and not had answered: 65,536 at most, one a DNS id."""

import numpy as np
from numpy.typing import NDArray

from dnsonde.lab.behavior import HOST

IDS = 1 << 16
OCTETS_MAX = 320  # of a request or a query that is kept: a name has at most 255
PARTIAL_MAX = 1024  # octets of CNAME records collected on the way
FREE = np.iinfo(np.int64).max

FINAL, MINIMISED, SIDE = 1, 2, 3  # stages: the client's own question; a shorter one before; one for nobody

PENDING = np.dtype(
    [
        ("stage", "u1"),  # 0: free
        ("tries", "u1"),
        ("host", HOST),
        ("client_host", "i8"),
        ("client_port", "u2"),
        ("request_length", "i4"),
        ("end", "u2"),  # where the request's question ends
        ("edns_size", "u2"),  # that the client offered; 0: none
        ("egress", "u4"),  # address that this query left from
        ("query_end", "u2"),
        ("query_length", "i4"),
        ("partial_length", "u2"),  # octets of CNAME records found so far
        ("partial_count", "u1"),
        ("owner", "u2"),  # pointer to the last of their targets
    ]
)


def taken(rows: NDArray[np.void], places: NDArray[np.integer] | NDArray[np.bool_]) -> NDArray[np.void]:
    """`rows[places]` of whole records; NumPy would copy them a field at a time, which takes twenty times as long."""
    whole: NDArray[np.void] = rows.view(f"V{rows.itemsize}")[places].view(rows.dtype)
    return whole


class Pending:
    """The table; an id is used again after 65,535 others, whether it was answered or not.

    forgotten: questions whose place was taken before an answer came.
    """

    def __init__(self) -> None:
        self.entry = np.zeros(IDS, PENDING)
        self.asked_us = np.full(IDS, FREE, np.int64)
        # Uninitialised: only what is used costs memory.
        self.request = np.empty((IDS, OCTETS_MAX), np.uint8)
        self.query = np.empty((IDS, OCTETS_MAX), np.uint8)
        self.partial = np.empty((IDS, PARTIAL_MAX), np.uint8)
        self.forgotten = 0
        self._next = 0
        self._first = np.zeros(IDS, np.int32)

    def open(self, count: int, now_us: int) -> NDArray[np.int64]:
        """Ids for `count` new questions, by turns."""
        ids = (self._next + np.arange(count)) & (IDS - 1)
        self._next = (self._next + count) & (IDS - 1)
        self.forgotten += int(np.count_nonzero(self.asked_us[ids] != FREE))
        self.asked_us[ids] = now_us
        return ids

    def keep(self, ids: NDArray[np.int64], entry: NDArray[np.void]) -> None:
        """What is remembered of these questions."""
        whole = f"V{PENDING.itemsize}"  # see `taken`
        self.entry.view(whole)[ids] = entry.view(whole)

    def close(self, ids: NDArray[np.int64]) -> None:
        """These are answered."""
        self.asked_us[ids] = FREE
        self.entry["stage"][ids] = 0

    def first_of_each(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these ids has not come earlier in the array: of two copies of an answer, one counts."""
        place = np.arange(len(ids), dtype=np.int32)
        self._first[ids[::-1]] = place[::-1]
        first: NDArray[np.bool_] = self._first[ids] == place
        return first

    def overdue(self, before_us: int) -> NDArray[np.int64]:
        """Ids asked before that time and still without an answer."""
        return np.flatnonzero(self.asked_us < before_us)
