"""UDP in batches: one system call and one kernel a batch, no Python a packet.

A `Udp` owns its buffers: fill `tx_data` and `tx`, call `send`; call `receive`, read `rx` and `rx_data`.
Rows are `wire.datagram.DATAGRAM`. Sockets never wait, except in `wait`.
"""

import errno
import socket
import struct
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dnsonde.net import _libc
from dnsonde.net.refusal import refusal
from dnsonde.wire import datagram
from dnsonde.wire.batch import Batch
from dnsonde.wire.datagram import DATAGRAM, ICMP_ERROR

__all__ = ["DATAGRAM", "ICMP_ERROR", "Udp", "warm"]

# Linux names that the socket module lacks (ip(7), ipv6(7), socket(7), linux/in.h).
_IP_PKTINFO = 8
_IP_MTU_DISCOVER = 10
_IP_RECVERR = 11
_IP_RECVTTL = 12
_IP_PMTUDISC_OMIT = 5
_IPV6_MTU_DISCOVER = 23
_IPV6_RECVERR = 25
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_SO_TIMESTAMPNS = 35
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("9I")
_MEMINFO_DROPS = 8

# An ICMP error about an earlier datagram fails the next call, whatever that one was about (ip(7),
# IP_RECVERR): asked again, it says whether this row is refused too. While such errors keep coming it takes several
# questions; and a socket without a peer of its own is never refused itself.
_RETRIES = 32
_SEGMENTS = 64  # the most that the system cuts one datagram into (udp(7), UDP_SEGMENT)
_NO_ERRORS = (np.zeros(0, ICMP_ERROR), Batch.of([]))
_FULL = {errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM}


