"""Space that nobody is asked in, by IANA's registries (`_special.toml`)."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from dnsonde.probe._targets import MAPPED_BLOCK
from dnsonde.probe.order import Ranges


@dataclass(frozen=True, slots=True)
class Block:
    """One row: a prefix, its name in the registry, the RFC, and what kind of space it is."""

    network: IPv4Network | IPv6Network
    name: str
    source: str
    kind: str

    @property
    def is_documentation(self) -> bool:
        """Whether it is for examples, and nobody's."""
        return self.name.startswith("Documentation")

    def __str__(self) -> str:
        return f"{self.network} {self.name} ({self.source})"


@cache
def blocks() -> tuple[Block, ...]:
    """All rows, the most specific first."""
    text = files("dnsonde.probe").joinpath("_special.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["block"]
    found = [Block(ip_network(r["prefix"]), r["name"], r["source"], r["kind"]) for r in rows]
    return tuple(sorted(found, key=lambda b: -b.network.prefixlen - (96 if b.network.version == 4 else 0)))


def block_of(address: str) -> Block | None:
    """The most specific row that an address is in; None for what is global unicast."""
    parsed = ip_address(address)
    return next((b for b in blocks() if b.network.version == parsed.version and parsed in b.network), None)


def pieces(version: int, *, allowed: frozenset[str]) -> list[tuple[Block, Ranges]]:
    """Each row of that IP version with the part of it that no more specific row has; disjoint.

    Kinds in `allowed` come too (so that they are cut out of what surrounds them); the caller leaves them out.
    """
    taken = Ranges.of_networks([])
    found = []
    for block in blocks():
        if block.network.version == version:
            whole = Ranges.of_networks([block.network])
            found.append((block, whole.without(taken)))
            taken = Ranges.joined([taken, whole])
    return [(b, r) for b, r in found if b.kind not in allowed and len(r)]


def forbidden(*, allowed: frozenset[str]) -> list[tuple[Block, Ranges]]:
    """The disjoint parts of both versions that may not be asked, IPv6 rows without mapped IPv4."""
    four = pieces(4, allowed=allowed)
    six = [(b, r.without(MAPPED_BLOCK)) for b, r in pieces(6, allowed=allowed)]
    return [(b, r) for b, r in four + six if len(r)]
