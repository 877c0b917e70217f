"""Packets to flows: one row for each 5-tuple, direction and window of time, in bounded memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dnsonde.wire._arrays import frozen
from dnsonde.wire._kernels import packet_flow as kernel
from dnsonde.wire._keys import KEYS
from dnsonde.wire.batch import Batch
from dnsonde.wire.packet import PACKET

ROWS = 1 << 17  # flows in memory at a time, at most
FIRST_ROWS = 1 << 10  # and at first: a small capture has few, and fresh memory costs more than counting
SLOTS = 4  # for each
PAYLOAD = 32  # octets kept of a flow's first payload

FLOW = np.dtype(
    [
        ("start_us", "i8"),
        ("end_us", "i8"),
        ("src_net", "i8"),
        ("src_host", "i8"),
        ("dst_net", "i8"),
        ("dst_host", "i8"),
        ("ports", "i8"),  # protocol << 32 | source port << 16 | destination port
        ("when", "i8"),  # number of the window since 1970
        ("src_mac", "i8"),  # -1: none
        ("packets", "i8"),
        ("bytes", "i8"),
        ("payload_bytes", "i8"),
        ("options", "i8"),
        ("syn", "i8"),
        ("synack", "i8"),
        ("ack", "i8"),
        ("fin", "i8"),
        ("rst", "i8"),
        ("push", "i8"),
        ("mirai_syn", "i8"),
        ("fragments", "i8"),
        ("ip_id", "i8"),  # -1: none
        ("inner_id", "i8"),  # -1: none
        ("length_min", "i4"),
        ("length_max", "i4"),
        ("window", "i4"),  # -1: none
        ("inner_protocol", "i2"),  # -1: none
        ("ttl_min", "u1"),
        ("ttl_max", "u1"),
        ("payload_octets", "u1"),
        ("payload", "u1", (PAYLOAD,)),
    ],
    align=True,
)
WORDS = [
    name for name in FLOW.names or () if FLOW[name] == np.int64
]  # the first fields, one behind the other
SMALL = ("length_min", "length_max", "window", "inner_protocol", "ttl_min", "ttl_max")
OCTETS = np.dtype((np.void, FLOW.itemsize))  # as which numpy copies a row at once, not field by field


class Meter:
    """Counts packets into `FLOW` rows.

    What GRE carries is counted as the GRE flow, with the inside's first facts; other tunnels as what they carry.
    Windows end by the packets' own times. A flow has one row a window, but for captures with more than `ROWS`
    flows at a time, or times that go back by more than a window: then it may have several.
    """

    def __init__(self, window_us: int) -> None:
        self._window_us = window_us
        self._used = 0
        self._rows = np.empty(0, FLOW)
        self._make_room(min(FIRST_ROWS, ROWS))

    def add(
        self, batch: Batch, packets: NDArray[np.void], time_us: NDArray[np.int64]
    ) -> Iterator[NDArray[np.void]]:
        """Count these packets, iterated to the end; the rows that are finished, valid until the next are asked for."""
        data, offset = frozen(batch.data, np.uint8), frozen(batch.offset, np.int64)
        times, rows = frozen(time_us, np.int64), frozen(packets, PACKET)
        at = 0
        while at < len(packets):
            at, self._used = kernel.meter(
                data, offset, rows, times, at, self._window_us, KEYS, self._slots, self._rows, self._used
            )
            if at == len(packets):
                break
            if len(self._rows) < ROWS:
                self._make_room(min(8 * len(self._rows), ROWS))
            else:
                yield from self.finish()
        if self._used > ROWS // 2:
            when = self._rows["when"][: self._used]
            newest = int(when.max())
            yield from self._take(when < newest - 1)

    def _make_room(self, rows: int) -> None:
        """Hold so many rows from now on, with those that there are."""
        old = self._rows[: self._used]
        self._rows = np.zeros(rows, FLOW)
        self._slots = np.zeros(SLOTS * rows, np.int32)
        self._keep(old.view(OCTETS))

    def finish(self) -> Iterator[NDArray[np.void]]:
        """The rows that are left, valid until more are asked for."""
        if self._used:
            yield self._rows[: self._used]
        self._keep(self._rows[:0].view(OCTETS))

    def _take(self, old: NDArray[np.bool_]) -> Iterator[NDArray[np.void]]:
        """Take these rows away."""
        if old.any():
            rows = self._rows[: self._used].view(OCTETS)
            kept = rows[~old]
            yield rows[old].view(FLOW)
            self._keep(kept)

    def _keep(self, rows: NDArray[np.void]) -> None:
        self._used = len(rows)
        self._rows[: self._used].view(OCTETS)[:] = rows
        self._slots[:] = 0
        kernel.place(KEYS, self._slots, self._rows, self._used)


def flow_columns(rows: NDArray[np.void]) -> tuple[dict[str, NDArray[Any]], pa.BinaryArray]:
    """(each field of `FLOW` rows but the payload, by its name; the payloads)."""
    count = len(rows)
    # Columns that do not begin at the same place of the cache's pages.
    wide = np.empty((len(WORDS), -(-count // 64) * 64 + 64), np.int64)
    payload, ends = np.empty(PAYLOAD * count, np.uint8), np.empty(count + 1, np.int32)
    table = frozen(rows, FLOW)
    filled = kernel.turn(table, table.view(np.int64).reshape(count, -1), wide, payload, ends)
    column = {name: wide[k, :count] for k, name in enumerate(WORDS)}
    column |= {name: rows[name] for name in SMALL}
    octets = [None, pa.py_buffer(ends), pa.py_buffer(payload[:filled].copy())]
    return column, pa.Array.from_buffers(pa.binary(), count, octets)


def warm() -> None:
    """Compile this facade's kernels."""
    meter = Meter(1_000_000)
    packets = np.zeros(1, PACKET)
    packets["ip_version"] = 4
    for _ in meter.add(Batch.of([b"\0"]), packets, np.zeros(1, np.int64)):
        pass
    for rows in meter.finish():
        flow_columns(rows)
