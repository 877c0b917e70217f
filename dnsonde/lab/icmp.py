"""ICMP errors that come from the asked address itself, where this process may send them (CAP_NET_RAW).

A socket of its own, and one system call an error: these hosts are few, and raw sockets are no part of `net`.
"""

import socket
import struct

import numpy as np
from numpy.typing import NDArray

_IP_PKTINFO = 8  # ip(7); the socket module lacks it
_UNREACHABLE = 3  # ICMP type (RFC 792)
_QUOTED = 64  # octets of the offending payload that come back (RFC 1812, 4.3.2.3: as much as fits 576)
_IP, _UDP = struct.Struct("!BBHHHBBH4s4s"), struct.Struct("!HHHH")


class Icmp:
    """Sends destination unreachable; `allowed` is False without CAP_NET_RAW, and then it sends nothing."""

    def __init__(self) -> None:
        self._socket: socket.socket | None
        try:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
            self._socket.setblocking(False)
            # It only sends: no room for the machine's other ICMP, which the kernel would copy here.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        except OSError:
            self._socket = None

    @property
    def allowed(self) -> bool:
        """Whether this process may send ICMP."""
        return self._socket is not None

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(
        self,
        data: NDArray[np.uint8],
        peers: NDArray[np.void],
        target: NDArray[np.uint32],
        codes: NDArray[np.integer],
        port: int,
    ) -> None:
        """For each datagram (rows, DATAGRAM as received) say from `target` that `port` there is unreachable.

        codes: of ICMP type 3. What the kernel has no room for is lost, as ICMP may be.
        """
        if self._socket is None:
            return
        for row in range(len(target)):
            source = int(target[row]).to_bytes(4, "big")
            client = (int(peers["host"][row]) & 0xFFFF_FFFF).to_bytes(4, "big")
            octets = int(peers["length"][row])
            payload = data[row, : min(octets, _QUOTED)].tobytes()
            udp = _UDP.pack(int(peers["port"][row]), port, 8 + octets, 0)
            ip = _IP.pack(0x45, 0, 28 + octets, 0, 0, 64, 17, 0, client, source)
            ip = ip[:10] + checksum(ip).to_bytes(2, "big") + ip[12:]
            head = struct.pack("!BBHI", _UNREACHABLE, int(codes[row]), 0, 0)
            message = head + ip + udp + payload
            message = message[:2] + checksum(message).to_bytes(2, "big") + message[4:]
            info = struct.pack("=i4s4s", 0, source, b"\0" * 4)
            try:
                self._socket.sendmsg(
                    [message], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, (socket.inet_ntoa(client), 0)
                )
            except OSError:
                continue


def checksum(octets: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    octets += b"\0" * (len(octets) % 2)
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
