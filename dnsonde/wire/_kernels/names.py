"""Walking names in messages (RFC 1035, 3.1 and 4.1.4): the helpers that every decoding kernel shares.

`data` is the whole batch, `base` where the message begins, `end` its octets; positions count from `base`.
"""

from dnsonde.wire._kernels.borrow import helper
from dnsonde.wire.codes import Status

OK = int(Status.OK)
TRUNCATED = int(Status.TRUNCATED)
BAD_LABEL = int(Status.BAD_LABEL)
BAD_POINTER = int(Status.BAD_POINTER)
NAME_TOO_LONG = int(Status.NAME_TOO_LONG)

MAX_POINTERS = 127  # a name has no more labels to point to, so that a chain costs no more than the name


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
        size = int(data[base + pos])
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
        pos = (size & 63) << 8 | int(data[base + pos + 1])
        pointers += 1
        if pos >= lowest or pos < 12 or pointers > MAX_POINTERS:
            return end, 0, 0, BAD_POINTER
        lowest = pos


@helper
def expand_name(data, base, pos, out, at):
    """Write the checked name at `pos` uncompressed and in lower case to `out[at:]`; returns its octets."""
    begin = at
    while True:
        size = int(data[base + pos])
        if size >= 192:
            pos = (size & 63) << 8 | int(data[base + pos + 1])
            continue
        out[at] = size
        at += 1
        if size == 0:
            return at - begin
        for k in range(size):
            c = data[base + pos + 1 + k]
            out[at + k] = c + 32 if 65 <= c <= 90 else c
        at += size
        pos += size + 1


@helper
def same_name(data, base, pos, want, at):
    """Whether the checked name at `pos` is the lower-case, uncompressed `want[at:]`; both of equal octets."""
    while True:
        size = int(data[base + pos])
        if size >= 192:
            pos = (size & 63) << 8 | int(data[base + pos + 1])
            continue
        if size != int(want[at]):
            return False
        if size == 0:
            return True
        for k in range(1, size + 1):
            c = int(data[base + pos + k])
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
