"""Relations as SQL for DuckDB, over tables of which only name and columns are known.

To make it takes Ibis, and seconds; to run it takes neither. Who keeps it (`kept`) imports this only to make it anew.
"""

import ibis

from dnsonde.table.schema import Table


def named(table: Table, name: str, **more: str) -> ibis.Table:
    """A table of the dictionary's under any name; more: columns that it has beside, with their types."""
    return ibis.table({**ibis.Schema.from_pyarrow(table.schema.remove_metadata()), **more}, name=name)


def as_sql(relation: ibis.Table) -> str:
    """The relation, for DuckDB."""
    return str(ibis.to_sql(relation, dialect="duckdb"))
