"""A report as content, before any format: sections of sentences, figures, tables, charts and configuration.

Every text is plain and may be a stranger's: whoever writes a format makes it harmless there.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from dnsonde.lang.words import Words

CUT = 160  # characters of a stranger's text that are shown


@dataclass(frozen=True, slots=True)
class Para:
    """A sentence or two. kind: plain, lead (the section's main sentence) or note (how to read it)."""

    text: str
    kind: str = "plain"


@dataclass(frozen=True, slots=True)
class Figures:
    """A few numbers with what they count."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A text that leads to a section of the same report."""

    text: str
    to: str


Cell: TypeAlias = str | Link


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head. align: a letter a column: l text, r number, m what is written in signs (addresses, names)."""

    caption: str
    head: tuple[str, ...]
    align: str
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Configuration to copy, and where it is documented."""

    title: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Bars:
    """Horizontal bars, each of parts: series names, rows of (label, values in their order), a paint for each series."""

    series: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    paints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Columns:
    """Upright columns over time: bins from `start_us`, each `step_us` long; rows of (series, values)."""

    start_us: int
    step_us: int
    series: tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Spans:
    """What lasted from when to when: series names, and rows of (label, start, end, index of the series)."""

    series: tuple[str, ...]
    rows: tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture with its title, one sentence that tells what it shows, and the same as a table.

    folded: the table is one click away; it is open where it says more than the picture.
    """

    title: str
    tells: str
    shape: Bars | Columns | Spans
    table: Table
    folded: bool = True


@dataclass(frozen=True, slots=True)
class Fold:
    """What is shown when its title is clicked; open on paper. id: a name to link to, where it has one."""

    title: str
    blocks: "tuple[Block, ...]"
    id: str = ""


@dataclass(frozen=True, slots=True)
class Sides:
    """Two views of one thing, each with its title; beside each other where there is room."""

    left: tuple[str, "tuple[Block, ...]"]
    right: tuple[str, "tuple[Block, ...]"]


Block: TypeAlias = Para | Figures | Table | Code | Chart | Fold | Sides


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report with a name to link to."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report. labels: what the format itself says, by name."""

    language: str
    title: str
    subtitle: str
    sections: tuple[Section, ...]
    labels: dict[str, str] = field(default_factory=dict)


def cut(text: str, most: int = CUT) -> str:
    """A text at most so long, with a mark where it goes on."""
    return text if len(text) <= most else text[: most - 1] + "\u2026"


def some(title: str, shown: int, number: int, words: Words) -> str:
    """What a list is called, with how many of how many it shows where it leaves some out."""
    return words("page.some", title=title, shown=shown, number=number) if shown < number else title
