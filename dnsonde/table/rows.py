"""Relations of DuckDB, rows that are not computed yet, and what is asked of them in SQL."""

from collections.abc import Iterable
from typing import Any

from duckdb import DuckDBPyRelation

from dnsonde.table.prefix import prefixes
from dnsonde.table.prefix import within as within_all
from dnsonde.table.store import quoted

Relation = DuckDBPyRelation  # `filter`, `project` and so on take SQL


def records(relation: Relation) -> list[dict[str, Any]]:
    """All rows of a relation of few."""
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def value(relation: Relation, expression: str) -> Any:
    """An aggregate over a relation, as SQL has it."""
    (one,) = relation.aggregate(expression).fetchall()
    return one[0]


def listed(texts: Iterable[str]) -> str:
    """SQL: texts in brackets, for IN."""
    return f"({', '.join(map(quoted, texts))})"


def within(role: str, prefix: str) -> str:
    """SQL: the address in `role` lies in `prefix` (text); UsageError when it is no prefix."""
    return within_all(role, *prefixes([prefix]))


def joined(
    one: Relation, role: str, other: Relation, its_role: str, columns: str, how: str = "left"
) -> Relation:
    """Rows of `one` and of `other` where the address in `role` is the one in `its_role`; columns: SQL of what of it."""
    on = " AND ".join(f"one.{role}_{half} = other.{its_role}_{half}" for half in ("net", "host"))
    return one.set_alias("one").join(other.set_alias("other"), on, how).project(columns)
