"""Verdicts as people read them: addresses as text, what a class means, what stands out, what changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dnsonde.choices import CHANGES
from dnsonde.errors import UsageError
from dnsonde.table.prefix import MAPPED, inside
from dnsonde.table.readable import group_text, readable
from dnsonde.table.rows import Relation, joined, listed, records, within
from dnsonde.table.store import quoted

TARGET = "target_net, target_host"
SILENT = ("silent", "not_sent")  # classes of hosts of which nothing came
ANSWERED = f"class NOT IN {SILENT}"
BEHIND = "open AND egress_host IS NOT NULL"  # open, and it is known who asks for them


@dataclass(frozen=True, slots=True)
class Kind:
    """What a class means to such a host's owner, and whether only an authority of one's own can tell it."""

    meaning: str
    needs_authority: bool = False


# In the order in which people want to read them: what is open and worst first.
CLASSES = {
    "recursive_resolver": Kind("asks by itself", needs_authority=True),
    "recursive_forwarder": Kind("another resolver asks", needs_authority=True),
    "open": Kind("by what way is not told"),
    "transparent_forwarder": Kind("another host replies", needs_authority=True),
    "multihomed": Kind("a neighbour address replies", needs_authority=True),
    "resolves_no_reply": Kind("no reply comes back", needs_authority=True),
    "answered_without_us": Kind("right answer, not from us", needs_authority=True),
    "manipulated": Kind("answers with wrong data"),
    "injected": Kind("somebody answers in between"),
    "filtering": Kind("withholds what it resolved"),
    "authoritative_only": Kind("an authority, no resolver"),
    "refused": Kind("closed to strangers"),
    "servfail": Kind("says SERVFAIL"),
    "formerr": Kind("says FORMERR"),
    "notimp": Kind("says NOTIMP"),
    "other_rcode": Kind("says another error"),
    "truncated": Kind("says to come back by TCP"),
    "echo": Kind("sends the question back"),
    "icmp": Kind("an ICMP error came back"),
    "not_sent": Kind("this machine could not ask"),
    "silent": Kind("nothing came back"),
}


@dataclass(frozen=True, slots=True)
class Count:
    """How many hosts are of one class, how many of them are open."""

    name: str
    hosts: int
    open: int
    meaning: str


@dataclass(frozen=True, slots=True)
class Host:
    """One open host worth a line."""

    address: str
    name: str
    egress: str | None
    amplification: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run found: counts by class in reading order, and the worst open hosts."""

    targets: int
    open: int
    counts: tuple[Count, ...]
    worst: tuple[Host, ...]


def place(name: str) -> tuple[int, str]:
    """Where a class stands in reading order; one that the list lacks comes last."""
    known = list(CLASSES)
    return (known.index(name) if name in CLASSES else len(known), name)


def meaning(name: str) -> str:
    """What a class means; nothing for one that the list lacks."""
    return CLASSES[name].meaning if name in CLASSES else ""


def summarise(verdict: Relation, *, worst: int = 6) -> Summary:
    """Count a run's verdicts and pick the open hosts that would amplify most."""
    by_class = records(
        verdict.aggregate("class, count(*) AS hosts, count(*) FILTER (open) AS open").order("class")
    )
    by_class.sort(key=lambda row: place(row["class"]))
    counts = tuple(Count(r["class"], r["hosts"], r["open"], meaning(r["class"])) for r in by_class)
    first = verdict.filter("open").order(f"coalesce(amplification, 0) DESC, {TARGET}").limit(worst)
    return Summary(
        sum(c.hosts for c in counts),
        sum(c.open for c in counts),
        counts,
        tuple(
            Host(r["target"], r["class"], r["egress"], r["amplification"], r["why"])
            for r in readable(first).read_all().to_pylist()
        ),
    )


def select(verdict: Relation, classes: Iterable[str] = (), prefixes: Iterable[str] = ()) -> Relation:
    """Only these classes and prefixes, in address order; see `chosen`."""
    return chosen(verdict, classes, prefixes).order(TARGET)


def chosen(verdict: Relation, classes: Iterable[str] = (), prefixes: Iterable[str] = ()) -> Relation:
    """Only these classes and prefixes; no class or no prefix given means all.

    UsageError for a class that is not in the list, and for what is no prefix.
    """
    named = tuple(classes)
    unknown = [name for name in named if name not in CLASSES]
    if unknown:
        raise UsageError(f"there is no class {unknown[0]!r}; the classes are: {', '.join(CLASSES)}")
    if named:
        verdict = verdict.filter(f"class IN {listed(named)}")
    inside = [within("target", prefix) for prefix in prefixes]
    return verdict.filter(" OR ".join(inside)) if inside else verdict


