import errno
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dnsonde.errors import RunError, SystemRefusal, UsageError
from dnsonde.table import store
from dnsonde.table.lake import Lake
from dnsonde.table.schema import PROBE, REPLY, TABLES, TEXT, Column, Table


def probes(count: int, start: int = 0) -> dict[str, object]:
    number = np.arange(start, start + count)
    return {
        "target_net": 0,
        "target_host": number,
        "kind": "sweep",
        "attempt": np.ones(count, np.uint8),
        "time_us": number.astype(np.uint64),
        "qname": [f"n{i}.example" for i in number],
        "qtype": np.uint16(1),
        "query_bytes": 60,
        "errno": np.zeros(count, np.int32),
    }


def hosts(folder: Path) -> list[int]:
    table = store.open_folder(folder)["probe"].to_arrow_table()
    return sorted(table["target_host"].to_pylist())


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    with store.Writer(PROBE, tmp_path, rows_per_part=100) as writer:
        for start in range(0, 1000, 30):
            writer.append(probes(30, start))
    assert hosts(tmp_path) == list(range(1020))
    assert writer.written == 1020
    read = store.open_folder(tmp_path)["probe"].order("target_host").limit(2).to_arrow_table().to_pylist()
    assert read[1]["qname"] == "n1.example"
    assert read[1]["kind"] == "sweep"
    assert [p.name for p in sorted((tmp_path / "probe").iterdir())][:2] == [
        "part-000001.parquet",
        "part-000002.parquet",
    ]


def test_the_callers_buffers_may_be_reused_at_once(tmp_path: Path) -> None:
    columns = probes(3)
    column = np.arange(3)
    with store.Writer(PROBE, tmp_path) as writer:
        writer.append(columns | {"target_host": column})
        column[:] = 99
    assert hosts(tmp_path) == [0, 1, 2]


def test_missing_tables_are_empty_relations_with_every_column(tmp_path: Path) -> None:
    tables = store.open_folder(tmp_path)
    assert tables.keys() == TABLES.keys()
    for name, table in tables.items():
        assert table.columns == [c.name for c in TABLES[name].columns]
        assert len(table) == 0


def test_empty_and_filled_relations_have_equal_types(tmp_path: Path) -> None:
    full = tmp_path / "full"
    with store.Writer(PROBE, full) as writer:
        writer.append(probes(1))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert store.open_folder(full)["probe"].types == store.open_folder(empty)["probe"].types


def test_two_folders_share_a_connection(tmp_path: Path) -> None:
    connection = store.database(memory_limit_mib=256, threads=1, spill=tmp_path / "spill")
    for name, count in (("a", 2), ("b", 3)):
        with store.Writer(PROBE, tmp_path / name) as writer:
            writer.append(probes(count))
    a = store.open_folder(tmp_path / "a", connection)["probe"]
    b = store.open_folder(tmp_path / "b", connection)["probe"]
    assert b.except_(a).project("target_host").fetchall() == [(2,)]


def test_what_does_not_fit_into_memory_is_put_among_the_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = (store.database(memory_limit_mib=100, threads=1) for _ in range(2))
    places = [Path(c.sql("SELECT current_setting('temp_directory')").fetchall()[0][0]) for c in (one, other)]
    assert places[0] != places[1]
    assert all(place.is_relative_to(tempfile.gettempdir()) for place in places)
    one.execute("CREATE TABLE t AS SELECT hash(range)::VARCHAR || repeat('x', 50) FROM range(2_000_000)")
    assert list(places[0].iterdir())
    assert not list(tmp_path.iterdir())


