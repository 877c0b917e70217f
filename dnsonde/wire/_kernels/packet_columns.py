"""Kernels: which packets carry DNS, and what `message` tells of them. Called from `wire.columns` only."""

from dnsonde.wire._kernels.jit import kernel
from dnsonde.wire.codes import PacketStatus

PARSED = int(PacketStatus.PARSED)
UDP, TCP = 17, 6

DNS, MDNS = 1, 2  # what a port is for

# Rows of the outputs; `wire.columns` has their names.
SRC_NET, SRC_HOST, DST_NET, DST_HOST, SRC_MAC, NUMBER, TIME = range(7)
SRC_PORT, DST_PORT, IP_ID, IP_BYTES = range(4)
IP_TTL, IS_MDNS = range(2)


@kernel
def sort_packets(packets, ports, status, datagrams, segments, pieces):
    """(datagrams, segments, pieces): how many packets carry DNS over UDP, over TCP, or are fragments of either.

    A first fragment of which the capture kept a part only is a datagram: it cannot be put together with the others.
    ports u1 (65536,): DNS, MDNS or both; status i8 (256,): how many packets had which is added. datagrams, segments,
    pieces i4, as many as packets: get their row numbers.
    """
    udp = 0
    tcp = 0
    parts = 0
    for i in range(packets.size):
        row = packets[i]
        status[row.status] += 1
        if row.status != PARSED:
            continue
        protocol = row.protocol
        if protocol != UDP and protocol != TCP:
            continue
        if row.fragment and not (row.short and row.fragment_offset == 0 and protocol == UDP):
            pieces[parts] = i
            parts += 1
            continue
        use = ports[row.src_port] | ports[row.dst_port]
        if protocol == UDP:
            if use and row.payload_length > 0:
                datagrams[udp] = i
                udp += 1
        elif use & DNS:
            segments[tcp] = i
            tcp += 1
    return udp, tcp, parts


@kernel
def packet_columns(packets, offset, time_us, number, which, ports, wide, narrow, small, start, length):
    """Write the columns of the chosen packets (`which` i4: rows), and where what they carry stands.

    offset, time_us, number i8: of every packet. wide i8, narrow i4, small i2: (columns, at least as many as chosen);
    start i8, length i4: of the payload.
    """
    for k in range(which.size):
        i = which[k]
        row = packets[i]
        start[k] = offset[i] + row.payload_start
        length[k] = row.payload_length
        wide[SRC_NET, k] = row.src_net
        wide[SRC_HOST, k] = row.src_host
        wide[DST_NET, k] = row.dst_net
        wide[DST_HOST, k] = row.dst_host
        wide[SRC_MAC, k] = row.src_mac
        wide[NUMBER, k] = number[i]
        wide[TIME, k] = time_us[i]
        narrow[SRC_PORT, k] = row.src_port
        narrow[DST_PORT, k] = row.dst_port
        narrow[IP_ID, k] = row.ip_id if row.ip_version == 4 else -1
        narrow[IP_BYTES, k] = row.ip_bytes
        small[IP_TTL, k] = row.ip_ttl
        small[IS_MDNS, k] = (ports[row.src_port] | ports[row.dst_port]) == MDNS
