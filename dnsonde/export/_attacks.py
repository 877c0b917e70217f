"""The traffic of an attack, taken apart into vectors: what a fingerprint tells and a filter rule matches.

A vector is traffic to the victim, within the finding's time, of one protocol and from one service's port (a reflection,
at least 5 % of the packets) or to one port (at least 10 %); shares as the DDoS Clearing House's dissector has them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from dnsonde.errors import UsageError
from dnsonde.intel.load import amplifiers
from dnsonde.table.prefix import Prefix
from dnsonde.table.readable import readable
from dnsonde.table.rows import Relation, records, within
from dnsonde.view.view import Incident, View

ATTACKS = ("amplification", "flood", "carpet_flood")  # whose packets go to the subject
REFLECTED_SHARE = 0.05
DIRECT_SHARE = 0.10
PORTS = 10  # told of a vector
PORT_SHARE = 0.10
FLAG_SHARE = 0.10
PIECES_SHARE = 0.9  # of a vector's packets that are fragments
PROTOCOLS = MappingProxyType({1: "ICMP", 6: "TCP", 17: "UDP", 47: "GRE", 50: "ESP", 58: "ICMPv6"})
TCP, UDP = 6, 17

# UDP services that reflect, by port.
SERVICES = MappingProxyType({port: one.protocol.upper() for one in amplifiers() for port in one.ports})
REFLECTS = f"src_port IN ({', '.join(map(str, SERVICES))})"
# Counters of `flow` by the flags that they stand for, as nfdump writes flags.
FLAGS = MappingProxyType({
    "syn": "......S.", "synack": "...A..S.", "ack": "...A....", "rst": ".....R..", "fin": ".......F",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Vector:
    """Part of an attack. source_port: of the service that reflects, None elsewhere; port: the one that is hit, or None.

    fragments: packets that are fragments; shortest: octets of the shortest packet; flags, ports: shares of the
    vector's packets.
    """

    protocol: int
    source_port: int | None
    port: int | None
    flows: int
    packets: int
    octets: int
    fragments: int
    first_us: int
    last_us: int
    shortest: int
    flags: dict[str, float]
    ports: dict[int, float]

    @property
    def service(self) -> str:
        """The service's name, where one reflects."""
        if self.is_pieces:
            return "Fragmented IP packets"
        return SERVICES[self.source_port] if self.source_port is not None else "Unknown service"

    @property
    def protocol_name(self) -> str:
        """The IP protocol's name, or its number."""
        return PROTOCOLS.get(self.protocol, str(self.protocol))

    @property
    def is_pieces(self) -> bool:
        """Whether it is later pieces of datagrams: they carry no ports, and are kept under port 0."""
        return self.port == 0 and self.fragments >= PIECES_SHARE * self.packets

    @property
    def kind(self) -> str:
        """SQL: the flow is of this vector's kind."""
        fits = f"protocol = {self.protocol}"
        if self.source_port is not None:
            return f"{fits} AND src_port = {self.source_port}"
        if self.protocol == UDP:
            fits += f" AND NOT {REFLECTS}"
        return f"{fits} AND dst_port = {self.port}" if self.port is not None else fits


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack with its traffic. incidents: what was found of it, worst first; flow: that to its victim then."""

    incidents: tuple[Incident, ...]
    target: Prefix
    flow: Relation
    flows: int
    packets: int
    octets: int
    sources: int
    first_us: int
    last_us: int
    vectors: tuple[Vector, ...]

    @property
    def incident(self) -> Incident:
        """The worst that was found of it."""
        return self.incidents[0]

    @property
    def seconds(self) -> float:
        """How long it lasted, for rates: as `flood` reckons them, over a tenth of a second at least."""
        return max((self.last_us - self.first_us) / 1e6, 0.1)

    def source_addresses(self, vector: Vector, most: int | None = None) -> list[str]:
        """Who sent a vector's packets, who sent most first."""
        each = self.flow.filter(vector.kind).aggregate("src_net, src_host, sum(packets)::BIGINT AS packets")
        each = each.order("packets DESC, src_net, src_host")
        batches = readable(each if most is None else each.limit(most))
        return [address for batch in batches for address in batch.column("src").to_pylist()]


def require_lake(view: View, form: str) -> None:
    """UsageError for a run: attacks are in traffic."""
    if view.kind != "lake":
        raise UsageError(f"{form} tells of attacks in traffic, and this is a run: give a lake")


def attacks(view: View) -> Iterator[Attack]:
    """Every attack among the findings whose packets are in the lake, worst first; others are told of."""
    for target, incidents in _together(view):
        flow = to_target(view, target).filter(during(*incidents))
        attack = _attack(incidents, target, flow)
        if attack is None:
            view.warn(f"{incidents[0].subject}: the lake has no flows of this attack, it is left out")
        else:
            yield attack


