"""Floods of names that do not exist below one domain: water torture."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import confidence, detector, finding, severity
from dnsonde.detect._relations import (
    DIGITS,
    SECOND,
    about_address,
    both_halves,
    count_distinct,
    dns,
    halves,
    label_of,
    overlapping,
    parties,
    sample_of_many,
    sessions,
)
from dnsonde.detect._stages import FAILED, busy, names, sides, stage
from dnsonde.table.relations import attach, keys

DOMAIN = ["registered_domain"]
COLUMNS = [
    *keys("src", "dst"), "src_port", "dst_port", "src_home", "dst_home", *DOMAIN, "half", "time_us", "qname",
    "sub_hash", "labels", "response", "rcode", "embedded_relation",
]  # fmt: skip
FAST = 100  # queries a second
LIST = 100_000  # names that a list of usual hosts' has at most
VOWELS, VOWELS_MIN = "aeiou", 0.28  # of letters: words have a third, letters by chance a fifth
DIGITS_MAX = 0.15  # of all characters, where they are words


@detector(
    threat="random subdomain attack",
    subject_kind="domain",
    title="Names that do not exist are asked below {subject}",
    summary="{names} different names below {subject} were asked {count} times by {clients:client|clients}, and "
    "{failing:%} fail{made_of:?, made of %, as a list of hosts is}: its name servers and your resolvers are kept busy. "
    "Limit the rate of NXDOMAIN for "
    "this domain, use aggressive NSEC caching (RFC 8198), and look at the clients.",
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
    address, and those are not counted; lists of domains and search suffixes (`www.example.com.corp.example`) are
    told by the varying number of labels, `depth_spread`; browsers' random probes come three at a time. Who looks
    for the hosts of a domain asks for a list of words: one client, up to 100,000 names, a vowel among four letters.
    That is told as well, as low. Retries of a resolver ask the same name again, which lowers the share of fresh
    ones. Where not one response was captured, names that are answered look alike: below 100 queries a second that
    is no more than low.

    **Thresholds** None is published with its accuracy. `names_min` (500) is the second of RITA's steps, per
    `window_s` (an hour); `failing_min` (0.7), `fresh_min` (0.2: two types and some retries for each name) and
    `depth_spread` (0.1: nine of ten names have the same number of labels) are ours; `gap_s` is two windows.
    """
    suspects = _suspects(message, window_s, names_min, failing_min, fresh_min)
    asked = dns(message)
    asked = asked.filter(asked.registered_domain.notnull() & (asked.sub_hash != 0) & ~about_address(asked))
    asked = asked.mutate(half=halves(asked.time_us, window_s))
    asked = asked.semi_join(both_halves(suspects, *DOMAIN), [*DOMAIN, "half"])
    asked = stage(asked.select(*COLUMNS))
    fails = asked.rcode.isin(FAILED)
    dots = asked.registered_domain.length() - asked.registered_domain.replace(".", "").length()
    each = asked.group_by([*DOMAIN, "half", "sub_hash"]).aggregate(
        first_us=asked.time_us.min(),
        last_us=asked.time_us.max(),
        queries=(~asked.response).sum(),
        failed=(asked.response & fails).fill_null(False).sum(),
        answered=(asked.response & ~fails).fill_null(False).sum(),
        depth=(asked.labels - dots - 1).max().cast("int64"),
    )
    each = stage(each)
    spans = _by_names(overlapping(each), [*DOMAIN, "window"])
    # Of other windows half may be missing.
    spans = spans.semi_join(suspects, [*DOMAIN, "window"])
    mean = spans.depth / spans.names
    spans = spans.filter(
        _failing(spans, names_min, failing_min, fresh_min)
        & (spans.depths / spans.names - mean * mean <= depth_spread)
    )
    spans = stage(sessions(spans, DOMAIN, gap_s), needed=True)
    held = [*DOMAIN, "session"]
    whole = both_halves(spans, *held)
    attacks = _by_names(each.inner_join(whole, [*DOMAIN, "half"]), held)
    asked = parties(asked.inner_join(whole, [*DOMAIN, "half"]))
    asked = stage(asked.select(*held, "qname", *keys("client", "server")))
    for more in (
        count_distinct(asked, held, keys("client"), "clients"),
        count_distinct(asked, held, keys("server"), "servers"),
        sample_of_many(asked, held, "qname", "examples", most=5),
    ):
        attacks = attach(attacks, more, held)
    attacks = attach(attacks, _words(asked, attacks, held), held)
    length = ibis.greatest((attacks.last_us - attacks.first_us) / SECOND, 1.0)
    rate = attacks.asks / length
    # Silence is failure only where answers were captured at all: else what many ask for looks alike.
    seen = sides(message)
    attacks = attacks.cross_join(seen.aggregate(responses=seen.rows.sum(where=seen.response)))
    unsure = (attacks.responses.fill_null(0) == 0) & (rate < FAST)
    return finding(
        attacks,
        domain=attacks.registered_domain,
        severity=ibis.ifelse(unsure | attacks.made_of.notnull(), 1, severity(2, rate, FAST, 100_000)),
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
        made_of=attacks.made_of,
        examples=attacks.examples,
    )


