"""Look at a run: how it stands, its hosts, what changed between two, and what a report tells of it.

Nothing here brings compiled code or Ibis along: they take longer to load than a run to be looked at.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from duckdb import DuckDBPyConnection

from dnsonde import report
from dnsonde.choices import CHANGES
from dnsonde.escape import typed
from dnsonde.lab.truth import TRUTH
from dnsonde.lang.words import Words, words
from dnsonde.page import run as page_run
from dnsonde.page.measurement import asked, measurement, targets
from dnsonde.page.parts import Part
from dnsonde.page.run import CHANGED, Before
from dnsonde.probe import state as states
from dnsonde.probe.judge import require_judged
from dnsonde.table import store
from dnsonde.table.lake import is_lake
from dnsonde.table.prefix import Prefix
from dnsonde.table.readable import readable
from dnsonde.table.rows import Relation, joined, value
from dnsonde.table.schema import ENRICHMENT, PROBE, REPLY, SIGHTING, VERDICT
from dnsonde.view.open import open_view, plan_of
from dnsonde.view.view import View
from dnsonde.view.whose import require_owners
from dnsonde.write import write


@dataclass(frozen=True, slots=True)
class Measured:
    """A run as it stands: what was found, and what it took.

    unfinished: that it is not finished, and how much was asked, as a sentence; seconds: first probe to last reply.
    """

    folder: Path
    summary: report.Summary
    delegated: bool
    unfinished: str
    probes: int
    replies: int
    sightings: int
    seconds: float

    @property
    def finished(self) -> bool:
        """Whether all was asked."""
        return not self.unfinished


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed between two runs: a relation of hosts, counts by change, and by group (`by`: `report.GROUPS`)."""

    hosts: Relation
    counts: dict[str, int]
    by: str
    groups: list[dict[str, Any]]
    connection: DuckDBPyConnection  # which has the hosts

    @property
    def total(self) -> int:
        """Hosts that changed."""
        return sum(self.counts.values())


def part(folder: Path, *, since: Path | None = None, home: tuple[Prefix, ...] = ()) -> Part:
    """A run as a report tells it: with its plan, and with what changed since another one."""
    return part_of(folder, open_view(folder, home=home), since=since)


def part_of(folder: Path, view: View, *, name: str = "", since: Path | None = None) -> Part:
    """The same of a run that is open already; name: how the report calls it."""
    told = measurement(folder, name)
    if since is not None:
        changed = difference(since, folder, most=CHANGED)
        told = replace(told, before=Before(str(since), changed.counts, changed.groups))
    return Part(view, told)


def at(folder: Path) -> tuple[Measured, report.Confusion | None]:
    """A run as it stands, and how right it is where it was a lab's."""
    tables = store.open_folder(folder, tables=[PROBE, REPLY, VERDICT, TRUTH])
    measured = _measured(folder, tables)
    if not store.row_count(folder, TRUTH):
        return measured, None
    return measured, report.confusion(tables["truth"], tables["verdict"])


def judged(folder: Path, connection: DuckDBPyConnection | None = None) -> dict[str, Relation]:
    """A run's verdicts, and whose their addresses are; RunError where it has none."""
    found = store.open_folder(folder, connection, [VERDICT, ENRICHMENT])
    require_judged(
        folder,
        f"{folder} is a lake, and verdicts are a run's: give the folder that `probe -o` named"
        if is_lake(folder)
        else f"{folder} has no verdicts yet: `dnsonde join {typed(folder)}` makes them from what is there",
    )
    return found


def engine() -> DuckDBPyConnection:
    """What two runs are compared in."""
    return store.database(memory_limit_mib=store.MEMORY_MIB)


def difference(
    before: Path,
    after: Path,
    prefixes: Iterable[str] = (),
    by: str = "prefix",
    most: int | None = None,
    connection: DuckDBPyConnection | None = None,
) -> Difference:
    """Compare two runs, within some prefixes or everywhere; `by`: one of `report.GROUPS`; most: so many groups.

    Whose an address is, the later run tells; of hosts that only the earlier one has, that. connection: `engine()`, kept
    by who wants to interrupt or close it, and good for one comparison.
    """
    chosen = tuple(prefixes)
    if not store.row_count(before, ENRICHMENT):
        require_owners(by, after)
    connection = connection or engine()
    old, new = (judged(folder, connection) for folder in (before, after))
    was, now = (report.chosen(tables["verdict"], prefixes=chosen) for tables in (old, new))
    report.compare(was, now).create("changes")
    hosts = connection.table("changes")
    counts = dict.fromkeys(CHANGES, 0) | dict(hosts.aggregate("change, count(*)").fetchall())
    earlier, later = old["enrichment"], new["enrichment"]
    owners = later.union(joined(earlier, "address", later, "address", "one.*", "anti"))
    return Difference(hosts, counts, by, report.changes_by(hosts, by, owners, most), connection)


def groups(
    folder: Path, hosts: Relation, owners: Relation, by: str, most: int | None = None
) -> list[dict[str, Any]]:
    """Hosts of a run by prefix, system or country: `group`, hosts that answered, open ones, and the strongest.

    most: so many groups, those with the most open hosts.
    """
    require_owners(by, folder)
    measures = {
        "hosts": "count(*)",
        "answered": f"count(*) FILTER ({report.ANSWERED})",
        "open": "count(*) FILTER (open)",
        "strongest": "max(amplification) FILTER (open)",
    }
    return report.grouped(hosts, by, owners, measures, first="open", having="answered", most=most)


def export(
    relation: Relation,
    name: str,
    output: Path | BinaryIO,
    columns: Iterable[str] = (),
    limit: int | None = None,
) -> int:
    """Write a relation in a format of `dnsonde.export`; returns how many rows `limit` left out."""
    left = 0
    if limit is not None:
        left = max(0, len(relation) - limit)
        relation = relation.limit(limit)
    write(readable(relation, columns=columns), name, output)
    return left


def unfinished(folder: Path, texts: Words | None = None) -> str:
    """That a run is not finished, and how many of its targets were asked; empty where it is."""
    state = states.load(folder)
    if state is None or state.complete:
        return ""
    return page_run.unfinished(asked(folder), targets(folder, plan_of(folder)), texts or words())


def _measured(folder: Path, tables: dict[str, Relation]) -> Measured:
    ((first, last),) = tables["probe"].aggregate("min(time_us), max(time_us)").fetchall()
    reply = value(tables["reply"], "max(time_us)")
    seconds = 0.0 if first is None else (max(last, reply or last) - first) / 1e6
    return Measured(
        folder=folder,
        summary=report.summarise(tables["verdict"]),
        delegated=not plan_of(folder).is_known,
        unfinished=unfinished(folder),
        probes=store.row_count(folder, PROBE),
        replies=store.row_count(folder, REPLY),
        sightings=store.row_count(folder, SIGHTING),
        seconds=seconds,
    )
