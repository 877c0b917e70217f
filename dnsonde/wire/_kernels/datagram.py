"""Socket structures to columns and back. Layouts: `wire.datagram`; constants: socket(7), ip(7), ipv6(7).

Socket addresses and control messages come as 64-bit words, to which the system aligns them: a row of `name` is
4 words, one of `control` 32. Read octet by octet, these kernels would take thrice as long to compile.
"""

from typing import Any

from dnsonde.wire._kernels.jit import helper, kernel

AF_INET = 2
AF_INET6 = 10
SOL_IP = 0
SOL_SOCKET = 1
SOL_UDP = 17
SOL_IPV6 = 41
IP_TTL = 2
IP_PKTINFO = 8
IP_RECVERR = 11
IPV6_RECVERR = 25
SCM_TIMESTAMPNS = 35
IPV6_PKTINFO = 50
IPV6_HOPLIMIT = 52
UDP_SEGMENT = 103
EMSGSIZE = 90
EAFNOSUPPORT = 97

CMSG_HEADER = 16  # size_t length, int level, int type
IOVEC_OCTETS = 16
SEGMENTS_OCTETS = 65_000  # of one datagram before it is cut up: 65,535 less its headers
LOW = 0xFFFF_FFFF


@helper
def _half(words: Any, row: int, at: int) -> int:
    """The 32-bit half `at` of a row, unsigned, as the machine keeps it."""
    half: int = (words[row, at >> 1] >> (32 * (at & 1))) & LOW
    return half


@helper
def _swap4(value: int) -> int:
    """Four octets between the network's order and the machine's; both unsigned."""
    return (value & 0xFF) << 24 | (value & 0xFF00) << 8 | (value >> 8) & 0xFF00 | (value >> 24) & 0xFF


@helper
def _swap8(value: int) -> int:
    """The same for eight octets, signed."""
    return _swap4(value & LOW) << 32 | _swap4((value >> 32) & LOW)


@helper
def _long(words: Any, row: int, at: int) -> int:
    """Eight octets in the network's order from half `at` on, as a signed number."""
    return _swap4(_half(words, row, at)) << 32 | _swap4(_half(words, row, at + 1))


@helper
def _sockaddr(words: Any, row: int, at: int, octets: int) -> tuple[int, int, int]:
    """(net, host, port) of the socket address of `octets` octets from half `at` on; zeros where there is none."""
    if octets >= 16:
        first = _half(words, row, at)
        family = first & 0xFFFF
        port = (first >> 8) & 0xFF00 | first >> 24
        if family == AF_INET:
            return 0, 0xFFFF_0000_0000 | _swap4(_half(words, row, at + 1)), port
        if family == AF_INET6 and octets >= 28:
            return _long(words, row, at + 2), _long(words, row, at + 4), port
    return 0, 0, 0


@kernel
def unpack_datagrams(
    header: Any, name: Any, control: Any, name_octets: int, stride: int, rows: Any, count: int
) -> None:
    """Fill `rows` from `count` received headers; reset the headers' lengths, which the system overwrote."""
    control_octets = control.shape[1] * 8
    for i in range(count):
        net, host, port = _sockaddr(name, i, 0, min(header[i].name_length, name_octets))
        local_net, local_host, ttl, time_us = 0, 0, -1, 0
        end = min(header[i].control_length, control_octets)
        at = 0
        while at + CMSG_HEADER <= end:
            word = at >> 3
            size = control[i, word]
            if size < CMSG_HEADER or size > end - at:
                break
            level = control[i, word + 1] & LOW
            kind = (control[i, word + 1] >> 32) & LOW
            data = 2 * word + 4
            octets = size - CMSG_HEADER
            if level == SOL_SOCKET:
                if kind == SCM_TIMESTAMPNS and octets >= 16:
                    time_us = control[i, word + 2] * 1_000_000 + control[i, word + 3] // 1000
            elif level == SOL_IP:
                if kind == IP_PKTINFO and octets >= 12:
                    local_host = 0xFFFF_0000_0000 | _swap4(_half(control, i, data + 2))
                elif kind == IP_TTL and octets >= 4:
                    ttl = _half(control, i, data) & 0xFF
            elif level == SOL_IPV6:
                if kind == IPV6_PKTINFO and octets >= 20:
                    local_net = _long(control, i, data)
                    local_host = _long(control, i, data + 2)
                elif kind == IPV6_HOPLIMIT and octets >= 4:
                    ttl = _half(control, i, data) & 0xFF
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
        header[i].name_length = name_octets
        header[i].control_length = control_octets
        header[i].flags = 0


