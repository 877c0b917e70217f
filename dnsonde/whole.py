"""Files that appear whole or not at all."""

import fcntl
import glob
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

from dnsonde.errors import SystemRefusal


def target(output: Path | BinaryIO) -> AbstractContextManager[BinaryIO]:
    """Where to write: a stream as it is, a file when it is whole. SystemRefusal if it cannot be."""
    return whole(output) if isinstance(output, Path) else nullcontext(output)


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes its place when all of it is on the disk; until then what was there stays.

    A link is followed. What is no plain file (a device, a pipe) is written as it is, and so is a file in a folder that
    takes no other beside it. SystemRefusal where it cannot be written.
    """
    try:
        place = Path(os.path.realpath(path))
        beside = None if place.exists() and not place.is_file() else _beside(place)
        if beside is None:
            with place.open("wb") as file:
                yield file
            return
        try:
            with beside as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(beside.name).replace(place)
        finally:
            with suppress(OSError):
                Path(beside.name).unlink()
    except BrokenPipeError:
        raise  # whoever reads it has seen enough
    except OSError as error:
        raise SystemRefusal(f"cannot write {path}: {error.strerror or error}") from error


def _beside(place: Path) -> BinaryIO | None:
    """A new file beside a place, as readable as what is there; None where the folder does not let us.

    What those left who were killed goes away: whoever still writes holds a lock.
    """
    for left in place.parent.glob(f".{glob.escape(place.name)}.*.tmp"):
        with suppress(OSError), left.open("rb") as half:
            fcntl.flock(half, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()
    try:
        file = (place.parent / f".{place.name}.{os.getpid()}.tmp").open("xb")
    except PermissionError:
        return None
    with suppress(OSError):  # not every file system has locks
        fcntl.flock(file, fcntl.LOCK_EX)
    if place.exists():
        os.fchmod(file.fileno(), place.stat().st_mode & 0o777)
    return file
