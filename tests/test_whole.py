"""A file is there whole or as it was, whoever is killed, whatever it is."""

import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dnsonde.errors import SystemRefusal
from dnsonde.whole import put, target, whole

KILLED = """
import os, sys
from pathlib import Path
from dnsonde.whole import whole
with whole(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os._exit(9)
"""


def test_until_all_is_written_what_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("before")
    with whole(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def write(path: Path, stopped: type[BaseException] | None = None) -> None:
    with whole(path) as file:
        file.write(b"half")
        file.flush()
        if stopped:
            raise stopped


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, ValueError])
def test_who_is_stopped_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, stopped: type[BaseException]
) -> None:
    path = tmp_path / "report.html"
    path.write_text("before")
    with pytest.raises(stopped):
        write(path, stopped)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_killed_left_goes_with_the_next_and_what_others_write_stays(tmp_path: Path) -> None:
    path = tmp_path / "report [1].html"
    subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert [left.suffix for left in tmp_path.iterdir()] == [".tmp"]
    with whole(path) as file:
        file.write(b"all")
        write(path)
        assert path.read_bytes() == b"half"
    assert path.read_bytes() == b"all"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_plain_file_stays_what_it_is(tmp_path: Path) -> None:
    """As root `-o /dev/null` would make it a plain file for everybody; a pipe is as good to see that."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as cat:
        with whole(pipe) as file:
            file.write(b"through")
        assert cat.communicate()[0] == b"through"
    assert pipe.is_fifo()


def test_a_link_is_followed_and_who_may_read_stays(tmp_path: Path) -> None:
    path, link = tmp_path / "kept.csv", tmp_path / "link.csv"
    path.touch(mode=0o600)
    link.symlink_to(path)
    with whole(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_in_a_folder_that_takes_no_other_is_written_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("before")
    opened = Path.open

    def refuse(place: Path, mode: str = "r", *rest: object, **more: object) -> object:
        if mode == "xb":
            raise PermissionError(13, "Permission denied", str(place))
        return opened(place, mode, *rest, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    with whole(path) as file:
        file.write(b"after")
    assert path.read_bytes() == b"after"


@pytest.mark.parametrize(("name", "said"), [("missing/report.html", "No such file"), (".", "Is a directory")])
def test_what_cannot_be_written_is_a_sentence(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(SystemRefusal, match=said):
        write(tmp_path / name)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "report.html"
    path.write_text("before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SystemRefusal, match="No space left on device"):
        write(path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_stream_is_written_as_it_is() -> None:
    stream = io.BytesIO()
    with target(stream) as out:
        assert out is stream
    assert not stream.closed


# -- our own small files -----------------------------------------------------------------------------------


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


def test_a_full_disk_under_our_own_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "file"
    put(place, b"before")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        put(place, b"after")
    assert place.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [place]


def test_what_lies_in_the_way_is_not_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"untouched")
    place = tmp_path / "file"
    monkeypatch.setattr(os, "urandom", bytes)
    (tmp_path / f".file.{bytes(4).hex()}.tmp").symlink_to(other)
    put(place, b"content")
    assert (other.read_bytes(), place.read_bytes()) == (b"untouched", b"content")
    assert sorted(tmp_path.iterdir()) == [place, other]


def test_what_was_left_of_our_own_files_goes_with_the_next(tmp_path: Path) -> None:
    place = tmp_path / "state.json"
    subprocess.run([sys.executable, "-c", KILLED, place], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    put(place, b"{}")
    assert list(tmp_path.iterdir()) == [place]
