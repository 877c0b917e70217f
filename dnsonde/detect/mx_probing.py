"""MX queries for random short names below domains that are not the asker's (Muddling Meerkat)."""

from collections.abc import Sequence
from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import CERTAIN, confidence, detector, finding, severity
from dnsonde.detect._relations import DIGITS, count_distinct, dns, parties, sample, sample_addresses
from dnsonde.detect._stages import stage
from dnsonde.intel.load import markers
from dnsonde.table.relations import attach, keys

DOMAIN = ["registered_domain"]
COLUMNS = [
    *DOMAIN, *keys("client", "server"), "client_home", "server_home", "time_us", "qname", "digits", "response", "rcode",
    "ancount",
]  # fmt: skip
MX = 15


@detector(
    threat="mx probing",
    subject_kind="domain",
    title="Random names below {subject} are asked for their mail servers",
    summary="{count} MX queries for {names} random names below {subject}, which its owner knows nothing of, by "
    "{clients:address|addresses}; {answered} were answered with data, which the way there may have made up.",
    references=(
        "Infoblox Threat Intel, Muddling Meerkat: The Great Firewall Manipulator, 2024",
        "https://blogs.infoblox.com/threat-intelligence/a-cunning-operator-muddling-meerkat-and-chinas-great-firewall",
    ),
)
def mx_probing(
    message: ir.Table,
    *,
    names_min: Annotated[int, "different random names below one domain"] = 20,
    known_names_min: Annotated[int, "the same below a domain known for it (intel/markers.toml)"] = 3,
    label_max: Annotated[int, "octets of a random label at most"] = 6,
    domain_max: Annotated[int, "characters of the registered domain at most"] = 8,
    fresh_share_min: Annotated[float, "share of queries that ask for a name never asked before"] = 0.8,
    digit_share_min: Annotated[float, "share of the names with a digit in the label"] = 0.3,
) -> ir.Table:
    """Somebody asks for the mail servers of random short names below an old, short domain.

    MX queries for one short label below a short registered domain, hardly one of them twice, with digits in many;
    or a few of them below a domain that is known for it.

    **Why it matters** Muddling Meerkat has done so since October 2019, from Chinese addresses, through open
    resolvers; false MX answers come back from the way. If your addresses are asked, you are taken for an open
    resolver; if your resolvers relay it, you are one.

    **What looks like it** Mail servers ask for MX too: for domains themselves, or the same few names below them
    (departments of a university) again and again, by words. Typing mistakes do not come by the dozen below one
    domain.

    **Thresholds** No figures are published. Random labels of five letters and digits have a digit in 80 % of all
    cases, words hardly ever: `digit_share_min` (0.3). `names_min` (20) and `known_names_min` (3) are ours, as are
    `label_max` (6), `domain_max` (8) and `fresh_share_min` (0.8), from names like pq5bo.kb.com.
    """
    known = markers().domains("mx_probing")
    m = _below_known(dns(message).filter(lambda t: t.qtype == MX), known)
    m = m.filter(m.registered_domain.notnull())
    domain = m.registered_domain
    m = m.filter(
        (m.sub_bytes > 0)
        & (m.sub_bytes <= label_max)
        & ((domain.length() <= domain_max) | domain.isin(known))
        & ~m.qname.substr(0, m.qname.length() - domain.length() - 1).contains(".")
    )
    m = stage(parties(m).select(*COLUMNS), needed=True)
    each = m.group_by(DOMAIN).aggregate(
        first_us=m.time_us.min(),
        last_us=m.time_us.max(),
        messages=ibis.greatest((~m.response).sum(), m.response.sum()),
        outbound=(m.client_home & ~m.server_home).sum(),
    )
    digit = m.digits > m.registered_domain.length() - m.registered_domain.translate(DIGITS, "").length()
    answered = m.response & (m.rcode == 0) & (m.ancount > 0)
    for more in (
        count_distinct(m, DOMAIN, ["qname"], "names"),
        count_distinct(m, DOMAIN, ["qname", *keys("client", "server")], "asked"),
        count_distinct(m.filter(digit), DOMAIN, ["qname"], "digit_names"),
        count_distinct(m.filter(answered.fill_null(False)), DOMAIN, ["qname"], "answered"),
    ):
        each = attach(each, more, DOMAIN)
    each = each.mutate(digit_names=each.digit_names.fill_null(0), answered=each.answered.fill_null(0))
    listed = each.registered_domain.isin(known)
    random = (each.names >= names_min) & (each.digit_names >= digit_share_min * each.names)
    each = each.filter(
        (each.asked >= fresh_share_min * each.messages)
        & (random | (listed & (each.names >= known_names_min)))
    )
    each = stage(each, needed=True)
    m = m.semi_join(each, DOMAIN)
    targets = m.filter(m.server_home & ~m.client_home)
    for more in (
        count_distinct(m, DOMAIN, keys("client"), "clients"),
        count_distinct(targets, DOMAIN, keys("server"), "targets"),
        sample(m, DOMAIN, "qname", "examples"),
        sample_addresses(m, DOMAIN, "client", "client_hosts"),
    ):
        each = attach(each, more, DOMAIN)
    return finding(
        each,
        domain=each.registered_domain,
        severity=severity(0, each.answered, 1),
        confidence=each.registered_domain.isin(known).ifelse(CERTAIN, confidence(each.names, names_min)),
        first_seen=each.first_us,
        last_seen=each.last_us,
        count=each.messages,
        names=each.names,
        answered=each.answered,
        targets=each.targets.fill_null(0),
        relayed=each.outbound,
        clients=each.clients,
        client_examples_hosts=each.client_hosts,
        examples=each.examples,
        campaign=each.registered_domain.isin(known).ifelse("muddling-meerkat", ibis.null("string")),
    )


def _below_known(m: ir.Table, known: Sequence[str]) -> ir.Table:
    """Names below a known domain belong to it, also where it counts as a public suffix (4u.com does)."""
    tests = [(m.qname.endswith(f".{zone}"), ibis.literal(zone)) for zone in known]
    if not tests:
        return m
    zone = ibis.cases(*tests, else_=ibis.null("string"))
    left = (m.qname.length() - zone.length() - 1).cast("int64")
    return m.mutate(
        registered_domain=ibis.coalesce(zone, m.registered_domain),
        sub_bytes=ibis.coalesce(left, m.sub_bytes.cast("int64")),
    )
