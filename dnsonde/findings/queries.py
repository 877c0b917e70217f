"""A detector as SQL, and how it runs on DuckDB.

Stages (`detect._stages`) become temporary tables, named by what they are made of: detectors that begin alike share
them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from dnsonde.table.finding import Wording


@dataclass(frozen=True, slots=True)
class Step:
    """A stage: the table that it is kept in, its SQL, and whether without a row of it nothing is found."""

    table: str
    sql: str
    needed: bool


@dataclass(frozen=True, slots=True)
class Query:
    """Steps and SQL, the columns it gives, the tables it reads, and whether it asks which addresses are home.

    wording: of what it finds.
    """

    steps: tuple[Step, ...]
    sql: str
    schema: pa.Schema
    tables: tuple[str, ...]
    home: bool
    wording: Wording


class Stages:
    """Queries at work on one connection, which has the views; a table of a step is made once, for all that need it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._made: set[str] = set()

    def rows(self, query: Query) -> pa.Table:
        """What it gives."""
        for step in query.steps:
            if step.table not in self._made:  # to ask DuckDB costs as much as to plan the whole step
                self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {step.table} AS {step.sql}")
                self._made.add(step.table)
            if step.needed and not self._connection.table(step.table).limit(1).fetchall():
                return query.schema.empty_table()
        # DuckDB sums to 128 bits, whatever ibis promised.
        return self._connection.execute(query.sql).fetch_arrow_table().cast(query.schema)

    def drop(self, done: Query, left: Iterable[Query]) -> None:
        """Drop the tables of a query that ran, but for those that others need."""
        kept = {step.table for query in left for step in query.steps}
        for table in {step.table for step in done.steps} & self._made - kept:
            self._connection.execute(f"DROP TABLE {table}")
            self._made.remove(table)
