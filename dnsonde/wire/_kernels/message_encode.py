"""Rows to DNS messages (RFC 1035, 4; RFC 6891). Called from `wire.encode` only."""

import numpy as np

from dnsonde.wire._kernels.jit import borrowed, helper, kernel
from dnsonde.wire._kernels.siphash import tag
from dnsonde.wire.codes import EdnsOption

NSID = int(EdnsOption.NSID)
COOKIE = int(EdnsOption.COOKIE)
EDE = int(EdnsOption.EDE)
TC = 0x0200
DO = 0x8000
RD = 0x0100

_4 = np.uint64(4)
_15 = np.uint64(15)
_16 = np.uint64(16)
_32 = np.uint64(32)
_FFFF = np.uint64(0xFFFF)


@helper
def _put16(out, at, value):
    out[at] = value >> 8 & 0xFF
    out[at + 1] = value & 0xFF


@helper
def _put_hex(out, at, value, digits):
    for k in range(digits):
        d = np.int64(value & _15)
        value >>= _4
        out[at + digits - 1 - k] = d + 48 + (39 if d > 9 else 0)


@kernel
def encode_probes(out, stride, length, targets, attempts, kind, run, k0, k1, edns, tail):
    """One query a row: header, target label, and `tail`, which all rows share (rest of the name, type, OPT)."""
    out, tail = borrowed(out), borrowed(tail)
    for i in range(targets.size):
        net = targets[i].net
        host = targets[i].host
        attempt = np.int64(attempts[i])
        secret = tag(net, host, attempt, kind, run, k0, k1)
        at = i * stride
        _put16(out, at, np.int64((secret ^ secret >> _16 ^ secret >> _32) & _FFFF))
        _put16(out, at + 2, RD)
        _put16(out, at + 4, 1)
        _put16(out, at + 6, 0)
        _put16(out, at + 8, 0)
        _put16(out, at + 10, edns)
        at += 12
        if net == 0 and host >> 32 == 0xFFFF:
            out[at] = 21
            _put_hex(out, at + 1, np.uint64(host), 8)
            at += 9
        else:
            out[at] = 45
            _put_hex(out, at + 1, np.uint64(net), 16)
            _put_hex(out, at + 17, np.uint64(host), 16)
            at += 33
        _put_hex(out, at, np.uint64(attempt), 1)
        _put_hex(out, at + 1, secret, 12)
        at += 13
        for k in range(tail.size):
            out[at + k] = tail[k]
        length[i] = at + tail.size - i * stride


@kernel
def probe_text(targets, attempts, kind, run, k0, k1, tail, out, ends, tags):
    """The names that `encode_probes` asks for as text, `tail` behind each, and their tags; octets of `out` used."""
    out, tail = borrowed(out), borrowed(tail)
    at = 0
    ends[0] = 0
    for i in range(targets.size):
        net = targets[i].net
        host = targets[i].host
        attempt = np.int64(attempts[i])
        secret = tag(net, host, attempt, kind, run, k0, k1)
        if net == 0 and host >> 32 == 0xFFFF:
            _put_hex(out, at, np.uint64(host), 8)
            at += 8
        else:
            _put_hex(out, at, np.uint64(net), 16)
            _put_hex(out, at + 16, np.uint64(host), 16)
            at += 32
        _put_hex(out, at, np.uint64(attempt), 1)
        _put_hex(out, at + 1, secret, 12)
        at += 13
        for k in range(tail.size):
            out[at + k] = tail[k]
        at += tail.size
        ends[i + 1] = at
        tags[i] = secret
    return at


@helper
def _put_octets(out, at, blob, start, octets):
    for k in range(octets):
        out[at + k] = blob[start + k]


@helper
def _put_option(out, at, code, blob, start, octets):
    _put16(out, at, code)
    _put16(out, at + 2, octets)
    _put_octets(out, at + 4, blob, start, octets)
    return at + 4 + octets


@helper
def _within(start, octets, size):
    return octets == 0 or (start >= 0 and start <= size - octets)


