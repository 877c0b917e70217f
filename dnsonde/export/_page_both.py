"""A run and a lake side by side: what the prober learned, how it was seen to come, and whether the two agree."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ibis
from ibis import _

from dnsonde.detect._relations import inside, keys, pair, same
from dnsonde.export._charts import moment
from dnsonde.export._contract import Incident, View
from dnsonde.export._page import Bars, Block, Chart, Figures, Para, Section, Sides, Table, cut
from dnsonde.export._page_lake import lasted, timeline
from dnsonde.lang.words import Words
from dnsonde.report import place

SEEN_MOST = 1 << 20  # addresses of a lake that are compared with a run
PREFIXES = 64  # of a plan, by which the lake is searched
CAMPAIGNS = 2
WAYS = ("resolved", "passed", "unseen")
SEEN = ("seen_resolved", "passed", "unseen")  # how their columns are called
PAINTS = ("blue", "sky", "orange")


@dataclass(frozen=True, slots=True)
class Row:
    """Hosts of one class. open: by the run; resolved, passed, unseen: how these are in the traffic.

    closed_resolved: hosts that are not open by the run, yet were seen to answer with recursion.
    """

    name: str
    hosts: int
    open: int
    resolved: int
    passed: int
    unseen: int
    closed_resolved: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """A run's hosts as a lake shows them, by class; asked, answered: hosts for whom the traffic has that."""

    rows: tuple[Row, ...] = field(default_factory=tuple)
    asked: int = 0
    answered: int = 0

    def total(self, name: str) -> int:
        """The sum of a number of all rows."""
        return sum(getattr(row, name) for row in self.rows)

    @property
    def agreed(self) -> int:
        """Hosts that both call open, and those that both do not."""
        closed = self.total("hosts") - self.total("open") - self.total("closed_resolved")
        return self.total("resolved") + closed


def agreement(run: View, lake: View) -> Agreement:
    """Hold the run's hosts against the lake's messages.

    resolved: an answer with recursion left from the very address; passed: it did not, but a question that carries the
    address went on to somebody else; unseen: neither.
    """
    verdict = run.tables["verdict"].filter(~_["class"].isin(["not_sent"]))
    seen = _seen(run, lake)
    # The two are of different connections: what is few is carried over.
    known = ibis.memtable(seen.limit(SEEN_MOST).to_pyarrow())
    joined = verdict.select("target_net", "target_host", "class", "open").left_join(
        known, [verdict.target_net == known.net, verdict.target_host == known.host]
    )
    told = {name: joined[name].fill_null(0) > 0 for name in ("asked", "answered", "resolved", "passed")}
    counted = (
        joined.mutate(**told)
        .group_by("class")
        .aggregate(
            hosts=_.count(),
            opened=_.open.sum(),
            resolved=(_.open & _.resolved).sum(),
            passed=(_.open & ~_.resolved & _.passed).sum(),
            unseen=(_.open & ~_.resolved & ~_.passed).sum(),
            closed=(~_.open & _.resolved).sum(),
            asked=_.asked.sum(),
            answered=_.answered.sum(),
        )
        .to_pyarrow()
        .to_pylist()
    )
    counted.sort(key=lambda row: place(row["class"]))
    rows = tuple(
        Row(r["class"], r["hosts"], r["opened"], r["resolved"], r["passed"], r["unseen"], r["closed"])
        for r in counted
    )
    return Agreement(rows, sum(r["asked"] for r in counted), sum(r["answered"] for r in counted))


def _seen(run: View, lake: View) -> ibis.Table:
    """What the lake's messages tell of addresses: net, host, asked, answered, resolved, passed (0 or 1 each)."""
    ports = sorted({53, run.port})
    message = lake.tables["message"].filter(_.transport.isin(["udp", "tcp"]) & (_.status == 0))
    asked = _around(message.filter(~_.response & _.dst_port.isin(ports)), "dst", run)
    gave = _around(message.filter(_.response & _.src_port.isin(ports)), "src", run)
    # What a neighbour was asked for and this one answers is no answer of this one's.
    questions = asked.select(*keys("dst", "src"), asked_id=asked.id, asked_port=asked.src_port).distinct()
    gave = gave.semi_join(
        questions,
        [
            *(gave[f"src_{half}"] == questions[f"dst_{half}"] for half in ("net", "host")),
            *(gave[f"dst_{half}"] == questions[f"src_{half}"] for half in ("net", "host")),
            gave.id == questions.asked_id,
            gave.dst_port == questions.asked_port,
        ],
    )
    on = message.filter(
        ~_.response & _.embedded_net.notnull() & ~same(pair(message, "embedded"), pair(message, "dst"))
    )
    on = _around(on, "embedded", run)
    recursive = (gave.rcode == 0) & (gave.ancount > 0) & ~gave.aa
    parts = [
        _part(asked, "dst", asked=1),
        _part(gave, "src", answered=1, resolved=recursive.cast("int64")),
        _part(on, "embedded", passed=1),
    ]
    every = ibis.union(*parts)
    return every.group_by("net", "host").aggregate(
        asked=_.asked.max(), answered=_.answered.max(), resolved=_.resolved.max(), passed=_.passed.max()
    )


def _around(message: ibis.Table, role: str, run: View) -> ibis.Table:
    """Only messages whose address in `role` may be one of the run's."""
    few = run.home and len(run.home) <= PREFIXES
    return message.filter(inside(*pair(message, role), run.home)) if few else message


