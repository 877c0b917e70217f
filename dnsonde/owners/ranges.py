"""Ranges of addresses within ranges: which is the narrowest that holds one."""

from bisect import bisect_right
from collections.abc import Iterable

from dnsonde.owners.facts import NOTHING, Address, Entry, Facts


class Prefixes:
    """Ranges within ranges; the narrowest tells, and what it does not know the wider one does."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        parts: dict[int, list[Entry]] = {4: [], 6: []}
        for entry in entries:
            parts[entry.first.version].append(entry)
        self._flat = {version: _flat(listed) for version, listed in parts.items()}

    def find(self, address: Address) -> tuple[int, Facts]:
        """See `Source`."""
        starts, facts = self._flat[address.version]
        at = bisect_right(starts, int(address))
        last = starts[at] - 1 if at < len(starts) else (1 << address.max_prefixlen) - 1
        return last, facts[at - 1] if at else NOTHING


def _flat(entries: list[Entry]) -> tuple[list[int], list[Facts]]:
    """Where what is known changes, and what is known from there."""
    starts: list[int] = []
    facts: list[Facts] = []
    open_: list[tuple[int, Facts]] = []

    def change(start: int, to: Facts) -> None:
        if starts and starts[-1] == start:
            facts[-1] = to
        else:
            starts.append(start)
            facts.append(to)

    def close(before: int | None) -> None:
        while open_ and (before is None or open_[-1][0] < before):
            last, _ = open_.pop()
            change(last + 1, open_[-1][1] if open_ else NOTHING)

    for entry in sorted(entries, key=lambda e: (int(e.first), -int(e.last))):
        first, last = int(entry.first), int(entry.last)
        close(first)
        inside = entry.facts.or_else(open_[-1][1]) if open_ else entry.facts
        change(first, inside)
        # Ranges that overlap without one holding the other: the later ends with the earlier.
        open_.append((min(last, open_[-1][0]) if open_ else last, inside))
    close(None)
    return starts, facts
