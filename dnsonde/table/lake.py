"""A lake: a folder of Parquet for traffic, by table and day, that many files are taken into, each once and whole.

::

    LAKE/lake.json                                       what it is, and in which version
    LAKE/message/day=2026-11-22/part-<file>-0001.parquet    rows of one source file, of one day, sorted
    LAKE/flow/day=2026-11-22/part-<file>-0001.parquet
    LAKE/account/part-<file>.parquet                      what became of each packet of that file
    LAKE/message/day=2026-11-22/part-many-<id>.parquet      rows of several files, small ones, likewise
    LAKE/finding/part-000001.parquet                      what was found in it, kept
    LAKE/told.jsonl                                      what of it was told by `dnsonde detect --new`
    LAKE/.incoming/<file>/...                            what is being written
    LAKE/.complete/<file>/...                            written, and on its way to its places
    LAKE/.merging/...                                    small parts, becoming one; see `merge`
    LAKE/.readers, .lock                                 who reads it, and what moves; see `snapshot`

A source file is known by the hash of its content. Its parts are written below `.incoming`; when all of them are on
disk, one rename to `.complete` takes the file in, and from there the parts move to their places, by whoever opens
the lake next if the writer was killed. So nothing is ever there by half, and nothing is there twice. Small files that
come one after the other go this way together.
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dnsonde.errors import RunError, SystemRefusal
from dnsonde.stopping import deferred
from dnsonde.table.part import ROWS, TIME, in_order, write
from dnsonde.table.schema import ACCOUNT, TABLES, VERSION
from dnsonde.table.snapshot import LOCK, MANY, READERS, Hold, parts_in, unmoved
from dnsonde.table.store import (
    create_views,
    open_folder,
    refusal,
    require_utf8,
    unreadable,
    with_dictionaries,
)
from dnsonde.table.versions import other_version
from dnsonde.whole import put, sync

ABOUT = "lake.json"
INCOMING = ".incoming"
COMPLETE = ".complete"

SMALL = ROWS // 8  # rows of a file that is taken in together with others
TOGETHER = 128  # such files at the most: each holds a lock
DAY_US = 86_400 * 1_000_000
DAYS = (
    32  # of one part's rows; times that scatter over more go to one folder, or a hostile file makes thousands
)


class Lake:
    """A lake's folder, to take files in and to read.

    With `create` it is made if it is not there. `durable=False` is for a lake that ends with the process: parts are
    neither sorted nor synced. RunError where the folder is no lake, or one of another version.
    """

    def __init__(self, folder: Path, *, create: bool = False, durable: bool = True) -> None:
        require_utf8(folder)
        self.folder = Path(folder)
        self.durable = durable
        if create:
            self._create()
        check(self.folder)
        self.commits = 0
        self._hold: Hold | None = None
        self._group: _Group | None = None
        self._told: dict[Path, frozenset[str]] = {}  # files, by the parts of `account` with several
        self._finish()

    def hold(self) -> None:
        """Keep the parts that count now in their places, while this lives or until `release`; all that read do so."""
        if self._hold is None:
            self._hold = Hold(self.folder)

    def release(self) -> None:
        """What was read is not read any more."""
        if self._hold is not None:
            self._hold.close()
            self._hold = None

    def has(self, file: str) -> bool:
        """Whether a file of that content hash has been taken in."""
        if self._group is not None and file in self._group.files:
            return True
        with unmoved(self.folder):
            places = [*(self.folder / COMPLETE).glob("*"), self.folder]
            alone = f"part-{file}.parquet"
            if any((place / ACCOUNT.name / alone).exists() for place in places):
                return True
            told = [part for place in places for part in (place / ACCOUNT.name).glob(f"{MANY}*.parquet")]
            self._told = {part: self._told.get(part) or _files_of(part) for part in told}
        return any(file in files for files in self._told.values())

    def tables(
        self, connection: duckdb.DuckDBPyConnection | None = None
    ) -> dict[str, duckdb.DuckDBPyRelation]:
        """Every table as a relation, as of now, for as long as this lives; see `store.open_folder`."""
        self.hold()
        return open_folder(self.folder, connection)

    def create_views(self, connection: duckdb.DuckDBPyConnection, where: Mapping[str, str]) -> list[Path]:
        """Tables as views, as of now, for as long as this lives; see `store.create_views`."""
        self.hold()
        return create_views(self.folder, connection, where)

    def octets(self, names: Collection[str]) -> int:
        """How many octets of Parquet these tables are."""
        self.hold()
        return sum(part.stat().st_size for name in names for part in self._parts(name))

    def accounts(self) -> list[dict[str, Any]]:
        """The rows of `account`, by path."""
        self.hold()
        rows: list[dict[str, Any]] = []
        for part in self._parts(ACCOUNT.name):
            try:
                rows += pq.ParquetFile(part).read().to_pylist()
            except (OSError, pa.ArrowException) as error:
                raise unreadable(part, error) from error
        return sorted(rows, key=lambda row: (row["path"], row["file"]))

    @contextmanager
    def take(self, file: str) -> Iterator["Intake | None"]:
        """Take in the file of that content hash; None when it is there already.

        Who comes while another process takes in the same file waits for it. What is not committed is thrown away.
        """
        place = self.folder / INCOMING / file
        try:
            descriptor = self._claim(file, place)
        except OSError as error:
            raise refusal(self.folder, error) from error
        if descriptor is None:
            yield None
            return
        intake = Intake(self, file, self._group)
        try:
            with intake:
                yield intake
        finally:
            if self._group is not None and intake.given:
                self._group.files[file] = descriptor
            else:
                self.let_go(file, descriptor)
        if self._group is not None and self._group.is_full:
            self._group.settle()

    @contextmanager
    def together(self) -> Iterator[None]:
        """While inside, small files become visible together with others, and all when this ends, however it does."""
        group = self._group = _Group(self)
        try:
            yield
        finally:
            self._group = None
            with deferred():
                group.settle()

    def commit(self, file: str) -> None:
        """Make everything that was written below a file's place visible, at once."""
        ready = self.folder / COMPLETE
        ready.mkdir(exist_ok=True)
        (self.folder / INCOMING / file).rename(ready / file)
        if self.durable:
            sync(ready)
        self._finish()
        self.commits += 1

    def clean(self) -> int:
        """Throw away what killed processes left half written; how many files' worth."""
        removed = 0
        for place in (self.folder / INCOMING).glob("*"):
            descriptor = _locked(place, wait=False)
            if descriptor is not None:
                shutil.rmtree(place, ignore_errors=True)
                os.close(descriptor)
                removed += 1
        return removed

    def _create(self) -> None:
        about = self.folder / ABOUT
        if about.exists():
            return
        try:
            others = self.folder.is_dir() and any(not _of_beginning(p.name) for p in self.folder.iterdir())
            if others and not about.exists():  # which another process may have made since
                raise RunError(
                    f"{self.folder} is a folder with other things in it: name a new or an empty one"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / INCOMING).mkdir(exist_ok=True)
            (self.folder / LOCK).touch()
            (self.folder / READERS).touch()
            said = (json.dumps({"dnsonde": "lake", "version": VERSION}) + "\n").encode()
            if self.durable:
                put(about, said)
            else:
                about.write_bytes(said)
        except OSError as error:
            raise refusal(self.folder, error) from error

    def _finish(self) -> None:
        """Bring what was taken in to its places; where we may not write, its owner will."""
        ready = self.folder / COMPLETE
        if not ready.is_dir() or not any(ready.iterdir()):
            return
        with suppress(PermissionError), (self.folder / LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for place in sorted(ready.iterdir()):
                # The account goes last: where it is, everything is.
                parts = sorted(place.rglob("part-*.parquet"), key=lambda p: p.parent.name == ACCOUNT.name)
                for part in parts:
                    final = self.folder / part.relative_to(place)
                    final.parent.mkdir(parents=True, exist_ok=True)
                    part.rename(final)
                    if self.durable:
                        sync(final.parent)
                shutil.rmtree(place)

    def require_there(self) -> None:
        """SystemRefusal where the folder was removed since it was opened: what is made anew there would be no lake."""
        if not is_lake(self.folder):
            raise refusal(self.folder, FileNotFoundError(errno.ENOENT, ""))

    def _parts(self, table: str) -> list[Path]:
        with unmoved(self.folder):
            return parts_in(self.folder / table)

    def _claim(self, file: str, place: Path) -> int | None:
        """Lock the place where a file is written, empty; None when the file is in the lake."""
        while not self.has(file):
            self.require_there()
            place.mkdir(parents=True, exist_ok=True)
            holding = self._group is not None and bool(self._group.files)
            descriptor = _locked(place, wait=not holding)
            if descriptor is not None and self.has(file):  # since another process is through with it
                self.let_go(file, descriptor)
            elif descriptor is not None:
                for left in place.iterdir():  # by a process that was killed
                    shutil.rmtree(left)
                return descriptor
            elif holding and self._group is not None:
                self._group.settle()  # who waits holds nothing that another may wait for
        return None

    def let_go(self, file: str, descriptor: int) -> None:
        """Unlock a file's place; what is still in it is thrown away."""
        with suppress(OSError):
            shutil.rmtree(self.folder / INCOMING / file)
        os.close(descriptor)


class Intake:
    """The rows of one source file on their way into a lake; made by `Lake.take`.

    Parts are written by a thread of their own, beside whoever reads. group: that takes it, if it is small; given: so it
    was; several: it is such a group itself.
    """

    def __init__(
        self, lake: Lake, file: str, group: "_Group | None" = None, *, several: bool = False
    ) -> None:
        self.given = False
        self._lake = lake
        self._group = group
        self._file = file
        self._name = f"{MANY}{file}" if several else f"part-{file}"
        self._place = lake.folder / INCOMING / file
        self._waiting: dict[str, list[pa.RecordBatch]] = {}
        self._rows: dict[str, int] = {}
        self._number = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="lake")
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def append(self, table: str, batch: pa.RecordBatch) -> None:
        """Take rows of `message` or `flow`, texts as dictionaries or not; SystemRefusal when they cannot be written."""
        self._waiting.setdefault(table, []).append(batch)
        self._rows[table] = self._rows.get(table, 0) + batch.num_rows
        if self._rows[table] >= ROWS:
            self._rotate(table)

    def commit(self, account: Mapping[str, Any]) -> None:
        """Write what waits and the file's account, and make all of it visible.

        An account of another `file` gives its rows that name: the file taken in is not in the lake by this.
        """
        small = self._writing is None and sum(self._rows.values()) <= SMALL
        if self._group is not None and small and account["file"] == self._file:
            self.given = True
            self._group.add(self._waiting, account)
            return
        self.commit_all([account])

    def commit_all(self, accounts: Sequence[Mapping[str, Any]]) -> None:
        """The same for several files, whose rows were appended."""
        self._lake.require_there()
        for table in list(self._waiting):
            self._rotate(table)
        self._settle()
        rows = pa.Table.from_pylist([dict(account) for account in accounts], ACCOUNT.schema)
        try:
            if accounts[0]["file"] != self._file:
                self._rename(accounts[0]["file"])
            place = self._place / ACCOUNT.name / f"{self._name}.parquet"
            write(rows, place, durable=self._lake.durable)
            self._lake.commit(self._file)
        except OSError as error:
            raise refusal(self._lake.folder, error) from error

    def _rename(self, file: str) -> None:
        """Give that name to all rows that were written."""
        before, self._name = self._name, f"part-{file}"
        for part in list(self._place.rglob(f"{before}-*.parquet")):
            rows = pq.ParquetFile(part).read()
            at = rows.schema.get_field_index("file")
            rows = rows.set_column(at, rows.schema.field(at), pa.repeat(file, rows.num_rows))
            renamed = part.with_name(part.name.replace(before, self._name))
            write(rows, renamed, durable=self._lake.durable)
            part.unlink()

    def _rotate(self, table: str) -> None:
        batches = self._waiting.pop(table)
        if any(batch.schema != batches[0].schema for batch in batches):  # a log's beside a capture's
            batches = [batch.cast(with_dictionaries(TABLES[table])) for batch in batches]
        rows = pa.Table.from_batches(batches)
        self._rows[table] = 0
        self._settle()
        self._writing = self._pool.submit(self._write, table, rows)

    def _settle(self) -> None:
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            writing.result()
        except OSError as error:
            raise refusal(self._lake.folder, error) from error

    def _write(self, table: str, rows: pa.Table) -> None:
        self._number += 1
        name = f"{self._name}-{self._number:04d}.parquet"
        day = rows.column(TIME[table]).to_numpy() // DAY_US
        days = np.unique(day)
        if len(days) > DAYS:
            self._write_part(table, rows, self._place / table / "day=various" / name)
            return
        for one in days.tolist():
            chosen = rows if len(days) == 1 else rows.filter(pa.array(day == one))
            folder = f"day={np.datetime64(one, 'D')}"
            self._write_part(table, chosen, self._place / table / folder / name)

    def _write_part(self, table: str, rows: pa.Table, path: Path) -> None:
        durable = self._lake.durable
        write(in_order(table, rows) if durable else rows, path, durable=durable)


