"""DNS messages and their packets straight to the columns of table `message`, without a row in between.

What `decode` and `packet` give as rows, column by column; a name that is asked again is not worked out again.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dnsonde.wire._arrays import frozen
from dnsonde.wire._kernels import message_columns as messages
from dnsonde.wire._kernels import packet_columns as packets
from dnsonde.wire._kernels.answers import SCRATCH
from dnsonde.wire._keys import KEYS
from dnsonde.wire.batch import Batch
from dnsonde.wire.message import MESSAGE
from dnsonde.wire.packet import PACKET
from dnsonde.wire.text import names_at, octet_text

WIDE, NARROW, SMALL = pa.int64(), pa.int32(), pa.int16()

# Column: its type, its place among those of the type, the bit that says where it is not null (None: everywhere).
NUMBERS = {
    "answer_hash": (WIDE, messages.ANSWER_HASH, None),
    "answer_net": (WIDE, messages.ANSWER_NET, messages.HAS_ANSWER),
    "answer_host": (WIDE, messages.ANSWER_HOST, messages.HAS_ANSWER),
    "ttl_min": (WIDE, messages.TTL_MIN, messages.HAS_TTL),
    "ecs_net": (WIDE, messages.ECS_NET, messages.HAS_ECS),
    "ecs_host": (WIDE, messages.ECS_HOST, messages.HAS_ECS),
    "id": (NARROW, messages.ID, messages.IS_HEADED),
    "rcode": (NARROW, messages.RCODE, messages.IS_REPLY),
    "qdcount": (NARROW, messages.QDCOUNT, None),
    "ancount": (NARROW, messages.ANCOUNT, None),
    "nscount": (NARROW, messages.NSCOUNT, None),
    "arcount": (NARROW, messages.ARCOUNT, None),
    "qtype": (NARROW, messages.QTYPE, messages.IS_ASKED),
    "qclass": (NARROW, messages.QCLASS, messages.IS_ASKED),
    "edns_size": (NARROW, messages.EDNS_SIZE, messages.HAS_EDNS),
    "ede": (NARROW, messages.EDE, messages.HAS_EDE),
    "answers": (NARROW, messages.ANSWERS, None),
    "status": (SMALL, messages.STATUS, None),
    "opcode": (SMALL, messages.OPCODE, None),
    "ecs_source": (SMALL, messages.ECS_SOURCE, messages.HAS_ECS),
}
BITS = {  # column: its bit, and the bit that says where it is not null
    "response": (messages.IS_RESPONSE, None),
    "aa": (messages.FLAG_AA, None),
    "tc": (messages.FLAG_TC, None),
    "rd": (messages.FLAG_RD, None),
    "ra": (messages.FLAG_RA, None),
    "ad": (messages.FLAG_AD, None),
    "cd": (messages.FLAG_CD, None),
    "mixed_case": (messages.IS_MIXED, None),
    "edns_do": (messages.HAS_DO, messages.HAS_EDNS),
    "cookie": (messages.HAS_COOKIE, None),
}
ENDS = {
    "src_net": packets.SRC_NET,
    "src_host": packets.SRC_HOST,
    "dst_net": packets.DST_NET,
    "dst_host": packets.DST_HOST,
}


@dataclass(slots=True)
class MessageColumns:
    """column: by name; name: each asked name once, the first one empty; index: number of each message's name."""

    column: dict[str, pa.Array]
    name: pa.StringArray
    index: NDArray[np.int32]


@dataclass(slots=True)
class PacketColumns:
    """What packets carry, and what `message` tells of them."""

    payload: Batch
    time_us: NDArray[np.int64]
    number: NDArray[np.int64]
    address: dict[str, NDArray[np.int64]]
    column: dict[str, pa.Array]
    mdns: NDArray[np.bool_]


