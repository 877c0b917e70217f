"""DNS messages to rows (RFC 1035, 4; RFC 6891). Called from `wire.decode` only."""

import numpy as np

from dnsonde.wire._kernels.answers import (
    AAAA,
    CNAME,
    DNAME,
    IN,
    MAPPED,
    MX,
    NS,
    PTR,
    SOA,
    TXT,
    UNWRITTEN,
    A,
    follow,
    i64,
    record_hash,
    skip_owner,
    u16,
    u32,
)
from dnsonde.wire._kernels.jit import borrowed, helper, kernel
from dnsonde.wire._kernels.names import OK, TRUNCATED, above_name, expand_name, mixed_case, octet, skip_name
from dnsonde.wire.codes import EdnsOption, Status, Type

SHORT_HEADER = int(Status.SHORT_HEADER)
BAD_RDATA = int(Status.BAD_RDATA)
BAD_EDNS = int(Status.BAD_EDNS)
TRAILING = int(Status.TRAILING)
OPT = int(Type.OPT)
NSID = int(EdnsOption.NSID)
ECS = int(EdnsOption.ECS)
COOKIE = int(EdnsOption.COOKIE)
EDE = int(EdnsOption.EDE)
MAX_MESSAGE = 65535


@helper
def _subnet(data, at, octets, rec):
    """One client subnet option (RFC 7871, 6) at `data[at:]`; left out where it is malformed."""
    if octets < 4:
        return
    family = u16(data, at)
    source = int(data[at + 2])
    width = 32 if family == 1 else 128
    if family < 1 or family > 2 or source > width or octets - 4 != (source + 7) // 8:
        return
    net = 0
    host = 0
    for k in range(octets - 4):
        octet = int(data[at + 4 + k])
        if k == source // 8:
            octet &= 0xFF00 >> (source % 8)
        if family == 1:
            host |= octet << (24 - 8 * k)
        elif k < 8:
            net |= octet << (56 - 8 * k)
        else:
            host |= octet << (120 - 8 * k)
    rec.ecs_family = family
    rec.ecs_source = source
    rec.ecs_scope = data[at + 3]
    rec.ecs.net = net
    rec.ecs.host = MAPPED | host if family == 1 else host


@helper
def _options(data, base, pos, stop, rec):
    """EDNS options (RFC 6891, 6.1.2), the first of each kind; a status."""
    while pos < stop:
        if pos + 4 > stop:
            return BAD_EDNS
        code = u16(data, base + pos)
        octets = u16(data, base + pos + 2)
        pos += 4
        if pos + octets > stop:
            return BAD_EDNS
        if code == COOKIE:
            if rec.cookie_length == 0:
                rec.cookie_start = pos
                rec.cookie_length = min(octets, 255)
        elif code == ECS:
            if rec.ecs_family == 0:
                _subnet(data, base + pos, octets, rec)
        elif code == NSID:
            if rec.nsid_length == 0:
                rec.nsid_start = pos
                rec.nsid_length = octets
        elif code == EDE and rec.ede < 0 and octets >= 2:
            rec.ede = u16(data, base + pos)
        pos += octets
    return OK


@helper
def _check_rdata(data, base, end, kind, pos, stop):
    """Whether rdata of class IN is as long as its type says; a status. Names may point outside, not end there."""
    if kind == A:
        return OK if stop - pos == 4 else BAD_RDATA
    if kind == AAAA:
        return OK if stop - pos == 16 else BAD_RDATA
    if kind == TXT:
        if pos == stop:
            return BAD_RDATA
        while pos < stop:
            pos += octet(data, base + pos) + 1
        return OK if pos == stop else BAD_RDATA
    names = 1
    if kind == MX:
        pos += 2
    elif kind == SOA:
        names = 2
        stop -= 20
    elif kind != NS and kind != CNAME and kind != PTR and kind != DNAME:
        return OK
    for _ in range(names):
        if pos >= stop:
            return BAD_RDATA
        pos, _octets, _labels, status = skip_name(data, base, end, pos)
        if status != OK:
            return status
    return OK if pos == stop else BAD_RDATA


@helper
def _has_names(kind):
    return kind in (NS, CNAME, SOA, PTR, MX, DNAME)


@helper
def _questions(data, base, end, rec):
    """The question section: (position after it, status)."""
    pos = 12
    for q in range(rec.qdcount):
        pos, octets, labels, status = skip_name(data, base, end, pos)
        if status != OK:
            return pos, status
        if pos + 4 > end:
            return pos, TRUNCATED
        if q == 0:
            rec.mixed_case = mixed_case(data, base + 12, octets)
            rec.qname_length = octets
            rec.qname_labels = labels
            rec.qtype = u16(data, base + pos)
            rec.qclass = u16(data, base + pos + 2)
            rec.question_end = pos + 4
        pos += 4
    return pos, OK