class _Group:
    """Small files that were read, on their way into a lake; files: by hash, each with the lock on its place."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._clear()

    def _clear(self) -> None:
        self.files: dict[str, int] = {}
        self._waiting: list[tuple[str, pa.RecordBatch]] = []
        self._accounts: list[Mapping[str, Any]] = []
        self._rows = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to write them."""
        return self._rows >= ROWS or len(self.files) >= TOGETHER

    def add(self, rows: Mapping[str, Sequence[pa.RecordBatch]], account: Mapping[str, Any]) -> None:
        """Take one file's rows and its account."""
        for table, batches in rows.items():
            self._waiting += [(table, batch) for batch in batches]
            self._rows += sum(batch.num_rows for batch in batches)
        self._accounts.append(account)

    def settle(self) -> None:
        """Write them and make them visible, at once; SystemRefusal where that cannot be: then none of them is taken."""
        if not self.files:
            return
        try:
            with Intake(self._lake, next(iter(self.files)), several=len(self.files) > 1) as intake:
                for table, batch in self._waiting:
                    intake.append(table, batch)
                intake.commit_all(self._accounts)
        finally:
            for file, descriptor in self.files.items():
                self._lake.let_go(file, descriptor)
            self._clear()


def _of_beginning(name: str) -> bool:
    """Whether it is what a lake begins with: another process is making it, or was killed as it did."""
    return name in {INCOMING, LOCK, READERS} or name.startswith(f".{ABOUT}.")


