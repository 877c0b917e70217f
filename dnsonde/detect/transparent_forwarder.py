"""Home addresses that pass queries on under the asker's address."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import CERTAIN, detector, finding
from dnsonde.detect._relations import SECOND, count_distinct, queries, sample, sample_addresses, together
from dnsonde.detect._stages import needs, sides, stage
from dnsonde.table.relations import attach, keys, pair

TARGET, RESOLVER = keys("target"), keys("resolver")
TRANSACTION = ["client_net", "client_host", "client_port", "id", "qname", "qtype"]
SHARED = 0.5  # how sure it is who passed on what several addresses were asked alike


@detector(
    threat="transparent dns forwarder",
    subject_kind="address",
    title="{subject} relays strangers' DNS queries under their own address",
    summary="{subject} passed {count:query|queries} of {clients:outside address|outside addresses} on to "
    "{resolvers:resolver|resolvers} with the source unchanged. It can be used for reflection, and its network lets "
    "spoofed sources out: fix both.",
    references=(
        "Nawrocki et al., Transparent Forwarders: An Unnoticed Component of the Open DNS Infrastructure, CoNEXT 2021",
        "RFC 2827 (BCP 38), Network Ingress Filtering",
    ),
)
def transparent_forwarder(
    message: ir.Table,
    *,
    relayed_min: Annotated[int, "relayed queries that make a finding"] = 1,
    delay_s: Annotated[float, "longest time between a query and its relay"] = 2.0,
) -> ir.Table:
    """A home address passes queries on and leaves the asker's address in them.

    A query comes in from outside, and soon a query goes out to port 53 outside whose source is that asker, who is
    not ours, with the same port, id, name and type. The answer then goes from the resolver straight to the asker.

    **Why it matters** 26 % of the open DNS is of this kind and unseen by scanners that look at who answers. The
    device amplifies for anybody, and its way out of your network has no source address validation.

    **What looks like it** In a network that carries transit, an asker's queries to you and to others both pass by:
    their ids and ports differ, and they come from one link-layer address. A forwarder that uses its own address is
    an `open_resolver`. Relays to a resolver inside home are not seen here.

    **Thresholds** `relayed_min` is 1: port and id agree by chance once in 2^32. `delay_s` (2) is what a slow device
    needs; resends come later.

    A query that an asker sent to several of your addresses alike, as some scanners do, was passed on by the one that
    was asked last before: of that alone the confidence is 0.5.
    """
    needs(sides(message).filter(lambda t: ~t.response & ~t.src_home & ~t.dst_home))
    asked = queries(message).filter(lambda t: (t.transport == "udp") & ~t.src_home)
    columns = {"client_net": asked.src_net, "client_host": asked.src_host, "client_port": asked.src_port}
    asked = asked.mutate(**columns)
    relayed = asked.filter(~asked.dst_home & (asked.dst_port == 53)).select(
        *TRANSACTION, out_us="time_us", out_mac="src_mac", resolver_net="dst_net", resolver_host="dst_host"
    )
    relayed = stage(relayed, needed=True)
    came = asked.filter(asked.dst_home).select(
        *TRANSACTION, in_us="time_us", in_mac="src_mac", target_net="dst_net", target_host="dst_host"
    )
    both = _passed_on(relayed, came.semi_join(relayed, TRANSACTION))
    both = both.filter(
        (both.out_us - both.in_us <= round(delay_s * SECOND)) & (both.out_mac != both.in_mac).fill_null(True)
    )
    both = stage(both, needed=True)
    each = both.group_by(TARGET).aggregate(
        first_us=both.in_us.min(),
        last_us=both.out_us.max(),
        relayed=both.count(),
        asked_alone=both.alone.any(),
        delay_max_us=(both.out_us - both.in_us).max(),
    )
    each = each.filter(each.relayed >= relayed_min)
    for more in (
        count_distinct(both, TARGET, keys("client"), "clients"),
        count_distinct(both, TARGET, RESOLVER, "resolvers"),
        sample_addresses(both, TARGET, "resolver", "resolver_hosts"),
        sample(both, TARGET, "qname", "names"),
    ):
        each = attach(each, more, TARGET)
    return finding(
        each,
        address=pair(each, "target"),
        severity=2,
        confidence=each.asked_alone.ifelse(CERTAIN, SHARED),
        first_seen=each.first_us,
        last_seen=each.last_us,
        count=each.relayed,
        clients=each.clients,
        resolvers=each.resolvers,
        relays_to_hosts=each.resolver_hosts,
        names=each.names,
        delay_max_us=each.delay_max_us,
    )


def _passed_on(relayed: ir.Table, came: ir.Table) -> ir.Table:
    """Each relayed query beside the last one like it that had come in: one row a relayed query, however many came.

    alone: whether one address was asked so, and no other.
    """
    went = relayed.mutate(at_us=relayed.out_us, in_us=ibis.null("int64"))
    none = dict.fromkeys(["out_us", "out_mac", *RESOLVER], ibis.null("int64"))
    moments = together(went, came.mutate(at_us=came.in_us, **none), went.columns)
    before = ibis.range_window(preceding=None, following=0, group_by=TRANSACTION, order_by="at_us")
    moments = moments.mutate(in_us=moments.in_us.max().over(before)).filter(lambda t: t.out_us.notnull())
    place = ibis.row_number().over(ibis.window(group_by=[*TRANSACTION, "in_us"], order_by=TARGET))
    last = came.mutate(place=place).filter(lambda t: t.place == 0).drop("place")
    several = came.group_by(TRANSACTION).aggregate(
        alone=(came.target_net.min() == came.target_net.max())
        & (came.target_host.min() == came.target_host.max())
    )
    return moments.drop("at_us").inner_join(last, [*TRANSACTION, "in_us"]).inner_join(several, TRANSACTION)
