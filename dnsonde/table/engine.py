"""Engines by name: what runs relations. `duckdb` in this process, `spark` where one machine is not enough.

A relation gives equal rows on both. Spark is the extra `[spark]` and needs Java 17 or 21; it runs in this machine on
two cores unless the environment variable DNSONDE_SPARK_MASTER names another master (`local[8]`,
`spark://HOST:7077`, ...), whose workers must have dnsonde, and the lake under the same path.
"""

from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from dnsonde.errors import SystemRefusal, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnsonde.table.spark import Spark

ENGINES = ("duckdb", "spark")


@contextmanager
def connected(
    name: str, *, memory_limit_mib: int | None = None, room: Path | None = None
) -> "Iterator[Spark]":
    """An empty connection to the engine of that name, closed in the end; DuckDB, the default, is `store.database`'s.

    room: a folder for what it spills.

    UsageError when there is no such engine, SystemRefusal when it is not installed or fails.
    """
    if name != "spark":
        raise UsageError(f"there is no engine {name!r}; there are {', '.join(ENGINES)}")
    if find_spec("pyspark") is None:
        raise SystemRefusal("the Spark engine is not installed: pip install 'dnsonde[spark]'")
    from dnsonde.table import spark  # noqa: PLC0415 - an extra, and slow to import

    with spark.connected(memory_limit_mib=memory_limit_mib, room=room) as connection:
        yield connection
