"""The hosts of a run, a page at a time, and everything about one of them; straight from the Parquet parts.

A page is found by the keys of the row that it follows or precedes (keyset), never by counting rows away, so that the
last page of a million costs what the first does.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from dnsonde import report
from dnsonde.errors import UsageError
from dnsonde.table.readable import readable
from dnsonde.table.rows import Relation, records, within
from dnsonde.table.schema import VERDICT
from dnsonde.table.store import quoted
from dnsonde.wire.batch import address_pair, address_text

SIZE = 50
MOST = 200  # rows of one page
KEPT = 100  # probes, replies, sightings of one host that are shown
MARK_CHARS = 1000
TEXT_CHARS = 200
TARGET = ("target_net", "target_host")
SHOWN = ("answered", "open", "all")

INT_MOST = (1 << 62) - 1


@dataclass(frozen=True, slots=True)
class Column:
    """What a table of hosts can be sorted by: columns of `verdict`, and what stands for null when they ascend."""

    columns: tuple[str, ...]
    most: str | float
    least: str | float


_ADDRESS = (INT_MOST, -INT_MOST - 1)
SORTS = {
    "target": Column((), 0, 0),
    "class": Column(("class",), "\U0010ffff", ""),
    "open": Column(("open",), 2, -1),
    "amplification": Column(("amplification",), 1e300, -1e300),
    "egress": Column(("egress_net", "egress_host"), *_ADDRESS),
    "responder": Column(("responder_net", "responder_host"), *_ADDRESS),
    "rtt_us": Column(("rtt_us",), *_ADDRESS),
    "why": Column(("why",), "\U0010ffff", ""),
}
NULLABLE = {column.name for column in VERDICT.columns if column.null}
ROLES = ("target", "egress", "responder")
COLUMNS = (
    "target_net", "target_host", "class", "open", "amplification", "egress_net", "egress_host", "responder_net",
    "responder_host", "rtt_us", "why",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which hosts, in which order, and where to go on.

    show: answered (all but the silent), open or all; classes, prefixes: any of them, none for all; text: an address or
    a prefix that plays any role, or words of the reason; after, before: marks of a page; last: the last page.
    """

    show: str = "answered"
    classes: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    text: str = ""
    sort: str = "target"
    descending: bool = False
    after: str = ""
    before: str = ""
    last: bool = False
    size: int = SIZE


@dataclass(frozen=True, slots=True)
class Hosts:
    """One page: rows of `verdict` with addresses as text; place of the first, from 1; how many there are of these.

    before, after: marks of the pages beside it, "" where there is none. A mark carries its row's place, so that nobody
    counts what is before it.
    """

    rows: list[dict[str, Any]]
    first: int
    found: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Host:
    """One host: its verdict, and what was sent to it and seen of it (at most `KEPT` rows of each, and how many)."""

    verdict: dict[str, Any]
    rows: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


def page(verdict: Relation, wanted: Wanted, found: int | None = None) -> Hosts:
    """A page of hosts; found: how many are wanted, where somebody counted. UsageError for what cannot be meant."""
    if wanted.sort not in SORTS:
        raise UsageError(f"hosts cannot be sorted by {wanted.sort!r}; they can by {', '.join(SORTS)}")
    size = min(max(wanted.size, 1), MOST)
    sort = SORTS[wanted.sort]
    absent = sort.least if wanted.descending else sort.most
    kinds = [str if isinstance(sort.most, str) else (int, float)] * len(sort.columns)
    mark = _read(wanted.before or wanted.after, [*kinds, int, int, int])
    rows = chosen(verdict, wanted)
    if found is None:
        found = count(verdict, wanted)
    keys = [*(_sortable(name, absent) for name in sort.columns), *TARGET]
    down = [wanted.descending] * len(sort.columns) + [wanted.descending and not sort.columns] * 2
    backwards = bool(wanted.before) or wanted.last
    order = [f"{k} {'DESC' if d != backwards else 'ASC'}" for k, d in zip(keys, down, strict=True)]
    if mark is not None:
        rows = rows.filter(_beyond(keys, down, mark.keys, backwards=backwards))
    if wanted.last and found:
        size = (found - 1) % size + 1
    here = records(rows.order(", ".join(order)).limit(size).project(", ".join(COLUMNS)))
    if backwards:
        here.reverse()
    if not here:
        return Hosts([], 0, found, "", "")
    if mark is None:
        first = found - len(here) + 1 if wanted.last else 1
    else:
        first = max(mark.place - len(here), 1) if backwards else mark.place + 1
    last = first + len(here) - 1

    def marked(row: Mapping[str, Any], place: int) -> str:
        sorted_by = (absent if row[name] is None else row[name] for name in sort.columns)
        values = [int(value) if isinstance(value, bool) else value for value in sorted_by]
        return _Mark([*values, *(row[name] for name in TARGET)], place).text

    return Hosts(
        [_told(row) for row in here],
        first,
        found,
        marked(here[0], first) if first > 1 else "",
        marked(here[-1], last) if last < found else "",
    )


