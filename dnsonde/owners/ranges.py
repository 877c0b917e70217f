"""Ranges of addresses within ranges: which is the narrowest that holds one."""

from bisect import bisect_right
from collections.abc import Iterable
from functools import reduce
from itertools import groupby

from dnsonde.owners.owner import NOBODY, Address, Entry, Owner


class Prefixes:
    """Ranges within ranges; the narrowest tells, of equal ones the first; what it does not know the next one does."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        parts: dict[int, list[Entry]] = {4: [], 6: []}
        for entry in entries:
            parts[entry.first.version].append(entry)
        self._flat = {version: _flat(listed) for version, listed in parts.items()}

    def find(self, address: Address) -> tuple[int, Owner]:
        """See `Source`."""
        starts, owners = self._flat[address.version]
        at = bisect_right(starts, int(address))
        last = starts[at] - 1 if at < len(starts) else (1 << address.max_prefixlen) - 1
        return last, owners[at - 1] if at else NOBODY


def _place(entry: Entry) -> tuple[int, int]:
    """Where a range stands: before those that are in it."""
    return int(entry.first), -int(entry.last)


def _flat(entries: list[Entry]) -> tuple[list[int], list[Owner]]:
    """Where what is known changes, and what is known from there."""
    starts: list[int] = []
    owners: list[Owner] = []
    open_: list[tuple[int, Owner]] = []

    def change(start: int, to: Owner) -> None:
        if starts and starts[-1] == start:
            owners[-1] = to
        else:
            starts.append(start)
            owners.append(to)

    def close(before: int | None) -> None:
        while open_ and (before is None or open_[-1][0] < before):
            last, _ = open_.pop()
            change(last + 1, open_[-1][1] if open_ else NOBODY)

    for (first, negative), equal in groupby(sorted(entries, key=_place), _place):
        last = -negative
        close(first)
        inside = reduce(Owner.or_else, (entry.owner for entry in equal))
        if open_:
            inside = inside.or_else(open_[-1][1])
        change(first, inside)
        # Ranges that overlap without one holding the other: the later ends with the earlier.
        open_.append((min(last, open_[-1][0]) if open_ else last, inside))
    close(None)
    return starts, owners
