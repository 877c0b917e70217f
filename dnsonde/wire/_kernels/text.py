"""Names and other octets as text (RFC 1035, 5.1). Called from `wire.text` only."""

import numpy as np

from dnsonde.wire._kernels.jit import borrowed, helper, kernel
from dnsonde.wire._kernels.names import OK, skip_name


@helper
def _escape(c, out, at):
    """Write one octet as presentation form to `out[at:]`, at most four; returns the position after it."""
    if c <= 32 or c >= 127:
        out[at] = 92
        out[at + 1] = 48 + c // 100
        out[at + 2] = 48 + c // 10 % 10
        out[at + 3] = 48 + c % 10
        return at + 4
    # " $ ( ) . ; @ \ mean something in a zone file
    if c == 34 or c == 36 or c == 40 or c == 41 or c == 46 or c == 59 or c == 64 or c == 92:
        out[at] = 92
        at += 1
    out[at] = c
    return at + 1


@kernel
def gather(data, start, length, out):
    """Copy slices of `data` one behind the other into `out`."""
    at = 0
    for i in range(len(start)):
        begin = start[i]
        size = length[i]
        for k in range(size):
            out[at + k] = data[begin + k]
        at += size


@kernel
def name_text(data, base, length, start, lower, out, ends):
    """Names at `start` (below 0: none) of the messages at `base`, one behind the other; returns the octets written.

    `ends[i + 1]` becomes the end of row i; a name that is malformed is empty text; -1 where `out` is too small.
    """
    data, out = borrowed(data), borrowed(out)
    at = 0
    ends[0] = 0
    for i in range(start.size):
        pos = start[i]
        here = base[i]
        end = np.int64(length[i])
        octets = 0
        status = -1
        if pos >= 0 and here >= 0 and here <= data.size - end:
            _after, octets, _labels, status = skip_name(data, here, end, pos)
        if status == OK:
            if out.size - at < 4 * octets:
                return -1
            if octets == 1:
                out[at] = 46
                at += 1
            first = True
            while octets > 1:
                size = int(data[here + pos])
                if size == 0:
                    break
                if size >= 192:
                    pos = (size & 63) << 8 | int(data[here + pos + 1])
                    continue
                if not first:
                    out[at] = 46
                    at += 1
                first = False
                for k in range(here + pos + 1, here + pos + 1 + size):
                    c = int(data[k])
                    if lower and 65 <= c <= 90:
                        c += 32
                    at = _escape(c, out, at)
                pos += size + 1
        ends[i + 1] = at
    return at


@kernel
def octet_text(data, start, length, out, ends):
    """Octets at `data[start:]`, escaped alike but for spaces and what is harmless outside names; octets written."""
    data, out = borrowed(data), borrowed(out)
    at = 0
    ends[0] = 0
    for i in range(start.size):
        octets = np.int64(length[i])
        if octets > 0 and start[i] >= 0 and start[i] <= data.size - octets:
            if out.size - at < 4 * octets:
                return -1
            for k in range(start[i], start[i] + octets):
                c = int(data[k])
                if c == 34 or c == 92 or c < 32 or c >= 127:
                    at = _escape(c, out, at)
                else:
                    out[at] = c
                    at += 1
        ends[i + 1] = at
    return at
