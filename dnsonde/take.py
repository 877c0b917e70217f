"""Taking files into a lake: each read once, accounted for to the last packet, and visible as a whole or not at all."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from dnsonde import errors
from dnsonde.clock import Clock
from dnsonde.errors import DnsondeError, OtherLog, SystemRefusal, UsageError
from dnsonde.formats._contract import Account, Options
from dnsonde.formats._reading import Reading
from dnsonde.net.frames import listens
from dnsonde.stopping import between_waits, deferred
from dnsonde.table import engine
from dnsonde.table.lake import Lake, is_lake
from dnsonde.table.merge import Merging

STDIN = "-"
OPTIONS = Options(repeating=True)
TELL_EVERY_US = 200_000
FORETELL_S, FORETELL_SHARE = 2.0, 0.01  # until then the hash of a file is most of what it took
PART_S = 60.0  # of what is heard on a socket, until it can be looked into


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a piece of work is.

    phase: reading, merging (what was read before, into few parts), preparing (a detector's query, made once after an
    installation) or looking; item: what is read or looked for; done, total: octets or detectors; total 0, left_s None:
    nobody knows; messages: of the file that is read.
    """

    phase: str
    item: str
    done: int
    total: int
    messages: int
    rate: float
    elapsed_s: float
    left_s: float | None

    def as_dict(self) -> dict[str, str | float | None]:
        """Plain values by name, for machines."""
        return asdict(self)


@dataclass(slots=True)
class Taken:
    """What was read: accounts of files, those that were in the lake before, and those of no format with the reason."""

    accounts: list[dict[str, Any]] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @property
    def first_reason(self) -> str:
        """Why the first of them was not read."""
        return self.skipped[0][1] if self.skipped else "it is empty"


Told = Callable[[Progress], None]


def ingest(
    paths: Sequence[str],
    folder: Path,
    clock: Clock,
    on_progress: Told,
    engine_name: str = "duckdb",
    options: Options = OPTIONS,
) -> Taken:
    """Read files, and folders of files, into a lake; each file's rows become visible together.

    A file that was named must be readable and of a known format; in a folder what is not is told in `skipped`, as are
    Zeek's other logs where some are read (`*.log`).
    With Spark many files are read at once, one a core; the lake is the same. A socket is listened on, after the files,
    until somebody interrupts: one sender after another, what came visible PART_S later. Small parts become large ones
    beside it; see `table.merge`.
    """
    files = files_of(paths)
    sockets = [path for path, _ in files if listens(path)]
    files = known_of(files)
    if engine_name != "duckdb" and any(_comes_once(path) for path, _ in files):
        raise UsageError("standard input, pipes and sockets are for one reader alone: leave --engine out")
    lake = Lake(folder, create=True)
    lake.clean()

    def waiting(elapsed_s: float) -> None:
        on_progress(Progress("merging", "small parts", 0, 0, 0, 0.0, elapsed_s, None))

    with Merging(lake, clock, waiting) as merging:
        if engine_name != "duckdb":
            with engine.connected(engine_name) as connection:
                return _take_spread(files, lake, connection, clock, on_progress, options)
        named = [f for f in files if f[0] not in sockets]
        taken = take(named, lake, clock, on_progress, options, merging.wake)
        for path in sockets:
            _listen(path, taken, lake, clock, on_progress, options, merging.wake)
        return taken


def on_ports(ports: Sequence[int]) -> Options:
    """How files are read when DNS is spoken on those ports too."""
    return replace(OPTIONS, ports=tuple(sorted({*OPTIONS.ports, *ports})))


def take(
    files: Sequence[tuple[str, bool]],
    lake: Lake,
    clock: Clock,
    on_progress: Told,
    options: Options,
    on_taken: Callable[[], None] = lambda: None,
) -> Taken:
    """Take files in (see `files_of`), one after the other, small ones together; `on_taken` is called after each."""
    with lake.together():
        return _take(files, lake, clock, on_progress, options, on_taken)