def test_left_out_columns_are_null_where_they_may_be(tmp_path: Path) -> None:
    needed = {
        "time_us": np.arange(4),
        "outcome": "answered",
        "responder_net": 0,
        "responder_host": 1,
        "responder_port": 53,
        "response_bytes": 100,
    }
    given = {
        "rcode": (np.array([0, 1, 2, 3], np.uint8), np.array([True, False, True, True])),
        "ede": np.ma.masked_equal([7, -1, -1, 8], -1),
        "flags": pa.array([1, None, 3, 4]),
        "control": pa.array([True, None, False, None]),
        "kind": pa.array(["sweep", None, "size", None]).dictionary_encode(),
    }
    with store.Writer(REPLY, tmp_path) as writer:
        writer.append(needed | given)
        with pytest.raises(ValueError, match=r"reply.outcome.*may not be null"):
            writer.append({k: v for k, v in needed.items() if k != "outcome"})
    read = store.open_folder(tmp_path)["reply"].order("time_us").to_arrow_table()
    assert read["rcode"].to_pylist() == [0, None, 2, 3]
    assert read["ede"].to_pylist() == [7, None, None, 8]
    assert read["flags"].to_pylist() == [1, None, 3, 4]
    assert read["control"].to_pylist() == [True, None, False, None]
    assert read["kind"].to_pylist() == ["sweep", None, "size", None]
    assert read["icmp_type"].to_pylist() == [None] * 4


def test_unsigned_64_bit_numbers_keep_their_bits(tmp_path: Path) -> None:
    with store.Writer(PROBE, tmp_path) as writer:
        writer.append(probes(1) | {"target_host": np.array([2**64 - 1], np.uint64)})
    assert hosts(tmp_path) == [-1]


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"nosuch": 1}, ValueError, "no column nosuch"),
        ({"errno": np.zeros(2)}, ValueError, "differ in length"),
        ({"errno": np.zeros(3)}, TypeError, r"probe.errno.*float64"),
        ({"attempt": np.array([1, 2, 70000])}, OverflowError, r"probe.attempt.*70000"),
        ({"attempt": 70000}, OverflowError, r"probe.attempt"),
        ({"qname": None}, ValueError, r"probe.qname.*null"),
        ({"qname": ["a", None, "b"]}, ValueError, r"probe.qname.*null"),
    ],
)
def test_a_wrong_column_is_told_and_nothing_of_it_is_taken(
    tmp_path: Path, wrong: dict[str, object], error: type[Exception], message: str
) -> None:
    with store.Writer(PROBE, tmp_path) as writer:
        writer.append(probes(3))
        with pytest.raises(error, match=message):
            writer.append(probes(3, 3) | wrong)
        writer.append(probes(3, 6))
    assert hosts(tmp_path) == [0, 1, 2, 6, 7, 8]


def test_a_column_of_many_small_texts_is_kept_in_order(tmp_path: Path) -> None:
    with store.Writer(PROBE, tmp_path) as writer:
        for i in range(3000):
            writer.append(probes(1, i) | {"kind": "sweep" if i % 7 else "size"})
    read = store.open_folder(tmp_path)["probe"].order("target_host").to_arrow_table()
    assert read["qname"].to_pylist() == [f"n{i}.example" for i in range(3000)]
    assert read["kind"].to_pylist() == ["sweep" if i % 7 else "size" for i in range(3000)]


def test_octets_survive(tmp_path: Path) -> None:
    table = Table(
        "probe", "r", "t", (Column("payload", pa.binary(), "m"), Column("text", TEXT, "m", null=True))
    )
    payload = [b"\x00\xff\x00", b""]
    with store.Writer(table, tmp_path) as writer:
        writer.append({"payload": payload, "text": None})
    assert pq.read_table(tmp_path / "probe" / "part-000001.parquet")["payload"].to_pylist() == payload


def test_a_resumed_writer_continues_after_the_highest_part(tmp_path: Path) -> None:
    for start in (0, 5):
        with store.Writer(PROBE, tmp_path) as writer:
            writer.append(probes(5, start))
    (tmp_path / "probe" / "part-000001.parquet").unlink()
    with store.Writer(PROBE, tmp_path) as writer:
        writer.append(probes(5, 10))
        assert writer.flush() == tmp_path / "probe" / "part-000003.parquet"
    assert hosts(tmp_path) == list(range(5, 15))


