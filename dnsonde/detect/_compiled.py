"""Detectors as SQL for DuckDB, kept: to make it of relations takes half a second each, to run it mostly less.

The SQL reads the views `seen_message` and `seen_flow`, so it depends on the code and on the settings only. What is made
with the defaults is kept beside the compiled kernels; it changes with the sources of this room and the libraries.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
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
from dnsonde.table.schema import FLOW, MESSAGE
from dnsonde.wire.compile import cache_folder

SIDES = {"message": ("src_home", "dst_home", "embedded_home"), "flow": ("src_home", "dst_home")}
SOURCES = ("detect", "intel", "table", "wire")
LIBRARIES = ("ibis-framework", "sqlglot", "duckdb")


@dataclass(frozen=True, slots=True)
class Query:
    """SQL, the types of its columns, and whether it asks which addresses are home."""

    sql: str
    columns: dict[str, str]
    home: bool

    def run(self, connection: ibis.BaseBackend) -> pa.Table:
        """Its rows; `connection` has the views."""
        schema = ibis.Schema(self.columns).to_pyarrow()
        # DuckDB sums to 128 bits, whatever ibis promised.
        return connection.con.execute(self.sql).fetch_arrow_table().cast(schema)


@cache
def compiled(one: Detector, settings: tuple[tuple[str, Any], ...] = ()) -> Query:
    """The query of a detector with these settings (by name); UsageError for what it cannot be set to."""
    place = None if settings else _place(one.name)
    if place is not None:
        with suppress(OSError, ValueError, TypeError):
            return Query(**json.loads(place.read_text(encoding="utf-8")))
    relation = one(_tables(), **dict(settings))
    query = Query(
        sql=str(ibis.to_sql(relation, dialect="duckdb")),
        columns={name: str(kind) for name, kind in relation.schema().items()},
        home=any(field.name.endswith("_home") for field in relation.op().find(ops.Field)),
    )
    if place is not None:
        with suppress(OSError):
            _keep(place, one.name, query)
    return query


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
    kept = {"sql": query.sql, "columns": query.columns, "home": query.home}
    temporary.write_text(json.dumps(kept), encoding="utf-8")
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
