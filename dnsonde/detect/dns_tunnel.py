"""Data carried in names and answers below one domain."""

from functools import reduce
from operator import or_
from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import confidence, detector, finding
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
    sample,
    sample_of_many,
    sessions,
    together,
)
from dnsonde.detect._stages import CARRIERS, LONG, busy, domains, rare_types, stage
from dnsonde.detect._stages import names as names_below
from dnsonde.intel.load import markers
from dnsonde.table.relations import attach, keys, pair

DOMAIN = ["domain"]
COLUMNS = [
    *keys("src", "dst"), "src_port", "dst_port", "src_home", "dst_home", "time_us", "registered_domain", "qname",
    "qtype", "response", "rcode", "dns_bytes", "sub_hash", "sub_bytes", "label_max", "entropy", "embedded_kind",
    "embedded_relation",
]  # fmt: skip
FULL = 100  # mean octets left of the domain: names filled to what DNS takes
NUMBERED = 3  # of the first so many labels one may be a number
DIGITS_MAX = 6
PARTS = 4  # names for one number
TURNS = 3  # types that carry data, which different names are asked for by turns (dnscat2)
NXDOMAIN = 3
DIRECT = "dnscat"  # dnscat2 without a domain: names begin with this label, and nothing else is the same


@detector(
    threat="dns tunnel",
    subject_kind="domain",
    title="Data is carried in names below {subject}",
    summary="{clients:client|clients} (first {client}) sent {bytes_up} octets in {names} different names below "
    "{subject}, and {bytes_down} octets came back: look at what runs there, and refuse the domain at your resolvers.",
    references=(
        "Ozery et al., Information Based Heavy Hitters for Real-Time DNS Data Exfiltration Detection, arXiv 2307.02614",
        "MITRE ATT&CK T1071.004 Application Layer Protocol: DNS, T1048 Exfiltration Over Alternative Protocol",
        "https://github.com/yarrick/iodine, https://github.com/iagox86/dnscat2, https://github.com/alex-sector/dns2tcp",
    ),
)
def dns_tunnel(
    message: ir.Table,
    *,
    names_min: Annotated[
        int, "different names in a window that make a finding, where answers carry data"
    ] = 40,
    octets_min: Annotated[
        int, "octets in different names that make a finding, where answers carry data"
    ] = 1000,
    few_names_min: Annotated[
        int, "the same, where they are a known tool's, fill what DNS takes, or ask for such types by turns"
    ] = 10,
    plain_names_min: Annotated[int, "different names of one client, for A, AAAA and other plain types"] = 200,
    plain_octets_min: Annotated[int, "octets in different names for plain types"] = 7000,
    length_min: Annotated[float, "least mean octets left of the registered domain"] = 12.0,
    plain_length_min: Annotated[float, "the same for plain types"] = 35.0,
    entropy_min: Annotated[float, "least mean entropy of what is left of the domain, bits an octet"] = 2.5,
    fresh_min: Annotated[float, "least share of names among the queries: a tunnel asks each but once"] = 0.3,
    carriers_min: Annotated[
        float, "least share of queries whose answers carry data (NULL, TXT, CNAME, MX, ...)"
    ] = 0.5,
    window_s: Annotated[int, "seconds of a window"] = 86_400,
    gap_s: Annotated[int, "seconds without a tunnel that end it"] = 86_400,
) -> ir.Table:
    """Many long, ever different names below one registered domain: data goes out in them and back in their answers.

    For every registered domain and window (they overlap by half), the octets in its different names are added up: what
    the names can have carried (information heavy hitters). Tunnels that also answer (iodine, dnscat2, dns2tcp) ask for
    types with room for data; those that only send, or that hide in A and AAAA, must have carried more. Few names are
    enough where they give a tool away (`intel/markers.toml`: what iodine and dns2tcp begin with, types that nothing
    else asks for), where they are as long as names can be, or where each asks for another of TXT, CNAME and MX. Names
    for plain types that count up, a label of theirs being the next number, need no more than those that are answered
    with data: so do tools number the pieces of a file.

    **Why it matters** It passes firewalls that let DNS through: for command and control, for stolen data, or to
    use a network without paying.

    **What looks like it** Antivirus, mail reputation and telemetry put hashes into names by design; those that are
    known (`intel/markers.toml`) are left out. The others come from many clients, a few names from each: seen between
    clients and resolver they are none. Seen behind a resolver they stay below the limits for plain types or belong on
    the allow-list. Lists of addresses (DNSBL, PTR, SPF macros) embed addresses: such names are not counted, up to 80
    octets, which an IPv6 address needs. Who guesses hosts and asks for their MX or TXT is told that most do not exist:
    such answers carry nothing, and the limits are those for plain types. CDN names are short and asked again; DKIM,
    DMARC and ACME names are few for each domain. Names that do not exist are `random_subdomain`'s unless they are long.
    A capture that keeps 96 octets of a packet has not the end of a long name, where its domain stands: there, nothing
    is told.

    **Thresholds** `window_s` is a day, so that slow tunnels add up; `gap_s` too. A session of dns2tcp has 80 names, of
    iodine and dnscat2 220: `names_min` is 40, `few_names_min` 10 and `octets_min` 1,000, with `carriers_min` (0.5) of
    the queries for types that carry data, `length_min` 12, `entropy_min` 2.5 (base 16 has up to 4, base 32 5) and
    `fresh_min` 0.3 (who is not answered asks three times). For plain types `plain_names_min` is 200, `plain_octets_min`
    7,000 and `plain_length_min` 35.
    """
    few = _few(message, few_names_min)
    suspects = _suspects(
        message,
        window_s,
        names_min=min(names_min, plain_names_min),
        octets_min=min(octets_min, plain_octets_min),
        length_min=min(length_min, plain_length_min),
        plain_length_min=plain_length_min,
        carriers_min=names_min * carriers_min,
        fresh_min=fresh_min,
    )
    suspects = suspects.union(_windows(message, window_s, few), distinct=True)
    asked = parties(_of_suspects(message, window_s, suspects))
    direct = asked.qname.startswith(f"{DIRECT}.") & (asked.label_max >= LONG)
    below = (asked.sub_hash != 0) & ~about_address(asked) & asked.registered_domain.notnull()
    asked = asked.mutate(direct=direct).filter(direct | below)
    asked = asked.mutate(
        domain=asked.direct.ifelse(DIRECT, asked.registered_domain),
        # Without a domain the whole name tells names apart.
        whole=asked.direct.ifelse(asked.qname, ""),
        sub_hash=asked.direct.ifelse(0, asked.sub_hash).cast("int64"),
        sub_bytes=asked.direct.ifelse(asked.qname.length() - len(DIRECT) - 1, asked.sub_bytes).cast("int64"),
        entropy=asked.direct.ifelse(4.0, asked.entropy),
        half=halves(asked.time_us, window_s),
    )
    known = markers().domains("dns_tunnel")
    if known:
        asked = asked.filter(~asked.domain.isin(sorted(known)))
    rough = overlapping(asked.group_by([*DOMAIN, "half"]).aggregate(rows=asked.count()))
    rough = rough.group_by([*DOMAIN, "window"]).aggregate(rows=rough.rows.sum())
    rough = rough.filter(rough.rows >= min(names_min, plain_names_min, few_names_min))
    # Of other windows half may be missing.
    rough = attach(rough, suspects.mutate(suspect=True), [*DOMAIN, "window"])
    rough = rough.filter(rough.suspect.fill_null(False) | (rough.domain == DIRECT))
    rough = stage(rough.select(*DOMAIN, "window"), needed=True)
    asked = asked.semi_join(both_halves(rough, *DOMAIN), [*DOMAIN, "half"])
    carrier = asked.qtype.isin(CARRIERS)
    asked = asked.mutate(
        query=(~asked.response).cast("int64"),
        carrier=carrier.cast("int64"),
        rare=asked.qtype.isin(rare_types()).cast("int64"),
        denied=(asked.response & (asked.rcode == NXDOMAIN)).fill_null(False).cast("int64"),
        down=asked.response.ifelse(asked.dns_bytes, 0).fill_null(0).cast("int64"),
    )
    # As integers, so that the order of adding does not matter.
    asked = asked.mutate(micro=(asked.entropy * 1_000_000).cast("int64"))
    asked = stage(asked)
    names = asked.group_by([*DOMAIN, "half", "sub_hash", "whole"]).aggregate(
        first_us=asked.time_us.min(),
        last_us=asked.time_us.max(),
        rows=asked.count(),
        queries=asked.query.sum(),
        carriers=asked.carrier.sum(),
        rare=asked.rare.sum(),
        denied=asked.denied.sum(),
        octets=asked.sub_bytes.max().cast("int64"),
        entropy=asked.micro.max(),
        down=asked.down.sum(),
    )
    names = stage(names)
    by = [*DOMAIN, "window"]
    spans = _by_names(overlapping(names), by).semi_join(rough, by)
    spans = attach(spans, few, DOMAIN)
    spans = spans.mutate(
        typed=_typed(spans, carriers_min),
        scattered=spans.entropy >= spans.names * (entropy_min * 1_000_000),
        marked=spans.tool.notnull() | (spans.rare * 2 >= spans.rows) | (spans.domain == DIRECT),
    )
    spans = spans.mutate(
        long=(spans.names >= names_min)
        & (spans.bytes_up >= spans.names * spans.typed.ifelse(length_min, plain_length_min))
        & spans.scattered,
        odd=(spans.names >= few_names_min) & (spans.marked | (spans.typed & spans.scattered)),
    )
    # Who asked, for what and in which order is dear to tell, and is told of few.
    perhaps = spans.odd | (spans.long & (spans.bytes_up >= min(octets_min, plain_octets_min)))
    spans = stage(spans.filter(perhaps & (spans.names >= spans.asks * fresh_min)), needed=True)
    some = asked.semi_join(both_halves(spans, *DOMAIN), [*DOMAIN, "half"])
    for more in (_pieces(some, by), _of_busiest(some, by), _types(some, by)):
        spans = attach(spans, more, by)
    # Each piece in a name or a few, and of ten nine there: in integers, on which engines agree.
    counted = (spans.pieces >= names_min) & (spans.pieces * PARTS >= spans.names)
    counted = (counted & (spans.span * 9 <= spans.pieces * 10)).fill_null(False)
    usual = (
        spans.long
        & (spans.typed | counted | (spans.of_busiest >= plain_names_min))
        & (spans.bytes_up >= (spans.typed | counted).ifelse(octets_min, plain_octets_min))
    )
    full = spans.bytes_up >= spans.names * FULL
    turns = (spans.types >= TURNS) & (spans.typings <= spans.names)
    turns = turns & (spans.bytes_up >= spans.names * length_min)
    spans = spans.filter(usual | (spans.odd & (spans.marked | full | turns)))
    spans = stage(sessions(spans, DOMAIN, gap_s), needed=True)
    held = [*DOMAIN, "session"]
    whole = both_halves(spans, *held)
    tunnels = _by_names(names.inner_join(whole, [*DOMAIN, "half"]), held)
    asked = asked.inner_join(whole, [*DOMAIN, "half"])
    asked = asked.mutate(types=asked.qtype.cast("int64"))
    for more in (
        count_distinct(asked, held, keys("client"), "clients"),
        _first_client(asked, held),
        sample(asked, held, "types", "qtypes"),
        sample_of_many(asked, held, "qname", "examples", most=3),
    ):
        tunnels = attach(tunnels, more, held)
    tunnels = attach(tunnels, few, DOMAIN)
    typed = _typed(tunnels, carriers_min)
    carried = tunnels.bytes_up + tunnels.bytes_down
    return finding(
        tunnels,
        domain=tunnels.domain,
        severity=ibis.ifelse(typed & (carried >= 10 * octets_min), 3, 2),
        confidence=confidence(
            ibis.greatest(
                tunnels.bytes_up / typed.ifelse(octets_min, plain_octets_min), tunnels.names / few_names_min
            ),
            1.0,
        ),
        first_seen=tunnels.first_us,
        last_seen=tunnels.last_us,
        count=tunnels.asks,
        tool=tunnels.tool,
        names=tunnels.names,
        bytes_up=tunnels.bytes_up,
        bytes_down=tunnels.bytes_down,
        bytes_up_s=tunnels.bytes_up / ibis.greatest((tunnels.last_us - tunnels.first_us) / SECOND, 1.0),
        name_bytes_mean=tunnels.bytes_up / tunnels.names,
        entropy=tunnels.entropy / tunnels.names / 1_000_000,
        carriers=tunnels.carriers / tunnels.rows,
        qtypes=tunnels.qtypes,
        clients=tunnels.clients,
        client_net=tunnels.client_net,
        client_host=tunnels.client_host,
        examples=tunnels.examples,
    )


