"""A small file in its place, whole: killed, or without power, one finds what was there before or what came after."""

import os
from contextlib import suppress
from pathlib import Path


def put(path: Path, octets: bytes, mode: int = 0o666) -> None:
    """Make `octets` a file's content, at once and for good; OSError leaves what was there.

    mode: who may do what with it, as far as the umask lets them.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    beside.unlink(missing_ok=True)
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        with suppress(OSError):
            beside.unlink()
    sync(path.parent)


def sync(folder: Path) -> None:
    """Have the names in a folder on disk, as `put` has its own."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
