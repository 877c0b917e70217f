"""A run or a lake, opened to be exported; and the file that an export goes to."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any, BinaryIO

import ibis
import pyarrow as pa

from dnsonde.errors import RunError, SystemRefusal, UsageError
from dnsonde.export._contract import Network, View, network
from dnsonde.probe.plan import load_plan
from dnsonde.report import owned, readable
from dnsonde.table import store
from dnsonde.table.lake import Lake, is_lake
from dnsonde.table.schema import ENRICHMENT, FINDING, VERDICT

PLAN = "plan.toml"
MEMORY_MIB = 2048  # of the engine, before it spills to disk
OWNED = {"verdict": "target"}  # rows that tell whose their address is, by its role


def open_view(
    folder: Path,
    findings: pa.Table | None = None,
    home: tuple[Network, ...] = (),
    warn: Callable[[str], None] = lambda _: None,
) -> View:
    """A run or a lake with its findings: those given, or those that it keeps. RunError for what is neither."""
    connection = store.connect(memory_limit_mib=MEMORY_MIB)
    if is_lake(folder):
        tables = Lake(folder).tables(connection)
        return View("lake", tables, _findings(tables, findings), home=home, warn=warn)
    tables = store.open_folder(folder, connection)
    if not store.row_count(folder, VERDICT):
        raise RunError(
            f"{folder} is neither a lake nor a run with verdicts: `dnsonde ingest` makes a lake, `dnsonde probe` a "
            f"run, and `dnsonde join {folder}` judges a run that was begun"
        )
    plan = load_plan(folder / PLAN)
    own = home or tuple(place for prefix in plan.space.prefixes if (place := network(prefix)) is not None)
    return View("run", tables, _findings(tables, findings), own, plan.identity.contact, plan.space.port, warn)


def _findings(tables: Mapping[str, ibis.Table], given: pa.Table | None) -> pa.Table:
    if given is not None:
        return given
    return tables["finding"].to_pyarrow().cast(FINDING.schema)


def table_rows(view: View, folder: Path, name: str) -> pa.RecordBatchReader:
    """The rows of one table, with whose its addresses are where that was learned. UsageError for no such table."""
    if name not in view.tables:
        raise UsageError(f"there is no table {name!r}; there are: {', '.join(view.tables)}")
    return readable(with_owners(view.tables[name], folder, name))


def with_owners(rows: ibis.Table, folder: Path, table: str) -> ibis.Table:
    """Rows of a table, in the order of their address, with whose it is; unchanged where nobody learned that."""
    role = OWNED.get(table)
    if role is None or not store.row_count(folder, ENRICHMENT):
        return rows
    known = store.open_folder(folder, rows.get_backend())[ENRICHMENT.name]
    return owned(rows, known, role).order_by([f"{role}_net", f"{role}_host"])


def write_view(form: FunctionType, view: View, output: Path | BinaryIO, settings: Mapping[str, Any]) -> None:
    """Write a view in a format; a file appears whole or not at all."""
    with target(output) as out:
        form(view, out, **settings)


@contextmanager
def target(output: Path | BinaryIO) -> Iterator[BinaryIO]:
    """Where to write: a stream as it is, a file beside its place until it is whole. SystemRefusal if it cannot be."""
    if not isinstance(output, Path):
        yield output
        return
    beside = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        try:
            with beside.open("wb") as file:
                yield file
            beside.replace(output)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise SystemRefusal(f"cannot write {output}: {error.strerror}") from error
