"""What the answer section says about the asked name, and a hash of it: used by `message_decode`."""

import numpy as np

from dnsonde.wire._kernels.jit import helper
from dnsonde.wire._kernels.names import above_name, eight, expand_name, octet, same_name, skip_name

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, DNAME = 1, 2, 5, 6, 12, 15, 16, 28, 39
IN = 1
MAPPED = 0xFFFF_0000_0000

MAX_CHAIN = 16  # names followed; longer chains than this resolvers refuse too
NAME = 256  # room for one name in the scratch
SCRATCH = MAX_CHAIN * NAME  # octets of scratch that a decoding needs
UNWRITTEN = 255  # in place of a label's length: the asked name was not yet needed in lower case

_PRIME = np.uint64(0x9E37_79B9_7F4A_7C15)
_MIX1 = np.uint64(0xFF51_AFD7_ED55_8CCD)
_MIX2 = np.uint64(0xC4CE_B9FE_1A85_EC53)
_33 = np.uint64(33)
_8 = np.uint64(8)
_0, _1, _2, _3 = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)


@helper
def u16(data, at):
    """Two octets, big-endian."""
    at = np.uint64(at)
    return np.int64(data[at]) << 8 | np.int64(data[at + _1])


@helper
def u32(data, at):
    """Four octets, big-endian."""
    at = np.uint64(at)
    return (
        np.int64(data[at]) << 24
        | np.int64(data[at + _1]) << 16
        | np.int64(data[at + _2]) << 8
        | np.int64(data[at + _3])
    )


@helper
def i64(data, at):
    """Eight octets, big-endian, two's complement."""
    return u32(data, at) << 32 | u32(data, at + 4)


@helper
def _mix_octets(data, at, octets, h):
    """Stir octets into `h`, little-endian words of eight, the last one zero-padded."""
    stop = at + octets
    while at + 8 <= stop:
        h = (h ^ eight(data, at)) * _PRIME
        h ^= h >> _33
        at += 8
    if at < stop:
        word = _0
        for k in range(stop - at):
            word |= np.uint64(data[np.uint64(at + k)]) << (np.uint64(k) * _8)
        h = (h ^ word) * _PRIME
        h ^= h >> _33
    return h


@helper
def _mix_name(data, base, pos, h):
    """Stir a checked name into `h`, uncompressed and in lower case, octet by octet."""
    while True:
        size = octet(data, base + pos)
        if size >= 192:
            pos = (size & 63) << 8 | octet(data, base + pos + 1)
            continue
        for k in range(size + 1):
            c = octet(data, base + pos + k)
            if 65 <= c <= 90:
                c += 32
            h = (h ^ np.uint64(c)) * _PRIME
        if size == 0:
            return h ^ h >> _33
        pos += size + 1


@helper
def record_hash(data, base, end, kind, start, octets, has_names):
    """64 bits of a record's type and rdata; names in it (`has_names`: they were checked) uncompressed."""
    h = np.uint64(kind + 1) * _PRIME
    h ^= h >> _33
    if has_names:
        if kind == MX:
            h = _mix_octets(data, base + start, 2, h)
            h = _mix_name(data, base, start + 2, h)
        elif kind == SOA:
            h = _mix_name(data, base, start, h)
            after = skip_name(data, base, end, start)[0]
            h = _mix_name(data, base, after, h)
            h = _mix_octets(data, base + start + octets - 20, 20, h)
        else:
            h = _mix_name(data, base, start, h)
    else:
        h = _mix_octets(data, base + start, octets, h)
    h ^= h >> _33
    h *= _MIX1
    h ^= h >> _33
    h *= _MIX2
    h ^= h >> _33
    return h


@helper
def skip_owner(data, base, end, pos, rec):
    """`names.skip_name` of a record's owner; a pointer to the asked name, as most are, need not be walked again."""
    if pos + 2 <= end and rec.qname_length > 0 and u16(data, base + pos) == 0xC00C:
        return pos + 2, int(rec.qname_length), int(rec.qname_labels), 0
    return skip_name(data, base, end, pos)


@helper
def _is_at(data, base, owner, octets, position, want, at, want_octets):
    """Whether `owner` is the name `want[at:]`, which stands at `position` in the message (-1: nowhere)."""
    if octets != want_octets:
        return False
    if position < 0x4000 and u16(data, base + owner) == 0xC000 | position:  # pointers have 14 bits
        return True
    if want[at] == UNWRITTEN:
        expand_name(data, base, position, want, at)
    return same_name(data, base, owner, want, at)


@helper
def follow(data, base, end, start, rec, want):
    """Collect addresses and text at the asked name from the checked answer section at `start`.

    `want` is SCRATCH octets, and begins with the asked name in lower case or UNWRITTEN. CNAMEs, and DNAMEs where
    no CNAME was sent (RFC 6672, 3.3), are followed in whatever order they stand, each name once.
    """
    octets = int(rec.qname_length)
    position = 12
    chain = 0
    found = 0
    while True:
        at = chain * NAME
        next_name = -1
        dname = -1
        kept = 0
        pos = start
        for _ in range(rec.ancount):
            owner = pos
            pos, owner_octets, _labels, _status = skip_owner(data, base, end, owner, rec)
            kind = u16(data, base + pos)
            group = u16(data, base + pos + 2)
            rdata = pos + 10
            size = u16(data, base + pos + 8)
            pos = rdata + size
            if group != int(rec.qclass):
                continue
            if _is_at(data, base, owner, owner_octets, position, want, at, octets):
                if group == IN and kind in (A, AAAA):
                    if found < 4:
                        if kind == A:
                            rec.address_host[found] = MAPPED | u32(data, base + rdata)
                        else:
                            rec.address_net[found] = i64(data, base + rdata)
                            rec.address_host[found] = i64(data, base + rdata + 8)
                    found += 1
                elif kind == TXT and size > 0 and rec.txt_length == 0:
                    rec.txt_start = rdata
                    rec.txt_length = size
                elif kind == CNAME and group == IN and next_name < 0:
                    next_name = rdata
            elif kind == DNAME and group == IN and dname < 0 and owner_octets < octets:
                if want[at] == UNWRITTEN:
                    expand_name(data, base, position, want, at)
                left = above_name(data, base, owner, owner_octets, want, at, octets)
                if left > 0:
                    dname = rdata
                    kept = left
        rec.address_count = found
        if next_name >= 0:
            kept = 0
            position = next_name
            rec.cname_count += 1
        else:
            position = -1
            next_name = dname
        chain += 1
        if next_name < 0 or chain == MAX_CHAIN:
            return
        tail = skip_name(data, base, end, next_name)[1]
        if kept + tail > 255:  # YXDOMAIN (RFC 6672, 2.2)
            return
        for k in range(kept):
            want[chain * NAME + k] = want[at + k]
        octets = kept + expand_name(data, base, next_name, want, chain * NAME + kept)
        if want[0] == UNWRITTEN and octets == int(rec.qname_length):
            expand_name(data, base, 12, want, 0)
        for seen in range(chain):
            k = 0
            while k < octets and want[seen * NAME + k] == want[chain * NAME + k]:
                k += 1
            if k == octets:
                return
