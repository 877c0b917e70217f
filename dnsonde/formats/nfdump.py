"""nfdump's own files (nfcapd.*), of versions 1.6 (layout 1) and 1.7 (layout 2), plain or compressed but by LZO.

The layouts are those of nfdump's nffile.h, nffileV2.h and nfxV3.h. Counters of sampled flows are scaled by who wrote
them.
"""

import bz2
import itertools
import struct
from collections.abc import Callable, Iterator
from typing import Any

import lz4.block  # type: ignore[import-untyped]
import numpy as np
import pyarrow as pa
import zstandard
from numpy.typing import NDArray

from dnsonde.formats import _logs as logs
from dnsonde.formats._contract import Account, Format, Options, Tables
from dnsonde.formats._flows import Way, asks, conversations, flag_columns
from dnsonde.formats._stream import FAULTS, Stream
from dnsonde.wire.batch import MAPPED

MARKS = {b"\x0c\xa5": "<", b"\xa5\x0c": ">"}
MOST = 1 << 24  # octets of a block, as it is and decompressed; nfdump's own have 1 MiB, or 5
LZO = 1


def _lz4(data: bytes) -> bytes:
    return bytes(lz4.block.decompress(data, uncompressed_size=MOST))


DECOMPRESS: dict[int, Callable[[bytes], bytes]] = {  # numbers of layout 2
    0: bytes,
    2: lambda data: bz2.BZ2Decompressor().decompress(data, MOST),
    3: _lz4,
    4: lambda data: zstandard.ZstdDecompressor().stream_reader(data).read(MOST),
}
COMPRESSED = {0: 0, 1: LZO, 8: 2, 16: 3}  # bits of layout 1's flags

HEADER_1, STATISTICS_1, HEADER_2 = 140, 136, 40
UNCOMPRESSED, AUTOREAD = 1, 4  # bits of a block's flags in layout 2
BLOCK_1, BLOCKS_2 = 2, (3, 4)  # kinds of blocks with records
RECORD_1, RECORD_2 = 10, 11  # kinds of records that are flows
GENERIC, IPV4, IPV6, COUNTERS = 1, 2, 3, 5  # elements of layout 2
ELEMENTS = 64  # of a record that are looked at; nfdump's own have fewer, each kind once
SIX, WIDE_PACKETS, WIDE_OCTETS = 1, 2, 4  # bits of a record's flags in layout 1

FLOW_1 = [
    ("flags", "u2"), ("map", "u2"), ("first_ms", "u2"), ("last_ms", "u2"), ("first", "u4"), ("last", "u4"),
    ("forwarded", "u1"), ("bits", "u1"), ("protocol", "u1"), ("tos", "u1"), ("src_port", "u2"), ("dst_port", "u2"),
    ("exporter", "u2"), ("way", "u2"),
]  # fmt: skip
FLOW_2 = [
    ("first", "u8"), ("last", "u8"), ("received", "u8"), ("packets", "u8"), ("octets", "u8"), ("src_port", "u2"),
    ("dst_port", "u2"), ("protocol", "u1"), ("bits", "u1"), ("forwarded", "u1"), ("tos", "u1"),
]  # fmt: skip
LONGEST = 96  # octets of a record that are read at once

Places = NDArray[np.int64]


def _sniff(head: bytes) -> float:
    mark = MARKS.get(head[:2])
    return 1.0 if mark and head[2:4] in (struct.pack(f"{mark}H", layout) for layout in (1, 2)) else 0.0


