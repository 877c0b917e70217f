"""The traffic of an attack, taken apart into vectors: what a fingerprint tells and a filter rule matches.

A vector is traffic to the victim, within the finding's time, of one protocol and from one service's port (a reflection,
at least 5 % of the packets) or to one port (at least 10 %); shares as the DDoS Clearing House's dissector has them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import ibis
from ibis.expr import types as ir

from dnsonde.errors import UsageError
from dnsonde.export._contract import Incident, Network, View
from dnsonde.intel.load import amplifiers
from dnsonde.report import readable, within

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

    def among(self, flow: ir.Table) -> ir.BooleanValue:
        """The flows that are of this vector's kind."""
        fits = flow.protocol == self.protocol
        if self.source_port is not None:
            return fits & (flow.src_port == self.source_port)
        if self.protocol == UDP:
            fits &= ~flow.src_port.isin(list(SERVICES))
        return fits & (flow.dst_port == self.port) if self.port is not None else fits


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack with its traffic. flow: the flows to its victim within its time."""

    incident: Incident
    target: Network
    flow: ir.Table
    flows: int
    packets: int
    octets: int
    sources: int
    first_us: int
    last_us: int
    vectors: tuple[Vector, ...]

    def of(self, vector: Vector) -> ir.Table:
        """The flows of one vector."""
        return self.flow.filter(vector.among(self.flow))

    def source_addresses(self, vector: Vector, most: int | None = None) -> list[str]:
        """Who sent a vector's packets, who sent most first."""
        flow = self.of(vector)
        each = flow.group_by("src_net", "src_host").aggregate(packets=flow.packets.sum())
        each = each.order_by([ibis.desc("packets"), "src_net", "src_host"])
        rows = readable(each if most is None else each.limit(most))
        return [address for batch in rows for address in batch.column("src").to_pylist()]


def require_lake(view: View, form: str) -> None:
    """UsageError for a run: attacks are in traffic."""
    if view.kind != "lake":
        raise UsageError(f"{form} tells of attacks in traffic, and this is a run: give a lake")


def attacks(view: View) -> Iterator[Attack]:
    """Every attack among the findings whose packets are in the lake, worst first; others are told of."""
    for incident in view.incidents():
        target = incident.network
        if incident.detector not in ATTACKS or target is None:
            continue
        flow = to_target(view, target)
        flow = flow.filter((flow.end_us >= incident.first_us) & (flow.start_us <= incident.last_us))
        attack = _attack(incident, target, flow)
        if attack is None:
            view.warn(f"{incident.subject}: the lake has no flows of this attack, it is left out")
        else:
            yield attack


def to_target(view: View, target: Network) -> ir.Table:
    """All flows to an address or a prefix."""
    flow = view.tables["flow"]
    return flow.filter(within(flow, "dst", str(target)))


def _attack(incident: Incident, target: Network, flow: ir.Table) -> Attack | None:
    total = _sums(flow)[0]
    if not total["packets"]:
        return None
    sources = flow.select("src_net", "src_host").distinct().count().to_pyarrow().as_py()
    vectors = tuple(_vectors(flow, total["packets"]))
    return Attack(
        incident, target, flow, total["flows"], total["packets"], total["octets"], int(sources),
        total["first_us"], total["last_us"], vectors,
    )  # fmt: skip


def _vectors(flow: ir.Table, packets: int) -> Iterator[Vector]:
    reflected = (flow.protocol == UDP) & flow.src_port.isin(list(SERVICES))
    by_service = flow.filter(reflected)
    found = [
        Vector(UDP, row["src_port"], None, **_measures(row))
        for row in _sums(by_service, "src_port")
        if row["packets"] >= REFLECTED_SHARE * packets
    ]
    direct = flow.filter(~reflected)
    for row in _sums(direct, "protocol"):
        protocol, share = row["protocol"], row["packets"]
        if share < DIRECT_SHARE * packets:
            continue
        same = direct.filter(direct.protocol == protocol)
        ported = _sums(same, "dst_port") if protocol in {TCP, UDP} else []
        single = [one for one in ported if one["packets"] >= DIRECT_SHARE * packets]
        if sum(one["packets"] for one in single) >= (1 - DIRECT_SHARE) * share:
            found += [Vector(protocol, None, one["dst_port"], **_measures(one)) for one in single]
        else:
            found.append(Vector(protocol, None, None, **_measures(row)))
    found.sort(key=lambda v: (-v.packets, v.protocol, v.source_port or 0, v.port or 0))
    for vector in found:
        yield _with_ports(vector, flow.filter(vector.among(flow)))


def _with_ports(vector: Vector, flow: ir.Table) -> Vector:
    if vector.protocol in {TCP, UDP}:
        rows = sorted(_sums(flow, "dst_port"), key=lambda r: (-r["packets"], r["dst_port"]))[:PORTS]
        shares = {row["dst_port"]: row["packets"] / vector.packets for row in rows}
        vector.ports.update({port: round(share, 3) for port, share in shares.items() if share >= PORT_SHARE})
    return vector


def _sums(flow: ir.Table, *by: str) -> list[dict[str, Any]]:
    measures = {
        "flows": flow.count(),
        "packets": flow.packets.sum().fill_null(0),
        "octets": flow.bytes.sum().fill_null(0),
        "fragments": flow.fragments.sum().fill_null(0),
        "first_us": flow.start_us.min(),
        "last_us": flow.end_us.max(),
        "shortest": flow.length_min.min(),
        **{name: flow[name].sum().fill_null(0) for name in FLAGS},
    }
    each = flow.group_by(*by).aggregate(**measures).order_by(*by) if by else flow.aggregate(**measures)
    rows: list[dict[str, Any]] = each.to_pyarrow().to_pylist()
    # DuckDB sums to 128 bits, which become decimals.
    return [{k: int(v) if v is not None else v for k, v in row.items()} for row in rows]


def _measures(row: dict[str, Any]) -> dict[str, Any]:
    shares = {text: row[name] / row["packets"] for name, text in FLAGS.items()} if row["packets"] else {}
    named = ("flows", "packets", "octets", "fragments", "first_us", "last_us", "shortest")
    return {name: row[name] for name in named} | {
        "flags": {text: round(share, 3) for text, share in shares.items() if share >= FLAG_SHARE},
        "ports": {},
    }
