"""Kernels: count packets into flows, one row for each 5-tuple, direction and window; and those rows as columns."""

import numpy as np

from dnsonde.wire._kernels.jit import borrowed, kernel
from dnsonde.wire._kernels.keyed import ends_hash

GRE = 47


@kernel
def meter(data, offset, packets, time_us, first, window_us, keys, slots, rows, used):
    """Count packets from `first` on; (next packet, rows used). It ends early where `rows` is full.

    keys: u8 (6,) or more, secret; slots: row number + 1, 0 empty, a power of two of them, at least twice the rows.
    """
    keys = borrowed(keys)
    mask = np.uint64(len(slots) - 1)
    for i in range(first, len(packets)):
        p = packets[i]
        if p.ip_version == 0:
            continue
        when = time_us[i]
        window = when // window_us
        gre = p.outer_protocol == GRE
        if gre:
            src_net, src_host, dst_net, dst_host = (
                p.outer_src_net,
                p.outer_src_host,
                p.outer_dst_net,
                p.outer_dst_host,
            )
            ports = GRE << 32
        else:
            src_net, src_host, dst_net, dst_host = p.src_net, p.src_host, p.dst_net, p.dst_host
            ports = np.int64(p.protocol) << 32 | np.int64(p.src_port) << 16 | np.int64(p.dst_port)
        slot = ends_hash(keys, src_net, src_host, dst_net, dst_host, ports, window) & mask
        while True:
            number = slots[slot] - 1
            if number < 0:
                break
            f = rows[number]
            if (
                f.src_host == src_host
                and f.dst_host == dst_host
                and f.ports == ports
                and f.src_net == src_net
                and f.dst_net == dst_net
                and f.when == window
            ):
                break
            slot = (slot + np.uint64(1)) & mask
        size = p.outer_bytes if gre else p.ip_bytes
        ttl = p.outer_ttl if gre else p.ip_ttl
        if number < 0:
            if used == len(rows):
                return i, used
            number = used
            used += 1
            slots[slot] = used
            f = rows[number]
            f.src_net = src_net
            f.src_host = src_host
            f.dst_net = dst_net
            f.dst_host = dst_host
            f.ports = ports
            f.when = window
            f.start_us = when
            f.end_us = when
            f.src_mac = p.src_mac
            f.packets = 0
            f.bytes = 0
            f.payload_bytes = 0
            f.syn = 0
            f.synack = 0
            f.ack = 0
            f.fin = 0
            f.rst = 0
            f.push = 0
            f.mirai_syn = 0
            f.fragments = 0
            f.length_min = size
            f.length_max = size
            f.ttl_min = ttl
            f.ttl_max = ttl
            f.window = p.window if p.protocol == 6 and not gre and p.fragment_offset == 0 else -1
            f.ip_id = p.outer_id if gre else p.ip_id
            f.options = 0
            f.payload_octets = 0
            f.inner_protocol = p.protocol if gre else -1
            f.inner_id = p.ip_id if gre else -1
        f = rows[number]
        f.packets += 1
        f.bytes += size
        f.start_us = min(f.start_us, when)
        f.end_us = max(f.end_us, when)
        f.length_min = min(f.length_min, size)
        f.length_max = max(f.length_max, size)
        f.ttl_min = min(f.ttl_min, ttl)
        f.ttl_max = max(f.ttl_max, ttl)
        length = p.outer_length if gre else p.payload_length
        f.payload_bytes += length
        if f.payload_octets == 0 and length > 0:
            begin = offset[i] + (p.outer_start if gre else p.payload_start)
            f.payload_octets = min(length, 32)
            for k in range(f.payload_octets):
                f.payload[k] = data[begin + k]
        if gre:
            continue
        f.fragments += p.fragment
        if p.protocol == 6:
            flags = p.tcp_flags
            f.fin += flags & 1
            f.rst += flags >> 2 & 1
            f.push += flags >> 3 & 1
            if flags & 2:
                if flags & 16:
                    f.synack += 1
                else:
                    f.syn += 1
                    if p.ip_version == 4 and int(p.seq) == p.dst_host & 0xFFFFFFFF:
                        f.mirai_syn += 1
                if f.options == 0:
                    f.options = p.options
            elif flags & 16:
                f.ack += 1
    return len(packets), used


@kernel
def place(keys, slots, rows, used):
    """Fill empty slots with these rows, after some were taken away."""
    keys = borrowed(keys)
    mask = np.uint64(len(slots) - 1)
    for number in range(used):
        f = rows[number]
        slot = ends_hash(keys, f.src_net, f.src_host, f.dst_net, f.dst_host, f.ports, f.when) & mask
        while slots[slot]:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = number + 1


@kernel
def turn(rows, words, wide, payload, end):
    """FLOW rows as columns: their `words` i8 (n, any) to wide i8 (columns, at least n), payloads one behind the other.

    payload u1: room for all of them; end i4 (n + 1,): where each begins and ends. Returns how much is filled.
    """
    filled = 0
    end[0] = 0
    for i in range(rows.size):
        for k in range(wide.shape[0]):
            wide[k, i] = words[i, k]
        octets = rows[i].payload
        for k in range(rows[i].payload_octets):
            payload[filled + k] = octets[k]
        filled += rows[i].payload_octets
        end[i + 1] = filled
    return filled