def test_two_writers_of_one_table_never_take_the_same_part(tmp_path: Path) -> None:
    a, b = store.Writer(PROBE, tmp_path), store.Writer(PROBE, tmp_path)
    for i in range(5):
        a.append(probes(1, 2 * i))
        b.append(probes(1, 2 * i + 1))
        assert a.flush() != b.flush()
    a.close()
    b.close()
    assert hosts(tmp_path) == list(range(10))


def test_a_part_that_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "probe"
    folder.mkdir()
    taken = store._claim(folder, 1, replace=False)
    with store.Writer(PROBE, tmp_path) as writer:
        writer.append(probes(1))
    assert taken[0].exists()
    assert (folder / "part-000002.parquet").exists()
    os.close(taken[3])


def test_a_killed_writer_leaves_whole_parts_only_and_its_litter_is_cleaned(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
import numpy as np
from dnsonde.table import store
from dnsonde.table.lake import Lake
from dnsonde.table.schema import PROBE
w = store.Writer(PROBE, Path({str(tmp_path)!r}))
row = dict(target_net=0, kind="sweep", attempt=1, time_us=1, qname="q", qtype=1, query_bytes=1, errno=0)
w.append(row | dict(target_host=np.arange(10)))
w.flush()
w.append(row | dict(target_host=np.arange(10, 20)))
os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)
w.flush()
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert [p.suffix for p in (tmp_path / "probe").iterdir()].count(".tmp") == 1
    assert hosts(tmp_path) == list(range(10))
    with store.Writer(PROBE, tmp_path) as writer:
        writer.append(probes(1, 20))
    assert hosts(tmp_path) == [*range(10), 20]
    assert not list((tmp_path / "probe").glob("*.tmp"))


@pytest.mark.parametrize(
    ("number", "sentence"), [(errno.ENOSPC, "no room left"), (errno.EACCES, "permission")]
)
def test_a_refused_write_names_the_folder_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    writer = store.Writer(PROBE, tmp_path)
    writer.append(probes(10))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(SystemRefusal, match=sentence) as caught:
            writer.flush()
        assert str(tmp_path) in str(caught.value)
        assert not list((tmp_path / "probe").iterdir())
        writer.append(probes(10, 10))
        with pytest.raises(SystemRefusal, match=sentence):
            writer.flush()
    assert writer.written == 0
    writer.close()
    assert hosts(tmp_path) == list(range(20))


