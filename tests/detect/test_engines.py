"""Every detector finds the same on DuckDB and on Spark, and files read on Spark make the same lake."""

import gc
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import msgspec
import pyarrow as pa
import pytest

from dnsonde import take, watch
from dnsonde.clock import VirtualClock
from dnsonde.detect._contract import Detector
from dnsonde.detect._stages import by_stages
from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.findings.compiled import query_of
from dnsonde.findings.engines import opened
from dnsonde.findings.home import guess
from dnsonde.findings.queries import Stages
from dnsonde.formats._reading import Reading
from dnsonde.lab.traffic import HOME as LAB_HOME
from dnsonde.lab.traffic import load_traffic, record
from dnsonde.table import engine, store
from dnsonde.table.finding import findings
from dnsonde.table.lake import Lake
from dnsonde.table.part import TIME
from dnsonde.table.prefix import prefixes
from dnsonde.table.sides import Seen
from tests.detect import rows

# Between them they show something to every detector.
SCENARIOS = (
    "adjacent_few", "backscatter", "c2_short", "carpet_short", "flood_short", "injection", "mirai_short", "mx",
    "random_answers_short", "reflection_short", "scans", "sweeps", "telnet_one", "torture_short", "transparent_short",
    "tunnels_short",
)  # fmt: skip
CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "captures"
REAL = ("tunnel", "mirai-iot")
HOME = LAB_HOME
SEEN = Seen(prefixes(HOME))
HOUR_US = 3_600_000_000

