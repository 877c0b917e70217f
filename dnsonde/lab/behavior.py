"""How every host of the lab behaves: a pure function of (seed, address), for whole columns of addresses.

`KINDS` is the catalogue: what each kind of host does, and the verdict that a perfect measurement reaches.
`describe` says which kind an address is, with its egress, responder, delay and habits. Nothing is stored, so
that millions of hosts cost no memory.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag

import numpy as np
from numpy.typing import NDArray

from dnsonde.errors import LabError
from dnsonde.lab.scenario import Scenario

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]


class Act(IntEnum):
    """What a host sends to its client."""

    NONE = 0
    RELAY = 1  # what the authority answered
    LIE = 2  # an address of its own invention
    EMPTY = 3  # NOERROR without records
    REFERRAL = 4  # NOERROR, no answer, NS records of the root
    ECHO = 5  # the datagram as it came
    CACHED = 6  # the right answer, though nobody asked the authority
    LIE_BESIDE = 7  # an invented address beside our control
    ALIAS = 8  # a CNAME that leads nowhere
    TRUNCATED = 9  # TC and nothing else
    FORMERR = 16 + 1  # 16 + rcode
    SERVFAIL = 16 + 2
    NXDOMAIN = 16 + 3
    NOTIMP = 16 + 4
    REFUSED = 16 + 5
    NOTAUTH = 16 + 9
    ICMP_HOST = 64 + 1  # 64 + code of ICMP type 3 (RFC 792)
    ICMP_PORT = 64 + 3
    ICMP_ADMIN = 64 + 13


class Lie(IntEnum):
    """Which address a manipulating host invents."""

    PRIVATE = 0
    LOOPBACK = 1
    ONE = 2  # the same for all hosts
    OWN = 3  # the host's own
    OTHER = 4  # a different one for each host
    NULL = 5


class Way(IntEnum):
    """Where something leaves from."""

    SELF = 0
    POOL = 1  # a public resolver's
    NEIGHBOUR = 2  # another interface, same /24


class Trait(IntFlag):
    """Habits; those that our authority can see belong to whoever asks it."""

    EDNS = 1
    EDNS_LARGE = 2
    MIXED_CASE = 4
    MINIMISE = 8
    ECS = 16
    DUAL = 32
    CACHE = 64
    RA = 128
    # From here on the kind decides.
    REWRITES_NXDOMAIN = 256
    DROPS_FIRST = 512  # hears an attempt only from the second or third one on
    RATE_LIMITED = 1024
    SLOW = 2048
    REBINDING_FILTER = 4096
    NO_EDNS = 8192  # answers FORMERR where there is an OPT record (RFC 6891, 7)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of host.

    verdict and subclass: what a perfect measurement calls it (no subclass where it depends on what else was
    probed); asks: it asks the authority; at_once and after: what it sends before and after that; lie: which
    address it invents; ra: its RA flag, None for a habit that differs between hosts.
    """

    verdict: str
    subclass: str | None = None
    asks: bool = False
    at_once: Act = Act.NONE
    after: Act = Act.NONE
    lie: Lie = Lie.PRIVATE
    egress: Way = Way.SELF
    responder: Way = Way.SELF
    traits: int = 0  # of `Trait`
    ra: bool | None = None

    @property
    def open(self) -> bool:
        """It resolves for strangers, by whatever way."""
        return self.asks or self.at_once == Act.CACHED


def _resolving(
    verdict: str,
    traits: int = 0,
    *,
    subclass: str | None = None,
    egress: Way = Way.SELF,
    responder: Way = Way.SELF,
) -> Kind:
    # Its lie is told only by those that rewrite NXDOMAIN: where the advertisements are.
    return Kind(
        verdict,
        subclass,
        asks=True,
        after=Act.RELAY,
        lie=Lie.ONE,
        egress=egress,
        responder=responder,
        traits=traits,
    )


