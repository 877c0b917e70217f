"""Floods spread thin over a home prefix."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import confidence, detector, finding, severity
from dnsonde.detect._floods import (
    CARPET_ADDRESSES,
    CARPET_PACKETS,
    CARPET_S,
    DST,
    MARKED,
    TALK,
    amounts,
    answers,
    arrivals,
    arrived,
    busiest,
    kinds,
    peak,
    seen,
    sent_from,
    talking,
)
from dnsonde.detect._relations import count_distinct, home_prefix, sample_addresses, sessions, windows
from dnsonde.detect._stages import stage
from dnsonde.table.relations import attach, keys, pair, turned

SRC = keys("src")
REFLECTION = "reflection"
PLAIN = ("syn", "stomp", "flags", REFLECTION, *MARKED)
SCANNED = ("syn", "flags", "ack", "fin")  # by which ports are looked for
PREFIX = ["prefix_net", "prefix_host", "bits"]
COLUMNS = [
    *SRC, *DST, "dst_port", "src_home", "dst_home", "start_us", "end_us", "packets", "bytes", "mark", "vector",
    "window", "file",
]  # fmt: skip


@detector(
    threat="carpet flood",
    subject_kind="prefix",
    title="{vector} flood spread over {subject}",
    summary="{addresses} addresses of {subject} got {count} packets of kind {vector}, {packets_s} a second, "
    "none more than its share: limits for single addresses do not see it, so filter for the prefix.",
    references=(
        "NETSCOUT ASERT, Carpet Bombing DDoS Attacks, 2018",
        "https://github.com/ddos-clearing-house/ddos_dissector (half of the packets make a target)",
    ),
)
def carpet_flood(
    flow: ir.Table,
    *,
    packets_s_min: Annotated[int, "packets a second to the prefix"] = 10_000,
    mbit_min: Annotated[float, "the same as megabits a second"] = 100.0,
    plain_s_min: Annotated[
        int, "the same of what no host means: marks, SYNs without handshake, answers unasked"
    ] = CARPET_S,
    packets_min: Annotated[int, "packets in a minute, so that a burst of a moment is none"] = CARPET_PACKETS,
    addresses_min: Annotated[int, "addresses that are hit"] = CARPET_ADDRESSES,
    each_min: Annotated[int, "mean packets for each address in a minute: a scan sends few"] = 20,
    share_max: Annotated[float, "most of it that one address gets"] = 0.5,
    answers_max: Annotated[float, "most answers of the prefix for each packet"] = 0.2,
    gap_s: Annotated[int, "seconds without a flood that end it"] = 300,
) -> ir.Table:
    """Many addresses of one home prefix (/24 or /48) get a flood of one kind, each only a little of it.

    Kinds are those of `flood`, told by bytes, and `reflection`: answers of services that can be made to amplify, and
    their fragments, which nobody in the prefix asked for.

    **Why it matters** The link fills up while every address looks well: thresholds for single addresses are what it is
    made to pass.

    **What looks like it** A scan reaches many addresses with a packet or two each, or many ports of each: fewer
    than ten packets a port count only from fifty sources. A popular network has as many packets, but in
    conversations that it answers. Downloads over QUIC or a VPN come from ports that also reflect, with few packets
    back: whoever was written to reflects nothing, and where nothing of what an address sends was captured, such
    ports prove nothing. Of a log that samples, twenty packets must have been seen. One busy address is `flood`'s.

    **Thresholds** `share_max` (0.5) is dissector's rule. `packets_s_min` (10,000) and `mbit_min` (100) are those of
    `flood`, `plain_s_min` (500) is its `ack_s`. `packets_min` (2,500), `addresses_min` (16), `each_min` (20),
    `answers_max` (0.2) are ours; `gap_s` is five minutes.
    """
    limits = (packets_min, addresses_min, each_min, share_max)
    few = _with_prefix(arrivals(flow))
    busy = few.group_by([*PREFIX, "half"]).aggregate(packets=few.packets.sum())
    busy = windows(busy, PREFIX, packets_min)
    few = few.mutate(window=few.half // 2).inner_join(busy, [*PREFIX, "window"])
    places = stage(few.select(*DST, "window", "begin").distinct(), needed=True)
    by = [*PREFIX, "vector", "window"]
    rows = kinds(arrived(flow.filter(~flow.src_home & flow.dst_home), places), REFLECTION)
    each = stage(_by_prefix(rows))
    # Mostly nothing: only what is left is worth a look at who asked.
    rough = stage(_spans(each, *limits).select(*by), needed=True)
    few = stage(each.semi_join(rough, by).select(*DST, "vector", "window"))
    # What tells kinds is long to plan: from here on it is computed.
    rows = stage(_unasked(rows.semi_join(few, [*DST, "vector", "window"]), flow).select(*COLUMNS))
    each = stage(_by_prefix(rows))
    spans = stage(_spans(each, *limits), needed=True)
    # One row an address and window, or a vector more: few are counted twice, which only calms.
    hit = stage(each.semi_join(spans, by))
    sent = sent_from(
        flow.filter(flow.src_home), places.semi_join(hit.select(*DST, begin=hit.window), [*DST, "begin"])
    )
    said = attach(hit, answers(sent), [*DST, "window"])
    said = said.group_by(by).aggregate(answers=said.answers.sum())
    spans = attach(spans, said, by)
    few = stage(_with_prefix(rows).semi_join(spans, by))
    spans = attach(spans, busiest(few, by), by)
    spans = attach(spans, count_distinct(few, by, SRC, "sources"), by)
    spans = attach(spans, count_distinct(few, by, [*DST, "dst_port"], "ports"), by)
    packets_s = peak(spans, 0.1)
    mbit_s = packets_s * (spans.octets * 8 / 1e6) / spans.packets
    plain = spans.vector.isin(PLAIN) | (spans.marks * 2 >= spans.flows)
    bulk = ibis.greatest(packets_s / packets_s_min, mbit_s / mbit_min)
    spans = spans.mutate(
        packets_s=packets_s,
        mbit_s=mbit_s,
        ratio=plain.ifelse(ibis.greatest(bulk, packets_s / plain_s_min), bulk),
    )
    spread = ~spans.vector.isin(SCANNED) | (spans.packets >= 10 * spans.ports) | (spans.sources >= 50)
    spans = spans.filter(
        (spans.ratio >= 1) & (spans.answers.fill_null(0) <= spans.packets * answers_max) & spread
    )
    spans = stage(seen(spans, few, flow, by), needed=True)
    held = [*PREFIX, "vector"]
    spans = stage(sessions(spans, held, gap_s))
    hit = attach(hit.semi_join(spans, by), spans.select(*by, "session"), by)
    held = [*held, "session"]
    attacks = spans.group_by(held).aggregate(
        first_us=spans.first_us.min(),
        last_us=spans.last_us.max(),
        packets=spans.packets.sum(),
        octets=spans.octets.sum(),
        addresses=spans.addresses.max(),
        packets_s=spans.packets_s.max(),
        mbit_s=spans.mbit_s.max(),
        ratio=spans.ratio.max(),
    )
    attacks = attach(attacks, sample_addresses(hit, held, "dst", "target_hosts"), held)
    large = (attacks.packets_s >= 100_000) | (attacks.mbit_s >= 1000)
    return finding(
        attacks,
        address=pair(attacks, "prefix"),
        bits=attacks.bits,
        severity=severity(3, large.cast("int64"), 1),
        confidence=confidence(attacks.ratio, 1.0),
        first_seen=attacks.first_us,
        last_seen=attacks.last_us,
        count=attacks.packets,
        vector=attacks.vector,
        addresses=attacks.addresses,
        target_hosts=attacks.target_hosts,
        packets_s=attacks.packets_s,
        mbit_s=attacks.mbit_s,
        bytes=attacks.octets,
    )


def _with_prefix(rows: ir.Table) -> ir.Table:
    """Rows with the /24 or /48 of their `dst`."""
    (net, host), bits = home_prefix(*pair(rows, "dst"))
    return rows.mutate(prefix_net=net, prefix_host=host, bits=bits)


def _by_prefix(rows: ir.Table) -> ir.Table:
    """How much every address got in each window, and its prefix."""
    each = amounts(rows)
    return _with_prefix(each.filter(each.vector != TALK))


def _spans(each: ir.Table, packets_min: int, addresses_min: int, each_min: int, share_max: float) -> ir.Table:
    """Windows in which many addresses of a prefix got much, and none of them most of it."""
    spans = each.group_by([*PREFIX, "vector", "window"]).aggregate(
        first_us=each.first_us.min(),
        last_us=each.last_us.max(),
        packets=each.packets.sum(),
        octets=each.octets.sum(),
        addresses=each.count(),
        most=each.packets.max(),
        flows=each.flows.sum(),
        marks=each.marks.sum(),
    )
    return spans.filter(
        (spans.packets >= packets_min)
        & (spans.addresses >= addresses_min)
        & (spans.packets >= spans.addresses * each_min)
        & (spans.most <= spans.packets * share_max)
    )


def _unasked(rows: ir.Table, flow: ir.Table) -> ir.Table:
    """Without answers of services to whom home writes, or may have written.

    Downloads come in large from ports that also reflect (QUIC, VPN, games), for few small packets back. Where those
    were not captured, an address that says nothing at all may have asked.
    """
    out = flow.filter(flow.src_home & ~flow.dst_home)
    asked = out.select(**turned("net", "host")).distinct()
    heard = asked.select(*DST).distinct()
    # In one pass: what tells kinds is long, and a union of parts would have it once for each.
    rows = attach(rows, asked.mutate(asked=ibis.literal(True)), [*SRC, *DST])
    rows = attach(rows, heard.mutate(heard=ibis.literal(True)), DST)
    unasked = rows.asked.isnull() & (~rows.src_port.isin(talking()) | rows.heard.notnull())
    return rows.filter((rows.vector != REFLECTION) | unasked).drop("asked", "heard")
