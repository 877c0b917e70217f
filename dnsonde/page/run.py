"""What a prober sees of a network: the report's sections about a run. Aggregates and short lists only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dnsonde.choices import CHANGES
from dnsonde.clock import to_the_second
from dnsonde.intel.remedies import remedies
from dnsonde.lang.words import DEFAULT, Words, per_cent, share_of
from dnsonde.page.content import Bars, Block, Chart, Figures, Link, Para, Section, Table, cut, some
from dnsonde.report import BEHIND, CLASSES, SILENT, Summary, group_count, grouped, summarise
from dnsonde.table.readable import readable
from dnsonde.table.rows import Relation, records
from dnsonde.table.store import quoted
from dnsonde.view.view import View

PREFIXES = 20  # shown, of those with the most open hosts
HOSTS = 25
EGRESSES = 20
CHANGED = 15
# How open hosts are told apart in charts: the series of each class.
KINDS = ("resolver", "forwarder", "transparent", "other")
PAINTS = ("blue", "sky", "green", "orange")  # red is what is open, of whatever kind
CHANGE_PAINTS = ("red", "grey", "sky", "orange", "dark")  # of `CHANGES`
KIND_OF = {"recursive_resolver": 0, "recursive_forwarder": 1, "transparent_forwarder": 2}


@dataclass(frozen=True)
class Before:
    """What changed since another run: that run's name, hosts by change, and by group (`by`: `report.GROUPS`)."""

    name: str
    counts: Mapping[str, int]
    groups: list[dict[str, Any]]
    by: str = "prefix"


@dataclass(frozen=True)
class Measurement:
    """What only the run's folder tells.

    asked: addresses that were, where it is not finished; targets: that are to be, None: unknown; facts: of the plan.
    """

    name: str
    delegated: bool
    finished: bool
    asked: int = 0
    targets: int | None = None
    facts: tuple[tuple[str, str], ...] = ()
    before: Before | None = None


def sections(view: View, told: Measurement, words: Words) -> Iterator[Section]:
    """The sections about a run, in reading order."""
    verdict = view.tables["verdict"]
    found = summarise(verdict, worst=HOSTS)
    yield Section("run", words("run.title"), tuple(_headline(view, found, told, words)))
    if not found.targets:
        return
    yield Section("classes", words("classes.title"), tuple(_classes(found, words)))
    if found.open:
        yield Section("prefixes", words("prefixes.title"), tuple(_prefixes(view, words)))
        yield Section("first", words("first.title"), tuple(_first(found, words)))
        egress = tuple(_egress(verdict, words))
        if egress:
            yield Section("egress", words("egress.title"), egress)
    if told.before is not None:
        yield Section("changes", words("changes.title"), tuple(change_blocks(told.before, words)))


def how(view: View, told: Measurement, words: Words) -> Iterator[Block]:
    """How it was measured."""
    sent = "count(*) AS probes, min(time_us) AS first, max(time_us) AS last"
    (row,) = records(view.tables["probe"].aggregate(sent))
    replies, sightings = (len(view.tables[name]) for name in ("reply", "sighting"))
    facts = [(words(f"how.{key}"), value) for key, value in told.facts]
    if row["first"] is not None:
        seconds = max((row["last"] - row["first"]) / 1e6, 1e-6)
        facts += [
            (words("how.from"), f"{to_the_second(row['first'])} UTC"),
            (words("how.until"), f"{to_the_second(row['last'])} UTC"),
            (words("how.pace"), words("how.pace_value", pace=f"{row['probes'] / seconds:,.1f}")),
        ]
    facts += [
        (words("how.probes"), f"{row['probes']:,}"),
        (words("how.replies"), f"{replies:,}"),
        (words("how.sightings"), f"{sightings:,}"),
    ]
    yield Table(words("how.caption"), (words("how.what"), words("how.value")), "ll", tuple(facts))
    yield Para(words("how.by_zone" if told.delegated else "how.by_known"))


def unfinished(asked: int, targets: int | None, words: Words) -> str:
    """That a run is not finished, and how many of its targets were asked."""
    told = words("run.unfinished")
    return told if targets is None else f"{told} {words('run.asked', asked=asked, targets=targets)}"


