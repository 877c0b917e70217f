"""Detectors at work on either engine: a lake's tables as views, what home is asked of them, and every detector's rows.

DuckDB runs SQL that is kept (`compiled`) and needs neither Ibis nor a detector's own file. Spark runs the relations.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import duckdb
import pyarrow as pa

from dnsonde.findings.compiled import Settings, detector_of, query_of
from dnsonde.findings.queries import Stages
from dnsonde.table import engine, store
from dnsonde.table.lake import Lake
from dnsonde.table.part import TIME
from dnsonde.table.prefix import Values, among
from dnsonde.table.schema import FLOW, MESSAGE
from dnsonde.table.sides import Seen

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from dnsonde.table.spark import Spark

LONG = 20  # values of a list, from which on it is a table
SMALL = 4_000_000  # octets of a lake that one thread is through with before others would have begun

Wanted = Sequence[tuple[str, Settings]]
"""Detectors by name, in the order in which they run, each with its settings."""


class Looker(Protocol):
    """An engine, opened on a lake."""

    def ask(self, sql: str) -> pa.Table:
        """The rows of a SELECT over `message` and `flow`."""

    @contextmanager
    def kept(self, sql: str) -> Iterator[str]:
        """The name of a table with the rows of a SELECT, for a while."""

    def rows(self, seen: Seen, wanted: Wanted) -> Iterator[pa.Table]:
        """What each detector's relation gives, one after the other, as they are asked for."""


class Lists:
    """As `Among`, with long lists as tables, which `make` is to make: read once, however many queries go by them."""

    def __init__(self, make: Callable[[str, pa.Table], object]) -> None:
        self._make = make
        self._made: dict[tuple[int | str, ...], str] = {}

    def __call__(self, column: str, values: Values) -> str:
        """See `Among`."""
        if len(values) < LONG:
            return among(column, values)
        name = self._made.get(tuple(values))
        if name is None:
            name = self._made[tuple(values)] = f"listed_{len(self._made)}"
            self._make(name, pa.table({"value": values}))
        return f"{column} IN (SELECT value FROM {name})"


class OnDuckDB:
    """Detectors as SQL, on views of that connection: `message` and `flow` are there."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        # It makes joins of lists of numbers, and detectors' are short: they take longer to plan than to ask.
        connection.execute("SET disabled_optimizers = 'in_clause'")
        self._lists = Lists(lambda name, rows: connection.from_arrow(rows).create(name))

    def ask(self, sql: str) -> pa.Table:
        """The rows of a SELECT over `message` and `flow`."""
        return self._connection.execute(sql).fetch_arrow_table()

    @contextmanager
    def kept(self, sql: str) -> Iterator[str]:
        """The name of a table with the rows of a SELECT, for a while."""
        self._connection.execute(f"CREATE TEMP TABLE kept AS {sql}")
        try:
            yield "kept"
        finally:
            self._connection.execute("DROP TABLE kept")

    def rows(self, seen: Seen, wanted: Wanted) -> Iterator[pa.Table]:
        """What each detector's query gives; tables that several begin with are made once."""
        for name in TIME:
            self._connection.execute(
                f"CREATE OR REPLACE TEMP VIEW seen_{name} AS {seen.sql(name, self._lists)}"
            )
        empty = {name for name in TIME if not self._has_rows(f"seen_{name}")}
        queries = [query_of(*one) for one in wanted]
        stages = Stages(self._connection)
        for number, query in enumerate(queries):
            if empty.issuperset(query.tables):
                yield query.schema.empty_table()
                continue
            rows = stages.rows(query)
            stages.drop(query, queries[number + 1 :])
            yield rows

    def _has_rows(self, view: str) -> bool:
        return bool(self._connection.execute(f"FROM {view} LIMIT 1").fetchall())


class OnSpark:
    """Detectors as relations, by their stages."""

    def __init__(self, spark: "Spark") -> None:
        self._spark = spark
        self._lists = Lists(spark.listed)
        self.ask = spark.ask
        self.kept = spark.kept

    def rows(self, seen: Seen, wanted: Wanted) -> Iterator[pa.Table]:
        """What each detector's relation gives; stages that several begin with are computed once."""
        from dnsonde.detect._stages import by_stages  # noqa: PLC0415 - Ibis is slow to import

        tables = {name: self._spark.view(f"seen_{name}", seen.sql(name, self._lists)) for name in TIME}
        stages: dict[Any, ir.Table] = {}
        for name, settings in wanted:
            relation = by_stages(
                partial(detector_of(name), tables, **dict(settings)), self._spark.keep, stages
            )
            yield query_of(name, settings).schema.empty_table() if relation is None else relation.to_pyarrow()


@contextmanager
def opened(
    name: str,
    lake: Lake,
    *,
    where: Mapping[str, str] | None = None,
    memory_limit_mib: int | None = None,
    room: Path | None = None,
) -> Iterator[Looker]:
    """The engine of that name with `message` and `flow` of a lake, as far as a condition `where` on each goes.

    See `engine.connected`.
    """
    if name == "duckdb":
        spill = None if room is None else room / "spill"
        threads = 1 if lake.octets(TIME) < SMALL else None
        with store.database(memory_limit_mib=memory_limit_mib, threads=threads, spill=spill) as connection:
            lake.create_views(connection, where or dict.fromkeys(TIME, "TRUE"))
            yield OnDuckDB(connection)
        return
    lake.hold()
    with engine.connected(name, memory_limit_mib=memory_limit_mib, room=room) as spark:
        for table, whole in spark.open_folder(lake.folder, [MESSAGE, FLOW]).items():
            condition = (where or {}).get(table, "TRUE")
            spark.view(table, f"SELECT * FROM {whole.get_name()} WHERE {condition}")
        yield OnSpark(spark)