class Sorter:
    """Finds the packets that carry DNS: over UDP to or from one of `ports` or `mdns_ports`, over TCP `ports`."""

    def __init__(self, ports: tuple[int, ...], mdns_ports: tuple[int, ...]) -> None:
        self._ports = np.zeros(65536, np.uint8)
        self._ports[list(ports)] |= packets.DNS
        self._ports[list(mdns_ports)] |= packets.MDNS
        self._place = np.empty((3, 0), np.int32)

    def sort(
        self, rows: NDArray[np.void], status: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """Row numbers of datagrams and of segments with DNS, and of fragments; valid until the next call.

        rows: PACKET; status: int64 (256,), how many rows had which is added to it.
        """
        if self._place.shape[1] < len(rows):
            self._place = np.empty((3, len(rows)), np.int32)
        counts = packets.sort_packets(
            frozen(rows, PACKET), self._ports, status, self._place[0], self._place[1], self._place[2]
        )
        one, two, three = (place[:count] for place, count in zip(self._place, counts, strict=True))
        return one, two, three

    def columns(
        self,
        rows: NDArray[np.void],
        batch: Batch,
        time_us: NDArray[np.int64],
        number: NDArray[np.int64],
        which: NDArray[Any],
    ) -> PacketColumns:
        """The columns of the packets `which`; all arrays have one item a packet of `rows`."""
        count = len(which)
        wide, narrow, small = (_room(k, count, t) for k, t in ((7, np.int64), (4, np.int32), (2, np.int16)))
        start, length = np.empty(count, np.int64), np.empty(count, np.int32)
        packets.packet_columns(
            frozen(rows, PACKET),
            frozen(batch.offset, np.int64),
            frozen(time_us, np.int64),
            frozen(number, np.int64),
            frozen(which, np.int32),
            self._ports,
            wide,
            narrow,
            small,
            start,
            length,
        )
        source, identity = wide[packets.SRC_MAC, :count], narrow[packets.IP_ID, :count]
        column = {
            "src_port": _numbers(NARROW, narrow[packets.SRC_PORT, :count]),
            "dst_port": _numbers(NARROW, narrow[packets.DST_PORT, :count]),
            # All zeros are nobody's: the loopback interface has them, and captures made anonymous.
            "src_mac": _numbers(WIDE, source, np.packbits(source > 0, bitorder="little")),
            "ip_ttl": _numbers(SMALL, small[packets.IP_TTL, :count]),
            "ip_id": _numbers(NARROW, identity, np.packbits(identity >= 0, bitorder="little")),
            "ip_bytes": _numbers(NARROW, narrow[packets.IP_BYTES, :count]),
        }
        return PacketColumns(
            Batch(batch.data, start, length),
            wide[packets.TIME, :count],
            wide[packets.NUMBER, :count],
            {name: wide[at, :count] for name, at in ENDS.items()},
            column,
            small[packets.IS_MDNS, :count] != 0,
        )


def message_columns(batch: Batch) -> MessageColumns:
    """Decode each message of the batch; a row that is malformed says so in its `status`, as in `decode`."""
    count = len(batch)
    wide, narrow, small = (_room(k, count, t) for k, t in ((6, np.int64), (13, np.int32), (3, np.int16)))
    mark = np.zeros(-(-count // 8) * 8, np.uint32)
    index = np.empty(count, np.int32)
    names = np.empty((count + 1, 3), np.int64)
    found = messages.message_columns(
        frozen(batch.data, np.uint8),
        frozen(batch.offset, np.int64),
        frozen(batch.length, np.int32),
        KEYS,
        np.zeros(2, MESSAGE),
        np.empty(SCRATCH, np.uint8),
        np.zeros(1 << (2 * count + 1).bit_length(), np.int32),
        names,
        index,
        wide,
        narrow,
        small,
        mark,
    )
    bits = _room(8 * messages.LANES, len(mark) // 8, np.uint8)
    messages.spread_bits(mark, bits)
    rooms = {WIDE: wide, NARROW: narrow, SMALL: small}
    column = {
        name: _numbers(kind, rooms[kind][at, :count], None if valid is None else bits[valid])
        for name, (kind, at, valid) in NUMBERS.items()
    }
    for name, (bit, valid) in BITS.items():
        mask = None if valid is None else pa.py_buffer(bits[valid])
        column[name] = pa.Array.from_buffers(pa.bool_(), count, [mask, pa.py_buffer(bits[bit])])
    has = bits[messages.HAS_NSID]
    if has.any():
        start, length = narrow[messages.NSID_START, :count], narrow[messages.NSID_LENGTH, :count]
        text = octet_text(batch, start, length).buffers()
        column["nsid"] = pa.Array.from_buffers(pa.string(), count, [pa.py_buffer(has), *text[1:]])
    else:
        column["nsid"] = pa.nulls(count, pa.string())
    names[0] = 0
    texts = names_at(batch.data, names[:found, 0], names[:found, 1].astype(np.int32), lower=True)
    return MessageColumns(column, texts, index)


def warm() -> None:
    """Compile each kernel once."""
    batch = Batch.of([b"\0" * 16])
    message_columns(batch)
    sorter = Sorter((53,), (5353,))
    rows = np.zeros(1, PACKET)
    sorter.sort(rows, np.zeros(256, np.int64))
    sorter.columns(rows, batch, np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int32))


def _room(columns: int, count: int, kind: type[np.integer[Any]]) -> NDArray[Any]:
    """Columns one behind another, that do not begin at the same place of the cache's pages."""
    return np.empty((columns, -(-count // 64) * 64 + 64), kind)


def _numbers(kind: pa.DataType, values: NDArray[Any], valid: NDArray[np.uint8] | None = None) -> pa.Array:
    mask = None if valid is None else pa.py_buffer(valid)
    return pa.Array.from_buffers(kind, len(values), [mask, pa.py_buffer(values)])