def test_a_part_whose_name_was_not_synced_is_not_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []

    def refuse_the_second(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(errno.EIO, "input/output error")

    writer = store.Writer(PROBE, tmp_path)
    writer.append(probes(10))
    monkeypatch.setattr(os, "fsync", refuse_the_second)
    with pytest.raises(SystemRefusal, match="input/output error"):
        writer.flush()
    writer.close()
    assert hosts(tmp_path) == list(range(10))


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    """A real refusal by the kernel, by way of a file-size limit, in a process of its own."""
    script = f"""
import resource, signal
from pathlib import Path
import numpy as np
from dnsonde.errors import SystemRefusal
from dnsonde.table import store
from dnsonde.table.lake import Lake
from dnsonde.table.schema import PROBE
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
w = store.Writer(PROBE, Path({str(tmp_path)!r}))
row = dict(target_net=0, kind="sweep", attempt=1, time_us=1, qname="q", qtype=1, query_bytes=1, errno=0)
w.append(row | dict(target_host=np.random.default_rng(1).integers(0, 2**62, 10000)))
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
try:
    w.flush()
except SystemRefusal as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
w.close()
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert "no room left" in done.stdout
    assert len(hosts(tmp_path)) == 10000


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(SystemRefusal, match="a file is in its way"):
        store.Writer(PROBE, tmp_path / "run")


def test_a_missing_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run or lake at"):
        store.open_folder(tmp_path / "nosuch")


def put_part(root: Path, content: pa.Table) -> None:
    (root / "probe").mkdir()
    pq.write_table(content, root / "probe" / "part-000001.parquet")


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    with store.Writer(PROBE, tmp_path) as writer:
        writer.append(probes(10))
    part = tmp_path / "probe" / "part-000001.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(RunError, match=r"part-000001.parquet cannot be read"):
        store.open_folder(tmp_path)


def test_a_part_of_another_version_is_refused(tmp_path: Path) -> None:
    schema = PROBE.schema
    put_part(
        tmp_path, schema.with_metadata({**(schema.metadata or {}), b"dnsonde.version": b"999"}).empty_table()
    )
    with pytest.raises(RunError, match="version 999"):
        store.open_folder(tmp_path)


def test_a_strangers_part_is_refused(tmp_path: Path) -> None:
    put_part(tmp_path, pa.table({"a": [1]}))
    with pytest.raises(RunError, match="not a part of"):
        store.open_folder(tmp_path)


def test_a_part_with_other_columns_is_refused(tmp_path: Path) -> None:
    schema = PROBE.schema
    put_part(tmp_path, schema.remove(1).empty_table())
    with pytest.raises(RunError, match="other columns"):
        store.open_folder(tmp_path)


def test_paths_that_look_like_patterns_are_taken_literally(tmp_path: Path) -> None:
    run = tmp_path / "run [1] *'?"
    with store.Writer(PROBE, run) as writer:
        writer.append(probes(3))
    assert hosts(run) == [0, 1, 2]


def test_save_replaces_the_whole_table(tmp_path: Path) -> None:
    with store.Writer(PROBE, tmp_path, rows_per_part=2) as writer:
        for start in range(0, 10, 2):
            writer.append(probes(2, start))
    source = store.open_folder(tmp_path)["probe"]
    path = store.save(PROBE, tmp_path, source.filter("target_host >= 7"))
    assert list((tmp_path / "probe").iterdir()) == [path]
    assert hosts(tmp_path) == [7, 8, 9]
    assert store.row_count(tmp_path, PROBE) == 3


def test_rows_of_a_part_are_dropped_and_an_empty_part_goes(tmp_path: Path) -> None:
    for start in (0, 10, 20):
        with store.Writer(PROBE, tmp_path) as writer:
            writer.append(probes(10, start))
    first, second, third = sorted((tmp_path / "probe").iterdir())
    before = first.stat()
    store.keep_rows(PROBE, first, np.ones(10, np.bool_))
    store.keep_rows(PROBE, second, np.arange(10) % 2 == 0)
    store.keep_rows(PROBE, third, np.zeros(10, np.bool_))
    assert hosts(tmp_path) == [*range(10), 10, 12, 14, 16, 18]
    assert (first.stat().st_ino, sorted((tmp_path / "probe").iterdir())) == (before.st_ino, [first, second])


def test_add_leaves_what_is_there(tmp_path: Path) -> None:
    with store.Writer(PROBE, tmp_path) as writer:
        writer.append(probes(2))
    before = store.open_folder(tmp_path)["probe"]
    assert store.add(PROBE, tmp_path, before) == 2
    assert store.add(PROBE, tmp_path, before.filter("FALSE")) == 0
    assert len(before) == 2
    assert hosts(tmp_path) == [0, 0, 1, 1]


def test_nothing_appended_makes_no_part(tmp_path: Path) -> None:
    with store.Writer(PROBE, tmp_path) as writer:
        writer.append({k: v[:0] if isinstance(v, np.ndarray | list) else v for k, v in probes(1).items()})
        assert writer.flush() is None
    assert not list((tmp_path / "probe").iterdir())


@cache
def common() -> duckdb.DuckDBPyConnection:
    return store.database(threads=1)


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("x'; DROP TABLE reply; --")
@example("a\0b\0'")
def test_any_text_stays_itself_in_sql(text: str) -> None:
    assert common().execute(f"SELECT {store.quoted(text)}").fetchall() == [(text,)]


def test_a_folder_whose_name_is_no_utf8_is_told_before_anything_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "run\udce9"
    for use in (
        lambda: store.Writer(PROBE, folder),
        lambda: store.open_folder(folder),
        lambda: Lake(folder, create=True),
    ):
        with pytest.raises(UsageError, match=r"run\\xe9 has octets in its name that are no UTF-8"):
            use()
    assert list(tmp_path.iterdir()) == []
