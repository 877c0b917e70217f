"""What is asked, round after round: the sweep's attempts, then what characterises the hosts that proved open."""

from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from dnsonde.probe.plan import Plan
from dnsonde.wire.codes import Type
from dnsonde.wire.name import Kind

SIZE_OCTETS = 4000  # a response that an amplifier would be glad of
SIZE_EDNS = 4096
CHAIN_STEPS = 3
KINDS = tuple(kind.name.lower() for kind in Kind)


@dataclass(frozen=True, slots=True)
class Asked:
    """What all probes of one round have in common. known: the name that all ask for, "" where each has its own."""

    kind: int
    attempt: int
    step: int
    qtype: int
    known: str = ""


def rounds(plan: Plan) -> list[Asked]:
    """Every round of a plan, in order.

    The sweep asks for A in a zone of our own (DNS64, RFC 6147, would invent AAAA records), for the known answer's type
    otherwise. There is nothing to characterise with a known name.
    """
    qtype = Type.A
    if plan.is_known and not any(isinstance(ip_address(a), IPv4Address) for a in plan.zone.answer):
        qtype = Type.AAAA
    known = plan.zone.known
    listed = [Asked(Kind.SWEEP, attempt, 0, qtype, known) for attempt in range(1, plan.probe.attempts + 1)]
    if plan.probe.characterise and not plan.is_known:
        listed += [
            Asked(Kind.NXDOMAIN, 1, 0, Type.A),
            Asked(Kind.SIZE, 1, SIZE_OCTETS, Type.TXT),
            Asked(Kind.CHAIN, 1, CHAIN_STEPS, Type.A),
        ]
    return listed
