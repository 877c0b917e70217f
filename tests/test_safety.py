"""What leaves the machine, seen from outside: a capture of all that a run sends, in a network of its own.

The kernel copies every packet into a ring that holds them all (packet(7), TPACKET_V2) and counts what it had no room
for, so that a capture without a drop is the whole truth. The run sits in a network namespace with nothing but a
loopback interface: what is captured there is the run's, and cannot leave.
"""

import ctypes
import fcntl
import mmap
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dnsonde.clock import SystemClock
from dnsonde.net.pace import BURST_S
from dnsonde.probe.plan import Plan, read_plan
from dnsonde.probe.prober import BATCH, ProbeProgress, Prober
from dnsonde.wire.batch import MAPPED, Batch
from dnsonde.wire.packet import Link, decode_packets

WINDOW_US = 100_000
PORT = 5399

CLONE_NEWNET = 0x4000_0000
SIOCSIFFLAGS, IFF_UP_RUNNING = 0x8914, 0x41
SOL_PACKET = 263
PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION, PACKET_IGNORE_OUTGOING = 5, 6, 10, 23
TPACKET_V2 = 1
ETH_P_ALL = 3
BLOCK, FRAME_OCTETS = 1 << 20, 128  # a frame keeps the headers and the first octets of the message
FRAME = np.dtype(
    {
        "names": ["status", "length", "kept", "start", "second", "nanosecond"],
        "formats": ["<u4", "<u4", "<u4", "<u2", "<u4", "<u4"],
        "offsets": [0, 4, 8, 12, 16, 20],
        "itemsize": FRAME_OCTETS,
    }
)

Rows = NDArray[np.void]
Times = NDArray[np.int64]


