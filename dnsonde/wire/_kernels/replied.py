"""What came back to a prober, row by row: whose it is, what it says and teaches. Called from `wire.replied` only."""

import numpy as np

from dnsonde.wire._kernels.jit import borrowed, helper, kernel
from dnsonde.wire._kernels.message_decode import MAX_MESSAGE, SHORT_HEADER, TRAILING, read_message
from dnsonde.wire._kernels.names import OK
from dnsonde.wire._kernels.permute import range_position
from dnsonde.wire._kernels.probe_name import FOREIGN, PROBE, SIZE, SWEEP, classify
from dnsonde.wire._kernels.siphash import tag
from dnsonde.wire.codes import Class, Flag, Rcode

ANSWERED, ICMP, MISMATCHED, FORGED, MALFORMED = 0, 1, 2, 3, 4
CONCLUSIVE = 1  # a lesson: the sweep is over for the target
PROVEN = 2  # it gave our control address, so it resolves
PLAIN = 4  # it may not know EDNS, and is to be asked again without (RFC 6891, 6.2.2)
NO_KIND = 255
KEPT = 4  # addresses that MESSAGE keeps of an answer
IN = int(Class.IN)
QR = int(Flag.QR)
TC = int(Flag.TC)
NOERROR, FORMERR, SERVFAIL, NOTIMP = (
    int(Rcode.NOERROR),
    int(Rcode.FORMERR),
    int(Rcode.SERVFAIL),
    int(Rcode.NOTIMP),
)
BADVERS = int(Rcode.BADVERS)

_0 = np.uint64(0)
_16 = np.uint64(16)
_32 = np.uint64(32)
_FFFF = np.uint64(0xFFFF)


@helper
def _blank(octets):
    for k in range(octets.size):
        octets[k] = 0


@helper
def _decode(data, base, octets, rec, want):
    """One message into `rec`, which is blank; its status."""
    rec.question_end = 12
    rec.edns_version = -1
    rec.ede = -1
    rec.ttl_min = -1
    if octets < 12 or base < 0 or base > data.size - octets:
        return SHORT_HEADER
    status = read_message(data, base, min(octets, MAX_MESSAGE), rec, want)
    return TRAILING if status == OK and octets > MAX_MESSAGE else status


@helper
def _is_known(data, base, rec, known):
    """Whether the message asks for the lower-case wire name `known`, in any case."""
    size = known.size
    if np.int64(rec.qname_length) != size or np.int64(rec.question_end) != 16 + size:
        return False
    for k in range(size):
        c = int(data[base + 12 + k])
        if 65 <= c <= 90:
            c += 32
        if c != int(known[k]):
            return False
    return True


@helper
def _parse(data, base, rec, zone, name):
    """The name that the message asks for, into `name`, which is blank."""
    octets = np.int64(rec.qname_length)
    name.mixed_case = rec.mixed_case
    name.status = FOREIGN if octets < zone.size else classify(data, base + 12, octets, zone, name)


@helper
def _by_name(name, start, first, number, run, k0, k1, row):
    """Attribute one message by the name that it asks for, as it was parsed; an outcome."""
    row.question_intact = not name.mixed_case
    if name.status != PROBE or name.run != number:
        return MISMATCHED
    net = name.target.net
    host = name.target.host
    if name.tag != tag(net, host, name.attempt, name.kind, run, k0, k1):
        return FORGED
    index = range_position(net, host, start, first)
    if index < 0:
        return MISMATCHED
    row.index = index
    row.target.net = net
    row.target.host = host
    row.kind = name.kind
    row.attempt = name.attempt
    return ANSWERED


@helper
def _by_id(number, net, host, start, first, attempts, run, k0, k1, row):
    """Attribute by the address that it is about and the keyed id; an outcome."""
    index = range_position(net, host, start, first)
    if index < 0:
        return MISMATCHED
    for attempt in range(attempts, 0, -1):
        secret = tag(net, host, attempt, SWEEP, run, k0, k1)
        if np.int64((secret ^ secret >> _16 ^ secret >> _32) & _FFFF) == number:
            row.index = index
            row.target.net = net
            row.target.host = host
            row.kind = SWEEP
            row.attempt = attempt
            return ANSWERED
    return FORGED


@helper
def _describe(rec, control, qtype, row):
    """What the message says of itself."""
    row.decoded = True
    row.rcode = rec.rcode
    row.flags = rec.flags
    row.records = rec.ancount
    row.answers = rec.address_count
    row.ttl_min = rec.ttl_min
    row.ede = rec.ede
    row.edns_size = np.int64(rec.edns_size) if rec.edns_version >= 0 else -1
    asked = rec.qdcount == 1 and rec.qclass == IN and (rec.qtype == qtype or row.kind == SIZE)
    row.question_intact = row.question_intact and asked
    if row.outcome == ANSWERED and rec.ancount == 0:
        row.authority_ns = rec.authority_ns
    ours = 0
    others = 0
    for k in range(min(np.int64(rec.address_count), KEPT)):
        net = rec.address_net[k]
        host = rec.address_host[k]
        mine = False
        for c in range(control.size):
            mine = mine or (control[c].net == net and control[c].host == host)
        if mine:
            ours += 1
            continue
        if others == 0:
            row.answer1.net = net
            row.answer1.host = host
        elif others == 1:
            row.answer2.net = net
            row.answer2.host = host
        others += 1
    row.control = ours > 0
    row.others = np.int64(rec.address_count) - ours


