"""The three system calls that the standard library lacks, and the address of an array.

Nothing else in the house imports ctypes. Calls return what the system returned, or the negative errno.
Structure layouts (`wire.datagram`) are those of 64-bit little-endian Linux.
"""

import ctypes
import struct
import sys
from typing import Any

from numpy.typing import NDArray

from dnsonde.errors import SystemRefusal

if not sys.platform.startswith("linux") or sys.byteorder != "little" or struct.calcsize("P") != 8:
    raise SystemRefusal("dnsonde's sockets need 64-bit little-endian Linux; run it on x86-64 or arm64.")

MSG_TRUNC = 0x20  # on input: report the datagram's own length, however short the buffer (recv(2))
MSG_DONTWAIT = 0x40
MSG_ERRQUEUE = 0x2000

POLLIN = 0x001
POLLOUT = 0x004


class _PollFd(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


_libc = ctypes.CDLL(None, use_errno=True)
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_ppoll = _libc.ppoll
_ppoll.argtypes = (ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_void_p)


def address_of(array: NDArray[Any]) -> int:
    """Where the array's first octet lies in memory; keep the array alive for as long as you use it."""
    return int(array.__array_interface__["data"][0])


def sendmmsg(fd: int, headers: int, count: int) -> int:
    """Send up to `count` messages described at address `headers`; sent messages, or -errno when none was."""
    done: int = _sendmmsg(fd, headers, count, MSG_DONTWAIT)
    return done if done >= 0 else -ctypes.get_errno()


def recvmmsg(fd: int, headers: int, count: int, flags: int) -> int:
    """Receive up to `count` waiting messages into `headers`; how many, or -errno."""
    done: int = _recvmmsg(fd, headers, count, flags | MSG_DONTWAIT, None)
    return done if done >= 0 else -ctypes.get_errno()


def poll(fd: int, events: int, timeout_us: int) -> int:
    """Wait for `events` with microseconds' resolution; the events that came, 0 for none or for a signal."""
    waiting = _PollFd(fd, events, 0)
    timeout_us = max(timeout_us, 0)
    timeout = _TimeSpec(timeout_us // 1_000_000, timeout_us % 1_000_000 * 1000)
    _ppoll(ctypes.byref(waiting), 1, ctypes.byref(timeout), None)
    return int(waiting.revents)
