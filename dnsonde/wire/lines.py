"""Addresses and prefixes written one a line, to columns: ten million lines without an object a line."""

import numpy as np
from numpy.typing import NDArray

from dnsonde.wire._arrays import frozen

LINE = np.dtype(
    [
        ("status", "u1"),  # LineStatus
        ("version", "u1"),  # 4 or 6, as written
        ("bits", "i2"),  # prefix length of 128: IPv4 has 96 more than written
        ("net", "i8"),  # ADDRESS, IPv4 mapped
        ("host", "i8"),
    ]
)


def parse_lines(data: bytes | NDArray[np.uint8]) -> NDArray[np.void]:
    """One LINE for each line of `data`.

    A line is an IPv4 or IPv6 address, or a prefix in slash notation, with optional blanks around it and a comment
    from `#`. Spelling is as strict as in `ipaddress`: no leading zeros, no zone; a mask is a number.
    """
    from dnsonde.wire._kernels import lines as kernel  # noqa: PLC0415 - compiled code is slow to load, and who reads a plan needs none

    octets = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    count = int(np.count_nonzero(octets == ord("\n"))) + 1
    out = np.zeros(count, LINE)
    state = np.zeros(1, np.int64)
    return out[: kernel.parse_lines(frozen(octets, np.uint8), state, out)]


def warm() -> None:
    """Compile each kernel, or load it from the cache."""
    parse_lines(b"")
