"""What was seen of each target, as relations: the evidence that `verdict` judges.

Everything here is portable SQL by way of Ibis: masks and epoch arithmetic, no engine's own functions. Ties are
broken by columns, never by the order of rows, so that every engine tells the same.
"""

from collections.abc import Sequence

import ibis
from ibis import _
from ibis.expr import types as ir

from dnsonde.table.prefix import Prefix
from dnsonde.table.relations import attach, inside, is_ipv4, keys, pair, same

TARGET = keys("target")
PAIR = keys("target", "egress")
PROBE_KEY = [*TARGET, "kind", "attempt"]

WINDOW_US = 3_600_000_000  # between a probe and the queries for its name that count

# How much a reply says of its host, best first; among equals the earliest decides.
RANK = {
    "right": 1, "wrong": 1,
    "nxdomain": 2, "empty": 2, "referral": 2,
    "truncated": 3,
    "refused": 4, "notimp": 4, "formerr": 4, "other_rcode": 4,
    "servfail": 5,
    "echo": 7,
    "icmp": 8,
}  # fmt: skip
COMPLAINS, BADVERS = 6, 16  # of EDNS perhaps (RFC 6891, 6.1.3 and 7): what it says without it tells more


def lies(table: ibis.Table, role: str, within: Sequence[Prefix]) -> ir.BooleanValue:
    """The address in `role` is in one of the prefixes."""
    return inside(*pair(table, role), within)


def alike(table: ibis.Table, role: str, other: str) -> ir.BooleanValue:
    """Two addresses are one."""
    return same(pair(table, role), pair(table, other))


def same_network(table: ibis.Table, role: str, other: str) -> ir.BooleanValue:
    """Two addresses share their /24 (IPv4) or /48 (IPv6)."""
    (net, host), (net2, host2) = pair(table, role), pair(table, other)
    bits4, bits6 = -(1 << 32 - 24), -(1 << 64 - 48)
    near4 = (net == 0) & (net2 == 0) & ((host & bits4) == (host2 & bits4))
    near6 = ~is_ipv4(net, host) & ~is_ipv4(net2, host2) & ((net & bits6) == (net2 & bits6))
    return (is_ipv4(net, host) & near4) | near6


def asked(probe: ibis.Table) -> ibis.Table:
    """The probes, as the joins need them."""
    return probe.select(*PROBE_KEY, "tag", "query_bytes", "errno", sent_us=_.time_us)


def sighted(sent: ibis.Table, sighting: ibis.Table) -> tuple[ibis.Table, ibis.Table]:
    """What our authority saw of each target, and of each (target, egress).

    Only queries that carry the tag of a probe of ours, within WINDOW_US of it: who asks later is somebody replaying
    names, not the host. Names on the way there (QNAME
    minimisation, RFC 9156) have no target and prove nothing.
    """
    queries = sighting.filter(_.target_net.notnull() & _.tag.notnull() & (_.outcome != "dropped")).select(
        *PROBE_KEY, "tag", "egress_net", "egress_host", seen_us=_.time_us, answered=_.rcode
    )
    ours = (
        queries.inner_join(sent, [queries[key] == sent[key] for key in [*PROBE_KEY, "tag"]])
        .select(*PROBE_KEY, "egress_net", "egress_host", "seen_us", "answered", "sent_us")
        .filter((_.seen_us - _.sent_us <= WINDOW_US) & (_.sent_us - _.seen_us <= WINDOW_US))
    )
    sweep = ours.kind == "sweep"
    pairs = ours.group_by(PAIR).aggregate(
        queries=ours.count(),
        sweep_queries=sweep.sum(),
        answered_queries=(sweep & (ours.answered == 0)).sum(),
        first_attempt=ours.attempt.min(where=sweep),
        pair_first_us=ours.seen_us.min(),
    )
    order = ibis.window(group_by=TARGET, order_by=["pair_first_us", "egress_net", "egress_host"])
    first = pairs.mutate(place=ibis.row_number().over(order)).filter(_.place == 0)
    summary = pairs.group_by(TARGET).aggregate(
        sightings=_.queries.sum(),
        sweep_sightings=_.sweep_queries.sum(),
        answered_us=_.answered_queries.sum(),
        first_asked=_.first_attempt.min(),
        egress_count=_.count(),
        self_egress=alike(pairs, "egress", "target").sum(),
        near_egress=same_network(pairs, "egress", "target").sum(),
        kin_egress=(is_ipv4(*pair(pairs, "egress")) == is_ipv4(*pair(pairs, "target"))).sum(),
        first_sighting_us=_.pair_first_us.min(),
    )
    return attach(summary, first.select(*PAIR), TARGET), pairs.select(*PAIR)


