"""Read one file, whatever it is: find its format, give its rows, keep its account."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from dnsonde.errors import OtherLog, UsageError
from dnsonde.formats._contract import Account, Format, Options
from dnsonde.formats._stream import Stream
from dnsonde.registry import entries

PACKAGE = "dnsonde.formats"

LOOKS_LIKE = (  # first octets of what people hand in by mistake
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"PAR1", "Parquet; a lake is named by its folder"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"\x0c\xa5", "an nfdump file of another layout than 1 and 2"),
    (b"\x83hDNS-STAT", "a draft of C-DNS; only version 1 (RFC 8618) is read"),
    (b"<?xml", "XML"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
    (b"\x89PNG", "a picture"),
    (b"ustar", "a tar archive; unpack it first"),
)


class Reading:
    """The rows of one file: iterate once over pairs of a table's name and an Arrow batch.

    Iterating to the end closes the file; so does leaving it as a context.

    `account` grows while it is read, and is complete at the end. `consumed` of `size` octets are read (size 0:
    unknown). Raises UsageError when the file is of no known format, SystemRefusal when it cannot be opened.
    """

    def __init__(self, path: str | Path, options: Options | None = None) -> None:
        self.stream = Stream(path)
        self._options = options or Options()
        try:
            self.format_name, self._format = identify(self.stream)
        except UsageError:
            self.stream.close()
            raise

    @cached_property
    def account(self) -> Account:
        """What became of it; made before the first row, as the file's hash names it."""
        return Account(self.stream.content_hash, self.stream.path, self.format_name)

    @property
    def consumed(self) -> int:
        """Octets of the file that were read."""
        return self.stream.consumed

    @property
    def size(self) -> int:
        """Octets of the file."""
        return self.stream.size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stream.close()

    def __iter__(self) -> Iterator[tuple[str, pa.RecordBatch]]:
        with self:
            yield from self._format.read(self.stream, self.account, self._options)
            self.account.note(self.stream.damage)
            self.account.note(self.stream.growth)
            whole = self.stream.size and not self.stream.short
            self.account.bytes = self.stream.size if whole else self.stream.consumed


def formats() -> dict[str, Format]:
    """Every format, by name."""
    return entries(PACKAGE, Format)


def identify(stream: Stream) -> tuple[str, Format]:
    """The format of this input, and its name; who listens waits for dnstap."""
    known = formats()
    if stream.live:
        return "dnstap", known["dnstap"]
    sure = {key: kind.sniff(stream.head) for key, kind in known.items()}
    best = max(sure, key=lambda key: sure[key])
    if sure[best] > 0:
        return best, known[best]
    # Every format is loaded by now; who only looks at what was read needs none.
    from dnsonde.formats.zeek import damaged_log, other_log  # noqa: PLC0415

    other = other_log(stream.head)
    looks = other or damaged_log(stream.head) or _looks_like(stream)
    raise (OtherLog if other else UsageError)(
        f"{stream.path} is of no format that dnsonde reads: it looks like {looks} "
        f"(it reads {', '.join(sorted(known))})"
    )


def _looks_like(stream: Stream) -> str:
    head = stream.head
    if not head:
        return stream.damage or "an empty file"
    for magic, name in LOOKS_LIKE:
        if head.startswith(magic) or (magic == b"ustar" and head[257:262] == magic):
            return name
    line = head[:4096].lstrip().split(b"\n", 1)[0]
    if not any(octet < 9 or 13 < octet < 32 for octet in line):
        with suppress(UnicodeDecodeError):
            return f"text that begins {line.decode()[:60]!r}"
    return f"binary data that begins {head[:8].hex(' ')}"
