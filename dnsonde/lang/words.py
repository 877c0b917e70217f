"""The texts that people read, in their language: one catalogue a language, `dnsonde/lang/CODE.toml`.

A new language is a new file with the keys of `en.toml`. Detectors speak English by themselves: only other languages
have a `[finding]` section. What is called the same everywhere (`[kind]`: SYN, BACnet) need not be said again.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Self

from dnsonde.errors import UsageError

PACKAGE = "dnsonde.lang"
DEFAULT = "en"
KINDS = ("vector", "protocol")  # what of a finding's evidence tells floods and the like apart
NAMED = (*KINDS, "technique", "campaign")  # what of it has a name in `[kind]`


def per_cent(share: float) -> str:
    """A part of a whole, as every face says it: 97 %."""
    return f"{100 * share:.0f} %"


def share_of(part: int, whole: int) -> str:
    """So many of a whole, where most parts are small: 2.1 %, and 0.0 % only of nothing."""
    told = f"{100 * part / whole:.1f}"
    return "< 0.1 %" if part and told == "0.0" else f"{told} %"


def rounded(number: float) -> str:
    """A measure, as every face says it: three digits, and all of those before the point."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


class Words:
    """One language: call it with a key, as `run.headline`, and what its text has places for."""

    def __init__(self, code: str, texts: Mapping[str, str]) -> None:
        self.code = code
        self.texts = texts

    def __call__(self, key: str, **values: Any) -> str:
        """The text, filled: whole numbers get their thousands apart, a 0 is nothing. KeyError for an unknown key."""
        filled = {
            n: _Place(f"{v:,}", there=v != 0, one=v == 1) if type(v) is int else v for n, v in values.items()
        }
        text = self.texts[key]
        return text.format(**filled) if filled else text

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in self.texts

    def named(self, section: str, name: str) -> str:
        """The text for a name of the data (a class, a detector); the name itself where none is known."""
        return self.texts.get(f"{section}.{name}", name)

    def kind(self, name: str) -> str:
        """The name of a flood's vector or of a protocol, as people write it; the name itself where none is known."""
        key = f"kind.{name}"
        return self.texts[key] if self.has(key) else words().texts.get(key, name)

    def finding(self, row: Mapping[str, Any], evidence: Mapping[str, Any]) -> tuple[str, str]:
        """A finding's title and summary."""
        key = f"finding.{row['detector']}"
        if not self.has(f"{key}.title"):
            return row["title"], row["summary"]
        values = Values({**evidence, "subject": row["subject"], "count": row["count"]}, self, missing="?")
        return self.texts[f"{key}.title"].format_map(values), self.texts[f"{key}.summary"].format_map(values)


class Values(Mapping[str, str]):
    """What a finding's text has places for, as people read it: numbers rounded and grouped; `missing` for the rest."""

    def __init__(self, values: Mapping[str, Any], language: Words, missing: str) -> None:
        self._values = values
        self._language = language
        self._missing = missing

    def __getitem__(self, key: str) -> str:
        value = self._values.get(key)
        if value is None:
            return _Place(self._missing, there=False)
        if key in NAMED:
            return _Place(self._language.kind(value))
        if isinstance(value, list):  # of ports, names or addresses
            return _Place(", ".join(map(str, value)))
        if isinstance(value, float):
            return _Place(rounded(value), share=per_cent(value))
        return _Place(f"{value:,}" if type(value) is int else str(value), one=value == 1)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class _Place(str):
    """A value as text, of which a place may ask more.

    `{n:address|addresses}` is "1 address" or "2 addresses"; `{ports:? (ports %)}` is " (ports 80)", or nothing where
    nothing is known; `{part:%}` is "97 %".
    """

    __slots__ = ("one", "share", "there")
    there: bool
    one: bool
    share: str

    def __new__(cls, text: str, *, there: bool = True, one: bool = False, share: str = "") -> Self:
        """The text; there: something is known; one: it is a one; share: it, if of a number, in per cent."""
        place = super().__new__(cls, text)
        place.there, place.one, place.share = there, one, share or text
        return place

    def __format__(self, spec: str) -> str:
        """As the place asks."""
        if spec == "%":
            return self.share
        if spec.startswith("?"):
            return spec[1:].replace("%", self) if self.there else ""
        one, _, more = spec.partition("|")
        return f"{self!s} {one if self.one else more}" if more else super().__format__(spec)


def languages() -> list[str]:
    """Codes of the languages that there are."""
    here = files(PACKAGE).iterdir()
    return sorted(entry.name.removesuffix(".toml") for entry in here if entry.name.endswith(".toml"))


@cache
def words(code: str = DEFAULT) -> Words:
    """The texts of a language; UsageError where there is no catalogue."""
    if code not in languages():
        raise UsageError(f"there are no texts in {code!r}; there are: {', '.join(languages())}")
    tree = tomllib.loads(files(PACKAGE).joinpath(f"{code}.toml").read_text(encoding="utf-8"))
    return Words(code, dict(_flat(tree, "")))


def _flat(tree: Mapping[str, Any], path: str) -> list[tuple[str, str]]:
    found = []
    for name, value in tree.items():
        if isinstance(value, str):
            found.append((path + name, value.strip()))
        else:
            found += _flat(value, f"{path}{name}.")
    return found
