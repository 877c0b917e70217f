"""Where what was worked out once is kept for the next time: a folder beside this package, or the user's own.

A text is kept under a name; it holds as long as the sources of the rooms that it was made by, and the libraries.
"""

import hashlib
import os
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

LIBRARIES = ("ibis-framework", "sqlglot", "duckdb", "pyarrow")


@cache
def kept_folder() -> Path | None:
    """Beside the sources where one may write there, else in the user's cache folder; None where there is neither.

    It may not be there yet. In the user's each installation has its own.
    """
    house = _house()
    beside = house / "__pycache__"
    if os.access(beside if beside.is_dir() else house, os.W_OK | os.X_OK):
        return beside
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        caches = Path(named) if named else Path.home() / ".cache"
    except RuntimeError:
        return None
    return caches / "dnsonde" / hashlib.sha256(str(house).encode()).hexdigest()[:16]


def can_keep() -> bool:
    """Whether a text can be kept at all."""
    folder = kept_folder()
    if folder is None:
        return False
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return os.access(folder, os.W_OK | os.X_OK)


def is_kept(name: str, rooms: tuple[str, ...]) -> bool:
    """Whether a text of that name is there, made by these rooms as they are."""
    place = _place(name, rooms)
    return place is not None and place.is_file()


def kept(name: str, rooms: tuple[str, ...]) -> str | None:
    """That text, None where there is none."""
    place = _place(name, rooms)
    if place is None:
        return None
    try:
        return place.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return None


def keep(name: str, rooms: tuple[str, ...], text: str) -> None:
    """Keep it, in place of what older sources made; where nothing may be written it is not kept."""
    place = _place(name, rooms)
    if place is None:
        return
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        for old in place.parent.glob(f"{name}-*.kept"):
            old.unlink(missing_ok=True)
        temporary = place.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.rename(place)


def _place(name: str, rooms: tuple[str, ...]) -> Path | None:
    folder = kept_folder()
    return folder and folder / f"{name}-{_state(rooms)}.kept"


@cache
def _state(rooms: tuple[str, ...]) -> str:
    """What is kept depends on this, in 16 hex digits."""
    parts = [version(name) for name in LIBRARIES]
    for room in rooms:
        for source in sorted((_house() / room).glob("*.*")):
            found = source.stat()
            parts += [source.name, str(found.st_mtime_ns), str(found.st_size)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _house() -> Path:
    return Path(str(files("dnsonde")))