@kernel
def unpack_errors(
    header: Any, name: Any, control: Any, name_octets: int, stride: int, rows: Any, count: int
) -> None:
    """Fill `rows` from `count` headers of the error queue: sock_extended_err, then the offender's address."""
    control_octets = control.shape[1] * 8
    for i in range(count):
        net, host, port = _sockaddr(name, i, 0, min(header[i].name_length, name_octets))
        errno, about, info, offender_net, offender_host, time_us = 0, 0, 0, 0, 0, 0
        end = min(header[i].control_length, control_octets)
        at = 0
        while at + CMSG_HEADER <= end:
            word = at >> 3
            size = control[i, word]
            if size < CMSG_HEADER or size > end - at:
                break
            level = control[i, word + 1] & LOW
            kind = (control[i, word + 1] >> 32) & LOW
            data = 2 * word + 4
            octets = size - CMSG_HEADER
            if octets >= 16:
                if level == SOL_SOCKET and kind == SCM_TIMESTAMPNS:
                    time_us = control[i, word + 2] * 1_000_000 + control[i, word + 3] // 1000
                elif (level == SOL_IP and kind == IP_RECVERR) or (level == SOL_IPV6 and kind == IPV6_RECVERR):
                    errno = _half(control, i, data)
                    about = _half(control, i, data + 1)  # origin, type, code, one octet each
                    info = _half(control, i, data + 2)
                    offender_net, offender_host, _ = _sockaddr(control, i, data + 4, octets - 16)
            at += (size + 7) & ~7
        rows[i].errno = errno
        rows[i].origin = about & 0xFF
        rows[i].type = (about >> 8) & 0xFF
        rows[i].code = (about >> 16) & 0xFF
        rows[i].info = info
        rows[i].offender_net = offender_net
        rows[i].offender_host = offender_host
        rows[i].net = net
        rows[i].host = host
        rows[i].port = port
        rows[i].time_us = time_us
        rows[i].length = min(header[i].length, stride)
        header[i].name_length = name_octets
        header[i].control_length = control_octets
        header[i].flags = 0


@kernel
def pack_datagrams(
    header: Any,
    iov: Any,
    iov_base: int,
    name: Any,
    control: Any,
    row: Any,
    base: int,
    stride: int,
    rows: Any,
    order: Any,
    errno: Any,
    start: int,
    count: int,
    family: int,
    segments: int,
) -> int:
    """Fill headers for the rows order[start:count], those left out apart; how many were filled.

    Rows behind one another with one peer, one source and one length (the last may be shorter) share a header, up to
    `segments` of them: the system takes them through its stack once (udp(7), UDP_SEGMENT).
    """
    k = 0  # headers filled
    used = 0  # vectors filled
    octets = 0  # in the current header
    open_ended = False  # whether the current header may take another row
    for j in range(start, count):
        i = int(order[j])
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
        if open_ended:
            last = rows[row[k - 1]]
            size = last.length
            if (
                host == last.host
                and rows[i].port == last.port
                and net == last.net
                and local_host == last.local_host
                and local_net == last.local_net
                and length <= size
                and header[k - 1].iov_count < segments
                and octets + length <= SEGMENTS_OCTETS
            ):
                iov[used].base = base + i * stride
                iov[used].length = length
                used += 1
                octets += length
                at = 4 if family == AF_INET else 5  # the word behind the source, where one was chosen
                at = at if chosen else 0
                if header[k - 1].iov_count == 1:
                    control[k - 1, at] = CMSG_HEADER + 2
                    control[k - 1, at + 1] = SOL_UDP | UDP_SEGMENT << 32
                    control[k - 1, at + 2] = int(size)
                    header[k - 1].control_length = at * 8 + 24
                header[k - 1].iov_count += 1
                open_ended = length == size
                continue
        port = (rows[i].port & 0xFF) << 8 | rows[i].port >> 8
        header[k].control_length = 0
        header[k].iov = iov_base + used * IOVEC_OCTETS
        header[k].iov_count = 1
        if family == AF_INET:
            name[k, 0] = family | port << 16 | _swap4(host & LOW) << 32
            name[k, 1] = 0
            header[k].name_length = 16
            if chosen:  # in_pktinfo: interface, source, (unused) destination
                control[k, 0] = CMSG_HEADER + 12
                control[k, 1] = SOL_IP | IP_PKTINFO << 32
                control[k, 2] = _swap4(local_host & LOW) << 32
                control[k, 3] = 0
                header[k].control_length = 32
        else:
            name[k, 0] = family | port << 16  # and flow label 0
            name[k, 1] = _swap8(net)
            name[k, 2] = _swap8(host)
            name[k, 3] = 0  # scope
            header[k].name_length = 28
            if chosen:  # in6_pktinfo: source, interface
                control[k, 0] = CMSG_HEADER + 20
                control[k, 1] = SOL_IPV6 | IPV6_PKTINFO << 32
                control[k, 2] = _swap8(local_net)
                control[k, 3] = _swap8(local_host)
                control[k, 4] = 0
                header[k].control_length = 40
        iov[used].base = base + i * stride
        iov[used].length = length
        used += 1
        octets = length
        open_ended = segments > 1
        row[k] = i
        k += 1
    return k
