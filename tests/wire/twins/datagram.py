"""Socket structures by the manual pages, one at a time and with `struct`: what the kernels have to agree
with."""

import struct

MAPPED = 0xFFFF_0000_0000


def signed(value: int) -> int:
    """The low 64 bits, as two's complement."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def socket_address(octets: bytes) -> tuple[int, int, int]:
    """(net, host, port) of a sockaddr_in or sockaddr_in6; zeros for anything else."""
    if len(octets) >= 16:
        (family,) = struct.unpack_from("=H", octets)
        (port,) = struct.unpack_from("!H", octets, 2)
        if family == 2:
            return 0, MAPPED | struct.unpack_from("!I", octets, 4)[0], port
        if family == 10 and len(octets) >= 28:
            net, host = struct.unpack_from("!qq", octets, 8)
            return net, host, port
    return 0, 0, 0


def control_messages(control: bytes) -> list[tuple[int, int, bytes]]:
    """(level, type, data) of each control message, up to the first that does not fit."""
    found = []
    while len(control) >= 16:
        size, level, kind = struct.unpack_from("=Qii", control)
        if not 16 <= size <= len(control):
            break
        found.append((level, kind, control[16:size]))
        control = control[(size + 7) // 8 * 8 :]
    return found


def time_us(data: bytes) -> int:
    seconds, nanoseconds = struct.unpack_from("=qq", data)
    return signed(seconds * 1_000_000 + nanoseconds // 1000)


def datagram(name: bytes, control: bytes, length: int, stride: int) -> tuple[int, ...]:
    """One DATAGRAM row, field by field."""
    row = dict.fromkeys(("local_net", "local_host", "time_us"), 0) | {"ttl": -1}
    for level, kind, data in control_messages(control):
        match level, kind:
            case 1, 35 if len(data) >= 16:
                row["time_us"] = time_us(data)
            case 0, 8 if len(data) >= 12:
                row["local_host"] = MAPPED | struct.unpack_from("!I", data, 8)[0]
            case 41, 50 if len(data) >= 20:
                row["local_net"], row["local_host"] = struct.unpack_from("!qq", data)
            case (0, 2) | (41, 52) if len(data) >= 4:
                row["ttl"] = data[0]
    local = row["local_net"], row["local_host"]
    return (*socket_address(name), *local, row["ttl"], row["time_us"], min(length, stride), length)


def icmp_error(name: bytes, control: bytes, length: int, stride: int) -> tuple[int, ...]:
    """One ICMP_ERROR row, field by field."""
    error: tuple[int, ...] = (0, 0, 0, 0, 0)
    offender = (0, 0)
    when = 0
    for level, kind, data in control_messages(control):
        match level, kind:
            case 1, 35 if len(data) >= 16:
                when = time_us(data)
            case (0, 11) | (41, 25) if len(data) >= 16:
                number, origin, icmp_type, code, _, info = struct.unpack_from("=iBBBBI", data)
                error = number, origin, icmp_type, code, info
                offender = socket_address(data[16:])[:2]
    return (*error, *offender, *socket_address(name), when, min(length, stride))


def described(
    address: tuple[int, int], port: int, source: tuple[int, int], length: int, stride: int, family: int
) -> tuple[int, bytes, bytes] | None:
    """What sendmmsg gets for one row: (errno, socket address, control messages); None for a row left out."""
    if length == 0:
        return None
    if not 0 < length <= stride:
        return 90, b"", b""
    families = {
        2 if net == 0 and host >> 32 == 0xFFFF else 10 for net, host in (address, source) if net or host
    }
    if families != {family}:
        return 97, b"", b""
    chosen = any(source)
    if family == 2:
        name = struct.pack("=H", 2) + struct.pack("!HI8x", port, address[1] & 0xFFFF_FFFF)
        data = struct.pack("!III", 0, source[1] & 0xFFFF_FFFF, 0)
        return 0, name, struct.pack("=Qii", 28, 0, 8) + data + bytes(4) if chosen else b""
    name = struct.pack("=H", 10) + struct.pack("!HIqqI", port, 0, *address, 0)
    data = struct.pack("!qqI", *source, 0)
    return 0, name, struct.pack("=Qii", 36, 41, 50) + data + bytes(4) if chosen else b""
