"""Ranges of addresses within ranges: which is the narrowest that holds one."""

from bisect import bisect_right
from collections.abc import Iterable

from dnsonde.owners.owner import NOBODY, Address, Entry, Owner


class Prefixes:
    """Ranges within ranges; the narrowest tells, and what it does not know the wider one does."""

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

    for entry in sorted(entries, key=lambda e: (int(e.first), -int(e.last))):
        first, last = int(entry.first), int(entry.last)
        close(first)
        inside = entry.owner.or_else(open_[-1][1]) if open_ else entry.owner
        change(first, inside)
        # Ranges that overlap without one holding the other: the later ends with the earlier.
        open_.append((min(last, open_[-1][0]) if open_ else last, inside))
    close(None)
    return starts, owners
