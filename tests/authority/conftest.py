"""An authority on loopback, UDP and TCP, IPv4 and IPv6, in a thread; and the names and messages to ask it with."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import dns.message
import dns.query
import pytest

from dnsonde.authority.answer import Policy
from dnsonde.authority.server import Authority
from dnsonde.authority.sighting import Sightings
from dnsonde.authority.zone import Zone
from dnsonde.clock import SystemClock
from dnsonde.table.schema import TABLES
from dnsonde.table.store import Writer, open_folder
from dnsonde.wire.batch import address_array
from dnsonde.wire.encode import probe_text
from dnsonde.wire.name import ProbeNames

ZONE = Zone(
    "probe.example.net",
    ("127.0.0.1", "::1"),
    ("192.0.2.80", "2001:db8::80"),
    contact="noc@example.net",
    description="Open-resolver survey",
    url="https://probing.example.net/about",
    nsid="probe-1",
)
RUN = "abcdefgh"
KEY = bytes(range(16))
PATIENCE_S = 20.0  # a failing test's wait; one that passes waits for nothing


def probe_name(kind: int = 0, step: int = 0, *, target: str = "192.0.2.1", attempt: int = 1) -> str:
    """The name of one probe below ZONE."""
    names, _ = probe_text(ProbeNames(ZONE.name), address_array([target]), attempt, kind, step, KEY, RUN)
    return str(names[0].as_py())


@dataclass
class Client:
    """Asks one authority with dnspython, which checks id, question and sender."""

    port: int
    authority: Authority
    folder: Path
    stop: Callable[[], None] = field(repr=False)

    def ask(
        self, name: str, qtype: str = "A", *, at: str = "127.0.0.1", tcp: bool = False, **more: Any
    ) -> Any:
        return self.send(dns.message.make_query(name, qtype, **more), at=at, tcp=tcp)

    def send(self, query: dns.message.Message, *, at: str = "127.0.0.1", tcp: bool = False) -> Any:
        exchange = dns.query.tcp if tcp else dns.query.udp
        return exchange(query, at, port=self.port, timeout=PATIENCE_S)

    def raw(self, datagram: bytes) -> bytes | None:
        """What comes back for some octets: None when a later query is answered first, as this one was dropped."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE_S)
            sock.connect(("127.0.0.1", self.port))
            sock.send(datagram)
            marker = dns.message.make_query(ZONE.name, "SOA", id=0x4D4D).to_wire()
            sock.send(marker)
            got = sock.recv(65535)
            return None if got[:2] == b"\x4d\x4d" else got

    def sightings(self) -> list[dict[str, Any]]:
        """Every row, in order of arrival; ends the authority."""
        self.stop()
        table = open_folder(self.folder)["sighting"].to_arrow_table()
        return sorted(table.to_pylist(), key=lambda row: row["time_us"])


@contextmanager
def served(folder: Path, policy: Policy | None = None, zone: Zone = ZONE, port: int = 0) -> Iterator[Client]:
    """An authority that serves while inside."""
    clock, stop = SystemClock(), Event()
    sightings = Sightings(Writer(TABLES["sighting"], folder), clock)
    authority = Authority(
        zone, addresses=("127.0.0.1", "::1"), port=port, sightings=sightings, clock=clock, policy=policy
    )
    thread = Thread(target=authority.run, args=(stop,))
    thread.start()

    def end() -> None:
        stop.set()
        thread.join()
        authority.close()

    try:
        yield Client(authority.port, authority, folder, end)
    finally:
        end()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """For tests that leave nothing behind: no limit, no sightings read."""
    with served(tmp_path_factory.mktemp("shared"), Policy(per_second=None)) as client:
        yield client