@helper
def _put_opt(out, at, reply, do, blob, room):
    """The OPT record (RFC 6891, 6.1.2); its octets, and whether the extended error had no room.

    The COOKIE option (RFC 7873, 4) always stays. The extended error (RFC 8914, 2) and then NSID (RFC 5001, 2.3)
    are there where they fit into `room` more octets.
    """
    cookie = np.int64(reply.cookie_length)
    out[at] = 0
    _put16(out, at + 1, 41)
    _put16(out, at + 3, np.int64(reply.edns_size))
    out[at + 5] = np.int64(reply.rcode) >> 4 & 0xFF
    out[at + 6] = 0
    _put16(out, at + 7, do)
    end = at + 11
    if cookie > 0:
        end = _put_option(out, end, COOKIE, blob, np.int64(reply.cookie_start), cookie)
    short = reply.ede > 0 and room < 6
    if reply.ede > 0 and not short:
        _put16(out, end, EDE)
        _put16(out, end + 2, 2)
        _put16(out, end + 4, np.int64(reply.ede) - 1)
        end += 6
        room -= 6
    nsid = np.int64(reply.nsid_length)
    if nsid > 0 and 4 + nsid <= room:
        end = _put_option(out, end, NSID, blob, np.int64(reply.nsid_start), nsid)
    _put16(out, at + 9, end - at - 11)
    return end - at, short


@helper
def _response(data, base, message, reply, records, blob, out, at, stride):
    """One response to `out[at:]`; its octets, or -1 where a specification points outside its arrays."""
    first = np.int64(reply.first_record)
    count = np.int64(reply.record_count)
    asked = message.qname_length > 0
    question = np.int64(message.question_end) if asked else 12
    edns = 0
    if reply.edns != 0:
        edns = 11 + (4 + np.int64(reply.cookie_length) if reply.cookie_length > 0 else 0)
    limit = np.int64(reply.limit)
    if limit == 0 or limit > stride:
        limit = stride
    limit -= edns
    if (
        not _within(first, count, records.size)
        or not _within(np.int64(reply.cookie_start), np.int64(reply.cookie_length), blob.size)
        or not _within(np.int64(reply.nsid_start), np.int64(reply.nsid_length), blob.size)
        or base < 0
        or base > data.size - question
        or question + edns > stride
    ):
        return -1
    flags = np.int64(reply.flags) & 0xFFF0 | np.int64(reply.rcode) & 15
    counts1 = 0
    counts2 = 0
    counts3 = 0
    out[at] = data[base]
    out[at + 1] = data[base + 1]
    for k in range(12, question):
        out[at + k] = data[base + k]
    used = question
    for r in range(first, first + count):
        spec = records[r]
        start = np.int64(spec.name_start)
        name = 2 if start < 0 else np.int64(spec.name_length)
        octets = np.int64(spec.rdata_length)
        if not _within(np.int64(spec.rdata_start), octets, blob.size) or (start < 0 and not asked):
            return -1
        if start >= 0 and (name == 0 or not _within(start, name, blob.size)):
            return -1
        if used + name + 10 + octets > limit:
            if spec.section == 3:  # additional data may be missing (RFC 2181, 9)
                continue
            flags |= TC
            used = question
            counts1 = counts2 = counts3 = 0
            break
        to = at + used
        if start < 0:
            _put16(out, to, 0xC00C)
        else:
            _put_octets(out, to, blob, start, name)
        to += name
        _put16(out, to, np.int64(spec.type))
        _put16(out, to + 2, np.int64(spec["class"]))
        _put16(out, to + 4, np.int64(spec.ttl) >> 16)
        _put16(out, to + 6, np.int64(spec.ttl))
        _put16(out, to + 8, octets)
        _put_octets(out, to + 10, blob, np.int64(spec.rdata_start), octets)
        used += name + 10 + octets
        counts1 += spec.section == 1
        counts2 += spec.section == 2
        counts3 += spec.section == 3
    if edns > 0:
        do = np.int64(message.edns_flags) & DO
        octets, short = _put_opt(out, at + used, reply, do, blob, limit - used)
        if short:  # RFC 8914, 3
            flags |= TC
        used += octets
        counts3 += 1
    _put16(out, at + 2, flags)
    _put16(out, at + 4, 1 if asked else 0)
    _put16(out, at + 6, counts1)
    _put16(out, at + 8, counts2)
    _put16(out, at + 10, counts3)
    return used


@kernel
def encode_responses(data, offset, messages, replies, records, blob, out, stride, length):
    """One response a row; returns the first row whose specification is wrong (its length is 0), or -1."""
    data, records, blob, out = borrowed(data), borrowed(records), borrowed(blob), borrowed(out)
    wrong = -1
    for i in range(offset.size):
        octets = 0
        if replies[i].drop == 0 and messages[i].status != 1:
            octets = _response(
                data, offset[i], messages[i], replies[i], records, blob, out, i * stride, stride
            )
            if octets < 0:
                octets = 0
                if wrong < 0:
                    wrong = i
        length[i] = octets
    return wrong