def _suspects(
    message: ir.Table,
    window_s: int,
    *,
    names_min: int,
    octets_min: int,
    length_min: float,
    plain_length_min: float,
    carriers_min: float,
    fresh_min: float,
) -> ir.Table:
    """Domains, and windows, whose names can be a tunnel's by counts alone: `domain`, `window`.

    Nearly all domains leave here, and floods of short names for plain types. What has a label as long as a direct
    name's may be one, and not of the domain: it counts where that speaks for a tunnel only.
    """
    few = busy(message, names_min)
    few = few.mutate(length=(few.carriers >= carriers_min).ifelse(length_min, plain_length_min))
    long = few.octets_max >= ibis.least(few.length, LONG)
    few = few.filter((few.below >= names_min) & (few.octets >= octets_min) & long)
    few = stage(few.select("number", "length", domain=few.registered_domain))
    each = overlapping(names_below(message, window_s, names_min).semi_join(few, "number"))
    short = each.label_max < LONG
    each = each.group_by(["number", "window", "sub_hash"]).aggregate(
        octets=each.octets.max(),
        short=short.ifelse(each.rows, 0).sum(),
        queries=short.ifelse(each.queries, 0).sum(),
    )
    each = each.mutate(asks=ibis.greatest(each.queries, each.short - each.queries))
    spans = each.group_by(["number", "window"]).aggregate(
        names=each.count(), short=(each.short > 0).sum(), octets=each.octets.sum(), asks=each.asks.sum()
    )
    spans = spans.inner_join(few, "number").filter(
        lambda t: (
            (t.names >= names_min)
            & (t.octets >= octets_min)
            & (t.octets >= t.short * t.length)
            & (t.names >= t.asks * fresh_min)
        )
    )
    return stage(spans.select(*DOMAIN, "window"))


