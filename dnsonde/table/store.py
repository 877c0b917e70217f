"""Tables on disk: a folder a table, Parquet parts in it, DuckDB to read them.

A run or a lake is a folder `root`; table `reply` lies in `root/reply/part-000001.parquet` and on (a lake puts
a day's folder between). A part appears whole or not at all: it is written beside its place, synced, renamed.
"""

import atexit
import errno
import fcntl
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dnsonde.errors import RunError, SystemRefusal, UsageError
from dnsonde.escape import utf8
from dnsonde.scratch import scratch
from dnsonde.table._block import Block
from dnsonde.table.schema import FLOW, TABLES, TEXT, VERDICT, VERSION, Table
from dnsonde.table.snapshot import parts_in, rows_of, unmoved
from dnsonde.table.versions import other_version
from dnsonde.whole import sync

ROWS_PER_PART = 250_000
ROWS_PER_GROUP = 122_880  # what DuckDB gives to one thread
DICTIONARY_OCTETS = 1 << 23  # to which a column's dictionary grows before its texts are written as they come
SQL_TYPES = {
    pa.int64(): "BIGINT", pa.int32(): "INTEGER", pa.int16(): "SMALLINT", pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN", pa.string(): "VARCHAR", pa.binary(): "BLOB",
}  # fmt: skip
MEMORY_MIB = 2048  # of a database that looks at runs and lakes, before it spills to disk

_numbers = count(1)  # of databases of this process


class Writer:
    """Write one table of a run or a lake, in parts.

    `append` copies columns into memory; a part is written once `rows_per_part` rows are there, and on `flush` and
    `close`. When it cannot be, SystemRefusal says why, and its rows stay: the next `flush` tries again.

    One thread at a time may call it. `written` counts the rows that are safely on disk.
    """

    def __init__(self, table: Table, folder: Path, *, rows_per_part: int = ROWS_PER_PART) -> None:
        require_utf8(folder)
        self.table = table
        self.folder = Path(folder) / table.name
        self.written = 0
        self._rows_per_part = rows_per_part
        self._block = Block(table)
        self._last: Path | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            clean(self.folder)
        except OSError as error:
            raise refusal(self.folder, error) from error
        self._number = _highest(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, columns: Mapping[str, Any]) -> None:
        """Take rows: column to numpy or Arrow array, list, `(values, valid)` pair, or one value for all.

        What is left out becomes null (ValueError where it may not). Integers of any width and sign are fitted
        to the column, OverflowError if they do not fit. When this raises SystemRefusal the rows are kept.
        """
        self._block.add(columns)
        if self._block.rows >= self._rows_per_part:
            self.flush()

    def flush(self) -> Path | None:
        """Put everything on disk before returning; the last part this writer wrote, None if there is none."""
        block = self._block
        if block.rows:
            try:
                self._last, self._number = _write_part(
                    self.table, self.folder, self._number + 1, [block.arrow()]
                )
            except OSError as error:
                raise refusal(self.folder, error) from error
            self._block = Block(self.table, min(block.rows, 2 * self._rows_per_part))
            self.written += block.rows
        return self._last

    def close(self) -> None:
        """Flush. Closing twice does nothing."""
        self.flush()


def add(table: Table, folder: Path, relation: duckdb.DuckDBPyRelation) -> int:
    """Add the rows of a relation, which has the table's columns, to what is there; return how many they were."""
    with Writer(table, folder) as writer:
        for batch in relation.fetch_arrow_reader(ROWS_PER_GROUP):
            writer.append({name: batch.column(name) for name in batch.schema.names})
    return writer.written


def save(table: Table, folder: Path, relation: duckdb.DuckDBPyRelation) -> Path:
    """Compute a relation and make it the whole content of a table, replacing what was there; return its part.

    Columns are cast to the schema and put in its order. Readers see the old content or the new, never half.
    """
    columns = (f'"{f.name}"::{SQL_TYPES[f.type]} AS "{f.name}"' for f in table.schema)
    batches = relation.project(", ".join(columns)).fetch_arrow_reader(ROWS_PER_GROUP)
    return replace(table, folder, (pa.Table.from_batches([batch]).cast(table.schema) for batch in batches))


def replace(
    table: Table, folder: Path, rows: Iterable[pa.Table], about: Mapping[str, str] | None = None
) -> Path:
    """Make rows, in their order, the whole content of a table; return its part.

    `about`: facts that stand or fall with these rows, kept in the same file; see `facts`. Readers see the old content
    or the new, never half.
    """
    place = Path(folder) / table.name
    try:
        place.mkdir(parents=True, exist_ok=True)
        clean(place)
        path, _ = _write_part(table, place, 1, rows, replace=True, about=about)
        for old in parts_in(place):
            if old != path:
                old.unlink()
    except OSError as error:
        raise refusal(place, error) from error
    return path


