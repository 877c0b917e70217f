"""Which runs and lakes lie in a folder, and how each stands. Nothing is written, and no lock is taken.

What is under way is told from what others leave on disk: a lock that `/proc/locks` shows, the state of a run as of its
last checkpoint, the parts that wait in a lake's `.incoming`. What only the working process knows is not guessed.
"""

import os
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from dnsonde.errors import DnsondeError, RunError
from dnsonde.escape import terminal
from dnsonde.findings.known import kept
from dnsonde.probe import state as states
from dnsonde.probe.narrow import FILE as SCOPE
from dnsonde.probe.narrow import settle
from dnsonde.probe.plan import Plan, load_plan
from dnsonde.probe.rounds import KINDS, rounds
from dnsonde.table import lake as lakes
from dnsonde.table import store
from dnsonde.table.schema import (
    ACCOUNT,
    FINDING,
    FLOW,
    MESSAGE,
    PROBE,
    REPLY,
    SIGHTING,
    TABLES,
    VERDICT,
    Table,
)
from dnsonde.table.snapshot import parts_in, rows_of, unmoved

DEPTH = 5  # folders within folders that are looked into
LOOKED_AT = 20_000  # folders at most

State = Literal["finished", "unjudged", "begun", "working", "empty", "damaged"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A run, a lake, or the sightings of an authority alone; key: its path below the folder, as text."""

    key: str
    folder: Path
    kind: Literal["run", "lake", "sightings"]


@dataclass(frozen=True, slots=True)
class Shelf:
    """What lies in a folder, by key; and what was not looked into, with the reason."""

    entries: dict[str, Entry]
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Round:
    """The round that a run is in: what it asks, and which of how many it is."""

    kind: str
    attempt: int
    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run or a lake stands, as far as its folder tells.

    state: finished; unjudged, all asked, no verdicts; begun, not finished and nobody at it; working, another process is
    at it; empty; damaged, `said` tells how. as_of_us: when the folder last changed. counts: rows by table, and what a
    run counts without rows (`sent`, ...). targets: addresses in scope. looked: whether somebody looked for threats in a
    lake, before it changed last or since; severities: what was found then. arriving: files that are being taken in, as
    (parts, octets) written so far.
    """

    state: State
    said: str = ""
    since_us: int | None = None
    as_of_us: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    open: int = 0
    targets: int | None = None
    round: Round | None = None
    looked: Literal["never", "before", "now"] = "never"
    severities: Mapping[str, int] = field(default_factory=dict)
    arriving: tuple[tuple[int, int], ...] = ()


def shelf(folder: Path) -> Shelf:
    """Runs and lakes in a folder and below it, in runs too, and the folder itself if it is one. Links are not followed.

    RunError where there is no such folder, or it may not be read.
    """
    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}: name one that holds runs and lakes")
    entries: dict[str, Entry] = {}
    kind = kind_of(folder)
    if kind is not None:
        name = _key(Path(folder.resolve().name or "here"))
        entries[name] = Entry(name, folder, kind)
        if kind != "run":
            return Shelf(entries)
    left_out: list[tuple[str, str]] = []
    waiting = [(folder, 0, kind)]
    looked = 0
    while waiting:
        place, depth, kind = waiting.pop()
        looked += 1
        try:
            inside = sorted((e for e in os.scandir(place) if _may_hold(e)), key=lambda e: e.name)
        except OSError as error:
            if place == folder:
                raise RunError(f"{folder} cannot be read ({error.strerror}): ask its owner for it") from error
            left_out.append((_key(place.relative_to(folder)), error.strerror or "unreadable"))
            continue
        for one in reversed(inside):
            if kind == "run" and one.name in TABLES:
                continue
            path = Path(one.path)
            found = kind_of(path)
            if found is not None:
                key = _key(path.relative_to(folder))
                entries.setdefault(key, Entry(key, path, found))
            # What came of a run may lie in it: the demo's lake does.
            if found not in {None, "run"}:
                continue
            if depth + 1 < DEPTH and looked + len(waiting) < LOOKED_AT:
                waiting.append((path, depth + 1, found))
            elif found is None:
                left_out.append((_key(path.relative_to(folder)), "too deep, or too many folders"))
    return Shelf(dict(sorted(entries.items())), tuple(left_out))


def kind_of(folder: Path) -> Literal["run", "lake", "sightings"] | None:
    """What a folder is, by what lies in it; None for any other, and for one that cannot be read."""
    try:
        if lakes.is_lake(folder):
            return "lake"
        if (folder / states.FILE).is_file() or (folder / VERDICT.name).is_dir():
            return "run"
        if (folder / SIGHTING.name).is_dir():
            return "run" if (folder / states.PLAN).is_file() else "sightings"
    except OSError:
        return None
    return None


def stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """What a folder's tables are made of now: (part, time of change, octets); another stamp, other content."""
    found = []
    for path in _parts(folder):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found.append((str(path.relative_to(folder)), status.st_mtime_ns, status.st_size))
    return tuple(sorted(found))


def require_inside(folder: Path) -> None:
    """RunError where a table, or a part of one, is a link: it may lead anywhere."""
    for name in TABLES:
        for path in (folder / name, *(folder / name).rglob("*")):
            if path.is_symlink():
                raise RunError(f"{path} is a link: put what it leads to in its place")
    for name in (states.PLAN, states.FILE, SCOPE, lakes.ABOUT):
        if (folder / name).is_symlink():
            raise RunError(f"{folder / name} is a link: put what it leads to in its place")


