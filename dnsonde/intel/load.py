"""Knowledge as data: the TOML files of this folder, checked on reading."""

from functools import cache
from importlib.resources import files
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal, TypeVar

import msgspec

Intent = Literal["covert", "research", "service"]
Kind = TypeVar("Kind")


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A row of knowledge: where it is from is part of it."""

    source: str


class Campaign(_Row, frozen=True, kw_only=True):
    """Somebody who probes the DNS of the Internet, and the names by which to know them."""

    name: str
    operator: str
    intent: Intent
    since: str = ""
    until: str = ""
    zones: tuple[str, ...] = ()  # theirs, with all below
    names: tuple[str, ...] = ()  # fixed names that they ask for
    names_like: tuple[str, ...] = ()  # regular expressions of whole names
    examples: tuple[str, ...] = ()

    @property
    def suffixes(self) -> frozenset[str]:
        """Every name of two labels or more at or above its zones and names: registered domains are among them."""
        found = set()
        for zone in (*self.zones, *self.names):
            labels = zone.split(".")
            found |= {".".join(labels[at:]) for at in range(len(labels) - 1)}
        return frozenset(found)


class Octets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Octets, as hex, at an offset."""

    at: int
    hex: str


class Vector(_Row, frozen=True, kw_only=True):
    """What the packets of one kind of flood look like."""

    name: str
    title: str
    protocol: Literal["udp", "tcp", "gre"]
    port: int | None = None
    payload: tuple[Octets, ...] = ()
    payload_min: int | None = None
    payload_max: int | None = None
    ip_bytes: tuple[int, int] | None = None
    options: str | None = None
    note: str = ""


class Tool(_Row, frozen=True, kw_only=True):
    """A scanner that writes the same value into every packet."""

    name: str
    ip_id: int | None = None
    window: int | None = None
    ttl_min: int | None = None
    options: str | None = None


class Tunnel(_Row, frozen=True, kw_only=True):
    """A tool that carries data in names: what some of them hold, in lower case; types that it alone asks for."""

    name: str
    within: tuple[str, ...]
    types: tuple[int, ...] = ()


class Domains(_Row, frozen=True, kw_only=True):
    """Domains that a detector knows."""

    detector: str
    names: tuple[str, ...]
    note: str = ""


class Amplifier(_Row, frozen=True, kw_only=True):
    """A UDP service that can be made to answer somebody else, and more than it was sent."""

    protocol: str
    ports: tuple[int, ...]
    factor: float  # published; 0: none
    payload_min: int  # mean payload of an attack's responses
    session: bool = False
    unverified: str = ""  # what of it could not be held against its source

    @property
    def ephemeral(self) -> bool:
        """Its ports are of those that clients get from their systems (Linux: from 32768)."""
        return min(self.ports) >= 1 << 15


class Resolver(_Row, frozen=True, kw_only=True):
    """Name servers that very many depend on."""

    name: str
    addresses: tuple[str, ...]


class _Resolvers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    resolver: tuple[Resolver, ...]


class _Amplifiers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    amplifier: tuple[Amplifier, ...]


class _Campaigns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    campaign: tuple[Campaign, ...]


class Markers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `markers.toml`."""

    vector: tuple[Vector, ...]
    tool: tuple[Tool, ...]
    tunnel: tuple[Tunnel, ...]
    domain: tuple[Domains, ...]

    def domains(self, detector: str) -> tuple[str, ...]:
        """The domains that one detector knows."""
        return tuple(name for row in self.domain if row.detector == detector for name in row.names)

    def tool_ip_id(self, name: str) -> int:
        """The IP id that a scanner writes; KeyError where it is not known for one."""
        for tool in self.tool:
            if tool.name == name and tool.ip_id is not None:
                return tool.ip_id
        raise KeyError(name)


@cache
def campaigns() -> tuple[Campaign, ...]:
    """The known probers, `campaigns.toml`."""
    return _read("campaigns", _Campaigns).campaign


@cache
def markers() -> Markers:
    """What packets and names give away, `markers.toml`."""
    return _read("markers", Markers)


@cache
def amplifiers() -> tuple[Amplifier, ...]:
    """The services that reflect, `amplifiers.toml`."""
    return _read("amplifiers", _Amplifiers).amplifier


@cache
def relied_on() -> dict[IPv4Address | IPv6Address, str]:
    """Addresses of name servers that very many depend on, and whose they are, `resolvers.toml`."""
    rows = _read("resolvers", _Resolvers).resolver
    return {ip_address(address): row.name for row in rows for address in row.addresses}


def _read(name: str, kind: type[Kind]) -> Kind:
    text = files("dnsonde.intel").joinpath(f"{name}.toml").read_bytes()
    return msgspec.toml.decode(text, type=kind)