def _take(
    files: Sequence[tuple[str, bool]],
    lake: Lake,
    clock: Clock,
    on_progress: Told,
    options: Options,
    on_taken: Callable[[], None],
) -> Taken:
    taken = Taken()
    pace = _Pace(clock, on_progress, sum(_size(path) for path, _ in files))
    for path, named in files:
        try:
            reading = Reading(path, options)
        except DnsondeError as error:
            if named:
                raise
            taken.skipped.append((path, str(error)))
            pace.done(_size(path))
            continue
        with reading:
            if _comes_once(path):  # its first octets alone do not make it known
                reading.account.file = os.urandom(16).hex()
            row = _take_one(path, reading, lake, partial(pace.tell, path))
            if row is None:
                taken.known.append(path)
            else:
                taken.accounts.append(row)
            pace.done(reading.size or reading.consumed)
            on_taken()
    return taken


def _listen(
    path: str,
    taken: Taken,
    lake: Lake,
    clock: Clock,
    on_progress: Told,
    options: Options,
    on_taken: Callable[[], None],
) -> None:
    """Keep what senders tell on a socket, one after the other, in parts that become visible, until interrupted."""
    pace = _Pace(clock, on_progress, 0)
    heard = Account("", path, "dnstap")
    over = False
    with between_waits():
        while not over:
            with Reading(path, options) as reading:
                rows = iter(reading)
                while _take_part(reading, rows, lake, clock, pace, heard):
                    on_taken()
                on_taken()
                pace.done(reading.consumed)
                over = reading.stream.interrupted
    if heard.packets or heard.notes:
        taken.accounts.append(heard.row())


def _take_part(
    reading: Reading,
    rows: Iterator[tuple[str, pa.RecordBatch]],
    lake: Lake,
    clock: Clock,
    pace: "_Pace",
    heard: Account,
) -> bool:
    """Take in what a sender tells within PART_S of its first message, and count it; whether more may come of it."""
    account, before = reading.account, reading.consumed
    account.begin(os.urandom(16).hex())
    reading.stream.patience_s = ends_us = None
    more = False
    with lake.take(account.file) as intake:
        assert intake is not None  # nobody else has this name
        for table, batch in rows:
            if batch.num_rows:
                intake.append(table, batch)
                pace.tell(account.path, reading.consumed, account.messages)
            now = clock.monotonic_us()
            ends_us = ends_us or now + round(PART_S * 1e6)
            reading.stream.patience_s = (ends_us - now) / 1e6
            if now >= ends_us:
                more = True
                break
        account.bytes = reading.consumed - before
        if account.packets:
            intake.commit(account.row())
        heard.add(account)
    return more


def _take_one(
    path: str, reading: Reading, lake: Lake, on_read: Callable[[int, int], None]
) -> dict[str, Any] | None:
    """Take one file in: its account; None when it was in the lake before."""
    with lake.take(reading.account.file) as intake:
        if intake is None:
            return None
        with between_waits() if _comes_once(path) else nullcontext():
            for table, batch in reading:
                intake.append(table, batch)
                on_read(reading.consumed, reading.account.messages)
        if reading.stream.interrupted:
            reading.account.note("stopped before its end; what had come by then is kept")
        if reading.stream.short:  # what the file is known by is not of what was read
            reading.account.file = os.urandom(16).hex()
        row = reading.account.row()
        with deferred():
            intake.commit(row)
        return row


# What a worker says of a file: `text` is its account in JSON, or why it could not be read.
TOLD = pa.schema([("state", pa.string()), ("text", pa.string())])


