"""Ports for tests that start servers, also side by side."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """A port that nobody has on any address of IPv4, and that the system gives to nobody who asks for any."""
    for port in random.sample(range(20_000, 32_000), 50):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            suppress(OSError),
        ):
            udp.bind(("0.0.0.0", port))
            tcp.bind(("0.0.0.0", port))
            return port
    raise AssertionError("50 ports and all of them in use")
