"""The receiving end of a Frame Streams connection (fstrm), over a Unix or a TCP socket: one sender at a time.

A name server connects and offers its content (READY), is told that it is welcome (ACCEPT), sends START, data and STOP,
and waits for FINISH. A sender that begins with START asks for no answers and gets none.
"""

import errno
import socket
import struct
from contextlib import suppress
from pathlib import Path

from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.net.refusal import refusal
from dnsonde.stopping import wait

CONTENT = b"protobuf:dnstap.Dnstap"
ACCEPT, START, STOP, READY, FINISH = 1, 2, 3, 4, 5
CONTENT_TYPE = 1
MOST_CONTROL = 512  # octets of a control frame
LOOPBACK = "127.0.0.1"
PIECE = 1 << 20  # octets given out at the most, so that a busy sender is heard of too
PAUSE_S = 0.1  # silence after which what has come is given out
PIECES = 50  # after which it is, too: a sender may never pause as long
HANDSHAKE_S = 5.0  # as fstrm's own programs wait


def listens(path: str) -> bool:
    """Whether this names a socket to listen on: `unix:/path`, `tcp:port` (on loopback) or `tcp:host:port`."""
    return path.startswith(("unix:", "tcp:"))


class Receiver:
    """Listens at once, accepts the first sender at the first `read`, and ends with it, or when interrupted.

    Raises SystemRefusal where the socket cannot be opened, UsageError where its name is none. `damage` is "" or what
    went wrong with the sender; `interrupted`: somebody wants no more.
    """

    def __init__(self, name: str) -> None:
        self.damage = ""
        self.interrupted = False
        self._sender: socket.socket | None = None
        self._asked = False  # the sender wants answers
        self._early = b""  # came with the handshake
        self._done = False
        self._place: Path | None = None
        self._listener = self._open_unix(name) if name.startswith("unix:") else self._open_tcp(name)

    @property
    def address(self) -> tuple[str, int]:
        """Where a TCP socket listens."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    def _open_unix(self, name: str) -> socket.socket:
        place = Path(name.removeprefix("unix:"))
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if place.is_socket() and _abandoned(place):
                place.unlink()
            listener.bind(str(place))
            listener.listen(1)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                raise SystemRefusal(
                    f"{place} is in use; stop what listens there, or choose another path"
                ) from error
            raise SystemRefusal(f"{place} cannot be listened on: {error.strerror or error}") from error
        self._place = place
        return listener

    def _open_tcp(self, name: str) -> socket.socket:
        host, _, port = name.removeprefix("tcp:").rpartition(":")
        host = host.removeprefix("[").removesuffix("]") or LOOPBACK
        if not port.isdecimal() or int(port) > 65535:
            raise UsageError(f"{name} is no address to listen on; write tcp:port or tcp:host:port")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server((host, int(port)), family=family, backlog=1)
        except OSError as error:
            raise refusal(error, "tcp", host, int(port)) from error

    def read(self, size: int, patience_s: float | None = None) -> bytes | None:
        """Some octets of the stream, without the handshake; waits for the first; b"" at the end.

        patience_s: how long it waits for them at the most; None is given out where nothing has come by then.
        """
        if self._done:
            return b""
        try:
            if self._sender is None:
                with wait():
                    self._welcome()
            return self._receive(min(size, PIECE), patience_s)
        except KeyboardInterrupt:  # whoever stops a listener wants what it has heard
            self.interrupted = self._done = True
            return self._early[:size]
        except (OSError, ValueError) as error:
            self.damage = f"the sender was lost: {error}"
            self._done = True
            return b""

    def finish(self) -> None:
        """Tell the sender that all it sent was read."""
        if self._sender is not None and self._asked:
            with suppress(OSError):
                self._sender.sendall(_control(FINISH))
        self._done = True

    def close(self) -> None:
        """Close the sockets; a Unix socket's file goes too."""
        if self._sender is not None:
            self._sender.close()
        self._listener.close()
        if self._place is not None:
            self._place.unlink(missing_ok=True)
            self._place = None

    def _welcome(self) -> None:
        """Accept one sender. ValueError for one that speaks otherwise."""
        self._sender, _ = self._listener.accept()
        self._sender.settimeout(HANDSHAKE_S)
        frame = self._frame()
        kind = int.from_bytes(frame[8:12], "big")
        if kind == READY:
            if CONTENT not in _content(frame[12:]):
                raise ValueError("it offers other content than dnstap")
            self._asked = True
            self._sender.sendall(_control(ACCEPT, CONTENT))
            frame = self._frame()
            kind = int.from_bytes(frame[8:12], "big")
        if kind != START:
            raise ValueError("it does not begin as Frame Streams do")
        self._early = frame

    def _frame(self) -> bytes:
        """One control frame, whole."""
        head = self._exactly(8)
        escape, size = struct.unpack(">II", head)
        if escape or not 4 <= size <= MOST_CONTROL:
            raise ValueError("it does not begin as Frame Streams do")
        return head + self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        assert self._sender is not None
        got = b""
        while len(got) < size:
            piece = self._sender.recv(size - len(got))
            if not piece:
                raise ValueError("it hung up in the handshake")
            got += piece
        return got

    def _receive(self, size: int, patience_s: float | None) -> bytes | None:
        assert self._sender is not None
        if not self._early:
            # A timeout of 0 would not wait for what is there already.
            self._sender.settimeout(None if patience_s is None else max(patience_s, PAUSE_S))
            try:
                with wait():
                    self._early = self._sender.recv(size)
            except TimeoutError:
                return None
        pieces, self._early = [self._early[:size]], self._early[size:]
        left = size - len(pieces[0])
        self._sender.settimeout(PAUSE_S)
        try:
            while pieces[-1] and left and len(pieces) < PIECES:
                pieces.append(self._sender.recv(left))
                left -= len(pieces[-1])
        except TimeoutError:
            pass
        return b"".join(pieces)


def stops(data: memoryview) -> bool:
    """Whether these octets, which begin behind a data frame, end in a STOP."""
    return bytes(data[-12:]) == _control(STOP)


def _control(kind: int, content: bytes = b"") -> bytes:
    body = struct.pack(">I", kind)
    if content:
        body += struct.pack(">II", CONTENT_TYPE, len(content)) + content
    return struct.pack(">II", 0, len(body)) + body


def _content(fields: bytes) -> list[bytes]:
    """The content types among a control frame's fields."""
    found = []
    while len(fields) >= 8:
        kind, size = struct.unpack(">II", fields[:8])
        if kind == CONTENT_TYPE:
            found.append(fields[8 : 8 + size])
        fields = fields[8 + size :]
    return found


def _abandoned(place: Path) -> bool:
    """Whether nobody listens on a Unix socket that is there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(place)) == errno.ECONNREFUSED