@helper
def _records(data, base, end, pos, rec, want):
    """Check every record, and take EDNS, the least TTL, the hash and the referral from them; a status."""
    answers = int(rec.ancount)
    authority = answers + int(rec.nscount)
    total = authority + int(rec.arcount)
    ttl_min = -1
    digest = np.uint64(0)
    for r in range(total):
        owner = pos
        pos, octets, _labels, status = skip_owner(data, base, end, owner, rec)
        if status != OK:
            return status
        if pos + 10 > end:
            return TRUNCATED
        kind = u16(data, base + pos)
        group = u16(data, base + pos + 2)
        ttl = u32(data, base + pos + 4)
        rdata = pos + 10
        pos = rdata + u16(data, base + pos + 8)
        if pos > end:
            return TRUNCATED
        if kind == OPT:
            if r < authority or octets != 1 or rec.edns_version >= 0:
                return BAD_EDNS
            rec.edns_size = group
            rec.edns_version = ttl >> 16 & 0xFF
            rec.edns_flags = ttl & 0xFFFF
            rec.rcode = (ttl >> 24) << 4 | int(rec.flags) & 15
            status = _options(data, base, rdata, pos, rec)
            if status != OK and rec.edns_version == 0:  # of later versions we know nothing
                return status
            continue
        if group == IN:
            status = _check_rdata(data, base, end, kind, rdata, pos)
            if status != OK:
                return status
        if r < answers:
            if ttl > 0x7FFF_FFFF:
                ttl = 0
            if ttl_min < 0 or ttl < ttl_min:
                ttl_min = ttl
            names = group == IN and _has_names(kind)
            digest += record_hash(data, base, end, kind, rdata, pos - rdata, names)
        elif r < authority and kind == NS and rec.qname_length > 0 and group == int(rec.qclass):
            if want[0] == UNWRITTEN:
                expand_name(data, base, 12, want, 0)
            if above_name(data, base, owner, octets, want, 0, int(rec.qname_length)) >= 0:
                rec.authority_ns += 1
    rec.ttl_min = ttl_min
    if answers > 0:
        rec.answer_hash = np.int64(digest) if digest != np.uint64(0) else 1
    return OK if pos == end else TRAILING


@helper
def read_message(data, base, end, rec, want):
    """One message of at least 12 octets; a status. What was read before a fault stays."""
    flags = u16(data, base + 2)
    rec.id = u16(data, base)
    rec.flags = flags
    rec.opcode = flags >> 11 & 15
    rec.rcode = flags & 15
    rec.qdcount = u16(data, base + 4)
    rec.ancount = u16(data, base + 6)
    rec.nscount = u16(data, base + 8)
    rec.arcount = u16(data, base + 10)
    start, status = _questions(data, base, end, rec)
    if status != OK:
        return status
    asked = rec.qname_length > 0
    want[0] = UNWRITTEN
    status = _records(data, base, end, start, rec, want)
    if asked and rec.ancount > 0 and status in (OK, TRAILING):
        follow(data, base, end, start, rec, want)
    return status


@kernel
def decode_messages(data, offset, length, out, want):
    """Fill `out` (zeroed MESSAGE rows), one a message; `want` is SCRATCH octets."""
    data, want = borrowed(data), borrowed(want)
    for i in range(offset.size):
        base = offset[i]
        octets = np.int64(length[i])
        rec = out[i]
        rec.question_end = 12
        rec.edns_version = -1
        rec.ede = -1
        rec.ttl_min = -1
        if octets < 12 or base < 0 or base > data.size - octets:
            rec.status = SHORT_HEADER
            continue
        status = read_message(data, base, min(octets, MAX_MESSAGE), rec, want)
        rec.status = TRAILING if status == OK and octets > MAX_MESSAGE else status


@kernel
def decode_records(data, offset, length, messages, out):
    """Fill `out` (zeroed RECORD rows) with every record of the messages that are OK; returns how many."""
    data = borrowed(data)
    filled = 0
    for i in range(offset.size):
        message = messages[i]
        base = offset[i]
        end = np.int64(length[i])
        if message.status != OK or base < 0 or base > data.size - end:
            continue
        answers = int(message.ancount)
        authority = answers + int(message.nscount)
        pos = 12
        for _ in range(message.qdcount):
            pos = skip_name(data, base, end, pos)[0] + 4
        for r in range(authority + int(message.arcount)):
            owner = pos
            pos, _octets, _labels, status = skip_name(data, base, end, owner)
            if status != OK or pos + 10 > end or filled >= out.size:
                return -1  # not the batch that was decoded
            rec = out[filled]
            filled += 1
            kind = u16(data, base + pos)
            octets = u16(data, base + pos + 8)
            rec.message = i
            rec.section = 1 if r < answers else 2 if r < authority else 3
            rec.name_start = owner
            rec.type = kind
            rec["class"] = u16(data, base + pos + 2)
            rec.ttl = u32(data, base + pos + 4)
            rec.rdata_start = pos + 10
            rec.rdata_length = octets
            pos += 10
            if pos + octets > end:
                return -1
            if kind == A and octets == 4:
                rec.address.host = MAPPED | u32(data, base + pos)
            elif kind == AAAA and octets == 16:
                rec.address.net = i64(data, base + pos)
                rec.address.host = i64(data, base + pos + 8)
            pos += octets
    return filled