def _few(message: ir.Table, names_min: int) -> ir.Table:
    """Domains of which few names may tell, and the `tool` that marks give away, if any."""
    asked = dns(message)
    below = (asked.sub_hash != 0) & ~about_address(asked) & asked.registered_domain.notnull()
    # Names are dear to look at: those of long labels alone are.
    asked = asked.filter(below & (asked.label_max >= LONG))
    marks = {known.name: reduce(or_, map(asked.qname.contains, known.within)) for known in markers().tunnel}
    tool = ibis.cases(*[(mark, name) for name, mark in marks.items()], else_=ibis.null("string"))
    asked = asked.mutate(tool=tool).filter(asked.qtype.isin(CARRIERS) | tool.notnull())
    each = asked.group_by("registered_domain").aggregate(tool=asked.tool.max(), rows=asked.count())
    each = stage(each.filter(each.tool.notnull() | (each.rows >= names_min)))
    rare = domains(message).filter(lambda t: t.rare >= names_min)
    rare = rare.anti_join(each, "registered_domain").mutate(tool=ibis.null("string"))
    few = together(each, rare, ["registered_domain", "tool"])
    return stage(few.filter(few.registered_domain.notnull()).select("tool", domain=few.registered_domain))


def _windows(message: ir.Table, window_s: int, few: ir.Table) -> ir.Table:
    """All windows of those domains."""
    asked = dns(message)
    asked = asked.mutate(domain=asked.registered_domain, half=halves(asked.time_us, window_s))
    asked = asked.semi_join(few, DOMAIN).select(*DOMAIN, "half").distinct()
    return stage(overlapping(asked).select(*DOMAIN, "window").distinct())