def _sortable(name: str, absent: str | float) -> str:
    """SQL: a column with something in the place of null."""
    if name == "open":
        return "open::BIGINT"
    # What is never null goes as it is, so that the engine can look for it while it reads.
    return f"coalesce({name}, {_literal(absent)})" if name in NULLABLE else name


def _literal(value: str | float) -> str:
    """A key of a mark as SQL has it."""
    return quoted(value) if isinstance(value, str) else repr(value)


def count(verdict: Relation, wanted: Wanted) -> int:
    """How many hosts are wanted."""
    return len(chosen(verdict, wanted))


@dataclass(frozen=True, slots=True)
class _Mark:
    """A row's keys in some order, and its place from 1."""

    keys: list[Any]
    place: int

    @property
    def text(self) -> str:
        return json.dumps([*self.keys, self.place], separators=(",", ":"))


def chosen(verdict: Relation, wanted: Wanted) -> Relation:
    """The hosts that are wanted, in no order."""
    rows = report.chosen(verdict, wanted.classes, wanted.prefixes)
    if wanted.show == "open":
        rows = rows.filter("open")
    elif wanted.show == "answered":
        # Who was asked for by name is wanted, silent or not.
        if not set(wanted.classes) & set(report.SILENT):
            rows = rows.filter(report.ANSWERED)
    elif wanted.show != "all":
        raise UsageError(f"show is one of {', '.join(SHOWN)}, not {wanted.show!r}")
    text = wanted.text.strip()[:TEXT_CHARS]
    if not text:
        return rows
    try:
        parts = [within(role, text) for role in ROLES]
    except UsageError:
        return rows.filter(f"contains(lower(why), {quoted(text.lower())})")
    return rows.filter(" OR ".join(parts))


def one(tables: Mapping[str, Relation], address: str) -> Host | None:
    """A host of a run by its address, None where the run has no verdict about it; UsageError for what is no address."""
    try:
        net, host = address_pair(str(ip_address(address)))
    except ValueError:
        raise UsageError(f"{address!r} is no address") from None

    def about(name: str) -> Relation:
        return tables[name].filter(f"target_net = {net} AND target_host = {host}")

    found = readable(about("verdict").limit(1)).read_all().to_pylist()
    if not found:
        return None
    rows, counts = {}, {}
    for name in ("probe", "reply", "sighting"):
        here = about(name)
        rows[name] = readable(here.order("time_us").limit(KEPT)).read_all().to_pylist()
        counts[name] = len(here) if len(rows[name]) == KEPT else len(rows[name])
    return Host(found[0], rows, counts)


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as people read it: with addresses as text."""
    told = {name: value for name, value in row.items() if not name.endswith(("_net", "_host"))}
    for role in ROLES:
        net, host = row[f"{role}_net"], row[f"{role}_host"]
        told[role] = None if host is None else address_text(net, host)
    return told


def _beyond(keys: Sequence[str], down: Sequence[bool], mark: Sequence[Any], *, backwards: bool) -> str:
    """SQL: the rows that come after a mark in that order, or before it."""
    # From the last key outwards: further by this one, or level with it and beyond by those that follow. That it is one
    # of the two rules out most rows at once.
    beyond = "FALSE"
    for key, descends, value in reversed(list(zip(keys, down, map(_literal, mark), strict=True))):
        further = ">" if descends == backwards else "<"
        beyond = f"{key} {further}= {value} AND ({key} {further} {value} OR {beyond})"
    return beyond


def _read(mark: str, kinds: Sequence[Any]) -> _Mark | None:
    """A mark of keys of those kinds, and a place; None where none is given; UsageError for what is none."""
    if not mark:
        return None
    try:
        values = json.loads(mark) if len(mark) <= MARK_CHARS else None
        # JSON may spell halves of characters, which no engine takes.
        json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        values = None
    if isinstance(values, list) and len(values) == len(kinds):
        alike = all(isinstance(v, k) and not isinstance(v, bool) for v, k in zip(values, kinds, strict=True))
        numbers = [v for v in values if not isinstance(v, str)]
        if alike and all(
            -(1 << 63) <= v < 1 << 63 if isinstance(v, int) else abs(v) <= 1e300 for v in numbers
        ):
            return _Mark(values[:-1], values[-1])
    raise UsageError("that is no place in this table: begin at its first page")
