"""What of a lake's findings is news to those who were told before.

A lake grows, and what goes on in it is found again, larger. A finding is of an event that was told when detector,
subject and kind are the same, and their times overlap or are no further apart than the detector's `gap_s`, or an hour.
It is news when its event was never told, or is worse now, or its count has passed a power of ten since.

What was told stands in LAKE/told.jsonl, an event a line, and moves by `note` alone, once somebody has read it: who is
killed in between tells it again.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from dnsonde.choices import SEVERITIES
from dnsonde.clock import moment
from dnsonde.findings.about import About
from dnsonde.lang.words import KINDS
from dnsonde.table.store import refusal
from dnsonde.whole import put

FILE = "told.jsonl"
GAP_S = 3600  # of detectors that have none of their own
GONE_MAX = 100_000  # events told that are not found now: days are deleted, questions narrowed, and come back

Row = Mapping[str, Any]
Key = tuple[str, str, str]  # detector, subject, kind


class Event(msgspec.Struct, frozen=True):
    """An event as it was told.

    event: its name, for good; known_since: when it was told first, RFC 3339; first_seen, last_seen: microseconds since
    1970 UTC; count, severity: the most that was told.
    """

    event: str
    known_since: str
    detector: str
    subject: str
    kind: str
    first_seen: int
    last_seen: int
    count: int
    severity: Literal["info", "low", "medium", "high", "critical"]


def told(folder: Path) -> list[Event]:
    """The events of a lake that were told; none where that is not known, so that they are told again."""
    try:
        return msgspec.json.Decoder(Event).decode_lines((folder / FILE).read_bytes())
    except (OSError, ValueError):
        return []


def news(events: Sequence[Event], findings: Sequence[Row], detectors: Mapping[str, About]) -> list[bool]:
    """Of each finding, whether it is news after those events."""
    fresh = [True] * len(findings)
    for _, before, now in _chains(events, findings, detectors):
        if before:
            digits = max(len(str(one.count)) for one in before)
            worst = max(_level(one.severity) for one in before)
            for n in now:
                count, severity = findings[n]["count"], findings[n]["severity"]
                fresh[n] = len(str(count)) > digits or _level(severity) > worst
    return fresh


def note(folder: Path, findings: Sequence[Row], detectors: Mapping[str, About], now_us: int) -> None:
    """Note that these findings were told, now or before; SystemRefusal where nothing can be written."""
    found, gone = [], []
    for key, before, now in _chains(told(folder), findings, detectors):
        if now:
            found.append(_event(key, before, [findings[n] for n in now], now_us))
        else:
            gone += before
    gone.sort(key=lambda one: one.last_seen)
    _write(folder, [*gone[-GONE_MAX:], *found])


def _chains(
    events: Sequence[Event], findings: Sequence[Row], detectors: Mapping[str, About]
) -> Iterator[tuple[Key, list[Event], list[int]]]:
    """What is one event: those that were told, and the findings by number."""
    # What the title names is another event's where it is another.
    kinds = {name: [kind for kind in KINDS if f"{{{kind}}}" in one.title] for name, one in detectors.items()}
    alike: dict[Key, list[tuple[int, int, Event | int]]] = defaultdict(list)
    for event in events:
        alike[event.detector, event.subject, event.kind].append((event.first_seen, event.last_seen, event))
    for number, row in enumerate(findings):
        evidence = json.loads(row["evidence"])
        kind = " ".join(str(evidence.get(name)) for name in kinds.get(row["detector"], ()))
        alike[row["detector"], row["subject"], kind].append((row["first_seen"], row["last_seen"], number))
    gaps_us = {name: _gap_us(one) for name, one in detectors.items()}
    for key, spans in alike.items():
        gap_us = gaps_us.get(key[0], GAP_S * 1_000_000)
        before: list[Event] = []
        now: list[int] = []
        reached = None
        for first, last, one in sorted(spans, key=lambda span: span[:2]):
            if reached is not None and first - reached > gap_us:
                yield key, before, now
                before, now, reached = [], [], None
            if isinstance(one, Event):
                before.append(one)
            else:
                now.append(one)
            reached = last if reached is None else max(reached, last)
        yield key, before, now


def _event(key: Key, before: Sequence[Event], rows: Sequence[Row], now_us: int) -> Event:
    first = min([one.first_seen for one in before] + [row["first_seen"] for row in rows])
    eldest = min(before, key=lambda one: (one.known_since, one.first_seen), default=None)
    name = hashlib.sha256(json.dumps([*key, first]).encode()).hexdigest()[:12]
    return Event(
        eldest.event if eldest else name,
        eldest.known_since if eldest else _rfc3339(now_us),
        *key,
        first,
        max([one.last_seen for one in before] + [row["last_seen"] for row in rows]),
        max([one.count for one in before] + [row["count"] for row in rows]),
        max([one.severity for one in before] + [row["severity"] for row in rows], key=_level),
    )


def _gap_us(detector: About) -> int:
    own = next((p.default for p in detector.parameters if p.name == "gap_s"), GAP_S)
    return int(own) * 1_000_000


def _level(severity: str) -> int:
    return SEVERITIES.index(severity)


def _rfc3339(time_us: int) -> str:
    return f"{moment(time_us):%Y-%m-%dT%H:%M:%SZ}"


def _write(folder: Path, events: Sequence[Event]) -> None:
    try:
        put(folder / FILE, msgspec.json.Encoder().encode_lines(events))
    except OSError as error:
        raise refusal(folder, error) from error
