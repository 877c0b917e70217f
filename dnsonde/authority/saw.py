"""TXT rdata that tells an asker what the authority saw of it, for a batch of askers."""

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

ECS_IPV4, ECS_IPV6 = 1, 2


def saw_texts(
    messages: NDArray[np.void], peers: NDArray[np.void], verified: NDArray[np.bool_], transport: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """One TXT rdata a row: octets of all, where each begins, and its length.

    messages: MESSAGE (n,); peers: DATAGRAM (n,); verified: bool (n,). The character strings (RFC 1035, 3.3.14)
    are `egress=`, `port=`, `transport=`, `id=`, then `rd=`, and where the asker sent them `edns=`, `do=`,
    `cookie=` and `ecs=`.
    """
    edns = messages["edns_version"] >= 0
    cookie = np.where(verified, "verified", np.where(messages["cookie_length"] > 8, "unknown", "client"))
    ecs = pc.binary_join_element_wise(
        _address(messages["ecs"]["net"], messages["ecs"]["host"], messages["ecs_family"] == ECS_IPV6),
        _number(messages["ecs_source"]),
        "/",
    )
    v6 = (peers["net"] != 0) | ((peers["host"] >> 32) != 0xFFFF)
    everything = np.ones(len(messages), np.bool_)
    parts = [
        _string("egress", _address(peers["net"], peers["host"], v6), everything),
        _string("port", _number(peers["port"]), everything),
        _string("transport", pa.repeat(transport, len(messages)), everything),
        _string("id", _number(messages["id"]), everything),
        _string("rd", _number(messages["flags"] >> 8 & 1), everything),
        _string("edns", _number(messages["edns_size"]), edns),
        _string("do", _number(messages["edns_flags"] >> 15), edns),
        _string("cookie", pa.array(cookie), messages["cookie_length"] > 0),
        _string("ecs", ecs, messages["ecs_family"] > 0),
    ]
    joined = pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.binary()))
    _, ends, octets = joined.buffers()
    bound = np.frombuffer(ends, np.int32)[: len(messages) + 1].astype(np.int64)
    return np.frombuffer(octets, np.uint8)[: bound[-1]], bound[:-1], np.diff(bound)


def _string(key: str, values: pa.Array, where: NDArray[np.bool_]) -> pa.Array:
    """`key=value` behind its length octet; nothing where not `where`."""
    text = pc.binary_join_element_wise(pa.repeat(key, len(values)), values, "=").cast(pa.binary())
    whole = pc.binary_join_element_wise(
        _lengths().take(pc.binary_length(text)), text, pa.scalar(b"", pa.binary())
    )
    return pc.if_else(pa.array(where), whole, pa.scalar(b"", pa.binary()))


def _number(values: NDArray[np.integer]) -> pa.Array:
    return pa.array(values.astype(np.int64)).cast(pa.string())


def _address(net: NDArray[np.int64], host: NDArray[np.int64], v6: NDArray[np.bool_]) -> pa.Array:
    """Dotted, or eight groups without `::`."""
    octets = [_number(host >> shift & 0xFF) for shift in (24, 16, 8, 0)]
    dotted = pc.binary_join_element_wise(*octets, ".")
    if not v6.any():
        return dotted
    groups = [
        _groups().take(pa.array((half >> shift & 0xFFFF).astype(np.int64)))
        for half in (net, host)
        for shift in (48, 32, 16, 0)
    ]
    return pc.if_else(pa.array(v6), pc.binary_join_element_wise(*groups, ":"), dotted)


@cache
def _lengths() -> pa.Array:
    return pa.array([bytes([n]) for n in range(256)], pa.binary())


@cache
def _groups() -> pa.Array:
    return pa.array([f"{n:x}" for n in range(1 << 16)])
