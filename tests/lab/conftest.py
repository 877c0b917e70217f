"""A lab on free ports, stepped by the test or served by a thread."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from dnsonde import run
from dnsonde.authority.server import Authority
from dnsonde.clock import SystemClock
from dnsonde.lab.scenario import Scenario, TraitShares, load_scenario
from dnsonde.lab.serve import POLICY, Served, serve, zone_of
from dnsonde.lab.world import World


@pytest.fixture
def labs() -> SimpleNamespace:
    """The functions below, for tests that are no package and cannot import them."""
    return SimpleNamespace(
        on_free_ports=on_free_ports, of_one_kind=of_one_kind, stepped=stepped, served=served
    )


def on_free_ports(name: str, **changes: Any) -> Scenario:
    """A scenario that comes along, on ports of its own."""
    scenario = load_scenario(name)
    place = msgspec.structs.replace(scenario.authority, port=run.free_port())
    return msgspec.structs.replace(scenario, port=run.free_port(), authority=place, **changes)


def of_one_kind(kind: str, **changes: Any) -> Scenario:
    """256 hosts, all alike and without habits, unless `changes` say otherwise."""
    plain = dict.fromkeys(TraitShares.__struct_fields__, 0.0)
    traits = TraitShares(**(plain | changes.pop("traits", {})))
    return on_free_ports("tiny", shares={kind: 1.0}, traits=traits, **changes)


class Stepped:
    """A world and its authority (or none), moved on by the test in its own thread."""

    def __init__(self, scenario: Scenario, world: World, authority: Authority | None) -> None:
        self.scenario, self.world, self.authority = scenario, world, authority
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.bind(("127.0.0.1", 0))
        self.client.setblocking(False)

    def host(self, number: int) -> str:
        """The address of one host."""
        return socket.inet_ntoa((self.scenario.first + number).to_bytes(4, "big"))

    def send(self, wire: bytes, number: int = 0) -> None:
        """Send a datagram to a host."""
        self.client.sendto(wire, (self.host(number), self.scenario.port))

    def settle(self, wanted: int = 1, patience_s: float = 5.0) -> list[tuple[str, bytes]]:
        """Step until so many replies are there (or, for 0, until nothing moves); (responder, octets)."""
        clock = SystemClock()
        replies: list[tuple[str, bytes]] = []
        end_us, quiet = clock.monotonic_us() + int(patience_s * 1e6), 0
        while clock.monotonic_us() < end_us and quiet < 3:
            moved = self.world.step(1000)
            if self.authority is not None:
                moved += self.authority.step(0)
            try:
                while True:
                    wire, peer = self.client.recvfrom(65535)
                    replies.append((peer[0], wire))
            except BlockingIOError:
                pass
            if wanted and len(replies) >= wanted:
                break
            quiet = quiet + 1 if not wanted and moved == 0 else 0
        return replies


@contextmanager
def stepped(scenario: Scenario, *, authority: bool = True) -> Iterator[Stepped]:
    """A lab in this thread."""
    clock = SystemClock()
    place = scenario.authority
    server = (
        Authority(zone_of(scenario), addresses=(place.address,), port=place.port, clock=clock, policy=POLICY)
        if authority
        else None
    )
    try:
        with World(scenario, clock=clock) as world:
            lab = Stepped(scenario, world, server)
            try:
                yield lab
            finally:
                lab.client.close()
    finally:
        if server is not None:
            server.close()


@contextmanager
def served(scenario: Scenario, folder: Path) -> Iterator[list[Served]]:
    """A lab and its authority in a thread beside the test; what they did is in the list afterwards."""
    stop, ready = Event(), Event()
    done: list[Served] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            done.append(serve(scenario, folder, SystemClock(), stop, on_ready=lambda *_: ready.set()))
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failure.append(error)
            ready.set()

    thread = Thread(target=work)
    thread.start()
    try:
        assert ready.wait(120)
        if not failure:
            yield done
    finally:
        stop.set()
        thread.join()
    if failure:
        pytest.fail(f"the lab ended with {failure[0]!r}")
