"""Socket structures to columns and back. Layouts: `wire.datagram`; constants: socket(7), ip(7), ipv6(7)."""

from typing import Any

from numba import njit

AF_INET = 2
AF_INET6 = 10
SOL_IP = 0
SOL_SOCKET = 1
SOL_IPV6 = 41
IP_TTL = 2
IP_PKTINFO = 8
IP_RECVERR = 11
IPV6_RECVERR = 25
SCM_TIMESTAMPNS = 35
IPV6_PKTINFO = 50
IPV6_HOPLIMIT = 52
EMSGSIZE = 90
EAFNOSUPPORT = 97

CMSG_HEADER = 16  # size_t length, int level, int type


@njit(cache=True, nogil=True)
def _number(octets: Any, row: int, at: int, size: int) -> int:
    """A little-endian number, as the machine keeps it."""
    value = 0
    for k in range(size - 1, -1, -1):
        value = value << 8 | octets[row, at + k]
    return value


@njit(cache=True, nogil=True)
def _network(octets: Any, row: int, at: int, size: int) -> int:
    """A big-endian number, as the network has it; eight octets become a signed number."""
    value = 0
    for k in range(size):
        value = value << 8 | octets[row, at + k]
    return value


@njit(cache=True, nogil=True)
def _put(octets: Any, row: int, at: int, size: int, value: int) -> None:
    """Write a big-endian number."""
    for k in range(size - 1, -1, -1):
        octets[row, at + k] = value & 0xFF
        value >>= 8


@njit(cache=True, nogil=True)
def _put_number(octets: Any, row: int, at: int, size: int, value: int) -> None:
    """Write a little-endian number."""
    for k in range(size):
        octets[row, at + k] = value & 0xFF
        value >>= 8


@njit(cache=True, nogil=True)
def _sockaddr(octets: Any, row: int, at: int, end: int) -> tuple[int, int, int]:
    """(net, host, port) of the socket address between `at` and `end`; zeros where there is none."""
    if end - at >= 16:
        family = _number(octets, row, at, 2)
        if family == AF_INET:
            return 0, 0xFFFF_0000_0000 | _network(octets, row, at + 4, 4), _network(octets, row, at + 2, 2)
        if family == AF_INET6 and end - at >= 28:
            return (
                _network(octets, row, at + 8, 8),
                _network(octets, row, at + 16, 8),
                _network(octets, row, at + 2, 2),
            )
    return 0, 0, 0


@njit(cache=True, nogil=True)
def unpack_datagrams(header: Any, name: Any, control: Any, stride: int, rows: Any, count: int) -> None:
    """Fill `rows` from `count` received headers; reset the headers' lengths, which the system overwrote."""
    for i in range(count):
        net, host, port = _sockaddr(name, i, 0, min(header[i].name_length, name.shape[1]))
        local_net, local_host, ttl, time_us = 0, 0, -1, 0
        end = min(header[i].control_length, control.shape[1])
        at = 0
        while at + CMSG_HEADER <= end:
            size = _number(control, i, at, 8)
            if size < CMSG_HEADER or size > end - at:
                break
            level = _number(control, i, at + 8, 4)
            kind = _number(control, i, at + 12, 4)
            data = at + CMSG_HEADER
            octets = size - CMSG_HEADER
            if level == SOL_SOCKET:
                if kind == SCM_TIMESTAMPNS and octets >= 16:
                    time_us = (
                        _number(control, i, data, 8) * 1_000_000 + _number(control, i, data + 8, 8) // 1000
                    )
            elif level == SOL_IP:
                if kind == IP_PKTINFO and octets >= 12:
                    local_host = 0xFFFF_0000_0000 | _network(control, i, data + 8, 4)
                elif kind == IP_TTL and octets >= 4:
                    ttl = _number(control, i, data, 4) & 0xFF
            elif level == SOL_IPV6:
                if kind == IPV6_PKTINFO and octets >= 20:
                    local_net = _network(control, i, data, 8)
                    local_host = _network(control, i, data + 8, 8)
                elif kind == IPV6_HOPLIMIT and octets >= 4:
                    ttl = _number(control, i, data, 4) & 0xFF
            at += (size + 7) & ~7
        rows[i].net = net
        rows[i].host = host
        rows[i].port = port
        rows[i].local_net = local_net
        rows[i].local_host = local_host
        rows[i].ttl = ttl
        rows[i].time_us = time_us
        rows[i].length = min(header[i].length, stride)
        rows[i].full_length = header[i].length
        header[i].name_length = name.shape[1]
        header[i].control_length = control.shape[1]
        header[i].flags = 0


