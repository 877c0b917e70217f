"""Floods of names that do not exist below one domain: water torture."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import confidence, detector, finding, severity
from dnsonde.detect._relations import (
    SECOND,
    attach,
    both_halves,
    count_distinct,
    dns,
    halves,
    keys,
    overlapping,
    parties,
    sample,
    sessions,
)

DOMAIN = ["registered_domain"]
FAILED = (2, 3)  # SERVFAIL, NXDOMAIN


@detector(
    threat="random subdomain attack",
    subject_kind="domain",
    title="Names that do not exist are asked below {subject}",
    summary="{names} different names below {subject} were asked {count} times by {clients} clients, and the share "
    "of {failing} fails: somebody exhausts its name servers and your resolvers. Limit the rate of NXDOMAIN for this "
    "domain, use aggressive NSEC caching (RFC 8198), and look at the clients.",
    references=(
        "RFC 8198, Aggressive Use of DNSSEC-Validated Cache",
        "Luo et al., A Large Scale Analysis of DNS Water Torture Attack, CSAI 2018",
        "https://github.com/activecm/rita (100, 500, 800, 1,000 subdomains)",
    ),
)
def random_subdomain(
    message: ir.Table,
    *,
    names_min: Annotated[int, "different names in a window that make a finding"] = 500,
    failing_min: Annotated[float, "least share of questions that fail or stay without an answer"] = 0.7,
    fresh_min: Annotated[float, "least share of names never asked before among the queries"] = 0.2,
    depth_spread: Annotated[float, "most variance of the number of labels"] = 0.1,
    window_s: Annotated[int, "seconds of a window"] = 3600,
    gap_s: Annotated[int, "seconds without an attack that end it"] = 7200,
) -> ir.Table:
    """Very many different names below one registered domain are asked, and nearly all of them fail.

    Names are told apart by hash, counted exactly, in windows that overlap by half. A question fails by NXDOMAIN,
    SERVFAIL or silence; where only one direction was seen, what is there decides.

    **Why it matters** Each such name passes the cache and reaches the authority: the domain goes down, and with it
    the resolvers that wait for it. The clients are bots, or open forwarders that bots use.

    **What looks like it** CDNs, antivirus and telemetry ask as many names, but they are answered; tunnels too
    (`dns_tunnel`). Lists of addresses (DNSBL) and PTR names fail by the thousand: most of their names embed an
    address, and those are not counted; lists of domains and search suffixes (`www.example.com.corp.example`) are told
    by the varying number of labels, `depth_spread`; browsers' random probes come three at a time. Retries of a
    resolver ask the same name again, which lowers the share of fresh ones.

    **Thresholds** None is published with its accuracy. `names_min` (500) is the second of RITA's steps, per
    `window_s` (an hour); `failing_min` (0.7), `fresh_min` (0.2: two types and some retries for each name) and
    `depth_spread` (0.1: nine of ten names have the same number of labels) are ours; `gap_s` is two windows.
    """
    asked = parties(dns(message))
    asked = asked.filter(
        asked.registered_domain.notnull() & (asked.sub_hash != 0) & asked.embedded_kind.isnull()
    )
    asked = asked.mutate(half=halves(asked.time_us, window_s), query=(~asked.response).cast("int64"))
    rough = overlapping(asked.group_by([*DOMAIN, "half"]).aggregate(rows=asked.count()))
    rough = rough.group_by([*DOMAIN, "window"]).aggregate(rows=rough.rows.sum())
    rough = rough.filter(rough.rows >= names_min)
    asked = asked.semi_join(both_halves(rough, *DOMAIN), [*DOMAIN, "half"])
    dots = asked.registered_domain.length() - asked.registered_domain.replace(".", "").length()
    depth = (asked.labels - dots - 1).cast("int64")
    asked = asked.mutate(
        depth=depth,
        failed=(asked.response & asked.rcode.isin(FAILED)).fill_null(False).cast("int64"),
        answered=(asked.response & ~asked.rcode.isin(FAILED)).fill_null(False).cast("int64"),
    )
    each = asked.group_by([*DOMAIN, "half", "sub_hash"]).aggregate(
        first_us=asked.time_us.min(),
        last_us=asked.time_us.max(),
        queries=asked.query.sum(),
        failed=asked.failed.sum(),
        answered=asked.answered.sum(),
        depth=asked.depth.max(),
    )
    spans = _by_names(overlapping(each), [*DOMAIN, "window"])
    mean = spans.depth / spans.names
    spans = spans.filter(
        (spans.names >= names_min)
        & (spans.good <= spans.names * (1 - failing_min))
        & (spans.names >= spans.asks * fresh_min)
        & (spans.depths / spans.names - mean * mean <= depth_spread)
    )
    spans = sessions(spans, DOMAIN, gap_s)
    held = [*DOMAIN, "session"]
    whole = both_halves(spans, *held)
    attacks = _by_names(each.inner_join(whole, [*DOMAIN, "half"]), held)
    asked = asked.inner_join(whole, [*DOMAIN, "half"])
    for more in (
        count_distinct(asked, held, keys("client"), "clients"),
        count_distinct(asked, held, keys("server"), "servers"),
        sample(asked, held, "qname", "examples", most=5),
    ):
        attacks = attach(attacks, more, held)
    length = ibis.greatest((attacks.last_us - attacks.first_us) / SECOND, 1.0)
    rate = attacks.asks / length
    return finding(
        attacks,
        domain=attacks.registered_domain,
        severity=severity(2, rate, 100, 100_000),
        confidence=confidence(attacks.names, names_min),
        first_seen=attacks.first_us,
        last_seen=attacks.last_us,
        count=attacks.asks,
        names=attacks.names,
        clients=attacks.clients,
        servers=attacks.servers,
        failing=1.0 - attacks.good / attacks.names,
        nxdomain_or_servfail=attacks.failed,
        queries_s=rate,
        examples=attacks.examples,
    )


def _by_names(names: ir.Table, by: list[str]) -> ir.Table:
    """What the names of each `by` come to; the same name may stand in several rows."""
    each = names.group_by([*by, "sub_hash"]).aggregate(
        first_us=names.first_us.min(),
        last_us=names.last_us.max(),
        queries=names.queries.sum(),
        failed=names.failed.sum(),
        answered=names.answered.sum(),
        depth=names.depth.max(),
    )
    each = each.mutate(
        good=(each.answered > 0).cast("int64"),
        asks=ibis.greatest(each.queries, each.failed + each.answered),
    )
    return each.group_by(by).aggregate(
        first_us=each.first_us.min(),
        last_us=each.last_us.max(),
        names=each.count(),
        good=each.good.sum(),
        asks=each.asks.sum(),
        failed=each.failed.sum(),
        depth=each.depth.sum(),
        depths=(each.depth * each.depth).sum(),
    )
