# ruff: noqa: SIM109 - a chain of comparisons compiles to a jump; a tuple would be built
"""Kernel: where the packets of a pcap, pcapng or snoop file begin and end, and when they were captured."""

import numpy as np

from dnsonde.wire._kernels.jit import helper, kernel

END = 0  # everything there was read
WAIT = 1  # the rest of a record is not in the buffer
FULL = 2  # the caller's arrays are full
DAMAGED = 3  # a length that cannot be
OTHER = 4  # a block that is the caller's to read (a section, an interface)

SECTION = 0x0A0D0D0A
INTERFACE = 1
OLD_PACKET = 2
SIMPLE_PACKET = 3
ENHANCED_PACKET = 6


@helper
def u16(data, pos, big):
    """Two octets in the file's order."""
    if big:
        return np.int64(data[pos]) << 8 | np.int64(data[pos + 1])
    return np.int64(data[pos + 1]) << 8 | np.int64(data[pos])


@helper
def u32(data, pos, big):
    """Four octets in the file's order."""
    if big:
        return u16(data, pos, big) << 16 | u16(data, pos + 2, big)
    return u16(data, pos + 2, big) << 16 | u16(data, pos, big)


@helper
def begins(first, second):
    """Whether these are the magic number and version 2.4 of another pcap file, in either order of octets."""
    if first == 0xA1B2C3D4 or first == 0xA1B23C4D:
        return second == 0x00020004 or second == 0x00040002
    if first == 0xD4C3B2A1 or first == 0x4D3CB2A1:
        return second == 0x04000200 or second == 0x02000400
    return False


@kernel
def pcap(data, stop, big, nano, header, most, entry):
    """(records found, position after them, why it ended); fills `entry`, positions in `data`.

    OTHER: another file's header follows, as when files were joined.
    """
    count = 0
    pos = 0
    while True:
        if pos == stop:
            return count, pos, END
        if count == len(entry):
            return count, pos, FULL
        if stop - pos < header:
            return count, pos, WAIT
        if begins(u32(data, pos, big), u32(data, pos + 4, big)):
            return count, pos, OTHER
        size = u32(data, pos + 8, big)
        if size > most:
            return count, pos, DAMAGED
        if stop - pos - header < size:
            return count, pos, WAIT
        fraction = u32(data, pos + 4, big)
        row = entry[count]
        row.offset = pos + header
        row.length = size
        row.original = min(u32(data, pos + 12, big), 0x7FFFFFFF)
        row.time_us = u32(data, pos, big) * 1000000 + (fraction // 1000 if nano else fraction)
        count += 1
        pos += header + size


@kernel
def snoop(data, stop, most, entry):
    """The same for snoop records (RFC 1761), which are padded and big-endian."""
    count = 0
    pos = 0
    while True:
        if pos == stop:
            return count, pos, END
        if count == len(entry):
            return count, pos, FULL
        if stop - pos < 24:
            return count, pos, WAIT
        size = u32(data, pos + 4, True)
        record = u32(data, pos + 8, True)
        if size > most or record > most + 64 or record < 24 + size:
            return count, pos, DAMAGED
        if stop - pos < record:
            return count, pos, WAIT
        row = entry[count]
        row.offset = pos + 24
        row.length = size
        row.original = min(u32(data, pos, True), 0x7FFFFFFF)
        row.time_us = u32(data, pos + 16, True) * 1000000 + u32(data, pos + 20, True)
        count += 1
        pos += record


@kernel
def microseconds(ticks, unit, offset_us):
    """A pcapng timestamp (unsigned) as microseconds; unit: if_tsresol, a power of ten, or of two with bit 7."""
    if unit & 0x80:
        bits = np.uint64(unit & 0x7F)
        if bits > np.uint64(63):
            return offset_us
        whole = ticks >> bits
        rest = ticks - (whole << bits)
        if bits > np.uint64(43):  # so that the product below fits
            rest >>= bits - np.uint64(43)
            bits = np.uint64(43)
        part = (rest * np.uint64(1000000)) >> bits
        return np.int64(whole * np.uint64(1000000) + part) + offset_us
    scale = np.uint64(1)
    power = 6 - unit
    for _ in range(min(abs(power), 19)):
        scale *= np.uint64(10)
    if power >= 0:
        return np.int64(ticks * scale) + offset_us
    return np.int64(ticks // scale) + offset_us


@kernel
def pcapng(data, stop, big, interfaces, known, most, entry):
    """The same for pcapng blocks (RFC draft-ietf-opsawg-pcapng); stops with OTHER at sections and interfaces.

    `interfaces` are the section's, `known` of them described; a packet of another interface is DAMAGED.
    """
    count = 0
    pos = 0
    while True:
        if pos == stop:
            return count, pos, END
        if count == len(entry):
            return count, pos, FULL
        if stop - pos < 12:
            return count, pos, WAIT
        kind = u32(data, pos, big)
        if kind == SECTION or kind == INTERFACE:
            return count, pos, OTHER
        size = u32(data, pos + 4, big)
        if size < 12 or size & 3 or size > most:
            return count, pos, DAMAGED
        if stop - pos < size:
            return count, pos, WAIT
        if u32(data, pos + size - 4, big) != size:
            return count, pos, DAMAGED
        body = pos + 8
        room = size - 12
        if kind == ENHANCED_PACKET or kind == OLD_PACKET:
            if room < 20:
                return count, pos, DAMAGED
            which = u32(data, body, big) if kind == ENHANCED_PACKET else u16(data, body, big)
            length = u32(data, body + 12, big)
            if which >= known or length > room - 20:
                return count, pos, DAMAGED
            ticks = np.uint64(u32(data, body + 4, big)) << np.uint64(32) | np.uint64(u32(data, body + 8, big))
            row = entry[count]
            row.offset = body + 20
            row.length = length
            row.original = min(u32(data, body + 16, big), 0x7FFFFFFF)
            row.time_us = microseconds(ticks, interfaces[which].unit, interfaces[which].offset_us)
            row.linktype = interfaces[which].linktype
            count += 1
        elif kind == SIMPLE_PACKET:
            if room < 4 or known == 0:
                return count, pos, DAMAGED
            original = u32(data, body, big)
            length = min(original, room - 4)
            if interfaces[0].snaplen > 0:
                length = min(length, interfaces[0].snaplen)
            row = entry[count]
            row.offset = body + 4
            row.length = length
            row.original = min(original, 0x7FFFFFFF)
            row.time_us = interfaces[0].offset_us  # this kind of block has no time
            row.linktype = interfaces[0].linktype
            count += 1
        pos += size