# A hundred small queries: to compile them costs more than to interpret, and one partition holds all rows.
SMALL = {
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
WIDE = "2001:db8:20:ffff:f123:4567:89ab:cdef"  # no float holds half of it


def why_not() -> str:
    """Why Spark cannot run here."""
    if find_spec("pyspark") is None:
        return "pyspark is not installed: pip install -c constraints.txt -e '.[dev,spark]'"
    if shutil.which("java") is None:
        return "there is no Java: apt-get install default-jre-headless"
    return ""


spark_only = [
    pytest.mark.spark,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.usefixtures("spark"),
    pytest.mark.filterwarnings(
        "ignore:unclosed <socket:ResourceWarning"
    ),  # py4j leaves them to the collector
]


def by_hand() -> Iterator[tuple[str, pa.Table]]:
    """Rows at the edges: IPv6 addresses of all bits, and nulls in whole and in part."""
    asked = [
        rows.query("2620:fe::9", WIDE, f"n{number}.example.org", time_s=number, id=number)
        for number in range(40)
    ]
    told = [rows.response(one, WIDE, ip_ttl=None, edns_size=None) for one in asked]
    odd = rows.query("198.51.100.7", "203.0.113.9", "", qtype=None, id=None, ip_ttl=None, status=3)
    yield "message", rows._messages([*asked, *told, odd])
    yield (
        "flow",
        rows._flows([rows.flow(WIDE, "2620:fe::9", ttl_min=None, ttl_max=None, payload=b"\xff\x00")]),
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Traffic of every threat, as one file would bring it."""
    room = tmp_path_factory.mktemp("engines")
    paths = []
    for number, name in enumerate(SCENARIOS):
        paths.append(room / f"{name}.pcap")
        traffic = load_traffic(name)
        if number:  # what networks do all day is there once
            traffic = msgspec.structs.replace(traffic, background=())
        record(traffic, paths[-1], VirtualClock(rows.START + number * HOUR_US))
    paths += [path for folder in REAL for path in sorted((CAPTURES / folder).glob("*")) if path.is_file()]
    found = Lake(room / "lake", create=True, durable=False)
    with found.take("all") as intake:
        assert intake is not None
        for path in paths:
            with Reading(path) as reading:
                for table, batch in reading:
                    intake.append(table, batch)
        for table, more in by_hand():
            for batch in more.to_batches():
                intake.append(table, batch)
        intake.commit({**reading.account.row(), "file": "all"})
    return found


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        # What is compiled in a hurry is soon enough ready, for as long as this takes.
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        patch.delenv("PYSPARK_PYTHON", raising=False)
        on_interrupt = signal.getsignal(signal.SIGINT)
        with engine.connected("spark", room=tmp_path_factory.mktemp("spark")) as connection:
            assert signal.getsignal(signal.SIGINT) is not on_interrupt
            for name, value in SMALL.items():
                connection._session.conf.set(name, value)
            yield connection
        assert signal.getsignal(signal.SIGINT) is on_interrupt, (
            "who is interrupted later would ask a session that is gone"
        )
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            gc.collect()  # py4j's sockets, lest they count as another test's


@pytest.fixture(scope="module")
def duck(lake: Lake) -> duckdb.DuckDBPyConnection:
    """DuckDB, and the lake's tables as detectors see them."""
    connection = store.database()
    lake.create_views(connection, dict.fromkeys(TIME, "TRUE"))
    for name in TIME:
        connection.execute(f"CREATE TEMP VIEW seen_{name} AS {SEEN.sql(name)}")
    return connection


@pytest.fixture(scope="module")
def on_duckdb(duck: duckdb.DuckDBPyConnection) -> Mapping[str, ir.Table]:
    backend = ibis.duckdb.from_connection(duck)
    return {name: backend.table(f"seen_{name}") for name in TIME}


@pytest.fixture(scope="module")
def direct(on_duckdb: Mapping[str, ir.Table]) -> Callable[[Detector], list[dict[str, Any]]]:
    """What each detector finds as one relation, on DuckDB; worked out once."""
    return cache(lambda each: told(each, on_duckdb))


@pytest.fixture(scope="module")
def on_spark(lake: Lake, spark: Any) -> Mapping[str, ir.Table]:
    with opened("spark", lake):  # makes the views of the lake
        return {name: spark.view(f"seen_{name}", SEEN.sql(name)) for name in TIME}


@pytest.fixture(scope="module")
def kept_stages() -> dict[Any, ir.Table]:
    """What detectors share, as `watch` lets them."""
    return {}


def told(each: Detector, tables: Mapping[str, ir.Table]) -> list[dict[str, Any]]:
    """Findings, whole, in an order of their own."""
    return in_order(findings(each.wording, each(tables).to_pyarrow()).to_pylist())


def in_order(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sorted by what tells them apart."""
    return sorted(found, key=lambda row: (row["subject"], row["first_seen"], row["evidence"]))


class TestOnSpark:
    pytestmark = spark_only

    def test_each_detector_finds_the_same(
        self,
        each: Detector,
        direct: Callable[[Detector], list[dict[str, Any]]],
        on_spark: Mapping[str, ir.Table],
        spark: Any,
        kept_stages: dict[Any, ir.Table],
    ) -> None:
        wanted = direct(each)
        assert wanted, "nothing here is for it to find: add a capture to SCENARIOS"
        relation = by_stages(lambda: each(on_spark), spark.keep, kept_stages)
        assert relation is not None, "a stage that is needed has rows on DuckDB, and none on Spark"
        assert in_order(findings(each.wording, relation.to_pyarrow()).to_pylist()) == wanted

    def test_a_long_list_leaves_out_the_same(self, lake: Lake, spark: Any) -> None:
        del spark
        allowed = prefixes([*(f"10.20.0.{n}" for n in range(1, 250)), "2620:fe::9"])
        seen = replace(SEEN, allow_prefixes=allowed, allow_domains=[f"n{n}.example.org" for n in range(150)])
        left, tables = {}, ("seen_message", "seen_flow", "message")
        some = dict.fromkeys(TIME, "src_port % 16 = 5")  # as it takes long where nothing is compiled
        for name in engine.ENGINES:
            with opened(name, lake, where=some) as looker:
                assert list(looker.rows(seen, ())) == []  # only the views are made
                ask = "SELECT count(*) AS n FROM "
                left[name] = [looker.ask(ask + table).to_pylist()[0]["n"] for table in tables]
        assert left["duckdb"] == left["spark"]
        assert left["duckdb"][0] < left["duckdb"][2]

    def test_home_is_guessed_alike(self, lake: Lake, spark: Any) -> None:
        del spark
        guessed = []
        for name in engine.ENGINES:
            with opened(name, lake) as looker:
                guessed.append(guess(looker.ask, looker.kept))
        assert guessed[0].conversations > 100
        assert guessed[1] == guessed[0]

    def test_rows_keep_their_types_with_nulls_among_them(self, lake: Lake, spark: Any) -> None:
        columns = ("src_net", "src_host", "ip_ttl", "qname", "rd", "entropy")
        message = spark.open_folder(lake.folder)["message"]
        listed = ", ".join(columns)
        both = [
            lake.tables()["message"]
            .filter("packet IS NOT NULL")
            .project(listed)
            .order(listed)
            .to_arrow_table(),
            message.filter(message.packet.notnull()).select(*columns).order_by(columns).to_pyarrow(),
        ]
        assert both[0].num_rows > 100
        assert both[1].schema.types == both[0].schema.types
        assert both[0].column("ip_ttl").null_count > 0
        assert sorted(map(str, both[1].to_pylist())) == sorted(map(str, both[0].to_pylist()))

    def test_tables_without_a_part_are_empty_relations(self, lake: Lake, spark: Any) -> None:
        table = spark.open_folder(lake.folder)["verdict"]
        assert table.count().to_pyarrow().as_py() == 0
        assert list(table.schema().names) == lake.tables()["verdict"].columns

    def test_files_read_on_spark_make_the_same_lake(self, tmp_path: Path) -> None:
        folder = tmp_path / "captures [of a week]"
        folder.mkdir()
        for name in ("mx", "sweeps"):
            record(load_traffic(name), folder / f"{name}.pcap", VirtualClock())
        shutil.copy(folder / "mx.pcap", folder / "mx again.pcap")
        (folder / "notes.txt").write_text("nothing to read here\n")
        taken = {}
        for name in engine.ENGINES:
            where = tmp_path / f"lake of {name}"
            taken[name] = take.ingest([str(folder)], where, VirtualClock(), lambda _: None, name)
            assert not list((where / ".incoming").iterdir())
        one, other = taken["duckdb"], taken["spark"]
        assert len(one.accounts) == 2
        kept = [
            sorted((row["file"], row["packets"], row["messages"], row["reasons"]) for row in t.accounts)
            for t in (one, other)
        ]
        assert kept[0] == kept[1]
        assert len(other.known) == 1
        assert other.skipped == one.skipped != []
        lakes = [Lake(tmp_path / f"lake of {name}") for name in engine.ENGINES]
        for table in ("message", "flow"):
            first, second = (
                lake.tables()[table].to_arrow_table().sort_by([("file", "ascending")]) for lake in lakes
            )
            assert sorted(map(str, first.to_pylist())) == sorted(map(str, second.to_pylist()))
        again = take.ingest(
            [str(folder)], tmp_path / "lake of spark", VirtualClock(), lambda _: None, "spark"
        )
        assert (len(again.known), again.accounts) == (3, [])

    def test_a_lake_is_looked_into(self, lake: Lake) -> None:
        asked = watch.Asked(home=prefixes(HOME), detectors=("mirai_scan",))
        found = {
            name: watch.detect([str(lake.folder)], asked, VirtualClock(), lambda _: None, name).findings
            for name in engine.ENGINES
        }
        assert found["duckdb"].num_rows
        assert found["spark"].equals(found["duckdb"])

    def test_places_that_were_handed_in_are_found_alike(self, lake: Lake, tmp_path: Path) -> None:
        tables, intel = lake.tables(), tmp_path / "intel.csv"
        names = tables["message"].filter("registered_domain IS NOT NULL").project("qname").distinct()
        hosts = tables["flow"].filter("dst_net = 0").project("dst_host % 4294967296, dst_port").distinct()
        lines = [f"{name},,it's \\n {name[-9:]}" for (name,) in names.order("qname").limit(300).fetchall()]
        lines += [
            f"{IPv4Address(host)},{port},of {port}" for host, port in hosts.order("ALL").limit(300).fetchall()
        ]
        intel.write_text("ioc,port,malware\n" + "\n".join(lines))
        asked = watch.Asked(
            home=prefixes(HOME), detectors=("botnet_c2",), settings={"botnet_c2": {"intel": str(intel)}}
        )
        found = {
            name: watch.detect([str(lake.folder)], asked, VirtualClock(), lambda _: None, name).findings
            for name in engine.ENGINES
        }
        assert found["duckdb"].num_rows > 3
        assert found["spark"].equals(found["duckdb"])

    def test_a_relation_that_fails_is_a_refusal_in_one_sentence(self) -> None:
        with (
            pytest.raises(SystemRefusal, match=r"^Spark cannot finish this: [^\n]+$"),
            engine.connected("spark") as it,
        ):
            it.raw_sql("SELECT nonsense FROM nowhere")


def test_each_detector_finds_the_same_by_stages(
    each: Detector, direct: Callable[[Detector], list[dict[str, Any]]], duck: duckdb.DuckDBPyConnection
) -> None:
    query = query_of(each.name)
    assert in_order(findings(query.wording, Stages(duck).rows(query)).to_pylist()) == direct(each) != []


def test_an_unknown_engine_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="duckdb, spark"), engine.connected("flink"):
        pass


def test_without_pyspark_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda _: None)
    with pytest.raises(SystemRefusal, match=r"dnsonde\[spark\]"), engine.connected("spark"):
        pass


def test_standard_input_is_not_for_many_readers(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="standard input"):
        take.ingest(["-"], tmp_path / "lake", VirtualClock(), lambda _: None, "spark")


@pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is not installed")
def test_without_java_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark.sql import SparkSession

    monkeypatch.setattr(SparkSession, "getActiveSession", classmethod(lambda _: None))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SystemRefusal, match="Java 17"), engine.connected("spark"):
        pass