def _read(stream: Stream, account: Account, options: Options) -> Tables:
    mark = MARKS[stream.head[:2]]
    (layout,) = struct.unpack(f"{mark}H", stream.head[2:4])
    size = HEADER_1 + STATISTICS_1 if layout == 1 else HEADER_2
    head = stream.read(size)
    if len(head) < size:
        account.note("cut short: the file ends within its header")
        return
    if layout == 1:
        flags, blocks = struct.unpack(f"{mark}II", head[4:12])
        packed = COMPRESSED.get(flags & 0x19, -1)
        if flags & 2:
            account.note("addresses were anonymised by who wrote it")
    else:
        packed, encrypted = head[16], head[17]
        (blocks,) = struct.unpack(f"{mark}I", head[36:40])
        if encrypted:
            account.note("it is encrypted, and was not read")
            return
    if packed not in DECOMPRESS:
        account.note(
            "it is compressed by LZO, and was not read: `nfdump -r FILE -w OTHER` writes a plain one"
        )
        return
    take = _layout_1 if layout == 1 else _layout_2
    for data in _blocks(stream, account, mark, blocks, packed, layout):
        for batch in take(data, mark, account):
            if "flow" in options.tables:
                yield "flow", batch


def _blocks(
    stream: Stream, account: Account, mark: str, count: int, packed: int, layout: int
) -> Iterator[bytes]:
    """Blocks with records, decompressed; a cut or a damage ends them. `count`: as many at least, where it is told."""
    for number in itertools.count():
        head = stream.read(12)
        if not head and number >= count:
            return
        _records, size, kind, flags = struct.unpack(f"{mark}IIHH", head) if len(head) == 12 else (0, 0, 0, 0)
        if size > MOST:
            account.note(f"damaged: a block of {size:,} octets; nothing after it was read")
            return
        data = stream.read(size)
        if len(head) < 12 or len(data) < size:
            account.note("cut short: the file ends within a block")
            return
        if kind not in (BLOCKS_2 if layout == 2 else (BLOCK_1,)) or (layout == 2 and flags & AUTOREAD):
            continue  # names of interfaces and the like
        try:
            plain = (flags & UNCOMPRESSED) if layout == 2 else flags == 1
            yield bytes(data) if plain else DECOMPRESS[packed](data)
        except (lz4.block.LZ4BlockError, *FAULTS) as error:
            account.malformed["damaged_block"] += 1
            account.note(f"a block could not be decompressed: {error}")


def _places(data: bytes, mark: str, wanted: int, account: Account) -> tuple[Places, Places]:
    """Where the flow records of a block begin and end."""
    head = struct.Struct(f"{mark}HH").unpack_from
    found: list[tuple[int, int]] = []
    at = 0
    while at + 4 <= len(data):
        kind, size = head(data, at)
        if size < 4 or at + size > len(data):
            account.malformed["damaged_record"] += 1
            break
        if kind == wanted:
            found.append((at, at + size))
        at += size
    both = np.array(found, np.int64).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


def _taken(octets: NDArray[np.uint8], at: Places, kind: list[tuple[str, str]], mark: str) -> NDArray[np.void]:
    """Structures at these places; `octets` has room behind the last."""
    shape = np.dtype([(name, f"{mark}{code}") for name, code in kind])
    found: NDArray[np.void] = octets[at[:, None] + np.arange(shape.itemsize)].view(shape)[:, 0]
    return found


def _padded(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data + bytes(LONGEST), np.uint8)


def _ends(
    octets: NDArray[np.uint8], at: Places, six: NDArray[np.bool_], mark: str
) -> tuple[logs.Ends, logs.Ends]:
    """Sources and targets, one behind the other at these places; none where the place is not positive."""
    four = _taken(octets, at, [("src", "u4"), ("dst", "u4")], mark)
    whole = _taken(
        octets, at, [("src_net", "i8"), ("src_host", "i8"), ("dst_net", "i8"), ("dst_host", "i8")], mark
    )
    src, dst = (
        logs.Ends(
            np.where(six, whole[f"{side}_net"], 0).astype(np.int64),
            np.where(six, whole[f"{side}_host"], four[side].astype(np.int64) | MAPPED).astype(np.int64),
            at > 0,
        )
        for side in ("src", "dst")
    )
    return src, dst


