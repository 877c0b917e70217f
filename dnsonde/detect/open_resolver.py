"""Home addresses that resolve for strangers."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import confidence, detector, finding
from dnsonde.detect._relations import count_distinct, parties, responses, sample
from dnsonde.detect._stages import needs, sides, stage
from dnsonde.table.relations import attach, keys, pair

SERVER = keys("server")
COLUMNS = [*keys("client", "server"), "time_us", "registered_domain", "qname", "qtype", "dns_bytes"]


@detector(
    threat="open resolver",
    subject_kind="address",
    title="{subject} resolves for strangers",
    summary="{subject} gave {count:recursive answer|recursive answers} to {clients:address|addresses} outside: close "
    "recursion to them, since it can be used to reflect floods (largest answer {response_bytes_max} octets) and to "
    "reach what is behind it.",
    references=(
        "RFC 5358, Preventing Use of Recursive Nameservers in Reflector Attacks",
        "https://www.shadowserver.org/what-we-do/network-reporting/dns-open-resolvers-report/",
        "Kührer et al., Going Wild: Large-Scale Classification of Open DNS Resolvers, IMC 2015",
    ),
)
def open_resolver(
    message: ir.Table,
    *,
    answers_min: Annotated[int, "recursive answers to outsiders that make a finding"] = 1,
) -> ir.Table:
    """A home address gives recursion to outsiders.

    Proof is an answer with data that is not authoritative, from a home address to an address outside, where
    recursion was desired and available. The RA flag alone proves nothing.

    **Why it matters** An open resolver reflects floods at 28 to 54 times their size (US-CERT TA14-017A), gives its
    cache away to be poisoned or read, and lets outsiders ask in your name.

    **What looks like it** An authority answers strangers too, but with the AA flag. A closed resolver answers
    REFUSED, often with RA set. A referral has no answer records. Your resolver's own questions go the other way:
    the answers come from outside. A service meant for the public belongs on the allow-list.

    **Thresholds** `answers_min` is 1: an answer is recursion given, and probers ask but once; confidence grows with
    the number of answers.
    """
    needs(sides(message).filter(lambda t: t.response & t.src_home & ~t.dst_home))
    given = parties(responses(message)).filter(
        lambda t: t.server_home & ~t.client_home & t.rd & t.ra & ~t.aa & (t.rcode == 0) & (t.ancount > 0)
    )
    given = stage(given.select(*COLUMNS), needed=True)
    named = given.mutate(asked=given.registered_domain.fill_null(given.qname))
    each = named.group_by(SERVER).aggregate(
        first_us=named.time_us.min(),
        last_us=named.time_us.max(),
        answers=named.count(),
        response_bytes_max=named.dns_bytes.max(),
        any_answers=(named.qtype == 255).sum(),
    )
    each = each.filter(each.answers >= answers_min)
    # Only of those that remain is more to be known.
    named = named.semi_join(each, SERVER)
    for more in (
        count_distinct(named, SERVER, keys("client"), "clients"),
        count_distinct(named, SERVER, ["qname"], "names"),
        sample(named, SERVER, "asked", "domains"),
    ):
        each = attach(each, more, SERVER)
    return finding(
        each,
        address=pair(each, "server"),
        severity=2,
        confidence=confidence(each.answers, answers_min),
        first_seen=each.first_us,
        last_seen=each.last_us,
        count=each.answers,
        clients=each.clients,
        names=each.names,
        domains=each.domains,
        response_bytes_max=each.response_bytes_max,
        any_answers=(each.any_answers > 0).ifelse(each.any_answers, ibis.null("int64")),
    )
