"""Verdicts as people read them: addresses as text, what a class means, what stands out, what changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import ibis
import pyarrow as pa
from ibis import _

from dnsonde.errors import UsageError
from dnsonde.table.readable import group_text
from dnsonde.table.readable import readable as rows_readable
from dnsonde.wire.batch import MAPPED, address_pair

TARGET = ("target_net", "target_host")


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
    """What a run found: counts by class in reading order, the worst open hosts, the densest prefixes."""

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


def summarise(verdict: ibis.Table, *, worst: int = 6) -> Summary:
    """Count a run's verdicts and pick the open hosts that would amplify most."""
    by_class = (
        verdict.group_by("class").aggregate(hosts=_.count(), open=_.open.sum()).to_pyarrow().to_pylist()
    )
    known = list(CLASSES)
    by_class.sort(
        key=lambda r: (known.index(r["class"]) if r["class"] in CLASSES else len(known), r["class"])
    )
    counts = tuple(Count(r["class"], r["hosts"], r["open"], meaning(r["class"])) for r in by_class)
    first = verdict.filter(_.open).order_by(
        [ibis.desc(_.amplification.fill_null(0.0)), _.target_net, _.target_host]
    )
    rows = readable(first.limit(worst)).read_all().to_pylist()
    return Summary(
        sum(c.hosts for c in counts),
        sum(c.open for c in counts),
        counts,
        tuple(Host(r["target"], r["class"], r["egress"], r["amplification"], r["why"]) for r in rows),
    )


def select(verdict: ibis.Table, classes: Iterable[str] = (), prefixes: Iterable[str] = ()) -> ibis.Table:
    """Only these classes and prefixes, in address order; see `chosen`."""
    return chosen(verdict, classes, prefixes).order_by(TARGET)


def chosen(verdict: ibis.Table, classes: Iterable[str] = (), prefixes: Iterable[str] = ()) -> ibis.Table:
    """Only these classes and prefixes; no class or no prefix given means all.

    UsageError for a class that is in nobody's list and not in the table either, and for what is no prefix.
    """
    named = tuple(classes)
    unknown = [name for name in named if name not in CLASSES]
    if unknown:
        raise UsageError(f"there is no class {unknown[0]!r}; the classes are: {', '.join(CLASSES)}")
    if named:
        verdict = verdict.filter(_["class"].isin(named))
    inside = [within(verdict, "target", prefix) for prefix in prefixes]
    if inside:
        any_of = inside[0]
        for more in inside[1:]:
            any_of |= more
        verdict = verdict.filter(any_of)
    return verdict


def within(table: ibis.Table, role: str, prefix: str) -> ibis.Value:
    """The address in `role` lies in `prefix` (text); UsageError when it is no prefix."""
    try:
        network: IPv4Network | IPv6Network = ip_network(prefix, strict=False)
    except ValueError:
        raise UsageError(f"{prefix!r} is no prefix; write it like 192.0.2.0/24 or 2001:db8::/48") from None
    first, last = address_pair(network.network_address), address_pair(network.broadcast_address)
    net, host = table[f"{role}_net"], table[f"{role}_host"]
    # A prefix fixes the top bit of the half that it cuts, so a signed range is contiguous (but for ::/0).
    if network.prefixlen == 0 and network.version == 6:
        return ibis.literal(True)
    if first == last:
        return (host == first[1]) & (net == first[0])
    if first[0] != last[0]:
        return (net >= first[0]) & (net <= last[0])
    if network.version == 6 and network.prefixlen == 64:
        return net == first[0]
    return (host >= first[1]) & (host <= last[1]) & (net == first[0])


@dataclass(frozen=True, slots=True)
class Change:
    """One way in which two runs differ, and for how many hosts."""

    name: str
    hosts: int


CHANGES = ("opened", "closed", "changed", "appeared", "gone")


def compare(before: ibis.Table, after: ibis.Table) -> ibis.Table:
    """Hosts whose verdicts differ: target, change, class_before, class_after, the later run's egress and why.

    In no order. opened and closed: by the proof of recursion; changed: another class, as open as it was; appeared and
    gone: asked in one of the two only, and open there (one that is silent and no longer asked is no news).
    """
    old = before.select(
        old_net=_.target_net, old_host=_.target_host, class_before=_["class"], open_before=_.open
    )
    new = after.select(*TARGET, "egress_net", "egress_host", "why", class_after=_["class"], open_after=_.open)
    both = new.outer_join(old, [new.target_net == old.old_net, new.target_host == old.old_host])
    was, now = both.open_before.fill_null(False), both.open_after.fill_null(False)
    change = ibis.cases(
        (both.class_before.isnull() & now, "appeared"),
        (both.class_after.isnull() & was, "gone"),
        (both.class_before.isnull() | both.class_after.isnull(), ibis.null("string")),
        (now & ~was, "opened"),
        (was & ~now, "closed"),
        (both.class_before != both.class_after, "changed"),
    )
    rows = both.mutate(
        change=change,
        target_net=both.target_net.coalesce(both.old_net),
        target_host=both.target_host.coalesce(both.old_host),
    )
    return rows.filter(_.change.notnull()).select(
        *TARGET, "change", "class_before", "class_after", "egress_net", "egress_host", "why"
    )