def keep_rows(table: Table, part: Path, kept: NDArray[np.bool_]) -> None:
    """Of the rows of a part, in their order, keep these; one without any goes. Readers see the old part or the new.

    RunError where it cannot be read, SystemRefusal where it cannot be written.
    """
    if kept.all():
        return
    try:
        rows = pq.read_table(part, schema=table.schema).filter(pa.array(kept))
    except (OSError, pa.ArrowException) as error:
        raise unreadable(part, error) from error
    try:
        if len(rows):
            _write_part(table, part.parent, _number(part), [rows], replace=True)
        else:
            part.unlink()
    except OSError as error:
        raise refusal(part.parent, error) from error


def facts(folder: Path, table: Table) -> dict[str, str]:
    """What `replace` was told about a table's rows; nothing where they came otherwise, or cannot be read."""
    parts = parts_in(Path(folder) / table.name)
    if len(parts) != 1:
        return {}
    try:
        _require_ours(parts[0], table)
        said = pq.read_metadata(parts[0]).metadata or {}
    except (OSError, pa.ArrowException, RunError):
        return {}
    return {name.decode(errors="replace"): text.decode(errors="replace") for name, text in said.items()}


def clean(folder: Path) -> int:
    """Remove what killed writers left half written in `folder`; return how many files. Live ones stay."""
    removed = 0
    for path in Path(folder).glob("*.tmp"):
        with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            removed += 1
    return removed


def database(
    *, memory_limit_mib: int | None = None, threads: int | None = None, spill: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """An empty DuckDB, embedded. Never online.

    spill: the folder that it may use when memory runs short; one among the temporary files where none is given.
    """
    settings: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "preserve_insertion_order": False,
        "temp_directory": str(spill or _spill()),
    }
    if memory_limit_mib is not None:
        settings["memory_limit"] = f"{memory_limit_mib}MiB"
    if threads is not None:
        settings["threads"] = threads
    connection = duckdb.connect(config=settings)
    # A name in SQL is a table's, never a variable's of ours.
    connection.execute(
        "SET enable_progress_bar = false; SET TimeZone = 'UTC'; SET python_enable_replacements = false"
    )
    return connection


def _spill() -> str:
    """A place of its own for one database; empty, so that nothing is spilled, where there is no room for one."""
    room = _room()
    return room and f"{room}/{os.getpid()}-{next(_numbers)}"


@cache
def _room() -> str:
    held = ExitStack()
    atexit.register(held.close)
    try:
        return held.enter_context(scratch())
    except OSError:
        return ""


def create_views(path: Path, connection: duckdb.DuckDBPyConnection, where: Mapping[str, str]) -> list[Path]:
    """Tables of a run or a lake as views of their names: the rows for which a condition holds; see `open_folder`.

    Returns the parts that they read.
    """
    read = []
    for table, parts in parts_of(path, [TABLES[name] for name in where]):
        rows = f"FROM ({_selected(table, parts)}) WHERE {where[table.name]}"
        connection.execute(f"CREATE TEMP VIEW {table.name} AS {rows}")
        read += parts
    return read


def open_folder(
    path: Path,
    connection: duckdb.DuckDBPyConnection | None = None,
    tables: Collection[Table] = (),
) -> dict[str, duckdb.DuckDBPyRelation]:
    """The `tables` of a run or a lake as relations, all if none is named; one that is not there yet is empty.

    What is seen are the parts that exist now. RunError where the folder is missing, or a part is damaged or
    of another version. Several folders may share one `connection`; their rows can be had as long as it is kept. Who
    brings none shares one with all others who do.
    """
    connection = connection or _common()
    return {table.name: connection.sql(_selected(table, parts)) for table, parts in parts_of(path, tables)}


@cache
def _common() -> duckdb.DuckDBPyConnection:
    return database(memory_limit_mib=MEMORY_MIB)


def _selected(table: Table, parts: Sequence[Path]) -> str:
    """SQL: all rows of a table; without parameters, which a view does not take."""
    if parts:
        listed = ", ".join(quoted(literal(part)) for part in parts)
        return f"FROM read_parquet([{listed}], hive_partitioning = false)"
    columns = (f'NULL::{SQL_TYPES[f.type]} AS "{f.name}"' for f in table.schema)
    return f"SELECT {', '.join(columns)} WHERE FALSE"


def parts_of(path: Path, tables: Collection[Table]) -> Iterator[tuple[Table, list[Path]]]:
    """Tables and their parts, each looked at; RunError where the folder is missing."""
    path = Path(path)
    require_utf8(path)
    if not path.is_dir():
        raise RunError(f"there is no run or lake at {path}: give the folder that `-o` named when it was made")
    chosen = list(tables or TABLES.values())
    with unmoved(path):  # so that all of a file is among them, or nothing
        found = [(table, parts_in(path / table.name)) for table in chosen]
    for table, parts in found:
        for part in parts:
            _require_ours(part, table)
        yield table, parts