def compare(before: Relation, after: Relation) -> Relation:
    """Hosts whose verdicts differ: target, change, class_before, class_after, the later run's egress and why.

    In no order. opened and closed: by the proof of recursion; changed: another class, as open as it was; appeared and
    gone: asked in one of the two only, and open there (one that is silent and no longer asked is no news).
    """
    both = joined(
        after,
        "target",
        before,
        "target",
        """coalesce(one.target_net, other.target_net) AS target_net,
        coalesce(one.target_host, other.target_host) AS target_host,
        CASE WHEN other.class IS NULL THEN CASE WHEN one.open THEN 'appeared' END
             WHEN one.class IS NULL THEN CASE WHEN other.open THEN 'gone' END
             WHEN one.open AND NOT other.open THEN 'opened'
             WHEN other.open AND NOT one.open THEN 'closed'
             WHEN one.class <> other.class THEN 'changed' END AS change,
        other.class AS class_before, one.class AS class_after, one.egress_net, one.egress_host, one.why""",
        "outer",
    )
    return both.filter("change IS NOT NULL")


def changes_by(
    changes: Relation, by: str, enrichment: Relation, most: int | None = None
) -> list[dict[str, Any]]:
    """How many hosts of each group changed in which way, most first: `group`, a number a change, `hosts`."""
    counts = {name: f"count(*) FILTER (change = {quoted(name)})" for name in CHANGES}
    return grouped(changes, by, enrichment, {**counts, "hosts": "count(*)"}, first="hosts", most=most)


GROUPS = ("prefix", "asn", "country")


def grouped(
    hosts: Relation,
    by: str,
    enrichment: Relation,
    measures: Mapping[str, str],
    *,
    first: str,
    role: str = "target",
    having: str = "",
    most: int | None = None,
) -> list[dict[str, Any]]:
    """Measures of the rows by prefix (/24, /48), system or country of the address in `role`, ordered by `first`, down.

    measures: SQL by name. Each row has `group`, a text (see `group_text`). having: a measure that must not be 0; most:
    so many rows.
    """
    keyed, keys = _keyed(hosts, by, enrichment, role)
    if by == "asn":
        measures = {**measures, "as_name": "max(as_name)"}
    each = keyed.aggregate(", ".join([keys, *(f"{sql} AS {name}" for name, sql in measures.items())]), keys)
    if having:
        each = each.filter(f"{having} > 0")
    each = each.order(f"{first} DESC, {keys}")
    found = readable(each if most is None else each.limit(most)).read_all().to_pylist()
    return [{"group": group_text(row, by), **row} for row in found]


def group_count(hosts: Relation, by: str, enrichment: Relation, role: str = "target") -> int:
    """How many groups there are."""
    keyed, keys = _keyed(hosts, by, enrichment, role)
    return len(keyed.project(keys).distinct())


def _keyed(hosts: Relation, by: str, enrichment: Relation, role: str) -> tuple[Relation, str]:
    """The rows with the columns that tell their group."""
    if by != "prefix":
        return owned(hosts, enrichment, role), by
    net, host = f"{role}_net", f"{role}_host"
    four = inside(role, (MAPPED,))
    halves = (
        f"CASE WHEN {four} THEN {net} ELSE {net} & {-(1 << 16)} END AS prefix_net, "
        f"CASE WHEN {four} THEN {host} & -256 ELSE 0 END AS prefix_host"
    )
    return hosts.project(f"*, {halves}"), "prefix_net, prefix_host"


def owned(hosts: Relation, enrichment: Relation, role: str) -> Relation:
    """The rows with `asn`, `as_name`, `prefix`, `country` and `abuse` of the address in `role`, null where unknown."""
    facts = "one.*, other.asn, other.as_name, other.prefix, other.country, other.abuse"
    return joined(hosts, role, enrichment, "address", facts)


@dataclass(frozen=True, slots=True)
class Confusion:
    """Truth against verdict: (true class, verdict class) -> hosts."""

    cells: dict[tuple[str, str], int]

    @property
    def hosts(self) -> int:
        """All hosts."""
        return sum(self.cells.values())

    @property
    def right(self) -> int:
        """Hosts whose verdict is the truth."""
        return sum(hosts for (truth, told), hosts in self.cells.items() if truth == told)

    @property
    def classes(self) -> set[str]:
        """Classes that the lab's hosts really are of."""
        return {truth for truth, _ in self.cells}

    def of(self, name: str) -> int:
        """Hosts that really are of a class."""
        return sum(hosts for (truth, _), hosts in self.cells.items() if truth == name)

    @property
    def wrong(self) -> list[tuple[str, str, int]]:
        """What was taken for what, the most frequent first."""
        errors = [(truth, told, n) for (truth, told), n in self.cells.items() if truth != told]
        return sorted(errors, key=lambda e: (-e[2], e[0], e[1]))


def confusion(truth: Relation, verdict: Relation) -> Confusion:
    """Compare verdicts with a lab's truth (target pair and `class`); an unjudged host counts as `no_verdict`."""
    each = "one.class AS real, coalesce(other.class, 'no_verdict') AS told"
    both = joined(truth, "target", verdict, "target", each)
    return Confusion({(real, told): n for real, told, n in both.aggregate("real, told, count(*)").fetchall()})
