"""Files that appear whole or not at all: who is killed, or without power, leaves what was there or what came after."""

import fcntl
import glob
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from dnsonde.errors import SystemRefusal


def target(output: Path | BinaryIO) -> AbstractContextManager[BinaryIO]:
    """Where to write: a stream as it is, a file when it is whole. SystemRefusal if it cannot be."""
    return whole(output) if isinstance(output, Path) else nullcontext(output)


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file that somebody named, to write; it takes its place when all of it is on the disk.

    Until then what was there stays. A link is followed. What is no plain file (a device, a pipe) is written as it is,
    and so is a file in a folder that takes no other beside it. SystemRefusal where it cannot be written.
    """
    try:
        place = Path(os.path.realpath(path))
        there = place.exists()
        beside = None
        if place.is_file() or not there:
            with suppress(PermissionError):
                beside = _beside(place)
        if beside is None:
            with place.open("wb") as file:
                yield file
            return
        if there:  # as readable as that
            os.fchmod(beside.fileno(), place.stat().st_mode & 0o777)
        with _replacing(place, beside):
            yield beside
    except BrokenPipeError:
        raise  # whoever reads it has seen enough
    except OSError as error:
        raise SystemRefusal(f"cannot write {path}: {error.strerror or error}") from error


def put(path: Path, octets: bytes, mode: int = 0o666) -> None:
    """Make `octets` the content of a small file of our own, at once and for good; OSError leaves what was there.

    mode: who may do what with it, as far as the umask lets them.
    """
    with _replacing(path, _beside(path, mode)) as file:
        file.write(octets)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Have the names in a folder on disk, as `put` has its own."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _replacing(place: Path, beside: BinaryIO) -> Iterator[BinaryIO]:
    """That new file, which takes a place if all goes well, and goes away if not."""
    try:
        with beside:
            yield beside
            beside.flush()
            os.fsync(beside.fileno())
        Path(beside.name).replace(place)
    finally:
        with suppress(OSError):
            Path(beside.name).unlink()


def _beside(place: Path, mode: int = 0o666) -> BinaryIO:
    """A new file beside a place.

    What those left who were killed goes away: whoever still writes holds a lock.
    """
    for left in place.parent.glob(f".{glob.escape(place.name)}.*.tmp"):
        with suppress(OSError), left.open("rb") as half:
            fcntl.flock(half, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()
    while True:
        name = place.with_name(f".{place.name}.{os.urandom(4).hex()}.tmp")
        file = open(name, "xb", opener=partial(os.open, mode=mode))  # noqa: SIM115 - who asked for it closes it
        with suppress(OSError):  # not every file system has locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # somebody took it for left
