"""A file is put in its place whole, and is on disk with its name before anybody is told that it is there."""

import os
import stat
from pathlib import Path

import pytest

from dnsonde.table.in_place import put


def test_a_file_appears_and_changes_whole(tmp_path: Path) -> None:
    place = tmp_path / "state.json"
    for octets in (b"first", b"", b"another, longer one"):
        put(place, octets)
        assert place.read_bytes() == octets
    assert list(tmp_path.iterdir()) == [place]


def test_who_may_read_it_is_told(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        put(tmp_path / "key", b"", 0o600)
        put(tmp_path / "plan", b"")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"key": 0o600, "plan": 0o644}


def test_content_is_on_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, order = tmp_path / "file", []

    def synced(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        order.append(("folder" if is_folder else "file", place.exists()))

    monkeypatch.setattr(os, "fsync", synced)
    put(place, b"content")
    assert order == [("file", False), ("folder", True)]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "file"
    put(place, b"before")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        put(place, b"after")
    assert place.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [place]


def test_what_lies_in_the_way_is_not_written_through(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"untouched")
    place = tmp_path / "file"
    (tmp_path / f".file.{os.getpid()}.tmp").symlink_to(other)
    put(place, b"content")
    assert (other.read_bytes(), place.read_bytes()) == (b"untouched", b"content")
