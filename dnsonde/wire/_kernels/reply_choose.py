"""Which answer each request of an authority gets, by tables. Called from `wire.choose` only."""

from dnsonde.wire._kernels.jit import helper, kernel
from dnsonde.wire._kernels.probe_name import CHAIN, SWEEP, UNKNOWN
from dnsonde.wire.codes import Class, Flag, Status

OK = int(Status.OK)
SHORT_HEADER = int(Status.SHORT_HEADER)
IN = int(Class.IN)
QR = int(Flag.QR)
KEPT = 0x7800 | int(Flag.RD) | int(Flag.CD)  # opcode, RD and CD come back as they were
OPCODE = 0x7800
KINDS = 4
ASKS = 8
COOKIE = 24

# Shapes that are decided here and not by tables.
DROP, FORMERR, NOTIMP, BADVERS, REFUSED, EMPTY, TRUNCATED, SIZE = range(8)


@helper
def _same(data, at, wire, start, octets):
    """Whether the name at `data[at:]` is the lower-case one at `wire[start:]`, in any case."""
    for k in range(octets):
        c = data[at + k]
        if 65 <= c <= 90:
            c += 32
        if c != wire[start + k]:
            return False
    return True


@helper
def _fixed(data, base, message, ask, fixed, wire, shape):
    """The shape of a name known by heart; `shape` where it is none."""
    for f in range(fixed.size):
        known = fixed[f]
        if (
            known.qclass == message.qclass
            and known.octets == message.qname_length
            and _same(data, base + 12, wire, known.start, known.octets)
        ):
            return known.shapes[ask]
    return shape


@helper
def _shape(data, base, message, name, v6, ask, keys, fixed, wire):
    """The shape of one request, its size not yet looked at."""
    flags = message.flags
    status = message.status
    cookie = message.cookie_length
    if flags & QR != 0 or status == SHORT_HEADER:
        return DROP
    if flags & OPCODE != 0:
        return NOTIMP
    if status != OK or message.qdcount > 1:  # one question (RFC 9619)
        return FORMERR
    if 0 < cookie < 8 or 8 < cookie < 16 or cookie > 40:  # RFC 7873, 5.2.2
        return FORMERR
    if message.edns_version > 0:
        return BADVERS
    if message.qdcount == 0:
        return EMPTY if cookie > 0 else FORMERR  # RFC 7873, 5.4
    if message.qclass != IN:
        return _fixed(data, base, message, ask, fixed, wire, REFUSED)
    kind = name.kind
    if kind == CHAIN and name.step == 0:
        kind = SWEEP
    shape = keys[((name.status * KINDS + kind) * ASKS + ask) * 2 + v6]
    if name.status >= UNKNOWN:
        return _fixed(data, base, message, ask, fixed, wire, shape)
    return shape


@kernel
def choose(
    data, offset, length, messages, names, peers, verified, tcp,
    asks, keys, shapes, fixed, wire, closed, zone, udp, factor, cookies, nsid, nsid_octets,
    shape, egress, replies,
):  # fmt: skip
    """Fill `shape`, `egress` (16 octets a row) and `replies`; how many rows have a `rare` shape."""
    count = 0
    for i in range(offset.size):
        message = messages[i]
        reply = replies[i]
        net = peers[i].net
        host = peers[i].host
        v6 = 0 if net == 0 and host >> 32 == 0xFFFF else 1
        ask = asks[message.qtype]
        if not tcp and closed[peers[i].port]:
            chosen = DROP
        else:
            chosen = _shape(data, offset[i], message, names[i], v6, ask, keys, fixed, wire)
        for k in range(8):
            egress[16 * i + k] = net >> (56 - 8 * k) & 0xFF
            egress[16 * i + 8 + k] = host >> (56 - 8 * k) & 0xFF
        edns = 1 if message.edns_version >= 0 and message.status == OK else 0
        cookie = COOKIE if edns == 1 and message.cookie_length >= 8 else 0
        end = int(message.question_end)
        limit = 0xFFFF
        if not tcp:
            limit = min(max(int(message.edns_size), 512), udp) if edns == 1 else 512
            if not verified[i]:
                limit = min(limit, int(length[i] * factor))
        if chosen == SIZE:
            least = end + 13  # a record with one empty character string, its name a pointer
            if edns == 1:
                least += 11 + (4 + cookie if cookie > 0 else 0)
            if max(least, int(names[i].step)) > limit:
                chosen = TRUNCATED
        shape[i] = chosen
        row = shapes[chosen]
        count += row.rare
        reply.flags = message.flags & KEPT | QR | row.flags
        reply.rcode = row.rcode
        reply.first_record = row.first + row.per_row * i + row.per_offset * (end - 4 - zone)
        reply.record_count = row.count
        reply.limit = limit
        reply.edns = edns
        reply.edns_size = udp
        reply.cookie_start = cookies + COOKIE * i
        reply.cookie_length = cookie
        reply.nsid_start = nsid
        reply.nsid_length = nsid_octets if edns == 1 and message.nsid_start > 0 else 0
        reply.ede = row.ede if edns == 1 else 0
        reply.drop = chosen == DROP
    return count
