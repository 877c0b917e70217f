"""What all pages stand on: the folder, who may write, and what was opened or computed before."""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TypeVar

import duckdb
import pyarrow as pa

from dnsonde import shelf, watch
from dnsonde.clock import Clock
from dnsonde.errors import RunError, SystemRefusal
from dnsonde.shelf import Entry, Shelf, Standing
from dnsonde.table.prefix import Prefix
from dnsonde.table.schema import ENRICHMENT, FINDING
from dnsonde.table.snapshot import Hold
from dnsonde.view.open import open_view
from dnsonde.view.view import View
from dnsonde.web._look import Looks

ROWS = 50  # of the overview, on one page
OPENED = 4  # runs and lakes that stay open
REMEMBERED = 128  # results
SHELF_US = 1_000_000  # how long a look at the folder is good for
STANDING_US = 300_000  # and one at a run or a lake
QUERY_S = 30.0  # what one page may cost
AGAIN_S = 0.1  # between one word to stop and the next

Home = tuple[Prefix, ...]
Result = TypeVar("Result")


class NotThereError(Exception):
    """Nothing is under that address."""


@dataclass(slots=True)
class Opened:
    """A run or a lake as it was when it was opened; found: what was kept of the last look into a lake.

    generation: of its parts; those of another one may have been merged, and are not there any more.
    """

    entry: Entry
    stamp: Hashable
    view: View
    generation: int
    found: watch.Found | None = None
    lock: Lock = field(default_factory=Lock)


class Site:
    """One folder, shown.

    token: what gives leave to write, and to read where the page is not on loopback alone (`guarded`). home: the
    operator's own prefixes, where they were given.
    """

    def __init__(
        self, folder: Path, clock: Clock, *, token: str, guarded: bool = False, home: Home = ()
    ) -> None:
        self.folder, self.clock, self.home = folder, clock, home
        self.token, self.guarded = token, guarded
        self.looks = Looks()
        self._lock = Lock()
        self._shelf: tuple[int, Shelf] | None = None
        self._opened: OrderedDict[str, Opened] = OrderedDict()
        self._standing: dict[str, tuple[int, Standing]] = {}
        self._results: OrderedDict[Hashable, object] = OrderedDict()

    def shelf(self) -> Shelf:
        """What lies in the folder, as of a second ago at most."""
        now = self.clock.monotonic_us()
        with self._lock:
            if self._shelf is None or now - self._shelf[0] > SHELF_US:
                self._shelf = (now, shelf.shelf(self.folder))
            return self._shelf[1]

    def entry(self, key: str, *kinds: str) -> Entry:
        """A run or a lake by its key; NotThereError for anything else, so that nothing else can be named."""
        found = self.shelf().entries.get(key)
        if found is None or (kinds and found.kind not in kinds):
            raise NotThereError
        return found

    def standing(self, entry: Entry) -> Standing:
        """How it stands now, or stood a moment ago: one page asks more than once."""
        now = self.clock.monotonic_us()
        with self._lock:
            known = self._standing.get(entry.key)
        if known is not None and now - known[0] < STANDING_US:
            return known[1]
        found = shelf.standing(entry)
        with self._lock:
            if len(self._standing) > 10 * ROWS:
                self._standing.clear()
            self._standing[entry.key] = (now, found)
        return found

    def latest(self, number: int) -> list[Entry]:
        """Page `number`, from 1, of all entries, `ROWS` to a page, the last changed first."""
        every = sorted(self.shelf().entries.values(), key=lambda e: (-shelf.changed_us(e.folder), e.key))
        return every[(number - 1) * ROWS : number * ROWS]

    def judged(self, entries: Iterable[Entry]) -> list[str]:
        """Keys of those runs of them that one compares, the oldest first: they have verdicts.

        What a lab's prober saw within a run is not what one compares it with.
        """
        runs = [(entry.key, self.standing(entry)) for entry in entries if entry.kind == "run"]
        return [
            key
            for key, stands in sorted(runs, key=_age)
            if stands.counts.get("verdict") and not any(key.startswith(f"{other}/") for other, _ in runs)
        ]

    def open(self, entry: Entry) -> Opened:
        """Open it, or take what was opened before and has not changed. RunError where that cannot be."""
        now = shelf.stamp(entry.folder)
        with self._lock:
            known = self._opened.get(entry.key)
            if known is not None and known.stamp == now:
                self._opened.move_to_end(entry.key)
                return known
        with _told(entry.folder), Hold(entry.folder) as hold:
            shelf.require_inside(entry.folder)
            found = watch.kept(entry.folder) if entry.kind == "lake" else None
            opened = Opened(entry, now, self._view(entry, found), hold.generation, found)
        with self._lock:
            self._opened[entry.key] = opened
            self._opened.move_to_end(entry.key)
            while len(self._opened) > OPENED:
                self._opened.popitem(last=False)
        return opened

    def _view(self, entry: Entry, found: watch.Found | None) -> View:
        if entry.kind == "lake":
            view = open_view(entry.folder, _rows(found), found.home if found else self.home)
        else:
            view = open_view(entry.folder, home=self.home)
        view.tables[ENRICHMENT.name]  # opened now, and not by two who ask at once
        view.release()  # it is held while it is asked
        return view

    def remembered(self, opened: Opened, name: Hashable, make: Callable[[View], Result]) -> Result:
        """What `make` makes of a view, made once while nothing changes."""
        key = (opened.entry.key, opened.stamp, name)
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                return self._results[key]  # type: ignore[return-value]
        with self.asking(opened) as view:
            made = make(view)
        with self._lock:
            self._results[key] = made
            while len(self._results) > REMEMBERED:
                self._results.popitem(last=False)
        return made

    @contextmanager
    def asking(self, opened: Opened) -> Iterator[View]:
        """Ask an open run or lake, one question at a time; a question that takes too long is given up."""
        with opened.lock, _told(opened.entry.folder), Hold(opened.entry.folder) as hold:
            if hold.generation != opened.generation:
                opened.view, opened.generation = self._view(opened.entry, opened.found), hold.generation
            with in_time(opened.view.connection):
                yield opened.view


@contextmanager
def in_time(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Interrupt what takes longer than a page may cost."""
    over = Event()

    def watch() -> None:
        wait_s = QUERY_S
        while not over.wait(wait_s):
            connection.interrupt()  # heard only by a query that runs: again, lest it fell between two
            wait_s = AGAIN_S

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()  # the connection may be closed next


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(32)


def _age(run: tuple[str, Standing]) -> tuple[int, int, str]:
    """The order of runs, the oldest first: by when they began, then by when they changed."""
    key, stands = run
    return stands.since_us or stands.as_of_us, stands.as_of_us, key


def _rows(found: watch.Found | None) -> pa.Table:
    return FINDING.schema.empty_table() if found is None else found.findings


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What the engine says, as a sentence."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise SystemRefusal(
            f"this took longer than {QUERY_S:.0f} s and was given up: narrow it, or ask on the command line"
        ) from error
    except duckdb.OutOfMemoryException as error:
        raise SystemRefusal("the engine's memory does not suffice: narrow the question") from error
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        said = str(error).strip().splitlines()[0]
        raise RunError(f"{folder} cannot be read ({said}): restore it from a copy") from error
