"""Filter rules against the attacks of a lake: BGP FlowSpec (RFC 8955) as ExaBGP reads it, or nftables."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, BinaryIO

from dnsonde.clock import rfc3339
from dnsonde.errors import UsageError
from dnsonde.export._attacks import (
    PROTOCOLS,
    TCP,
    UDP,
    Attack,
    Vector,
    attacks,
    during,
    require_lake,
    to_target,
)
from dnsonde.export._contract import require_within
from dnsonde.table.prefix import Prefix
from dnsonde.table.rows import Relation
from dnsonde.view.view import Incident, View

LANGUAGES = ("exabgp", "nftables")
HARM_SHARE = 0.01  # of the legitimate traffic: above it a rule has a warning
ONE_PORT_SHARE = 0.9
SYN_SHARE = 0.9
SYN = "......S."
LENGTH_LEAST = 256  # octets: below it a least length tells nothing apart
ENDS = MappingProxyType({  # columns of a flow's two ends, and what they are of a flow the other way
    "src_net": "dst_net", "src_host": "dst_host", "src_port": "dst_port",
    "dst_net": "src_net", "dst_host": "src_host", "dst_port": "src_port",
})  # fmt: skip
NAMES = MappingProxyType({number: name.lower() for number, name in PROTOCOLS.items()})


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule matches. pieces: fragments other than the first, which have no ports; shortest: IP octets at least.

    hit, legitimate: packets, of the latter and of all such.
    """

    incidents: tuple[Incident, ...]
    target: Prefix
    protocol: int
    source_port: int | None
    port: int | None
    pieces: bool
    syn: bool
    shortest: int | None
    hit: int
    legitimate: int

    @property
    def share(self) -> float | None:
        """Share of the legitimate packets to the same destination that the rule would have hit."""
        return self.hit / self.legitimate if self.legitimate else None

    @property
    def is_wide(self) -> bool:
        """Whether nothing but destination and protocol tell what it matches apart."""
        return {self.source_port, self.port, self.shortest} == {None} and not (self.syn or self.pieces)


def flowspec(
    view: View,
    out: BinaryIO,
    *,
    rules: Annotated[str, "exabgp or nftables"] = "exabgp",
    rate: Annotated[int, "octets a second that still pass; 0: none"] = 0,
) -> None:
    """Write a filter rule for each vector of each attack, with the harm that it would have done.

    Above each rule stands which share of the legitimate traffic to the same destination in the same lake (outside of
    the attack, or answering what the destination asked) it would have hit; above 1 % it has a warning.
    """
    if rules not in LANGUAGES:
        raise UsageError(f"rules is one of {', '.join(LANGUAGES)}, not {rules!r}")
    require_within("rate", rate)
    require_lake(view, "flowspec")
    found = list(attacks(view))
    listed = [_rule(attack, vector, found, view) for attack in found for vector in attack.vectors]
    for rule in listed:
        if rule.share is not None and rule.share > HARM_SHARE:
            view.warn(f"the rule for {rule.target} {_harm(rule)}")
        if rule.is_wide:
            name = NAMES.get(rule.protocol, f"protocol {rule.protocol}")
            view.warn(f"the rule for {rule.target} takes everything of {name} from it")
    text = _exabgp(listed, rate) if rules == "exabgp" else _nftables(listed, rate)
    out.write(text.encode("ascii"))


def _rule(attack: Attack, vector: Vector, others: list[Attack], view: View) -> Rule:
    port = None if vector.is_pieces else vector.port
    if port is None and not vector.is_pieces and vector.source_port is None:
        port = next((p for p, share in vector.ports.items() if share >= ONE_PORT_SHARE), None)
    syn = vector.protocol == TCP and vector.flags.get(SYN, 0) >= SYN_SHARE
    shortest = vector.shortest if vector.shortest >= LENGTH_LEAST else None
    fits = f"protocol = {vector.protocol} AND length_max >= {shortest or 0}"
    if vector.source_port is not None:
        fits += f" AND src_port = {vector.source_port}"
    if port is not None:
        fits += f" AND dst_port = {port}"
    if vector.is_pieces:
        fits += " AND src_port = 0"
    packets = "syn" if syn else "fragments" if vector.is_pieces else "packets"
    sums = f"coalesce(sum({packets}) FILTER ({fits}), 0), coalesce(sum(packets), 0)"
    ((hit, total),) = _legitimate(attack, others, view).aggregate(sums).fetchall()
    return Rule(
        attack.incidents, attack.target, vector.protocol, vector.source_port, port, vector.is_pieces, syn,
        shortest, hit, total,
    )  # fmt: skip


