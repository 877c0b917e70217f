"""What kind of DNS host each target is: the join of `probe`, `reply` and `sighting`.

One row a target, and the first rule that fits decides (see `RULES`). Evidence is strict: a reply counts only
if its tag was right, a sighting only if it carries the tag of a probe that we sent, and recursion is proven by
a sighting or by the right answer, never by the RA flag (a REFUSED with RA set is a closed host).

Right is an answer made of our control address and of addresses that our authority has seen asking for this
very target, in any number and order. With a known name (`zone_mode="known"`) right is any of the known answers.
"""

from typing import Literal

import ibis
from ibis import _
from ibis.expr import types as ir

from dnsonde.probe._facts import TARGET, asked, deciding, replies_of, same_network, sighted
from dnsonde.probe._rules import DELEGATED, KNOWN
from dnsonde.table.relations import attach
from dnsonde.table.schema import VERDICT

ZoneMode = Literal["delegated", "known"]

UNTOLD: tuple[tuple[str, str], ...] = (
    ("recursive_resolver", "that the host itself resolves: our authority would see its address"),
    ("recursive_forwarder", "whom it forwards to: our authority would see the egress"),
    ("transparent_forwarder", "replies from other addresses, which only a name of its own can attribute"),
    ("multihomed", "replies from another address of the host"),
    ("resolves_no_reply", "hosts that resolve without replying: only our authority sees them"),
    ("answered_without_us", "answers from a cache: every name would be new"),
)
COUNTS = (
    "sightings", "sweep_sightings", "answered_us", "egress_count", "self_egress", "near_egress",
    "kin_egress", "replies", "dns_replies", "from_target", "rewritten_nx", "conflict", "conflict_right",
    "conflict_early", "egress_targets", "answer_targets",
)  # fmt: skip
CROWD_MIN = 3  # so many targets that give one wrong address make it one address for all


def verdict(
    probe: ibis.Table,
    reply: ibis.Table,
    sighting: ibis.Table,
    *,
    zone_mode: ZoneMode = "delegated",
    egress_crowd: ibis.Table | None = None,
    answer_crowd: ibis.Table | None = None,
    responder_crowd: ibis.Table | None = None,
    owners: ibis.Table | None = None,
) -> ibis.Table:
    """One `VERDICT` row for each target of `probe`; never executes, compiles for DuckDB and Spark.

    `egress_crowd`, `answer_crowd`,
    `responder_crowd`: the relations of the functions of that name, when they were computed over more targets than are
    given here. `owners`: the table `enrichment`, where somebody learned whose the addresses are: one address of the
    same system that replies for one host alone is that host's other address (decision 0009).
    """
    delegated = zone_mode == "delegated"
    sent = asked(probe)
    seen, pairs = sighted(sent, sighting)
    replies = replies_of(sent, reply, seen, pairs, delegated=delegated)
    first, summary = deciding(replies)

    egress_crowd = egress_crowds(probe, sighting) if egress_crowd is None else egress_crowd
    answer_crowd = answer_crowds(reply) if answer_crowd is None else answer_crowd
    facts = sent.group_by(TARGET).aggregate(
        attempts=((_.kind == "sweep") & (_.errno == 0)).sum(),
        errno=_.errno.max(),
        query_bytes=_.query_bytes.max(where=_.kind == "sweep"),
    )
    for more in (seen, summary, first):
        facts = attach(facts, more, TARGET)
    for role, crowd in (("egress", egress_crowd), ("answer", answer_crowd)):
        half = (f"{role}_net", f"{role}_host")
        named = crowd.select(**{half[0]: crowd.net, half[1]: crowd.host, f"{role}_targets": crowd.targets})
        facts = attach(facts, named, list(half))
    facts = facts.mutate({name: facts[name].fill_null(0) for name in COUNTS})
    facts = _with_kin(facts, reply, owners, responder_crowd)
    facts = facts.mutate(meaning=_.meaning.fill_null("none"), control=_.control.fill_null(False),
                         responder_seen=_.responder_seen.fill_null(False), flags=_.flags.fill_null(0))  # fmt: skip
    return _judged(facts, delegated=delegated)


def untold(mode: ZoneMode) -> list[tuple[str, str]]:
    """The classes that cannot come out in `mode`, each with what a delegated zone would add."""
    return [] if mode == "delegated" else list(UNTOLD)