def _typed(spans: ir.Table, carriers_min: float) -> ir.BooleanValue:
    """Whether data can have come back: types with room for it, of names of which most were not denied."""
    return (spans.carriers >= spans.rows * carriers_min) & (spans.denied * 2 <= spans.answers)


def _types(asked: ir.Table, by: list[str]) -> ir.Table:
    """How many types that carry data were asked for, and how many pairs there are of a name and its type."""
    rows = asked.filter(asked.carrier == 1)
    each = overlapping(rows.select(*DOMAIN, "half", "sub_hash", "whole", "qtype").distinct())
    pairs = count_distinct(each, by, ["sub_hash", "whole", "qtype"], "typings")
    return attach(pairs, count_distinct(each, by, ["qtype"], "types"), by)


def _number(name: ir.StringValue, place: int) -> ir.IntegerValue:
    """The label at that place, where it is a number; else null."""
    label = label_of(name, place)
    digits = (label.translate(DIGITS, "") == "") & label.length().between(1, DIGITS_MAX)
    return digits.ifelse(label, ibis.null("string")).cast("int64")


def _pieces(asked: ir.Table, by: list[str]) -> ir.Table:
    """How many numbers stand as a label in names, `pieces`, and how many there are from the least to the greatest."""
    piece = ibis.coalesce(*(_number(asked.qname, place) for place in range(1, NUMBERED + 1)))
    rows = asked.select(*DOMAIN, "half", piece=piece).filter(lambda t: t.piece.notnull()).distinct()
    each = overlapping(rows).select(*by, "piece").distinct()
    return each.group_by(by).aggregate(pieces=each.count(), span=each.piece.max() - each.piece.min() + 1)