def _part(message: ibis.Table, role: str, **flags: Any) -> ibis.Table:
    zero = ibis.literal(0, "int64")
    told = {name: flags.get(name, zero) for name in ("asked", "answered", "resolved", "passed")}
    told = {name: ibis.literal(v, "int64") if isinstance(v, int) else v for name, v in told.items()}
    net, host = pair(message, role)
    return message.select(net=net, host=host, **told)


def sections(run: View, lake: View, words: Words) -> Iterator[Section]:
    """The report's opening about both; nothing where the traffic knows nothing of the run's hosts."""
    found = agreement(run, lake)
    if not (found.asked or found.answered or found.total("resolved")):
        return
    campaigns = sorted(
        (i for i in lake.incidents() if i.detector == "probing_campaign"),
        key=lambda i: (-int(i.evidence.get("targets") or 0), i.subject),
    )
    blocks: list[Block] = [
        Para(words("both.lead", agreed=found.agreed, hosts=found.total("hosts")), "lead"),
        Sides(
            (words("both.learned"), tuple(_learned(run, found, words))),
            (words("both.saw"), tuple(_saw(campaigns, found, words))),
        ),
        *timeline(lake, [i.subject for i in campaigns[:CAMPAIGNS]], words),
        _agreed(found, words),
        Para(words("both.note"), "note"),
    ]
    yield Section("both", words("both.title"), tuple(blocks))


def _learned(run: View, found: Agreement, words: Words) -> Iterator[Block]:
    """What the prober knows now, by class of host."""
    verdict = run.tables["verdict"]
    behind = verdict.filter(_.open & _.egress_host.notnull())
    egresses = int(behind.select("egress_net", "egress_host").distinct().count().to_pyarrow().as_py())
    pairs = behind.select("class", "egress_net", "egress_host").distinct()
    by = pairs.group_by("class").aggregate(n=_.count()).to_pyarrow().to_pylist()
    egress = {row["class"]: row["n"] for row in by}
    yield Figures(
        (
            (f"{found.total('open'):,}", words("both.open")),
            (f"{egresses:,}", words("run.egresses")),
        )
    )
    rows = tuple(
        (words.named("class", r.name), f"{r.hosts:,}", _n(r.open), _n(egress.get(r.name, 0)))
        for r in found.rows
        if r.name != "silent"
    )
    head = tuple(words(f"head.{name}") for name in ("class", "hosts", "open", "behind"))
    yield Table(words("both.learned_caption"), head, "lrrr", rows)


def _saw(campaigns: Sequence[Incident], found: Agreement, words: Words) -> Iterator[Block]:
    """How the prober was seen to come."""
    yield Figures(
        (
            (f"{found.asked:,}", words("both.asked")),
            (f"{found.answered:,}", words("both.answered")),
        )
    )
    if not campaigns:
        yield Para(words("both.no_campaign"))
    for incident in campaigns[:CAMPAIGNS]:
        told = incident.evidence
        facts = (
            ("campaign", cut(str(told.get("campaign", "-")), 60)),
            ("operator", cut(str(told.get("operator") or "-"), 80)),
            ("template", cut(str(told.get("template", "-")))),
            ("address", words.named("written", str(told.get("address_written", "-")))),
            ("since", moment(incident.first_us)),
            ("for", lasted(incident.last_us - incident.first_us, words)),
            ("from", cut(_listed(told.get("source_examples")), 80)),
            ("targets", _n(int(told.get("targets") or 0))),
            ("answered", _n(int(told.get("answered") or 0))),
            ("resolved", _n(int(told.get("resolved") or 0))),
            ("relays", _n(int(told.get("relays") or 0))),
            ("severity", words(f"severity.{incident.severity}")),
        )
        rows = tuple((words(f"head.{name}"), value) for name, value in facts)
        yield Table(
            words("both.campaign", domain=cut(incident.subject, 80)),
            (words("head.what"), words("head.value")),
            "lm",
            rows,
        )


def _agreed(found: Agreement, words: Words) -> Chart:
    """Whether the two agree, by class."""
    listed = [row for row in found.rows if row.open or row.closed_resolved]
    rows = tuple(
        (
            words.named("class", row.name),
            _n(row.open),
            *(_n(getattr(row, way)) for way in WAYS),
            _n(row.closed_resolved),
        )
        for row in listed
    )
    sums = tuple(_n(found.total(name)) for name in ("open", *WAYS, "closed_resolved"))
    head = tuple(words(f"head.{name}") for name in ("class", "open", *SEEN, "closed_resolved"))
    table = Table(words("both.caption"), head, "lrrrrr", (*rows, (words("changes.all"), *sums)))
    bars = Bars(
        tuple(words(f"head.{name}") for name in SEEN),
        tuple((words.named("class", r.name), (r.resolved, r.passed, r.unseen)) for r in listed if r.open),
        PAINTS,
    )
    tells = words(
        "both.tells",
        open=found.total("open"),
        resolved=found.total("resolved"),
        passed=found.total("passed"),
        unseen=found.total("unseen"),
    )
    return Chart(words("both.chart"), tells, bars, table, folded=False)


def _n(number: int) -> str:
    return f"{number:,}" if number else "-"


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) and value else "-"
