"""What a lab looks like: which addresses, which kinds of host in which shares, and what the network does to them.

A scenario is a TOML file, by name from `dnsonde/lab/scenarios` or by path. Shares are of all addresses of the
prefix; what they leave is silent.
"""

import tomllib
from importlib.resources import files
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path
from typing import Annotated

import msgspec

from dnsonde.errors import LabError, UsageError
from dnsonde.utf8 import NotUtf8Error, text_of
from dnsonde.wire.name import ProbeNames

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0.0, le=10_000.0)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]

LOOPBACK = IPv4Network("127.0.0.0/8")
POOL_SIZE_MIN = 256


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to datagrams of one direction.

    loss, duplicate, reorder: share of datagrams lost, doubled, overtaken by later ones (by `reorder_ms`);
    delay_ms and jitter_ms: least delay and the width of the even distribution on top of it.
    """

    loss: Share = 0.0
    duplicate: Share = 0.0
    reorder: Share = 0.0
    reorder_ms: Milliseconds = 20.0
    delay_ms: Milliseconds = 0.0
    jitter_ms: Milliseconds = 0.0

    @property
    def clear(self) -> bool:
        """True when it delivers everything, once, at once."""
        return not (self.loss or self.duplicate or self.reorder or self.delay_ms or self.jitter_ms)


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The four directions: prober to host, host to prober, host to authority, authority to host."""

    probe: Link = Link()
    reply: Link = Link()
    ask: Link = Link()
    answer: Link = Link()


class AuthorityPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the lab's resolvers find the authority of the probing zone, and what it answers beside the egress."""

    address: str = "127.0.0.53"
    port: Port = 5354
    zone: str = "probe.example.net"
    control: tuple[str, str] = ("192.0.2.80", "2001:db8::80")


class TraitShares(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of the resolving hosts (or of their upstream resolvers) that have a habit.

    edns: send an OPT record; edns_large: of those, offer 4,096 octets (else 1,232); mixed_case: 0x20;
    minimise: QNAME minimisation (RFC 9156); ecs: send the client's /24 (RFC 7871); dual: ask AAAA beside A;
    cache: answer a repeated question from memory; no_ra: leave the RA flag clear.
    """

    edns: Share = 0.9
    edns_large: Share = 0.3
    mixed_case: Share = 0.1
    minimise: Share = 0.1
    ecs: Share = 0.05
    dual: Share = 0.1
    cache: Share = 0.5
    no_ra: Share = 0.02


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One lab.

    prefix: the addresses that are hosts, within 127.0.0.0/8; pool: a /24 or more outside of it with the
    public resolvers and shared egress addresses; shares: kind of host (`lab.behavior.KINDS`) to share.
    upstream_timeout_ms and upstream_tries: when a resolving host asks again, and how often before SERVFAIL.
    """

    title: str
    prefix: str
    shares: dict[str, Share]
    seed: int = 1
    port: Port = 5300
    pool: str = "127.200.0.0/24"
    authority: AuthorityPlace = AuthorityPlace()
    network: Network = Network()
    traits: TraitShares = TraitShares()
    host_delay_ms: tuple[Milliseconds, Milliseconds] = (0.0, 0.0)
    slow_delay_ms: tuple[Milliseconds, Milliseconds] = (300.0, 1500.0)
    rate_limit_ms: Milliseconds = 1000.0
    upstream_timeout_ms: Milliseconds = 400.0
    upstream_tries: Annotated[int, msgspec.Meta(ge=1, le=8)] = 3
    held: Annotated[int, msgspec.Meta(ge=1024, le=1 << 20)] = 1 << 16

    @property
    def first(self) -> int:
        """The prefix's first address as a 32-bit integer."""
        return int(IPv4Network(self.prefix).network_address)

    @property
    def size(self) -> int:
        """Number of addresses in the prefix."""
        return IPv4Network(self.prefix).num_addresses

    @property
    def pool_first(self) -> int:
        """The pool's first address as a 32-bit integer."""
        return int(IPv4Network(self.pool).network_address)


def names() -> list[str]:
    """Names of the scenarios that come with the package, sorted."""
    return sorted(p.name.removesuffix(".toml") for p in _folder().iterdir() if p.name.endswith(".toml"))


def load_scenario(name: str | Path) -> Scenario:
    """Read a scenario by name or path; raises UsageError for an unknown name, LabError for one that cannot be."""
    path = Path(name)
    if isinstance(name, str) and name in names():
        text = (_folder() / f"{name}.toml").read_text(encoding="utf-8")
    elif path.suffix == ".toml" and path.is_file():
        text = read_text(path)
    else:
        raise UsageError(
            f"there is no scenario {str(name)!r}; give a .toml file or one of: {', '.join(names())}"
        )
    try:
        return checked(msgspec.convert(tomllib.loads(text), Scenario))
    except (ValueError, RecursionError) as error:
        raise LabError(f"scenario {name}: {error}") from error


def read_text(path: Path) -> str:
    """The text of somebody's own scenario; LabError where there is none."""
    try:
        return text_of(path.read_bytes())
    except NotUtf8Error as error:
        raise LabError(f"{path} {error}") from None
    except OSError as error:
        raise LabError(f"{path} cannot be read: {error.strerror}") from None


def checked(scenario: Scenario) -> Scenario:
    """Return the scenario, or raise LabError with what it gets wrong."""
    prefix, pool = (_network(scenario.prefix), _network(scenario.pool))
    if pool.num_addresses < POOL_SIZE_MIN:
        raise LabError(f"the pool {pool} is too small: the lab's upstream resolvers need a /24")
    if prefix.overlaps(pool):
        raise LabError(
            f"the pool {pool} lies within the prefix {prefix}: its resolvers would be probed as hosts"
        )
    _check(scenario.authority)
    total = sum(scenario.shares.values())
    if total > 1 + 1e-9:
        raise LabError(f"the shares add up to {total:.4f}, more than all hosts")
    return scenario


def _check(place: AuthorityPlace) -> None:
    if _version(place.address) != 4 or IPv4Address(place.address) not in LOOPBACK:
        raise LabError(f"the authority's address {place.address!r} is no address within 127.0.0.0/8")
    for version, text in zip((4, 6), place.control, strict=True):
        if _version(text) != version:
            raise LabError(f"the authority's control {text!r} is no IPv{version} address: it is one of each")
    try:
        ProbeNames(place.zone)
    except ValueError as error:
        raise LabError(f"the authority's zone cannot be: {error}") from error
    if not place.zone.strip("."):
        raise LabError("the authority's zone is empty: name one, as probe.example.net")


def _version(text: str) -> int:
    """Of an address; 0 for what is none."""
    try:
        return ip_address(text).version
    except ValueError:
        return 0


def _network(text: str) -> IPv4Network:
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise LabError(f"{text!r} is no IPv4 prefix: {error}") from error
    if not network.subnet_of(LOOPBACK):
        raise LabError(f"{text} is not within 127.0.0.0/8: a lab lives on loopback only")
    return network


def _folder() -> Path:
    return Path(str(files("dnsonde.lab") / "scenarios"))