def changes_by(
    changes: ibis.Table, by: str, enrichment: ibis.Table, most: int | None = None
) -> list[dict[str, Any]]:
    """How many hosts of each group changed in which way, most first: `group`, a number a change, `hosts`."""
    counts = {name: (_.change == name).sum() for name in CHANGES}
    return grouped(changes, by, enrichment, {**counts, "hosts": _.count()}, first="hosts", most=most)


GROUPS = ("prefix", "asn", "country")


def grouped(
    rows: ibis.Table,
    by: str,
    enrichment: ibis.Table,
    measures: Mapping[str, Any],
    *,
    first: str,
    role: str = "target",
    having: str | None = None,
    most: int | None = None,
) -> list[dict[str, Any]]:
    """Measures of the rows by prefix (/24, /48), system or country of the address in `role`, ordered by `first`, down.

    Each row has `group`, a text (see `group_text`). having: a measure that must not be 0; most: so many rows.
    """
    rows, keys = _keyed(rows, by, enrichment, role)
    if by == "asn":
        measures = {**measures, "as_name": rows.as_name.max()}
    each = rows.group_by(keys).aggregate(**measures)
    if having is not None:
        each = each.filter(each[having] > 0)
    each = each.order_by([ibis.desc(first), *keys])
    found = readable(each if most is None else each.limit(most)).read_all().to_pylist()
    return [{"group": group_text(row, by), **row} for row in found]


def group_count(rows: ibis.Table, by: str, enrichment: ibis.Table, role: str = "target") -> int:
    """How many groups there are."""
    rows, keys = _keyed(rows, by, enrichment, role)
    return int(rows.select(*keys).distinct().count().to_pyarrow().as_py())


def _keyed(rows: ibis.Table, by: str, enrichment: ibis.Table, role: str) -> tuple[ibis.Table, list[str]]:
    """The rows with the columns that tell their group."""
    if by != "prefix":
        return owned(rows, enrichment, role), [by]
    net, host = rows[f"{role}_net"], rows[f"{role}_host"]
    four = (net == 0) & (host >= MAPPED) & (host < MAPPED << 1)
    halves = {
        "prefix_net": four.ifelse(net, net & -(1 << 16)),
        "prefix_host": four.ifelse(host & -256, 0),
    }
    return rows.mutate(**halves), list(halves)


def owned(rows: ibis.Table, enrichment: ibis.Table, role: str) -> ibis.Table:
    """The rows with `asn`, `as_name`, `prefix`, `country` and `abuse` of the address in `role`, null where unknown."""
    known = enrichment.select(
        "asn", "as_name", "prefix", "country", "abuse", known_net=_.address_net, known_host=_.address_host
    )
    on = [rows[f"{role}_net"] == known.known_net, rows[f"{role}_host"] == known.known_host]
    return rows.left_join(known, on).drop("known_net", "known_host")


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


def confusion(truth: ibis.Table, verdict: ibis.Table) -> Confusion:
    """Compare verdicts with a lab's truth (target pair and `class`); an unjudged host counts as `no_verdict`."""
    told = verdict.select(*TARGET, told=_["class"])
    real = truth.select(true_net=_.target_net, true_host=_.target_host, real=_["class"])
    both = real.left_join(told, [real.true_net == told.target_net, real.true_host == told.target_host])
    cells = both.group_by("real", told=_.told.fill_null("no_verdict")).aggregate(hosts=_.count())
    return Confusion({(r["real"], r["told"]): r["hosts"] for r in cells.to_pyarrow().to_pylist()})


def readable(relation: ibis.Table, *, columns: Iterable[str] = ()) -> pa.RecordBatchReader:
    """Run a relation; see `table.readable`."""
    batches = relation.to_pyarrow_batches()
    # DuckDB sums to 128 bits, whatever ibis promised.
    cast = (batch.cast(batches.schema) for batch in batches)
    return rows_readable(pa.RecordBatchReader.from_batches(batches.schema, cast), columns=columns)