KINDS: dict[str, Kind] = {
    "silent": Kind("silent"),
    # Resolving hosts, by the way that question and answer take.
    "resolver": _resolving("recursive_resolver"),
    "forwarder": _resolving("recursive_forwarder", egress=Way.POOL),
    "transparent": _resolving("transparent_forwarder", egress=Way.POOL, responder=Way.POOL),
    "multihomed": _resolving("multihomed", responder=Way.NEIGHBOUR),
    "rate_limited": _resolving("recursive_resolver", Trait.RATE_LIMITED),
    "slow": _resolving("recursive_resolver", Trait.SLOW),
    "slow_forwarder": _resolving("recursive_forwarder", Trait.SLOW, egress=Way.POOL),
    "lossy": _resolving("recursive_resolver", Trait.DROPS_FIRST),
    "nxdomain_rewriter": _resolving(
        "recursive_resolver", Trait.REWRITES_NXDOMAIN, subclass="nxdomain_rewritten"
    ),
    "without_us": Kind("answered_without_us", "egress_told", at_once=Act.CACHED),
    "no_reply": Kind("resolves_no_reply", asks=True),
    # Lies: some after asking, some without.
    "private": Kind("manipulated", "private", at_once=Act.LIE),
    "private_after": Kind("manipulated", "private", asks=True, after=Act.LIE),
    "loopback": Kind("manipulated", "loopback", at_once=Act.LIE, lie=Lie.LOOPBACK),
    "null_address": Kind("manipulated", "null_address", at_once=Act.LIE, lie=Lie.NULL),
    "one_address": Kind("manipulated", "one_address", at_once=Act.LIE, lie=Lie.ONE),
    "own_address": Kind("manipulated", "own_address", at_once=Act.LIE, lie=Lie.OWN),
    "other_address": Kind("manipulated", "rewritten", at_once=Act.LIE, lie=Lie.OTHER),
    "other_after": Kind("manipulated", "rewritten", asks=True, after=Act.LIE, lie=Lie.OTHER),
    "added": Kind("manipulated", "added", asks=True, after=Act.LIE_BESIDE, lie=Lie.OTHER),
    "alias": Kind("manipulated", "alias", at_once=Act.ALIAS),
    "injected": Kind("injected", "before_answer", asks=True, at_once=Act.LIE, after=Act.RELAY, lie=Lie.OTHER),
    # Filters: the authority answered (or should have been asked), the client does not get it. A filter that
    # leaves nothing of a loopback address is a rebinding filter to whoever sees only this; in a lab all are.
    "nxdomain_filter": Kind("filtering", "nxdomain", asks=True, after=Act.NXDOMAIN),
    "empty_filter": Kind("filtering", asks=True, after=Act.EMPTY),
    "rebinding_filter": Kind(
        "filtering", "rebinding", asks=True, after=Act.RELAY, traits=Trait.REBINDING_FILTER
    ),
    "nxdomain_unasked": Kind("filtering", "nxdomain_unasked", at_once=Act.NXDOMAIN, ra=True),
    # Hosts that serve their own zones only, and refusals.
    "referral": Kind("authoritative_only", "referral", at_once=Act.REFERRAL, ra=False),
    "own_zones": Kind("authoritative_only", "nxdomain", at_once=Act.NXDOMAIN, ra=False),
    "refused": Kind("refused", at_once=Act.REFUSED),
    "servfail": Kind("servfail", at_once=Act.SERVFAIL),
    "servfail_after": Kind("servfail", "after_asking", asks=True, after=Act.SERVFAIL),
    "formerr": Kind("formerr", at_once=Act.FORMERR),
    "notimp": Kind("notimp", at_once=Act.NOTIMP),
    "notauth": Kind("other_rcode", "notauth", at_once=Act.NOTAUTH),
    "truncated": Kind("truncated", at_once=Act.TRUNCATED),
    "echo": Kind("echo", at_once=Act.ECHO),
    # ICMP needs CAP_NET_RAW; without it these hosts are silent, and the truth says so.
    "icmp_port": Kind("icmp", "port_unreachable", at_once=Act.ICMP_PORT),
    "icmp_host": Kind("icmp", "host_unreachable", at_once=Act.ICMP_HOST),
    "icmp_admin": Kind("icmp", "admin_prohibited", at_once=Act.ICMP_ADMIN),
    "no_edns": _resolving("recursive_resolver", Trait.NO_EDNS),
}
KIND_NAMES = tuple(KINDS)
_OF = tuple(KINDS.values())

