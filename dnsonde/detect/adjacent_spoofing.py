"""Spoofed queries that claim to come from their target's neighbour (DASA)."""

import re
from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import confidence, detector, finding
from dnsonde.detect._relations import adjacent, count_distinct, home_prefix, queries, sample, sample_addresses
from dnsonde.detect._stages import needs, sides, stage
from dnsonde.errors import UsageError
from dnsonde.table.relations import attach, keys, pair

SIDES = ["src_mac", "src_home", "dst_home", *keys("src", "dst")]
PREFIX = ["prefix_net", "prefix_host", "bits"]
OUTWARD = 10  # at least so many packets come in by a border router for one that it sends out


@detector(
    threat="missing source address validation",
    subject_kind="prefix",
    title="Spoofed queries from neighbours reach {targets} addresses in {subject}",
    summary="{count:DNS query|DNS queries} came in from outside with sources next to their targets in {subject}: your "
    "border lets in packets that claim to be from inside. Drop them there (RFC 2827).",
    references=(
        "Dataplane.org and APNIC, destination-adjacent source address spoofing, 2024",
        "RFC 2827 (BCP 38), Network Ingress Filtering",
        "Deccio et al., Behind Closed Doors: A Network Tale of Spoofing, Intrusion, and False DNS Security, IMC 2020",
    ),
)
def adjacent_spoofing(
    message: ir.Table,
    flow: ir.Table,
    *,
    border: Annotated[
        str, "link-layer addresses of border routers, with commas between; empty: learned"
    ] = "",
    outside_share_min: Annotated[float, "share of a border router's packets that have outside sources"] = 0.5,
    queries_min: Annotated[int, "such queries to one prefix that make a finding"] = 1,
) -> ir.Table:
    """Queries from outside whose forged source is their target's neighbour.

    UDP queries with RD, from and to home addresses of the same /30 (IPv6: /48), that were brought by a border
    router. Which link-layer addresses are border routers' is learned: most of what they bring, apart from such
    queries, has sources outside; or it is told by `border`.

    **Why it matters** Each one proves that your border does not validate source addresses: strangers can speak to
    your hosts as if they were inside, past every rule that trusts inside, and closed resolvers answer them.

    **What looks like it** Neighbours inside who talk to each other send from link-layer addresses of their own, or
    through an inner router that brings hardly anything from outside. Where customers of one subnet reach each other
    through the border router itself (private VLANs), name the outer ports with `border`. Without link-layer
    addresses (dnstap, flow exports), or where one brings packets both in and out (made anonymous, or of a router
    with one port), nothing is told.

    **Thresholds** `queries_min` is 1, as one such packet is proof if its side is known; `outside_share_min` (0.5)
    tells outer from inner routers, which bring nearly all or nearly nothing.
    """
    needs(sides(message).filter(lambda t: ~t.response & t.src_home & t.dst_home))
    near = queries(message).filter(
        lambda t: (
            (t.transport == "udp")
            & t.rd
            & t.src_home
            & t.dst_home
            & t.src_mac.notnull()
            & adjacent(pair(t, "src"), pair(t, "dst"))
        )
    )
    near = stage(near.select("src_mac", "time_us", "registered_domain", *keys("src", "dst")), needed=True)
    if border:
        near = near.filter(near.src_mac.isin(link_addresses(border)))
    else:
        brought = near.select("src_mac").distinct()
        near = near.semi_join(_learned(brought, message, flow, outside_share_min), "src_mac")
    (net, host), bits = home_prefix(*pair(near, "dst"))
    near = near.mutate(prefix_net=net, prefix_host=host, bits=bits)
    each = near.group_by(PREFIX).aggregate(
        first_us=near.time_us.min(), last_us=near.time_us.max(), queries=near.count()
    )
    each = each.filter(each.queries >= queries_min)
    for more in (
        count_distinct(near, PREFIX, keys("dst"), "targets"),
        count_distinct(near, PREFIX, keys("src"), "sources"),
        sample_addresses(near, PREFIX, "dst", "target_hosts"),
        sample(near, PREFIX, "registered_domain", "domains"),
    ):
        each = attach(each, more, PREFIX)
    return finding(
        each,
        address=pair(each, "prefix"),
        bits=each.bits,
        severity=2,
        confidence=confidence(each.queries, queries_min),
        first_seen=each.first_us,
        last_seen=each.last_us,
        count=each.queries,
        targets=each.targets,
        sources=each.sources,
        examples_hosts=each.target_hosts,
        domains=each.domains,
    )


def link_addresses(text: str) -> list[int]:
    """Link-layer addresses as numbers; UsageError for what is none."""
    found = []
    for part in text.replace(",", " ").split():
        digits = re.sub("[:.-]", "", part)
        if not re.fullmatch("[0-9a-fA-F]{12}", digits):
            raise UsageError(f"{part!r} is no link-layer address; write it like 00:53:00:12:34:56.")
        found.append(int(digits, 16))
    return found


def _learned(asked: ir.Table, message: ir.Table, flow: ir.Table, outside_share_min: float) -> ir.Table:
    """Those of the link-layer addresses `asked` that bring packets from outside, in `src_mac`."""
    one = ibis.literal(1, "int64")
    parts = []
    for table, packets in ((message, one), (flow, flow.packets)):
        told = table.select(*SIDES, weight=packets).semi_join(asked, "src_mac")
        # What is in question must not decide, nor what has no end at home: it has crossed no border of ours.
        spoofed = told.src_home & told.dst_home & adjacent(pair(told, "src"), pair(told, "dst"))
        told = told.filter(~spoofed & (told.src_home | told.dst_home))
        each = told.group_by("src_mac").aggregate(
            outside=told.weight.sum(where=~told.src_home).fill_null(0),
            outward=told.weight.sum(where=told.src_home & ~told.dst_home).fill_null(0),
            total=told.weight.sum(),
        )
        # One type on both sides of the union, in what may be null too.
        parts.append(each.select(*(each[name].cast("int64").name(name) for name in each.columns)))
    both = parts[0].union(parts[1])
    each = both.group_by("src_mac").aggregate(
        outside=both.outside.sum(), outward=both.outward.sum(), total=both.total.sum().cast("float64")
    )
    # What a border router brings in has not gone out by the same port: such an address is of both sides, or made up.
    border = (each.outside > 0) & (each.outside >= outside_share_min * each.total)
    return each.filter(border & (each.outward * OUTWARD <= each.outside)).select("src_mac")
