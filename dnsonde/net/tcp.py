"""DNS over TCP, the server's side: many connections, each bounded, none trusted (RFC 7766, RFC 9210).

One loop without threads: `poll` accepts, reads and writes what can be done now, and hands over whole
messages; `reply` answers one. Answers may be given in any order (RFC 7766, 6.2.1.1).
"""

import errno
import selectors
import socket
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from dnsonde.clock import Clock
from dnsonde.net.refusal import refusal
from dnsonde.wire.batch import address_pair

_READ_OCTETS = 4_096  # at once: the answers to all questions in it may be owed before anything is fetched
_ACCEPTS_A_POLL = 64  # so that a flood of connections leaves time for those that are open


@dataclass(slots=True, eq=False)
class Connection:
    """One client: its address and port, and which of our addresses it reached."""

    net: int
    host: int
    port: int
    local_net: int
    local_host: int
    stream: socket.socket = field(repr=False)
    seen_us: int = 0  # when it last completed a message or took an answer; dribbling octets does not count
    read: bytearray = field(default_factory=bytearray, repr=False)
    unsent: bytearray = field(default_factory=bytearray, repr=False)
    waiting: int = 0  # messages handed over and not answered yet
    closing: bool = False  # the client has said all; close when it has its answers
    events: int = selectors.EVENT_READ


