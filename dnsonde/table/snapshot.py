"""Which parts a table consists of now, and how they stay there for as long as somebody reads them.

Small parts of a lake are merged (see `merge`). The merged part comes to its place by one rename, and its footer names
the parts whose rows it has: they count no longer from that moment on, though they still lie there. So there is no
moment at which a row is missing or there twice.

They are removed when nobody reads them any more. Whoever reads a lake holds a shared lock on one octet of `.readers`,
the one at the file's length; whoever retires parts makes the file an octet longer, and removes them when no octet
before that is held. Locks end with who held them, however that was, need no leave to write, and do not keep from
removing what was retired before a reader came.
"""

import errno
import fcntl
import os
import struct
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

LOCK = ".lock"  # exclusive: parts move; shared: they are being listed
READERS = ".readers"
MANY = "part-many-"  # begins the names of parts with rows of several files
REPLACES = "dnsonde.replaces"  # in the footer of a merged part: names of others in the same folder

Stamp = tuple[str, int, int]


def parts_in(folder: Path) -> list[Path]:
    """The parts that count of those in a table's folder and below it, sorted."""
    found = sorted(folder.rglob("part-*.parquet"))
    gone = {part.parent / name for part in found if part.name.startswith(MANY) for name in replaced_by(part)}
    return [part for part in found if part not in gone] if gone else found


def replaced_by(part: Path) -> tuple[str, ...]:
    """Names of the parts, in the same folder, whose rows a merged part has; none where it cannot be read."""
    try:
        status = part.stat()
        return _replaced(str(part), status.st_mtime_ns, status.st_size)
    except (OSError, pa.ArrowException):
        return ()


def rows_of(part: Path) -> int:
    """How many rows a part has, by its footer. OSError or ArrowException where it cannot be read."""
    status = part.stat()
    return _rows(str(part), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=50_000)
def _replaced(part: str, _changed: int, _size: int) -> tuple[str, ...]:
    said = (pq.read_metadata(part).metadata or {}).get(REPLACES.encode(), b"").decode()
    return tuple(said.split("\n")) if said else ()


@lru_cache(maxsize=100_000)
def _rows(part: str, _changed: int, _size: int) -> int:
    return int(pq.read_metadata(part).num_rows)


def replacing(parts: Iterable[Path]) -> str:
    """What the footer of a part says that has the rows of these, and of all that they in turn replace."""
    names: dict[str, None] = {}
    for part in parts:
        names[part.name] = None
        names |= dict.fromkeys(name for name in replaced_by(part) if (part.parent / name).exists())
    return "\n".join(names)


@contextmanager
def unmoved(root: Path) -> Iterator[None]:
    """While inside, no part of a lake comes to its place or is removed: for a list of them, and has to be short."""
    try:
        lock = os.open(root / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # no lake, or one that we may not lock
        yield
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield
    finally:
        os.close(lock)


class Hold:
    """Parts that count now are not removed while this lives, or until `close`.

    generation: as long as it is the same, the same parts are there, and perhaps more.
    """

    def __init__(self, root: Path) -> None:
        self.generation = 0
        self._close: Callable[[], object] = int
        with suppress(OSError):
            descriptor = os.open(root / READERS, os.O_RDONLY | os.O_CLOEXEC)
            self._close = weakref.finalize(self, os.close, descriptor)
            with unmoved(root):
                self.generation = os.fstat(descriptor).st_size
                fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _range(fcntl.F_RDLCK, self.generation, 1))

    def close(self) -> None:
        """What was retired since may be removed."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def retire(root: Path) -> int:
    """Readers who come from now on do not see what was replaced; the last generation of those who may."""
    descriptor = os.open(root / READERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        last = os.fstat(descriptor).st_size
        os.ftruncate(descriptor, last + 1)
        return last
    finally:
        os.close(descriptor)


def is_held(root: Path, last: int) -> bool:
    """Whether somebody reads what there was in that generation or before; True where it cannot be told."""
    try:
        descriptor = os.open(root / READERS, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        said = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _range(fcntl.F_WRLCK, 0, last + 1))
        return bool(struct.unpack_from("h", said)[0] != fcntl.F_UNLCK)
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}:
            return True
        raise
    finally:
        os.close(descriptor)


def _range(kind: int, start: int, length: int) -> bytes:
    """A `struct flock` of <fcntl.h>."""
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)
