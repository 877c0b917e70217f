"""Which answer each request of an authority gets: a batch of questions to reply specifications, by tables.

The tables say what a zone holds (`authority.layout` makes them); here is what any server must mind: RFC 1035's
codes, EDNS (RFC 6891), cookies (RFC 7873), one question (RFC 9619), and how large an answer may be.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnsonde.wire._arrays import frozen
from dnsonde.wire._kernels import reply_choose as kernel
from dnsonde.wire.batch import Batch
from dnsonde.wire.datagram import DATAGRAM
from dnsonde.wire.message import MESSAGE, PROBE_NAME, REPLY_SPEC

ASKS = kernel.ASKS  # groups of query types that tables can tell apart
STATUSES = 5  # of `wire.name.NameStatus`
EGRESS = 16  # octets of an asker's address; IPv4 is the last four

# Shapes that every table has at these places, decided here: no reply (responses, shorter than a header, closed
# ports), the error codes, NOERROR with nothing (a cookie fetched without a question), TC=1 with nothing, and a
# shape whose size is the name's `step`.
DROP, FORMERR, NOTIMP, BADVERS, REFUSED, EMPTY, TRUNCATED, SIZE = range(8)

SHAPE = np.dtype(
    [
        ("rcode", "u2"),
        ("flags", "u2"),
        ("first", "i4"),  # row of the first record, plus
        ("per_row", "i4"),  # this, times the row in the batch, plus
        ("per_offset", "i4"),  # this, times the zone's offset in the message
        ("count", "u2"),  # records
        ("ede", "u2"),  # extended error's INFO-CODE plus 1, 0: none
        ("rare", "u1"),  # 1: the caller adds the records
    ]
)

FIXED = np.dtype(
    [
        ("start", "i4"),  # of the lower-case wire name in `Tables.wire`
        ("octets", "u2"),
        ("qclass", "u2"),
        ("shapes", "u1", (ASKS,)),
    ]
)


@dataclass(slots=True)
class Tables:
    """What an authority can answer.

    asks: uint8 (65536,), the group of each query type, below ASKS; keys: uint8, the shape by (status, kind, group,
    asker is IPv6) of a probe name, flat; shapes: SHAPE; fixed: FIXED, names that are no probe names, of class IN
    within the zone or of any other class; wire: their octets; zone: octets of the zone's name.
    """

    asks: NDArray[np.generic]
    keys: NDArray[np.generic]
    shapes: NDArray[np.void]
    fixed: NDArray[np.void]
    wire: NDArray[np.generic]
    zone: int

    def __post_init__(self) -> None:
        self.asks = frozen(self.asks, np.uint8)
        self.keys = frozen(self.keys, np.uint8)
        self.shapes, self.fixed = np.array(self.shapes, SHAPE), np.array(self.fixed, FIXED)
        self.shapes.flags.writeable = self.fixed.flags.writeable = False
        self.wire = frozen(self.wire, np.uint8)
        largest = max(int(shapes.max(initial=0)) for shapes in (self.keys, self.fixed["shapes"]))
        ends = self.fixed["start"] + self.fixed["octets"].astype(np.int64)
        if ends.max(initial=0) > len(self.wire) or self.fixed["start"].min(initial=0) < 0:
            raise ValueError("tables whose names lie outside their octets")
        if len(self.asks) != 1 << 16 or self.asks.max() >= ASKS or largest >= len(self.shapes):
            raise ValueError("tables that point outside each other")
        if len(self.keys) != STATUSES * 4 * ASKS * 2 or len(self.shapes) <= SIZE:
            raise ValueError("tables that are too short")


def choose_replies(
    requests: Batch,
    messages: NDArray[np.void],
    names: NDArray[np.void],
    peers: NDArray[np.void],
    verified: NDArray[np.bool_],
    *,
    tables: Tables,
    closed_ports: NDArray[np.generic],
    tcp: bool,
    udp_octets: int,
    amplification: float,
    cookies: int,
    nsid: tuple[int, int],
    egress: NDArray[np.uint8],
) -> tuple[NDArray[np.void], NDArray[np.uint8], int]:
    """REPLY_SPEC and shape of each request, and how many have a shape that the caller completes.

    messages, names, peers, verified: MESSAGE, PROBE_NAME, DATAGRAM and bool (n,); closed_ports: bool (65536,),
    read-only, source ports that get no answer by UDP; amplification: how many times its own octets an asker by
    UDP gets that is not verified; cookies: where in the blob row 0's cookie lies, others follow; nsid: where in the
    blob our identifier lies, for who asks for it (RFC 5001), and its octets, 0 for none; egress: uint8
    (n * EGRESS,), gets each asker's address. ValueError where lengths differ.
    """
    n = len(requests)
    if not len(messages) == len(names) == len(peers) == len(verified) == n or len(egress) != n * EGRESS:
        raise ValueError(f"{len(messages)} messages, {len(names)} names, {len(peers)} peers for {n} requests")
    shape = np.empty(n, np.uint8)
    replies = np.empty(n, REPLY_SPEC)
    rare = kernel.choose(
        frozen(requests.data, np.uint8),
        frozen(requests.offset, np.int64),
        frozen(requests.length, np.int32),
        frozen(messages, MESSAGE),
        frozen(names, PROBE_NAME),
        frozen(peers, DATAGRAM),
        frozen(verified, np.bool_),
        tcp,
        tables.asks,
        tables.keys,
        tables.shapes,
        tables.fixed,
        tables.wire,
        closed_ports,
        tables.zone,
        udp_octets,
        float(amplification),
        cookies,
        *nsid,
        shape,
        egress,
        replies,
    )
    return replies, shape, rare


def warm() -> None:
    """Compile the kernel."""
    nothing = np.zeros(0, np.uint8)
    tables = Tables(
        np.zeros(1 << 16, np.uint8),
        np.zeros(STATUSES * 4 * ASKS * 2, np.uint8),
        np.zeros(8, SHAPE),
        np.zeros(0, FIXED),
        nothing,
        1,
    )
    choose_replies(
        Batch.of([b""]),
        np.zeros(1, MESSAGE),
        np.zeros(1, PROBE_NAME),
        np.zeros(1, DATAGRAM),
        np.zeros(1, np.bool_),
        tables=tables,
        closed_ports=frozen(np.zeros(1 << 16, np.bool_), np.bool_),
        tcp=False,
        udp_octets=512,
        amplification=3.0,
        cookies=0,
        nsid=(0, 0),
        egress=np.zeros(EGRESS, np.uint8),
    )
