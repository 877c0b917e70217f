"""Domains that answer every query with another address from anywhere."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._campaigns import campaign_of
from dnsonde.detect._contract import confidence, detector, finding
from dnsonde.detect._relations import commonest, count_distinct, network, responses, sample, sample_addresses
from dnsonde.detect._stages import domains, stage
from dnsonde.table.prefix import prefixes
from dnsonde.table.relations import attach, inside, keys, pair, same

DOMAIN = ["registered_domain"]
NETWORKS = 10_000  # random addresses begin to meet each other's networks
NOWHERE = prefixes(["0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"])


@detector(
    threat="random dns answers",
    subject_kind="domain",
    title="Every name below {subject} has another address from anywhere",
    summary="{answers} answers for {names} names below {subject} lie in {networks} networks that have nothing to do "
    "with each other. Do not follow them, and keep them out of passive DNS and of asset inventories.",
    references=(
        "Palo Alto Networks Unit 42, on SecShow's random answers and Cortex Xpanse, 2024",
        "Infoblox Threat Intel, What a Show! An Amplified Internet Scale DNS Probing Operation, 2024",
    ),
)
def random_answers(
    message: ir.Table,
    *,
    answers_min: Annotated[int, "different addresses that make a finding"] = 20,
    fresh_share_min: Annotated[float, "share of answers and of names that are seen but once"] = 0.9,
    scatter_min: Annotated[
        float, "share of the addresses that lie in a network (/16, /32) of their own"
    ] = 0.7,
    made_share_min: Annotated[float, "share of the names that carry addresses, times or numbers"] = 0.5,
    nowhere_share_min: Annotated[float, "or share of the addresses that no host can have"] = 0.05,
    kept_s: Annotated[
        int, "seconds of TTL that an answer is given for, though the next one differs"
    ] = 43_200,
) -> ir.Table:
    """A domain answers every query with another address, scattered over all of the Internet.

    Names that are never asked twice get addresses that are never given twice and lie in networks of their own; and
    either the names are made by a machine, or some of the addresses are ones that no host can have (0/8, 10/8,
    127/8, 224/3), or the answers are meant to be kept for long. Or the same names are asked again, and get another
    such address each time that was meant to be kept for long.

    **Why it matters** SecShow answered so, with a TTL of a day. Whoever follows such answers visits strangers, whose
    attack surface scanners then asked again and again, and passive DNS fills with false ownership.

    **What looks like it** A CDN rotates, but within its networks and for the same names. A pool (NTP) scatters, for
    a few names. Blocklists answer within 127/8. Names of customers' lines lead to the address that they carry.
    Dynamic DNS names lead anywhere, but people chose them and ask again.

    **Thresholds** `answers_min` (20) is where 20 of 20 in different networks cannot be a rotation; `scatter_min`
    (0.7) and `fresh_share_min` (0.9) allow for resends and meetings by chance; `made_share_min` (0.5) and
    `nowhere_share_min` (0.05; chance makes 0.14) are ours. SecShow's answers had a TTL of a day: who rotates or moves
    gives minutes, so `kept_s` is half a day, for nine of ten answers.
    """
    networks_min = scatter_min * min(answers_min, NETWORKS)
    m = responses(message).semi_join(_several(message, networks_min), DOMAIN)
    m = m.filter(
        lambda t: t.registered_domain.notnull() & (t.rcode == 0) & (t.answers > 0) & t.answer_net.notnull()
    )
    mirrored = same(pair(m, "answer"), pair(m, "embedded")).fill_null(False)
    m = m.filter(~mirrored).mutate(network=network(*pair(m, "answer")))
    # Most domains answer from a few networks: they leave here.
    wide = count_distinct(m, DOMAIN, ["network"], "networks")
    wide = stage(wide.filter(wide.networks >= networks_min), needed=True)
    m = m.semi_join(wide, DOMAIN)

    given = m.group_by([*DOMAIN, "qname", "qtype", *keys("answer")]).aggregate(
        first_us=m.time_us.min(),
        last_us=m.time_us.max(),
        responses=m.count(),
        made=m.template.notnull().max().cast("int64"),
        ttl_s=m.ttl_min.max(),
    )
    given = stage(given)
    given = given.mutate(
        nowhere=inside(*pair(given, "answer"), NOWHERE).cast("int64"),
        kept=(given.ttl_s >= kept_s).fill_null(False).cast("int64"),
    )
    each = given.group_by(DOMAIN).aggregate(
        first_us=given.first_us.min(),
        last_us=given.last_us.max(),
        responses=given.responses.sum(),
        pairs=given.count(),
        made=given.made.sum(),
        nowhere=given.nowhere.sum(),
        kept=given.kept.sum(),
        ttl_max_s=given.ttl_s.max(),
    )
    for more in (
        wide,
        count_distinct(given, DOMAIN, keys("answer"), "answers"),
        count_distinct(given, DOMAIN, ["qname"], "names"),
    ):
        each = attach(each, more, DOMAIN)
    kept = each.kept >= fresh_share_min * each.pairs
    odd = (each.made >= made_share_min * each.pairs) | (each.nowhere >= nowhere_share_min * each.pairs)
    each = each.filter(
        (each.answers >= answers_min)
        & (each.answers >= fresh_share_min * each.pairs)
        & (each.networks >= ibis.least(scatter_min * each.answers, ibis.literal(float(NETWORKS))))
        & (kept | (odd & (each.names >= fresh_share_min * each.pairs)))
    )
    given = given.semi_join(each, DOMAIN)
    given = given.mutate(campaign=campaign_of(given.qname, inbound=False))
    for more in (
        sample_addresses(given, DOMAIN, "answer", "answer_hosts"),
        sample(given, DOMAIN, "qname", "examples"),
        commonest(given, DOMAIN, "campaign", "campaign"),
    ):
        each = attach(each, more, DOMAIN)
    return finding(
        each,
        domain=each.registered_domain,
        severity=1,
        confidence=confidence(each.answers, answers_min),
        first_seen=each.first_us,
        last_seen=each.last_us,
        count=each.responses,
        answers=each.answers,
        names=each.names,
        networks=each.networks,
        nowhere=each.nowhere,
        ttl_max_s=each.ttl_max_s,
        campaign=each.campaign,
        examples=each.examples,
        answer_examples_hosts=each.answer_hosts,
    )


def _several(message: ir.Table, networks_min: float) -> ir.Table:
    """Domains whose answers lead to more than one network, where that is needed."""
    each = domains(message)
    each = each.filter(each.registered_domain.notnull() & each.answer_host_least.notnull())
    if networks_min > 1:
        nets = each.answer_net_least != each.answer_net_most
        each = each.filter(nets | (each.answer_host_least >> 16 != each.answer_host_most >> 16))
    return stage(each.select(*DOMAIN), needed=True)