@njit(cache=True, nogil=True)
def unpack_errors(header: Any, name: Any, control: Any, stride: int, rows: Any, count: int) -> None:
    """Fill `rows` from `count` headers of the error queue: sock_extended_err, then the offender's address."""
    for i in range(count):
        net, host, port = _sockaddr(name, i, 0, min(header[i].name_length, name.shape[1]))
        rows[i].net = net
        rows[i].host = host
        rows[i].port = port
        rows[i].errno = 0
        rows[i].origin = 0
        rows[i].type = 0
        rows[i].code = 0
        rows[i].info = 0
        rows[i].offender_net = 0
        rows[i].offender_host = 0
        rows[i].time_us = 0
        rows[i].length = min(header[i].length, stride)
        end = min(header[i].control_length, control.shape[1])
        at = 0
        while at + CMSG_HEADER <= end:
            size = _number(control, i, at, 8)
            if size < CMSG_HEADER or size > end - at:
                break
            level = _number(control, i, at + 8, 4)
            kind = _number(control, i, at + 12, 4)
            data = at + CMSG_HEADER
            octets = size - CMSG_HEADER
            if level == SOL_SOCKET and kind == SCM_TIMESTAMPNS and octets >= 16:
                rows[i].time_us = (
                    _number(control, i, data, 8) * 1_000_000 + _number(control, i, data + 8, 8) // 1000
                )
            elif octets >= 16 and (
                (level == SOL_IP and kind == IP_RECVERR) or (level == SOL_IPV6 and kind == IPV6_RECVERR)
            ):
                rows[i].errno = _number(control, i, data, 4)
                rows[i].origin = control[i, data + 4]
                rows[i].type = control[i, data + 5]
                rows[i].code = control[i, data + 6]
                rows[i].info = _number(control, i, data + 8, 4)
                offender_net, offender_host, _ = _sockaddr(control, i, data + 16, at + size)
                rows[i].offender_net = offender_net
                rows[i].offender_host = offender_host
            at += (size + 7) & ~7
        header[i].name_length = name.shape[1]
        header[i].control_length = control.shape[1]
        header[i].flags = 0


@njit(cache=True, nogil=True)
def pack_datagrams(
    header: Any,
    iov: Any,
    name: Any,
    control: Any,
    row: Any,
    base: int,
    stride: int,
    rows: Any,
    errno: Any,
    start: int,
    count: int,
    family: int,
) -> int:
    """Fill headers for rows `start` to `count`, those left out apart; how many were filled."""
    k = 0
    for i in range(start, count):
        errno[i] = 0
        length = rows[i].length
        if length == 0:
            continue
        if length < 0 or length > stride:
            errno[i] = EMSGSIZE
            continue
        net, host = rows[i].net, rows[i].host
        local_net, local_host = rows[i].local_net, rows[i].local_host
        chosen = local_net != 0 or local_host != 0
        mapped = net == 0 and host >> 32 == 0xFFFF
        local_mapped = local_net == 0 and local_host >> 32 == 0xFFFF
        if mapped != (family == AF_INET) or (chosen and local_mapped != mapped):
            errno[i] = EAFNOSUPPORT
            continue
        _put_number(name, k, 0, 2, family)
        _put(name, k, 2, 2, rows[i].port)
        header[k].control_length = 0
        if family == AF_INET:
            _put(name, k, 4, 4, host)
            _put(name, k, 8, 8, 0)
            header[k].name_length = 16
            if chosen:  # in_pktinfo: interface, source, (unused) destination
                _put_number(control, k, 0, 8, CMSG_HEADER + 12)
                _put_number(control, k, 8, 4, SOL_IP)
                _put_number(control, k, 12, 4, IP_PKTINFO)
                _put(control, k, 16, 4, 0)
                _put(control, k, 20, 4, local_host)
                _put(control, k, 24, 4, 0)
                header[k].control_length = 32
        else:
            _put(name, k, 4, 4, 0)  # flow label
            _put(name, k, 8, 8, net)
            _put(name, k, 16, 8, host)
            _put(name, k, 24, 4, 0)  # scope
            header[k].name_length = 28
            if chosen:  # in6_pktinfo: source, interface
                _put_number(control, k, 0, 8, CMSG_HEADER + 20)
                _put_number(control, k, 8, 4, SOL_IPV6)
                _put_number(control, k, 12, 4, IPV6_PKTINFO)
                _put(control, k, 16, 8, local_net)
                _put(control, k, 24, 8, local_host)
                _put(control, k, 32, 4, 0)
                header[k].control_length = 40
        iov[k].base = base + i * stride
        iov[k].length = length
        row[k] = i
        k += 1
    return k
