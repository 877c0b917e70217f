"""What was seen in traffic: the report's sections about a lake. Findings, aggregates and short lists only."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dnsonde.choices import SEVERITIES
from dnsonde.clock import spoken, to_the_second
from dnsonde.intel.remedies import remedies
from dnsonde.lang.words import Words, per_cent
from dnsonde.owners.owner import NOBODY
from dnsonde.page.charts import STEPS_S
from dnsonde.page.content import (
    Bars,
    Block,
    Cell,
    Chart,
    Columns,
    Figures,
    Fold,
    Link,
    Para,
    Section,
    Spans,
    Table,
    cut,
    some,
)
from dnsonde.report import group_count, grouped
from dnsonde.table.rows import listed, records
from dnsonde.view.view import Incident, View
from dnsonde.view.whose import SERIOUS, groups, owner_text
from dnsonde.wire.batch import address_pair

FINDINGS = 50  # in the table
EXPLAINED = 25  # with their evidence
EVIDENCE = 24  # entries of one finding
CAMPAIGNS = 6
TEMPLATES = 20
BINS = 60
ATTACKS = 25
INFECTED = 40
FILES = 20
OWNERS = 15  # systems or countries
PAINTS = {"critical": "dark", "high": "red", "medium": "orange", "low": "sky", "info": "grey"}
FLOODS = ("amplification", "flood", "carpet_flood", "backscatter", "random_subdomain")
SENT = ("amplification", "flood")  # whose packets go to the subject
SENDERS = ("sources", "clients", "reflectors")  # how evidence calls their number
PROBING = ("probing_campaign", "random_answers")
BOTS = ("infected-system", "brute-force")
STEPS_US = tuple(1_000_000 * step for step in STEPS_S)


@dataclass(frozen=True)
class Watching:
    """What only the look into the lake tells: what was assumed to be home and why, and what was therefore not seen."""

    name: str
    home: tuple[str, ...] = ()
    guessed: str = ""
    blind: tuple[str, ...] = ()


def sections(view: View, told: Watching, words: Words) -> Iterator[Section]:
    """The sections about a lake, in reading order."""
    incidents = view.incidents()
    yield Section("lake", words("lake.title"), tuple(_headline(view, incidents, told, words)))
    if incidents:
        yield Section("findings", words("findings.title"), tuple(_findings(incidents, words)))
    campaigns = probing(incidents)
    if campaigns:
        yield Section("campaigns", words("campaigns.title"), tuple(campaign_blocks(view, campaigns, words)))
    attacks = [i for i in incidents if i.detector in FLOODS]
    if attacks:
        blocks = (*_attacks(attacks, words), *_senders(view, attacks, words))
        yield Section("attacks", words("attacks.title"), blocks)
    bots = [i for i in incidents if i.nature.kind in BOTS]
    if bots:
        yield Section("bots", words("bots.title"), tuple(_bots(view, bots, words)))


def read(view: View, words: Words) -> Iterator[Block]:
    """What was read, and what became of it."""
    account = view.tables["account"]
    names = ("bytes", "packets", "parsed", "ignored", "malformed", "messages")
    sums = ", ".join(f"sum({name}) AS {name}" for name in names)
    (total,) = records(
        account.aggregate(f"count(*) AS files, min(first_us) AS first, max(last_us) AS last, {sums}")
    )
    if not total["files"]:
        yield Para(words("read.nothing"))
        return
    if total["first"] is not None:
        yield Para(
            words(
                "read.span",
                files=total["files"],
                first=to_the_second(total["first"]),
                last=to_the_second(total["last"]),
            )
        )
    rows = records(account.order("bytes DESC, path").limit(FILES))
    told: list[tuple[Cell, ...]] = [
        (cut(row["path"], 90), row["format"], *(f"{row[n]:,}" for n in names)) for row in rows
    ]
    if total["files"] > 1:
        told.append((words("read.all", files=total["files"]), "", *(f"{total[n]:,}" for n in names)))
    head = tuple(words(f"head.{n}") for n in ("file", "format", *names))
    yield Table(words("read.caption", shown=len(rows)), head, "mlrrrrrr", tuple(told))


def _headline(view: View, incidents: Sequence[Incident], told: Watching, words: Words) -> Iterator[Block]:
    grave = sum(i.severity in {"critical", "high"} for i in incidents)
    messages, flows, files = (len(view.tables[name]) for name in ("message", "flow", "account"))
    if not (messages or flows):
        yield Para(words("lake.empty"), "lead")
    elif not incidents:
        yield Para(words("lake.headline_none"), "lead")
    else:
        yield Para(words("lake.headline", findings=len(incidents), grave=grave), "lead")
    yield Figures(
        (
            (f"{len(incidents):,}", words("lake.findings")),
            (f"{grave:,}", words("lake.grave")),
            (f"{messages:,}", words("lake.messages")),
            (f"{flows:,}", words("lake.flows")),
            (f"{files:,}", words("lake.files")),
        )
    )
    home = ", ".join(told.home)
    if told.guessed and home:
        yield Para(words("lake.guessed", home=home), "note")
    elif home:
        yield Para(words("lake.home", home=home), "note")
    elif told.blind:
        yield Para(
            words("lake.homeless", blind=", ".join(words.named("detector", b) for b in told.blind)), "note"
        )


def _findings(incidents: Sequence[Incident], words: Words) -> Iterator[Block]:
    by = Counter((i.detector, i.severity) for i in incidents)
    severities = [s for s in reversed(SEVERITIES) if any(s == seen for _d, seen in by)]
    names = sorted(
        {d for d, _s in by}, key=lambda d: (next(n for n, s in enumerate(severities) if by[d, s]), d)
    )
    counts = {d: tuple(by[d, s] for s in severities) for d in names}
    table = Table(
        words("findings.by"),
        (words("head.detector"), *(words(f"severity.{s}") for s in severities)),
        "l" + "r" * len(severities),
        tuple((words.named("detector", d), *(f"{n:,}" if n else "-" for n in counts[d])) for d in names),
    )
    bars = Bars(
        tuple(words(f"severity.{s}") for s in severities),
        tuple((words.named("detector", d), counts[d]) for d in names),
        tuple(PAINTS[s] for s in severities),
    )
    yield Chart(words("findings.chart"), words("findings.tells", findings=len(incidents)), bars, table)
    shown = incidents[:FINDINGS]
    owned = any(i.owner != NOBODY for i in shown)
    whose = ("owner",) if owned else ()
    head = ("severity", "subject", *whose, "what", "since", "for", "count", "sure", "do")
    yield Table(
        words("findings.caption", shown=len(shown), findings=len(incidents)),
        tuple(words(f"head.{n}") for n in head),
        "lmlllrrrl" if owned else "lmllrrrl",
        tuple(_line(i, words, owned=owned) for i in shown),
    )
    yield from _by_owner(incidents, words)
    for incident in [i for i in shown if i.severity in SERIOUS][:EXPLAINED]:
        title, summary = said(incident, words)
        parts: list[Block] = [Para(summary), evidence(incident, words)]
        if incident.references:
            parts.append(Para(words("findings.sources", sources="; ".join(incident.references)), "note"))
        yield Fold(cut(f"{words(f'severity.{incident.severity}')}: {title}"), tuple(parts))


def _by_owner(incidents: Sequence[Incident], words: Words) -> Iterator[Block]:
    """Findings by the system and the country of their subject, where `dnsonde enrich` learned them."""
    if all(i.owner == NOBODY for i in incidents):
        return
    for by in ("asn", "country"):
        every = groups(incidents, by)
        rows = every[:OWNERS]
        names = ("subjects", "findings", *SERIOUS)
        yield Table(
            some(words(f"owners.{by}"), len(rows), len(every), words),
            (
                words(f"head.{by}"),
                words("head.subjects"),
                words("lake.findings"),
                *(words(f"severity.{s}") for s in SERIOUS),
            ),
            "lrrrrr",
            tuple(
                (cut(row["group"], 60), *(f"{row[n]:,}" if row[n] else "-" for n in names)) for row in rows
            ),
        )


def _line(incident: Incident, words: Words, *, owned: bool) -> tuple[Cell, ...]:
    title, _summary = said(incident, words)
    return (
        words(f"severity.{incident.severity}"),
        cut(incident.subject, 100),
        *([cut(owner_text(incident.owner) or "-", 60)] if owned else []),
        title
        if words.has(f"finding.{incident.detector}.title")
        else title.removeprefix(f"{incident.subject} "),
        to_the_second(incident.first_us),
        lasted(incident.last_us - incident.first_us, words),
        f"{incident.count:,}",
        per_cent(incident.confidence),
        _todo(incident.detector, words),
    )


def _todo(detector: str, words: Words) -> Cell:
    measure = remedies().of_detector(detector)
    return Link(words(f"measure.{measure.name}.title"), f"do-{measure.name}") if measure else "-"


def said(incident: Incident, words: Words) -> tuple[str, str]:
    """A finding's title and summary."""
    row = {
        "detector": incident.detector,
        "subject": incident.subject,
        "count": f"{incident.count:,}",
        "title": incident.title,
        "summary": incident.summary,
    }
    shown = {name: as_text(value) for name, value in incident.evidence.items()}
    title, summary = words.finding(row, shown)
    return cut(title), cut(summary, 600)


