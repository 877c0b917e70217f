"""What is told of the detectors, kept: who explains one needs neither it nor what it imports."""

from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module

import msgspec

from dnsonde import registry
from dnsonde.errors import UsageError
from dnsonde.table.kept import keep, kept

PACKAGE = "dnsonde.detect"
SOURCES = ("detect", "findings", "intel", "table", "wire")  # what a detector is made of
KEPT = "about"


class Setting(msgspec.Struct, frozen=True):
    """One setting: `--set DETECTOR.NAME=VALUE`."""

    name: str
    default: int | float | str | bool
    meaning: str


class About(msgspec.Struct, frozen=True):
    """A detector in words; see `Wording` and `Detector`, whose names these are."""

    name: str
    threat: str
    subject_kind: str
    title: str
    summary: str
    explanation: str
    parameters: tuple[Setting, ...]
    references: tuple[str, ...]


def detector_names() -> tuple[str, ...]:
    """Every detector there is, by name, none of them imported."""
    return tuple(registry.names(PACKAGE))


def require_detectors(names: Iterable[str]) -> None:
    """UsageError for a name that is no detector's."""
    known = detector_names()
    for name in names:
        if name not in known:
            raise UsageError(f"there is no detector {name!r}; there are {', '.join(known)}")


def about() -> dict[str, About]:
    """All detectors by name; none is imported where this is kept."""
    said = kept(KEPT, SOURCES)
    if said is not None:
        with suppress(ValueError):  # damaged, or of another shape
            return msgspec.json.decode(said, type=dict[str, About])
    found = {name: _about(name) for name in detector_names()}
    keep(KEPT, SOURCES, msgspec.json.encode(found).decode())
    return found


def _about(name: str) -> About:
    one = getattr(import_module(f"{PACKAGE}.{name}"), name)
    settings = tuple(Setting(p.name, p.default, p.meaning) for p in one.parameters)
    words = one.wording
    return About(
        name,
        words.threat,
        words.subject_kind,
        words.title,
        words.summary,
        one.explanation,
        settings,
        words.references,
    )
