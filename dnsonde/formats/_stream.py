"""Octets of a file, of standard input, of a socket or of a compressed file, in order, in bounded pieces.

What a file is compressed with is told by its first octets, not by its name. Members may be concatenated, and
what stands before a cut or a damage is given out: `damage` then holds a sentence.
"""

import bz2
import hashlib
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import lz4.frame  # type: ignore[import-untyped]
import zstandard
from isal import igzip_lib, isal_zlib

from dnsonde.errors import SystemRefusal
from dnsonde.net.frames import Receiver, listens
from dnsonde.stopping import is_asked, wait

PIECE = 1 << 18  # octets decompressed at a time, however small the input: a bomb fills no memory
ZSTD_INPUT = 1 << 12  # zstandard bounds its input only; each 4 octets may become 128 KiB
HEAD = 1 << 16  # octets that a format may look at before it is chosen
AGAIN = "read it again once it is complete, into a new lake, or rows are there twice"
SAMPLE = 1 << 16
SAMPLES = 256  # of a file; one that has no more is hashed whole, else so many, evenly spaced, its size and a checksum

MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
    b"BZh": "bzip2",
}
SKIPPING = ("zstd", "lz4")  # whose data may hold frames of whatever else, of one form (RFC 8878, 3.1.2)
FAULTS: Any = (
    zlib.error, isal_zlib.error, igzip_lib.error, lzma.LZMAError, zstandard.ZstdError, OSError, RuntimeError, EOFError,
    ValueError,
)  # fmt: skip


class _Member(Protocol):
    eof: bool
    unused_data: bytes
    needs_input: bool

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Zstd:
    def __init__(self) -> None:
        self._object = zstandard.ZstdDecompressor().decompressobj()
        self._waiting = b""

    @property
    def eof(self) -> bool:
        return bool(self._object.eof)

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data + self._waiting

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    def decompress(self, data: bytes, max_length: int) -> bytes:  # noqa: ARG002 - bounded by its input instead
        self._waiting += data
        piece, self._waiting = self._waiting[:ZSTD_INPUT], self._waiting[ZSTD_INPUT:]
        return self._object.decompress(piece)


MEMBERS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP),
    "zstd": _Zstd,
    "xz": lzma.LZMADecompressor,
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "bzip2": bz2.BZ2Decompressor,
}