def evidence(incident: Incident, words: Words) -> Table:
    """A finding's evidence."""
    rows = [(name, cut(as_text(value), 200)) for name, value in list(incident.evidence.items())[:EVIDENCE]]
    return Table(words("findings.evidence"), (words("head.what"), words("head.value")), "lm", tuple(rows))


def as_text(value: object) -> str:
    """A value of some evidence."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    if isinstance(value, list):
        return ", ".join(_plain(v) for v in value)
    return str(value)


def _plain(value: object) -> str:
    """Ports and the like, without thousands apart."""
    return str(value)


def probing(incidents: Sequence[Incident]) -> list[Incident]:
    """Those of them that are of domains of probers; who tunnels probes nobody."""
    return [i for i in incidents if i.detector in PROBING]


def campaign_blocks(view: View, incidents: Sequence[Incident], words: Words) -> Iterator[Block]:
    """Campaigns over time, whom they reached, and how their names are made."""
    names = list(dict.fromkeys(i.subject for i in incidents))
    yield from timeline(view, names[:CAMPAIGNS], words, len(names))
    reaching = [i for i in incidents if "targets" in i.evidence]
    if reaching:
        yield _reached(reaching, words)
    rows = []
    for incident in incidents[:TEMPLATES]:
        told = incident.evidence
        if "template" in told:
            rows.append(
                (
                    cut(incident.subject, 80),
                    cut(str(told.get("campaign", "-")), 60),
                    cut(str(told["template"])),
                    words.named("written", str(told.get("address_written", "-"))),
                    words.named("written", str(told.get("time_written", "-"))),
                    as_text(told.get("names", "-")),
                )
            )
    if rows:
        head = tuple(
            words(f"head.{n}") for n in ("domain", "campaign", "template", "address", "time", "names")
        )
        shown = some(words("campaigns.templates"), min(TEMPLATES, len(incidents)), len(incidents), words)
        yield Table(shown, head, "mlmllr", tuple(rows))
        yield Para(words("campaigns.note"), "note")


def timeline(view: View, names: Sequence[str], words: Words, number: int = 0) -> Iterator[Block]:
    """Messages of each campaign over time; number: how many campaigns there are, if more than are named."""
    if not names:
        return
    ours = view.tables["message"].filter(f"registered_domain IN {listed(names)}")
    (span,) = records(ours.aggregate("min(time_us) AS first, max(time_us) AS last"))
    if span["first"] is None:
        return
    step = next((s for s in STEPS_US if (span["last"] - span["first"]) // s < BINS), STEPS_US[-1])
    start = span["first"] // step * step
    bins = min((span["last"] - start) // step + 1, 10 * BINS)
    counted = ours.aggregate(f"registered_domain, (time_us - {start}) // {step} AS slot, count(*)")
    values = {name: [0] * bins for name in names}
    for name, slot, n in counted.fetchall():
        if slot < bins:
            values[name][slot] += n
    seen = [name for name in names if any(values[name])]
    table = Table(
        words("campaigns.caption"),
        tuple(words(f"head.{n}") for n in ("domain", "messages", "busiest", "most")),
        "mrlr",
        tuple(
            (
                cut(name, 80),
                f"{sum(values[name]):,}",
                to_the_second(start + max(range(bins), key=values[name].__getitem__) * step),
                f"{max(values[name]):,}",
            )
            for name in seen
        ),
    )
    columns = Columns(start, step, tuple((cut(name, 40), tuple(values[name])) for name in seen))
    first, last = to_the_second(span["first"]), to_the_second(span["last"])
    # Not "1" here, and "s" on the next line.
    unbroken = lasted(step, words).replace(" ", "\N{NO-BREAK SPACE}")
    tells = words("campaigns.tells", first=first, last=last, step=unbroken)
    title = some(words("campaigns.chart"), len(names), number, words)
    yield Chart(title, tells, columns, table)


def _reached(incidents: Sequence[Incident], words: Words) -> Chart:
    """Targets that were asked, that answered, that resolved: what the prober knows now."""
    numbers = []
    for incident in incidents[:CAMPAIGNS]:
        targets, answered, resolved = (
            int(incident.evidence.get(n) or 0) for n in ("targets", "answered", "resolved")
        )
        numbers.append((cut(incident.subject, 60), targets, min(answered, targets), min(resolved, answered)))
    table = Table(
        words("reached.caption"),
        tuple(words(f"head.{n}") for n in ("domain", "targets", "answered", "resolved")),
        "mrrr",
        tuple((name, f"{t:,}", f"{a:,}", f"{r:,}") for name, t, a, r in numbers),
    )
    bars = Bars(
        tuple(words(f"reached.{n}") for n in ("resolved", "answered", "silent")),
        tuple((name, (r, a - r, max(t - a, 0))) for name, t, a, r in numbers),
        ("red", "orange", "grey"),
    )
    title = some(words("reached.chart"), len(numbers), len(incidents), words)
    return Chart(title, words("reached.tells"), bars, table, folded=False)


def _attacks(incidents: Sequence[Incident], words: Words) -> Iterator[Block]:
    shown = sorted(incidents[:ATTACKS], key=lambda i: (i.first_us, i.subject))
    vectors: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for incident in incidents:
        name = _vector(incident, words)
        vectors[name] += 1
        events[name] += incident.count
    names = [name for name, _n in vectors.most_common(7)]
    other = words("attacks.other")
    series = tuple(names) + ((other,) if len(vectors) > len(names) else ())
    place = {name: number for number, name in enumerate(names)}
    spans = Spans(
        series,
        tuple((i.subject, i.first_us, i.last_us, place.get(_vector(i, words), len(names))) for i in shown),
    )
    head = tuple(
        words(f"head.{n}")
        for n in ("victim", "vector", "since", "for", "count", "rate", "sources", "severity")
    )
    table = Table(
        words("attacks.caption", shown=len(shown), attacks=len(incidents)),
        head,
        "mllrrrrl",
        tuple(
            (
                cut(i.subject, 80),
                _vector(i, words),
                to_the_second(i.first_us),
                lasted(i.last_us - i.first_us, words),
                f"{i.count:,}",
                as_text(round(i.evidence["packets_s"])) if "packets_s" in i.evidence else "-",
                as_text(next((i.evidence[n] for n in SENDERS if n in i.evidence), "-")),
                words(f"severity.{i.severity}"),
            )
            for i in shown
        ),
    )
    yield Chart(
        words("attacks.chart"), words("attacks.tells", attacks=len(incidents)), spans, table, folded=False
    )
    ranked = events.most_common(12)
    counted = Table(
        some(words("vectors.caption"), len(ranked), len(events), words),
        tuple(words(f"head.{n}") for n in ("vector", "attacks", "events")),
        "lrr",
        tuple((name, f"{vectors[name]:,}", f"{n:,}") for name, n in ranked),
    )
    bars = Bars((words("head.events"),), tuple((name, (n,)) for name, n in ranked))
    yield Chart(words("vectors.chart"), words("vectors.tells"), bars, counted)


def _senders(view: View, incidents: Sequence[Incident], words: Words) -> Iterator[Block]:
    """Who sent the packets of the attacks, reflectors among them, by system; where `dnsonde enrich` learned it."""
    hit = [i for i in incidents if i.kind == "address" and i.detector in SENT]
    if not hit or not view.knows_owners:
        return
    known = view.tables["enrichment"]
    when = {"first": pa.array([i.first_us for i in hit]), "last": pa.array([i.last_us for i in hit])}
    net, host = zip(*(address_pair(i.subject) for i in hit), strict=True)
    victims = view.connection.from_arrow(pa.table({"net": net, "host": host, **when}))
    hit_by = "flow.dst_net = net AND flow.dst_host = host AND end_us >= first AND start_us <= last"
    sent = view.tables["flow"].set_alias("flow").join(victims.set_alias("victim"), hit_by, "semi")
    each = sent.aggregate("src_net, src_host, sum(packets) AS packets")
    measures = {"sources": "count(*)", "packets": "sum(packets)::BIGINT"}
    rows = grouped(each, "asn", known, measures, first="packets", role="src", most=OWNERS)
    if rows:
        yield Table(
            some(words("owners.senders"), len(rows), group_count(each, "asn", known, "src"), words),
            tuple(words(f"head.{n}") for n in ("asn", "sources", "packets")),
            "lrr",
            tuple((cut(r["group"], 60), f"{r['sources']:,}", f"{r['packets']:,}") for r in rows),
        )


def _vector(incident: Incident, words: Words) -> str:
    told = incident.evidence
    detail = told.get("vector") or told.get("protocol")
    name = words.named("detector", incident.detector)
    return cut(f"{name}: {words.kind(detail)}" if isinstance(detail, str) and detail else name, 40)


def _bots(view: View, incidents: Sequence[Incident], words: Words) -> Iterator[Block]:
    def at_home(incident: Incident) -> bool:
        place = incident.network
        return place is not None and view.is_home(place)

    home = {i.subject for i in incidents if at_home(i)}
    yield Para(words("bots.tells", hosts=len({i.subject for i in incidents}), home=len(home)))
    ordered = sorted(incidents, key=lambda i: i.subject not in home)[:INFECTED]
    head = tuple(
        words(f"head.{n}") for n in ("host", "whose", "what", "since", "count", "destinations", "do")
    )
    rows = tuple(
        (
            i.subject,
            words("bots.ours" if i.subject in home else "bots.others"),
            words.named("detector", i.detector),
            to_the_second(i.first_us),
            f"{i.count:,}",
            as_text(i.evidence.get("destinations", "-")),
            _todo(i.detector, words),
        )
        for i in ordered
    )
    yield Table(words("bots.caption", shown=len(rows)), head, "mlllrrl", rows)


def lasted(time_us: int, words: Words) -> str:
    """How long, in the two units that matter."""
    unit, number, rest = spoken(time_us)
    return words(f"time.{unit}", n=number, rest=rest)
