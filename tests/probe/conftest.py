"""A loopback network to probe: every address of 127/8 answers as a test says, and counts what it is asked."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Any

import pytest

from dnsonde.net.udp import Udp
from dnsonde.probe.plan import Plan, read_plan

ZONE = "probe.example.net"
CONTROL = "192.0.2.80"
PATIENCE_S = 60.0  # a failing test's wait

# From a query and the last octet of the asked address to the replies.
Behavior = Callable[[bytes, int], list[bytes]]


def refused(query: bytes, _last: int) -> list[bytes]:
    """Cheap, as it needs no decoding."""
    return [query[:2] + b"\x81\x85" + query[4:]]


class Responder:
    """Hosts on 0.0.0.0 (or ::1) of the loopback interface. `asked` counts queries by first label."""

    def __init__(self, behavior: Behavior, address: str = "0.0.0.0", port: int = 0) -> None:
        self.udp = Udp(address, port, device="lo", size=1024, receive_buffer=32 << 20)
        self.port = self.udp.port
        self.asked: Counter[str] = Counter()
        self.queries: list[bytes] = []
        self.times_us: list[int] = []  # when they came, by the kernel
        self.behavior = behavior
        self._more = Condition()
        self._stop = Event()
        self._thread = Thread(target=self._serve, name="responder")
        self._thread.start()

    def _serve(self) -> None:
        udp = self.udp
        while not self._stop.is_set():
            if udp.receive() == 0:
                udp.wait(20_000)
                continue
            rows, queries = (
                udp.rx[: len(udp.received)].copy(),
                [udp.received[k] for k in range(len(udp.received))],
            )
            for row, query in zip(rows, queries, strict=True):
                size = query[12]
                self.asked[query[13 : 13 + size].decode("latin-1").lower()] += 1
                self.queries.append(query)
                self.times_us.append(int(row["time_us"]))
                for reply in self.behavior(query, int(row["local_host"]) & 0xFF):
                    udp.tx_data[0, : len(reply)] = memoryview(reply)
                    for name in ("net", "host", "port", "local_net", "local_host"):
                        udp.tx[name][0] = row[name]
                    udp.tx["length"][0] = len(reply)
                    while udp.send(1) == 0:
                        udp.wait(1000, writable=True)
            with self._more:
                self._more.notify_all()

    def wait_until_asked(self, count: int) -> None:
        """Wait until there were so many queries; a test that passes waits for no more than them."""
        with self._more:
            come = self._more.wait_for(lambda: len(self.queries) >= count, PATIENCE_S)
        assert come, f"{len(self.queries)} queries of {count}"

    def targets(self) -> Counter[str]:
        """How often each address (its hexadecimal digits) was asked."""
        found: Counter[str] = Counter()
        for label, count in self.asked.items():
            found[label[:8]] += count
        return found

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.udp.close()


@pytest.fixture
def respond() -> Iterator[Callable[..., Responder]]:
    """Start responders that end with the test."""
    started: list[Responder] = []

    def start(behavior: Behavior = refused, **more: Any) -> Responder:
        started.append(Responder(behavior, **more))
        return started[-1]

    yield start
    for responder in started:
        responder.close()


@pytest.fixture
def plan_text() -> Callable[..., str]:
    """A plan for a part of the loopback network."""

    def text(
        port: int, prefixes: str = "127.9.0.0/24", *, known: bool = False, pace: str = "", **probe: Any
    ) -> str:
        zone = f'name = "{ZONE}"\nauthority = "127.0.0.53"\ncontrol = "{CONTROL}"'
        if known:
            zone = f'known = "www.example.net"\nanswer = "{CONTROL}"'
        settings = {"attempts": 1, "timeout_s": 0.2, "characterise": False} | probe
        lines = "\n".join(f"{name} = {str(value).lower()}" for name, value in settings.items())
        listed = ", ".join(f'"{p}"' for p in prefixes.split())
        return f"[scope]\nprefixes = [{listed}]\nport = {port}\n[zone]\n{zone}\n[pace]\n{pace}\n[probe]\n{lines}\n"

    return text


@pytest.fixture
def make_plan(plan_text: Callable[..., str], tmp_path: Path) -> Callable[..., Plan]:
    def make(*args: Any, **more: Any) -> Plan:
        return read_plan(plan_text(*args, **more), tmp_path)

    return make