def standing(entry: Entry) -> Standing:
    """How it stands; what is wrong with it is told, never raised."""
    try:
        store.require_utf8(entry.folder)
        require_inside(entry.folder)
        return _lake(entry.folder) if entry.kind == "lake" else _run(entry.folder)
    except DnsondeError as error:
        return Standing("damaged", str(error), as_of_us=changed_us(entry.folder))
    except (OSError, pa.ArrowException) as error:
        said = f"{entry.folder} cannot be read ({' '.join(str(error).split())}): restore it from a copy"
        return Standing("damaged", said, as_of_us=changed_us(entry.folder))


def _run(folder: Path) -> Standing:
    kept = states.load(folder)
    counts = {table.name: _rows(folder, table) for table in (PROBE, REPLY, SIGHTING, VERDICT)}
    working = states.is_measured(folder)
    targets = number = None
    if (folder / states.PLAN).is_file():
        made_of = tuple(_changed(folder / name) for name in (states.PLAN, SCOPE))
        plan, targets = _plan(folder / states.PLAN, made_of, len(kept.exclusions) if kept else 0)
        if kept is not None and not kept.complete:
            listed = rounds(plan)
            asked = listed[min(kept.round, len(listed) - 1)]
            number = Round(
                KINDS[asked.kind], asked.attempt, min(kept.round, len(listed) - 1) + 1, len(listed)
            )
    if kept is not None:
        counts |= {name: value for name, value in kept.counts.items() if name not in counts}
    state: State
    if working:
        state = "working"
    elif kept is not None and not kept.complete:
        state = "begun"
    elif counts[VERDICT.name]:
        state = "finished"
    else:
        state = "unjudged" if counts[PROBE.name] or counts[SIGHTING.name] else "empty"
    return Standing(
        state,
        since_us=kept.started_us if kept else None,
        as_of_us=changed_us(folder),
        counts=counts,
        open=_total(folder, VERDICT, "open").get("true", 0),
        targets=targets,
        round=number,
    )


def _lake(folder: Path) -> Standing:
    lakes.check(folder)
    counts = {table.name: _rows(folder, table) for table in (MESSAGE, FLOW, ACCOUNT, FINDING)}
    arriving = tuple(
        (len(parts), sum(_size(p) for p in parts))
        for place in sorted((folder / lakes.INCOMING).glob("*"))
        if states.is_locked(place)
        for parts in [_written(place)]
    )
    known = kept(folder)
    state: State = "working" if arriving else "finished" if counts[ACCOUNT.name] else "empty"
    return Standing(
        state,
        as_of_us=changed_us(folder),
        counts=counts,
        looked="never" if known is None else "now" if known[0].is_of(folder) else "before",
        severities={} if known is None else Counter(known[1]["severity"].to_pylist()),
        arriving=arriving,
    )


def _written(place: Path) -> list[Path]:
    """The parts below a folder, which may be gone before we are through."""
    with suppress(FileNotFoundError):
        return sorted(place.rglob("part-*.parquet"))
    return []


def _may_hold(one: "os.DirEntry[str]") -> bool:
    return not one.name.startswith(".") and one.is_dir(follow_symlinks=False)


def _key(path: Path) -> str:
    """A path as text that a link can carry: what is no sign, such as a newline, and octets of no text are spelled."""
    return terminal(path.as_posix(), keep="")


def _parts(folder: Path) -> Iterator[Path]:
    with unmoved(folder):
        found = [parts_in(folder / table) for table in TABLES]
    for parts in found:
        yield from parts


def _rows(folder: Path, table: Table) -> int:
    rows = 0
    with unmoved(folder):
        for part in parts_in(folder / table.name):
            with suppress(FileNotFoundError):  # replaced while we look
                rows += rows_of(part)
    return rows


def _total(folder: Path, table: Table, column: str) -> dict[str, int]:
    """How many rows have each value of a column of few values."""
    found: dict[str, int] = {}
    for path, changed, size in _kept(folder, table):
        for value, rows in _values(path, changed, size, column):
            found[value] = found.get(value, 0) + rows
    return found


def _kept(folder: Path, table: Table) -> Iterator[tuple[str, int, int]]:
    for path in parts_in(folder / table.name):
        try:
            status = path.stat()
        except FileNotFoundError:  # replaced while we look
            continue
        yield str(path), status.st_mtime_ns, status.st_size


@lru_cache(maxsize=256)
def _plan(path: Path, _made_of: Hashable, _exclusions: int) -> tuple[Plan, int | None]:
    """A run's plan, and of how many addresses it is, once: a tenth of a second for a wide one.

    The others are what else that depends on: the files as they were, and how often addresses were excluded since.
    """
    plan = load_plan(path)
    return plan, plan.scope().size if settle(path.parent, plan) else None


@lru_cache(maxsize=5_000)
def _values(path: str, _changed: int, _size: int, column: str) -> tuple[tuple[str, int], ...]:
    with pq.ParquetFile(path) as file:
        counted = file.read([column]).column(0).value_counts().to_pylist()
    return tuple((str(c["values"]).lower(), int(c["counts"])) for c in counted)


def _changed(path: Path) -> tuple[int, int] | None:
    """When a file changed, and its octets; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def changed_us(folder: Path) -> int:
    """When something in a folder last changed, as far as its own and its tables' folders tell."""
    times = [0]
    for path in (folder, folder / states.FILE, *(folder / name for name in TABLES)):
        try:
            times.append(path.stat().st_mtime_ns // 1000)
        except OSError:
            continue
    return max(times)
