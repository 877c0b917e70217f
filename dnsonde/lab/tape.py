"""A capture of the lab's own datagrams, written by the lab: nobody needs to be root to see what a border would.

Each datagram that the lab sent or received, and that passes the border of its network (one end inside), is an IPv4
packet with its real time, addresses, ports and content. What a program cannot see of its datagrams is written as such:
IP identification 0, no UDP checksum, and 64 hops for what it sent.
"""

import struct
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dnsonde.clock import Clock
from dnsonde.errors import SystemRefusal
from dnsonde.lab.scenario import Scenario
from dnsonde.wire.batch import MAPPED

HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101)  # microseconds, LINKTYPE_RAW
RECORD, IP, UDP = 16, 20, 8
BEFORE = RECORD + IP + UDP  # octets before the content
HOPS = 64

Octets = NDArray[np.uint8]
Records = NDArray[np.void]


class Tape:
    """Writes a pcap of what passes the border of `scenario`'s network. SystemRefusal when the disk does not let it.

    packets: so many so far.
    """

    def __init__(self, path: Path, scenario: Scenario, clock: Clock) -> None:
        self.path, self.packets = path, 0
        self._clock = clock
        self._first, self._size = scenario.first, scenario.size
        try:
            self._file = path.open("wb")
            self._file.write(HEAD)
        except OSError as error:
            raise self._refusal(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise self._refusal(error) from error

    def received(self, data: Octets, rows: Records, port: int) -> None:
        """Keep what came to our `port`: DATAGRAM rows as `net.udp` receives them."""
        here, there = rows["local_host"], rows["host"]
        ttl = np.where(rows["ttl"] >= 0, rows["ttl"], HOPS)
        self._keep(data, rows["length"], rows["time_us"], (there, rows["port"]), (here, port), ttl)

    def sent(self, data: Octets, rows: Records, which: NDArray[np.integer], port: int) -> None:
        """Keep those of the DATAGRAM rows that were sent just now from our `port`."""
        rows = rows[which]
        here, there = rows["local_host"], rows["host"]
        now = np.full(len(rows), self._clock.now_us())
        ttl = np.full(len(rows), HOPS)
        self._keep(data[which], rows["length"], now, (here, port), (there, rows["port"]), ttl)

    def _keep(
        self,
        data: Octets,
        length: NDArray[np.integer],
        time_us: NDArray[np.integer],
        source: tuple[NDArray[np.integer], NDArray[np.integer] | int],
        target: tuple[NDArray[np.integer], NDArray[np.integer] | int],
        ttl: NDArray[np.integer],
    ) -> None:
        ends = [(source[0] - MAPPED).astype(np.int64), (target[0] - MAPPED).astype(np.int64)]
        inside = [(end >= self._first) & (end < self._first + self._size) for end in ends]
        at = np.flatnonzero(inside[0] | inside[1])
        if len(at) == 0:
            return
        size = length[at].astype(np.int64)
        width = int(size.max())
        out = np.zeros((len(at), BEFORE + width), np.uint8)
        whole = size + IP + UDP
        record = out[:, :RECORD].view("<u4")
        record[:, 0], record[:, 1] = np.divmod(time_us[at].astype(np.int64), 1_000_000)
        record[:, 2] = record[:, 3] = whole
        words = np.zeros((len(at), (IP + UDP) // 2), ">u2")
        words[:, 0], words[:, 1] = 0x4500, whole
        words[:, 4] = ttl[at].astype(np.int64) << 8 | 17
        for place, end in ((6, ends[0][at]), (8, ends[1][at])):
            words[:, place], words[:, place + 1] = end >> 16, end & 0xFFFF
        total = words[:, : IP // 2].astype(np.int64).sum(axis=1)
        total = (total & 0xFFFF) + (total >> 16)
        words[:, 5] = 0xFFFF ^ ((total & 0xFFFF) + (total >> 16))
        words[:, 10] = _of(source[1], at)
        words[:, 11] = _of(target[1], at)
        words[:, 12] = size + UDP
        out[:, RECORD:BEFORE] = words.view(np.uint8)
        out[:, BEFORE:] = data[at, :width]
        there = np.arange(out.shape[1]) < (RECORD + whole)[:, None]
        try:
            self._file.write(out[there].tobytes())
        except OSError as error:
            raise self._refusal(error) from error
        self.packets += len(at)

    def _refusal(self, error: OSError) -> SystemRefusal:
        return SystemRefusal(f"cannot write {self.path}: {error.strerror}; choose another folder")


def _of(port: NDArray[np.integer] | int, at: NDArray[np.integer]) -> NDArray[np.integer] | int:
    return port if isinstance(port, int) else port[at]
