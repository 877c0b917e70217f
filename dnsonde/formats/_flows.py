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
ANSWERED = {8: 0, 10: 9, 13: 14, 15: 16, 17: 18, 128: 129}  # what ICMP asks, and by which type it is answered


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

    times: first and last, microseconds; ends, ports: source and target of the first way; the other is its reverse (of
    ICMP, whose type and code these are, the answer).
    """
    (first, last), (src, dst) = times, ends
    good = timed & src.valid & dst.valid
    account.parsed += int(good.sum())
    account.malformed["no_time_or_address"] += int((~good).sum())
    account.malformed = +account.malformed
    if good.any():
        account.saw(int(first[good].min()), int(last[good].max()))
    tcp = protocol == 6
    back = ports[1], ports[0]
    icmp = (protocol == 1) | (protocol == 58)
    for asked, answered in ANSWERED.items():
        is_asked = icmp & (ports[0] == asked)
        back = np.where(is_asked, answered, back[0]), np.where(is_asked, 0, back[1])
    for way, (one, other), (source, target) in zip(
        ways, ((src, dst), (dst, src)), (ports, back), strict=True
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


def asks(packets: Numbers, ports: tuple[Numbers, Numbers]) -> Numbers:
    """1 where several packets went to the lower port: who sends those began, as far as ports tell."""
    return ((packets > 1) & (ports[0] > ports[1])).astype(np.int64)


def flag_columns(bits: Numbers, packets: Numbers, began: Numbers) -> dict[str, Numbers]:
    """Columns of flags that were seen, from the octet of TCP's header that has those of all packets of a flow.

    SYN and ACK are a SYN-ACK, but of who `began` (1) they are of two packets.
    """
    fin, syn, rst, push, ack = (bits >> shift & 1 for shift in (0, 1, 2, 3, 4))
    answers = syn & ack & (1 - began)
    return {
        "syn": syn & (1 - answers),
        "synack": answers,
        "ack": ack & ((1 - answers) | (packets > 1)),
        "fin": fin,
        "rst": rst,
        "push": push,
    }