def _of_suspects(message: ir.Table, window_s: int, suspects: ir.Table) -> ir.Table:
    """The messages of suspects, and all that may be of a tunnel without a domain."""
    asked = dns(message).mutate(half=lambda t: halves(t.time_us, window_s))
    direct = (asked.label_max >= LONG) & asked.qname.startswith(f"{DIRECT}.")
    where = both_halves(suspects, *DOMAIN).rename(registered_domain="domain")
    by = ["registered_domain", "half"]
    # Each by itself: an engine that reads messages once for both keeps them all.
    kept = stage(asked.semi_join(where, by).select(*COLUMNS))
    others = stage(asked.filter(direct).anti_join(where, by).select(*COLUMNS))
    return stage(together(kept, others, COLUMNS), needed=True)


def _by_names(names: ir.Table, by: list[str]) -> ir.Table:
    """What the names of each `by` come to; the same name may stand in several rows."""
    each = names.group_by([*by, "sub_hash", "whole"]).aggregate(
        first_us=names.first_us.min(),
        last_us=names.last_us.max(),
        rows=names.rows.sum(),
        queries=names.queries.sum(),
        carriers=names.carriers.sum(),
        rare=names.rare.sum(),
        denied=names.denied.sum(),
        octets=names.octets.max(),
        entropy=names.entropy.max(),
        down=names.down.sum(),
    )
    each = each.mutate(asks=ibis.greatest(each.queries, each.rows - each.queries))
    return each.group_by(by).aggregate(
        first_us=each.first_us.min(),
        last_us=each.last_us.max(),
        names=each.count(),
        rows=each.rows.sum(),
        asks=each.asks.sum(),
        answers=(each.rows - each.queries).sum(),
        carriers=each.carriers.sum(),
        rare=each.rare.sum(),
        denied=each.denied.sum(),
        bytes_up=each.octets.sum(),
        entropy=each.entropy.sum(),
        bytes_down=each.down.sum(),
    )


def _of_busiest(asked: ir.Table, by: list[str]) -> ir.Table:
    """How many different names the client asked for that asked for most."""
    few = asked.select(*DOMAIN, "half", *keys("client"), "sub_hash", "whole").distinct()
    each = count_distinct(overlapping(few), [*by, *keys("client")], ["sub_hash", "whole"], "names")
    return each.group_by(by).aggregate(of_busiest=each.names.max())


def _first_client(asked: ir.Table, held: list[str]) -> ir.Table:
    """The client that was first; the least address of several."""
    each = asked.group_by([*held, *keys("client")]).aggregate(first=asked.time_us.min())
    order = [each["first"], *pair(each, "client")]
    place = ibis.row_number().over(ibis.window(group_by=held, order_by=order))
    return each.mutate(place=place).filter(lambda t: t.place == 0).select(*held, *keys("client"))
