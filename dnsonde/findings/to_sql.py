"""A detector's relation, made SQL for DuckDB: the slow half of `compiled`, which brings Ibis along."""

import hashlib
from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.operations as ops

from dnsonde.detect._contract import Detector
from dnsonde.detect._stages import noting
from dnsonde.findings.queries import Query, Step
from dnsonde.table.as_sql import as_sql, named
from dnsonde.table.schema import FLOW, MESSAGE

SIDES = {"message": ("src_home", "dst_home", "embedded_home"), "flow": ("src_home", "dst_home")}


def to_sql(one: Detector, settings: Mapping[str, Any]) -> Query:
    """The query of a detector with these settings; UsageError for what it cannot be set to."""
    steps: dict[str, Step] = {}
    asks: list[bool] = []

    def note(table: ibis.Table, needed: bool) -> ibis.Table:
        sql = as_sql(table)
        name = f"stage_{hashlib.sha256(sql.encode()).hexdigest()[:16]}"
        steps[name] = Step(name, sql, needed)
        asks.append(_asks_home(table))
        return ibis.table(table.schema(), name=name)

    with noting(note):
        relation = one(_tables(), **settings)
    return Query(
        steps=tuple(steps.values()),
        sql=as_sql(relation),
        schema=relation.schema().to_pyarrow(),
        tables=one.tables,
        home=any([*asks, _asks_home(relation)]),
        wording=one.wording,
    )


def _asks_home(table: ibis.Table) -> bool:
    return any(field.name.endswith("_home") for field in table.op().find(ops.Field))


def _tables() -> dict[str, ibis.Table]:
    """The tables that detectors read, as names and columns alone."""
    return {
        table.name: named(table, f"seen_{table.name}", **dict.fromkeys(SIDES[table.name], "boolean"))
        for table in (MESSAGE, FLOW)
    }