class Stream:
    """The octets of one input; `-` is standard input. Opening may raise SystemRefusal, reading does not.

    `unix:/path`, `tcp:port` and `tcp:host:port` listen for one sender of Frame Streams. Such an input is `live`: it has
    no `head`, since that would be waited for, and `readinto` gives what has come. patience_s: how long it waits at the
    most (None: for as long as it takes); it is `idle` where nothing came.

    compression: "" or its name; head: the first octets (decompressed), still to be read; consumed, size: octets
    of the input read and in all, for progress (size 0: unknown); damage: "" or what is wrong with the input; short:
    whether it ended before its size, so that what was read is not what `content_hash` is of.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self.live = listens(self.path)
        self.patience_s: float | None = None
        self.idle = False
        self.damage = ""
        self.short = False
        self.consumed = 0
        self.size = 0
        self._file = self._open()
        self._input_done = self._stopped = False
        self._given = bytearray()
        if self.live:
            self.compression, self.head, self.content_hash = "", b"", os.urandom(16).hex()
            return
        raw = self._input(PIECE)
        self.compression = _compression(raw)
        self._tail = raw
        self._member: _Member | None = None
        if self.compression:
            self._begin_member()
        self.head = self._fill(HEAD)
        self._first = raw if not self.size else b""

    @property
    def interrupted(self) -> bool:
        """Whether a live input, or a pipe, ended since somebody wants no more of it, and not with its sender."""
        return self._stopped or (self.live and self._file.interrupted)

    def _open(self) -> Any:
        if self.path == "-":
            if sys.stdin is None:  # as Python has it where the caller closed it
                raise SystemRefusal("standard input is closed: name a file, or send one there through a pipe")
            return sys.stdin.buffer
        if self.live:
            return Receiver(self.path)
        try:
            if Path(self.path).is_dir():
                raise SystemRefusal(f"{self.path} is a folder; name the files in it")
            file = Path(self.path).open("rb", buffering=0)  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise SystemRefusal(f"{self.path} cannot be read: {error.strerror}") from error
        self.size = os.fstat(file.fileno()).st_size
        return file

    @property
    def growth(self) -> str:
        """As `damage`: that more came to a file since it was opened, which is not read: that has another hash."""
        if not self.size or os.fstat(self._file.fileno()).st_size <= self.size:
            return ""
        return f"the file grew while it was read: what came after its opening was left; {AGAIN}"

    @cached_property
    def content_hash(self) -> str:
        """Of the content, long files by samples and a checksum of all; of a pipe its first octets.

        Of files as long that are alike in all samples one in 2^32 would pass for another by chance. The whole file is
        read for it, once somebody asks; SystemRefusal where it cannot be.
        """
        try:
            return self._hash()
        except OSError as error:
            raise SystemRefusal(f"{self.path} cannot be read: {error.strerror}") from error

    def _hash(self) -> str:
        found = hashlib.blake2b(digest_size=16)
        if not self.size:
            found.update(self._first)
            return found.hexdigest()
        found.update(str(self.size).encode())
        last = -(-self.size // SAMPLE) - 1
        steps = min(last, SAMPLES - 1)
        for number in range(steps + 1):
            found.update(os.pread(self._file.fileno(), SAMPLE, number * last // max(steps, 1) * SAMPLE))
        if steps < last:
            found.update(str(self._checksum()).encode())
        return found.hexdigest()

    def _checksum(self) -> int:
        """CRC-32 of the file as it was when it was opened."""
        room, found, done = memoryview(bytearray(4 * PIECE)), 0, 0
        while octets := os.preadv(self._file.fileno(), [room[: self.size - done]], done):
            found = isal_zlib.crc32(room[:octets], found)
            done += octets
        return found

    def _input(self, size: int) -> bytes:
        if self._input_done:
            return b""
        data = b""
        read = getattr(self._file, "read1", self._file.read)  # what has come, and no wait for more
        with self._ending():
            data = read(self._there(size)) or b""
        self._took(len(data))
        return data

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """What ends the input while it is read: an error, and for a pipe, within `between_waits`, whoever stops us."""
        try:
            with nullcontext() if self.size else wait():
                yield
        except OSError as error:
            self.damage = f"reading stopped after {self.consumed:,} octets: {error.strerror}"
        except KeyboardInterrupt:
            if self.size or not is_asked():
                raise
            self._stopped = True

    def _took(self, size: int) -> None:
        self.consumed += size
        self._input_done = not size or self._stopped
        if not size:
            self._look_back()

    def _there(self, size: int) -> int:
        """How many of so many octets belong to the file as it was when it was opened."""
        return min(size, max(self.size - self.consumed, 0)) if self.size else size

    def _look_back(self) -> None:
        """At the end of a file, whether all is there that was there when it was opened, which the hash is of."""
        if self.consumed < self.size:
            self.short = True
            self.damage = self.damage or (
                f"the file became shorter while it was read: {self.consumed:,} of its {self.size:,} octets were read; "
                f"{AGAIN}"
            )

    def _fill(self, size: int) -> bytes:
        while len(self._given) < size:
            piece = self._next()
            if not piece:
                break
            self._given += piece
        return bytes(self._given[:size])

    def _next(self) -> bytes:
        """Some more octets; empty at the end, and at damage, which is noted."""
        while True:
            if self._member is None:
                data, self._tail = self._tail, b""
                return data or self._input(PIECE)
            if self._member.eof:
                self._tail = self._member.unused_data or b""
                self._begin_member()
                continue
            if self._member.needs_input and not self._tail:
                self._tail = self._input(PIECE)
                if not self._tail:
                    self.damage = self.damage or f"the {self.compression} data is cut short"
                    self._member = None
                    return b""
            data, self._tail = self._tail, b""
            try:
                piece = self._member.decompress(data, PIECE)
            except FAULTS as error:
                self.damage = f"the {self.compression} data is damaged near octet {self.consumed:,}: {error}"
                self._member = None
                self._input_done = True
                return b""
            if piece:
                return piece

    def _begin_member(self) -> None:
        """Begin what comes next of the compressed data, behind padding and frames to be skipped; None at its end."""
        while True:
            self._look_ahead(8)
            if self._tail.startswith(b"\0"):  # of xz (its format, 2.2), and of tapes
                self._tail = self._tail.lstrip(b"\0")
            elif self.compression in SKIPPING and _is_skipped(self._tail):
                self._skip(8 + int.from_bytes(self._tail[4:8], "little"))
            else:
                break
        if _named(self._tail) == self.compression:
            self._member = MEMBERS[self.compression]()
            return
        if self._tail:
            self.damage = self.damage or f"octets that are not {self.compression} follow the compressed data"
        self._member, self._tail, self._input_done = None, b"", True

    def _look_ahead(self, size: int) -> None:
        """Have so many octets in `_tail`, fewer only at the end."""
        while len(self._tail) < size and (more := self._input(PIECE)):
            self._tail += more

    def _skip(self, size: int) -> None:
        """Leave so many octets out."""
        while len(self._tail) < size:
            size -= len(self._tail)
            self._tail = self._input(PIECE)
            if not self._tail:
                self.damage = self.damage or f"the {self.compression} data is cut short"
                return
        self._tail = self._tail[size:]

    def readinto(self, view: memoryview) -> int:
        """Fill `view`; less than its length only at the end of the input, or of what has come of a live one."""
        if self.live:
            return self._readinto_live(view)
        done = 0
        if self._given:
            done = min(len(self._given), len(view))
            view[:done] = self._given[:done]
            del self._given[:done]
        while done < len(view):
            if self.path != "-" and not self.compression and not self._tail and not self._input_done:
                size = self._readinto_raw(view[done:])
                if not size:
                    break
                done += size
                continue
            piece = self._next()
            if not piece:
                break
            size = min(len(piece), len(view) - done)
            view[done : done + size] = piece[:size]
            self._given += piece[size:]
            done += size
        return done

    def _readinto_live(self, view: memoryview) -> int:
        data = self._file.read(len(view), self.patience_s)
        self.damage = self._file.damage
        self.idle = data is None
        if data is None:
            return 0
        self.consumed += len(data)
        view[: len(data)] = data
        return len(data)

    def _readinto_raw(self, view: memoryview) -> int:
        size = 0
        with self._ending():
            size = self._file.readinto(view[: self._there(len(view))]) or 0
        self._took(size)
        return size

    def read(self, size: int) -> bytes:
        """At most `size` octets, fewer only at the end."""
        buffer = bytearray(size)
        return bytes(buffer[: self.readinto(memoryview(buffer))])

    def finish(self) -> None:
        """Tell a live sender that all it sent was read."""
        self._file.finish()

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self.path != "-":
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _named(raw: bytes, at: int = 0) -> str:
    """What compresses data that stands there, by its magic number; empty where nothing does."""
    return next((name for magic, name in MAGIC.items() if raw.startswith(magic, at)), "")


def _compression(raw: bytes) -> str:
    """The same, of a file that begins so; behind frames to be skipped what follows them tells, if it is seen."""
    at = 0
    while _is_skipped(raw[at : at + 8]):
        at += 8 + int.from_bytes(raw[at + 4 : at + 8], "little")
    found = _named(raw, at)
    if not at or found in SKIPPING:
        return found
    return SKIPPING[0] if at >= len(raw) else ""


def _is_skipped(head: bytes) -> bool:
    """Whether a frame to be skipped begins so: four octets of magic, and its length."""
    return len(head) >= 8 and head[0] & 0xF0 == 0x50 and head[1:4] == b"\x2a\x4d\x18"
