"""Gives a server that listens on 127.0.0.1 alone another loopback address.

BIND listens only on addresses that an interface has, and the loopback one has 127.0.0.1 (to add more takes a privilege
that root in a container lacks). Every loopback address may be sent from, though, so the server sees who really asks.
"""

import selectors
import socket
from contextlib import suppress
from threading import Thread
from typing import Self

INSIDE = "127.0.0.1"
OCTETS = 4096

Peer = tuple[str, int]


class Relay:
    """Passes UDP between an outer (address, port) and `INSIDE` port `inner`, for as long as the block lasts."""

    def __init__(self, outer: Peer, inner: int) -> None:
        self._inner = inner
        self._outside = _bound(outer)
        self._wake, self._woken = socket.socketpair()
        self._clients: dict[Peer, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._outside, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ, "end")
        self._thread = Thread(target=self._pass_on, name="relay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.send(b".")
        self._thread.join()
        self._selector.close()
        for one in (self._outside, self._wake, self._woken, *self._clients.values()):
            one.close()

    def _pass_on(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data == "end":
                    return
                # A server that is not up yet is an error of the socket (ICMP), which means nothing here.
                with suppress(OSError):
                    if key.data is None:
                        octets, client = self._outside.recvfrom(OCTETS)
                        self._socket_of(client).send(octets)
                    else:
                        self._outside.sendto(key.fileobj.recv(OCTETS), key.data)  # type: ignore[union-attr]

    def _socket_of(self, client: Peer) -> socket.socket:
        """The socket that asks inside for a client, from its address."""
        if client not in self._clients:
            inside = self._clients[client] = _bound((client[0], 0))
            inside.connect((INSIDE, self._inner))
            self._selector.register(inside, selectors.EVENT_READ, client)
        return self._clients[client]


def _bound(address: Peer) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        found.bind(address)
    except OSError:
        found.close()
        raise
    return found
