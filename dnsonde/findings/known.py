"""Findings that a lake keeps, so that nobody looks twice for what has not changed.

They are the lake's table `finding`; what they depend on, and what was assumed, stands in the same file: how many rows
the lake has, by table and day, the home, and the sources of the detectors and of what they know. Where one of these is
another, they are not the findings of now. Parts that were merged have the rows that they had.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.findings.home import Guess
from dnsonde.table import store
from dnsonde.table.prefix import Prefix, prefixes
from dnsonde.table.schema import ACCOUNT, FINDING, FLOW, MESSAGE
from dnsonde.table.snapshot import parts_in, rows_of, unmoved

LOOK = "dnsonde.look"
BATCH_ROWS = 4096
SOURCES = ("detect", "findings", "intel", "lang", "table")


@dataclass(frozen=True, slots=True)
class Look:
    """A look into a lake with every detector as it comes, and what it rests on.

    looked_us: when; parts, code: digests of what was looked into, and with what; home: as given, or with `guessed` as
    guessed; blind: detectors that lacked a home.
    """

    looked_us: int
    parts: str
    code: str
    home: tuple[Prefix, ...]
    guessed: Guess | None
    blind: tuple[str, ...]

    @property
    def given(self) -> tuple[Prefix, ...]:
        """The home that somebody gave; empty if it was guessed."""
        return () if self.guessed else self.home

    def is_of(self, folder: Path) -> bool:
        """Whether looking again, with the same home, would find the same."""
        return self.parts == parts(folder) and self.code == code()


def kept(folder: Path) -> tuple[Look, pa.Table] | None:
    """The last look into a lake, and its findings, worst first; None where there is none, or it cannot be read."""
    said = store.facts(folder, FINDING).get(LOOK)
    if said is None:
        return None
    try:
        look = _read(json.loads(said))
        (part,) = (folder / FINDING.name).glob("part-*.parquet")
        # Little by little, which takes half the memory where texts are long.
        with pq.ParquetFile(part) as file:
            rows = pa.Table.from_batches(file.iter_batches(BATCH_ROWS), file.schema_arrow)
        # Somebody else may have looked just now.
        return (look, rows.cast(FINDING.schema)) if store.facts(folder, FINDING).get(LOOK) == said else None
    except (OSError, ValueError, TypeError, LookupError, UsageError, pa.ArrowException):
        return None


def keep(folder: Path, look: Look, findings: pa.Table) -> None:
    """Keep a look's findings in the lake, in the place of older ones; where we may not write there, nothing is kept."""
    about = {
        **asdict(look), "home": _texts(look.home),
        "guessed": look.guessed and {
            **asdict(look.guessed), "prefixes": _texts(look.guessed.prefixes),
            "other": look.guessed.other and str(look.guessed.other),
        },
    }  # fmt: skip
    with suppress(SystemRefusal):
        store.replace(FINDING, folder, [findings], {LOOK: json.dumps(about)})


def parts(folder: Path) -> str:
    """A digest of what there is to look into: how many rows lie where, as files come in once and whole."""
    rows: Counter[str] = Counter()
    with unmoved(folder):
        for table in (MESSAGE, FLOW, ACCOUNT):
            for part in parts_in(folder / table.name):
                with suppress(OSError, pa.ArrowException):
                    rows[str(part.parent.relative_to(folder))] += rows_of(part)
    return _digest("\n".join(f"{place} {number}" for place, number in sorted(rows.items())).encode())


@cache
def code() -> str:
    """A digest of the detectors, of what they know, and of the words for it."""
    digest = hashlib.sha256()
    for room in SOURCES:
        for source in sorted(Path(str(files("dnsonde"))).joinpath(room).glob("*.*")):
            digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def _digest(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()[:16]


def _texts(some: Sequence[Prefix]) -> list[str]:
    return [str(prefix) for prefix in some]


def _read(said: dict[str, Any]) -> Look:
    guessed = said["guessed"]
    if guessed is not None:
        (other,) = prefixes([guessed["other"]]) if guessed["other"] else (None,)
        guessed = Guess(**{**guessed, "prefixes": prefixes(guessed["prefixes"]), "other": other})
    return Look(**{**said, "home": prefixes(said["home"]), "guessed": guessed, "blind": tuple(said["blind"])})
