"""Kernel: the registered domain of every name, and what its labels are made of."""

import math

import numpy as np

from dnsonde.wire._kernels.jit import borrowed, helper, kernel

FNV = np.uint64(0x100000001B3)
SEED = np.uint64(0xCBF29CE484222325)
MIX = np.uint64(0x9E3779B97F4A7C15)
HALF = np.uint64(32)

NORMAL = 1  # rule "X"
WILDCARD = 2  # rule "*.X", kept under X
EXCEPTION = 4  # rule "!X"

IP4_ARPA = tuple(b".in-addr.arpa")
IP6_ARPA = tuple(b".ip6.arpa")

DOT = 46
BACKSLASH = 92


@helper
def mix(state):
    """Spread a running hash over all 64 bits; 0 is kept for "none"."""
    state = (state ^ (state >> HALF)) * MIX
    state ^= state >> HALF
    return state if state != 0 else np.uint64(1)


@helper
def ends_with(data, begin, size, tail):
    """Whether data[begin:begin + size] ends with the octets of the tuple `tail`."""
    if size < len(tail):
        return False
    at = begin + size - len(tail)
    for k in range(len(tail)):
        if data[at + k] != tail[k]:
            return False
    return True


@helper
def escape_size(data, at, stop):
    r"""Characters of the escape at data[at], of those before `stop`: \DDD or \X, an octet each (RFC 1035 5.1)."""
    if at + 1 < stop and 48 <= data[at + 1] <= 57:
        return min(4, stop - at)
    return min(2, stop - at)


@helper
def octets_of(data, begin, stop, counts):
    """How many octets a text with escapes is, and their entropy as in `name_facts`; counts: all zero, left so."""
    octets = 0
    at = begin
    while at < stop:
        c = np.int64(data[at])
        size = 1
        if c == BACKSLASH:
            size = escape_size(data, at, stop)
            c = np.int64(data[at + size - 1])
            if size == 4:
                c = (100 * (data[at + 1] - 48) + 10 * (data[at + 2] - 48) + c - 48) & 255
        counts[c] += 1
        octets += 1
        at += size
    total = octets - counts[DOT]
    counts[DOT] = 0
    bits = 0.0
    for c in range(256):
        if counts[c] > 0:
            share = counts[c] / total
            bits -= share * math.log2(share)
            counts[c] = 0
    return octets, bits


@kernel
def name_facts(data, offset, length, rule_hash, rule_kind, rule_depth, starts, counts, out):
    """Fill `out` (dtype wire.domain.NAME_FACTS) for each text name.

    data u1, offset i8 (n,), length i4 (n,): lower-case presentation names without the last dot.
    rule_hash u8, rule_kind u1 (m,), m a power of two: open addressing, hash 0 is free.
    rule_depth: most labels of a rule.
    Scratch: starts i4 (256,), counts i4 (256,) all zero (left so).
    """
    data = borrowed(data)
    mask = np.uint64(len(rule_hash) - 1)
    for i in range(len(length)):
        row = out[i]
        begin = offset[i]
        size = length[i]
        # Label starts, left to right; `hidden`: characters that are no octets of their own, of the name and the label.
        labels = 0
        longest = 0
        digits = 0
        hidden = 0
        hidden_here = 0
        at = 0
        start = 0
        if size > 0 and not (size == 1 and data[begin] == DOT):
            while at < size:
                c = data[begin + at]
                if c == BACKSLASH:
                    escape = escape_size(data, begin + at, begin + size)
                    hidden += escape - 1
                    hidden_here += escape - 1
                    at += escape
                    continue
                if c == DOT:
                    starts[labels] = start
                    longest = max(longest, at - start - hidden_here)
                    hidden_here = 0
                    start = at + 1
                    labels += 1
                    if labels == 255:
                        break
                elif 48 <= c <= 57:
                    digits += 1
                at += 1
            starts[labels] = start
            longest = max(longest, size - start - hidden_here)
            labels += 1
        row.labels = labels
        row.label_max = longest
        row.digits = digits
        # Suffixes, right to left: the longest rule wins, an exception beats all (publicsuffix.org/list).
        suffix = min(1, labels)
        state = SEED
        at = size - 1
        for depth in range(1, min(labels, rule_depth) + 1):
            stop = starts[labels - depth]
            while at >= stop:
                state = (state ^ np.uint64(data[begin + at])) * FNV
                at -= 1
            key = mix(state)
            slot = key & mask
            kind = 0
            while rule_hash[slot] != 0:
                if rule_hash[slot] == key:
                    kind = rule_kind[slot]
                    break
                slot = (slot + np.uint64(1)) & mask
            if kind & EXCEPTION:
                suffix = depth - 1
                break
            if kind & NORMAL:
                suffix = max(suffix, depth)
            if kind & WILDCARD:  # the rule's own root is public too, as the list's linter demands
                suffix = max(suffix, min(depth + 1, labels))
        domain = starts[labels - suffix - 1] if suffix < labels else -1
        row.domain_start = domain
        row.search = max(domain - 1, 0)
        if labels > 2 and ends_with(data, begin, size, IP4_ARPA):
            row.search = size - len(IP4_ARPA)
        elif labels > 2 and ends_with(data, begin, size, IP6_ARPA):
            row.search = size - len(IP6_ARPA)
        # The part left of the registered domain.
        row.sub_hash = 0
        row.entropy = 0.0
        row.sub_bytes = max(domain - 1, 0)
        if domain > 1:
            state = SEED
            for at in range(domain - 1):
                c = data[begin + at]
                state = (state ^ np.uint64(c)) * FNV
                counts[c] += 1
            row.sub_hash = np.int64(mix(state) >> np.uint64(2)) + 1
            total = 0
            for at in range(domain - 1):
                if data[begin + at] != DOT:
                    total += 1
            bits = 0.0
            for at in range(domain - 1):
                c = data[begin + at]
                if counts[c] > 0:
                    if c != DOT:
                        share = counts[c] / total
                        bits -= share * math.log2(share)
                    counts[c] = 0
            row.entropy = bits
            if hidden > 0:
                row.sub_bytes, row.entropy = octets_of(data, begin, begin + domain - 1, counts)