def row_count(path: Path, table: Table) -> int:
    """Rows of one table that are on disk, read from the parts' footers alone; RunError where one is damaged."""
    rows = 0
    with unmoved(Path(path)):
        parts = parts_in(Path(path) / table.name)
    for part in parts:
        try:
            rows += rows_of(part)
        except (OSError, pa.ArrowException) as error:
            raise unreadable(part, error) from error
    return rows


def unreadable(part: Path, error: Exception) -> RunError:
    """Why a part cannot be read, in a sentence."""
    return RunError(f"{part} cannot be read ({_one_line(error)}): restore it from a copy, or move it away")


def _highest(folder: Path) -> int:
    return max((_number(part) for part in folder.glob("part-*.parquet")), default=0)


def _number(part: Path) -> int:
    """The number of `part-000001.parquet`; 0 where it has another name."""
    name = part.name[5:-8]
    return int(name) if name.isdecimal() else 0


def require_utf8(folder: Path) -> None:
    """UsageError where neither DuckDB nor Arrow can open what is in there."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{utf8(str(folder))} has octets in its name that are no UTF-8, and tables cannot be read there: rename it"
        ) from None


def quoted(text: str) -> str:
    """Any text as DuckDB's SQL has it."""
    escaped = text.replace("'", "''")
    # A NUL would end the statement.
    return " || chr(0) || ".join(f"'{part}'" for part in escaped.split("\0"))


def literal(path: Path) -> str:
    """A path that DuckDB takes literally: what its glob would read as a pattern goes in brackets."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in str(path))


def _require_ours(part: Path, table: Table) -> None:
    try:
        schema = pq.read_schema(part)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(part, error) from error
    about = schema.metadata or {}
    version = about.get(b"dnsonde.version", b"").decode(errors="replace")
    if about.get(b"dnsonde.table", b"").decode(errors="replace") != table.name:
        raise RunError(f"{part} is not a part of dnsonde's table {table.name}: move it away")
    if version != str(VERSION):
        folder = next((above.parent for above in part.parents if above.name == table.name), part.parent)
        raise RunError(other_version(f"{part} is", folder, version))
    if not schema.remove_metadata().equals(table.schema.remove_metadata()):
        raise RunError(
            f"{part} has other columns than table {table.name} has here: use the dnsonde that made it"
        )


def _write_part(
    table: Table,
    folder: Path,
    number: int,
    tables: Iterable[pa.Table],
    *,
    replace: bool = False,
    about: Mapping[str, str] | None = None,
) -> tuple[Path, int]:
    """Write one part whole: temporary file, fsync, rename, fsync of the folder. OSError leaves nothing."""
    temporary, final, number, descriptor = _claim(folder, number, replace=replace)
    try:
        with os.fdopen(descriptor, "wb", buffering=1 << 20) as file:
            with parquet_writer(file, table) as writer:
                for rows in tables:
                    writer.write_table(rows, row_group_size=ROWS_PER_GROUP)
                if about:
                    writer.add_key_value_metadata(dict(about))
            file.flush()
            os.fsync(file.fileno())
            temporary.rename(final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    try:
        sync(folder)
    except OSError:
        if not replace:  # it will be written again, and must not be there twice
            final.unlink(missing_ok=True)
        raise
    return final, number


def _claim(folder: Path, number: int, *, replace: bool) -> tuple[Path, Path, int, int]:
    """Take the first free part number from `number` on: (temporary, part, number, descriptor).

    No other process gets the same one. The temporary file is the claim: it is made exclusively, and
    locked so that `clean` leaves it alone.
    """
    for candidate in _from(number, repeat=replace):
        final = folder / f"part-{candidate:06d}.parquet"
        temporary = folder / f"{final.name}.tmp"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            cleaned = os.fstat(descriptor).st_nlink == 0  # between making and locking it
            if not cleaned and (replace or not final.exists()):
                return temporary, final, candidate, descriptor
            if not cleaned:
                temporary.unlink()
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise AssertionError  # the numbers do not end


def _from(number: int, *, repeat: bool) -> Iterator[int]:
    while True:
        yield number
        number += not repeat


def parquet_writer(file: Any, table: Table, *, dictionaries: bool = False) -> pq.ParquetWriter:
    """A writer of Parquet that reads as the table's schema.

    dictionaries: what is written has the schema `with_dictionaries`.
    """
    how = encoding(table)
    light = {c.name for c in table.columns} if table is VERDICT else FEW | set(how["column_encoding"])
    codec = {c.name: "lz4" if c.type == pa.bool_() or c.name in light else "zstd" for c in table.columns}
    how["compression"] = codec
    how["compression_level"] = {name: 1 for name, kind in codec.items() if kind == "zstd"}
    if not dictionaries:
        return pq.ParquetWriter(file, table.schema, **how)
    how["use_dictionary"] += [c.name for c in table.columns if c.name == "qname"]
    writer = pq.ParquetWriter(
        file,
        with_dictionaries(table),
        store_schema=False,  # or whoever reads it would get dictionaries
        dictionary_pagesize_limit=DICTIONARY_OCTETS,
        **how,
    )
    writer.add_key_value_metadata(table.schema.metadata)
    return writer


REPEATING = {  # columns of text where few texts stand for many rows
    "file", "transport", "qname", "registered_domain", "embedded_kind", "embedded_relation", "embedded_time_kind",
}  # fmt: skip


def with_dictionaries(table: Table) -> pa.Schema:
    """The table's schema as readers may give it: text that repeats as dictionaries, which a writer need not make."""
    return _with_dictionaries(table, VERSION)


