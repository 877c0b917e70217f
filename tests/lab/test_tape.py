"""The lab's tape: what others read of it is what was sent and received, and only what passes the border."""

import struct
from pathlib import Path

import dpkt
import numpy as np
import pytest

from dnsonde.clock import VirtualClock
from dnsonde.errors import SystemRefusal
from dnsonde.lab.scenario import load_scenario
from dnsonde.lab.tape import Tape
from dnsonde.net.udp import DATAGRAM
from dnsonde.wire.batch import address_pair

SCENARIO = load_scenario("tiny")
INSIDE, OTHER, PROBER = "127.2.0.9", "127.200.0.4", "127.0.0.66"


def rows(*ends: tuple[str, str, bytes]) -> tuple[np.ndarray, np.ndarray]:
    """(ours, theirs, content) as DATAGRAM rows."""
    data, meta = np.zeros((len(ends), 128), np.uint8), np.zeros(len(ends), DATAGRAM)
    for row, (ours, theirs, content) in enumerate(ends):
        data[row, : len(content)] = np.frombuffer(content, np.uint8)
        meta["local_host"][row], meta["host"][row] = address_pair(ours)[1], address_pair(theirs)[1]
        meta["length"][row], meta["port"][row], meta["ttl"][row] = len(content), 4242, 61
        meta["time_us"][row] = 1_700_000_000_000_000 + row
    return data, meta


def test_others_read_what_was_sent_and_received(tmp_path: Path) -> None:
    path = tmp_path / "tape.pcap"
    came = rows((INSIDE, PROBER, b"question"), (OTHER, PROBER, b"not ours"), (INSIDE, PROBER, b"?"))
    went = rows((INSIDE, PROBER, b"the answer"), (OTHER, PROBER, b"from elsewhere"))
    with Tape(path, SCENARIO, VirtualClock(1_700_000_001_000_000)) as tape:
        tape.received(*came, 5300)
        tape.sent(*went, np.array([0, 1]), 5300)
    assert tape.packets == 3
    with path.open("rb") as file:
        read = list(dpkt.pcap.Reader(file))
    packets = [dpkt.ip.IP(octets) for _, octets in read]
    assert [bytes(p.data.data) for p in packets] == [b"question", b"?", b"the answer"]
    assert [(p.data.sport, p.data.dport, p.ttl) for p in packets] == [(4242, 5300, 61)] * 2 + [
        (5300, 4242, 64)
    ]
    assert [round(time * 1e6) for time, _ in read] == [
        1_700_000_000_000_000, 1_700_000_000_000_002, 1_700_000_001_000_000,
    ]  # fmt: skip
    assert packets[0].src == bytes([127, 0, 0, 66])
    assert packets[2].dst == packets[0].src
    for packet, (_, octets) in zip(packets, read, strict=True):
        words = struct.unpack(">10H", octets[:20])
        assert sum(words) % 0xFFFF == 0, "the header's checksum"
        assert packet.len == len(octets)


def test_a_full_disk_is_said() -> None:
    tape = Tape(Path("/dev/full"), SCENARIO, VirtualClock())
    tape.received(*rows((INSIDE, PROBER, b"x" * 100)), 5300)
    with pytest.raises(SystemRefusal, match="/dev/full"):
        tape.__exit__(None, None, None)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SystemRefusal, match="no/tape"):
        Tape(tmp_path / "no/tape", SCENARIO, VirtualClock())
