"""Bring a lake or a run of an older version to this one, in its place.

Each part is rewritten whole beside its place and renamed, and what says the lake's version changes last: killed
half way, the same command goes on with the parts that are left.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dnsonde.errors import RunError
from dnsonde.table import schema
from dnsonde.table.lake import ABOUT, is_lake
from dnsonde.table.merge import MERGING
from dnsonde.table.snapshot import LOCK, REPLACES, parts_in, replaced_by
from dnsonde.table.store import parquet_writer, refusal
from dnsonde.table.versions import brought_here, is_within_reach, other_version
from dnsonde.whole import put


def migrate(folder: Path, on_progress: Callable[[int, int], None] = lambda _done, _total: None) -> int:
    """Rewrite every part of an older version; how many. `on_progress` hears how many are done, of how many.

    RunError where there is nothing of ours, or a version is out of reach: then nothing is changed.
    """
    if not folder.is_dir():
        raise RunError(
            f"there is no run or lake at {folder}: give the folder that `-o` named when it was made"
        )
    found = [(part, table) for table in schema.TABLES for part in parts_in(folder / table)]
    if not (found or is_lake(folder)):
        raise RunError(f"{folder} is neither a run nor a lake: there are no tables in it")
    versions = [_version(part, table, folder) for part, table in found]
    if is_lake(folder):
        _require_reach(f"{folder} is a lake", folder, _about(folder).get("version"))
    old = [(*one, version) for one, version in zip(found, versions, strict=True) if version != schema.VERSION]
    try:
        with _alone(folder):
            for number, (part, table, version) in enumerate(old):
                on_progress(number, len(old))
                _rewrite(part, table, version)
            if is_lake(folder):
                _say_so(folder)
    except OSError as error:
        raise refusal(folder, error) from error
    return len(old)


def _version(part: Path, table: str, folder: Path) -> int:
    try:
        about = pq.read_schema(part).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"{part} cannot be read: restore it from a copy, or move it away") from error
    if about.get(b"dnsonde.table", b"").decode(errors="replace") != table:
        raise RunError(f"{part} is not a part of dnsonde's table {table}: move it away")
    said = about.get(b"dnsonde.version", b"").decode(errors="replace")
    return _require_reach(f"{part} is", folder, said)


def _require_reach(what: str, folder: Path, said: object) -> int:
    version = int(str(said)) if str(said).isdecimal() else 0
    if not version or version > schema.VERSION or not is_within_reach(version):
        raise RunError(other_version(what, folder, said))
    return version


def _rewrite(part: Path, table: str, version: int) -> None:
    with pq.ParquetFile(part) as file:
        groups = file.metadata.num_row_groups
        size = file.metadata.row_group(0).num_rows if groups else 1
        rows = brought_here(table, version, file.read())
    replaced = replaced_by(part)
    beside = part.with_name(f"{part.name}.tmp")
    try:
        with beside.open("wb", buffering=1 << 20) as out:
            with parquet_writer(out, schema.TABLES[table]) as writer:
                writer.write_table(rows, row_group_size=max(size, 1))
                if replaced:
                    writer.add_key_value_metadata({REPLACES: "\n".join(replaced)})
            out.flush()
            os.fsync(out.fileno())
        beside.replace(part)
    finally:
        beside.unlink(missing_ok=True)


def _about(folder: Path) -> dict[str, object]:
    try:
        said = json.loads((folder / ABOUT).read_bytes())
    except (OSError, ValueError):
        said = None
    if not isinstance(said, dict):
        raise RunError(f"{folder / ABOUT} is damaged: restore it from a copy")
    return said


def _say_so(folder: Path) -> None:
    put(folder / ABOUT, (json.dumps(_about(folder) | {"version": schema.VERSION}) + "\n").encode())


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else migrates a folder, or brings parts into a lake or merges them, meanwhile."""
    places = [folder]
    if is_lake(folder):
        places = [folder / MERGING, folder / LOCK]
        places[0].mkdir(exist_ok=True)
    locks = [os.open(place, os.O_RDONLY | os.O_CLOEXEC) for place in places]
    try:
        for lock in locks:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        for lock in locks:
            os.close(lock)
