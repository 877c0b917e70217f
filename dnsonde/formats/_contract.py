"""What a format is: it knows its files by their first octets, and turns one into tables and an account."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dnsonde.clock import LAST_US
from dnsonde.escape import utf8
from dnsonde.formats._stream import Stream


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator chooses about reading."""

    tables: tuple[str, ...] = ("message", "flow")  # what is wanted; others cost nothing
    ports: tuple[int, ...] = (53,)  # DNS over UDP and TCP
    mdns_ports: tuple[int, ...] = (5353,)
    window_s: int = 60  # of a flow row
    repeating: bool = False  # columns of text come as dictionaries, see `table.store.with_dictionaries`


@dataclass(slots=True)
class Account:
    """What became of every packet, or record, of one file: packets = parsed + ignored + malformed."""

    file: str
    path: str
    format: str
    bytes: int = 0
    parsed: int = 0
    messages: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    malformed: Counter[str] = field(default_factory=Counter)
    first_us: int | None = None
    last_us: int | None = None
    notes: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """Keep a sentence for the person who asked; the same one once."""
        if sentence and sentence not in self.notes:
            self.notes.append(sentence)

    def dated(self, time_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those times, each within 1970 to 9999: what no calendar has becomes the nearest that it has, and is noted.

        A damaged timestamp is a number like any other, and its double would not fit where it is reckoned with.
        """
        if not len(time_us) or (time_us.min() >= 0 and time_us.max() <= LAST_US):
            return time_us
        self.note("some of its times cannot be, and were taken for the nearest of 1970 to 9999")
        return np.clip(time_us, 0, LAST_US)

    def saw(self, first_us: int, last_us: int) -> None:
        """Widen the time that the file spans."""
        self.first_us = first_us if self.first_us is None else min(self.first_us, first_us)
        self.last_us = last_us if self.last_us is None else max(self.last_us, last_us)

    def begin(self, file: str) -> None:
        """Begin anew, for what comes from now on under another name; what was counted is forgotten."""
        self.file, self.bytes, self.parsed, self.messages = file, 0, 0, 0
        self.ignored.clear()
        self.malformed.clear()
        self.first_us = self.last_us = None
        self.notes.clear()

    def add(self, other: "Account") -> None:
        """Count another's too."""
        self.bytes += other.bytes
        self.parsed += other.parsed
        self.messages += other.messages
        self.ignored += other.ignored
        self.malformed += other.malformed
        if other.first_us is not None and other.last_us is not None:
            self.saw(other.first_us, other.last_us)
        for sentence in other.notes:
            self.note(sentence)

    @property
    def packets(self) -> int:
        """All that were in the file."""
        return self.parsed + self.ignored.total() + self.malformed.total()

    def row(self) -> dict[str, Any]:
        """The row of table `account`."""
        return {
            "file": self.file,
            "path": utf8(self.path),
            "format": self.format,
            "bytes": self.bytes,
            "packets": self.packets,
            "parsed": self.parsed,
            "ignored": self.ignored.total(),
            "malformed": self.malformed.total(),
            "messages": self.messages,
            "first_us": self.first_us,
            "last_us": self.last_us,
            "reasons": json.dumps(dict(sorted((self.ignored + self.malformed).items()))),
            "note": "; ".join(self.notes) or None,
        }


Tables = Iterator[tuple[str, pa.RecordBatch]]


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file.

    title: what people call it; tables: which ones come of it; sniff: how sure (0 to 1) the first octets make
    one; read: its rows, table by table, while the account is kept. Reading does not raise for what is in the file. Of a
    live input whose patience is at an end it gives no rows, in a batch of none.
    """

    title: str
    tables: tuple[str, ...]
    sniff: Callable[[bytes], float]
    read: Callable[[Stream, Account, Options], Tables]
