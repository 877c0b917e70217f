"""Rows on their way to disk: full blocks, the time they take, and a disk that refuses."""

import os
from contextlib import suppress
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from dnsonde.authority import sighting
from dnsonde.authority.answer import Answer
from dnsonde.authority.sighting import Sightings
from dnsonde.clock import VirtualClock
from dnsonde.errors import SystemRefusal
from dnsonde.table.schema import TABLES
from dnsonde.table.store import Writer, open_folder
from dnsonde.wire.batch import Batch
from dnsonde.wire.datagram import DATAGRAM
from dnsonde.wire.decode import decode_messages
from dnsonde.wire.message import RECORD_SPEC, REPLY_SPEC
from dnsonde.wire.name import ProbeNames
from dnsonde.wire.text import name_text, name_text_into
from tests.authority.conftest import PATIENCE_S

NAMES = ProbeNames("z.example")


def batch(first: int, count: int, label: bytes = b"n%07d") -> Batch:
    """Queries whose names number them; a label of 63 octets 0xFF makes the longest text."""
    labels = [label % k if b"%" in label else label for k in range(first, first + count)]
    return Batch.of(
        [bytes(4) + b"\0\1" + bytes(6) + bytes([len(x)]) + x + NAMES.wire + b"\0\1\0\1" for x in labels]
    )


def add(sightings: Sightings, requests: Batch) -> None:
    n = len(requests)
    messages, nothing = decode_messages(requests), np.zeros(0, np.uint8)
    answered = Answer(
        np.zeros(n, REPLY_SPEC),
        np.zeros(0, RECORD_SPEC),
        nothing,
        np.zeros(n, np.uint8),
        np.zeros(n, np.bool_),
    )
    names, peers = NAMES.parse(requests, messages), np.zeros(n, DATAGRAM)
    sightings.add(
        requests, messages, names, peers, answered, np.zeros(n, np.uint8), np.zeros(n, np.int32), tcp=False
    )


def tick_on(sightings: Sightings) -> None:
    while True:
        sightings.tick()
        os.sched_yield()


def kept(folder: Path) -> list[str]:
    rows = open_folder(folder)["sighting"].project("qname").to_arrow_table()
    return sorted(rows["qname"].to_pylist())


@pytest.mark.parametrize("size", [1, 100, 512])
def test_no_row_is_lost_between_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(sighting, "BLOCK", 1000)
    monkeypatch.setattr(sighting, "BLOCKS", 2)
    sightings = Sightings(Writer(TABLES["sighting"], tmp_path), VirtualClock())
    count = 5000 // size
    for k in range(count):
        add(sightings, batch(k * size, size))
    sightings.close()
    assert kept(tmp_path) == [f"n{k:07d}.z.example" for k in range(count * size)]


def test_long_names_fill_a_block_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sighting, "TEXT", 200_000)
    sightings = Sightings(Writer(TABLES["sighting"], tmp_path), VirtualClock())
    for _ in range(10):
        add(sightings, batch(0, 500, b"\xff" * 63))
    sightings.close()
    assert kept(tmp_path) == [r"\255" * 63 + ".z.example"] * 5000


def test_rows_are_on_disk_when_their_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sighting, "BLOCK", 100)
    clock = VirtualClock()
    writer, flushed = Writer(TABLES["sighting"], tmp_path), Event()
    flush = writer.flush

    def tell() -> Path | None:
        part = flush()
        flushed.set()
        return part

    monkeypatch.setattr(writer, "flush", tell)
    sightings = Sightings(writer, clock, flush_us=1000)
    add(sightings, batch(0, 100))
    add(sightings, batch(100, 100))  # the first block is handed over, not flushed
    clock.sleep_us(999)
    sightings.tick()
    assert not list((tmp_path / "sighting").glob("*.parquet"))
    clock.sleep_us(1)
    sightings.tick()
    assert flushed.wait(PATIENCE_S)
    assert len(kept(tmp_path)) == 200
    sightings.close()


def test_an_hour_of_a_query_each_second_is_no_part_each_second(tmp_path: Path) -> None:
    clock = VirtualClock()
    sightings = Sightings(Writer(TABLES["sighting"], tmp_path), clock)
    for k in range(3600):
        add(sightings, batch(k, 1))
        clock.sleep_us(1_000_001)
        sightings.tick()
    sightings.close()
    assert 200 < len(list((tmp_path / "sighting").glob("*.parquet"))) < 1000
    assert len(kept(tmp_path)) == 3600


def test_a_refusal_is_raised_where_it_can_be_told_and_the_rows_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(TABLES["sighting"], tmp_path)
    clock = VirtualClock()
    sightings = Sightings(writer, clock, flush_us=0)
    flush, tried, asked = writer.flush, Event(), Event()

    def full() -> Path | None:
        tried.set()
        asked.wait()  # until the one who asked has gone on, so that he is told the next time
        raise SystemRefusal("no room left")

    monkeypatch.setattr(writer, "flush", full)
    add(sightings, batch(0, 10))
    sightings.tick()
    asked.set()
    with pytest.raises(SystemRefusal, match="no room"):
        tick_on(sightings)
    asked.clear()
    tried.clear()
    add(sightings, batch(10, 10))
    sightings.tick()
    assert tried.wait(PATIENCE_S)
    monkeypatch.setattr(writer, "flush", flush)
    asked.set()
    sightings.close()
    sightings.close()
    assert len(kept(tmp_path)) == 20


def test_a_wish_brings_what_has_come_to_disk(tmp_path: Path) -> None:
    sightings = Sightings(Writer(TABLES["sighting"], tmp_path), VirtualClock())
    add(sightings, batch(0, 10))
    first = sightings.want()
    sightings.tick()
    assert sightings.wait(first)
    assert len(kept(tmp_path)) == 10, "its time is not up"
    assert sightings.wait(first), "once granted, always"
    second = sightings.want()
    sightings.close()
    assert sightings.wait(second), "nothing is left to write"


def test_a_wish_is_not_granted_where_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(TABLES["sighting"], tmp_path)

    def full() -> Path | None:
        raise SystemRefusal("no room left")

    monkeypatch.setattr(writer, "flush", full)
    sightings = Sightings(writer, VirtualClock())
    add(sightings, batch(0, 10))
    wish = sightings.want()
    with suppress(SystemRefusal):  # where it is told already
        sightings.tick()
    with pytest.raises(SystemRefusal, match="no room"):
        sightings.close()
    assert not sightings.wait(wish)


def test_names_go_into_the_callers_room() -> None:
    requests = batch(0, 3)
    messages = decode_messages(requests)
    out, ends = np.zeros(4 * int(messages["qname_length"].sum()), np.uint8), np.zeros(4, np.int32)
    written = name_text_into(requests, messages, out, ends)
    assert out[:written].tobytes().decode() == "".join(name_text(requests, messages).to_pylist())
    assert ends.tolist() == [0, 18, 36, 54]
    with pytest.raises(ValueError, match="for 3 names"):
        name_text_into(requests, messages, out[:-1], ends)
    with pytest.raises(ValueError, match="for 3 names"):
        name_text_into(requests, messages, out, ends[:-1])
