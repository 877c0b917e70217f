"""What to do about what was found, as configuration: `remedies.toml`, checked on reading."""

from functools import cache
from importlib.resources import files

import msgspec


class Software(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A software, and where its configuration is written."""

    name: str
    title: str
    place: str


class Remedy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measure in one software's configuration, and where that is documented."""

    software: str
    config: str
    source: str


class Measure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing to do: for which classes of hosts and which detectors' findings, and how.

    only_open: of the hosts, those that are open; others of these classes have nothing to close.
    """

    name: str
    classes: tuple[str, ...]
    detectors: tuple[str, ...]
    source: str
    remedy: tuple[Remedy, ...]
    only_open: bool = False


class Remedies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it."""

    software: tuple[Software, ...]
    measure: tuple[Measure, ...]

    def title(self, name: str) -> Software:
        """A software by name."""
        return next(one for one in self.software if one.name == name)

    def of_host(self, name: str, *, is_open: bool) -> Measure | None:
        """The first thing to do about a host of a class."""
        fitting = (m for m in self.measure if name in m.classes and (is_open or not m.only_open))
        return next(fitting, None)

    def of_detector(self, name: str) -> Measure | None:
        """The first thing to do about a finding of a detector."""
        return next((m for m in self.measure if name in m.detectors), None)


@cache
def remedies() -> Remedies:
    """What to do, `remedies.toml`."""
    text = files("dnsonde.intel").joinpath("remedies.toml").read_bytes()
    return msgspec.toml.decode(text, type=Remedies)
