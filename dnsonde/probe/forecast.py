"""What a plan would send: told before anything is sent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from dnsonde.clock import Clock
from dnsonde.probe import _special
from dnsonde.probe._window import USED
from dnsonde.probe.order import Ranges
from dnsonde.probe.plan import Exclusion, Plan
from dnsonde.probe.rounds import Asked, rounds
from dnsonde.wire.name import RUN_DIGITS, ProbeNames, parse_name

SPREAD = 6  # standard deviations that a prefix's part in a shard may be above the average
MONTH_S = 30 * 86_400
VALID_DAYS = 365

_HEADERS = {4: 28, 6: 48}  # IP and UDP
_TARGET = {4: 8, 6: 32}
_ATTEMPT_AND_TAG = 1 + 12
_FIXED = 12 + 4 + 11  # DNS header, type and class, OPT


@dataclass(frozen=True, slots=True)
class PlanReport:
    """The forecast of a plan; all figures are those of its shard, except `addresses_all` and `excluded`."""

    addresses: int
    addresses_all: int  # all shards
    shards: int
    ipv4: int  # of all shards
    ipv6: int
    excluded: tuple[Exclusion, ...]
    packets: int  # at most, in the sweep
    packets_per_open: int  # at most, in addition, for each host that proves open
    duration_s: float  # at most while no host proves open: every attempt unanswered, at the ceilings
    duration_open_s: float  # at most: every host proves open, at its last attempt
    total_pps: float
    most_pps: float  # that can leave: no more than `total_pps`, nor than the prefixes together may get
    prefix_pps: float | None  # ceiling, in this shard
    prefixes: int  # prefixes (`prefix4`, `prefix6`) with at least one address
    prefix_addresses: int  # in the fullest of them
    prefix_pps_typical: float  # towards the fullest, as the order spreads the probes
    prefix_pps_max: float  # towards any, in any second
    packet_bytes: int  # IP octets of the longest query, in whatever round
    bytes_per_s: float  # at most
    warnings: tuple[str, ...]
    unfilled: tuple[str, ...]  # what is still an example's, and makes the probes useless
    probing_txt: str


def check(plan: Plan, clock: Clock) -> PlanReport:
    """Tell what a plan would send. PlanError where the rules forbid it."""
    scope = plan.scope()
    number, shards = plan.shard
    mine = max(0, (scope.size - (number - 1) + shards - 1) // shards)
    ipv4 = scope.ranges[scope.ranges.is_ipv4()].count()
    prefixes, fullest = _prefixes(scope.ranges, plan.pace.prefix4, plan.pace.prefix6)
    attempts = plan.probe.attempts
    packets = mine * attempts
    ceiling = plan.prefix_pps
    typical = plan.total_pps * fullest / scope.size
    listed = rounds(plan)
    more = len(listed) - attempts
    size = _packet_bytes(plan, listed, 6 if scope.size > ipv4 else 4)
    most = most_pps(plan, prefixes)
    in_shard = fullest if shards == 1 else min(fullest, mine, _at_most(fullest / shards))

    def lasting_s(each: int, waits: int) -> float:
        """How long it takes to send so many packets to each, and to wait so often for the last answers."""
        limits_s = [each * mine / plan.total_pps]
        if ceiling is not None:
            limits_s.append(each * in_shard / ceiling)
        if plan.pace.under_way:
            limits_s.append(each * mine * plan.probe.timeout_s / (USED * plan.pace.under_way))
        return max(limits_s) + waits * plan.probe.timeout_s

    report = PlanReport(
        addresses=mine,
        addresses_all=scope.size,
        shards=shards,
        ipv4=ipv4,
        ipv6=scope.size - ipv4,
        excluded=plan.excluded,
        packets=packets,
        packets_per_open=more,
        duration_s=lasting_s(attempts, attempts),
        duration_open_s=lasting_s(attempts + more, attempts + bool(more)),
        total_pps=plan.total_pps,
        most_pps=most,
        prefix_pps=ceiling,
        prefixes=prefixes,
        prefix_addresses=fullest,
        prefix_pps_typical=min(typical, ceiling or typical),
        prefix_pps_max=min(plan.total_pps, ceiling or plan.total_pps),
        packet_bytes=size,
        bytes_per_s=min(most, packets) * size,
        warnings=(),
        unfilled=plan.unfilled,
        probing_txt="" if plan.is_loopback else probing_txt(plan, clock),
    )
    return _with_warnings(report, plan)


def most_pps(plan: Plan, prefixes: int | None = None) -> float:
    """The most packets that can leave in a second: what the plan says, or what its prefixes together may get."""
    if plan.prefix_pps is None:
        return plan.total_pps
    if prefixes is None:
        prefixes, _ = _prefixes(plan.scope().ranges, plan.pace.prefix4, plan.pace.prefix6)
    return min(plan.total_pps, prefixes * plan.prefix_pps)


def probing_txt(plan: Plan, clock: Clock) -> str:
    """The text of /.well-known/probing.txt (RFC 9511, 3), valid for a year from now."""
    now = datetime.fromtimestamp(clock.now_us() / 1e6, UTC)
    expires = (now + timedelta(days=VALID_DAYS)).strftime("%Y-%m-%dT00:00:00Z")
    lines = []
    if plan.identity.url:
        parts = urlsplit(plan.identity.url)
        lines += [
            "# Canonical URI",
            f"Canonical: {parts.scheme}://{parts.netloc}/.well-known/probing.txt",
            "",
        ]
    contact = plan.identity.contact
    if contact:
        lines += ["# Contact", f"Contact: {contact if ':' in contact else f'mailto:{contact}'}"]
    lines += [f"Expires: {expires}", "Preferred-Languages: en", ""]
    if plan.identity.description:
        lines += ["# What it is", f"Description: {plan.identity.description}"]
    zone = plan.zone.known or plan.zone.name
    what = "the name" if plan.is_known else "names below"
    lines.append(f"# DNS queries over UDP to port {plan.space.port}, for {what} {zone}")
    return "\n".join(lines) + "\n"


def _with_warnings(report: PlanReport, plan: Plan) -> PlanReport:
    found = list(plan.warnings)
    if not plan.is_loopback:
        for place, address in [
            *(("[zone] authority", a) for a in plan.zone.authority),
            *(("[zone] control", a) for a in plan.zone.control if a not in plan.zone.authority),
        ]:
            block = _special.block_of(address)
            told = place == "[zone] authority" and block and block.is_documentation  # in `unfilled`
            if block and not told and not (block.kind == "private" and plan.space.private):
                found.append(
                    f"{place} {address} is special-purpose space ({block}): the world cannot reach it"
                )
        if not plan.identity.url:
            found.append(
                "[identity] url is missing: a page that says what this is spares you questions (RFC 9511)"
            )
    if report.duration_s > MONTH_S:
        days = report.duration_s / 86_400
        found.append(f"it may take {days:,.0f} days: raise [pace], or split it with [probe] shard")
    if report.addresses == 0:
        found.append(
            f"[probe] shard {plan.probe.shard} has no address: there are fewer addresses than shards"
        )
    if report.shards > 1:
        found.append(
            f"[pace] total_pps is of each machine: all {report.shards:,} shards together send up to "
            f"{report.most_pps * report.shards:,.10g} packets a second"
        )
    if plan.is_known:
        found.append(
            "[zone] known: forwarders, egress addresses and silent resolvers stay unseen without `name`"
        )
    return replace(report, warnings=tuple(found))


def _packet_bytes(plan: Plan, listed: Sequence[Asked], version: int) -> int:
    if plan.is_known:
        name = len(parse_name(plan.zone.known))
    else:
        names, run = ProbeNames(plan.zone.name), "0" * RUN_DIGITS
        rest = max(len(names.tail(run, asked.kind, asked.step)) for asked in listed)
        name = 1 + _TARGET[version] + _ATTEMPT_AND_TAG + rest
    return _HEADERS[version] + name + _FIXED - (0 if plan.probe.edns_size else 11)


def _at_most(mean: float) -> int:
    """How many of a prefix's addresses come into one shard, where the order spreads them by chance."""
    return math.ceil(mean + SPREAD * math.sqrt(mean))