def _words(asked: ir.Table, attacks: ir.Table, held: list[str]) -> ir.Table:
    """Which of them are a list that one client tries: `made_of`."""
    some = asked.semi_join(attacks.filter((attacks.clients == 1) & (attacks.names <= LIST)), held)
    label = label_of(some.qname, 1)
    letters = label.translate(f"{DIGITS}-_", "")
    each = some.group_by(held).aggregate(
        size=label.length().sum(),
        letters=letters.length().sum(),
        consonants=letters.translate(VOWELS, "").length().sum(),
        digits=(label.length() - label.translate(DIGITS, "").length()).sum(),
    )
    vowels = each.letters - each.consonants
    each = each.filter((vowels >= each.letters * VOWELS_MIN) & (each.digits <= each["size"] * DIGITS_MAX))
    return each.select(*held, made_of=ibis.literal("words"))


def _failing(spans: ir.Table, names_min: int, failing_min: float, fresh_min: float) -> ir.BooleanValue:
    """So many names, hardly any that got an answer, and mostly new ones."""
    few_good = spans.good <= spans.names * (1 - failing_min)
    return (spans.names >= names_min) & few_good & (spans.names >= spans.asks * fresh_min)


def _suspects(
    message: ir.Table, window_s: int, names_min: int, failing_min: float, fresh_min: float
) -> ir.Table:
    """Domains, and windows, in which so many names hardly ever got an answer: nearly all domains leave here."""
    few = busy(message, names_min)
    few = stage(few.filter(few.below >= names_min).select("number", *DOMAIN), needed=True)
    each = overlapping(names(message, window_s, names_min).semi_join(few, "number"))
    each = each.group_by(["number", "window", "sub_hash"]).aggregate(
        queries=each.queries.sum(), answered=each.answered.sum()
    )
    spans = each.group_by(["number", "window"]).aggregate(
        names=each.count(),
        good=(each.answered > 0).sum(),
        asks=ibis.greatest(each.queries, each.answered).sum(),
    )
    spans = spans.filter(_failing(spans, names_min, failing_min, fresh_min))
    return stage(spans.inner_join(few, "number").select(*DOMAIN, "window"), needed=True)


def _by_names(rows: ir.Table, by: list[str]) -> ir.Table:
    """What the names of each `by` come to; the same name may stand in several rows."""
    each = rows.group_by([*by, "sub_hash"]).aggregate(
        first_us=rows.first_us.min(),
        last_us=rows.last_us.max(),
        queries=rows.queries.sum(),
        failed=rows.failed.sum(),
        answered=rows.answered.sum(),
        depth=rows.depth.max(),
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