def _legitimate(attack: Attack, others: list[Attack], view: View) -> Relation:
    """Flows to the destination that are not of an attack on it, or that answer what it asked."""
    hostile = [
        f"{during(*other.incidents)} AND {vector.kind}"
        for other in others
        if other.target.version == attack.target.version and other.target.overlaps(attack.target)
        for vector in other.vectors
    ]
    flow = to_target(view, attack.target).project(f"*, {' OR '.join(hostile) or 'FALSE'} AS hostile")
    asked = view.tables["flow"].filter(f"protocol = {UDP}").project(", ".join(ENDS)).distinct()
    on = " AND ".join(f"flow.{one} = asked.{other}" for one, other in ENDS.items())
    # Only UDP has an answer that forgeries cannot make: a flooded host answers every SYN.
    answers = f"flow.protocol = {UDP} AND asked.src_net IS NOT NULL AS answers"
    both = flow.set_alias("flow").join(asked.set_alias("asked"), on, "left").project(f"flow.*, {answers}")
    return both.filter("NOT hostile OR answers")


def _harm(rule: Rule) -> str:
    if rule.share is None:
        return "was held against nothing: the lake has no legitimate traffic to that destination"
    return f"would have hit {rule.share:.2%} of {rule.legitimate:,} legitimate packets to that destination"


def _about(rule: Rule) -> list[str]:
    about = [
        f"# {rule.target}: {one.detector}, {one.severity}, {rfc3339(one.first_us)} to {rfc3339(one.last_us)}"
        for one in rule.incidents
    ]
    about.append(f"# The rule {_harm(rule)}.")
    if rule.share is not None and rule.share > HARM_SHARE:
        about.append(
            f"# WARNING: more than {HARM_SHARE:.0%} of what is legitimate: narrow it before you use it."
        )
    if rule.is_wide:
        about.append("# WARNING: it takes everything of that protocol from the destination.")
    return about


# -- ExaBGP -----------------------------------------------------------------------------------------------


def _exabgp(rules: list[Rule], rate: int) -> str:
    lines = [
        "# FlowSpec (RFC 8955), for a neighbor of ExaBGP. Look at each rule before you announce it.",
        "flow {",
    ]
    for number, rule in enumerate(rules, 1):
        lines += [f"  {line}" for line in _about(rule)]
        lines += [f"  route dnsonde-{number} {{", "    match {"]
        lines += [f"      {match};" for match in _matches(rule)]
        then = f"rate-limit {rate}" if rate else "discard"
        lines += ["    }", "    then {", f"      {then};", "    }", "  }"]
    return "\n".join([*lines, "}", ""])


def _matches(rule: Rule) -> list[str]:
    six = rule.target.version == 6
    name = NAMES.get(rule.protocol, "")
    known = name if name in {"icmp", "tcp", "udp", "gre"} else f"={rule.protocol}"
    matches = [
        f"destination {rule.target}{'/0' if six else ''}",
        f"{'next-header' if six else 'protocol'} {known}",
    ]
    if rule.source_port is not None:
        matches.append(f"source-port ={rule.source_port}")
    if rule.port is not None:
        matches.append(f"destination-port ={rule.port}")
    if rule.pieces:
        matches.append("fragment [ is-fragment ]")
    if rule.syn:
        matches.append("tcp-flags [ =syn ]")
    if rule.shortest is not None:
        matches.append(f"packet-length >={rule.shortest}")
    return matches


# -- nftables ---------------------------------------------------------------------------------------------


def _nftables(rules: list[Rule], rate: int) -> str:
    lines = [
        "# For `nft -f FILE`. Look at each rule before you load it.",
        "table inet dnsonde {",
        "  chain attacks {",
        "    # Before connection tracking puts fragments together.",
        "    type filter hook prerouting priority -450; policy accept;",
    ]
    for rule in rules:
        lines += [f"    {line}" for line in _about(rule)]
        lines.append(f"    {_statement(rule, rate)}")
    return "\n".join([*lines, "  }", "}", ""])


def _statement(rule: Rule, rate: int) -> str:
    family = "ip" if rule.target.version == 4 else "ip6"
    name = NAMES.get(rule.protocol, str(rule.protocol))
    words = [f"{family} daddr {rule.target}"]
    ported = f"{name} " if rule.protocol in {TCP, UDP} else ""
    words.append(f"meta l4proto {'ipv6-icmp' if name == 'icmpv6' else name}")
    if ported and rule.source_port is not None:
        words.append(f"{ported}sport {rule.source_port}")
    if ported and rule.port is not None:
        words.append(f"{ported}dport {rule.port}")
    if rule.pieces:
        words.append("ip frag-off & 0x1fff != 0" if family == "ip" else "frag frag-off != 0")
    if rule.syn:
        words.append("tcp flags & (fin | syn | rst | ack) == syn")
    if rule.shortest is not None:
        words.append(f"meta length >= {rule.shortest}")
    if rate:
        words.append(f"limit rate over {rate} bytes/second")
    return " ".join([*words, "counter drop"])
