"""SipHash-2-4 (Aumasson and Bernstein, 2012): the keyed hash behind the tag in a probe's name."""

import numpy as np

from dnsonde.wire._kernels.jit import helper, kernel

_V0 = np.uint64(0x736F_6D65_7073_6575)
_V1 = np.uint64(0x646F_7261_6E64_6F6D)
_V2 = np.uint64(0x6C79_6765_6E65_7261)
_V3 = np.uint64(0x7465_6462_7974_6573)
_FF = np.uint64(0xFF)
_0 = np.uint64(0)
_8 = np.uint64(8)
_13 = np.uint64(13)
_16 = np.uint64(16)
_17 = np.uint64(17)
_21 = np.uint64(21)
_24 = np.uint64(24)
_32 = np.uint64(32)
_43 = np.uint64(43)
_47 = np.uint64(47)
_48 = np.uint64(48)
_51 = np.uint64(51)
_56 = np.uint64(56)
_TAG_MASK = np.uint64(0xFFFF_FFFF_FFFF)
_TAGGED = np.uint64(26)  # octets under the tag: target 16, attempt 1, kind 1, run label 8


@helper
def _round(v0, v1, v2, v3):
    v0 += v1
    v1 = (v1 << _13 | v1 >> _51) ^ v0
    v0 = v0 << _32 | v0 >> _32
    v2 += v3
    v3 = (v3 << _16 | v3 >> _48) ^ v2
    v0 += v3
    v3 = (v3 << _21 | v3 >> _43) ^ v0
    v2 += v1
    v1 = (v1 << _17 | v1 >> _47) ^ v2
    v2 = v2 << _32 | v2 >> _32
    return v0, v1, v2, v3


@helper
def _absorb(v0, v1, v2, v3, word):
    v3 ^= word
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 ^= word
    return v0, v1, v2, v3


@helper
def _finish(v0, v1, v2, v3):
    v2 ^= _FF
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


@kernel
def siphash(data, k0, k1):
    """The hash of all of `data` under the key's little-endian halves."""
    v0, v1, v2, v3 = _V0 ^ k0, _V1 ^ k1, _V2 ^ k0, _V3 ^ k1
    whole = data.size // 8
    for w in range(whole):
        word = _0
        for k in range(8):
            word |= np.uint64(data[8 * w + k]) << (np.uint64(k) * _8)
        v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, word)
    word = np.uint64(data.size) << _56
    for k in range(data.size - 8 * whole):
        word |= np.uint64(data[8 * whole + k]) << (np.uint64(k) * _8)
    v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, word)
    return _finish(v0, v1, v2, v3)


@helper
def _swap(x):
    """Eight octets in the other order."""
    m1 = np.uint64(0x00FF_00FF_00FF_00FF)
    m2 = np.uint64(0x0000_FFFF_0000_FFFF)
    x = (x >> _8 & m1) | (x & m1) << _8
    x = (x >> _16 & m2) | (x & m2) << _16
    return x >> _32 | x << _32


@helper
def tag(net, host, attempt, kind, run, k0, k1):
    """48 bits over target (16 octets), attempt, kind and run label (its 8 octets as a little-endian integer)."""
    v0, v1, v2, v3 = _V0 ^ k0, _V1 ^ k1, _V2 ^ k0, _V3 ^ k1
    v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, _swap(np.uint64(net)))
    v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, _swap(np.uint64(host)))
    v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, np.uint64(attempt) | np.uint64(kind) << _8 | run << _16)
    v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, run >> _48 | _TAGGED << _56)
    return _finish(v0, v1, v2, v3) & _TAG_MASK


@kernel
def tags(targets, attempts, kind, run, k0, k1, out):
    """The tag of each (target, attempt)."""
    for i in range(targets.size):
        out[i] = tag(targets[i].net, targets[i].host, attempts[i], kind, run, k0, k1)


@kernel
def verify(parsed, number, run, k0, k1, out):
    """Whether each parsed probe name is of this run (`number`: its 40 bits) and carries its right tag."""
    for i in range(parsed.size):
        name = parsed[i]
        out[i] = (
            name.status == 0
            and name.run == number
            and name.tag == tag(name.target.net, name.target.host, name.attempt, name.kind, run, k0, k1)
        )