HOST = np.dtype(
    [
        ("kind", "u1"),  # index into KIND_NAMES
        ("traits", "u2"),
        ("target", "u4"),
        ("egress", "u4"),  # first address that it asks from
        ("egress_count", "u1"),  # that many consecutive ones, taken by turns
        ("responder", "u4"),  # address that its replies come from
        ("identity", "u4"),  # whose cache and habits they are: the host, or its upstream resolver
        ("delay_us", "u4"),
        ("lie", "u4"),  # address that it invents
        ("drops", "u1"),  # attempts that it does not hear
    ]
)

# Columns by kind, so that a batch is looked up at once.
ASKS = np.array([k.asks for k in _OF])
AT_ONCE = np.array([k.at_once for k in _OF], np.uint8)
AFTER = np.array([k.after for k in _OF], np.uint8)
OPEN = np.array([k.open for k in _OF])
_TRAITS = np.array([k.traits for k in _OF], np.uint16)
_EGRESS = np.array([k.egress for k in _OF], np.uint8)
_RESPONDER = np.array([k.responder for k in _OF], np.uint8)
_LIE = np.array([k.lie for k in _OF], np.uint8)
_RA_SET = np.array([Trait.RA if k.ra else 0 for k in _OF], np.uint16)
_RA_CLEAR = np.array([0xFFFF ^ Trait.RA if k.ra is False else 0xFFFF for k in _OF], np.uint16)

_EGRESS_START = 64  # of the public resolvers in the pool: their egress addresses follow their own
_EGRESS_STRIDE = 8

# Invented addresses that are nobody's: private use (RFC 1918), loopback, documentation (RFC 5737), reserved.
_PRIVATE = np.array([0x0A000001, 0xAC100001, 0xC0A80001, 0xC0A80101], np.uint32)
_LOOPBACK = np.uint32(0x7F000001)
_ONE = np.uint32(0xCB007142)  # 203.0.113.66
_OTHER = np.uint32(0xF0000000)  # 240.0.0.0/4 (RFC 1112, 4)