def _prefixes(ranges: Ranges, prefix4: int, prefix6: int) -> tuple[int, int]:
    """How many prefixes have an address of the scope, and how many addresses are in the fullest."""
    narrow = ranges.is_ipv4()
    four, six = ranges[narrow], ranges[~narrow]
    prefixes, fullest = _filled(four.net, four.host, four.last_host, 32 - prefix4)
    if not len(six):
        return prefixes, fullest
    net, first, last = six.net, six.host, six.last_host
    on = net != six.last_net
    if on.any():
        # Into the next /64, and no further: a scope has no whole one (plan.MOST).
        net = np.concatenate([net, six.last_net[on]])
        first = np.concatenate([first, np.zeros(int(on.sum()), np.uint64)])
        last = np.concatenate([np.where(on, np.uint64(2**64 - 1), last), last[on]])
        rank = np.lexsort((first, net))
        net, first, last = net[rank], first[rank], last[rank]
    if prefix6 > 64:
        count, most = _filled(net, first, last, 128 - prefix6)
    else:
        keys, row = np.unique(net >> np.uint64(64 - prefix6), return_inverse=True)
        count, most = len(keys), int(np.bincount(row, weights=(last - first).astype(np.float64) + 1).max())
    return prefixes + count, max(fullest, most)


def _filled(
    net: NDArray[np.uint64], first: NDArray[np.uint64], last: NDArray[np.uint64], bits: int
) -> tuple[int, int]:
    """Groups of 2**bits hosts that ranges touch, and the most hosts in one.

    The ranges are ascending and disjoint, each within one /64 (`net`).
    """
    if not len(first):
        return 0, 0
    shift = np.uint64(bits)
    low, high = first >> shift, last >> shift
    one = low == high
    whole = high[~one] - low[~one] > np.uint64(1)
    # A range over several groups has a part in its first and its last, and all of those between.
    begin = ((low[~one] + np.uint64(1)) << shift) - first[~one]
    end = last[~one] - (high[~one] << shift) + np.uint64(1)
    nets = np.concatenate([net[one], net[~one], net[~one]])
    keys = np.concatenate([low[one], low[~one], high[~one]])
    amounts = np.concatenate([last[one] - first[one] + np.uint64(1), begin, end])
    if not one.all():
        rank = np.lexsort((keys, nets))
        nets, keys, amounts = nets[rank], keys[rank], amounts[rank]
    starts = np.flatnonzero(np.concatenate([[True], (keys[1:] != keys[:-1]) | (nets[1:] != nets[:-1])]))
    most = int(np.add.reduceat(amounts, starts).max())
    between = int((high[~one] - low[~one] - np.uint64(1)).sum())
    return len(starts) + between, max(most, (1 << bits) if whole.any() else 0)
