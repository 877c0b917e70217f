"""Answers that somebody on the way put in."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import confidence, detector, finding, severity
from dnsonde.detect._relations import SECOND, count_distinct, dns, parties, sample, sample_addresses, sessions
from dnsonde.detect._stages import needs, stage
from dnsonde.table.relations import attach, keys

DOMAIN = ["domain"]
SERVER = keys("server")
QUESTION = [*keys("client", "server"), "client_port", "id", "qname", "qtype"]
ONCE = [*QUESTION, "session"]
ALIKE = ["zone", "server_host", "about"]
COLUMNS = [
    *QUESTION, "domain", "time_us", "response", "said", "ip_ttl", "answer_net", "answer_host", "key", "zone", "about",
]  # fmt: skip
NXDOMAIN = 3
DNS_PORT = 53
LOW_31 = (1 << 31) - 1


@detector(
    threat="dns answer injection",
    subject_kind="domain",
    title="Somebody on the way answers for {subject}",
    summary="{conflicts:question|questions} below {subject} got answers that contradict each other, and "
    "{out_of_line:answer|answers} came with an IP TTL unlike their server's. Ask over an encrypted transport, and "
    "validate (DNSSEC).",
    references=(
        "Duan et al., Hold-On: Protecting Against On-Path DNS Poisoning, SATIN 2012",
        "Infoblox Threat Intel, Muddling Meerkat: The Great Firewall Manipulator, 2024",
        "RFC 5452, Measures for Making DNS More Resilient against Forged Answers",
    ),
)
def answer_injection(
    message: ir.Table,
    *,
    conflicts_min: Annotated[int, "questions with contradicting answers that make a finding"] = 1,
    within_s: Annotated[
        int, "seconds after which an answer, or the same question, belongs to another one"
    ] = 60,
    around_s: Annotated[int, "seconds within which contradictions for one client count together"] = 3_600,
    ttl_gap: Annotated[int, "difference between IP TTLs that no change of route makes"] = 5,
    steady_min: Annotated[int, "answers after which a server's usual IP TTL is known"] = 20,
    steady_share_min: Annotated[float, "share of its answers that must have that TTL"] = 0.8,
    out_of_line_min: Annotated[int, "answers with another IP TTL that make a finding"] = 3,
) -> ir.Table:
    """Two answers to one question contradict each other, or answers come from nearer or farther than their server.

    One question (addresses, port, id, name, type) got more different answers than it was asked times; where no
    question was captured, the answers must differ in IP TTL as well. An answer that goes to port 53, from the port that
    asked, counts like all others: no server sends it. Or nearly all answers for a domain have an IP TTL unlike the
    usual one of the very servers that gave them.

    **Why it matters** Whoever sits on the way and answers first decides where your users go. Injectors do not stop
    the true answer, which is why two arrive.

    **What looks like it** A client that asks again may get another address of a rotation: it asked twice. A packet
    that was captured or sent twice says the same twice. A truncated answer is followed by the whole one, over TCP.
    A changed route moves all domains of a server, not one. An anycast server may have two usual TTLs: then none.

    **Thresholds** `conflicts_min` is 1, as one contradiction is one too many; from 3 on it is medium, of one domain or
    of all that one client asked for within `around_s` (an hour): who answers everything is no accident of one name.
    `within_s` (60) is longer than any resolver waits; `ttl_gap` (5), `steady_min` (20), `steady_share_min` (0.8) and
    `out_of_line_min` (3) are ours: routes change by a hop or two.
    """
    m = dns(message)
    m = m.filter((m.transport == "udp") & ~m.tc)
    m = parties(m, back=m.response & ~((m.dst_port == DNS_PORT) & (m.src_port != DNS_PORT)))
    m = m.mutate(
        domain=m.registered_domain.fill_null(m.qname),
        said=((m.rcode == NXDOMAIN).ifelse(ibis.literal(1, "int64"), m.answer_hash)).fill_null(0),
        key=_narrow(m),
        zone=m.registered_domain.fill_null(""),
    )
    m = m.mutate(about=_about(m)).select(*COLUMNS)
    answers = m.filter(m.response & (m.said != 0))
    mixed, spread = _first(answers, ttl_gap)
    conflict = _conflicts(m, answers.semi_join(mixed, ALIKE), ttl_gap, within_s, around_s)
    conflict = conflict.filter(conflict.conflicts >= conflicts_min)
    distance = _out_of_line(answers, spread, ttl_gap, steady_min, steady_share_min)
    distance = distance.filter(distance.out_of_line >= out_of_line_min)

    conflict, distance = stage(conflict), stage(distance)
    each = conflict.select(*DOMAIN).union(distance.select(*DOMAIN), distinct=True)
    each = stage(each, needed=True)
    for more in (conflict, distance):
        each = attach(each, more, DOMAIN)
    each = each.mutate(
        conflicts=each.conflicts.fill_null(0),
        conflicts_around=each.conflicts_around.fill_null(0),
        out_of_line=each.out_of_line.fill_null(0),
    )
    told = answers.semi_join(each, DOMAIN)
    for more in (
        sample_addresses(told, DOMAIN, "server", "server_hosts"),
        sample_addresses(told, DOMAIN, "answer", "answer_hosts"),
        sample(told, DOMAIN, "qname", "names"),
        sample(told, DOMAIN, "ip_ttl", "ip_ttls"),
    ):
        each = attach(each, more, DOMAIN)
    proven = each.conflicts > 0
    return finding(
        each,
        domain=each.domain,
        severity=severity(1, ibis.greatest(each.conflicts, each.conflicts_around), 3),
        confidence=proven.ifelse(
            confidence(ibis.greatest(each.conflicts, conflicts_min), conflicts_min),
            confidence(ibis.greatest(each.out_of_line, out_of_line_min), out_of_line_min),
        ),
        first_seen=proven.ifelse(each.conflict_first_us, each.ttl_first_us),
        last_seen=proven.ifelse(each.conflict_last_us, each.ttl_last_us),
        count=proven.ifelse(each.conflicts, each.out_of_line),
        conflicts=each.conflicts,
        conflicts_around=each.conflicts_around,
        out_of_line=each.out_of_line,
        names=each.names,
        ip_ttls=each.ip_ttls,
        ip_ttl_usual=each.usual,
        server_examples_hosts=each.server_hosts,
        answer_examples_hosts=each.answer_hosts,
    )


def _narrow(m: ir.Table) -> ir.IntegerValue:
    """One number for a question, cheap to group by; unlike questions may share it."""
    mixed = (m.client_host ^ m.server_host ^ m.client_net ^ m.server_net) & ibis.literal(LOW_31, "int64")
    return mixed * (1 << 32) + m.client_port.cast("int64") * (1 << 16) + m.id.fill_null(0).cast("int64")


def _about(m: ir.Table) -> ir.IntegerValue:
    """One number for name, type and server's network; others below the domain may share it."""
    return m.sub_hash ^ m.server_net ^ m.qtype.cast("int64")


