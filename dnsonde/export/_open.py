"""A run or a lake, opened to be exported; and the file that an export goes to."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from dnsonde.errors import RunError, SystemRefusal, UsageError
from dnsonde.export._contract import Network, View, network
from dnsonde.table import store
from dnsonde.table.lake import Lake, is_lake
from dnsonde.table.schema import ENRICHMENT, FINDING, TABLES, VERDICT

if TYPE_CHECKING:
    import ibis

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
    enriched = bool(store.row_count(folder, ENRICHMENT))
    if is_lake(folder):
        lake = _Tables(Lake(folder))
        return View("lake", lake, _findings(lake, findings), home=home, warn=warn, enriched=enriched)
    tables = store.open_folder(folder, store.connect(memory_limit_mib=MEMORY_MIB))
    if not store.row_count(folder, VERDICT):
        raise RunError(
            f"{folder} is neither a lake nor a run with verdicts: `dnsonde ingest` makes a lake, `dnsonde probe` a "
            f"run, and `dnsonde join {folder}` judges a run that was begun"
        )
    from dnsonde.probe.plan import load_plan  # noqa: PLC0415 - it brings compiled code along, which a lake needs not

    plan = load_plan(folder / PLAN)
    own = home or tuple(place for prefix in plan.space.prefixes if (place := network(prefix)) is not None)
    contact, port = plan.identity.contact, plan.space.port
    return View("run", tables, _findings(tables, findings), own, contact, port, warn, enriched)


class _Tables(Mapping[str, "ibis.Table"]):
    """Tables of a lake by name, which are opened, all at once, when one is asked for: that brings Ibis along."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    @cached_property
    def _opened(self) -> "dict[str, ibis.Table]":
        return self._lake.tables(store.connect(memory_limit_mib=MEMORY_MIB))

    def __getitem__(self, name: str) -> "ibis.Table":
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(TABLES)

    def __len__(self) -> int:
        return len(TABLES)


def _findings(tables: "Mapping[str, ibis.Table]", given: pa.Table | None) -> pa.Table:
    if given is not None:
        return given
    return tables["finding"].to_pyarrow().cast(FINDING.schema)


def table_rows(view: View, folder: Path, name: str) -> pa.RecordBatchReader:
    """The rows of one table, with whose its addresses are where that was learned. UsageError for no such table."""
    if name not in view.tables:
        raise UsageError(f"there is no table {name!r}; there are: {', '.join(view.tables)}")
    from dnsonde.report import readable  # noqa: PLC0415 - it brings Ibis along

    return readable(with_owners(view.tables[name], folder, name))


def with_owners(rows: "ibis.Table", folder: Path, table: str) -> "ibis.Table":
    """Rows of a table, in the order of their address, with whose it is; unchanged where nobody learned that."""
    role = OWNED.get(table)
    if role is None or not store.row_count(folder, ENRICHMENT):
        return rows
    from dnsonde.report import owned  # noqa: PLC0415 - it brings Ibis along

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