@kernel
def read(
    data, offset, length, peers, quoted, now_us, zone, known, start, first, control, qtype, attempts,
    number, run, k0, k1, messages, message_octets, names, name_octets, want, out,
):  # fmt: skip
    """Fill `out` (zeroed REPLIED rows) from datagrams; of `quoted` ones, only whose they are.

    `messages` and `names` are one row each to work in, `message_octets` and `name_octets` their octets; where
    `name_octets` is empty, `names` are the datagrams' own, parsed already.
    """
    data, zone, known, want = borrowed(data), borrowed(zone), borrowed(known), borrowed(want)
    rec = messages[0]
    for i in range(offset.size):
        row = out[i]
        base = offset[i]
        octets = np.int64(length[i])
        _blank(message_octets)
        status = _decode(data, base, octets, rec, want)
        net = peers[i].net
        host = peers[i].host
        row.index = -1
        row.kind = NO_KIND
        row.time_us = peers[i].time_us if peers[i].time_us != 0 else now_us
        row.responder.net = net
        row.responder.host = host
        row.responder_port = peers[i].port
        row.ip_ttl = peers[i].ttl
        row.response_bytes = peers[i].full_length
        row.ede = -1
        row.ttl_min = -1
        row.edns_size = -1
        outcome = MISMATCHED
        if status == OK:
            nameless = rec.qdcount == 0
            if known.size > 0:
                if nameless or _is_known(data, base, rec, known):
                    row.question_intact = True
                    outcome = _by_id(np.int64(rec.id), net, host, start, first, attempts, run, k0, k1, row)
            elif nameless:
                outcome = _by_id(np.int64(rec.id), net, host, start, first, attempts, run, k0, k1, row)
            else:
                name = names[i if name_octets.size == 0 else 0]
                if name_octets.size > 0:
                    _blank(name_octets)
                    _parse(data, base, rec, zone, name)
                outcome = _by_name(name, start, first, number, run, k0, k1, row)
        if quoted:
            # A router need not quote all of it: what has no readable name is told by address and id.
            if outcome == MISMATCHED and octets >= 2 and 0 <= base <= data.size - octets:
                told = np.int64(data[base]) << 8 | np.int64(data[base + 1])
                outcome = _by_id(told, net, host, start, first, attempts, run, k0, k1, row)
            row.outcome = ICMP if outcome == ANSWERED else MISMATCHED
            row.question_intact = False
            continue
        if status != OK:
            row.outcome = MALFORMED
            continue
        row.outcome = outcome
        _describe(rec, control, qtype, row)


@helper
def _set(bits, index):
    """Set a bit; 1 where it was clear."""
    at = index >> 3
    mask = 1 << (index & 7)
    octet = int(bits[at])
    if octet & mask != 0:
        return 0
    bits[at] = octet | mask
    return 1


@helper
def _final(row):
    """Whether an ICMP error will not be another one next time: unreachable as such, or prohibited."""
    kind = row.icmp_type
    code = row.icmp_code
    if row.target.net == 0 and row.target.host >> 32 == 0xFFFF:
        return kind == 3 and (code == 2 or code == 3 or code == 9 or code == 10 or code == 13)
    return kind == 1 and (code == 1 or code == 4 or code == 5 or code == 6)


@helper
def _lesson(row, last):
    """What a reply teaches of its target: CONCLUSIVE, PROVEN and PLAIN, as bits."""
    if row.kind != SWEEP:
        return 0
    if row.outcome == ICMP:
        return CONCLUSIVE if _final(row) else 0
    if row.outcome != ANSWERED:
        return 0
    flags = np.int64(row.flags)
    rcode = np.int64(row.rcode)
    cut = flags & TC != 0 and row.answers == 0
    if flags & QR == 0:
        return 0 if cut or rcode == SERVFAIL else CONCLUSIVE
    told = 0
    if rcode == NOERROR and row.control:
        told = PROVEN
    if row.attempt < last and rcode in (FORMERR, NOTIMP, BADVERS):
        return told | PLAIN
    return told if cut or rcode == SERVFAIL else told | CONCLUSIVE


@kernel
def learn(rows, answered, recursive, plain, heard, kind, attempt, last, outcomes, fresh):
    """Set the bits of what rows of targets teach: the index of each row is within the bitmaps.

    `last`: the sweep's last attempt, which is made without EDNS, or is the only one.

    `heard` gets whoever replied in round (`kind`, `attempt`); empty where nobody asks. `outcomes` (5) gets a count of
    each added, `fresh` (4) how many bits were clear of answered, recursive, plain, heard.
    """
    for i in range(rows.size):
        row = rows[i]
        outcomes[row.outcome] += 1
        index = row.index
        if index < 0:
            continue
        if heard.size > 0 and row.kind == kind and row.attempt == attempt:
            fresh[3] += _set(heard, index)
        told = _lesson(row, last)
        if told & CONCLUSIVE != 0:
            fresh[0] += _set(answered, index)
        if told & PROVEN != 0:
            fresh[1] += _set(recursive, index)
        if told & PLAIN != 0:
            fresh[2] += _set(plain, index)
