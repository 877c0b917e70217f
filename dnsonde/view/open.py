"""A run or a lake, opened to be exported."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from duckdb import DuckDBPyConnection

from dnsonde.errors import RunError, UsageError
from dnsonde.escape import typed
from dnsonde.probe import state as states
from dnsonde.probe.judge import require_judged
from dnsonde.probe.plan import Plan, load_plan
from dnsonde.report import TARGET, owned
from dnsonde.table import store
from dnsonde.table.lake import Lake, is_lake
from dnsonde.table.prefix import Prefix
from dnsonde.table.readable import readable
from dnsonde.table.rows import Relation
from dnsonde.table.schema import ENRICHMENT, FINDING, TABLES, VERDICT
from dnsonde.view.view import View, network


def open_view(
    folder: Path,
    findings: pa.Table | None = None,
    home: tuple[Prefix, ...] = (),
    warn: Callable[[str], None] = lambda _: None,
) -> View:
    """A run or a lake with its findings: those given, or those that it keeps. RunError for what is neither."""
    knows_owners = bool(store.row_count(folder, ENRICHMENT))
    connection = store.database(memory_limit_mib=store.MEMORY_MIB)
    if is_lake(folder):
        lake = Lake(folder)
        tables = _Tables(lake, connection)
        return View(
            "lake",
            connection,
            tables,
            _findings(tables, findings),
            home,
            warn=warn,
            knows_owners=knows_owners,
            release=lake.release,
            folder=folder,
        )
    opened = store.open_folder(folder, connection)
    require_judged(
        folder,
        f"{folder} is neither a lake nor a run with verdicts: `dnsonde ingest` makes a lake, `dnsonde probe` a "
        f"run, and `dnsonde join {typed(folder)}` judges a run that was begun",
    )
    plan = plan_of(folder)
    own = home or tuple(place for prefix in plan.space.prefixes if (place := network(prefix)) is not None)
    contact, port = plan.identity.contact, plan.space.port
    found = _findings(opened, findings)
    return View("run", connection, opened, found, own, contact, port, warn, knows_owners, folder=folder)


def plan_of(folder: Path) -> Plan:
    """The plan that a run keeps."""
    if not (folder / states.PLAN).exists():
        raise RunError(f"{folder} is not a run, it has no {states.PLAN}: give the folder that `-o` named")
    return load_plan(folder / states.PLAN)


class _Tables(Mapping[str, Relation]):
    """Tables of a lake by name, which are opened, all at once, when one is asked for: it may have very many parts."""

    def __init__(self, lake: Lake, connection: DuckDBPyConnection) -> None:
        self._lake, self._connection = lake, connection

    @cached_property
    def _opened(self) -> dict[str, Relation]:
        return self._lake.tables(self._connection)

    def __getitem__(self, name: str) -> Relation:
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(TABLES)

    def __len__(self) -> int:
        return len(TABLES)


def _findings(tables: Mapping[str, Relation], given: pa.Table | None) -> pa.Table:
    if given is not None:
        return given
    return tables["finding"].to_arrow_table().cast(FINDING.schema)


def table_rows(view: View, name: str) -> pa.RecordBatchReader:
    """The rows of one table, hosts with whose they are where that was learned. UsageError for no such table."""
    if name not in view.tables:
        raise UsageError(f"there is no table {name!r}; there are: {', '.join(view.tables)}")
    rows = view.tables[name]
    return readable(with_owners(rows, view.tables) if name == VERDICT.name else rows)


def with_owners(verdict: Relation, tables: Mapping[str, Relation]) -> Relation:
    """Hosts of a run with whose they are, in the order of their address; unchanged where nobody learned that."""
    known = tables[ENRICHMENT.name]
    return owned(verdict, known, "target").order(TARGET) if len(known) else verdict
