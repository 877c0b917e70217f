"""Plain twin of the kernel that reads addresses and prefixes one a line, by the standard library."""

import re
from ipaddress import IPv4Address, IPv6Address

BLANK, FINE, GARBAGE, HOST_BITS = range(4)


def read(line: bytes) -> tuple[int, int, int]:
    """(status, address as a number of 128 bits, prefix length of 128) of one line."""
    entry = line.split(b"#")[0].rstrip(b" \t\r").lstrip(b" \t").decode("latin-1")
    if not entry:
        return BLANK, 0, 0
    text, slash, length = entry.partition("/")
    if "%" in text or not text.isascii():
        return GARBAGE, 0, 0
    try:
        address = IPv6Address(text) if ":" in entry.split("/")[0] else IPv4Address(text)
    except ValueError:
        return GARBAGE, 0, 0
    most = 128 if address.version == 6 else 32
    if slash and (not re.fullmatch("0|[1-9][0-9]{0,2}", length) or int(length) > most):
        return GARBAGE, 0, 0
    bits = int(length) if slash else most
    value = int(address)
    status = HOST_BITS if value % 2 ** (most - bits) else FINE
    if address.version == 4:
        return status, value | 0xFFFF_0000_0000, bits + 96
    return status, value, bits
