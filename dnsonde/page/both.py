"""A run and a lake side by side: what the prober learned, how it was seen to come, and whether the two agree."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dnsonde.clock import to_the_second
from dnsonde.lang.words import Words
from dnsonde.page.content import Bars, Block, Chart, Figures, Para, Section, Sides, Table, cut
from dnsonde.page.lake import lasted, timeline
from dnsonde.report import BEHIND, place
from dnsonde.table.prefix import inside
from dnsonde.table.rows import Relation, joined, records
from dnsonde.view.view import Incident, View

SEEN_MOST = 1 << 20  # addresses of a lake that are compared with a run
PREFIXES = 64  # of a plan, by which the lake is searched
CAMPAIGNS = 2
MARKS = ("asked", "answered", "resolved", "passed")  # of an address in traffic
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
    # The two are of different connections: what is few is carried over.
    known = run.connection.from_arrow(_seen(run, lake).limit(SEEN_MOST).to_arrow_table())
    seen = ", ".join(f"coalesce(other.{way}, FALSE) AS {way}" for way in MARKS)
    verdict = run.tables["verdict"].filter("class <> 'not_sent'")
    told = joined(verdict, "target", known, "its", f"one.class, one.open, {seen}")
    counted = records(
        told.aggregate("""class, count(*) AS hosts, count(*) FILTER (open) AS opened,
            count(*) FILTER (open AND resolved) AS resolved,
            count(*) FILTER (open AND NOT resolved AND passed) AS passed,
            count(*) FILTER (open AND NOT resolved AND NOT passed) AS unseen,
            count(*) FILTER (NOT open AND resolved) AS closed,
            count(*) FILTER (asked) AS asked, count(*) FILTER (answered) AS answered""")
    )
    counted.sort(key=lambda row: place(row["class"]))
    rows = tuple(
        Row(r["class"], r["hosts"], r["opened"], r["resolved"], r["passed"], r["unseen"], r["closed"])
        for r in counted
    )
    return Agreement(rows, sum(r["asked"] for r in counted), sum(r["answered"] for r in counted))


def _seen(run: View, lake: View) -> Relation:
    """What the lake's messages tell of addresses: its_net, its_host, and the `MARKS` that it has."""
    ports = f"({', '.join(map(str, sorted({53, run.port})))})"
    message = lake.tables["message"].filter("transport IN ('udp', 'tcp') AND status = 0")
    asked = _around(message.filter(f"NOT response AND dst_port IN {ports}"), "dst", run)
    gave = _around(message.filter(f"response AND src_port IN {ports}"), "src", run)
    # What a neighbour was asked for and this one answers is no answer of this one's.
    question = asked.project("dst_net, dst_host, src_net, src_host, id, src_port").distinct()
    answers = " AND ".join(
        f"gave.{one} = asked.{other}"
        for one, other in (
            ("src_net", "dst_net"), ("src_host", "dst_host"), ("dst_net", "src_net"), ("dst_host", "src_host"),
            ("id", "id"), ("dst_port", "src_port"),
        )
    )  # fmt: skip
    gave = gave.set_alias("gave").join(question.set_alias("asked"), answers, "semi")
    on = message.filter(
        "NOT response AND embedded_net IS NOT NULL AND (embedded_net <> dst_net OR embedded_host <> dst_host)"
    )
    every = _part(asked, "dst", asked="TRUE")
    every = every.union(_part(gave, "src", answered="TRUE", resolved="rcode = 0 AND ancount > 0 AND NOT aa"))
    every = every.union(_part(_around(on, "embedded", run), "embedded", passed="TRUE"))
    marks = ", ".join(f"bool_or({way}) AS {way}" for way in MARKS)
    return every.aggregate(f"its_net, its_host, {marks}")


def _around(message: Relation, role: str, run: View) -> Relation:
    """Only messages whose address in `role` may be one of the run's."""
    few = run.home and len(run.home) <= PREFIXES
    return message.filter(inside(role, run.home)) if few else message


def _part(message: Relation, role: str, **marks: str) -> Relation:
    told = ", ".join(f"{marks.get(way, 'FALSE')} AS {way}" for way in MARKS)
    return message.project(f"{role}_net AS its_net, {role}_host AS its_host, {told}")


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
    behind = run.tables["verdict"].filter(BEHIND)
    egresses = len(behind.project("egress_net, egress_host").distinct())
    pairs = behind.project("class, egress_net, egress_host").distinct()
    egress = dict(pairs.aggregate("class, count(*)").fetchall())
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
            ("since", to_the_second(incident.first_us)),
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
