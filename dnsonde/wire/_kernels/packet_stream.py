"""Kernel: DNS messages out of TCP segments (RFC 7766, 8)."""

import numpy as np

from dnsonde.wire._kernels.jit import borrowed, helper, kernel
from dnsonde.wire._kernels.keyed import ends_hash

WAYS = 8  # slots in which a connection may stand; the one unused for longest gives way

KEEP = 1
DROP = 0


@kernel
def follow(packets, time_us, keys, table, counter, slot, ident, relative):
    """Give each segment its connection's slot and number, and its place in the stream; returns the last number.

    A SYN with another sequence number begins a new connection; a segment without one is taken from its middle.
    """
    keys = borrowed(keys)
    sets = np.uint64(len(table) // WAYS)
    for i in range(len(packets)):
        p = packets[i]
        ports = int(p.src_port) << 16 | int(p.dst_port)
        state = ends_hash(keys, p.src_net, p.src_host, p.dst_net, p.dst_host, ports, 0)
        begin = np.int64(state % sets) * WAYS
        here = -1
        oldest = begin
        for k in range(begin, begin + WAYS):
            c = table[k]
            if c.ident == 0 or (table[oldest].ident > 0 and c.last_us < table[oldest].last_us):
                oldest = k
            if (
                c.ident > 0
                and not c.closed
                and c.src_host == p.src_host
                and c.dst_host == p.dst_host
                and c.src_net == p.src_net
                and c.dst_net == p.dst_net
                and c.src_port == p.src_port
                and c.dst_port == p.dst_port
            ):
                here = k
        syn = p.tcp_flags & 2
        place = int(p.seq) + (1 if syn else 0) & 0xFFFFFFFF
        if here >= 0 and syn and (not table[here].synced or place != table[here].base):
            table[here].closed = 1  # its segments may still wait to be put together
            if oldest == here:
                oldest = begin if here > begin else begin + 1
            here = -1
        if here < 0:
            here = oldest
            c = table[here]
            counter += 1
            c.ident = counter
            c.src_net = p.src_net
            c.src_host = p.src_host
            c.dst_net = p.dst_net
            c.dst_host = p.dst_host
            c.src_port = p.src_port
            c.dst_port = p.dst_port
            c.base = place
            c.next = 0
            c.closed = 0
            c.synced = 1 if syn else 0
        c = table[here]
        c.last_us = time_us[i]
        ahead = (place - c.base - c.next) & 0xFFFFFFFF
        if ahead & 0x80000000:
            ahead -= 1 << 32
        slot[i] = here
        ident[i] = c.ident
        relative[i] = c.next + ahead
    return counter


@helper
def plausible(data, pos):
    """Whether 14 octets may be a length and a DNS header: a known opcode, Z clear, few questions."""
    opcode = data[pos + 4] >> 3 & 15
    questions = np.int64(data[pos + 6]) << 8 | np.int64(data[pos + 7])
    return opcode <= 6 and opcode != 3 and not data[pos + 5] & 0x40 and questions <= 1


@kernel
def assemble(data, start, length, slot, ident, relative, time_us, table, too_old, out, keep, found, last):
    """(messages, streams that lost octets): messages of segments sorted by (ident, relative, arrival).

    out: room for all their octets; found: (position in out, octets) of each message, last: its last segment.
    keep: whether the segment is needed again. Where octets are missing, later ones wait until a segment is
    from before `too_old`; then the next one that looks like the beginning of a message is where it goes on.
    """
    count = 0
    lost = 0
    at = 0
    i = 0
    n = len(ident)
    while i < n:
        stop = i
        while stop < n and ident[stop] == ident[i]:
            stop += 1
        c = table[slot[i]]
        if c.ident != ident[i]:  # its slot was given away
            for k in range(i, stop):
                keep[k] = DROP
            lost += 1
            i = stop
            continue
        begin = at  # of the message that is being put together
        pos = c.next
        if (
            not c.synced and pos == 0
        ):  # taken from its middle: begin with what is first, not with what came first
            pos = relative[i]
        waiting = stop
        for k in range(i, stop):
            if relative[k] + length[k] <= pos:
                continue
            if relative[k] > pos:
                if c.synced and time_us[k] >= too_old:
                    waiting = k
                    break
                lost += c.synced
                c.synced = 0
                pos = relative[k]
                begin = at
            skip = pos - relative[k]
            size = length[k] - skip
            source = start[k] + skip
            for j in range(size):
                out[at + j] = data[source + j]
            at += size
            pos += size
            while at - begin >= 2:
                octets = np.int64(out[begin]) << 8 | np.int64(out[begin + 1])
                if octets >= 12 and not c.synced and at - begin < 14:
                    break  # too little to tell
                if octets < 12 or (not c.synced and not plausible(out, begin)):
                    begin = at  # no DNS from here; try again where the next segment begins
                    lost += c.synced
                    c.synced = 0
                    break
                if at - begin - 2 < octets:
                    break
                found[count, 0] = begin + 2
                found[count, 1] = octets
                last[count] = k
                count += 1
                c.synced = 1
                begin += 2 + octets
        c.next = pos - (at - begin)
        for k in range(i, stop):
            keep[k] = KEEP if k >= waiting or relative[k] + length[k] > c.next else DROP
        i = stop
    return count, lost