def _first(answers: ir.Table, ttl_gap: int) -> tuple[ir.Table, ir.Table]:
    """What some server answered in two ways to one question, and the servers whose IP TTLs differ."""
    each = answers.group_by(ALIKE).aggregate(
        least=answers.said.min(),
        most=answers.said.max(),
        ttl_least=answers.ip_ttl.min(),
        ttl_most=answers.ip_ttl.max(),
    )
    each = stage(each)
    mixed = stage(each.filter(each.least != each.most).select(*ALIKE))
    spread = each.group_by("server_host").aggregate(least=each.ttl_least.min(), most=each.ttl_most.max())
    spread = stage(spread.filter(spread.most - spread.least >= ttl_gap).select("server_host"))
    needs(mixed.select("server_host").union(spread))
    return mixed, spread


def _conflicts(m: ir.Table, answers: ir.Table, ttl_gap: int, within_s: int, around_s: int) -> ir.Table:
    """By domain: how many questions got contradicting answers, when, and how many one client's got of all domains."""
    # Nearly every question that is left has one answer: it leaves here, in narrow columns.
    suspect = answers.group_by("key").aggregate(least=answers.said.min(), most=answers.said.max())
    suspect = stage(suspect.filter(suspect.least != suspect.most).select("key"))
    m = m.semi_join(suspect, "key")
    # The same port and id may serve the same question again.
    m = stage(sessions(m.mutate(first_us=m.time_us, last_us=m.time_us), QUESTION, within_s))
    said = m.filter(m.response & (m.said != 0))
    each = said.group_by([*ONCE, *DOMAIN]).aggregate(
        first_us=said.time_us.min(),
        last_us=said.time_us.max(),
        ttl_spread=(said.ip_ttl.max() - said.ip_ttl.min()).fill_null(0),
    )
    each = attach(each, count_distinct(said, ONCE, ["said"], "different"), ONCE)
    asked = m.filter(~m.response)
    each = attach(each, asked.group_by(ONCE).aggregate(asked=asked.count()), ONCE)
    times = each.asked.fill_null(0)
    too_many = ((times > 0) & (each.different > times)) | ((times == 0) & (each.ttl_spread >= ttl_gap))
    each = each.filter((each.different > 1) & too_many)
    # How many follow each within that time, and the most of those that one is among.
    client = {"group_by": keys("client"), "order_by": "first_us"}
    after = ibis.range_window(preceding=0, following=around_s * SECOND, **client)
    each = stage(each.mutate(follow=each.count().over(after)))
    before = ibis.range_window(preceding=around_s * SECOND, following=0, **client)
    each = each.mutate(conflicts_around=each.follow.max().over(before))
    return each.group_by(DOMAIN).aggregate(
        conflicts=each.count(),
        conflicts_around=each.conflicts_around.max(),
        conflict_first_us=each.first_us.min(),
        conflict_last_us=each.last_us.max(),
    )


