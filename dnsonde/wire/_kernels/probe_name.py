"""Our own names in questions (grammar in `wire.name`). Called from `wire.name` only."""

import numpy as np

from dnsonde.wire._kernels.jit import borrowed, helper, kernel

PROBE, FOREIGN, APEX, EMPTY, UNKNOWN = 0, 1, 2, 3, 4
SWEEP, NXDOMAIN, SIZE, CHAIN = 0, 1, 2, 3
MAPPED = 0xFFFF_0000_0000

_4 = np.uint64(4)
_5 = np.uint64(5)
_0 = np.uint64(0)


@helper
def _lower(c):
    c = int(c)
    return c + 32 if 65 <= c <= 90 else c


@helper
def _digit(c):
    """The value of a base32hex digit (RFC 4648, 7), of which the first 16 are hexadecimal; -1: none."""
    c = _lower(c)
    if 48 <= c <= 57:
        return c - 48
    return c - 87 if 97 <= c <= 118 else -1


@helper
def _hex(data, at, digits):
    """(value, whether all `digits`, at most 16, are hexadecimal)."""
    value = _0
    for k in range(at, at + digits):
        d = _digit(data[k])
        if d < 0 or d > 15:
            return _0, False
        value = value << _4 | np.uint64(d)
    return value, True


@helper
def _run(data, at, row):
    """The run label at `at` (its length octet): false where it is none."""
    if data[at] != 8:
        return False
    value = _0
    for k in range(at + 1, at + 9):
        d = _digit(data[k])
        if d < 0:
            return False
        value = value << _5 | np.uint64(d)
    row.run = value
    return True


@helper
def _kind(data, at, row):
    """The kind label at `at`: `nx`, `s` and 3 or 4 digits, `c` and a hexadecimal one; false where it is none."""
    size = int(data[at])
    first = _lower(data[at + 1])
    if size == 2 and first == 110 and _lower(data[at + 2]) == 120:
        row.kind = NXDOMAIN
        return True
    if size == 2 and first == 99:
        step, good = _hex(data, at + 2, 1)
        row.kind = CHAIN
        row.step = step
        return good
    if (size == 4 or size == 5) and first == 115:
        octets = 0
        for k in range(at + 2, at + 1 + size):
            d = _digit(data[k])
            if d < 0 or d > 9:
                return False
            octets = 10 * octets + d
        row.kind = SIZE
        row.step = octets
        return True
    return False


@helper
def _target(data, at, row):
    """The target label at `at`: address, attempt, tag; false where it is none."""
    size = int(data[at])
    if size != 21 and size != 45:
        return False
    at += 1
    net = 0
    if size == 21:
        value, good = _hex(data, at, 8)
        host = MAPPED | np.int64(value)
        at += 8
    else:
        value, good = _hex(data, at, 16)
        net = np.int64(value)
        value, rest = _hex(data, at + 16, 16)
        host = np.int64(value)
        good &= rest and not (net == 0 and host >> 32 == 0xFFFF)  # IPv4 has its own spelling
        at += 32
    attempt, digit = _hex(data, at, 1)
    tag, tagged = _hex(data, at + 1, 12)
    if not (good and digit and tagged) or attempt == _0:
        return False
    row.target.net = net
    row.target.host = host
    row.attempt = attempt
    row.tag = tag
    return True


@helper
def classify(data, at, octets, zone, row):
    """The status of the uncompressed name at `at`; fills `row` with what it says."""
    below = octets - zone.size
    labels = 0
    first = at
    second = at
    skipped = 0
    while skipped < below:
        if labels == 1:
            first = at + skipped
        elif labels == 2:
            second = at + skipped
        skipped += int(data[at + skipped]) + 1
        labels += 1
    if skipped != below:
        return FOREIGN
    for k in range(zone.size):
        if _lower(data[at + below + k]) != int(zone[k]):
            return FOREIGN
    row.labels = labels
    if labels == 0:
        return APEX
    if labels == 1:
        return EMPTY if _run(data, at, row) else UNKNOWN
    if labels == 2 and _run(data, first, row):
        if _target(data, at, row):
            return PROBE
        if _kind(data, at, row):
            return EMPTY
    elif labels == 3 and _run(data, second, row) and _kind(data, first, row) and _target(data, at, row):
        return PROBE
    return UNKNOWN


@kernel
def parse(data, offset, messages, zone, out):
    """Fill `out` (zeroed PROBE_NAME rows) from the messages' questions; `zone` is a lower-case wire name."""
    data, zone = borrowed(data), borrowed(zone)
    for i in range(offset.size):
        row = out[i]
        octets = np.int64(messages[i].qname_length)
        at = offset[i] + 12
        row.status = FOREIGN
        row.mixed_case = messages[i].mixed_case
        if octets < zone.size or at < 0 or at > data.size - octets:
            continue
        status = classify(data, at, octets, zone, row)
        row.status = status
        if status == UNKNOWN:  # half a name says nothing
            row.run = _0
            row.kind = 0
            row.step = 0
            row.attempt = 0
            row.tag = _0
            row.target.net = 0
            row.target.host = 0
