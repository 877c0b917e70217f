"""Home addresses that pass queries on under the asker's address."""

from typing import Annotated

import ibis.expr.types as ir

from dnsonde.detect._contract import CERTAIN, detector, finding
from dnsonde.detect._relations import (
    SECOND,
    attach,
    count_distinct,
    keys,
    pair,
    queries,
    sample,
    sample_addresses,
)
from dnsonde.detect._stages import needs, sides, stage

TARGET = keys("target")
TRANSACTION = ["client_net", "client_host", "client_port", "id", "qname", "qtype"]


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
    both = relayed.inner_join(came, TRANSACTION)
    both = both.filter(
        (both.out_us >= both.in_us)
        & (both.out_us - both.in_us <= round(delay_s * SECOND))
        & (both.out_mac != both.in_mac).fill_null(True)
    )
    both = stage(both, needed=True)
    each = both.group_by(TARGET).aggregate(
        first_us=both.in_us.min(),
        last_us=both.out_us.max(),
        relayed=both.count(),
        delay_max_us=(both.out_us - both.in_us).max(),
    )
    each = each.filter(each.relayed >= relayed_min)
    for more in (
        count_distinct(both, TARGET, keys("client"), "clients"),
        count_distinct(both, TARGET, keys("resolver"), "resolvers"),
        sample_addresses(both, TARGET, "resolver", "resolver_hosts"),
        sample(both, TARGET, "qname", "names"),
    ):
        each = attach(each, more, TARGET)
    return finding(
        each,
        address=pair(each, "target"),
        severity=2,
        confidence=CERTAIN,
        first_seen=each.first_us,
        last_seen=each.last_us,
        count=each.relayed,
        clients=each.clients,
        resolvers=each.resolvers,
        relays_to_hosts=each.resolver_hosts,
        names=each.names,
        delay_max_us=each.delay_max_us,
    )
