"""Hashes with a secret key, so that nobody can send what collides: NH of UMAC (RFC 4418, 5.2.2).

A table that anybody fills is slow where all that is in it has one place. Two texts of one length, whoever chose them,
have one sum with a chance of a few times 2^-32, as long as the key is unknown. RFC 4418 adds a key to each half of 64
bits; here a carry goes from one half to the other, which takes no more than that factor.
"""

import numpy as np

from dnsonde.wire._kernels.jit import helper

_LOW = np.uint64(0xFFFFFFFF)
_32, _29 = np.uint64(32), np.uint64(29)
_PRIME = np.uint64(0x9E3779B97F4A7C15)


@helper
def product(word, key):
    """What 64 bits add to the sum; each place in a text has a key of its own."""
    keyed = np.uint64(word) + key
    return (keyed & _LOW) * (keyed >> _32)


@helper
def finished(total):
    """The sum with its bits stirred, one to one."""
    total = (total ^ total >> _32) * _PRIME
    return total ^ total >> _29


@helper
def ends_hash(keys, src_net, src_host, dst_net, dst_host, ports, more):
    """Hash of two ends, which are told apart, and of what else there is."""
    total = product(src_net, keys[0]) + product(src_host, keys[1])
    total += product(dst_net, keys[2]) + product(dst_host, keys[3])
    return finished(total + product(ports, keys[4]) + product(more, keys[5]))