def replies_of(
    sent: ibis.Table, reply: ibis.Table, seen: ibis.Table, pairs: ibis.Table, *, delegated: bool
) -> ibis.Table:
    """Every reply that belongs to a target, with what it means (`RANK`) and its probe's size and time."""
    t = reply.filter(_.outcome.isin(["answered", "icmp"]) & _.target_net.notnull()).select(
        *PROBE_KEY,
        *("time_us", "outcome", "responder_net", "responder_host", "rcode", "flags", "answers", "records"),
        *("control", "egress_count", "answer1_net", "answer1_host", "answer2_net", "answer2_host"),
        *("authority_ns", "response_bytes", "icmp_type", "icmp_code", "offender_net", "offender_host"),
    )
    t = t.rename(others="egress_count").mutate(
        control=_.control.fill_null(False), flags=_.flags.fill_null(0), answers=_.answers.fill_null(0)
    )
    t = attach(t, sent.group_by(PROBE_KEY).aggregate(query_bytes=_.query_bytes.max(), sent_us=_.sent_us.min()),
               PROBE_KEY)  # fmt: skip
    t = attach(t, seen.select(*TARGET, "sightings"), TARGET).mutate(sightings=_.sightings.fill_null(0))
    for role in ("answer1", "answer2", "responder"):
        known = pairs.select(
            *TARGET, **{f"{role}_net": _.egress_net, f"{role}_host": _.egress_host, f"{role}_seen": True}
        )
        t = attach(t, known, [*TARGET, f"{role}_net", f"{role}_host"])
        t = t.mutate(**{f"{role}_seen": t[f"{role}_seen"].fill_null(False)})
    if delegated:
        # A forwarder may drop a record or turn their order: any part of what we told is right.
        own1 = t.answer1_net.isnull() | t.answer1_seen
        own2 = t.answer2_net.isnull() | t.answer2_seen
        right = ((t.sightings > 0) & own1 & own2 & (t.others <= 2)) | (
            (t.sightings == 0) & t.control & (t.others <= 1)
        )
        odd = t.answer1_seen & t.answer2_net.notnull()
    else:
        right = t.control & (t.others == 0)
        odd = ibis.literal(False)
    response = (t.flags & 0x8000) != 0
    t = t.mutate(
        meaning=ibis.cases(
            (t.outcome == "icmp", "icmp"),
            (~response, "echo"),
            ((t.rcode == 0) & (t.answers > 0) & right, "right"),
            ((t.rcode == 0) & (t.records > 0), "wrong"),
            ((t.flags & 0x0200) != 0, "truncated"),
            (t.rcode == 3, "nxdomain"),
            ((t.rcode == 0) & (t.authority_ns > 0) & (t.sightings == 0), "referral"),
            (t.rcode == 0, "empty"),
            (t.rcode == 1, "formerr"),
            (t.rcode == 2, "servfail"),
            (t.rcode == 4, "notimp"),
            (t.rcode == 5, "refused"),
            else_="other_rcode",
        ),
        answer_net=odd.ifelse(t.answer2_net, t.answer1_net),
        answer_host=odd.ifelse(t.answer2_host, t.answer1_host),
    )
    t = t.mutate(
        complains=t.meaning.isin(["formerr", "notimp"]) | ((t.outcome == "answered") & (t.rcode == BADVERS))
    )
    ranks = ibis.cases(*((t.meaning == name, rank) for name, rank in RANK.items()))
    return t.mutate(rank=t.complains.ifelse(COMPLAINS, ranks))


def deciding(t: ibis.Table) -> tuple[ibis.Table, ibis.Table]:
    """Of `replies_of`: the reply that decides, and the sums, a row a target each."""
    sweep = t.filter(_.kind == "sweep")
    order = ibis.window(
        group_by=TARGET,
        order_by=["rank", "time_us", "attempt", "responder_net", "responder_host", "meaning",
                  "answer_net", "answer_host", "response_bytes"],
    )  # fmt: skip
    first = sweep.mutate(place=ibis.row_number().over(order)).filter(_.place == 0)
    first = first.select(
        *TARGET, "meaning", "complains", "responder_net", "responder_host", "responder_seen", "rcode", "flags",
        "control", "others", "answer_net", "answer_host", "icmp_type", "icmp_code", "offender_net", "offender_host",
        # The wall clock may have been set between the two.
        rtt_us=(first.time_us >= first.sent_us).ifelse(first.time_us - first.sent_us, ibis.null("int64")),
    )  # fmt: skip

    # Two different stories told of one probe: somebody on the way talks too.
    told = sweep.filter(~_.meaning.isin(["echo", "icmp"]))
    told = told.mutate(
        story=_.answer1_net.fill_null(0) ^ _.answer1_host.fill_null(0) ^ _.answer2_net.fill_null(0)
        ^ _.answer2_host.fill_null(0),
        denial=_.meaning.isin(["nxdomain", "empty"]),
    )  # fmt: skip
    probe = told.group_by([*TARGET, "attempt"]).aggregate(
        rights=(_.meaning == "right").sum(),
        wrongs=(_.meaning == "wrong").sum(),
        denials=_.denial.sum(),
        story_min=_.story.min(where=_.meaning == "wrong"),
        story_max=_.story.max(where=_.meaning == "wrong"),
        right_us=_.time_us.min(where=_.meaning == "right"),
        wrong_us=_.time_us.min(where=_.meaning != "right"),
    )
    probe = probe.mutate(
        conflict=((_.wrongs > 0) & ((_.rights > 0) | (_.denials > 0) | (_.story_min != _.story_max)))
        | ((_.rights > 0) & (_.denials > 0))
    )
    conflicts = probe.group_by(TARGET).aggregate(
        conflict=_.conflict.sum(),
        conflict_right=(_.conflict & (_.rights > 0)).sum(),
        conflict_early=(_.conflict & (_.wrong_us < _.right_us)).sum(),
    )
    dns = t.outcome == "answered"
    summary = t.group_by(TARGET).aggregate(
        replies=dns.sum(),
        dns_replies=(dns & (t.kind == "sweep") & (t.meaning != "echo")).sum(),
        from_target=(
            dns & (t.kind == "sweep") & (t.meaning != "echo") & alike(t, "responder", "target")
        ).sum(),
        last_complaint=t.attempt.max(where=t.complains & (t.kind == "sweep")),
        rewritten_nx=(
            (t.kind == "nxdomain") & dns & (t.meaning != "echo") & (t.rcode == 0) & (t.answers > 0)
        ).sum(),
        response_bytes=t.response_bytes.max(where=dns),
        amplification=(t.response_bytes / t.query_bytes).max(where=dns),
        first_reply_us=t.time_us.min(),
    )
    return first, attach(summary, conflicts, TARGET)
