"""A lake takes each file once and whole, whoever is killed and whoever comes at the same time."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dnsonde.errors import RunError, SystemRefusal
from dnsonde.table import lake as lakes
from dnsonde.table import part as parts
from dnsonde.table.lake import Lake
from dnsonde.table.schema import ACCOUNT, FLOW, MESSAGE, Table
from dnsonde.table.store import with_dictionaries

DAY_US = 86_400_000_000
NOON_US = 1_700_006_400_000_000 - 1_700_006_400_000_000 % DAY_US + DAY_US // 2  # 2023-11-15


def rows(table: Table, *given: dict[str, Any]) -> pa.RecordBatch:
    """Rows with these columns, and nothing in the others."""
    blank: dict[str, Any] = {}
    for column in table.columns:
        if not column.null:
            blank[column.name] = (
                b"" if column.type == pa.binary() else "" if column.type == pa.string() else 0
            )
            if column.type == pa.bool_():
                blank[column.name] = False
    return pa.RecordBatch.from_pylist([blank | row for row in given], table.schema)


def account(file: str, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = rows(
        ACCOUNT, {"file": file, "path": f"{file}.pcap", "reasons": "{}", **more}
    ).to_pylist()[0]
    return row


def take(lake: Lake, file: str, *messages: dict[str, Any]) -> bool:
    with lake.take(file) as intake:
        if intake is None:
            return False
        intake.append("message", rows(MESSAGE, *messages))
        intake.commit(account(file, messages=len(messages)))
    return True


def count(lake: Lake, table: str = "message") -> int:
    return len(lake.tables()[table])


def test_a_file_is_taken_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", create=True)
    assert take(lake, "aa", {"time_us": NOON_US})
    assert not take(lake, "aa", {"time_us": NOON_US})
    assert take(Lake(lake.folder), "bb", {"time_us": NOON_US})
    assert count(lake) == 2
    assert [row["file"] for row in lake.accounts()] == ["aa", "bb"]


def test_rows_lie_by_table_and_day(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", create=True)
    with lake.take("aa") as intake:
        assert intake is not None
        intake.append("message", rows(MESSAGE, {"time_us": NOON_US}, {"time_us": NOON_US + DAY_US}))
        intake.append("flow", rows(FLOW, {"start_us": NOON_US}))
        intake.commit(account("aa"))
    found = sorted(str(p.relative_to(lake.folder)) for p in lake.folder.rglob("*.parquet"))
    assert found == [
        "account/part-aa.parquet",
        "flow/day=2023-11-15/part-aa-0002.parquet",
        "message/day=2023-11-15/part-aa-0001.parquet",
        "message/day=2023-11-16/part-aa-0001.parquet",
    ]


def test_times_that_scatter_make_no_thousand_folders(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", create=True)
    take(lake, "aa", *({"time_us": day * DAY_US} for day in range(5000)))
    assert [p.name for p in (lake.folder / "message").iterdir()] == ["day=various"]
    assert count(lake) == 5000


def test_a_part_is_sorted_by_registered_domain_so_that_a_search_reads_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "GROUP", 100)
    lake = Lake(tmp_path / "lake", create=True)
    names = [f"{n * 7919 % 1000:03d}.example" for n in range(1000)]
    take(lake, "aa", *({"time_us": NOON_US + i, "registered_domain": n} for i, n in enumerate(names)))
    (part,) = (lake.folder / "message").rglob("*.parquet")
    file = pq.ParquetFile(part)
    column = file.schema_arrow.get_field_index("registered_domain")
    ranges = [file.metadata.row_group(g).column(column).statistics for g in range(file.num_row_groups)]
    assert len(ranges) == 10
    assert sum(r.min <= "500.example" <= r.max for r in ranges) == 1
    assert file.read(["registered_domain"])["registered_domain"].to_pylist() == sorted(names)


def test_flows_are_sorted_by_source(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", create=True)
    with lake.take("aa") as intake:
        assert intake is not None
        intake.append("flow", rows(FLOW, *({"start_us": NOON_US, "src_host": n * 7 % 10} for n in range(10))))
        intake.commit(account("aa"))
    (part,) = (lake.folder / "flow").rglob("*.parquet")
    assert pq.ParquetFile(part).read()["src_host"].to_pylist() == list(range(10))


def test_large_files_become_several_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lakes, "ROWS", 10)
    lake = Lake(tmp_path / "lake", create=True)
    with lake.take("aa") as intake:
        assert intake is not None
        for _ in range(7):
            intake.append("message", rows(MESSAGE, *({"time_us": NOON_US} for _ in range(4))))
        intake.commit(account("aa"))
    assert len(list((lake.folder / "message").rglob("*.parquet"))) == 3
    assert count(lake) == 28


def test_what_is_not_committed_leaves_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", create=True)
    with lake.take("aa") as intake:
        assert intake is not None
        intake.append("message", rows(MESSAGE, {"time_us": NOON_US}))
    assert list((lake.folder / ".incoming").iterdir()) == []
    assert count(lake) == 0
    assert take(lake, "aa", {"time_us": NOON_US})


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_lake
from dnsonde.table import lake
lake.ROWS = 1
real, moved = Path.rename, []
def rename(self, to):
    if len(moved) == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    moved.append(self)
    return real(self, to)
Path.rename = rename
there = lake.Lake({folder!r})
day = test_lake.NOON_US + test_lake.DAY_US
test_lake.take(there, "aa", *({{"time_us": test_lake.NOON_US}}, {{"time_us": day}}))
"""


