"""Small parts become few, and at every moment each row is there once: whoever is killed, reads or writes meanwhile."""

import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsonde.clock import VirtualClock
from dnsonde.table import merge as merging
from dnsonde.table import part, schema, store, versions
from dnsonde.table.lake import Lake
from dnsonde.table.merge import MANY_ALIKE, Merging
from dnsonde.table.migrate import migrate
from dnsonde.table.schema import FLOW, MESSAGE
from dnsonde.table.snapshot import Hold, parts_in, replaced_by, rows_of
from tests.table.test_lake import DAY_US, NOON_US, account, rows, take


def filled(folder: Path, files: int = MANY_ALIKE) -> Lake:
    """A lake of files that came one by one, of three messages and a flow each, on two days."""
    lake = Lake(folder, create=True)
    for number in range(files):
        with lake.take(f"{number:032x}") as intake:
            assert intake is not None
            intake.append("message", rows(MESSAGE, *messages(number)))
            intake.append("flow", rows(FLOW, {"start_us": NOON_US, "src_host": number}))
            intake.commit(account(f"{number:032x}", messages=3))
    return lake


def messages(number: int) -> list[dict[str, Any]]:
    return [
        {
            "file": f"{number:032x}",
            "packet": n,
            "time_us": NOON_US + number + DAY_US * (n == 2),
            "registered_domain": f"{(number * 7 + n) % 5}.example",
            "qname": f"{number}.{n}.example",
        }
        for n in range(3)
    ]