class Udp:
    """One UDP socket with room for `batch` datagrams of up to `size` octets in each direction.

    send_size: octets of a row to send, where that is not `size`: rows that lie close are quicker to send.
    address, port: what to bind; an IPv6 address serves IPv6 only; port 0 lets the kernel choose.
    receive_buffer, send_buffer: octets asked of the kernel; beyond its limit only root gets them.
    device: bind to this interface, so that a wildcard address is not open to the world.
    errors: let ICMP errors come back as rows of `errors()`.
    choose_source: tell on arrival which of our addresses was asked (`local_net`, `local_host`), and send
    from the address named there.
    gather: rows of a `send` that go to one peer and are equally long go through the system's stack together, which
    is worth it where few peers ask much; the rows of a `send` then leave ordered by peer.
    note: tell `ttl` and `time_us` of what arrives; whoever needs neither saves the system that work.

    Raises SystemRefusal when the socket cannot be had.
    """

    tx_data: NDArray[np.uint8]  # (batch, send_size)
    tx: NDArray[np.void]  # DATAGRAM (batch,)
    tx_errno: NDArray[np.int32]  # (batch,): 0, or why the kernel refused the row
    rx_data: NDArray[np.uint8]  # (batch, size)
    rx: NDArray[np.void]  # DATAGRAM (batch,)

    def __init__(
        self,
        address: str = "0.0.0.0",
        port: int = 0,
        *,
        batch: int = 512,
        size: int = 1500,
        send_size: int | None = None,
        receive_buffer: int = 4 << 20,
        send_buffer: int = 4 << 20,
        device: str | None = None,
        errors: bool = False,
        choose_source: bool = True,
        gather: bool = False,
        note: bool = True,
    ) -> None:
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            self._socket = socket.socket(self.family, socket.SOCK_DGRAM)
        except OSError as error:
            raise refusal(error, "udp", address, port) from error
        try:
            self._open(address, port, device, errors, choose_source, note, receive_buffer, send_buffer)
        except OSError as error:
            self._socket.close()
            raise refusal(error, "udp", address, port, device) from error
        self.batch, self.size = batch, size
        self.address, self.port = self._socket.getsockname()[:2]
        self.tx_data = np.zeros((batch, send_size or size), np.uint8)
        self.tx = np.zeros(batch, DATAGRAM)
        self.tx_errno = np.zeros(batch, np.int32)
        self.rx_data = np.zeros((batch, size), np.uint8)
        self.rx = np.zeros(batch, DATAGRAM)
        self._count = 0
        self._segments = _SEGMENTS if gather else 1
        self._order: NDArray[np.int32] | None = None
        self._tx = datagram.Frame.around(self.tx_data)
        self._rx = datagram.Frame.around(self.rx_data)
        self._fd = self._socket.fileno()
        self._tx_header = _libc.address_of(self._tx.header)
        self._rx_header = _libc.address_of(self._rx.header)
        self._error_frame: datagram.Frame | None = None
        if errors:
            self._error_data = np.zeros((batch, size), np.uint8)
            self._error = np.zeros(batch, ICMP_ERROR)
            self._error_frame = datagram.Frame.around(self._error_data)
            self._error_header = _libc.address_of(self._error_frame.header)

    def _open(
        self,
        address: str,
        port: int,
        device: str | None,
        errors: bool,
        choose_source: bool,
        note: bool,
        receive_buffer: int,
        send_buffer: int,
    ) -> None:
        sock = self._socket
        sock.setblocking(False)
        self._buffer(_SO_RCVBUFFORCE, socket.SO_RCVBUF, receive_buffer)
        self._buffer(_SO_SNDBUFFORCE, socket.SO_SNDBUF, send_buffer)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, int(note))
        if device is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
        # Path MTUs are learnt from ICMP that anyone can forge: fragment by the interface's MTU and set no DF
        # (RFC 9715, appendix on Linux; what BIND, NSD and Unbound do).
        if self.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_OMIT)
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, int(note))
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, int(choose_source))
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, int(errors))
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _IP_PMTUDISC_OMIT)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, int(note))
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, int(choose_source))
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, int(errors))
        sock.bind((address, port))

    def _buffer(self, forced: int, asked: int, octets: int) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, forced, octets)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, asked, octets)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()
        self._fd = -1

    def fileno(self) -> int:
        """The socket's number, for selectors."""
        return self._fd

    @property
    def dropped(self) -> int:
        """Datagrams that the kernel threw away since the socket was opened, for want of room.

        The counter that SO_RXQ_OVFL attaches to the next datagram, asked for directly: drops at the very end
        of a run have no next datagram.
        """
        memory = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        return int(_MEMINFO.unpack(memory)[_MEMINFO_DROPS])

    @property
    def received(self) -> Batch:
        """The datagrams of the last `receive`, in place: valid until the next."""
        return Batch.rows(self.rx_data[: self._count], self.rx["length"][: self._count])

    def send(self, count: int, start: int = 0) -> int:
        """Send rows from `start` up to `count`; tell how many are done with: `start` plus that is the next.

        A row of length 0 is left out. A row that the kernel refuses (no route, forbidden, too long, wrong
        family) has its `tx_errno` set and is passed over. Fewer than asked were done when the kernel has no
        room now: wait (`wait(..., writable=True)`) and come again with `start`; a new batch begins with 0.
        """
        if start == 0:
            self._order = _by_peer(self.tx[:count]) if self._segments > 1 else None
        filled = datagram.pack(
            self._tx, self.tx, self.tx_errno, start, count, self.family,
            order=self._order, segments=self._segments,
        )  # fmt: skip
        at = tries = 0
        while at < filled:
            done = _libc.sendmmsg(self._fd, self._tx_header + at * datagram.HEADER.itemsize, filled - at)
            if done > 0:
                at += done
                tries = 0
            elif -done in _FULL:
                return self._place(at) - start
            elif tries < _RETRIES or (-done == errno.ECONNREFUSED and tries < 32 * _RETRIES):
                tries += 1
            elif self._tx.header[at]["iov_count"] > 1:
                # Which of them it will not have is not known, or it cuts no datagrams up at all.
                self._segments = 1
                return self._place(at) - start + self.send(count, self._place(at))
            else:
                self.tx_errno[self._tx.row[at]] = -done
                at += 1
                tries = 0
        return count - start

    def done_rows(self, done: int) -> NDArray[np.integer]:
        """Which rows of the last batch were sent, when `send` was done with so many of them."""
        rows = np.arange(done) if self._order is None else self._order[:done]
        sent: NDArray[np.integer] = rows[(self.tx_errno[rows] == 0) & (self.tx["length"][rows] > 0)]
        return sent

    def _place(self, header: int) -> int:
        """Where in the order of sending a header's first row stands."""
        row = int(self._tx.row[header])
        return row if self._order is None else int(np.flatnonzero(self._order == row)[0])

    def receive(self) -> int:
        """Take the datagrams that wait, at most `batch`; how many rows of `rx` are filled. Does not wait."""
        done = 0
        for _ in range(1 + _RETRIES):
            done = _libc.recvmmsg(self._fd, self._rx_header, self.batch, _libc.MSG_TRUNC)
            if done >= 0 or -done == errno.EAGAIN:
                break
        self._count = max(done, 0)
        if self._count:
            datagram.unpack(self._rx, self.rx, self._count)
        return self._count

    def errors(self) -> tuple[NDArray[np.void], Batch]:
        """ICMP errors that wait, at most `batch`: `ICMP_ERROR` rows, and our payloads that they quote.

        Empty when there are no more, or when the socket was opened without `errors`. Valid until the
        next call.
        """
        done = 0
        if self._error_frame is not None:
            done = _libc.recvmmsg(
                self._fd, self._error_header, self.batch, _libc.MSG_ERRQUEUE | _libc.MSG_TRUNC
            )
        if done <= 0 or self._error_frame is None:
            return _NO_ERRORS
        datagram.unpack_errors(self._error_frame, self._error, done)
        rows = self._error[:done]
        return rows, Batch.rows(self._error_data[:done], rows["length"])

    def wait(self, timeout_us: int, *, writable: bool = False) -> bool:
        """Wait until something can be received (or sent), at most `timeout_us`; whether it can.

        ICMP errors count as something: take them with `errors`, or the next wait ends at once.
        """
        events = _libc.POLLIN | (_libc.POLLOUT if writable else 0)
        return _libc.poll(self._fd, events, timeout_us) != 0


def _by_peer(rows: NDArray[np.void]) -> NDArray[np.int32]:
    """The order that brings rows for one peer together, each peer's as they were.

    By one number a row, which two peers may share: who goes together is decided by `pack`.
    """
    peer = (rows["net"] * 5 + rows["host"]) * 0x1_0000 + rows["port"] + rows["local_host"] * 0x3779_B97F
    return np.argsort(peer, kind="stable").astype(np.int32)


def warm() -> None:
    """Compile the kernels that sockets use."""
    datagram.warm()
