"""Taking files into a lake: what becomes of one that changes, and what its rows look like."""

import fcntl
import gzip
import os
import runpy
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from dnsonde import take, watch
from dnsonde.clock import SystemClock, VirtualClock
from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.formats._stream import Stream
from dnsonde.table import merge
from dnsonde.table.lake import Lake

make = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("formats") / "capture_files.py")))
HEAD = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")


def nothing(_: take.Progress) -> None:
    """Take no note of the progress."""


def test_a_file_that_grows_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "growing.pcap"
    path.write_bytes(HEAD)

    def hash_and_grow(stream: Stream, before: Callable[[Stream], str] = Stream._hash) -> str:
        with path.open("ab") as file:
            file.write(bytes(100))
        return before(stream)

    monkeypatch.setattr(Stream, "_hash", hash_and_grow)
    taken = take.ingest([str(path)], tmp_path / "lake", VirtualClock(), nothing)
    assert taken.accounts[0]["note"] == (
        "the file grew while it was read: what came after its opening was left; read it again once it is complete, "
        "into a new lake, or rows are there twice"
    )


def test_a_file_that_becomes_shorter_while_it_is_read_can_be_read_as_a_whole_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "short.pcap"
    chance = np.random.default_rng(1)
    whole = make.pcap([make.ip4(make.udp(chance.bytes(1200), dport=9)) for _ in range(1500)])
    path.write_bytes(whole)

    def hash_and_cut(stream: Stream, before: Callable[[Stream], str] = Stream._hash) -> str:
        found = before(stream)
        os.truncate(path, len(whole) // 2)
        return found

    with monkeypatch.context() as cutting:
        cutting.setattr(Stream, "_hash", hash_and_cut)
        (row,) = take.ingest([str(path)], tmp_path / "lake", VirtualClock(), nothing).accounts
    assert "became shorter while it was read" in row["note"]
    assert row["bytes"] == len(whole) // 2
    path.write_bytes(whole)
    taken = take.ingest([str(path)], tmp_path / "lake", VirtualClock(), nothing)
    assert [row["parsed"] for row in taken.accounts] == [1500]
    named = Lake(tmp_path / "lake").tables()["flow"].project("file").distinct().fetchall()
    assert sorted(name for (name,) in named) == sorted([row["file"], taken.accounts[0]["file"]])


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_what_came_through_a_pipe_is_kept_when_somebody_stops(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    """As `tcpdump -w - | dnsonde ingest - -o LAKE`, on a quiet day, ends by Ctrl-C."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    ended = Event()
    chance = np.random.default_rng(1)  # of which no more than a pipe holds is read to see what it is
    octets = compress(make.pcap([make.ip4(make.udp(chance.bytes(1200), dport=9)) for _ in range(500)]))

    def write() -> None:
        with pipe.open("wb", buffering=0) as end:
            end.write(octets)
            left = array("i", [1])
            while left[0]:  # what is still in the pipe; nothing tells of it by itself
                time.sleep(0.01)
                fcntl.ioctl(end, termios.FIONREAD, left)
            os.kill(os.getpid(), signal.SIGINT)
            ended.wait(30)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        (row,) = take.ingest([str(pipe)], tmp_path / "lake", SystemClock(), nothing).accounts
        ended.set()
        writing.result()
    assert (row["parsed"], row["bytes"]) == (500, len(octets))
    assert "stopped before its end; what had come by then is kept" in row["note"]
    kept = Lake(tmp_path / "lake").tables()["flow"].aggregate("sum(packets)").fetchone()
    assert kept == (500,)


def test_the_lake_is_of_the_schema_of_the_tables(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(HEAD)
    take.ingest([str(tmp_path / "a.pcap")], tmp_path / "lake", VirtualClock(), nothing)
    (part,) = (tmp_path / "lake").rglob("*.parquet")
    assert pq.read_table(part)["format"].to_pylist() == ["pcap"]


def captures(folder: Path, number: int) -> list[str]:
    """So many captures, each with one packet and of another content."""
    folder.mkdir()
    for one in range(number):
        packet = (
            bytes(12)
            + b"\x08\0\x45\0"
            + struct.pack(">HHHBBH", 40, one, 0, 64, 17, 0)
            + bytes([192, 0, 2, 1] * 2)
        )
        packet += struct.pack(">HHHH", 4000, 53, 20, 0) + struct.pack(">HHHHHH", one, 0, 0, 0, 0, 0)
        record = struct.pack("<IIII", 1_700_000_000 + one, 0, len(packet), len(packet))
        (folder / f"{one:03d}.pcap").write_bytes(HEAD + record + packet)
    return sorted(map(str, folder.iterdir()))


def test_two_who_take_the_same_files_in_at_once_take_each_once(tmp_path: Path) -> None:
    paths, lake = captures(tmp_path / "captures", 40), tmp_path / "lake"
    script = """
import sys
from pathlib import Path
from dnsonde import take, watch
from dnsonde.clock import SystemClock
print("ready", flush=True)
input()
taken = take.ingest(sys.argv[2:], Path(sys.argv[1]), SystemClock(), lambda _: None)
print(len(taken.accounts), len(taken.known))
"""
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(lake), *order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for order in (paths, paths[::-1])
    ]
    for one in both:
        assert one.stdout is not None
        assert one.stdin is not None
        assert one.stdout.readline() == "ready\n"
        one.stdin.write("\n")
        one.stdin.flush()
    told = [tuple(map(int, one.communicate()[0].split())) for one in both]
    assert [sum(each) for each in told] == [40, 40]
    assert told[0][0] + told[1][0] == 40
    assert sorted(row["path"] for row in Lake(lake).accounts()) == paths
    assert list((lake / ".incoming").iterdir()) == []


def test_a_lake_that_is_removed_while_it_is_filled_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, lake = captures(tmp_path / "captures", 3), tmp_path / "lake"
    monkeypatch.setattr(take, "TELL_EVERY_US", 1)

    def remove(_: take.Progress) -> None:
        shutil.rmtree(lake, ignore_errors=True)

    with pytest.raises(SystemRefusal, match="was moved or removed"):
        take.ingest(paths, lake, SystemClock(), remove)
    assert not lake.exists(), "and nothing is made in its place"


def test_a_stop_keeps_the_small_files_that_were_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, lake = captures(tmp_path / "captures", 5), tmp_path / "lake"
    monkeypatch.setattr(take, "TELL_EVERY_US", 1)

    def stop(told: take.Progress) -> None:
        if told.item == paths[3]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take.ingest(paths, lake, SystemClock(), stop)
    assert [row["path"] for row in Lake(lake).accounts()] == paths[:3]
    taken = take.ingest(paths, lake, VirtualClock(), nothing)
    assert (len(taken.known), len(taken.accounts)) == (3, 2)


def test_who_asks_while_files_come_in_sees_each_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "MANY_ALIKE", 3)
    paths, lake = captures(tmp_path / "captures", 10), tmp_path / "lake"
    Lake(lake, create=True)

    def fill() -> None:
        for path in paths:
            take.ingest([path], lake, SystemClock(), nothing)

    seen = []
    with ThreadPoolExecutor(1) as pool:
        filling = pool.submit(fill)
        while not filling.done():
            sql = "SELECT count(*) AS rows, (SELECT count(*) FROM account) AS files FROM message"
            (row,) = watch.query(lake, sql).read_all().to_pylist()
            assert row["rows"] == row["files"]
            seen.append(row["files"])
        filling.result()
    assert seen == sorted(seen)
    assert len(seen) > 3
    assert len(Lake(lake).accounts()) == len(paths)


def test_the_time_left_is_told_once_it_is_known() -> None:
    clock = VirtualClock()
    told: list[take.Progress] = []
    pace = take._Pace(clock, told.append, 1_000_000)
    for wait_s, consumed in ((1, 100_000), (4, 9_000), (5, 250_000), (5, 1_000_000)):
        clock.sleep_us(wait_s * 1_000_000)
        pace.tell("trace.pcap", consumed, 0)
    assert [progress.left_s for progress in told] == [None, None, 30, None]


def test_one_socket_is_listened_on_at_a_time() -> None:
    assert take.files_of(["unix:a", "trace.pcap"]) == [("unix:a", True), ("trace.pcap", True)]
    with pytest.raises(UsageError, match="only one of unix:a, tcp:53 can be listened on by one command"):
        take.files_of(["unix:a", "trace.pcap", "tcp:53"])


def test_files_that_were_named_are_not_read_twice_to_see_that_they_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = captures(tmp_path / "day", 2)
    monkeypatch.setattr(Stream, "_hash", lambda _: pytest.fail("the whole file is read for that"))
    assert take.known_of([(path, True) for path in paths]) == [(path, True) for path in paths]
