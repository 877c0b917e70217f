"""Spark as an engine of relations; see `engine`. Imported only where it is asked for."""

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.pyspark import Backend
from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from dnsonde.errors import SystemRefusal
from dnsonde.table.schema import Table
from dnsonde.table.store import parts_of

MASTER = "DNSONDE_SPARK_MASTER"
LOCAL = "local[2]"
MEMORY_MIB = 2560
POLL_S = 0.2

Work = Callable[[str], dict[str, Any]]


class Spark(Backend):  # type: ignore[misc]  # ibis ships no types
    """Ibis' Spark, with rows that go in and out as Arrow.

    Ibis takes them through pandas, where an integer column with nulls becomes one of floats: half an IPv6 address
    does not survive that.
    """

    def to_pyarrow(self, expr: ir.Expr, /, *, params: Any = None, limit: Any = None, **more: Any) -> Any:
        """The rows of a relation, of its own types."""
        self._run_pre_execute_hooks(expr)
        table = expr.as_table()
        found = self.raw_sql(self.compile(table, params=params, limit=limit, **more)).toArrow()
        return expr.__pyarrow_result__(found.cast(table.schema().to_pyarrow()))

    def open_folder(self, path: Path, tables: Collection[Table] = ()) -> dict[str, ir.Table]:
        """The `tables` of a run or a lake as relations, all if none is named; see `store.open_folder`."""
        return {table.name: self._read_parts(parts, table) for table, parts in parts_of(path, tables)}

    def _read_parts(self, parts: Sequence[Path], table: Table) -> ir.Table:
        types = from_arrow_schema(pa.schema([pa.field(f.name, f.type) for f in table.schema]))
        if parts:
            frame = self._session.read.schema(types).parquet(*[_literal(part) for part in parts])
        else:
            frame = self._session.createDataFrame([], types)
        name = ibis.util.gen_name("parts")
        frame.createOrReplaceTempView(name)
        return self.table(name)

    def keep(self, table: ir.Table) -> ir.Table:
        """The rows of a relation, computed now and kept while the session lasts.

        What is built upon them begins with them: a view or a cache would carry all that they are made of along, twice
        where it is used twice.
        """
        self._run_pre_execute_hooks(table)
        name = ibis.util.gen_name("stage")
        # Of the relation's types: to Spark a number with a point is a decimal.
        kinds = from_arrow_schema(table.schema().to_pyarrow())
        cast = ", ".join(f"CAST(`{kind.name}` AS {kind.dataType.simpleString()})" for kind in kinds)
        rows = self._session.sql(f"SELECT {cast} FROM ({self.compile(table)})")
        # Named anew: under the old identities Spark takes its columns for those of what they were made of.
        rows.toDF(*kinds.names).localCheckpoint().createOrReplaceTempView(name)
        return self.table(name)

    def ask(self, sql: str) -> pa.Table:
        """The rows of a SELECT."""
        return self._session.sql(sql).toArrow()

    def view(self, name: str, sql: str) -> ir.Table:
        """A SELECT as a relation of that name."""
        self._session.sql(sql).createOrReplaceTempView(name)
        return self.table(name)

    def listed(self, name: str, rows: pa.Table) -> None:
        """Rows as a relation of that name."""
        self._session.createDataFrame(rows).createOrReplaceTempView(name)

    @contextmanager
    def kept(self, sql: str) -> Iterator[str]:
        """The name of a table with the rows of a SELECT, for a while."""
        name = ibis.util.gen_name("kept")
        self._session.sql(sql).localCheckpoint().createOrReplaceTempView(name)
        try:
            yield name
        finally:
            self._session.catalog.dropTempView(name)

    def spread(
        self, work: Work, items: Sequence[str], schema: pa.Schema, on_progress: Callable[[int], None]
    ) -> list[dict[str, Any]]:
        """What `work`, a function of a module, says of each item: a row of `schema`; one item at a time a core.

        `on_progress` hears how many are done. Rows come in the order of `items`.
        """
        if not items:
            return []
        context = self._session.sparkContext
        each = context.parallelize([(item,) for item in items], len(items))
        rows = self._session.createDataFrame(each, "item string").mapInArrow(
            partial(_apply, work, schema), from_arrow_schema(schema)
        )
        tracker = context.statusTracker()
        with ThreadPoolExecutor(1, thread_name_prefix="spark") as pool:
            answer = pool.submit(rows.toArrow)
            while True:
                try:
                    return list(answer.result(POLL_S).to_pylist())
                except TimeoutError:
                    if answer.done():
                        raise
                    stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
                    on_progress(sum(stage.numCompletedTasks for stage in stages if stage))
                except BaseException:
                    context.cancelAllJobs()
                    raise

    def _register_in_memory_table(self, op: Any) -> None:
        self.listed(op.name, op.data.to_pyarrow(op.schema))