@cache
def _with_dictionaries(table: Table, _version: int) -> pa.Schema:
    kind = pa.dictionary(pa.int32(), pa.string())
    fields = [f.with_type(kind) if f.type == TEXT and f.name in REPEATING else f for f in table.schema]
    return pa.schema(fields, table.schema.metadata)


def encoding(table: Table) -> dict[str, Any]:
    """How Parquet is to hold a table: dictionaries for text that repeats, differences for what grows.

    All else is plain: zstd makes as little of it as of a dictionary, in half the time. Statistics only of what is
    searched for, since they cost as much as writing a number does. Verdicts are written once, in the order of their
    targets, and paged through: fifty rows from anywhere cost what decoding their columns does, so all is as light to
    decode as it can be, which is less to store too.
    """
    unique = {"qname", "payload", "template", "evidence"}
    names = [c.name for c in table.columns]
    if table is VERDICT:
        steady = ["target_host", "responder_host", "rtt_us", "first_seen_us"]
        repeating = [name for name in names if name not in steady]
    else:
        steady = [name for name in names if name in STEADY or (table is FLOW and name in STEADY_IN_FLOWS)]
        repeating = [c.name for c in table.columns if c.type == TEXT and c.name not in unique]
    return {
        "use_dictionary": repeating,
        "column_encoding": dict.fromkeys(steady, "DELTA_BINARY_PACKED"),
        "write_statistics": [n for n in names if n.endswith(("_us", "_host")) or n in SEARCHED],
        "write_batch_size": ROWS_PER_GROUP,
    }


STEADY = {"time_us", "start_us", "end_us", "embedded_time_us", "packet"}  # what grows from row to row
# Sorted by source, flows beside each other are alike: as differences they are written faster, and read twice as fast.
STEADY_IN_FLOWS = {"src_host", "dst_host", "bytes", "payload_bytes", "length_min", "length_max"}

FEW = {  # columns of few values: nothing is left of them by any means, and LZ4 is the fastest, as it is for differences
    "file", "transport", "src_net", "dst_net", "src_mac", "ip_ttl", "status", "opcode", "rcode",
    "qdcount", "ancount", "nscount", "arcount", "qtype", "qclass", "edns_size", "ecs_net", "ecs_host", "ecs_source",
    "ede", "answers", "answer_net", "ttl_min", "embedded_kind", "embedded_net", "embedded_relation",
    "embedded_time_kind", "protocol", "packets", "options", "syn", "synack", "ack", "fin", "rst", "push", "mirai_syn",
    "fragments", "ttl_max", "window", "inner_protocol", "inner_id",
}  # fmt: skip

SEARCHED = {"file", "packet", "qname", "registered_domain", "attempt", "run"}


def refusal(folder: Path, error: OSError) -> SystemRefusal:
    """Why nothing could be written in `folder`, in a sentence."""
    kept = "what was recorded before is kept, and the same command continues from there"
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return SystemRefusal(f"no room left to write in {folder}: free some space; {kept}")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return SystemRefusal(
            f"no permission to write in {folder}: choose another folder, or let this user write there"
        )
    if error.errno == errno.ENOENT:
        return SystemRefusal(
            f"{folder} was moved or removed, or something in it, while it was written to: put it back, or choose "
            "another folder"
        )
    if error.errno == errno.EROFS:
        return SystemRefusal(f"{folder} is on a read-only file system: choose another folder")
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        return SystemRefusal(f"{folder} cannot be a folder, a file is in its way: choose another name")
    return SystemRefusal(
        f"cannot write in {folder} ({error.strerror or _one_line(error)}): repair that; {kept}"
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