def _headline(view: View, found: Summary, told: Measurement, words: Words) -> Iterator[Block]:
    if not found.targets:
        yield Para(words("run.empty"), "lead")
        return
    share = share_of(found.open, found.targets)
    key = "run.headline" if found.open else "run.headline_none"
    yield Para(words(key, open=found.open, targets=found.targets, share=share), "lead")
    if not told.finished:
        yield Para(unfinished(told.asked, told.targets, words), "note")
    answered = sum(c.hosts for c in found.counts if c.name not in SILENT)
    worst = found.worst[0].amplification if found.worst else None
    behind = len(view.tables["verdict"].filter(BEHIND).project("egress_net, egress_host").distinct())
    figures = [
        (f"{found.targets:,}", words("run.targets")),
        (f"{answered:,}", words("run.answered")),
        (f"{found.open:,}", words("run.open")),
    ]
    if worst:
        figures.append((words("run.fold", factor=f"{worst:.1f}"), words("run.worst")))
    if behind:
        figures.append((f"{behind:,}", words("run.egresses")))
    yield Figures(tuple(figures))
    if found.open:
        yield Para(words("run.why"))


def _classes(found: Summary, words: Words) -> Iterator[Block]:
    rows = tuple(
        (
            words.named("class", count.name),
            f"{count.hosts:,}",
            share_of(count.hosts, found.targets),
            f"{count.open:,}" if count.open else "-",
            words.named("meaning", count.name),
        )
        for count in found.counts
    )
    table = Table(
        words("classes.caption"), _head(words, "class", "hosts", "share", "open", "means"), "lrrrl", rows
    )
    seen = [c for c in found.counts if c.name not in SILENT]
    silent = sum(c.hosts for c in found.counts if c.name in SILENT)
    if not seen:
        yield Para(words("classes.silent", silent=silent))
        yield table
        return
    bars = Bars(
        (words("series.open"), words("series.closed")),
        tuple((words.named("class", c.name), (c.open, c.hosts - c.open)) for c in seen),
        ("red", "grey"),
    )
    tells = words("classes.tells", seen=sum(c.hosts for c in seen), silent=silent)
    yield Chart(words("classes.chart"), tells, bars, table, folded=False)


def _prefixes(view: View, words: Words) -> Iterator[Block]:
    verdict = view.tables["verdict"]
    measures = {
        "asked": "count(*)", "open": "count(*) FILTER (open)", "most": "max(amplification)", **_kinds(),
    }  # fmt: skip
    known = view.tables["enrichment"]
    rows = grouped(verdict, "prefix", known, measures, first="open", having="open", most=PREFIXES)
    number = group_count(verdict.filter("open"), "prefix", known)
    names = [row["group"] for row in rows]
    table = Table(
        words("prefixes.caption"),
        _head(words, "prefix", "asked", "open", *KINDS, "strongest"),
        "mrrrrrrr",
        tuple(
            (
                name,
                f"{row['asked']:,}",
                f"{row['open']:,}",
                *(f"{row[kind]:,}" if row[kind] else "-" for kind in KINDS),
                _fold(row["most"], words),
            )
            for name, row in zip(names, rows, strict=True)
        ),
    )
    bars = Bars(
        tuple(words(f"series.{kind}") for kind in KINDS),
        tuple((name, tuple(row[kind] for kind in KINDS)) for name, row in zip(names, rows, strict=True)),
        PAINTS,
    )
    tells = words("prefixes.tells", shown=len(rows), number=number)
    yield Chart(words("prefixes.chart"), tells, bars, table)
    yield from _systems(view, words)


def _systems(view: View, words: Words) -> Iterator[Block]:
    """Open hosts by the network that announces them and by country, where `dnsonde enrich` learned it."""
    if not view.knows_owners:
        return
    known = view.tables["enrichment"]
    hosts = view.tables["verdict"].filter("open")
    for by in ("asn", "country"):
        measures = {"open": "count(*)", "most": "max(amplification)", "abuse": "max(abuse)"}
        rows = grouped(hosts, by, known, measures, first="open", most=PREFIXES)
        more = ("abuse",) if by == "asn" else ()
        yield Table(
            some(words(f"systems.{by}"), len(rows), group_count(hosts, by, known), words),
            _head(words, by, "open", "strongest", *more),
            "lrr" + "m" * len(more),
            tuple(
                (
                    cut(row["group"], 60),
                    f"{row['open']:,}",
                    _fold(row["most"], words),
                    *(cut((row["asn"] and row[name]) or "-", 80) for name in more),
                )
                for row in rows
            ),
        )


