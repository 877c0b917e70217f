"""Kernels: DNS messages straight to columns, each asked name known once. Called from `wire.columns` only.

A row a message would be written to memory and read again for every column; here one row stays in the first cache.
Traffic asks the same names over and over, so that whatever is true of a name is worked out once a batch.
"""

import numpy as np

from dnsonde.wire._kernels.jit import borrowed, helper, kernel
from dnsonde.wire._kernels.message_decode import MAX_MESSAGE, SHORT_HEADER, TRAILING, read_message
from dnsonde.wire._kernels.names import OK, name_hash, same_octets

# Rows of the outputs; `wire.columns` has their names.
ANSWER_HASH, ANSWER_NET, ANSWER_HOST, TTL_MIN, ECS_NET, ECS_HOST = range(6)
(
    ID,
    RCODE,
    QDCOUNT,
    ANCOUNT,
    NSCOUNT,
    ARCOUNT,
    QTYPE,
    QCLASS,
    EDNS_SIZE,
    EDE,
    ANSWERS,
    NSID_START,
    NSID_LENGTH,
) = range(13)
STATUS, OPCODE, ECS_SOURCE = range(3)
LANES = 3  # of eight bits each: what a message is, its flags, what it carries
(
    IS_HEADED, IS_RESPONSE, IS_ASKED, IS_REPLY, IS_MIXED, HAS_COOKIE, HAS_EDNS, HAS_DO,
    FLAG_AA, FLAG_TC, FLAG_RD, FLAG_RA, FLAG_AD, FLAG_CD, HAS_ECS, HAS_NSID,
    HAS_ANSWER, HAS_EDE, HAS_TTL,
) = range(19)  # fmt: skip

_8 = np.uint64(8)
_7, _14, _28 = np.uint64(7), np.uint64(14), np.uint64(28)
_MASK7 = np.uint64(0x00AA00AA00AA00AA)
_MASK14 = np.uint64(0x0000CCCC0000CCCC)
_MASK28 = np.uint64(0x00000000F0F0F0F0)
_OCTET = np.uint64(255)


@helper
def _number(data, at, octets, keys, slots, names, count):
    """(number of this name among the `names` seen so far, how many there are now)."""
    state = name_hash(data, at, octets, keys)
    mask = np.uint64(slots.size - 1)
    slot = state & mask
    while True:
        number = np.int64(slots[slot])
        if number == 0:
            slots[slot] = count
            names[count, 0] = at
            names[count, 1] = octets
            names[count, 2] = np.int64(state)
            return count, count + 1
        if (
            names[number, 2] == np.int64(state)
            and names[number, 1] == octets
            and same_octets(data, names[number, 0], at, octets)
        ):
            return number, count
        slot = (slot + np.uint64(1)) & mask


@helper
def _marks(rec, headed):
    """The bits of one row."""
    flags = int(rec.flags)
    response = flags >> 15 & 1
    mark = headed | response << IS_RESPONSE | (headed & response) << IS_REPLY
    mark |= (flags >> 10 & 1) << FLAG_AA | (flags >> 9 & 1) << FLAG_TC | (flags >> 8 & 1) << FLAG_RD
    mark |= (flags >> 7 & 1) << FLAG_RA | (flags >> 5 & 1) << FLAG_AD | (flags >> 4 & 1) << FLAG_CD
    mark |= (rec.qname_length > 0) << IS_ASKED | int(rec.mixed_case) << IS_MIXED
    mark |= (rec.cookie_length > 0) << HAS_COOKIE | (rec.ecs_family > 0) << HAS_ECS
    if rec.edns_version >= 0:
        mark |= 1 << HAS_EDNS | (int(rec.edns_flags) >> 15) << HAS_DO
    mark |= (rec.nsid_length > 0) << HAS_NSID | (rec.address_count > 0) << HAS_ANSWER
    return mark | (rec.ede >= 0) << HAS_EDE | (rec.ttl_min >= 0) << HAS_TTL


