"""Small parts of a lake become few, beside whoever fills it, so that a lake that listened for months has hundreds.

Of each table's day, parts of like size, `MANY_ALIKE` of them, become one, which is of the next size: a row is written
anew once a size, six times at the most, and a part of `FULL` rows never again. What is left of a day that has been
quiet becomes one part, too.

A merged part is written below `.merging`, synced, and comes to its place by one rename; `snapshot` tells how that
makes the parts count no more whose rows it has, and when they are removed. Who is killed before leaves nothing that
counts, and who is killed after leaves nothing that counts twice; the next one to merge removes what is left.
"""

import fcntl
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from dnsonde.clock import Clock
from dnsonde.table.lake import Lake
from dnsonde.table.part import ROWS, TIME, in_order, write
from dnsonde.table.schema import ACCOUNT, TABLES
from dnsonde.table.snapshot import (
    LOCK,
    MANY,
    REPLACES,
    is_held,
    parts_in,
    replaced_by,
    replacing,
    retire,
    rows_of,
)
from dnsonde.table.store import with_dictionaries
from dnsonde.whole import sync

MERGING = ".merging"
MANY_ALIKE = 8
FULL = ROWS // 2
TELL_S = 1.0
MOST = 64  # parts that become one at a time
QUIET_US = 600_000_000  # without a new part, after which a day is taken for complete


class Merging:
    """Merges a lake's small parts in a thread of its own; as a context it ends when nothing is left to merge.

    What cannot be merged, since a part is damaged or the disk is full, stays as it is: who reads or fills the lake is
    told. `on_wait` hears each second for how long the end has been waited for.
    """

    def __init__(
        self, lake: Lake, clock: Clock, on_wait: Callable[[float], None] = lambda _elapsed_s: None
    ) -> None:
        self._lake = lake
        self._on_wait = on_wait
        self._clock = clock
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="merge")
        self._run: Future[None] | None = None
        self._commits = -1
        self._over = False
        self._retired: list[tuple[int, list[Path]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.settle()
        finally:
            self._over = True
            self._pool.shutdown(wait=True, cancel_futures=True)

    def wake(self) -> None:
        """Look whether there is something to merge, if something was taken in since the last look."""
        if self._lake.commits == self._commits or not (self._run is None or self._run.done()):
            return
        self._commits = self._lake.commits
        self._run = self._pool.submit(self.run)

    def settle(self) -> None:
        """Merge all that is to be merged."""
        self._wait()
        self.wake()
        self._wait()

    def _wait(self) -> None:
        if self._run is None:
            return
        began_us = self._clock.monotonic_us()
        while not wait([self._run], TELL_S).done:
            self._on_wait((self._clock.monotonic_us() - began_us) / 1e6)
        self._run.result()

    def run(self) -> None:
        """Merge what there is to merge now, unless another process does."""
        with suppress(OSError, pa.ArrowException), _alone(self._lake.folder) as room:
            if room is None:
                return
            self._remove()
            for place in _places(self._lake.folder):
                with suppress(OSError, pa.ArrowException):
                    for parts in _chosen(place, self._is_quiet(place)):
                        if self._over:
                            return
                        _merge(parts, place, room)
            self._remove()

    def _is_quiet(self, place: Path) -> bool:
        return self._clock.now_us() - place.stat().st_mtime_ns // 1000 > QUIET_US

    def _remove(self) -> None:
        """Remove parts that do not count any more, as far as nobody reads them."""
        root = self._lake.folder
        known = {part for _, parts in self._retired for part in parts}
        left = [part for place in _places(root) for part in _replaced_in(place) if part not in known]
        if left:
            self._retired.append((retire(root), left))
        while self._retired and not is_held(root, self._retired[0][0]):
            _, parts = self._retired.pop(0)
            with (root / LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                for part in parts:
                    part.unlink(missing_ok=True)


def _places(root: Path) -> Iterator[Path]:
    """Folders with parts that may be merged with each other."""
    for table in TIME:
        yield from sorted((root / table).glob("day=*"))
    if (root / ACCOUNT.name).is_dir():
        yield root / ACCOUNT.name


def _replaced_in(place: Path) -> list[Path]:
    """Those that a merged part has the rows of, and that are still there."""
    merged = sorted(place.glob(f"{MANY}*.parquet"))
    names = {name for part in merged for name in replaced_by(part)}
    return [part for name in sorted(names) if (part := place / name).exists()]


def _chosen(place: Path, quiet: bool) -> Iterator[list[Path]]:
    """Parts that are to become one, again and again, as long as there are some; each time they must be merged."""
    while True:
        small = sorted((rows, part) for part in parts_in(place) if (rows := rows_of(part)) < FULL)
        by_size: dict[int, list[tuple[int, Path]]] = defaultdict(list)
        for rows, part in small:
            by_size[_size(rows)].append((rows, part))
        alike = next(
            (parts for parts in by_size.values() if len(parts) >= MANY_ALIKE), small if quiet else []
        )
        group = _together(alike)
        if len(group) < 2:
            return
        yield group


def _size(rows: int) -> int:
    """Of like size are parts with the same of these."""
    size = 0
    while rows >= MANY_ALIKE:
        rows //= MANY_ALIKE
        size += 1
    return size


def _together(parts: Sequence[tuple[int, Path]]) -> list[Path]:
    """As many of them, from the first on, as memory holds at once."""
    chosen: list[Path] = []
    total = 0
    for rows, part in parts[:MOST]:
        total += rows
        if total > ROWS:
            break
        chosen.append(part)
    return chosen


def _merge(parts: Sequence[Path], place: Path, room: Path) -> None:
    """Make one part of several; their rows are there once at every moment."""
    table = place.name if place.name in TABLES else place.parent.name
    name = f"{MANY}{os.urandom(16).hex()}.parquet"
    rows = pa.concat_tables(_read(part, table) for part in parts)
    if table != ACCOUNT.name:
        rows = in_order(table, rows)
    write(rows, room / name, about={REPLACES: replacing(parts)})
    (room / name).rename(place / name)
    sync(place)


def _read(part: Path, table: str) -> pa.Table:
    """A part's rows, texts that repeat as dictionaries."""
    if table == ACCOUNT.name:
        with pq.ParquetFile(part) as file:
            return pa.Table.from_arrays(file.read().columns, schema=ACCOUNT.schema)
    schema = with_dictionaries(TABLES[table])
    repeating = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    with pq.ParquetFile(part, read_dictionary=repeating) as file:
        return pa.Table.from_arrays(file.read().columns, schema=schema)


@contextmanager
def _alone(root: Path) -> Iterator[Path | None]:
    """An empty room to merge in; None where another process merges, or what is in the lake is being rewritten."""
    room = root / MERGING
    room.mkdir(exist_ok=True)
    descriptor = os.open(room, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        for left in room.iterdir():  # by a process that was killed
            left.unlink()
        yield room
    finally:
        os.close(descriptor)
