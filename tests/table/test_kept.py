"""What was worked out once is kept as long as what made it stays the same."""

from pathlib import Path

import pytest

from dnsonde.table import kept

ROOMS = ("probe",)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A house of one room, in which everything is kept."""
    (tmp_path / "probe").mkdir()
    (tmp_path / "probe/verdict.py").write_text("first")
    monkeypatch.setattr(kept, "_house", lambda: tmp_path)
    for cached in (kept.kept_folder, kept._state):
        cached.cache_clear()
        monkeypatch.setattr(kept, cached.__name__, cached.__wrapped__)
    return tmp_path


def test_a_text_comes_back_by_its_name(house: Path) -> None:
    assert kept.kept("verdict", ROOMS) is None
    assert not kept.is_kept("verdict", ROOMS)
    kept.keep("verdict", ROOMS, "SELECT 'é'")
    assert kept.kept("verdict", ROOMS) == "SELECT 'é'"
    assert kept.is_kept("verdict", ROOMS)
    assert kept.kept("verdict_owned", ROOMS) is None
    assert kept.kept_folder() == house / "__pycache__"


def test_other_sources_make_it_anew_and_nothing_old_stays(house: Path) -> None:
    kept.keep("verdict", ROOMS, "old")
    kept.keep("verdict_owned", ROOMS, "another's")
    (house / "probe/verdict.py").write_text("second of its kind")
    assert kept.kept("verdict", ROOMS) is None
    kept.keep("verdict", ROOMS, "new")
    assert sorted(place.read_text() for place in (house / "__pycache__").iterdir()) == ["another's", "new"]


@pytest.mark.parametrize("folder", [None, Path("/proc/no such place")], ids=str)
def test_where_nothing_may_be_written_nothing_is_kept(
    house: Path, folder: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert house.is_dir()
    monkeypatch.setattr(kept, "kept_folder", lambda: folder)
    kept.keep("verdict", ROOMS, "text")
    assert kept.kept("verdict", ROOMS) is None
    assert not kept.can_keep()


def test_a_folder_that_is_not_there_yet_can_keep(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "kept_folder", lambda: house / "caches" / "dnsonde" / "0123")
    assert kept.can_keep()
    kept.keep("verdict", ROOMS, "text")
    assert kept.kept("verdict", ROOMS) == "text"


def test_octets_that_are_no_text_are_none(house: Path) -> None:
    kept.keep("verdict", ROOMS, "text")
    (place,) = (house / "__pycache__").iterdir()
    place.write_bytes(b"\xff\xfe")
    assert kept.kept("verdict", ROOMS) is None
