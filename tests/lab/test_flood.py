"""Strangers who shout into a run: every datagram is counted, none is believed, and the verdicts are the lab's truth.

The floods wait for the prober to have read what they sent, so that none of it can be lost in the kernel, and the
prober's timeouts wait for the floods: what comes out is the same on any machine.
"""

import time
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace as Labs

import numpy as np
from numpy.typing import NDArray

from dnsonde import look, run
from dnsonde.clock import SystemClock
from dnsonde.lab.scenario import Scenario
from dnsonde.net.udp import Udp
from dnsonde.probe import state
from dnsonde.probe.plan import load_plan
from dnsonde.probe.prober import Prober
from dnsonde.wire.batch import ADDRESS, MAPPED, address_pair
from dnsonde.wire.codes import Type
from dnsonde.wire.encode import encode_probes
from dnsonde.wire.name import ProbeNames

BATCH = 512
UNREAD = 1536  # datagrams of a flood that wait in the kernel at most
PATIENCE_S = 20.0
LOOPBACK = MAPPED | 0x7F00_0001


class WaitingClock(SystemClock):
    """Its monotonic time goes a fiftieth as fast until the floods are over."""

    def __init__(self) -> None:
        self.began_us = super().monotonic_us()
        self.flooded = Event()

    def monotonic_us(self) -> int:
        now = super().monotonic_us()
        return now if self.flooded.is_set() else self.began_us + (now - self.began_us) // 50


class Flood:
    """Datagrams for the socket of a running prober, from any address of 127/8."""

    def __init__(self, prober: Prober) -> None:
        self._prober = prober
        while not hasattr(prober, "_recorder"):
            time.sleep(0.001)
        (socket,) = prober._sockets
        self.udp = Udp("0.0.0.0", batch=BATCH, size=512, device="lo")
        self.udp.tx["net"], self.udp.tx["host"], self.udp.tx["port"] = 0, LOOPBACK, socket.port
        self.udp.tx["local_net"] = 0
        self.sent = 0
        self.before = self.counted()

    def counted(self) -> int:
        return sum(self._prober._counts[name] for name in ("forged", "malformed", "mismatched"))

    def send(self, source: NDArray[np.int64], length: NDArray[np.signedinteger]) -> None:
        """Send the batch in `udp.tx_data` from these addresses, once there is room for it."""
        udp, done = self.udp, 0
        give_up = time.monotonic() + PATIENCE_S
        while self.sent - (self.counted() - self.before) > UNREAD:
            assert time.monotonic() < give_up, "the prober does not count what it gets"
            time.sleep(0.0002)
        udp.tx["local_host"], udp.tx["length"] = source, length
        while done < BATCH:
            done += udp.send(BATCH, done)
            udp.wait(1000, writable=True)
        assert not udp.tx_errno.any()
        self.sent += BATCH


def forge(flood: Flood, scenario: Scenario, label: str, count: int) -> None:
    """Right zone, run, target and source, two right answers: only the tag is a guess."""
    names = ProbeNames(scenario.authority.zone)
    targets = np.zeros(BATCH, ADDRESS)
    targets["host"] = MAPPED | scenario.first + np.arange(BATCH) % scenario.size
    length = np.zeros(BATCH, np.int32)
    control = address_pair(scenario.authority.control[0])[1]
    answers = b"".join(
        b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4" + (host & 0xFFFFFFFF).to_bytes(4, "big")
        for host in (control, LOOPBACK)
    )
    while flood.sent < count:
        key = flood.sent.to_bytes(16, "big")
        encode_probes(names, flood.udp.tx_data, length, targets, 1, 0, 0, Type.A, key, label, 0)
        end = int(length[0])
        flood.udp.tx_data[:, 2:4] = (0x81, 0x80)
        flood.udp.tx_data[:, 7] = 2
        flood.udp.tx_data[:, end : end + len(answers)] = np.frombuffer(answers, np.uint8)
        flood.send(targets["host"], length + len(answers))


def babble(flood: Flood, scenario: Scenario, count: int) -> None:
    """Random octets of random length, from hosts of the scope and from others."""
    random = np.random.default_rng(11)
    end = flood.sent + count
    while flood.sent < end:
        flood.udp.tx_data[:] = np.frombuffer(random.bytes(flood.udp.tx_data.size), np.uint8).reshape(
            BATCH, -1
        )
        source = (MAPPED | scenario.first) + random.integers(0, 2 * scenario.size, BATCH)
        flood.send(source, random.integers(1, 200, BATCH))


def test_floods_are_counted_and_change_no_verdict(labs: Labs, tmp_path: Path) -> None:
    forgeries, garbage = 100_352, 1_000_448
    scenario = labs.on_free_ports("tiny", slow_delay_ms=(100.0, 500.0), rate_limit_ms=400.0)
    file = run.lab_plan(scenario, tmp_path)
    file.write_text(file.read_text().replace("timeout_s = 2.0", "timeout_s = 1.0"))
    plan = load_plan(file)
    clock, failed = WaitingClock(), list[BaseException]()
    prober = Prober(plan, tmp_path, clock=clock, device="lo")

    def attack() -> None:
        try:
            flood = Flood(prober)
            found = state.load(tmp_path)
            assert found is not None
            with flood.udp:
                forge(flood, scenario, found.run, forgeries)
                babble(flood, scenario, garbage)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failed.append(error)
        finally:
            clock.flooded.set()

    with labs.served(scenario, tmp_path):
        attacker = Thread(target=attack)
        attacker.start()
        done = prober.run()
        attacker.join()
    assert failed == []
    assert (done.complete, done.dropped) == (True, 0)
    assert done.forged == forgeries
    assert done.malformed + done.mismatched == garbage
    assert done.malformed >= 0.99 * garbage
    run.judge(tmp_path)
    truth = look.at(tmp_path)[1]
    assert truth is not None
    assert (truth.right, truth.wrong) == (256, [])