def _out_of_line(
    answers: ir.Table, spread: ir.Table, ttl_gap: int, steady_min: int, steady_share_min: float
) -> ir.Table:
    """By domain: how many answers had a TTL unlike their server's usual one, where nearly all of them had."""
    answers = answers.filter(answers.ip_ttl.notnull())
    # Mostly no server has another TTL at all: then no domain is looked at.
    held, usual = _usual(answers.semi_join(spread, "server_host"), steady_min, steady_share_min)
    odd = held.inner_join(usual, SERVER)
    odd = stage(odd.filter((odd.ip_ttl - odd.usual).abs() >= ttl_gap).select(*SERVER, "ip_ttl"))
    few = stage(answers.semi_join(odd, [*SERVER, "ip_ttl"]).select(*DOMAIN).distinct())
    theirs = answers.semi_join(few, DOMAIN)
    servers = stage(theirs.select(*SERVER).distinct())
    _, usual = _usual(answers.semi_join(servers, SERVER), steady_min, steady_share_min)
    known = theirs.inner_join(usual, SERVER)
    known = known.mutate(off=((known.ip_ttl - known.usual).abs() >= ttl_gap))
    each = known.group_by(DOMAIN).aggregate(
        all_answers=known.count(),
        out_of_line=known.off.sum(),
        usual=known.usual.min(where=known.off),
        ttl_first_us=known.time_us.min(where=known.off),
        ttl_last_us=known.time_us.max(where=known.off),
    )
    return each.filter((each.out_of_line > 0) & (each.out_of_line >= steady_share_min * each.all_answers))


def _usual(answers: ir.Table, steady_min: int, steady_share_min: float) -> tuple[ir.Table, ir.Table]:
    """How many answers came with which IP TTL, by server; and the `usual` one of each that has one."""
    held = stage(answers.group_by([*SERVER, "ip_ttl"]).aggregate(rows=answers.count()))
    most = held.group_by(SERVER).aggregate(total=held.rows.sum(), top=held.rows.max())
    most = most.filter((most.total >= steady_min) & (most.top >= steady_share_min * most.total))
    usual = held.inner_join(most, SERVER).filter(lambda t: t.rows == t.top)
    return held, stage(usual.group_by(SERVER).aggregate(usual=usual.ip_ttl.min()))