@kernel
def message_columns(data, offset, length, keys, rec, want, slots, names, index, wide, narrow, small, mark):
    """Decode each message of the batch and write its columns; returns how many names there are.

    keys: u8 (33,), secret. Scratch: rec (MESSAGE, two rows, the second all zero), want (SCRATCH octets), slots i4 (a
    power of two and more than the messages, zero). names i8 (n + 1, 3): of each name where it begins in `data`, its
    octets, its hash; name 0 is none. index i4 (n,): number of each message's name. wide i8, narrow i4, small i2:
    (columns, at least n), mark u4 (at least n,).
    """
    data, keys, want = borrowed(data), borrowed(keys), borrowed(want)
    slots, names = borrowed(slots), borrowed(names)
    count = 1
    last = 0
    last_at = np.int64(0)
    last_size = np.int64(0)
    one = rec[0]
    for i in range(offset.size):
        rec[0] = rec[1]
        one.question_end = 12
        one.edns_version = -1
        one.ede = -1
        one.ttl_min = -1
        base = offset[i]
        octets = np.int64(length[i])
        headed = octets >= 12 and 0 <= base <= data.size - octets
        if headed:
            status = read_message(data, base, min(octets, MAX_MESSAGE), one, want)
            one.status = TRAILING if status == OK and octets > MAX_MESSAGE else status
        else:
            one.status = SHORT_HEADER
        number = 0
        if one.qname_length > 0:
            size = np.int64(one.qname_length)
            if size != last_size or not same_octets(data, last_at, base + 12, size):  # as of AAAA behind A
                last, count = _number(data, base + 12, size, keys, slots, names, count)
            number = last
            last_at = base + 12
            last_size = size
        index[i] = number
        mark[i] = _marks(one, int(headed))
        wide[ANSWER_HASH, i] = one.answer_hash
        wide[ANSWER_NET, i] = one.address_net[0]
        wide[ANSWER_HOST, i] = one.address_host[0]
        wide[TTL_MIN, i] = one.ttl_min
        wide[ECS_NET, i] = one.ecs.net
        wide[ECS_HOST, i] = one.ecs.host
        narrow[ID, i] = one.id
        narrow[RCODE, i] = one.rcode
        narrow[QDCOUNT, i] = one.qdcount
        narrow[ANCOUNT, i] = one.ancount
        narrow[NSCOUNT, i] = one.nscount
        narrow[ARCOUNT, i] = one.arcount
        narrow[QTYPE, i] = one.qtype
        narrow[QCLASS, i] = one.qclass
        narrow[EDNS_SIZE, i] = one.edns_size
        narrow[EDE, i] = one.ede
        narrow[ANSWERS, i] = one.address_count
        narrow[NSID_START, i] = one.nsid_start
        narrow[NSID_LENGTH, i] = one.nsid_length
        small[STATUS, i] = one.status
        small[OPCODE, i] = one.opcode
        small[ECS_SOURCE, i] = one.ecs_source
    return count


@kernel
def spread_bits(mark, bits):
    """Bit b of every `mark` u4 (a multiple of 8) to bitmap b of `bits` u1 (8 * LANES, an eighth), low first."""
    for at in range(mark.size // 8):
        for lane in range(LANES):
            word = np.uint64(0)
            shift = np.uint64(8 * lane)
            for k in range(8):
                word |= (np.uint64(mark[8 * at + k]) >> shift & _OCTET) << (np.uint64(k) * _8)
            # An 8 by 8 matrix of bits, turned over (Hacker's Delight, 7-3).
            swap = (word ^ (word >> _7)) & _MASK7
            word ^= swap ^ (swap << _7)
            swap = (word ^ (word >> _14)) & _MASK14
            word ^= swap ^ (swap << _14)
            swap = (word ^ (word >> _28)) & _MASK28
            word ^= swap ^ (swap << _28)
            for k in range(8):
                bits[8 * lane + k, at] = word >> (np.uint64(k) * _8) & _OCTET
