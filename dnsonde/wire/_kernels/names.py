"""Walking names in messages (RFC 1035, 3.1 and 4.1.4): the helpers that every decoding kernel shares.

`data` is the whole batch, `base` where the message begins, `end` its octets; positions count from `base`.
"""

import numpy as np

from dnsonde.wire._kernels.jit import helper
from dnsonde.wire._kernels.keyed import finished, product
from dnsonde.wire.codes import Status

OK = int(Status.OK)
TRUNCATED = int(Status.TRUNCATED)
BAD_LABEL = int(Status.BAD_LABEL)
BAD_POINTER = int(Status.BAD_POINTER)
NAME_TOO_LONG = int(Status.NAME_TOO_LONG)

MAX_POINTERS = 127  # a name has no more labels to point to, so that a chain costs no more than the name


_SEVEN = np.uint64(0x7F7F7F7F7F7F7F7F)
_HIGH = np.uint64(0x8080808080808080)
_FROM_A = np.uint64(0x3F3F3F3F3F3F3F3F)  # 0x80 - "A" in each octet
_PAST_Z = np.uint64(0x2525252525252525)  # 0x7F - "Z"
_SMALL = np.uint64(0x2020202020202020)
_0, _2, _8 = np.uint64(0), np.uint64(2), np.uint64(8)


@helper
def octet(data, at):
    """One octet. A signed index may be negative in Python, which would be asked of each; none here is."""
    return np.int64(data[np.uint64(at)])


@helper
def eight(data, at):
    """Eight octets as a number, little-endian."""
    word = _0
    at = np.uint64(at)
    for k in range(8):
        word |= np.uint64(data[at + np.uint64(k)]) << (np.uint64(k) * _8)
    return word


@helper
def capitals(word):
    """The high bit of each of eight octets that is a capital letter; no length of a label is one."""
    seven = word & _SEVEN
    return ((seven + _FROM_A) ^ (seven + _PAST_Z)) & ~word & _HIGH


@helper
def eight_small(data, at):
    """The same as `eight` with capitals made small."""
    word = eight(data, at)
    return word | capitals(word) >> _2


@helper
def _last(data, stop, octets):
    """The last octets of a name that ends at `stop`, at most eight; eight octets before `stop` are there."""
    word = eight(data, stop - 8)
    if octets < 8:
        word >>= np.uint64(8 - octets) * _8
    return word


@helper
def mixed_case(data, at, octets):
    """Whether an uncompressed name in a question has letters of both cases."""
    upper = _0
    lower = _0
    stop = at + octets
    while at + 8 <= stop:
        word = eight(data, at)
        upper |= capitals(word)
        lower |= capitals(word ^ _SMALL)
        at += 8
    if at < stop:
        word = _last(data, stop, octets)
        upper |= capitals(word)
        lower |= capitals(word ^ _SMALL)
    return upper != _0 and lower != _0


@helper
def name_hash(data, at, octets, keys):
    """Hash of an uncompressed name in a question, at most 255 octets, case aside; keys: u8 (33,), see `keyed`."""
    total = product(octets, keys[32])
    stop = at + octets
    word_number = 0
    while at + 8 <= stop:
        total += product(eight_small(data, at), keys[word_number])
        word_number += 1
        at += 8
    if at < stop:
        word = _last(data, stop, octets)
        total += product(word | capitals(word) >> _2, keys[word_number])
    return finished(total)


@helper
def same_octets(data, one, two, octets):
    """Whether two such names of as many octets are one, case aside."""
    at = 0
    while at + 8 <= octets:
        if eight_small(data, one + at) != eight_small(data, two + at):
            return False
        at += 8
    if at < octets:
        left, right = _last(data, one + octets, octets), _last(data, two + octets, octets)
        return left | capitals(left) >> _2 == right | capitals(right) >> _2
    return True


@helper
def skip_name(data, base, end, pos):
    """Check the name at `pos`: (position after it, octets uncompressed, labels, status).

    Pointers must lead to before the part that they stand in, and behind the header: no loop passes.
    """
    total = 1
    labels = 0
    after = -1
    lowest = pos
    pointers = 0
    while True:
        if pos >= end:
            return end, 0, 0, TRUNCATED
        size = octet(data, base + pos)
        if size == 0:
            if after < 0:
                after = pos + 1
            return after, total, labels, OK
        if size < 64:
            pos += size + 1
            total += size + 1
            labels += 1
            if total > 255:
                return end, 0, 0, NAME_TOO_LONG
            continue
        if size < 192:
            return end, 0, 0, BAD_LABEL
        if pos + 1 >= end:
            return end, 0, 0, TRUNCATED
        if after < 0:
            after = pos + 2
        pos = (size & 63) << 8 | octet(data, base + pos + 1)
        pointers += 1
        if pos >= lowest or pos < 12 or pointers > MAX_POINTERS:
            return end, 0, 0, BAD_POINTER
        lowest = pos


@helper
def expand_name(data, base, pos, out, at):
    """Write the checked name at `pos` uncompressed and in lower case to `out[at:]`; returns its octets."""
    begin = at
    while True:
        size = octet(data, base + pos)
        if size >= 192:
            pos = (size & 63) << 8 | octet(data, base + pos + 1)
            continue
        out[at] = size
        at += 1
        if size == 0:
            return at - begin
        for k in range(size):
            c = octet(data, base + pos + 1 + k)
            out[at + k] = c + 32 if 65 <= c <= 90 else c
        at += size
        pos += size + 1


@helper
def same_name(data, base, pos, want, at):
    """Whether the checked name at `pos` is the lower-case, uncompressed `want[at:]`; both of equal octets."""
    while True:
        size = octet(data, base + pos)
        if size >= 192:
            pos = (size & 63) << 8 | octet(data, base + pos + 1)
            continue
        if size != int(want[at]):
            return False
        if size == 0:
            return True
        for k in range(1, size + 1):
            c = octet(data, base + pos + k)
            if 65 <= c <= 90:
                c += 32
            if c != int(want[at + k]):
                return False
        at += size + 1
        pos += size + 1


@helper
def above_name(data, base, pos, octets, want, at, want_octets):
    """Octets of `want` left of the checked name at `pos` where that is at or above `want`, else -1."""
    skipped = 0
    while want_octets - skipped > octets:
        skipped += int(want[at + skipped]) + 1
    if want_octets - skipped != octets or not same_name(data, base, pos, want, at + skipped):
        return -1
    return skipped
