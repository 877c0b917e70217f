"""Addresses and prefixes as people write them in files, one a line (RFC 4291 2.2 and 2.3, RFC 4632 3.1)."""

from typing import Any

from dnsonde.wire._kernels.jit import helper, kernel
from dnsonde.wire.codes import LineStatus

BLANK, FINE, GARBAGE, HOST_BITS = map(int, LineStatus)

_NEWLINE, _HASH, _SPACE, _TAB, _RETURN, _DOT, _SLASH, _COLON = 10, 35, 32, 9, 13, 46, 47, 58


@helper
def _decimal(data: Any, start: int, end: int, most: int) -> int:
    """A number without sign or leading zeros, up to three digits and `most`; -1 if it is none."""
    if end <= start or end - start > 3 or (end - start > 1 and data[start] == 48):
        return -1
    value = 0
    for i in range(start, end):
        digit = data[i] - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value if value <= most else -1


@helper
def _dotted(data: Any, start: int, end: int) -> int:
    """A dotted quad as a number; -1 if it is none."""
    value, part, parts = 0, start, 0
    for i in range(start, end + 1):
        if i == end or data[i] == _DOT:
            octet = _decimal(data, part, i, 255)
            if octet < 0:
                return -1
            value = value << 8 | octet
            part = i + 1
            parts += 1
            if parts > 4:
                return -1
    return value if parts == 4 else -1


@helper
def _colons(data: Any, start: int, end: int) -> tuple[bool, int, int]:
    """An IPv6 address as its two halves; False if it is none."""
    net = host = 0  # groups are shifted in from the right, as one number of 128 bits
    groups, gap, gap_net, gap_host = 0, -1, 0, 0
    i = start
    if end - start >= 2 and data[start] == _COLON:
        if data[start + 1] != _COLON:
            return False, 0, 0
        gap = 0
        i = start + 2
    while i < end:
        j, value, digits = i, 0, 0
        while j < end and digits < 5:
            c = data[j]
            if 48 <= c <= 57:
                value = value << 4 | (c - 48)
            elif 97 <= c | 32 <= 102:
                value = value << 4 | ((c | 32) - 87)
            else:
                break
            digits += 1
            j += 1
        if j < end and data[j] == _DOT:
            quad = _dotted(data, i, end)
            if quad < 0 or groups > 6:
                return False, 0, 0
            net = net << 32 | ((host >> 32) & 0xFFFF_FFFF)
            host = host << 32 | quad
            groups += 2
            break
        if digits == 0 or digits > 4 or groups == 8:
            return False, 0, 0
        net = net << 16 | ((host >> 48) & 0xFFFF)
        host = host << 16 | value
        groups += 1
        i = j
        if i == end:
            break
        if data[i] != _COLON or i + 1 == end:
            return False, 0, 0
        i += 1
        if data[i] == _COLON:
            if gap >= 0:
                return False, 0, 0
            gap, gap_net, gap_host = groups, net, host
            net = host = 0
            i += 1
    if gap < 0:
        return groups == 8, net, host
    if groups > 7:
        return False, 0, 0
    # What stood left of `::` goes to the top; a gap at the start has nothing left of it.
    up = 16 * (8 - gap)
    if gap > 0:
        if up >= 64:
            net |= gap_host << (up - 64)
        else:
            host |= gap_host << up
            net |= gap_net << up | ((gap_host >> (64 - up)) & ((1 << up) - 1))
    return True, net, host


@helper
def _clear(net: int, host: int, bits: int) -> bool:
    """Whether nothing is set behind the first `bits` of 128."""
    if bits == 128:
        return True
    if bits > 64:
        return host & ((1 << (128 - bits)) - 1) == 0
    if host != 0 or bits == 64:
        return host == 0
    return net == 0 if bits == 0 else net & ((1 << (64 - bits)) - 1) == 0


@kernel
def parse_lines(data: Any, state: Any, out: Any) -> int:
    """Read whole lines of `data` into `out` (LINE records); how many, at most as `out` has rows.

    state: i8 (1,): position of the first octet not read yet. The last line may lack its newline.
    """
    count, i = 0, state[0]
    while i < data.size and count < out.size:
        begin, end = i, i
        while i < data.size and data[i] != _NEWLINE:
            i += 1
        end = i
        i += 1
        for k in range(begin, end):
            if data[k] == _HASH:
                end = k
                break
        while begin < end and (data[begin] == _SPACE or data[begin] == _TAB):
            begin += 1
        while end > begin and (data[end - 1] == _SPACE or data[end - 1] == _TAB or data[end - 1] == _RETURN):
            end -= 1
        slash, colon = end, False
        for k in range(begin, end):
            if data[k] == _SLASH:
                slash = k
                break
            colon = colon or data[k] == _COLON
        status, net, host, bits = GARBAGE, 0, 0, 128
        if colon:
            good, net, host = _colons(data, begin, slash)
        else:
            host = _dotted(data, begin, slash)
            good = host >= 0
            host |= 0xFFFF_0000_0000
        if good and slash < end:
            bits = _decimal(data, slash + 1, end, 128 if colon else 32)
            good = bits >= 0
            bits += 0 if colon else 96
        if begin == end:
            status = BLANK
        elif good:
            status = FINE if _clear(net, host, bits) else HOST_BITS
        out[count].status = status
        out[count].version = 6 if colon else 4
        out[count].bits = bits if good else 0
        out[count].net = net if good else 0
        out[count].host = host if good else 0
        count += 1
    state[0] = min(i, data.size)
    return count
