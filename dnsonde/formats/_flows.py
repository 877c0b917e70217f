"""Rows of `flow` from records that tell of both ways of a conversation at once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dnsonde.formats import _logs as logs
from dnsonde.formats._contract import Account

Numbers = NDArray[Any]


@dataclass(slots=True)
class Way:
    """One way of some conversations: how much went it, and what flags of TCP were seen (by column of `flow`)."""

    packets: Numbers
    octets: Numbers
    flags: dict[str, Numbers] = field(default_factory=dict)


def conversations(
    account: Account,
    times: tuple[Numbers, Numbers],
    ends: tuple[logs.Ends, logs.Ends],
    ports: tuple[Numbers, Numbers],
    protocol: Numbers,
    ways: tuple[Way, Way],
    timed: NDArray[np.bool_],
) -> Iterator[pa.RecordBatch]:
    """Rows of each way that has packets. Records without a time (`timed`) or an address are malformed, and counted.

    times: first and last, microseconds; ends, ports: source and target of the first way; the other is its reverse.
    """
    (first, last), (src, dst) = times, ends
    good = timed & src.valid & dst.valid
    account.parsed += int(good.sum())
    account.malformed["no_time_or_address"] += int((~good).sum())
    account.malformed = +account.malformed
    if good.any():
        account.saw(int(first[good].min()), int(last[good].max()))
    tcp = protocol == 6
    for way, (one, other), (source, target) in zip(
        ways, ((src, dst), (dst, src)), (ports, ports[::-1]), strict=True
    ):
        keep = good & (way.packets > 0)
        if keep.any():
            flags = {name: np.where(tcp, value, 0) for name, value in way.flags.items()}
            yield logs.flow_rows(
                account,
                {
                    "start_us": first, "end_us": last, "src_net": one.net, "src_host": one.host, "dst_net": other.net,
                    "dst_host": other.host, "protocol": protocol, "src_port": source, "dst_port": target,
                    "packets": way.packets, "bytes": way.octets, **flags,
                },
                keep,
            )  # fmt: skip


def flag_columns(bits: Numbers) -> dict[str, Numbers]:
    """Columns of flags that were seen, from the octet of TCP's header: with both SYN and ACK it is a SYN-ACK."""
    fin, syn, rst, push, ack = (bits >> shift & 1 for shift in (0, 1, 2, 3, 4))
    return {
        "syn": syn & ~ack & 1,
        "synack": syn & ack,
        "ack": ack & ~syn & 1,
        "fin": fin,
        "rst": rst,
        "push": push,
    }
