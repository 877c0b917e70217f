"""Probers that write whom they ask, and when, into the names they ask for."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._campaigns import campaign_of, known_domains, one_word
from dnsonde.detect._contract import CERTAIN, confidence, detector, finding
from dnsonde.detect._relations import (
    SECOND,
    adjacent,
    asked_template,
    commonest,
    count_distinct,
    dns,
    parties,
    sample_addresses,
)
from dnsonde.detect._stages import domains, stage
from dnsonde.table.relations import attach, keys, pair, same

DOMAIN = ["registered_domain"]
REFUSED, SERVFAIL, NXDOMAIN = 5, 2, 3
COLUMNS = [
    *keys("client", "server", "embedded", "answer"), "client_home", "server_home", "embedded_home", "time_us",
    "registered_domain", "qname", "template", "carries", "embedded_kind", "embedded_time_us", "embedded_time_kind",
    "response", "rcode", "aa", "ancount", "answers",
]  # fmt: skip
OWN = ["server", "client", "neighbour"]  # whose address a name carries


@detector(
    threat="dns probing campaign",
    subject_kind="domain",
    title="Somebody probes with names below {subject} (campaign: {campaign})",
    summary="Names like {template} were asked of {targets:home address|home addresses} and relayed by {relays}; "
    "{answered} answered, {resolved} with recursion: so much the prober knows now. Close what resolved for it.",
    references=(
        "Infoblox Threat Intel, What a Show! An Amplified Internet Scale DNS Probing Operation, 2024",
        "Palo Alto Networks Unit 42, on SecShow and Cortex Xpanse, 2024",
        "Nawrocki et al., Transparent Forwarders: An Unnoticed Component of the Open DNS Infrastructure, CoNEXT 2021",
        "RFC 9511, Attribution of Internet Probes",
    ),
)
def probing_campaign(
    message: ir.Table,
    *,
    targets_min: Annotated[int, "home addresses whose own address (or a neighbour's) stood in the name"] = 5,
    timed_targets_min: Annotated[int, "home addresses asked for names that carry only the time"] = 10,
    fresh_share_min: Annotated[float, "share of such names that were asked but once"] = 0.9,
    near_s: Annotated[int, "how far the time in a name may be from the packet's"] = 86400,
    known_min: Annotated[int, "messages of a known campaign that make a finding"] = 1,
) -> ir.Table:
    """Somebody asks for names that carry the probed address or the time.

    A prober who owns the name's zone sees at its own server who resolved for it: the name tells which address was
    asked, the query there tells who asks on its behalf. Known campaigns are recognised by their zones
    (`evidence.campaign`; intel/campaigns.toml). Unknown ones by what they do: many home addresses are asked, each
    for a name that embeds its own address, a neighbour's or the sender's; or many are asked for names never asked
    before that carry the time; or home resolvers ask outside for names that embed many home addresses.

    **Why it matters** The prober learns which of your hosts resolve for strangers, through whom, and whether your
    border lets forged sources in. SecShow did so from June 2023 to May 2024 for nobody knows whom.

    **What looks like it** A blocklist lookup and a PTR lookup embed addresses too, reversed, and ask one resolver.
    Names of hosts that embed their address (CDN, cloud, customers' lines) are asked of a few servers, and the answer
    is that very address. Antivirus and telemetry names embed hashes and times, and go from inside to your resolver.
    None of them asks many home addresses from outside for their own address.

    **Thresholds** `targets_min` (5) and `timed_targets_min` (10): nobody has so many servers for one zone inside;
    `fresh_share_min` (0.9) allows for resends; `near_s` (86400) for names that carry a date; `known_min` is 1,
    because a known zone needs no number.
    """
    few = domains(message).filter(
        lambda t: (
            t.registered_domain.notnull()
            & ~t.registered_domain.endswith(".arpa")
            & ((t.templates > 0) | t.registered_domain.isin(known_domains()))
        )
    )
    few = stage(few.select(*DOMAIN), needed=True)
    m = parties(dns(message).semi_join(few, DOMAIN)).select(*COLUMNS)
    m = m.filter(
        m.registered_domain.notnull()
        & ~m.qname.endswith(".arpa")
        & (m.template.notnull() | m.registered_domain.isin(known_domains()))
    )
    client, server = pair(m, "client"), pair(m, "server")
    forged = adjacent(client, server)
    m = m.mutate(inbound=m.server_home & (~m.client_home | forged), forged=forged, own=m.carries.isin(OWN))
    m = m.mutate(campaign=campaign_of(m.qname, inbound=m.inbound), outbound=m.client_home & ~m.inbound)
    near = ((m.embedded_time_us - m.time_us).abs() <= near_s * SECOND).fill_null(False)
    carried = m.embedded_home & ~m.embedded_kind.endswith("_reversed").fill_null(False)
    m = m.mutate(
        at_target=(m.inbound & m.own).fill_null(False),
        timed=m.inbound & near,
        relayed=m.outbound & carried,
        # A host's name that embeds its address leads to it.
        mirrored=(m.response & same(pair(m, "answer"), pair(m, "embedded"))).fill_null(False),
    )
    m = stage(m.filter(m.campaign.notnull() | m.at_target | m.timed | m.relayed), needed=True)

    each = m.group_by(DOMAIN).aggregate(
        first_us=m.time_us.min(),
        last_us=m.time_us.max(),
        queries=(~m.response).sum(),
        responses=m.response.sum(),
        known=m.campaign.count(),
        timed_queries=(m.timed & ~m.response).sum(),
        relayed_answers=(m.relayed & m.response & (m.answers > 0)).sum(),
        mirrored=(m.relayed & m.mirrored).sum(),
        forged=(m.forged & m.inbound & ~m.response).sum(),
        refused=_with(m, REFUSED),
        servfail=_with(m, SERVFAIL),
        nxdomain=_with(m, NXDOMAIN),
    )
    for more in (
        count_distinct(m.filter(m.at_target), DOMAIN, keys("server"), "own_targets"),
        count_distinct(m.filter(m.timed), DOMAIN, keys("server"), "timed_targets"),
        count_distinct(m.filter(m.timed & ~m.response), DOMAIN, ["qname"], "timed_names"),
        count_distinct(m.filter(m.relayed), DOMAIN, keys("embedded"), "relayed_targets"),
    ):
        each = attach(each, more, DOMAIN)
    each = _filled(each, "own_targets", "timed_targets", "timed_names", "relayed_targets")
    fresh = each.timed_names >= fresh_share_min * each.timed_queries
    by_own = each.own_targets >= targets_min
    by_time = (each.timed_targets >= timed_targets_min) & fresh
    by_relay = (each.relayed_targets >= targets_min) & (each.mirrored * 2 <= each.relayed_answers)
    sure = ibis.cases(
        (each.known >= known_min, ibis.literal(CERTAIN)),
        (by_own, confidence(each.own_targets, targets_min)),
        (by_time, confidence(each.timed_targets, timed_targets_min)),
        (by_relay, confidence(each.relayed_targets, targets_min)),
    )
    each = each.mutate(sure=sure).filter((each.known >= known_min) | by_own | by_time | by_relay)

    each = _with_evidence(each, m.semi_join(each, DOMAIN))
    harm = (one_word(each.campaign, "intent").fill_null("unknown").isin(["covert", "unknown"])).cast("int64")
    return finding(
        each,
        domain=each.registered_domain,
        severity=harm + (each.resolved > 0).cast("int64"),
        confidence=each.sure,
        first_seen=each.first_us,
        last_seen=each.last_us,
        count=ibis.greatest(each.queries, each.responses),
        campaign=each.campaign.fill_null("unknown"),
        operator=one_word(each.campaign, "operator"),
        intent=one_word(each.campaign, "intent"),
        template=each.template,
        address_written=each.address_written,
        time_written=each.time_written,
        names=each.names,
        targets=each.targets,
        target_examples_hosts=each.target_hosts,
        answered=each.answered,
        resolved=each.resolved,
        refused=each.refused,
        servfail=each.servfail,
        nxdomain=each.nxdomain,
        answers=each.answers,
        answer_examples_hosts=each.answer_hosts,
        relays=each.relays,
        relay_examples_hosts=each.relay_hosts,
        sources=each.sources,
        source_examples_hosts=each.source_hosts,
        forged_neighbours=each.forged,
    )


def _with(m: ir.Table, rcode: int) -> ir.IntegerScalar:
    """Answers of ours to the prober with that code."""
    return (m.inbound & m.response & (m.rcode == rcode)).sum().fill_null(0)


def _with_evidence(each: ir.Table, m: ir.Table) -> ir.Table:
    """Who was asked, who told what, who asked, how the names are made: only of what is a finding."""
    m = m.mutate(asked=asked_template(m).fill_null(m.qname))
    came, went = m.filter(m.inbound), m.filter(m.outbound)
    told = came.filter(came.response)
    open_to_it = told.filter((told.rcode == 0) & (told.ancount > 0) & ~told.aa)
    given = m.filter(m.response & m.answer_host.notnull())
    for more in (
        count_distinct(came, DOMAIN, keys("server"), "targets"),
        count_distinct(told, DOMAIN, keys("server"), "answered"),
        count_distinct(open_to_it, DOMAIN, keys("server"), "resolved"),
        count_distinct(given, DOMAIN, keys("answer"), "answers"),
        count_distinct(went, DOMAIN, keys("client"), "relays"),
        count_distinct(came.filter(~came.client_home), DOMAIN, keys("client"), "sources"),
        count_distinct(m, DOMAIN, ["qname"], "names"),
        sample_addresses(came, DOMAIN, "server", "target_hosts"),
        sample_addresses(given, DOMAIN, "answer", "answer_hosts"),
        sample_addresses(went, DOMAIN, "client", "relay_hosts"),
        sample_addresses(came.filter(~came.client_home), DOMAIN, "client", "source_hosts"),
        commonest(m, DOMAIN, "campaign", "campaign"),
        commonest(m, DOMAIN, "asked", "template"),
        commonest(m, DOMAIN, "embedded_kind", "address_written"),
        commonest(m, DOMAIN, "embedded_time_kind", "time_written"),
    ):
        each = attach(each, more, DOMAIN)
    return _filled(each, "targets", "answered", "resolved", "answers", "relays", "sources", "names")


def _filled(table: ir.Table, *counts: str) -> ir.Table:
    """Counts of nothing are 0."""
    return table.mutate(**{name: table[name].fill_null(0) for name in counts})