def is_lake(folder: Path) -> bool:
    """Whether a folder says that it is a lake, of whatever version."""
    return (folder / ABOUT).is_file()


def check(folder: Path) -> None:
    """RunError where a folder is no lake, or one of another version; SystemRefusal where it may not be read."""
    about = folder / ABOUT
    if not folder.is_dir():
        raise RunError(f"there is no lake at {folder}: `dnsonde ingest FILES -o {folder}` makes one")
    try:
        said = json.loads(about.read_bytes())
    except FileNotFoundError:
        raise RunError(
            f"{folder} is no lake, it has no {ABOUT}: give the folder that `dnsonde ingest -o` named"
        ) from None
    except PermissionError:
        raise SystemRefusal(f"no permission to read {about}: ask the lake's owner for it") from None
    except (OSError, ValueError):
        said = None
    if not isinstance(said, dict) or said.get("dnsonde") != "lake":
        raise RunError(f"{about} is damaged: restore it from a copy, or ingest into a new folder")
    if said.get("version") != VERSION:
        raise RunError(other_version(f"{folder} is a lake", folder, said.get("version")))


def _locked(place: Path, *, wait: bool) -> int | None:
    """Lock a folder; None when another holds it, or it is not there (any more)."""
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        if os.path.samestat(os.fstat(descriptor), place.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _files_of(part: Path) -> frozenset[str]:
    """The files that a part of `account` tells of. RunError where it cannot be read."""
    try:
        with pq.ParquetFile(part) as file:
            return frozenset(file.read(["file"]).column(0).to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise unreadable(part, error) from error