def _layout_1(data: bytes, mark: str, account: Account) -> Iterator[pa.RecordBatch]:
    start, stop = _places(data, mark, RECORD_1, account)
    octets = _padded(data)
    flow = _taken(octets, start + 4, FLOW_1, mark)
    flags = flow["flags"]
    six = flags & SIX != 0
    at = start + 4 + flow.dtype.itemsize
    ends = _ends(octets, at, six, mark)
    at = at + np.where(six, 32, 8)
    counters = []
    for bit in (WIDE_PACKETS, WIDE_OCTETS):
        wide = flags & bit != 0
        long, short = (_taken(octets, at, [("n", code)], mark)["n"] for code in ("i8", "u4"))
        counters.append(np.where(wide, np.maximum(long, 0), short).astype(np.int64))
        at = at + np.where(wide, 8, 4)
    whole = at <= stop
    times = tuple(
        (flow[name].astype(np.int64) * 1000 + flow[f"{name}_ms"]) * 1000 for name in ("first", "last")
    )
    none = np.zeros(len(flow), np.int64)
    yield from _flows(account, flow, (times[0], times[1]), ends, (*counters, none, none), whole)


def _layout_2(data: bytes, mark: str, account: Account) -> Iterator[pa.RecordBatch]:
    start, stop = _places(data, mark, RECORD_2, account)
    octets = _padded(data)
    count = _taken(octets, start + 4, [("n", "u2")], mark)["n"].astype(np.int64)
    place = {kind: np.zeros(len(start), np.int64) for kind in (GENERIC, IPV4, IPV6, COUNTERS)}
    size = {GENERIC: 52, IPV4: 12, IPV6: 36, COUNTERS: 28}
    left = np.flatnonzero(count)  # records that may have another element
    at = start[left] + 12
    for number in range(1, ELEMENTS + 1):
        element = _taken(octets, at, [("kind", "u2"), ("length", "u2")], mark)
        length = element["length"].astype(np.int64)
        inside = (length >= 4) & (at + length <= stop[left])
        for kind, where in place.items():
            here = inside & (element["kind"] == kind) & (length >= size[kind])
            where[left[here]] = at[here] + 4
        more = inside & (number < count[left])
        left, at = left[more], (at + length)[more]
        if not len(left):
            break
    flow = _taken(octets, place[GENERIC], FLOW_2, mark)
    six = place[IPV6] > 0
    ends = _ends(octets, np.maximum(place[IPV4], place[IPV6]), six, mark)
    back = _taken(octets, place[COUNTERS], [("flows", "u8"), ("packets", "i8"), ("octets", "i8")], mark)
    counted = place[COUNTERS] > 0
    counters = (
        *(np.maximum(flow[name].astype(np.int64), 0) for name in ("packets", "octets")),
        *(np.where(counted, np.maximum(back[name], 0), 0).astype(np.int64) for name in ("packets", "octets")),
    )
    sane = (flow["first"] < 1 << 52) & (flow["last"] < 1 << 52)
    times = tuple(np.where(sane, flow[name], 0).astype(np.int64) * 1000 for name in ("first", "last"))
    whole = (place[GENERIC] > 0) & sane
    yield from _flows(account, flow, (times[0], times[1]), ends, counters, whole)


def _flows(
    account: Account,
    flow: NDArray[np.void],
    times: tuple[Places, Places],
    ends: tuple[logs.Ends, logs.Ends],
    counters: tuple[Any, ...],
    whole: NDArray[np.bool_],
) -> Iterator[pa.RecordBatch]:
    """Rows of these records; counters: packets and octets forth, and back."""
    protocol = flow["protocol"].astype(np.int64)
    icmp = (protocol == 1) | (protocol == 58)
    source, target = (flow[f"{side}_port"].astype(np.int64) for side in ("src", "dst"))
    ports = np.where(icmp, target >> 8, source), np.where(icmp, target & 0xFF, target)
    forth = Way(
        counters[0],
        counters[1],
        flag_columns(flow["bits"].astype(np.int64), counters[0], asks(counters[0], ports)),
    )
    first, last = times
    return conversations(
        account, (first, np.maximum(first, last)), ends, ports, protocol, (forth, Way(*counters[2:])), whole
    )


nfdump = Format("nfdump's own files (nfcapd), of 1.6 and 1.7", ("flow",), _sniff, _read)
