"""The addresses and times that a name carries, and what they are to the packet that carries the name.

Probers write the probed address, their own and the time into the names they ask. All the known ways are read at
kernel speed: dotted, dashed and zero-padded octets, octets among other numbers, 8 and 32 hex digits, reversed ones,
decimal uint32, base 32, nibbles; epoch seconds, milliseconds, microseconds (decimal or hex), dates.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dnsonde.wire._arrays import frozen
from dnsonde.wire._kernels import embedded as kernel
from dnsonde.wire.batch import ADDRESS, Batch
from dnsonde.wire.domain import texts

FINDS = 4

EMBEDDED = np.dtype(
    [
        ("count", "i2"),  # addresses found, best first
        ("kind", "i2", (FINDS,)),  # index into KINDS, 16 more when reversed
        ("relation", "i2", (FINDS,)),  # index into RELATIONS
        ("start", "i2", (FINDS,)),  # where in the name's text
        ("stop", "i2", (FINDS,)),
        ("net", "i8", (FINDS,)),
        ("host", "i8", (FINDS,)),
        ("time_kind", "i2"),  # index into TIME_KINDS, 0: none
        ("time_start", "i2"),
        ("time_stop", "i2"),
        ("time_us", "i8"),  # microseconds since 1970 UTC
    ],
    align=True,
)

_NUMBER = np.dtype(
    [("start", "i4"), ("stop", "i4"), ("value", "i8"), ("sep", "i4"), ("joined", "i4")], align=True
)
_CANDIDATE = np.dtype(
    [("kind", "i2"), ("relation", "i2"), ("start", "i2"), ("stop", "i2"), ("net", "i8"), ("host", "i8")],
    align=True,
)

_WAYS = ["dotted", "dashed", "zero_padded", "hex8", "hex32", "decimal", "base32", "octets"]
KINDS = ["", *_WAYS] + [""] * (kernel.REVERSED - len(_WAYS)) + [f"{way}_reversed" for way in _WAYS]
RELATIONS = ["", "other", "neighbour", "source", "destination"]
TIME_KINDS = ["", "epoch_s", "epoch_ms", "epoch_us", "epoch_hex", "epoch_hex_us", "date", "datetime"]

# What stands in a template for a number, an address by its relation, a time by its kind.
_WORDS = [
    "{n}",
    "{address}",
    "{neighbour}",
    "{source}",
    "{destination}",
    *(f"{{{k}}}" for k in TIME_KINDS[1:]),
]

LONGEST = 1004  # characters of a name of 255 octets, each escaped


def may_embed(names: Batch, search: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether `embedded` could find anything in each name, whatever packet it came in; most names carry nothing.

    search: as there.
    """
    out = np.empty(len(names), bool)
    length = np.clip(search, 0, np.minimum(names.length, LONGEST)).astype(np.int32)
    kernel.may_embed(frozen(names.data, np.uint8), frozen(names.offset, np.int64), length, out)
    return out


def embedded(
    names: Batch,
    search: NDArray[np.int32],
    source: NDArray[np.void],
    destination: NDArray[np.void],
    time_us: NDArray[np.int64],
) -> NDArray[np.void]:
    """One `EMBEDDED` row a name.

    names: lower-case presentation texts; search: characters of each to look at (what is left of the registered
    domain, so that a domain which looks like a number is none); source, destination: `ADDRESS` of the packet;
    time_us: its time. A relation is nearest first: destination, source, neighbour (same /24 or /48), other.
    """
    out = np.zeros(len(names), EMBEDDED)
    length = np.clip(search, 0, np.minimum(names.length, LONGEST)).astype(np.int32)
    numbers = np.zeros(kernel.NUMBERS, _NUMBER)
    found = np.zeros(kernel.CANDIDATES, _CANDIDATE)
    kernel.embedded(
        frozen(names.data, np.uint8),
        names.offset,
        length,
        np.ascontiguousarray(source, ADDRESS),
        np.ascontiguousarray(destination, ADDRESS),
        np.ascontiguousarray(time_us, np.int64),
        numbers,
        found,
        out,
    )
    return out


def templates(names: Batch, search: NDArray[np.int32], rows: NDArray[np.void]) -> pa.StringArray:
    """Each name with its numbers, addresses and times replaced by what they are; null where nothing was found.

    `bc2874fb-1.c.secshow.net` asked of 188.40.116.251 becomes `{destination}-{n}.c.secshow.net`.
    """
    words = np.frombuffer("".join(_WORDS).encode(), np.uint8)
    stops = np.cumsum([len(word) for word in _WORDS]).astype(np.int32)
    has = (rows["count"] > 0) | (rows["time_kind"] > 0)
    # The longest growth is one digit to "{n}"; every address and time has at least 7 characters.
    room = int(names.length[has].sum(dtype=np.int64)) * 2 + 96 * int(has.sum())
    out = np.empty(room, np.uint8)
    end = np.zeros(len(names) + 1, np.int32)
    length = np.ascontiguousarray(search, np.int32)
    data = frozen(names.data, np.uint8)
    kernel.template(data, names.offset, names.length, length, rows, words, stops, out, end[1:])
    return texts(out, end[:-1].astype(np.int64), np.diff(end), valid=has)


def warm() -> None:
    """Compile this module's kernels."""
    names = Batch.of([b"192-0-2-1.example.com"])
    search = np.array([9], np.int32)
    here = np.zeros(1, ADDRESS)
    may_embed(names, search)
    rows = embedded(names, search, here, here, np.zeros(1, np.int64))
    templates(names, search, rows)