class Capture:
    """Every packet that the loopback interface receives, up to `room` of them."""

    def __init__(self, room: int) -> None:
        blocks = -(-room * FRAME_OCTETS // BLOCK)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        # On loopback each packet would be seen as it leaves and as it comes.
        self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        ring = struct.pack("4I", BLOCK, blocks, FRAME_OCTETS, blocks * BLOCK // FRAME_OCTETS)
        self._socket.setsockopt(SOL_PACKET, PACKET_RX_RING, ring)
        self._ring = mmap.mmap(self._socket.fileno(), blocks * BLOCK)
        self._socket.bind(("lo", ETH_P_ALL))  # nothing else is up here

    def packets(self) -> tuple[Rows, Times]:
        """What was captured, as PACKET rows and microseconds; fails where the kernel had to drop one."""
        statistics = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        data = np.frombuffer(self._ring[:], np.uint8)
        frames = data.view(FRAME)
        frames = frames[frames["status"] & 1 == 1]
        seen, dropped = struct.unpack("2I", statistics)
        assert (dropped, seen) == (0, len(frames)), "the capture is not the whole truth"
        at = np.flatnonzero(data.view(FRAME)["status"] & 1) * FRAME_OCTETS
        batch = Batch(data, at + frames["start"], frames["kept"].astype(np.int32))
        rows = decode_packets(batch, Link.ETHERNET, original=frames["length"].astype(np.int32))
        return rows, frames["second"].astype(np.int64) * 1_000_000 + frames["nanosecond"] // 1000

    def close(self) -> None:
        self._ring.close()
        self._socket.close()


@pytest.fixture
def alone() -> Iterator[None]:
    """This thread in a network of its own, with a loopback interface on which somebody says nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as home:
        if libc.unshare(CLONE_NEWNET) != 0:
            why = os.strerror(ctypes.get_errno())
            pytest.skip(f"a capture in a network of its own needs root: {why}; run the tests as root")
        try:
            # Bound and never read: the kernel throws away what comes, and sends no ICMP error.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
                fcntl.ioctl(silent, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP_RUNNING))
                silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
                silent.bind(("0.0.0.0", PORT))
                yield
        finally:
            assert libc.setns(home.fileno(), CLONE_NEWNET) == 0


@pytest.fixture
def capture(alone: None) -> Iterator[Callable[[int], Capture]]:
    """Begin captures that end with the test."""
    del alone
    begun: list[Capture] = []

    def begin(room: int) -> Capture:
        begun.append(Capture(room))
        return begun[-1]

    yield begin
    for one in begun:
        one.close()


def make_plan(
    folder: Path, prefixes: list[str], *, scope: str = "", pace: str = "", attempts: int = 1, probe: str = ""
) -> Plan:
    return read_plan(
        f"[scope]\nprefixes = {prefixes}\nport = {PORT}\n{scope}\n"
        '[zone]\nname = "probe.example.net"\nauthority = "127.0.0.53"\n'
        f"[pace]\n{pace}\n[probe]\nattempts = {attempts}\ntimeout_s = 0.05\ncharacterise = false\n{probe}\n",
        folder,
    )


def host(rows: Rows, end: str) -> NDArray[np.int64]:
    """IPv4 addresses as numbers; of another version there is none."""
    assert (rows["ip_version"] == 4).all()
    assert (rows[f"{end}_net"] == 0).all()
    address: NDArray[np.int64] = rows[f"{end}_host"] - MAPPED
    return address


def fullest(times: Times, window_us: int = WINDOW_US) -> int:
    """The most packets that any window of that length holds, wherever it begins."""
    times = np.sort(times)
    return int((np.searchsorted(times, times + window_us) - np.arange(len(times))).max())


def test_a_million_probes_reach_the_plan_and_nobody_else(
    capture: Callable[[int], Capture], tmp_path: Path
) -> None:
    prefixes = ["127.16.0.0/12", "127.77.0.0/16"]
    excluded = ["127.16.5.0/24", "127.20.0.1/32", "127.77.0.0/18"]
    random = np.random.default_rng(7)
    places, lengths = random.integers(16 << 16, 32 << 16, 3000), random.integers(28, 33, 3000)
    blocklist = [
        str(ip_network((127 << 24 | place, bits), strict=False))
        for place, bits in zip(places.tolist(), lengths.tolist(), strict=True)
    ]
    (tmp_path / "never.txt").write_text("\n".join(blocklist))
    # The same, told another way: one entry an address of 127/8.
    allowed = np.zeros(1 << 24, np.bool_)
    for names, value in ((prefixes, True), (excluded, False), (blocklist, False)):
        for network in map(ip_network, names):
            start = int(network.network_address) & 0xFFFFFF
            allowed[start : start + network.num_addresses] = value
    plan = make_plan(tmp_path, prefixes, scope=f'exclude = {excluded}\nexclude_file = "never.txt"')
    listening = capture(1_150_000)
    done = Prober(plan, tmp_path / "run", clock=SystemClock()).run()
    rows, times = listening.packets()
    assert done.sent == len(rows) == np.count_nonzero(allowed) >= 1_000_000
    target = host(rows, "dst")
    assert (target >> 24 == 127).all()
    asked = np.bincount(target & 0xFFFFFF, minlength=1 << 24)
    assert np.flatnonzero((asked > 0) & ~allowed).size == 0, "outside of the plan, or on the blocklist"
    assert (asked == allowed).all(), "each address once"
    assert set(host(rows, "src").tolist()) == {127 << 24 | 1}, "a foreign source"
    assert set(rows["protocol"].tolist()) == {17}
    assert set(rows["dst_port"].tolist()) == {PORT}
    assert len(set(rows["src_port"].tolist())) == 1
    # What the next tests count as too fast is seen here.
    assert fullest(times) > 20_000 * WINDOW_US / 1e6 + BATCH


def test_the_named_source_is_the_only_one(capture: Callable[[int], Capture], tmp_path: Path) -> None:
    plan = make_plan(tmp_path, ["127.9.0.0/24"], probe='source = "127.7.7.7"')
    listening = capture(1000)
    assert Prober(plan, tmp_path / "run", clock=SystemClock()).run().sent == 256
    rows, _ = listening.packets()
    assert set(host(rows, "src").tolist()) == {0x7F070707}


@pytest.mark.parametrize(
    ("pps", "prefix", "attempts"),
    [(20_000.0, "127.9.0.0/19", 2), (300.0, "127.9.0.0/25", 2), (2.5, "127.9.0.0/30", 1)],
)
def test_no_window_holds_more_than_the_ceiling_and_a_batch(
    pps: float, prefix: str, attempts: int, capture: Callable[[int], Capture], tmp_path: Path
) -> None:
    """Though the process stalls now and then, which tempts a sender to catch up."""

    def stall(_now: ProbeProgress) -> None:
        time.sleep(0.04)

    plan = make_plan(tmp_path, [prefix], pace=f"total_pps = {pps}", attempts=attempts)
    listening = capture(40_000)
    done = Prober(plan, tmp_path / "run", clock=SystemClock()).run(stall)
    rows, times = listening.packets()
    assert done.sent == len(rows) == ip_network(prefix).num_addresses * attempts
    batch = max(int(pps * BURST_S), 1)  # what goes at once at this pace
    assert batch <= BATCH
    assert fullest(times) <= pps * WINDOW_US / 1e6 + batch
    assert fullest(times, 1_000_000) <= pps + batch


@pytest.mark.parametrize(("pps", "hosts"), [(50.0, 64), (0.8, 2)])
def test_no_prefix_gets_more_than_its_ceiling_and_a_batch(
    pps: float, hosts: int, capture: Callable[[int], Capture], tmp_path: Path
) -> None:
    prefixes = [f"127.9.{k}.0/{32 - (hosts - 1).bit_length()}" for k in range(40)]
    plan = make_plan(tmp_path, prefixes, pace=f"prefix_pps = {pps}")
    listening = capture(10_000)
    done = Prober(plan, tmp_path / "run", clock=SystemClock()).run()
    rows, times = listening.packets()
    assert done.sent == len(rows) == 40 * hosts
    network = host(rows, "dst") >> 8
    assert len(set(network.tolist())) == 40
    for one in set(network.tolist()):
        mine = times[network == one]
        assert len(mine) == hosts
        assert fullest(mine) <= pps * WINDOW_US / 1e6 + 1
        assert fullest(mine, 1_000_000) <= pps + 1
