"""Kernels are compiled once, with a word, and never again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dnsonde.wire import compile as room

SHOW_FOLDER = "from dnsonde.wire.compile import cache_folder; print(cache_folder())"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that compiled code is kept in an empty folder."""
    monkeypatch.setattr(room, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(room, "_state", lambda: "this")
    return tmp_path / "cache"


def test_progress_is_said_once_and_covers_every_module(folder: Path) -> None:
    said: list[tuple[int, int, str]] = []
    assert room.compile_all(lambda *step: said.append(step))
    total = len(room.warmable())
    assert [done for done, _, _ in said] == list(range(total + 1))
    assert said[-1] == (total, total, "")
    assert {name for _, _, name in said[:-1]} >= {"decode", "encode", "name"}
    assert not room.compile_all(lambda *step: said.append(step))
    assert len(said) == total + 1
    assert len(list(folder.iterdir())) == 1


def test_a_changed_kernel_is_compiled_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert room.compile_all(lambda *_: None)
    monkeypatch.setattr(room, "_state", lambda: "another")
    assert room.compile_all(lambda *_: None)
    assert len(list(folder.iterdir())) == 1, "the old stamp is gone"


def test_a_read_only_installation_keeps_its_code_in_the_users_cache_folder(tmp_path: Path) -> None:
    """Numba's own fallback, which we count on: a copy whose `__pycache__` cannot be made."""
    installed = tmp_path / "site"
    shutil.copytree(
        Path(room.__file__).parents[1], installed / "dnsonde", ignore=shutil.ignore_patterns("__pycache__")
    )
    # Root may write anywhere: a file in the folder's place refuses it too.
    (installed / "dnsonde/wire/_kernels/__pycache__").write_text("")
    environment = os.environ | {
        "PYTHONPATH": str(installed),
        "HOME": str(tmp_path / "home"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment = {k: v for k, v in environment.items() if k not in {"XDG_CACHE_HOME", "NUMBA_CACHE_DIR"}}
    told = subprocess.run(
        [sys.executable, "-c", SHOW_FOLDER],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert Path(told.stdout.strip()).is_relative_to(tmp_path / "home")
