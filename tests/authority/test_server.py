"""The loop: sockets, hostile clients, limits, rows for everything, and coming back after the end."""

import errno
import json
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import numpy as np
import pytest

from dnsonde.authority import answer, server
from dnsonde.authority.answer import Policy
from dnsonde.authority.server import Authority, ServeProgress, serve
from dnsonde.authority.sighting import Sightings
from dnsonde.clock import SystemClock, VirtualClock
from dnsonde.errors import PortTaken, SystemRefusal
from dnsonde.net import _libc
from dnsonde.net.tcp import TcpServer
from dnsonde.table.schema import TABLES
from dnsonde.table.store import Writer, open_folder
from dnsonde.wire.batch import address_pair
from dnsonde.wire.name import Kind, ProbeNames
from tests.authority.conftest import KEY, PATIENCE_S, RUN, ZONE, Client, probe_name, served

QUERY = dns.message.make_query(probe_name(), "A", id=0x1234).to_wire()


def connect(client: Client, at: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((at, client.port), timeout=PATIENCE_S)


def read(stream: socket.socket) -> bytes:
    """One message off a TCP stream."""
    with stream.makefile("rb") as file:
        length = int.from_bytes(file.read(2), "big")
        return file.read(length)


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


# What is told of each query.


def test_every_query_is_a_row(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        client.ask(probe_name(target="192.0.2.77", attempt=3))
        client.ask(probe_name(Kind.NXDOMAIN, target="2001:db8::5"), "AAAA", at="::1")
        client.ask(probe_name(Kind.SIZE, 4096), "TXT")
        client.ask(probe_name(Kind.CHAIN, 7), tcp=True)
        client.ask(f"WwW.{ZONE.name}", "MX")
        client.ask(
            "other.example",
            use_edns=0,
            payload=1400,
            want_dnssec=True,
            options=[dns.edns.ECSOption("198.51.100.0", 24)],
        )
        assert client.raw(QUERY[:7]) is None
        assert client.raw(QUERY[:2] + b"\x80" + QUERY[3:]) is None
        assert client.raw(QUERY[:-2]) is not None
        rows = [row for row in client.sightings() if row["id"] != 0x4D4D]
        progress = client.authority.progress
    first, absent, size, chain, unknown, foreign, garbage, loop, damaged = rows
    assert {k: first[k] for k in ("run", "kind", "attempt", "step", "transport", "outcome", "rcode")} == {
        "run": RUN, "kind": "sweep", "attempt": 3, "step": None, "transport": "udp", "outcome": "answered", "rcode": 0,
    }  # fmt: skip
    assert (first["target_net"], first["target_host"]) == address_pair("192.0.2.77")
    assert (first["egress_net"], first["egress_host"]) == address_pair("127.0.0.1")
    assert first["qname"] == probe_name(target="192.0.2.77", attempt=3)
    assert (first["qtype"], first["qclass"], first["rd"], first["mixed_case"]) == (1, 1, True, False)
    assert (first["edns_size"], first["ecs_net"], first["cookie"], first["verified"]) == (
        None,
        None,
        False,
        False,
    )
    assert first["ip_ttl"] == 64
    assert (first["query_bytes"], first["response_bytes"]) == (66, 98)
    assert (absent["kind"], absent["rcode"], absent["qtype"]) == ("nxdomain", 3, 28)
    assert (absent["target_net"], absent["target_host"]) == address_pair("2001:db8::5")
    assert (absent["egress_net"], absent["egress_host"]) == address_pair("::1")
    assert (size["kind"], size["step"], size["outcome"]) == ("size", 4096, "truncated")
    assert (chain["kind"], chain["step"], chain["transport"], chain["verified"]) == ("chain", 7, "tcp", True)
    assert chain["ip_ttl"] is None
    assert (unknown["qname"], unknown["mixed_case"], unknown["run"], unknown["tag"]) == (
        f"WwW.{ZONE.name}",
        True,
        None,
        None,
    )
    assert (foreign["rcode"], foreign["edns_size"], foreign["edns_do"], foreign["ecs_source"]) == (
        5,
        1400,
        True,
        24,
    )
    assert (foreign["ecs_net"], foreign["ecs_host"]) == address_pair("198.51.100.0")
    assert (garbage["outcome"], garbage["status"], garbage["rcode"], garbage["response_bytes"]) == (
        "dropped",
        1,
        None,
        0,
    )
    assert (loop["outcome"], loop["rcode"], loop["response_bytes"]) == ("dropped", None, 0)
    assert (damaged["outcome"], damaged["rcode"]) == ("answered", 1)
    assert damaged["status"] != 0
    assert all(abs(row["time_us"] - SystemClock().now_us()) < 60e6 for row in rows)
    assert progress.queries == len(rows) + 3
    assert progress.answered + progress.truncated + progress.dropped == progress.queries
    assert (progress.tcp, progress.malformed) == (1, 2)


def test_a_name_cut_short_says_whose_run_it_is_of(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        for name in (f"{RUN}.{ZONE.name}", f"nx.{RUN}.{ZONE.name}", ZONE.name):
            client.ask(name, "A")
        rows = client.sightings()
    assert [(row["run"], row["kind"], row["target_net"]) for row in rows] == [
        (RUN, None, None),
        (RUN, None, None),
        (None, None, None),
    ]


def test_a_tag_can_be_verified_from_its_row(tmp_path: Path) -> None:
    from dnsonde.wire.batch import address_array

    with served(tmp_path) as client:
        client.ask(probe_name(target="203.0.113.9", attempt=2).upper())
        (row,) = client.sightings()
    tags = ProbeNames(ZONE.name).tags(KEY, RUN, address_array(["203.0.113.9"]), 2, Kind.SWEEP)
    assert row["tag"] == int(tags[0])


def test_rows_can_be_read_while_it_serves(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        client.ask(probe_name())
        folder = tmp_path / "sighting"
        waiting = Event()
        for _ in range(int(PATIENCE_S / 0.05)):
            if list(folder.glob("*.parquet")):
                break
            waiting.wait(0.05)
        assert len(open_folder(tmp_path)["sighting"]) == 1


# Hostile clients.


def test_garbage_is_counted_and_does_no_harm(tmp_path: Path) -> None:
    chance = random.Random(7)
    sent = 20_000
    with served(tmp_path, Policy(per_second=None)) as client:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", client.port))
            sock.setblocking(False)
            for k in range(sent):
                if k % 3:
                    noise = chance.randbytes(chance.randrange(1, 90))
                else:
                    mutated = bytearray(QUERY)
                    mutated[chance.randrange(len(QUERY))] = chance.randrange(256)
                    noise = bytes(mutated)
                sock.send(noise)
                while k % 100 == 99 and client.authority.progress.queries < k - 400:
                    Event().wait(0.001)
        assert client.ask(probe_name()).rcode() == dns.rcode.NOERROR
        rows = client.sightings()
        progress = client.authority.progress
    assert len(rows) == progress.queries == sent + 1 - progress.kernel_dropped
    assert progress.malformed > sent / 4
    assert progress.dropped > sent / 4


def test_a_slow_tcp_client_holds_up_nobody(client: Client) -> None:
    with connect(client) as slow, connect(client) as half:
        half.sendall(framed(QUERY)[:20])
        for octet in framed(QUERY):
            slow.sendall(bytes([octet]))
            assert client.ask(probe_name(), tcp=octet % 2 == 0).rcode() == dns.rcode.NOERROR
        assert read(slow)[:2] == QUERY[:2]


def test_many_connections_are_served(client: Client) -> None:
    streams = [connect(client) for _ in range(80)]
    for stream in streams:
        stream.sendall(framed(QUERY))
    assert all(read(stream)[:2] == QUERY[:2] for stream in streams)
    for stream in streams:
        stream.close()


def test_queries_on_one_connection_may_be_piped(client: Client) -> None:
    """RFC 7766, 6.2.1.1: more than one batch of them."""
    queries = [dns.message.make_query(probe_name(), "A", id=k).to_wire() for k in range(200)]
    with connect(client) as stream:
        stream.sendall(b"".join(map(framed, queries)))
        seen = {int.from_bytes(read_exactly(stream)[:2], "big") for _ in queries}
    assert seen == set(range(200))


def read_exactly(stream: socket.socket) -> bytes:
    """One message, and no octet of the next."""
    length = int.from_bytes(stream.recv(2, socket.MSG_WAITALL), "big")
    return stream.recv(length, socket.MSG_WAITALL)


def test_tcp_garbage_gets_what_udp_garbage_gets(client: Client) -> None:
    with connect(client) as stream:
        stream.sendall(framed(b"") + framed(b"abc") + framed(QUERY[:2] + b"\x80" + QUERY[3:]) + framed(QUERY))
        assert read(stream)[:2] == QUERY[:2]


# Limits.


def test_over_the_rate_answers_stop_or_slip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BURST", 5)
    monkeypatch.setattr(server, "SLIP", 3)
    with served(tmp_path, Policy(per_second=0.001)) as client:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE_S)
            sock.connect(("127.0.0.1", client.port))
            for _ in range(20):
                sock.send(QUERY)
            got = [dns.message.from_wire(sock.recv(512)) for _ in range(10)]
        assert client.ask(probe_name(), tcp=True).rcode() == dns.rcode.NOERROR, "TCP proves the asker"
        outcomes = [row["outcome"] for row in client.sightings()]
    whole = [m for m in got if not m.flags & dns.flags.TC]
    assert (len(whole), len(got)) == (5, 10)
    assert all(m.answer for m in whole)
    assert not any(m.answer for m in got if m.flags & dns.flags.TC)
    counted = {outcome: outcomes.count(outcome) for outcome in set(outcomes)}
    assert counted == {"answered": 6, "slipped": 5, "limited": 10}


def test_a_slip_says_that_it_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Extended error 31 (IANA) to those who speak EDNS, no other option, and no more than was asked with."""
    query = dns.message.make_query(
        "www.example.com", "A", use_edns=0, options=[dns.edns.NSIDOption(b"")]
    ).to_wire()
    monkeypatch.setattr(server, "BURST", 1)
    monkeypatch.setattr(server, "SLIP", 1)
    with served(tmp_path, Policy(per_second=0.001)) as client:
        first, second = (client.raw(query) for _ in range(2))
        plain = client.raw(QUERY)
    assert first is not None
    assert second is not None
    assert plain is not None
    assert {option.otype for option in dns.message.from_wire(first).options} == {
        dns.edns.OptionType.EDE,
        dns.edns.OptionType.NSID,
    }
    slipped = dns.message.from_wire(second)
    assert slipped.options == (dns.edns.EDEOption(dns.edns.EDECode.RATE_LIMITED),)
    assert slipped.flags & dns.flags.TC
    assert dns.message.from_wire(plain).edns == -1


def test_a_cookie_lifts_the_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BURST", 1)
    with served(tmp_path, Policy(per_second=0.001)) as client:
        option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"my own 8")
        first = client.ask(probe_name(), use_edns=0, options=[option])
        whole = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, first.options[0].to_wire())
        for _ in range(5):
            assert client.ask(probe_name(), use_edns=0, options=[whole]).answer
        outcomes = [row["outcome"] for row in client.sightings()]
    assert outcomes == ["answered"] * 6


def test_ports_of_reflecting_services_get_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        closed = np.arange(1 << 16) == port
        closed.flags.writeable = False
        monkeypatch.setattr(answer, "CLOSED", closed)
        with served(tmp_path) as client:
            sock.sendto(QUERY, ("127.0.0.1", client.port))
            assert client.ask(probe_name()).answer
            rows = client.sightings()
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(512)
    assert [(r["egress_port"] == port, r["outcome"]) for r in rows] == [
        (True, "dropped"),
        (False, "answered"),
    ]


# Beginning and end.


def test_a_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    with served(tmp_path) as client, pytest.raises(SystemRefusal, match=str(client.port)):
        Authority(ZONE, port=client.port, clock=SystemClock())


def test_a_port_of_the_systems_choice_is_one_that_is_free_for_tcp_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def held(address: str, port: int, **kept: Any) -> TcpServer:
        asked.append(port)
        if len(asked) < 3:
            raise SystemRefusal("in use")
        return TcpServer(address, port, **kept)

    monkeypatch.setattr(server, "TcpServer", held)
    with Authority(ZONE, port=0, clock=SystemClock()) as authority:
        assert authority.port == asked[-1]


def test_nothing_is_left_open_when_the_second_address_cannot_be_had() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SystemRefusal):
        Authority(ZONE, addresses=("127.0.0.1", "192.0.2.1"), port=port, clock=SystemClock())
    with Authority(ZONE, addresses=("127.0.0.1",), port=port, clock=SystemClock()) as authority:
        assert authority.port == port


def test_it_comes_back_on_the_same_port_with_the_rows_of_before(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        client.ask(probe_name(), tcp=True)
        port = client.port
        client.stop()
    with served(tmp_path, port=port) as client:
        client.ask(probe_name(), tcp=True)
        assert len(client.sightings()) == 2


SERVE = textwrap.dedent("""
    import json, sys
    from pathlib import Path
    from threading import Event
    from types import SimpleNamespace as N
    from dnsonde.authority.server import serve
    from dnsonde.clock import SystemClock
    from dnsonde.stopping import calling

    identity = N(contact="noc@example.net", description="", url="")
    here = ("127.0.0.1",)
    zone = N(name="probe.example.net", authority=here, authority_port=int(sys.argv[2]), control=here, nsid="")
    stop = Event()
    with calling(stop.set, once=True):
        done = serve(
            N(identity=identity, zone=zone), Path(sys.argv[1]), SystemClock(), stop,
            on_ready=lambda authority: print(authority.port, flush=True),
        )
    print(json.dumps(done.as_dict()))
""")


def start(folder: Path, port: int = 0) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(folder), str(port)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    return process, int(process.stdout.readline())


def ask(port: int) -> dns.message.Message:
    return dns.query.udp(
        dns.message.make_query(probe_name(), "A"), "127.0.0.1", port=port, timeout=PATIENCE_S
    )


def test_while_it_serves_another_thread_may_wait_for_the_disk(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        for _ in range(3):
            client.send(dns.message.make_query(probe_name(), "A"))
            before = len(open_folder(tmp_path)["sighting"])
            assert client.authority.keep()
            assert len(open_folder(tmp_path)["sighting"]) == before + 1
    with Authority(ZONE, port=0, clock=SystemClock()) as authority:
        assert authority.keep(), "without sightings there is nothing to wait for"


def test_an_authority_that_gets_no_port_leaves_nothing_behind(tmp_path: Path) -> None:
    clock, before = SystemClock(), set(threading.enumerate())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        sightings = Sightings(Writer(TABLES["sighting"], tmp_path), clock)
        with pytest.raises(PortTaken):
            Authority(ZONE, port=taken.getsockname()[1], sightings=sightings, clock=clock)
    assert not set(threading.enumerate()) - before


def test_killed_it_comes_back_and_what_was_written_stays(tmp_path: Path) -> None:
    process, port = start(tmp_path)
    ask(port)
    while not list((tmp_path / "sighting").glob("*.parquet")):
        os.sched_yield()
    process.kill()
    process.communicate()
    process, port = start(tmp_path, port)
    assert ask(port).answer
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate()
    assert process.returncode == 0
    assert json.loads(told)["queries"] == 1
    assert len(open_folder(tmp_path)["sighting"]) == 2


@dataclass(frozen=True)
class Identity:
    contact: str = "noc@example.net"
    description: str = "Survey"
    url: str = ""


@dataclass(frozen=True)
class Delegation:
    name: str = ZONE.name
    authority: tuple[str, ...] = ("127.0.0.1",)
    authority_port: int = 0
    control: tuple[str, ...] = ("192.0.2.80",)
    nsid: str = "probe-1"


@dataclass(frozen=True)
class Plan:
    identity: Identity = Identity()
    zone: Delegation = Delegation()


def test_serve_tells_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PROGRESS_US", 1)
    stop, ready, told = Event(), Event(), list[dict[str, int]]()
    opened: list[Authority] = []

    def on_ready(authority: Authority) -> None:
        opened.append(authority)
        ready.set()

    def on_progress(progress: ServeProgress) -> None:
        told.append(progress.as_dict())

    more: dict[str, Any] = {"on_ready": on_ready, "on_progress": on_progress, "listen": ("127.0.0.2",)}
    thread = Thread(target=serve, args=(Plan(), tmp_path, SystemClock(), stop), kwargs=more)
    thread.start()
    assert ready.wait(PATIENCE_S)
    query = dns.message.make_query(f"ns1.{ZONE.name}", "A")
    response = dns.query.udp(query, "127.0.0.2", port=opened[0].port, timeout=PATIENCE_S)
    assert response.answer[0][0].address == "127.0.0.1", (
        "glue is what the plan tells the world, not what is bound"
    )
    stop.set()
    thread.join()
    assert told[-1]["queries"] == 1
    assert len(told) >= 2


def test_wall_time_that_jumps_back_stops_nothing() -> None:
    clock = VirtualClock()
    with (
        Authority(ZONE, clock=clock, port=0) as authority,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        sock.settimeout(PATIENCE_S)
        sock.connect(("127.0.0.1", authority.port))
        for _ in range(3):
            clock.jump_us(-(10**12))
            sock.send(QUERY)
            while not authority.step(10_000):
                pass
            assert sock.recv(512)[:2] == QUERY[:2]


@pytest.mark.parametrize("refusal", [errno.EPERM, errno.EAGAIN], ids=["forbidden", "full"])
def test_answers_that_the_system_keeps_back_are_counted_and_no_others(
    refusal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SEND_PATIENCE_US", 0)
    with (
        Authority(ZONE, clock=SystemClock(), port=0) as authority,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        sock.settimeout(PATIENCE_S)
        sock.connect(("127.0.0.1", authority.port))

        def ask(*queries: bytes) -> None:
            for query in queries:
                sock.send(query)
            until = authority.progress.queries + len(queries)
            while authority.progress.queries < until:
                authority.step(10_000)

        with monkeypatch.context() as patched:
            patched.setattr(_libc, "sendmmsg", lambda *_: -refusal)
            ask(b"abc", QUERY, b"abc", QUERY)
        assert (authority.progress.unsent, authority.progress.dropped) == (2, 2)
        ask(QUERY, b"abc")
        assert sock.recv(512)[:2] == QUERY[:2]
        assert authority.progress.unsent == 2


def test_the_table_has_every_column_the_schema_names(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        client.ask(probe_name())
        (row,) = client.sightings()
    assert set(row) == {column.name for column in TABLES["sighting"].columns}
