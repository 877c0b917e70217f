"""The use cases of Watch, shared by both faces: find the threats in a lake, ask it anything."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from dnsonde.choices import SEVERITIES
from dnsonde.clock import Clock
from dnsonde.errors import RunError, SystemRefusal, UsageError
from dnsonde.escape import typed
from dnsonde.findings.about import detector_names, require_detectors
from dnsonde.findings.allow import Allowed
from dnsonde.findings.compiled import (
    is_prepared,
    query_of,
    unprepared,
)
from dnsonde.findings.engines import Looker, opened
from dnsonde.findings.home import Guess, guess
from dnsonde.findings.known import Look, code, keep, parts
from dnsonde.findings.known import kept as kept_look
from dnsonde.formats._contract import Options
from dnsonde.scratch import scratch
from dnsonde.table import store
from dnsonde.table.finding import findings
from dnsonde.table.lake import Lake, is_lake
from dnsonde.table.part import TIME
from dnsonde.table.prefix import Prefix
from dnsonde.table.readable import names, readable
from dnsonde.table.schema import ACCOUNT, ENRICHMENT, FINDING
from dnsonde.table.sides import Seen, between
from dnsonde.table.within import create_within
from dnsonde.take import OPTIONS, STDIN, Progress, Taken, Told, files_of, known_of, take

MEMORY_MIB = 2560  # of the engine, before it spills to disk; the process needs some beside it
BATCH_ROWS = 122_880  # of an answer, at once in memory
NO_PREFIX = re.compile(r"NoPrefixError: (.*?) At:")
PAIRED = re.compile(r'Referenced column "(\w+)" not found')
STRANGE = re.compile(r"INTERVAL|BIT\b|UNION|TIME_NS|UHUGEINT")  # types of DuckDB that others do not have


@dataclass(frozen=True, slots=True)
class Asked:
    """What to look for, and from whose side.

    home: empty to guess; detectors: names, empty for all; settings: by detector and parameter; since_us, until_us:
    half open.
    """

    home: tuple[Prefix, ...] = ()
    detectors: tuple[str, ...] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    allowed: Allowed = field(default_factory=Allowed)
    since_us: int | None = None
    until_us: int | None = None

    @property
    def is_plain(self) -> bool:
        """Every detector as it comes, over everything: what a lake keeps the answer to."""
        return self == Asked(self.home)


@dataclass(frozen=True, slots=True)
class Found:
    """Findings (rows of `finding`), worst first; what was read; what was assumed, and what could not be looked for.

    home: as given, or where nobody gave one, as it was when the lake was looked into before (`remembered`), or as
    `guessed`. looked_us: when it was searched; kept: that was before, and the same would be found now.
    """

    findings: pa.Table
    taken: Taken
    guessed: Guess | None
    blind: tuple[str, ...]
    home: tuple[Prefix, ...]
    looked_us: int
    remembered: bool = False
    kept: bool = False

    def at_least(self, severity: str) -> int:
        """How many findings are as bad as that, or worse."""
        least = SEVERITIES.index(severity)
        return sum(SEVERITIES.index(s) >= least for s in self.findings["severity"].to_pylist())


# -- detect -----------------------------------------------------------------------------------------------


def to_prepare(asked: Asked) -> dict[str, Callable[[], object]]:
    """What is made once for all looks to come, and can be made before this one on several processors, by name."""
    require_detectors(asked.detectors)
    return unprepared(name for name in asked.detectors or detector_names() if name not in asked.settings)


def detect(
    paths: Sequence[str],
    asked: Asked,
    clock: Clock,
    on_progress: Told,
    engine_name: str = "duckdb",
    *,
    fresh: bool = False,
    options: Options = OPTIONS,
) -> Found:
    """Look for threats in files, or in a lake; files are read into a lake that ends with this.

    A lake keeps what a plain question finds (see `Asked`), and is not looked into again while nothing has changed,
    unless `fresh`.
    """
    require_detectors((*asked.detectors, *asked.settings))
    for name, settings in asked.settings.items():
        query_of(name, tuple(settings.items()))
    lakes = [path for path in paths if path != STDIN and is_lake(Path(path))]
    if lakes and len(paths) > 1:
        raise UsageError(f"{lakes[0]} is a lake: look into it alone, or ingest the other files into it")
    if lakes and options.ports != OPTIONS.ports:
        raise UsageError(
            f"{lakes[0]} is a lake, its files were read before: name --port when you ingest them"
        )
    if lakes and asked.is_plain and not fresh:
        known = kept(Path(lakes[0]), asked.home)
        if known is not None:
            return known
    with scratch() as room:
        if lakes:
            lake = Lake(Path(lakes[0]))
            there = parts(lake.folder)  # what comes from here on is perhaps looked into, and perhaps not
            taken = Taken(lake.accounts())
        else:
            there = ""
            files = known_of(files_of(paths))
            lake = Lake(Path(room) / "lake", create=True, durable=False)
            with _in_temporary_room(room):
                taken = take(files, lake, clock, on_progress, options)
            if not taken.accounts:
                raise UsageError(f"nothing in {', '.join(paths)} can be read; {taken.first_reason}")
        with (
            _engine_errors(room),
            opened(
                engine_name,
                lake,
                where={name: between(name, asked.since_us, asked.until_us) for name in TIME},
                memory_limit_mib=MEMORY_MIB,
                room=Path(room),
            ) as looker,
        ):
            if not lakes:
                return _look(looker, asked, taken, clock, on_progress)
            return _look_and_keep(lake, there, looker, asked, taken, clock, on_progress)


def kept(folder: Path, home: Sequence[Prefix] = ()) -> Found | None:
    """What a lake keeps of the last look into it, from that home's side, or whatever home's if none is named.

    None where nobody looked, or the lake or the detectors have changed since. RunError where there is no lake.
    """
    lake = Lake(folder)
    known = kept_look(folder)
    if known is None:
        return None
    look, rows = known
    if not look.is_of(folder) or (home and set(home) != set(look.home)):
        return None
    return Found(
        rows,
        Taken(lake.accounts()),
        None if home else look.guessed,
        look.blind,
        look.home,
        look.looked_us,
        remembered=bool(look.given) and not home,
        kept=True,
    )


def _look_and_keep(
    lake: Lake, there: str, looker: Looker, asked: Asked, taken: Taken, clock: Clock, on_progress: Told
) -> Found:
    """Look into a lake that stays, with the home that somebody gave before where none is given now.

    there: the digest (`parts`) of what there was at the least.
    """
    before = kept_look(lake.folder)
    remembered = before[0].given if before and not asked.home else ()
    found = _look(looker, replace(asked, home=asked.home or remembered), taken, clock, on_progress)
    if asked.is_plain:
        look = Look(found.looked_us, there, code(), found.home, found.guessed, found.blind)
        keep(lake.folder, look, found.findings)
    return replace(found, remembered=bool(remembered))


def _look(looker: Looker, asked: Asked, taken: Taken, clock: Clock, on_progress: Told) -> Found:
    """Run the detectors, one at a time."""
    chosen = asked.detectors or detector_names()
    wanted = [(name, tuple(asked.settings.get(name, {}).items())) for name in chosen]
    guessed = None if asked.home else guess(looker.ask, looker.kept)
    home = asked.home or (guessed.prefixes if guessed else ())
    began_us = clock.monotonic_us()

    def tell(phase: str, name: str, number: int) -> None:
        elapsed_s = (clock.monotonic_us() - began_us) / 1e6
        on_progress(Progress(phase, name, number, len(chosen), 0, 0.0, elapsed_s, None))

    queries = []
    for number, (name, settings) in enumerate(wanted):
        if not (settings or is_prepared(name)):
            tell("preparing", name, number)
        queries.append(query_of(name, settings))
    blind = tuple(name for name, query in zip(chosen, queries, strict=True) if query.home and not home)
    told = [FINDING.schema.empty_table()]
    found = looker.rows(Seen(home, asked.allowed.prefixes, asked.allowed.domains), wanted)
    for number, query in enumerate(queries):
        tell("looking", query.wording.name, number)
        told.append(findings(query.wording, next(found)))
    tell("looking", "", len(chosen))
    rows = _worst_first(pa.concat_tables(told), asked.allowed)
    return Found(rows, taken, guessed, blind, tuple(home), clock.now_us())


def _worst_first(rows: pa.Table, allowed: Allowed) -> pa.Table:
    """Sorted, so that the same input says the same; without what is about an allowed party."""
    rank = [-SEVERITIES.index(name) for name in rows["severity"].to_pylist()]
    order = {
        "rank": "ascending", "confidence": "descending", "count": "descending", "detector": "ascending",
        "subject": "ascending", "first_seen": "ascending",
    }  # fmt: skip
    keys = rows.select(list(order)[1:]).append_column("rank", pa.array(rank, pa.int64()))
    kept = [not allowed.covers(subject) for subject in rows["subject"].to_pylist()]
    places = pc.sort_indices(keys, list(order.items()))
    return rows.take(places.filter(pc.take(pa.array(kept, pa.bool_()), places))).cast(FINDING.schema)


@contextmanager
def _in_temporary_room(room: str) -> Iterator[None]:
    try:
        yield
    except SystemRefusal as error:
        if room not in str(error):
            raise
        raise SystemRefusal(
            f"no room in {Path(room).parent} for the tables of these files: set TMPDIR to a folder with more, or "
            "`dnsonde ingest` them into a lake elsewhere and look into that"
        ) from error


@contextmanager
def _engine_errors(room: str) -> Iterator[None]:
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise SystemRefusal(
            f"{MEMORY_MIB:,} MiB of memory and the room in {Path(room).parent} do not suffice: set TMPDIR to a folder "
            "with more room, or narrow with --since and --until, or --detector"
        ) from error
    except duckdb.IOException as error:
        said = str(error).strip().splitlines()[0]
        raise SystemRefusal(f"the engine cannot read or write: {said}") from error


# -- query ------------------------------------------------------------------------------------------------


def query(folder: Path, sql: str, limit: int | None = None) -> pa.RecordBatchReader:
    """Rows of a SELECT over a lake's tables, at most `limit`, address pairs as text.

    Nothing but the lake can be read, and nothing written. `finding` is there once somebody has looked into the lake as
    it is. UsageError for what is no single SELECT, or one that DuckDB does not understand.
    """
    looked = kept(folder) is not None
    tables = (*TIME, ACCOUNT.name, ENRICHMENT.name, *([FINDING.name] if looked else []))
    connection = store.database(memory_limit_mib=MEMORY_MIB)
    here = folder.resolve()
    lake = Lake(here)
    read = lake.create_views(connection, dict.fromkeys(tables, "TRUE"))
    # DuckDB looks for what a view names, and for the file that this turns out to be.
    parts = ", ".join(store.quoted(form) for part in read for form in (store.literal(part), str(part)))
    try:
        if [one.type.name for one in connection.extract_statements(sql)] != ["SELECT"]:
            raise UsageError("a query is one SELECT: the lake is only read")
        create_within(connection)
        connection.execute(f"SET allowed_paths = [{parts}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        rows = connection.sql(sql)
        _require_apart(rows.columns)
        columns = zip(count(1), rows.columns, map(str, rows.types), strict=False)
        told = rows.project(", ".join(_sayable(*one) for one in columns))
        found = (told if limit is None else told.limit(limit)).fetch_arrow_reader(BATCH_ROWS)
    except duckdb.Error as error:
        raise _misunderstood(error, folder) from error
    _require_apart(names(found.schema))
    return _while(lake, found)


def _while(lake: Lake, rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """The rows as people read them, of a lake that is held until the last of them."""

    def held() -> Iterator[pa.RecordBatch]:
        try:
            yield from rows
        except (OSError, pa.ArrowException) as error:  # of the engine, which Arrow passes on as a text
            raise UsageError(f"this query cannot be answered: {' '.join(str(error).split())}") from error
        lake.release()

    return readable(pa.RecordBatchReader.from_batches(rows.schema, held()))


def _require_apart(columns: Sequence[str]) -> None:
    """UsageError where two columns have one name, which no format can tell apart."""
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two columns of this query are named {twice!r}: name one of them anew with AS")


def _sayable(number: int, name: str, kind: str) -> str:
    """SQL: a column of a query by its place, as DuckDB writes it where its type, or one within, is `STRANGE`."""
    quoted = name.replace('"', '""')
    return f'#{number}{"::VARCHAR" if STRANGE.search(kind) else ""} AS "{quoted}"'


def _misunderstood(error: duckdb.Error, folder: Path) -> UsageError | RunError:
    said = " ".join(str(error).split())
    if isinstance(error, duckdb.CatalogException) and "Table with name finding does not exist" in said:
        return UsageError(
            f"nobody has looked for threats in this lake as it is now: `dnsonde detect {typed(folder)}` does, and "
            "keeps what it finds in the table finding"
        )
    if isinstance(error, duckdb.IOException):
        return RunError(f"the lake cannot be read: {said}")
    pair = PAIRED.search(said)
    if isinstance(error, duckdb.BinderException) and pair and f'"{pair[1]}_net"' in said:
        return UsageError(
            f"an address is a pair of columns: ask for {pair[1]}_net, {pair[1]}_host, shown as {pair[1]}, or hold it "
            f"against a prefix by within({pair[1]}_net, {pair[1]}_host, '192.0.2.0/24')"
        )
    if no_prefix := NO_PREFIX.search(said):
        return UsageError(no_prefix[1])
    return UsageError(f"this query cannot be answered: {said}")
