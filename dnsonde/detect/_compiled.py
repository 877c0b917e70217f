"""Detectors as SQL for DuckDB, kept: to make it of relations takes half a second each, to run it mostly less.

The SQL reads the views `seen_message` and `seen_flow`, so it depends on the code and on the settings only. What is made
with the defaults is kept beside the compiled kernels; it changes with the sources of this room and the libraries.

Stages (`_stages`) become temporary tables, named by what they are made of: detectors that begin alike share them.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import pyarrow as pa

from dnsonde.detect._contract import Detector
from dnsonde.detect._stages import noting
from dnsonde.table.schema import FLOW, MESSAGE
from dnsonde.wire.compile import cache_folder

SIDES = {"message": ("src_home", "dst_home", "embedded_home"), "flow": ("src_home", "dst_home")}
SOURCES = ("detect", "intel", "table", "wire")
LIBRARIES = ("ibis-framework", "sqlglot", "duckdb")


@dataclass(frozen=True, slots=True)
class Step:
    """A stage: the table that it is kept in, its SQL, and whether without a row of it nothing is found."""

    table: str
    sql: str
    needed: bool


@dataclass(frozen=True, slots=True)
class Query:
    """Steps and SQL, the types of its columns, and whether it asks which addresses are home."""

    steps: tuple[Step, ...]
    sql: str
    columns: dict[str, str]
    home: bool

    def run(self, connection: ibis.BaseBackend) -> pa.Table:
        """Its rows; `connection` has the views, and keeps the tables of the steps."""
        schema = ibis.Schema(self.columns).to_pyarrow()
        raw = connection.con
        for step in self.steps:
            raw.execute(f"CREATE TEMP TABLE IF NOT EXISTS {step.table} AS {step.sql}")
            if step.needed and not raw.table(step.table).limit(1).fetchall():
                return schema.empty_table()
        # DuckDB sums to 128 bits, whatever ibis promised.
        return raw.execute(self.sql).fetch_arrow_table().cast(schema)


def drop(connection: ibis.BaseBackend, done: Query, left: Iterable[Query]) -> None:
    """Drop the tables of a query that ran, but for those that others need."""
    kept = {step.table for query in left for step in query.steps}
    for step in done.steps:
        if step.table not in kept:
            connection.con.execute(f"DROP TABLE IF EXISTS {step.table}")


@cache
def compiled(one: Detector, settings: tuple[tuple[str, Any], ...] = ()) -> Query:
    """The query of a detector with these settings (by name); UsageError for what it cannot be set to."""
    place = None if settings else _place(one.name)
    if place is not None:
        with suppress(OSError, ValueError, TypeError):
            said = json.loads(place.read_text(encoding="utf-8"))
            return Query(**{**said, "steps": tuple(Step(**step) for step in said["steps"])})
    query = _compile(one, settings)
    if place is not None:
        with suppress(OSError):
            _keep(place, one.name, query)
    return query


def _compile(one: Detector, settings: tuple[tuple[str, Any], ...]) -> Query:
    steps: dict[str, Step] = {}
    asks: list[bool] = []

    def note(table: ibis.Table, needed: bool) -> ibis.Table:
        sql = _sql(table)
        name = f"stage_{hashlib.sha256(sql.encode()).hexdigest()[:16]}"
        steps[name] = Step(name, sql, needed)
        asks.append(_asks_home(table))
        return ibis.table(table.schema(), name=name)

    with noting(note):
        relation = one(_tables(), **dict(settings))
    return Query(
        steps=tuple(steps.values()),
        sql=_sql(relation),
        columns={name: str(kind) for name, kind in relation.schema().items()},
        home=any([*asks, _asks_home(relation)]),
    )


def _sql(table: ibis.Table) -> str:
    return str(ibis.to_sql(table, dialect="duckdb"))


def _asks_home(table: ibis.Table) -> bool:
    return any(field.name.endswith("_home") for field in table.op().find(ops.Field))


def _tables() -> dict[str, ibis.Table]:
    """The tables that detectors read, as names and columns alone."""
    found = {}
    for table in (MESSAGE, FLOW):
        columns = dict(ibis.Schema.from_pyarrow(table.schema.remove_metadata()))
        sides = dict.fromkeys(SIDES[table.name], dt.boolean)
        found[table.name] = ibis.table({**columns, **sides}, name=f"seen_{table.name}")
    return found


def _place(name: str) -> Path | None:
    try:
        return cache_folder() / f"dnsonde-query-{name}-{_state()}.json"
    except (LookupError, OSError, RuntimeError):
        return None


def _keep(place: Path, name: str, query: Query) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    for old in place.parent.glob(f"dnsonde-query-{name}-*.json"):
        old.unlink(missing_ok=True)
    temporary = place.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(query)), encoding="utf-8")
    temporary.rename(place)


@cache
def _state() -> str:
    """What the queries depend on, in 16 hex digits."""
    parts = [version(name) for name in LIBRARIES]
    for room in SOURCES:
        for source in sorted(Path(str(files("dnsonde"))).joinpath(room).glob("*.*")):
            kept = source.stat()
            parts += [source.name, str(kept.st_mtime_ns), str(kept.st_size)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
