"""DNS over TCP on loopback: whole messages come out, and no client takes more than its share."""

import contextlib
import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator

import dns.message
import dns.query
import pytest

from dnsonde.clock import SystemClock, VirtualClock
from dnsonde.errors import SystemRefusal
from dnsonde.net.tcp import Connection, TcpServer
from dnsonde.wire.batch import address_text

SECOND_US = 1_000_000


def framed(*messages: bytes) -> bytes:
    return b"".join(struct.pack("!H", len(message)) + message for message in messages)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def server(clock: VirtualClock) -> Iterator[TcpServer]:
    with TcpServer(
        "127.0.0.1", 0, clock=clock, limit=5, limit_per_client=3, message=512, backlog=10_000
    ) as server:
        yield server


@contextlib.contextmanager
def client(server: TcpServer, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    """A connected client that the server has accepted, or refused."""
    with socket.create_connection((server.address, server.port), 10, (source, 0)) as sock:
        server.poll(10 * SECOND_US)
        yield sock


def messages(server: TcpServer, count: int) -> list[tuple[Connection, bytes]]:
    got: list[tuple[Connection, bytes]] = []
    while len(got) < count:
        before = len(got)
        got += server.poll(10 * SECOND_US)
        assert len(got) > before or len(server)
    assert not server.poll()
    return got


def closed(sock: socket.socket) -> bool:
    """True once the server has closed; what it sent before is thrown away."""
    try:
        while sock.recv(65_536):
            pass
    except ConnectionResetError:
        pass
    return True


def test_messages_come_out_whole_however_they_are_cut(server: TcpServer) -> None:
    with client(server) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got: list[bytes] = []
        for octet in framed(b"first", b"", b"third" * 20):
            sock.sendall(bytes([octet]))
            got += [message for _, message in server.poll(10 * SECOND_US)]
        assert got == [b"first", b"", b"third" * 20]


def test_pipelined_messages_come_at_once_and_are_answered_in_any_order(server: TcpServer) -> None:
    with client(server) as sock:
        sock.sendall(framed(b"a", b"b", b"c") + b"\0")
        got = messages(server, 3)
        assert [message for _, message in got] == [b"a", b"b", b"c"]
        for connection, message in reversed(got):
            server.reply(connection, message.upper() * 2 if message != b"b" else b"")
        assert sock.recv(100) == framed(b"CC", b"AA")


def test_a_connection_knows_both_its_ends(server: TcpServer) -> None:
    with client(server, "127.9.8.7") as sock:
        sock.sendall(framed(b"x"))
        [(connection, _)] = messages(server, 1)
        assert address_text(connection.net, connection.host) == "127.9.8.7"
        assert connection.port == sock.getsockname()[1]
        assert address_text(connection.local_net, connection.local_host) == "127.0.0.1"


def test_a_client_that_has_said_all_still_gets_its_answers(server: TcpServer) -> None:
    with client(server) as sock:
        sock.sendall(framed(b"x", b"y"))
        sock.shutdown(socket.SHUT_WR)
        got = messages(server, 2)
        server.poll()
        assert len(server) == 1
        for connection, _ in got:
            server.reply(connection, b"answer")
        assert len(server) == 0
        assert sock.recv(100) == framed(b"answer", b"answer")
        assert sock.recv(100) == b""


def test_a_message_over_the_limit_closes_its_connection(server: TcpServer) -> None:
    with client(server) as sock:
        sock.sendall(framed(b"x" * 512, b"y" * 513))
        got = messages(server, 1)
        assert [len(message) for _, message in got] == [512]
        assert len(server) == 0
        assert server.refused == 1
        server.reply(got[0][0], b"too late")
        assert closed(sock)


def test_who_completes_no_message_is_closed_though_octets_dribble_in(
    server: TcpServer, clock: VirtualClock
) -> None:
    with client(server) as slow, client(server) as good:
        for _ in range(4):
            clock.sleep_us(3 * SECOND_US)
            slow.sendall(b"\1")
            good.sendall(framed(b"x"))
            messages(server, 1)
        assert closed(slow)
        assert len(server) == 1
        assert server.refused == 1
        clock.sleep_us(10 * SECOND_US)
        server.poll()
        assert closed(good)


def test_one_address_gets_its_share_of_connections_only(server: TcpServer) -> None:
    with (
        client(server),
        client(server),
        client(server),
        client(server) as fourth,
        client(server, "127.0.0.2"),
    ):
        assert closed(fourth)
        assert len(server) == 4
        assert server.refused == 1
    server.poll()
    server.poll()
    assert len(server) == 0
    with client(server):  # the share is free again
        assert len(server) == 1


def test_at_the_limit_the_quietest_makes_room(server: TcpServer, clock: VirtualClock) -> None:
    with contextlib.ExitStack() as stack:
        first, *others = [stack.enter_context(client(server, f"127.0.0.{i}")) for i in range(1, 6)]
        clock.sleep_us(1)
        first.sendall(framed(b"still here"))
        messages(server, 1)
        stack.enter_context(client(server, "127.0.0.9"))
        assert len(server) == 5
        assert closed(others[0])
        first.sendall(framed(b"and here"))
        assert messages(server, 1)[0][1] == b"and here"


def test_who_fetches_no_answers_is_read_no_further(server: TcpServer) -> None:
    with client(server) as sock:
        sock.setblocking(False)
        answered = 0
        with contextlib.suppress(BlockingIOError):
            for _ in range(5_000):
                sock.sendall(framed(b"x" * 500))
                for connection, _ in server.poll():
                    server.reply(connection, bytes(65_535))
                    answered += 1
        assert answered < 5_000
        held = max(len(connection.unsent) for connection in server._connections)
        # One read brings at most 4 KiB of questions, and their answers may be owed at once: a thousand such clients,
        # each asking for the 9,999 octets that the zone gives, hold half a gigabyte and not seven.
        assert held <= 10_000 + (4_096 // 502 + 1) * 65_537
        assert not server.poll()
        fetched = 0
        sock.settimeout(10)
        while fetched < answered * 65_537:
            fetched += len(sock.recv(1 << 20))
            for connection, _ in server.poll():
                server.reply(connection, b"")


def test_a_reset_client_is_forgotten(server: TcpServer) -> None:
    with client(server) as sock:
        sock.sendall(framed(b"x"))
        [(connection, _)] = messages(server, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.poll(10 * SECOND_US)
    assert len(server) == 0
    server.reply(connection, b"answer")


def test_without_a_free_file_the_quietest_makes_room(
    server: TcpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client(server) as first:
        accept, refusals = socket.socket.accept, [errno.EMFILE]

        def scarce(listener: socket.socket) -> tuple[socket.socket, object]:
            if refusals:
                number = refusals.pop()
                raise OSError(number, os.strerror(number))
            return accept(listener)

        monkeypatch.setattr(socket.socket, "accept", scarce)
        with client(server, "127.0.0.2") as second:
            assert closed(first)
            second.sendall(framed(b"x"))
            assert messages(server, 1)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_dnspython_is_served(address: str) -> None:
    query = dns.message.make_query("example.net.", "A")
    with TcpServer(address, 0, clock=SystemClock()) as server:

        def serve() -> None:
            for connection, wire in messages(server, 1):
                server.reply(connection, dns.message.make_response(dns.message.from_wire(wire)).to_wire())

        thread = threading.Thread(target=serve)
        thread.start()
        answer = dns.query.tcp(query, address, timeout=10, port=server.port)
        thread.join()
        assert answer.id == query.id


def test_a_port_in_use_is_refused_with_the_command_that_names_its_holder(
    server: TcpServer, clock: VirtualClock
) -> None:
    with pytest.raises(SystemRefusal, match=r"TCP 127\.0\.0\.1:\d+ is already in use.*ss -ltnp"):
        TcpServer("127.0.0.1", server.port, clock=clock)


def test_a_device_that_is_not_there_is_refused(clock: VirtualClock) -> None:
    with pytest.raises(SystemRefusal, match="no device named 'nosuch0'"):
        TcpServer("127.0.0.1", 0, clock=clock, device="nosuch0")