@contextmanager
def connected(*, memory_limit_mib: int | None = None, room: Path | None = None) -> Iterator[Spark]:
    """A connection to the session that there is, or to a new one, which ends with it."""
    found = SparkSession.getActiveSession()
    on_interrupt = signal.getsignal(signal.SIGINT)
    with tempfile.TemporaryDirectory(prefix="dnsonde-spark-", dir=room) as place:
        session = found or _start(Path(place), memory_limit_mib or MEMORY_MIB)
        try:
            with _failures():
                Spark.register_options()
                yield Spark().connect(session)
        finally:
            if found is None:
                session.stop()
                if threading.current_thread() is threading.main_thread():
                    # Spark's own would cancel the jobs of a session that is gone.
                    signal.signal(signal.SIGINT, on_interrupt)


def _start(place: Path, memory_mib: int) -> SparkSession:
    """A new session; what Java says on its way goes to a file."""
    home = os.environ.get("JAVA_HOME")
    if not (home and (Path(home) / "bin" / "java").exists()) and shutil.which("java") is None:
        raise SystemRefusal(
            "Spark needs Java 17 or 21, and there is none: on Debian, apt-get install default-jre-headless"
        )
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    master = os.environ.get(MASTER, LOCAL)
    settings = {
        "spark.app.name": "dnsonde",
        "spark.master": master,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.sql.session.timeZone": "UTC",
        # Integers that overflow are errors, as with DuckDB, and do not wrap.
        "spark.sql.ansi.enabled": "true",
        # Detectors are long plans: to infer and validate more about them took longer than to run them.
        "spark.sql.constraintPropagation.enabled": "false",
        "spark.sql.lightweightPlanChangeValidation": "false",
        "spark.sql.warehouse.dir": str(place / "warehouse"),
    }
    if master.startswith("local"):
        settings |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.memory": f"{memory_mib}m",
            "spark.local.dir": str(place),
            "spark.sql.shuffle.partitions": "16",
        }
    log = place / "java.log"
    try:
        conf = SparkConf().setAll(list(settings.items()))
        gateway = None
        if SparkContext._gateway is None:  # noqa: SLF001 - the one way to know that Java runs already
            with log.open("wb") as file:
                gateway = launch_gateway(conf, {"stdout": file, "stderr": file})
        return SparkSession(SparkContext(conf=conf, gateway=gateway))
    except (PySparkException, Py4JError, OSError) as error:
        said = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        why = said[-1] if said else _first_line(error)
        raise SystemRefusal(f"Spark does not start ({why}): it needs Java 17 or 21 and memory") from error


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (PySparkException, Py4JError, ConnectionError) as error:
        raise SystemRefusal(f"Spark cannot finish this: {_first_line(error)}") from error


def _apply(work: Work, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for item in batch.column(0).to_pylist():
            yield pa.RecordBatch.from_pylist([work(item)], schema)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _literal(path: Path) -> str:
    """A path that Hadoop takes literally: what its glob would read as a pattern is escaped."""
    return "".join(f"\\{c}" if c in "*?[]{}\\" else c for c in str(path.absolute()))
