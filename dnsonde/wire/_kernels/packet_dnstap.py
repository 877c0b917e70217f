"""Kernel: dnstap frames (protobuf, dnstap.proto) to rows, and where they are in a Frame Streams file."""

import numpy as np

from dnsonde.wire._kernels.jit import helper, kernel
from dnsonde.wire._kernels.packet_index import DAMAGED, END, FULL, WAIT, u32
from dnsonde.wire._kernels.packet_link import be32, be64

OK = 0
DAMAGED_FRAME = 1
NO_MESSAGE = 2

MOST_CONTROL = 512  # octets of a control frame


@kernel
def frames(data, stop, most, start, length):
    """(frames, position after them, why it ended); control frames, which begin with a length of 0, are passed."""
    count = 0
    pos = 0
    while True:
        if pos == stop:
            return count, pos, END
        if count == len(start):
            return count, pos, FULL
        if stop - pos < 4:
            return count, pos, WAIT
        size = be32(data, pos)
        if size == 0:
            if stop - pos < 8:
                return count, pos, WAIT
            size = be32(data, pos + 4)
            if size > MOST_CONTROL:
                return count, pos, DAMAGED
            if stop - pos - 8 < size:
                return count, pos, WAIT
            pos += 8 + size
            continue
        if size > most:
            return count, pos, DAMAGED
        if stop - pos - 4 < size:
            return count, pos, WAIT
        start[count] = pos + 4
        length[count] = size
        count += 1
        pos += 4 + size


@helper
def varint(data, pos, end):
    """(value, position after it), position -1 where it overruns."""
    value = 0
    shift = 0
    while pos < end and shift < 64:
        octet = np.int64(data[pos])
        value |= (octet & 0x7F) << shift
        pos += 1
        if octet < 128:
            return value, pos
        shift += 7
    return 0, -1


@helper
def next_field(data, pos, end):
    """(field number, wire type, value or length, position of the content, position after it); after -1: damaged."""
    tag, pos = varint(data, pos, end)
    if pos < 0:
        return 0, 0, 0, 0, -1
    kind = tag & 7
    value = 0
    start = pos
    if kind == 0:
        value, pos = varint(data, pos, end)
    elif kind == 1:
        pos += 8
    elif kind == 2:
        value, pos = varint(data, pos, end)
        start = pos
        if pos >= 0:
            pos = pos + value if 0 <= value <= end - pos else -1
    elif kind == 5:
        pos += 4
        if pos <= end:
            value = u32(data, start, False)
    else:
        pos = -1
    if pos > end:
        pos = -1
    return tag >> 3, kind, value, start, pos


@kernel
def decode_frames(data, start, length, out):
    """One row of `out` a frame; positions in `data`."""
    for i in range(len(start)):
        row = out[i]
        row.status = NO_MESSAGE
        row.type = 0
        row.protocol = 0
        row.query_length = -1
        row.response_length = -1
        row.query_sec = 0
        row.query_nsec = 0
        row.response_sec = 0
        row.response_nsec = 0
        row.query_net = 0
        row.query_host = 0
        row.response_net = 0
        row.response_host = 0
        row.query_port = 0
        row.response_port = 0
        pos = start[i]
        end = pos + length[i]
        inner = 0
        inner_end = -1
        whole = True
        while pos < end:
            number, kind, value, content, pos = next_field(data, pos, end)
            if pos < 0:
                whole = False
                break
            if number == 14 and kind == 2:
                inner = content
                inner_end = content + value
        if not whole:
            row.status = DAMAGED_FRAME
            continue
        if inner_end < 0:
            continue
        pos = inner
        while pos < inner_end:
            number, kind, value, content, pos = next_field(data, pos, inner_end)
            if pos < 0:
                whole = False
                break
            if kind == 2 and (number == 4 or number == 5) and (value == 4 or value == 16):
                if value == 4:
                    net, host = 0, 0xFFFF00000000 | be32(data, content)
                else:
                    net, host = be64(data, content), be64(data, content + 8)
                if number == 4:
                    row.query_net = net
                    row.query_host = host
                else:
                    row.response_net = net
                    row.response_host = host
            elif kind == 2 and number == 10:
                row.query_start = content
                row.query_length = value
            elif kind == 2 and number == 14:
                row.response_start = content
                row.response_length = value
            elif kind == 0 and number == 1:
                row.type = value & 0xFF
            elif kind == 0 and number == 3:
                row.protocol = value & 0xFF
            elif kind == 0 and number == 6:
                row.query_port = value & 0xFFFF
            elif kind == 0 and number == 7:
                row.response_port = value & 0xFFFF
            elif kind == 0 and number == 8:
                row.query_sec = value & 0xFFFFFFFFFF
            elif kind == 0 and number == 12:
                row.response_sec = value & 0xFFFFFFFFFF
            elif kind == 5 and number == 9:
                row.query_nsec = value
            elif kind == 5 and number == 13:
                row.response_nsec = value
        row.status = OK if whole else DAMAGED_FRAME
