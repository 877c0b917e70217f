"""What the kernel's socket calls read and write, as columns.

`sendmmsg` and `recvmmsg` take arrays of C structures; here are their layouts (64-bit little-endian
Linux: `struct mmsghdr`, `struct iovec`, `sockaddr_in`, `sockaddr_in6`, `cmsghdr`) and the conversions, one
call a batch. Nothing here opens a socket.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnsonde.wire._kernels import datagram as _kernels

DATAGRAM = np.dtype(
    [
        ("net", "i8"),  # peer
        ("host", "i8"),
        ("port", "u2"),
        ("local_net", "i8"),  # received: the address it was sent to; to send: the source to use,
        ("local_host", "i8"),  # 0/0 lets the kernel choose
        ("ttl", "i2"),  # received: IP TTL or hop limit, -1 unknown
        ("time_us", "i8"),  # received: the kernel's time, microseconds since 1970, 0 unknown
        ("length", "i4"),  # octets in the row; to send: 0 leaves the row out
        ("full_length", "i4"),  # received: octets that arrived; above `length` where the row was too short
    ]
)

ICMP_ERROR = np.dtype(
    [
        ("errno", "i4"),  # what the system makes of it (ECONNREFUSED, EHOSTUNREACH, ...)
        ("origin", "u1"),  # 1 this host, 2 ICMP, 3 ICMPv6 (linux/errqueue.h)
        ("type", "u1"),
        ("code", "u1"),
        ("info", "u4"),  # next-hop MTU where the type carries one
        ("offender_net", "i8"),  # who sent the error; 0/0 unknown
        ("offender_host", "i8"),
        ("net", "i8"),  # where our datagram was bound
        ("host", "i8"),
        ("port", "u2"),
        ("time_us", "i8"),
        ("length", "i4"),  # octets of our datagram's payload that came back
    ]
)

HEADER = np.dtype(  # struct mmsghdr; signed, as numba makes floats of mixed signs
    {
        "names": ["name", "name_length", "iov", "iov_count", "control", "control_length", "flags", "length"],
        "formats": ["i8", "i4", "i8", "i8", "i8", "i8", "i4", "i4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
IOVEC = np.dtype([("base", "i8"), ("length", "i8")])

NAME_OCTETS = 28  # sockaddr_in6
NAME_STRIDE = 32  # kernels read and write whole 64-bit words
CONTROL_OCTETS = 256  # room for every control message that net.udp asks for, twice over

AF_INET = 2
AF_INET6 = 10


@dataclass(slots=True)
class Frame:
    """The C structures round one buffer of `n` rows; made once, used for every call.

    header: `HEADER` (n,); iov: `IOVEC` (n,); name: int64 (n, NAME_STRIDE / 8), socket addresses;
    control: int64 (n, CONTROL_OCTETS / 8), control messages;
    row: int32 (n,), the buffer's row that each header stands for, or begins with (when sending);
    in_turn: int32 (n,), 0 to n - 1; base, iov_base: addresses of the buffer and of `iov`; stride: octets a row.
    """

    header: NDArray[np.void]
    iov: NDArray[np.void]
    name: NDArray[np.int64]
    control: NDArray[np.int64]
    row: NDArray[np.int32]
    in_turn: NDArray[np.int32]
    base: int
    iov_base: int
    stride: int

    @classmethod
    def around(cls, data: NDArray[np.uint8]) -> "Frame":
        """Build the structures that point at the rows of `data`, uint8 (n, stride), and at each other."""
        n, stride = data.shape
        iov = np.zeros(n, IOVEC)
        frame = cls(
            np.zeros(n, HEADER),
            iov,
            np.zeros((n, NAME_STRIDE // 8), np.int64),
            np.zeros((n, CONTROL_OCTETS // 8), np.int64),
            np.arange(n, dtype=np.int32),
            np.arange(n, dtype=np.int32),
            _address(data),
            _address(iov),
            stride,
        )
        step = np.arange(n, dtype=np.int64)
        frame.iov["base"] = frame.base + step * stride
        frame.iov["length"] = stride
        frame.header["name"] = _address(frame.name) + step * NAME_STRIDE
        frame.header["name_length"] = NAME_OCTETS
        frame.header["iov"] = frame.iov_base + step * IOVEC.itemsize
        frame.header["iov_count"] = 1
        frame.header["control"] = _address(frame.control) + step * CONTROL_OCTETS
        frame.header["control_length"] = CONTROL_OCTETS
        return frame


def pack(
    frame: Frame,
    rows: NDArray[np.void],
    errno: NDArray[np.int32],
    start: int,
    count: int,
    family: int,
    *,
    order: NDArray[np.int32] | None = None,
    segments: int = 1,
) -> int:
    """Describe rows `start` to `count` of `rows` (DATAGRAM) for sendmmsg; how many headers were filled.

    With `order`, int32 (n,), they are the rows order[start:count]. With `segments` above 1, at most so many
    neighbours in that order which go to one peer and are equally long share a header (udp(7), UDP_SEGMENT).
    Rows of length 0 are left out; a row of the other family or of an impossible length is left out and has
    its `errno` set (EAFNOSUPPORT, EMSGSIZE); `errno` of the others is cleared. `frame.row` tells which row
    each header stands for. `family`: AF_INET or AF_INET6. Raises ValueError for rows that are not there.
    """
    if not 0 <= start <= count <= len(rows):
        raise ValueError(f"rows {start} to {count} of a batch of {len(rows)}")
    return int(
        _kernels.pack_datagrams(
            frame.header,
            frame.iov,
            frame.iov_base,
            frame.name,
            frame.control,
            frame.row,
            frame.base,
            frame.stride,
            rows,
            frame.in_turn if order is None else order,
            errno,
            int(start),
            int(count),
            int(family),  # socket.AF_INET is an enumeration, for which numba would compile anew
            int(segments),
        )
    )


def unpack(frame: Frame, rows: NDArray[np.void], count: int) -> None:
    """Turn `count` received headers into `rows` (DATAGRAM), and make the headers ready for the next call."""
    _kernels.unpack_datagrams(frame.header, frame.name, frame.control, NAME_OCTETS, frame.stride, rows, count)


def unpack_errors(frame: Frame, rows: NDArray[np.void], count: int) -> None:
    """The same for messages of the error queue (ip(7), IP_RECVERR), into `rows` (ICMP_ERROR)."""
    _kernels.unpack_errors(frame.header, frame.name, frame.control, NAME_OCTETS, frame.stride, rows, count)


def warm() -> None:
    """Compile each kernel, or load it from the cache."""
    frame = Frame.around(np.zeros((1, 16), np.uint8))
    rows = np.zeros(1, DATAGRAM)
    pack(frame, rows, np.zeros(1, np.int32), 0, 1, AF_INET)
    unpack(frame, rows, 0)
    unpack_errors(frame, np.zeros(1, ICMP_ERROR), 0)


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
