"""DNS cookies (RFC 7873), the server's side, as all servers of one secret make them (RFC 9018)."""

import numpy as np
from numpy.typing import NDArray

from dnsonde.wire._arrays import frozen
from dnsonde.wire._kernels import cookie as kernel
from dnsonde.wire.batch import Batch
from dnsonde.wire.message import MESSAGE

COOKIE = 24  # octets: the client's 8 and the server's 16


def server_cookies(
    batch: Batch,
    messages: NDArray[np.void],
    net: NDArray[np.int64],
    host: NDArray[np.int64],
    secret: bytes,
    now_s: int,
    out: NDArray[np.uint8],
) -> NDArray[np.bool_]:
    """Make the cookie to answer each message with, and tell which messages brought a good one.

    messages: the batch's MESSAGE rows; net, host: who sent them; secret: 16 octets; now_s: UNIX time. out:
    uint8 (n, COOKIE), C-contiguous; rows whose message brought no client cookie stay as they are. Good is a server
    cookie made for this client and address under this secret, at most an hour old (RFC 9018, 4.3).
    ValueError where shapes do not match.
    """
    n = len(batch)
    if len(secret) != 16:
        raise ValueError(f"a secret has 16 octets, not {len(secret)}")
    if (
        not len(messages) == len(net) == len(host) == n
        or out.shape != (n, COOKIE)
        or not out.flags.c_contiguous
    ):
        raise ValueError(f"{len(messages)} messages, {len(net)} addresses, room {out.shape} for {n} requests")
    verified = np.zeros(n, np.bool_)
    kernel.server_cookies(
        frozen(batch.data, np.uint8),
        frozen(batch.offset, np.int64),
        frozen(messages, MESSAGE),
        frozen(net, np.int64),
        frozen(host, np.int64),
        np.uint64(int.from_bytes(secret[:8], "little")),
        np.uint64(int.from_bytes(secret[8:], "little")),
        now_s,
        out.reshape(-1),
        verified,
    )
    return verified


def warm() -> None:
    """Compile the kernel."""
    batch, address = Batch.of([b""]), np.zeros(1, np.int64)
    server_cookies(
        batch, np.zeros(1, MESSAGE), address, address, bytes(16), 0, np.zeros((1, COOKIE), np.uint8)
    )