class TcpServer:
    """Listens on `address` and `port`, for a bounded number of clients.

    limit, limit_per_client: most connections, and most of them from one address. idle_us: a connection that
    completes no message for so long is closed. message: the longest message taken, in octets; a longer one
    closes its connection. backlog: unsent octets over which a connection is read no further, so that who does
    not fetch its answers gets no more. device: as for `Udp`.

    At the limit the connection that was quiet for longest makes room (RFC 7766, 6.2.3).
    Raises SystemRefusal when the port cannot be had.
    """

    def __init__(
        self,
        address: str,
        port: int,
        *,
        clock: Clock,
        limit: int = 1000,
        limit_per_client: int = 100,
        idle_us: int = 10_000_000,
        message: int = 4096,
        backlog: int = 1 << 17,
        device: str | None = None,
    ) -> None:
        self._clock = clock
        self._limit, self._limit_per_client = limit, limit_per_client
        self._idle_us, self._message, self._backlog = idle_us, message, backlog
        self._connections: dict[Connection, None] = {}  # in order of `seen_us`: the quietest first
        self._clients: dict[tuple[int, int], int] = {}
        self.refused = 0  # connections closed for a limit or for idling
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            self._listener = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise refusal(error, "tcp", address, port) from error
        try:
            self._listener.setblocking(False)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                self._listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if device is not None:
                self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
            self._listener.bind((address, port))
            self._listener.listen(1024)
        except OSError as error:
            self._listener.close()
            raise refusal(error, "tcp", address, port, device) from error
        self.address, self.port = self._listener.getsockname()[:2]
        self._selector = selectors.EpollSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)

    def __len__(self) -> int:
        """Connections that are open."""
        return len(self._connections)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection and give the port back."""
        for connection in list(self._connections):
            self._close(connection)
        self._selector.close()
        self._listener.close()

    def fileno(self) -> int:
        """A number that is readable when `poll` has something to do, for selectors."""
        return self._selector.fileno()

    def poll(self, timeout_us: int = 0) -> list[tuple[Connection, bytes]]:
        """Do what can be done now, waiting at most `timeout_us` for the first thing; the messages that came.

        Messages may be of any length from 0 on; what they hold is for the caller to judge.
        """
        messages: list[tuple[Connection, bytes]] = []
        ready = self._selector.select(timeout_us / 1e6 if timeout_us > 0 else 0)
        now_us = self._clock.monotonic_us()
        for key, events in ready:
            connection = key.data
            if connection is None:
                self._accept(now_us)
                continue
            if events & selectors.EVENT_WRITE and connection in self._connections:
                self._write(connection)
            if events & selectors.EVENT_READ and connection in self._connections:
                self._read(connection, now_us, messages)
        self._expire(now_us)
        return messages

    def reply(self, connection: Connection, message: bytes) -> None:
        """Answer one message; an empty `message` answers it with nothing. One that has gone is no error.

        message: at most 65,535 octets.
        """
        if connection not in self._connections:
            return
        connection.waiting -= 1
        if message:
            connection.unsent += len(message).to_bytes(2, "big") + message
        self._write(connection)

    def _accept(self, now_us: int) -> None:
        for _ in range(_ACCEPTS_A_POLL):
            try:
                accepted, peer = self._listener.accept()
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE} and self._connections:
                    self._make_room()
                    continue
                return  # nobody waits any more
            try:
                accepted.setblocking(False)
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                net, host = _pair(peer[0])
                local_net, local_host = _pair(accepted.getsockname()[0])
            except OSError:  # reset between accept and here
                accepted.close()
                continue
            if self._clients.get((net, host), 0) >= self._limit_per_client:
                self.refused += 1
                accepted.close()
                continue
            if len(self._connections) >= self._limit:
                self._make_room()
            connection = Connection(net, host, peer[1], local_net, local_host, accepted, now_us)
            self._connections[connection] = None
            self._clients[net, host] = self._clients.get((net, host), 0) + 1
            self._selector.register(accepted, selectors.EVENT_READ, connection)

    def _read(self, connection: Connection, now_us: int, messages: list[tuple[Connection, bytes]]) -> None:
        try:
            octets = connection.stream.recv(_READ_OCTETS)
        except BlockingIOError:
            return
        except OSError:
            self._close(connection)
            return
        if not octets:
            connection.closing = True
            self._settle(connection)
            return
        read = connection.read
        read += octets
        at = 0
        while len(read) - at >= 2:
            length = int.from_bytes(read[at : at + 2], "big")
            if length > self._message:
                self.refused += 1
                self._close(connection)
                return
            if len(read) - at - 2 < length:
                break
            messages.append((connection, bytes(read[at + 2 : at + 2 + length])))
            connection.waiting += 1
            at += 2 + length
        if at:
            del read[:at]
            self._saw(connection, now_us)

    def _write(self, connection: Connection) -> None:
        if connection.unsent:
            try:
                sent = connection.stream.send(connection.unsent)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._close(connection)
                return
            if sent:
                del connection.unsent[:sent]
                self._saw(connection, self._clock.monotonic_us())
        self._settle(connection)

    def _settle(self, connection: Connection) -> None:
        """Watch for what the connection needs next, or close it when it needs nothing more."""
        if connection.closing and not connection.unsent and connection.waiting <= 0:
            self._close(connection)
            return
        reading = not connection.closing and len(connection.unsent) <= self._backlog
        events = selectors.EVENT_READ * reading | selectors.EVENT_WRITE * bool(connection.unsent)
        if events == connection.events:
            return
        if not connection.events:
            self._selector.register(connection.stream, events, connection)
        elif events:
            self._selector.modify(connection.stream, events, connection)
        else:
            self._selector.unregister(connection.stream)
        connection.events = events

    def _saw(self, connection: Connection, now_us: int) -> None:
        connection.seen_us = now_us
        del self._connections[connection]
        self._connections[connection] = None

    def _make_room(self) -> None:
        self.refused += 1
        self._close(next(iter(self._connections)))

    def _expire(self, now_us: int) -> None:
        while self._connections:
            quietest = next(iter(self._connections))
            if now_us - quietest.seen_us < self._idle_us:
                return
            self._make_room()

    def _close(self, connection: Connection) -> None:
        del self._connections[connection]
        client = connection.net, connection.host
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]
        if connection.events:
            self._selector.unregister(connection.stream)
        connection.stream.close()


def _pair(text: str) -> tuple[int, int]:
    return address_pair(ip_address(text.partition("%")[0]))
