"""Taking files into a lake: what becomes of one that changes, and what its rows look like."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dnsonde import take
from dnsonde.clock import VirtualClock
from dnsonde.formats._reading import Reading

HEAD = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")


def nothing(_: take.Progress) -> None:
    """Take no note of the progress."""


def test_a_file_that_grows_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "growing.pcap"
    path.write_bytes(HEAD)
    note = take._note_growth

    def grow(name: str, reading: Reading) -> None:
        with path.open("ab") as file:
            file.write(bytes(100))
        note(name, reading)

    monkeypatch.setattr(take, "_note_growth", grow)
    taken = take.ingest([str(path)], tmp_path / "lake", VirtualClock(), nothing)
    assert "grew while it was read" in taken.accounts[0]["note"]


def test_the_lake_is_of_the_schema_of_the_tables(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(HEAD)
    take.ingest([str(tmp_path / "a.pcap")], tmp_path / "lake", VirtualClock(), nothing)
    (part,) = (tmp_path / "lake").rglob("*.parquet")
    assert pq.read_table(part)["format"].to_pylist() == ["pcap"]