@pytest.mark.parametrize(("after", "kept"), [(0, False), (1, True), (2, True), (3, True)])
def test_a_killed_writer_leaves_all_of_a_file_or_nothing(tmp_path: Path, after: int, kept: bool) -> None:
    folder = tmp_path / "lake"
    Lake(folder, create=True)
    script = KILLED.format(tests=str(Path(__file__).parent), after=after, folder=str(folder))
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    lake = Lake(folder)
    assert count(lake) == (2 if kept else 0)
    assert len(lake.accounts()) == kept
    assert take(lake, "aa", {"time_us": NOON_US}, {"time_us": NOON_US + DAY_US}) != kept
    assert count(lake) == 2
    assert lake.clean() == 0


def test_what_a_killed_writer_left_is_cleaned_but_not_a_living_ones(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", create=True)
    (lake.folder / ".incoming" / "dead" / "message").mkdir(parents=True)
    with lake.take("aa") as intake:
        assert intake is not None
        assert lake.clean() == 1
        intake.commit(account("aa"))
    assert lake.has("aa")


def test_who_takes_the_same_file_waits_and_then_has_it(tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    lake = Lake(folder, create=True)
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_lake
from dnsonde.table.lake import Lake
there = Lake({str(folder)!r})
print("ready", flush=True)
print(test_lake.take(there, "aa", {{"time_us": test_lake.NOON_US}}))
"""
    with lake.take("aa") as intake:
        assert intake is not None
        other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        intake.append("message", rows(MESSAGE, {"time_us": NOON_US}))
        intake.commit(account("aa"))
    said, _ = other.communicate()
    assert said == "False\n"
    assert count(lake) == 1


def test_who_was_killed_as_a_lake_began_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / ".incoming").mkdir()
    for name in (".lock", ".readers", ".lake.json.0123abcd.tmp"):
        (tmp_path / name).touch()
    assert Lake(tmp_path, create=True).accounts() == []


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="other things in it"):
        Lake(tmp_path, create=True)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("about", "sentence"),
    [
        (None, "is no lake, it has no lake.json"),
        ("{", "is damaged"),
        (json.dumps({"dnsonde": "cake"}), "is damaged"),
        (json.dumps({"dnsonde": "lake", "version": 99}), "a lake of version 99"),
    ],
)
def test_what_is_no_lake_of_ours_is_a_sentence(tmp_path: Path, about: str | None, sentence: str) -> None:
    if about is not None:
        (tmp_path / "lake.json").write_text(about)
    with pytest.raises(RunError, match=sentence):
        Lake(tmp_path)


def test_a_lake_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no lake"):
        Lake(tmp_path / "nowhere")


def test_a_damaged_part_is_a_sentence(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", create=True)
    take(lake, "aa", {"time_us": NOON_US})
    (part,) = (lake.folder / "message").rglob("*.parquet")
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(RunError, match="cannot be read"):
        lake.tables()


def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path / "lake", create=True)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SystemRefusal, match="no room left"):
        take(lake, "aa", {"time_us": NOON_US})
    monkeypatch.undo()
    assert count(lake) == 0
    assert take(lake, "aa", {"time_us": NOON_US})


def test_a_lake_that_may_only_be_read_is_read(tmp_path: Path) -> None:
    """Another user's lake, whose writer was killed on the way."""
    lake = Lake(tmp_path / "lake", create=True)
    take(lake, "aa", {"time_us": NOON_US})
    (lake.folder / ".lock").chmod(0o400)
    assert count(Lake(lake.folder)) == 1


@pytest.mark.parametrize("coded", [False, True])
def test_names_sort_as_texts_do(coded: bool) -> None:
    names = ["b.example", None, "a", "\xe9.example", "a.example", "aaaaaaaaaaaaaaaaaaaab", "aaaaaaaa", "a"]
    column = pa.chunked_array([names[:4], names[4:]])
    if coded:
        column = column.dictionary_encode().unify_dictionaries()
    ranks = parts._rank(column).tolist()
    assert [n for _, n in sorted(zip(ranks, [n or "" for n in names], strict=True))] == sorted(
        n or "" for n in names
    )


def test_rows_with_dictionaries_read_as_all_others(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", create=True)
    given = [{"time_us": NOON_US + n, "qname": f"{n % 3}.example", "transport": "udp"} for n in range(9)]
    with lake.take("aa") as intake:
        assert intake is not None
        for at in (0, 3, 6):
            batch = rows(MESSAGE, *given[at : at + 3])
            intake.append("message", batch.cast(with_dictionaries(MESSAGE)))
        intake.commit(account("aa"))
    take(lake, "bb", *given)
    counted = lake.tables()["message"].aggregate("qname, count(*)").order("qname").fetchall()
    assert counted == [(f"{n}.example", 6) for n in range(3)]


def test_files_written_together_may_give_their_texts_differently(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", create=True)
    with lake.together():
        for file, kind in (("aa", FLOW.schema), ("bb", with_dictionaries(FLOW))):
            with lake.take(file) as intake:
                assert intake is not None
                intake.append("flow", rows(FLOW, {"start_us": NOON_US, "file": file}).cast(kind))
                intake.commit(account(file))
    assert sorted(lake.tables()["flow"].project("file").fetchall()) == [("aa",), ("bb",)]


@pytest.mark.parametrize("size", [1, 10])
@pytest.mark.parametrize("kind", [MESSAGE.schema, with_dictionaries(MESSAGE)])
def test_rows_get_the_name_that_their_account_has_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, kind: pa.Schema
) -> None:
    """And the file that was taken in is not in the lake by that, neither alone nor together with others."""
    monkeypatch.setattr(lakes, "ROWS", 4)
    lake = Lake(tmp_path / "lake", create=True)
    with lake.together():
        with lake.take("aa") as intake:
            assert intake is not None
            for n in range(size):
                given = rows(MESSAGE, {"time_us": NOON_US + n * DAY_US, "file": "aa"})
                intake.append("message", given.cast(kind))
            intake.commit(account("zz"))
        assert not lake.has("aa")
        assert take(lake, "aa", {"time_us": NOON_US, "file": "aa"})
    found = lake.tables()["message"].project("file").fetchall()
    assert (found.count(("zz",)), found.count(("aa",))) == (size, 1)
    assert [row["file"] for row in lake.accounts()] == ["aa", "zz"]


def test_each_row_group_stores_the_texts_of_its_own_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "GROUP", 100)
    names = [None if n % 10 == 0 else f"{n // 10:03d}.example" for n in range(1000)]
    given = [{"time_us": NOON_US + n, "registered_domain": name} for n, name in enumerate(names)]
    lake = Lake(tmp_path / "lake", create=True)
    with lake.take("aa") as intake:
        assert intake is not None
        intake.append("message", rows(MESSAGE, *given).cast(with_dictionaries(MESSAGE)))
        intake.commit(account("aa"))
    (part,) = (lake.folder / "message").rglob("*.parquet")
    file = pq.ParquetFile(part, read_dictionary=["registered_domain"])
    groups = [file.read_row_group(g)["registered_domain"].chunk(0) for g in range(file.num_row_groups)]
    assert max(len(group.dictionary) for group in groups) <= 12
    read = [name for group in groups for name in group.to_pylist()]
    assert sorted(read, key=str) == sorted(names, key=str)