def _take_spread(
    files: Sequence[tuple[str, bool]],
    lake: Lake,
    connection: Any,
    clock: Clock,
    on_progress: Told,
    options: Options,
) -> Taken:
    """Take files in on all workers of Spark, the longest first."""
    files = sorted(files, key=lambda file: (-_size(file[0]), file[0]))
    sizes = [_size(path) for path, _ in files]
    pace = _Pace(clock, on_progress, sum(sizes))

    def on_done(number: int) -> None:
        pace.tell(f"{number:,} of {len(files):,} files", sum(sizes[:number]), 0)

    work = partial(_take_there, str(lake.folder.absolute()), options)
    taken = Taken()
    told = connection.spread(work, [path for path, _ in files], TOLD, on_done)
    for (path, named), said in zip(files, told, strict=True):
        if said["state"] == "taken":
            taken.accounts.append(json.loads(said["text"]))
        elif said["state"] == "known":
            taken.known.append(path)
        elif named:
            raise getattr(errors, said["state"])(said["text"])
        else:
            taken.skipped.append((path, said["text"]))
    return taken


def _take_there(folder: str, options: Options, path: str) -> dict[str, str]:
    """Take one file in, in a worker: its row of TOLD."""
    try:
        with Reading(path, options) as reading:
            row = _take_one(path, reading, Lake(Path(folder)), lambda *_: None)
    except DnsondeError as error:
        return {"state": type(error).__name__, "text": str(error)}
    return {"state": "known" if row is None else "taken", "text": json.dumps(row)}


def files_of(paths: Sequence[str]) -> list[tuple[str, bool]]:
    """Every file to read, once: (path, whether it was named and not only found in a folder); one socket at most."""
    found: dict[str, bool] = {}
    for path in paths:
        if path != STDIN and Path(path).is_dir():
            if is_lake(Path(path)):
                raise UsageError(f"{path} is a lake: it stands alone, and is not read into another")
            for below in _below(Path(path), set()):
                found.setdefault(str(below), False)
        else:
            found[path] = True
    if not found:
        raise UsageError(
            f"there is no file in {', '.join(paths)}: name captures or logs, or a folder with some in it"
        )
    sockets = [path for path in found if listens(path)]
    if len(sockets) > 1:
        raise UsageError(
            f"only one of {', '.join(sockets)} can be listened on by one command: start a `dnsonde ingest` for each, "
            "they may all write into one lake"
        )
    return list(found.items())


def _below(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Regular files below a folder, by name, but those of lakes; each folder once, however links go round."""
    try:
        status = folder.stat()
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise SystemRefusal(f"{folder} cannot be read: {error.strerror}") from error
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    for path in inside:
        if path.is_dir():
            if not is_lake(path):
                yield from _below(path, seen)
        elif path.is_file():
            yield path


def known_of(files: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Refuse what was named and cannot be read, before the first hour is spent on the others.

    Of logs that lie beside those that are read it is as if they had been found in a folder, if there is more than them.
    """
    others: dict[str, OtherLog] = {}
    for path, named in files:
        if named and not _comes_once(path):
            try:
                with Reading(path):
                    pass
            except OtherLog as error:
                others[path] = error
    if len(others) == len(files):
        raise next(iter(others.values()))
    return [(path, named and path not in others) for path, named in files]


def _comes_once(path: str) -> bool:
    """Whether an input can be opened but once: standard input, a pipe, a socket to listen on."""
    return path == STDIN or listens(path) or (Path(path).exists() and not Path(path).is_file())


def _size(path: str) -> int:
    try:
        return 0 if path == STDIN else Path(path).stat().st_size
    except OSError:
        return 0


class _Pace:
    """Octets read of all files, told now and then."""

    def __init__(self, clock: Clock, on_progress: Told, total: int) -> None:
        self._clock = clock
        self._on_progress = on_progress
        self._total = total
        self._before = 0
        self._began_us = self._told_us = clock.monotonic_us()

    def tell(self, path: str, consumed: int, messages: int) -> None:
        now = self._clock.monotonic_us()
        if now - self._told_us < TELL_EVERY_US:
            return
        self._told_us = now
        done = self._before + consumed
        elapsed_s = (now - self._began_us) / 1e6
        rate = done / elapsed_s
        known = elapsed_s >= FORETELL_S and done >= FORETELL_SHARE * self._total
        left_s = (self._total - done) / rate if known and self._total > done else None
        self._on_progress(Progress("reading", path, done, self._total, messages, rate, elapsed_s, left_s))

    def done(self, size: int) -> None:
        self._before += size