def merge(lake: Lake, *, later_s: int = 0) -> None:
    with Merging(lake, VirtualClock(start_us=lake.folder.stat().st_mtime_ns // 1000 + later_s * 1_000_000)):
        pass


def content(folder: Path) -> Counter[tuple[str, ...]]:
    """Every row, as who reads the lake now has it."""
    tables = Lake(folder).tables()
    return Counter(
        (name, *map(str, row)) for name in ("message", "flow", "account") for row in tables[name].fetchall()
    )


def number_of(folder: Path) -> int:
    return len(list(folder.glob("*/**/*.parquet")))


def test_small_parts_become_one_with_the_same_rows(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    before = content(lake.folder)
    assert number_of(lake.folder) == 4 * MANY_ALIKE
    merge(lake)
    assert number_of(lake.folder) == 4
    assert content(lake.folder) == before


def test_a_merged_part_is_sorted_and_as_any_other(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    merge(lake)
    (merged,) = (lake.folder / "message" / "day=2023-11-15").iterdir()
    with pq.ParquetFile(merged) as file:
        assert file.schema_arrow.remove_metadata() == MESSAGE.schema.remove_metadata()
        domains = file.read(["registered_domain"]).column(0).to_pylist()
    assert domains == sorted(domains)
    assert len(domains) == 2 * MANY_ALIKE


def test_files_are_known_after_their_accounts_were_merged(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    merge(lake)
    for there in (lake, Lake(lake.folder)):
        assert not take(there, f"{3:032x}", {"time_us": NOON_US})
        assert not there.has("ff")
    assert len(lake.accounts()) == MANY_ALIKE


def test_fewer_stay_as_they_are_until_their_day_is_quiet(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake", MANY_ALIKE - 1)
    before = content(lake.folder)
    merge(lake)
    assert number_of(lake.folder) == 4 * (MANY_ALIKE - 1)
    merge(lake, later_s=3600)
    assert number_of(lake.folder) == 4
    assert content(lake.folder) == before


def test_months_of_small_parts_are_few_and_each_row_is_seldom_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    real = part.write

    def counted(*given: Any, **more: Any) -> None:
        nonlocal written
        written += given[0].num_rows
        real(*given, **more)

    monkeypatch.setattr(merging, "write", counted)
    monkeypatch.setattr(merging, "MANY_ALIKE", 3)
    lake = Lake(tmp_path / "lake", create=True, durable=False)
    for number in range(60):
        take(lake, f"{number:032x}", {"time_us": NOON_US})
        merge(lake)
    sizes = 4  # parts of 1, 3, 9 and 27 rows
    assert number_of(lake.folder) <= 2 * sizes * (3 - 1)
    assert written <= 2 * (sizes - 1) * 60
    assert len(lake.tables()["message"]) == 60


def test_large_parts_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "FULL", 1)
    lake = filled(tmp_path / "lake")
    merge(lake)
    assert number_of(lake.folder) == 4 * MANY_ALIKE


def test_no_more_is_merged_at_once_than_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "ROWS", 6)
    monkeypatch.setattr(merging, "FULL", 3)
    monkeypatch.setattr(merging, "MANY_ALIKE", 3)
    lake = filled(tmp_path / "lake", 9)
    merge(lake, later_s=3600)
    sizes = [rows_of(part) for part in parts_in(lake.folder / "message")]
    assert max(sizes) <= 6
    assert sum(sizes) == 27


def test_who_reads_keeps_what_is_read(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    reader = Lake(lake.folder)
    opened = reader.tables()
    parts = number_of(lake.folder)
    merge(lake)
    assert number_of(lake.folder) == parts + 4, "retired parts are still read"
    assert len(opened["message"]) == 3 * MANY_ALIKE
    assert len(Lake(lake.folder).tables()["message"]) == 3 * MANY_ALIKE
    reader.release()
    take(lake, "ff" * 16, {"time_us": NOON_US})
    merge(lake)
    assert number_of(lake.folder) == 4 + 2


def test_who_came_later_does_not_keep_what_was_retired_before(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    with Merging(lake, VirtualClock()) as at_work:
        first = Hold(lake.folder)
        at_work.settle()
        with Hold(lake.folder):
            first.close()
            at_work.run()
            assert number_of(lake.folder) == 4


def test_readers_of_other_processes_count_too(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    script = f"""
from pathlib import Path
from dnsonde.table.lake import Lake
tables = Lake(Path({str(lake.folder)!r}))
rows = tables.tables()["message"]
print("ready", flush=True)
input()
print(len(rows))
"""
    reader = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    merge(lake)
    assert number_of(lake.folder) > 4
    said, _ = reader.communicate("\n")
    assert said == f"{3 * MANY_ALIKE}\n"
    merge(lake)
    assert number_of(lake.folder) == 4


class Killed(BaseException):
    """Nothing more is done, nor put in order."""


STEPS = ((merging, "write"), (Path, "rename"), (merging, "sync"), (merging, "retire"), (Path, "unlink"))


def merge_until(lake: Lake, last: int) -> bool:
    """Do so many of the things that a merge does on disk, and no more; whether it was through by then."""
    done = 0

    def step(real: Any) -> Any:
        def counted(*given: Any, **more: Any) -> Any:
            nonlocal done
            if done == last:
                raise Killed
            done += 1
            return real(*given, **more)

        return counted

    with pytest.MonkeyPatch.context() as patch:
        for place, name in STEPS:
            patch.setattr(place, name, step(getattr(place, name)))
        try:
            Merging(lake, VirtualClock()).run()
        except Killed:
            return False
        return True


def test_a_killed_merge_loses_no_row_and_doubles_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends before each thing it does on disk; what is left is read, merged, and read again."""
    monkeypatch.setattr(merging, "MANY_ALIKE", 3)
    whole = Lake(tmp_path / "whole", create=True)
    for number in range(3):
        take(whole, f"{number:032x}", {"time_us": NOON_US + number})
    before = content(whole.folder)
    for last in range(100):
        lake = Lake(shutil.copytree(whole.folder, tmp_path / str(last)))
        through = merge_until(lake, last)
        assert content(lake.folder) == before
        assert not take(lake, f"{1:032x}", {"time_us": NOON_US})
        merge(lake)
        assert content(lake.folder) == before
        assert number_of(lake.folder) == 2
        assert list((lake.folder / merging.MERGING).iterdir()) == []
        if through:
            break
    assert last == 2 * 3 + 1 + 2 * 3  # of each of two places; retired; three parts each removed


def test_a_merge_that_is_killed_for_good_lets_the_next_one_go_on(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    before = content(lake.folder)
    script = f"""
import os, signal
from pathlib import Path
from dnsonde.clock import VirtualClock
from dnsonde.table import lake, merge
merge.retire = lambda _: os.kill(os.getpid(), signal.SIGKILL)
merge.Merging(lake.Lake(Path({str(lake.folder)!r})), VirtualClock()).run()
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert number_of(lake.folder) == 4 * MANY_ALIKE + 4
    assert content(lake.folder) == before
    merge(lake)
    assert content(lake.folder) == before
    assert number_of(lake.folder) == 4


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["take", "merge", "hold", "release", "quiet"]), min_size=5, max_size=20))
def test_whatever_comes_in_whatever_order_each_row_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, what: list[str]
) -> None:
    lake = Lake(tmp_path_factory.mktemp("any") / "lake", create=True, durable=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "MANY_ALIKE", 3)
        each_row_is_there_once(lake, what)


def each_row_is_there_once(lake: Lake, what: list[str]) -> None:
    holds: list[tuple[Lake, Any, int]] = []
    taken = 0
    for one in what:
        if one == "take":
            for _ in range(3):
                assert take(lake, f"{taken:032x}", {"time_us": NOON_US, "packet": taken})
                taken += 1
        elif one == "hold":
            reader = Lake(lake.folder)
            holds.append((reader, reader.tables()["message"], taken))
        elif one == "release" and holds:
            holds.pop(0)[0].release()
        elif one != "release":
            merge(lake, later_s=3600 if one == "quiet" else 0)
        for _, opened, number in holds:
            assert sorted(row[0] for row in opened.project("packet").fetchall()) == list(range(number))
        assert store.row_count(lake.folder, MESSAGE) == taken
    assert len(lake.accounts()) == taken


def test_who_waits_is_told_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "TELL_S", 0.0)
    told: list[float] = []
    lake = filled(tmp_path / "lake")
    with Merging(lake, VirtualClock(), told.append):
        pass
    assert told
    assert number_of(lake.folder) == 4


def test_two_do_not_merge_at_once(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    with merging._alone(lake.folder) as room:
        assert room is not None
        with merging._alone(lake.folder) as other:
            assert other is None
        merge(lake)
    assert number_of(lake.folder) == 4 * MANY_ALIKE


def test_a_damaged_part_stays_for_who_reads_it_to_tell(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    damaged = parts_in(lake.folder / "message" / "day=2023-11-15")[3]
    damaged.write_bytes(damaged.read_bytes()[:100])
    merge(lake)
    assert len(parts_in(lake.folder / "message" / "day=2023-11-15")) == MANY_ALIKE
    assert len(parts_in(lake.folder / "flow")) == 1


def test_a_merged_part_says_what_it_has_also_when_it_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = filled(tmp_path / "lake")
    with Hold(lake.folder):
        merge(lake)
        monkeypatch.setattr(schema, "VERSION", 2)
        monkeypatch.setattr(versions, "CHANGES", {1: {}})
        migrate(lake.folder)
    for merged in parts_in(lake.folder / "flow"):
        assert len(replaced_by(merged)) == MANY_ALIKE


def test_small_files_that_come_together_make_common_parts(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", create=True)
    with lake.together():
        for number in range(5):
            assert take(lake, f"{number:032x}", *messages(number))
            assert not take(lake, f"{number:032x}", *messages(number))
        assert content(lake.folder) == Counter()
    assert number_of(lake.folder) == 3
    assert len(lake.tables()["message"]) == 15
    assert list((lake.folder / ".incoming").iterdir()) == []
    assert not take(Lake(lake.folder), f"{4:032x}", *messages(4))


def test_who_waits_for_a_file_holds_no_other(tmp_path: Path) -> None:
    """Or two who take the same files in, in another order, would wait for each other for ever."""
    lake, other = Lake(tmp_path / "lake", create=True), Lake(tmp_path / "lake")
    with lake.together(), other.together():
        assert take(lake, "aa", {"time_us": NOON_US})
        assert take(other, "bb", {"time_us": NOON_US})
        mine, others = lake._group, other._group
        assert mine is not None
        assert others is not None
        with pytest.MonkeyPatch.context() as patch:
            real = others.settle

            def settle() -> None:
                real()
                mine.settle()  # as the other process would, in its time

            patch.setattr(others, "settle", settle)
            assert not take(other, "aa", {"time_us": NOON_US})
    assert len(lake.accounts()) == 2