def egress_crowds(probe: ibis.Table, sighting: ibis.Table) -> ibis.Table:
    """For each egress that asked for two targets or more: `net`, `host`, `targets`."""
    pairs = sighted(asked(probe), sighting)[1]
    crowd = pairs.group_by(net=_.egress_net, host=_.egress_host).aggregate(targets=_.count())
    return crowd.filter(_.targets >= 2)


def answer_crowds(reply: ibis.Table) -> ibis.Table:
    """For each address, the control apart, that two targets or more gave in the sweep: `net`, `host`, `targets`."""
    given = reply.filter(
        (_.outcome == "answered") & (_.kind == "sweep") & _.target_net.notnull() & _.answer1_net.notnull()
    )
    pairs = given.select("target_net", "target_host", net=_.answer1_net, host=_.answer1_host).distinct()
    return pairs.group_by("net", "host").aggregate(targets=_.count()).filter(_.targets >= 2)


def responder_crowds(reply: ibis.Table) -> ibis.Table:
    """For each address that replied for two targets or more in the sweep: `net`, `host`, `targets`."""
    came = reply.filter((_.outcome == "answered") & (_.kind == "sweep") & _.target_net.notnull())
    pairs = came.select("target_net", "target_host", net=_.responder_net, host=_.responder_host).distinct()
    return pairs.group_by("net", "host").aggregate(targets=_.count()).filter(_.targets >= 2)


def _with_kin(
    facts: ibis.Table, reply: ibis.Table, owners: ibis.Table | None, crowd: ibis.Table | None
) -> ibis.Table:
    """Add `kin`: who replied is no neighbour, but of the target's system, and replied for nobody else.

    False where nobody knows whose they are.
    """
    if owners is None:
        return facts.mutate(kin=ibis.literal(False))
    crowd = responder_crowds(reply) if crowd is None else crowd
    systems = owners.filter(_.asn.notnull())
    for role in ("target", "responder"):
        halves = [f"{role}_net", f"{role}_host"]
        known = systems.select(
            **{halves[0]: systems.address_net, halves[1]: systems.address_host, f"{role}_asn": systems.asn}
        )
        facts = attach(facts, known, halves)
    named = crowd.select(responder_net=crowd.net, responder_host=crowd.host, responder_targets=crowd.targets)
    facts = attach(facts, named, ["responder_net", "responder_host"])
    same = facts.responder_asn == facts.target_asn
    near = same_network(facts, "responder", "target").fill_null(False)
    alone = facts.responder_targets.isnull() & ~near
    return facts.mutate(kin=(same & alone).fill_null(False))


def _judged(t: ibis.Table, *, delegated: bool) -> ibis.Table:
    """The facts of each target, judged by the first rule that fits."""
    t = t.mutate(one_address=_.answer_targets >= CROWD_MIN, delegated=ibis.literal(delegated))
    listed = DELEGATED if delegated else KNOWN
    fits = [rule.when(t) for rule in listed]

    def decided(part: str) -> ir.Value:
        values = [getattr(rule, part) for rule in listed]
        found = [value(t) if callable(value) else ibis.literal(value) for value in values]
        return ibis.cases(*zip(fits, found, strict=True))

    message = ~t.meaning.isin(["none", "icmp"])
    judged = t.mutate(
        {
            "class": ibis.cases(*((fit, rule.name) for fit, rule in zip(fits, listed, strict=True))),
            "subclass": decided("subclass"),
            "confidence": decided("confidence") / 100,
            "why": decided("why"),
            "open": (t.sightings > 0) | (t.meaning == "right"),
            "rcode": message.ifelse(t.rcode, ibis.null("int32")),
            "ra": message.ifelse((t.flags & 0x0080) != 0, ibis.null("boolean")),
            # Engines differ on what the least of a number and a null is.
            "first_seen_us": ibis.least(
                ibis.coalesce(t.first_reply_us, t.first_sighting_us),
                ibis.coalesce(t.first_sighting_us, t.first_reply_us),
            ),
        }
    )
    wanted = ibis.Schema.from_pyarrow(VERDICT.schema.remove_metadata())
    return judged.select(
        **{name: judged[name].cast(wanted[name].copy(nullable=True)) for name in wanted.names}
    )