def at_once(host: NDArray[np.void], edns: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(`Act` before anybody is asked, whether somebody is), for questions that have an OPT record or not."""
    kind = host["kind"]
    puzzled = edns & ((host["traits"] & Trait.NO_EDNS) != 0)
    return np.where(puzzled, np.uint8(Act.FORMERR), AT_ONCE[kind]), ASKS[kind] & ~puzzled


def mix(value: U64) -> U64:
    """SplitMix64's finaliser: 64 bits to 64 bits, evenly spread."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def draw(seed: int, salt: int, value: U64) -> U64:
    """Independent 64-bit draws for each (seed, salt, value)."""
    start = int(mix(np.array([(seed * 0x9E3779B97F4A7C15 + salt) & 0xFFFF_FFFF_FFFF_FFFF], np.uint64))[0])
    return mix(mix(value + np.uint64(start)))


def threshold(share: float) -> int:
    """The 16-bit number that a draw's 16 bits stay below with probability `share`."""
    return round(share * 65536)


class Behavior:
    """The hosts of one scenario; raises LabError when its shares name an unknown kind."""

    def __init__(self, scenario: Scenario) -> None:
        unknown = set(scenario.shares) - set(KINDS)
        if unknown:
            raise LabError(
                f"unknown kind of host: {', '.join(sorted(unknown))}; there are: {', '.join(KIND_NAMES)}"
            )
        self.scenario = scenario
        shares = np.array([scenario.shares.get(name, 0.0) for name in KIND_NAMES if name != "silent"])
        # The draw's upper 32 bits against cumulative shares; what is left is silent.
        self._bounds = np.minimum(np.cumsum(shares) * 2.0**32, 2.0**32 - 1).astype(np.uint64)
        self._order = np.array([i for i, n in enumerate(KIND_NAMES) if n != "silent"] + [0], np.uint8)
        t = scenario.traits
        self._trait_shares = (
            (Trait.EDNS, threshold(t.edns)),
            (Trait.EDNS_LARGE, threshold(t.edns_large)),
            (Trait.MIXED_CASE, threshold(t.mixed_case)),
            (Trait.MINIMISE, threshold(t.minimise)),
            (Trait.ECS, threshold(t.ecs)),
            (Trait.DUAL, threshold(t.dual)),
            (Trait.CACHE, threshold(t.cache)),
            (Trait.RA, 65536 - threshold(t.no_ra)),
        )

    def kind(self, target: U32) -> NDArray[np.uint8]:
        """Index into KIND_NAMES for each address."""
        high = draw(self.scenario.seed, 1, target.astype(np.uint64)) >> np.uint64(32)
        found: NDArray[np.uint8] = self._order[np.searchsorted(self._bounds, high, side="right")]
        return found

    def describe(self, target: U32) -> NDArray[np.void]:
        """HOST rows for some addresses (uint32, any of the prefix)."""
        seed = self.scenario.seed
        host = np.zeros(len(target), HOST)
        kind = self.kind(target)
        bits = draw(seed, 2, target.astype(np.uint64))
        pool = np.uint32(self.scenario.pool_first)
        # A few upstreams serve most forwarders: the lesser of two draws.
        upstream = np.minimum(bits & np.uint64(15), (bits >> np.uint64(4)) & np.uint64(15)).astype(np.uint32)
        pooled = _EGRESS[kind] == Way.POOL
        identity = np.where(pooled, pool + upstream, target)
        host["kind"] = kind
        host["target"] = target
        host["identity"] = identity
        # Every fourth upstream asks from its own address, the others from a group of 2, 4 or 8.
        group = pool + _EGRESS_START + upstream * _EGRESS_STRIDE
        host["egress"] = np.where(pooled & ((upstream & 3) > 0), group, identity)
        host["egress_count"] = np.where(pooled, 1 << (upstream & 3), 1)
        responder = np.where(_RESPONDER[kind] == Way.POOL, pool + upstream, target)
        host["responder"] = np.where(_RESPONDER[kind] == Way.NEIGHBOUR, target ^ np.uint32(1), responder)
        host["traits"] = self._traits(identity, kind)
        host["delay_us"] = self._delay(bits, (host["traits"] & Trait.SLOW) != 0)
        host["lie"] = self._lie(target, kind, bits)
        drops = 1 + ((bits >> np.uint64(8)) & np.uint64(1))
        host["drops"] = np.where(host["traits"] & Trait.DROPS_FIRST, drops, 0)
        return host

    def _traits(self, identity: U32, kind: NDArray[np.uint8]) -> NDArray[np.uint16]:
        traits = _TRAITS[kind].copy()
        bits = draw(self.scenario.seed, 3, identity.astype(np.uint64))
        shift = 0
        for trait, limit in self._trait_shares:
            if shift == 64:
                bits, shift = mix(bits), 0
            has = ((bits >> np.uint64(shift)) & np.uint64(0xFFFF)) < np.uint64(limit)
            traits |= np.where(has, np.uint16(trait), np.uint16(0))
            shift += 16
        return (traits & _RA_CLEAR[kind]) | _RA_SET[kind]

    def _delay(self, bits: U64, slow: NDArray[np.bool_]) -> U32:
        share = ((bits >> np.uint64(16)) & np.uint64(0xFFFF)).astype(np.float64) / 65536
        low, high = self.scenario.host_delay_ms
        slow_low, slow_high = self.scenario.slow_delay_ms
        # Round-trip times have a long tail: the square keeps most of them near the low end.
        usual = low + (high - low) * share * share
        return (np.where(slow, slow_low + (slow_high - slow_low) * share, usual) * 1000).astype(np.uint32)

    def _lie(self, target: U32, kind: NDArray[np.uint8], bits: U64) -> U32:
        lie = _LIE[kind]
        low = bits >> np.uint64(32)
        found = np.where(lie == Lie.PRIVATE, _PRIVATE[(low & np.uint64(3)).astype(np.intp)], target)
        found = np.where(lie == Lie.LOOPBACK, _LOOPBACK, found)
        found = np.where(lie == Lie.ONE, _ONE, found)
        found = np.where(lie == Lie.NULL, np.uint32(0), found)
        other = _OTHER | (low & np.uint64(0xFFFFFFF)).astype(np.uint32)
        return np.where(lie == Lie.OTHER, other, found).astype(np.uint32)