def _first(found: Summary, words: Words) -> Iterator[Block]:
    yield Para(words("first.tells", shown=len(found.worst), open=found.open))
    rows = []
    for host in found.worst:
        measure = remedies().of_host(host.name, is_open=True)
        todo = Link(words(f"measure.{measure.name}.title"), f"do-{measure.name}") if measure else "-"
        egress = "-" if host.egress in {None, host.address} else str(host.egress)
        rows.append(
            (
                host.address,
                words.named("class", host.name),
                _fold(host.amplification, words),
                egress,
                # The sentence of the very host is English; others read what its class means.
                cut(host.why if words.code == DEFAULT else words.named("meaning", host.name), 300),
                todo,
            )
        )
    head = _head(words, "host", "class", "amplification", "egress", "why", "do")
    yield Table(words("first.caption"), head, "mlrmll", tuple(rows))


def _egress(verdict: Relation, words: Words) -> Iterator[Block]:
    counts = ", ".join(f"{sql} AS {kind}" for kind, sql in _kinds().items())
    by = verdict.filter(BEHIND).aggregate(f"egress_net, egress_host, count(*) AS hosts, {counts}")
    (total,) = records(by.aggregate("count(*) AS egresses, sum(hosts) AS hosts"))
    if not total["egresses"]:
        return
    chosen = by.order("hosts DESC, egress_net, egress_host").limit(EGRESSES)
    rows = readable(chosen).read_all().to_pylist()
    inside = sum(row["hosts"] for row in rows)
    share = per_cent(inside / total["hosts"])
    table = Table(
        words("egress.caption"),
        _head(words, "egress", "hosts_behind", *KINDS),
        "mrrrrr",
        tuple(
            (
                row["egress"],
                f"{row['hosts']:,}",
                *(f"{row[kind]:,}" if row[kind] else "-" for kind in KINDS),
            )
            for row in rows
        ),
    )
    bars = Bars(
        tuple(words(f"series.{kind}") for kind in KINDS),
        tuple((row["egress"], tuple(row[kind] for kind in KINDS)) for row in rows),
        PAINTS,
    )
    tells = words(
        "egress.tells", egresses=total["egresses"], hosts=total["hosts"], shown=len(rows), share=share
    )
    yield Chart(words("egress.chart"), tells, bars, table)
    yield Para(words("egress.note"), "note")


def change_blocks(before: Before, words: Words) -> Iterator[Block]:
    """How many hosts changed in which way, by prefix."""
    total = sum(before.counts.values())
    if not total:
        yield Para(words("changes.none", before=before.name))
        return
    yield Para(
        words(
            "changes.tells",
            before=before.name,
            opened=before.counts["opened"],
            closed=before.counts["closed"],
        )
    )
    rows = before.groups[:CHANGED]
    head = (before.by, *CHANGES)
    shown = [cut(row["group"], 60) for row in rows]
    table = Table(
        words("changes.caption"),
        _head(words, *head),
        "mrrrrr",
        (
            (words("changes.all"), *(f"{before.counts[name]:,}" for name in CHANGES)),
            *(
                (name, *(f"{row[change]:,}" if row[change] else "-" for change in CHANGES))
                for name, row in zip(shown, rows, strict=True)
            ),
        ),
    )
    bars = Bars(
        tuple(words(f"head.{name}") for name in CHANGES),
        tuple(
            (name, tuple(row[change] for change in CHANGES)) for name, row in zip(shown, rows, strict=True)
        ),
        CHANGE_PAINTS,
    )
    yield Chart(
        words("changes.chart"), words("changes.chart_tells", shown=len(rows)), bars, table, folded=False
    )
    yield Para(words("changes.note"), "note")


def _kinds() -> dict[str, str]:
    """SQL: how many open hosts are of each kind."""
    told = {KINDS[place]: f"class = {quoted(known)}" for known, place in KIND_OF.items()}
    told["other"] = f"class NOT IN {tuple(KIND_OF)}"
    return {kind: f"count(*) FILTER (open AND {sql})" for kind, sql in told.items()}


def _head(words: Words, *names: str) -> tuple[str, ...]:
    return tuple(words(f"head.{name}") for name in names)


def _fold(factor: float | None, words: Words) -> str:
    return "-" if factor is None else words("run.fold", factor=f"{factor:.1f}")


def present(found: Summary) -> list[str]:
    """Classes that the run has, in reading order."""
    have = {count.name for count in found.counts}
    return [name for name in CLASSES if name in have]
