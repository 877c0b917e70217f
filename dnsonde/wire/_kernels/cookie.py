"""DNS server cookies that interoperate (RFC 9018, 4). Called from `wire.cookie` only."""

import numpy as np

from dnsonde.wire._kernels.jit import helper, kernel
from dnsonde.wire._kernels.siphash import _V0, _V1, _V2, _V3, _absorb, _finish, _swap

CLIENT = 8
WHOLE = 24  # octets of a client and a server cookie
VERSION = 1
PAST_S = 3600  # RFC 9018, 4.3
FUTURE_S = 300

_0 = np.uint64(0)
_1 = np.uint64(1)
_8 = np.uint64(8)
_32 = np.uint64(32)
_56 = np.uint64(56)
_FF = np.uint64(0xFF)
_LENGTH4 = np.uint64(20)  # octets under the hash
_LENGTH6 = np.uint64(32)


@helper
def _hash(client, second, net, host, k0, k1):
    """Over client cookie, version, reserved, timestamp (`second`: those eight octets), and address."""
    v0, v1, v2, v3 = _V0 ^ k0, _V1 ^ k1, _V2 ^ k0, _V3 ^ k1
    v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, client)
    v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, second)
    if net == 0 and host >> 32 == 0xFFFF:
        last = _swap(np.uint64(host) << _32) | _LENGTH4 << _56
        v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, last)
    else:
        v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, _swap(np.uint64(net)))
        v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, _swap(np.uint64(host)))
        v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, _LENGTH6 << _56)
    return _finish(v0, v1, v2, v3)


@helper
def _load(data, at):
    """Eight octets, the first the lowest."""
    word = _0
    for k in range(8):
        word |= np.uint64(data[at + k]) << (np.uint64(k) * _8)
    return word


@helper
def _store(out, at, word):
    for k in range(8):
        out[at + k] = word >> (np.uint64(k) * _8) & _FF


@kernel
def server_cookies(data, offset, messages, net, host, k0, k1, now_s, out, verified):
    """For each message with a client cookie the whole cookie to answer with, and whether it came with a good one."""
    fresh = _1 | _swap(np.uint64(now_s & 0xFFFFFFFF))
    for i in range(offset.size):
        octets = np.int64(messages[i].cookie_length)
        verified[i] = False
        if messages[i].status != 0 or octets < CLIENT:
            continue
        at = offset[i] + np.int64(messages[i].cookie_start)
        if at < 0 or at + octets > data.size:
            continue
        client = _load(data, at)
        _store(out, i * WHOLE, client)
        _store(out, i * WHOLE + 8, fresh)
        _store(out, i * WHOLE + 16, _hash(client, fresh, net[i], host[i], k0, k1))
        if octets == WHOLE and data[at + CLIENT] == VERSION:
            second = _load(data, at + 8)
            # Serial number arithmetic (RFC 1982): the timestamp wraps in 2106.
            age = np.int64(now_s) - np.int64(_swap(second) & np.uint64(0xFFFFFFFF))
            age = (age + 0x80000000 & 0xFFFFFFFF) - 0x80000000
            good = _load(data, at + 16) == _hash(client, second, net[i], host[i], k0, k1)
            verified[i] = good and -FUTURE_S <= age <= PAST_S
