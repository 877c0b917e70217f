"""A lake: a folder of Parquet for traffic, by table and day, that many files are taken into, each once and whole.

::

    LAKE/lake.json                                       what it is, and in which version
    LAKE/message/day=2026-11-22/part-<file>-0001.parquet    rows of one source file, of one day, sorted
    LAKE/flow/day=2026-11-22/part-<file>-0001.parquet
    LAKE/account/part-<file>.parquet                      what became of each packet of that file
    LAKE/finding/part-000001.parquet                      what was found in it, kept
    LAKE/told.jsonl                                      what of it was told by `dnsonde detect --new`
    LAKE/.incoming/<file>/...                            what is being written
    LAKE/.complete/<file>/...                            written, and on its way to its places

A source file is known by the hash of its content. Its parts are written below `.incoming`; when all of them are on
disk, one rename to `.complete` takes the file in, and from there the parts move to their places, by whoever opens
the lake next if the writer was killed. So nothing is ever there by half, and nothing is there twice.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dnsonde.errors import RunError, SystemRefusal
from dnsonde.table.schema import ACCOUNT, TABLES, VERSION
from dnsonde.table.store import create_views, open_folder, parquet_writer, refusal, require_utf8
from dnsonde.table.versions import other_version
from dnsonde.whole import put, sync

ABOUT = "lake.json"
INCOMING = ".incoming"
COMPLETE = ".complete"
LOCK = ".lock"

ROWS = 245_760  # of a part: sorted at once, in memory
GROUP = 30_720  # rows that a search skips or reads together
GROUP_UNSORTED = 122_880  # what DuckDB gives to one thread
DAY_US = 86_400 * 1_000_000
DAYS = (
    32  # of one part's rows; times that scatter over more go to one folder, or a hostile file makes thousands
)
TIME = {"message": "time_us", "flow": "start_us"}


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
        self._finish()

    def has(self, file: str) -> bool:
        """Whether a file of that content hash has been taken in."""
        return (self._account(file)).exists() or (self.folder / COMPLETE / file).exists()

    def tables(
        self, connection: duckdb.DuckDBPyConnection | None = None
    ) -> dict[str, duckdb.DuckDBPyRelation]:
        """Every table as a relation, as of now; see `store.open_folder`."""
        return open_folder(self.folder, connection)

    def create_views(self, connection: duckdb.DuckDBPyConnection, where: Mapping[str, str]) -> None:
        """Tables as views, as of now; see `store.create_views`."""
        create_views(self.folder, connection, where)

    def octets(self, names: Collection[str]) -> int:
        """How many octets of Parquet these tables are."""
        return sum(
            part.stat().st_size for name in names for part in (self.folder / name).rglob("part-*.parquet")
        )

    def accounts(self) -> list[dict[str, Any]]:
        """The rows of `account`, by path."""
        parts = sorted((self.folder / ACCOUNT.name).glob("part-*.parquet"))
        rows = [row for part in parts for row in pq.ParquetFile(part).read().to_pylist()]
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
        try:
            with Intake(self, file, place) as intake:
                yield intake
        finally:
            with suppress(OSError):
                shutil.rmtree(place)
            os.close(descriptor)

    def commit(self, file: str) -> None:
        """Make everything that was written for a file visible, at once."""
        ready = self.folder / COMPLETE
        ready.mkdir(exist_ok=True)
        (self.folder / INCOMING / file).rename(ready / file)
        if self.durable:
            sync(ready)
        self._finish()

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
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise RunError(
                    f"{self.folder} is a folder with other things in it: name a new or an empty one"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / INCOMING).mkdir(exist_ok=True)
            (self.folder / LOCK).touch()
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

    def _account(self, file: str) -> Path:
        return self.folder / ACCOUNT.name / f"part-{file}.parquet"

    def _claim(self, file: str, place: Path) -> int | None:
        """Lock the place where a file is written, empty; None when the file is in the lake."""
        while not self.has(file):
            place.mkdir(parents=True, exist_ok=True)
            descriptor = _locked(place, wait=True)
            if descriptor is not None:
                for left in place.iterdir():  # by a process that was killed
                    shutil.rmtree(left)
                return descriptor
        return None


class Intake:
    """The rows of one source file on their way into a lake; made by `Lake.take`.

    Parts are written by a thread of their own, beside whoever reads.
    """

    def __init__(self, lake: Lake, file: str, place: Path) -> None:
        self._lake = lake
        self._file = file
        self._place = place
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
        """Write what waits and the file's account, and make all of it visible."""
        for table in list(self._waiting):
            self._rotate(table)
        self._settle()
        row = pa.Table.from_pylist([dict(account)], ACCOUNT.schema)
        try:
            self._write_part(row, self._place / ACCOUNT.name / f"part-{self._file}.parquet")
            self._lake.commit(self._file)
        except OSError as error:
            raise refusal(self._lake.folder, error) from error

    def _rotate(self, table: str) -> None:
        rows = pa.Table.from_batches(self._waiting.pop(table))
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
        name = f"part-{self._file}-{self._number:04d}.parquet"
        day = rows.column(TIME[table]).to_numpy() // DAY_US
        days = np.unique(day)
        if len(days) > DAYS:
            self._write_part(self._sorted(table, rows), self._place / table / "day=various" / name)
            return
        for one in days.tolist():
            chosen = rows if len(days) == 1 else rows.filter(pa.array(day == one))
            folder = f"day={np.datetime64(one, 'D')}"
            self._write_part(self._sorted(table, chosen), self._place / table / folder / name)

    def _sorted(self, table: str, rows: pa.Table) -> pa.Table:
        """Messages by registered domain and time, flows by source and start."""
        if not self._lake.durable:
            return rows
        rows = rows.unify_dictionaries()
        if table == "message":
            keys = [_rank(rows.column("registered_domain")), rows.column("time_us").to_numpy()]
        else:
            keys = [rows.column(name).to_numpy() for name in ("src_net", "src_host", "start_us")]
        return rows.take(pa.array(np.lexsort(keys[::-1])))

    def _write_part(self, rows: pa.Table, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        group = GROUP if self._lake.durable else GROUP_UNSORTED
        table = TABLES[rows.schema.metadata[b"dnsonde.table"].decode()]
        dictionaries = any(pa.types.is_dictionary(kind) for kind in rows.schema.types)
        with path.open("wb", buffering=1 << 20) as file:
            with parquet_writer(file, table, dictionaries=dictionaries) as writer:
                for start in range(0, rows.num_rows, group):
                    writer.write_table(_with_own_texts(rows.slice(start, group)), row_group_size=group)
            if self._lake.durable:
                file.flush()
                os.fsync(file.fileno())


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
        raise RunError(other_version(f"{folder} is a lake", str(folder), said.get("version")))


def _with_own_texts(rows: pa.Table) -> pa.Table:
    """The same rows, their dictionaries without the texts that none of them has: each row group stores its own."""
    columns = [_of_own(column) if pa.types.is_dictionary(column.type) else column for column in rows.columns]
    return pa.Table.from_arrays(columns, schema=rows.schema)


def _of_own(column: pa.ChunkedArray) -> pa.Array:
    texts = column.combine_chunks()
    used = np.zeros(len(texts.dictionary) + 1, np.bool_)
    number = texts.indices.fill_null(-1).to_numpy()
    used[number] = True
    used[-1] = False
    if used.sum() == len(texts.dictionary):
        return texts
    place = np.cumsum(used, dtype=np.int32) - 1
    index = pa.array(place[number], mask=number < 0 if texts.null_count else None)
    return pa.DictionaryArray.from_arrays(index, texts.dictionary.take(pa.array(np.flatnonzero(used))))


def _rank(texts: pa.ChunkedArray) -> NDArray[np.int64]:
    """Numbers that sort as the texts do; null comes first."""
    column = texts.combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    place = np.argsort(pc.sort_indices(column.dictionary).to_numpy())
    index = column.indices.fill_null(-1).to_numpy()
    ranks: NDArray[np.int64] = np.append(place, -1)[index]
    return ranks


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