def _together(view: View) -> list[tuple[Prefix, tuple[Incident, ...]]]:
    """Targets and findings by attack, worst first: those of one target whose times overlap tell of the same packets."""
    by_target: dict[Prefix, list[list[Incident]]] = {}
    for incident in sorted(view.incidents(), key=lambda i: i.first_us):
        target = incident.network
        if incident.detector not in ATTACKS or target is None:
            continue
        found = by_target.setdefault(target, [])
        if not found or incident.first_us > max(one.last_us for one in found[-1]):
            found.append([])
        found[-1].append(incident)
    each = [
        (target, tuple(sorted(one, key=lambda i: i.at)))
        for target, found in by_target.items()
        for one in found
    ]
    return sorted(each, key=lambda one: one[1][0].at)


def to_target(view: View, target: Prefix) -> Relation:
    """All flows to an address or a prefix."""
    return view.tables["flow"].filter(within("dst", str(target)))


def during(*incidents: Incident) -> str:
    """SQL: the flow is of the time from the first finding's beginning to the last one's end, in part at least."""
    first, last = min(i.first_us for i in incidents), max(i.last_us for i in incidents)
    return f"end_us >= {first} AND start_us <= {last}"


def _attack(incidents: tuple[Incident, ...], target: Prefix, flow: Relation) -> Attack | None:
    total = _sums(flow)[0]
    if not total["packets"]:
        return None
    sources = len(flow.project("src_net, src_host").distinct())
    vectors = tuple(_vectors(flow, total["packets"]))
    return Attack(
        incidents, target, flow, total["flows"], total["packets"], total["octets"], sources,
        total["first_us"], total["last_us"], vectors,
    )  # fmt: skip


def _vectors(flow: Relation, packets: int) -> Iterator[Vector]:
    reflected = f"protocol = {UDP} AND {REFLECTS}"
    found = [
        Vector(UDP, row["src_port"], None, **_measures(row))
        for row in _sums(flow.filter(reflected), "src_port")
        if row["packets"] >= REFLECTED_SHARE * packets
    ]
    direct = flow.filter(f"NOT ({reflected})")
    for row in _sums(direct, "protocol"):
        protocol, share = row["protocol"], row["packets"]
        if share < DIRECT_SHARE * packets:
            continue
        same = direct.filter(f"protocol = {protocol}")
        ported = _sums(same, "dst_port") if protocol in {TCP, UDP} else []
        single = [one for one in ported if one["packets"] >= DIRECT_SHARE * packets]
        if sum(one["packets"] for one in single) >= (1 - DIRECT_SHARE) * share:
            found += [Vector(protocol, None, one["dst_port"], **_measures(one)) for one in single]
        else:
            found.append(Vector(protocol, None, None, **_measures(row)))
    found.sort(key=lambda v: (-v.packets, v.protocol, v.source_port or 0, v.port or 0))
    for vector in found:
        yield _with_ports(vector, flow.filter(vector.kind))


def _with_ports(vector: Vector, flow: Relation) -> Vector:
    if vector.protocol in {TCP, UDP}:
        rows = sorted(_sums(flow, "dst_port"), key=lambda r: (-r["packets"], r["dst_port"]))[:PORTS]
        shares = {row["dst_port"]: row["packets"] / vector.packets for row in rows}
        vector.ports.update({port: round(share, 3) for port, share in shares.items() if share >= PORT_SHARE})
    return vector


def _sums(flow: Relation, by: str = "") -> list[dict[str, Any]]:
    sums = {
        "packets": "packets",
        "octets": "bytes",
        "fragments": "fragments",
        **{name: name for name in FLAGS},
    }
    measures = [
        "count(*) AS flows, min(start_us) AS first_us, max(end_us) AS last_us, min(length_min) AS shortest",
        *(f"coalesce(sum({column}), 0) AS {name}" for name, column in sums.items()),
    ]
    if not by:
        return records(flow.aggregate(", ".join(measures)))
    return records(flow.aggregate(", ".join([by, *measures])).order(by))


def _measures(row: dict[str, Any]) -> dict[str, Any]:
    shares = {text: row[name] / row["packets"] for name, text in FLAGS.items()} if row["packets"] else {}
    named = ("flows", "packets", "octets", "fragments", "first_us", "last_us", "shortest")
    return {name: row[name] for name in named} | {
        "flags": {text: round(share, 3) for text, share in shares.items() if share >= FLAG_SHARE},
        "ports": {},
    }
