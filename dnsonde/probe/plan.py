"""The plan: what may be probed, by whom, and how fast. Nothing is probed without one.

`load_plan` reads it, each value checked by itself; `Plan.scope` applies the rules and is the only way to addresses
to probe; `check` (in `probe.forecast`) tells in advance what would be sent.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import numpy as np
from numpy.typing import NDArray

from dnsonde.errors import PlanError
from dnsonde.owners.owner import mail_of
from dnsonde.probe import _special
from dnsonde.probe._sections import Identity, PacePart, ProbePart, Sections, Space, ZonePart, parse, read_file
from dnsonde.probe._targets import BadListError, ranges_of, read_list, read_list_file
from dnsonde.probe.order import Ranges, Scope
from dnsonde.wire.batch import address_text

WIDE = 1 << 24  # addresses above which a measurement is internet-wide
MOST = 1 << 40  # addresses of a scope, all shards: a run keeps some bits of each, 128 GiB of sparse file

EXAMPLES = {
    "example",
    "example.com",
    "example.net",
    "example.org",
}  # RFC 2606, 2 and 3: delegated to nobody else
NOBODYS = EXAMPLES | {"invalid", "localhost"}  # RFC 6761; `test` is as well, but on networks of one's own

# Ceilings where the plan names none. Off loopback they are what a small network does not notice.
TOTAL_PPS, PREFIX_PPS = 1000.0, 5.0
LOOPBACK_PPS = 10_000_000.0
LOOPBACK = Ranges.of_networks([ip_network("::1"), ip_network("127.0.0.0/8")]).merged()


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Addresses of the named prefixes that are not probed, and why."""

    reason: str
    addresses: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What came of a plan: the scope, what fell out of it, what to warn of, and what is still an example's."""

    scope: Scope
    excluded: tuple[Exclusion, ...]
    warnings: tuple[str, ...]
    loopback: bool
    unfilled: tuple[str, ...] = ()


class Plan:
    """A plan file's content.

    identity, space (the file's `[scope]`), zone, pace, probe: its sections, lists as tuples; `zone.control` is
    filled with the authority's own addresses where the plan names none. Paths in it are relative to `folder`.
    """

    def __init__(self, sections: Sections, folder: Path, where: str) -> None:
        self.identity: Identity = sections.identity
        self.space: Space = sections.space
        self.zone: ZonePart = sections.zone
        self.pace: PacePart = sections.pace
        self.probe: ProbePart = sections.probe
        self.folder = folder
        self.where = where
        if not self.zone.control:
            self.zone = msgspec.structs.replace(self.zone, control=self.zone.authority)

    @property
    def is_known(self) -> bool:
        """Whether it asks for a name whose answer is known, without an authority of our own."""
        return bool(self.zone.known)

    @property
    def is_loopback(self) -> bool:
        """Whether everything in it is loopback: the lab, which needs no contact."""
        return self._selection.loopback

    @property
    def stands_alone(self) -> bool:
        """Whether it names no other file: no list of targets, no blocklist."""
        return not (self.space.targets or self.space.exclude_file)

    @property
    def total_pps(self) -> float:
        """Ceiling for all packets, a second."""
        if self.pace.total_pps is not None:
            return self.pace.total_pps
        return LOOPBACK_PPS if self.is_loopback else TOTAL_PPS

    @property
    def prefix_pps(self) -> float | None:
        """Ceiling towards each prefix, packets a second; None on loopback unless the plan has one.

        A shard has its part of the plan's, so that all of them together keep to that.
        """
        whole = self.pace.prefix_pps
        if whole is None and not self.is_loopback:
            whole = PREFIX_PPS
        return whole and whole / self.shard[1]

    @property
    def shard(self) -> tuple[int, int]:
        """Which part of how many, from 1."""
        return self.probe.shard_pair

    def scope(self) -> Scope:
        """The addresses to probe, all shards; computed once. PlanError where the rules forbid the plan."""
        return self._selection.scope

    def settle(self, scope: Scope) -> None:
        """Have a scope that was worked out before: no file that the plan names is read for it."""
        self._selection = Selection(scope, (), (), bool(scope.ranges.within(LOOPBACK).all()))

    @property
    def excluded(self) -> tuple[Exclusion, ...]:
        """What was named and is not probed, the blocklist first."""
        return self._selection.excluded

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed and may still not be meant."""
        return self._selection.warnings

    @property
    def unfilled(self) -> tuple[str, ...]:
        """What is still an example's, and must be put in before anything can come of it; a sentence each."""
        return self._selection.unfilled

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits that change with anything that changes which probes are sent to whom.

        A run continues only under the same digest, more exclusions apart (`narrow`). Pace, timeout, identity and source
        may change.
        """
        return self.digest_with(self.scope())

    def digest_with(self, scope: Scope) -> str:
        """What `digest` would be of a plan that is the same but for its scope."""
        about = {
            "port": self.space.port,
            "zone": [self.zone.name.lower().rstrip("."), self.zone.known, sorted(self.zone.answer)],
            "control": list(self.zone.control),
            "probe": [self.probe.attempts, self.probe.characterise, *self.shard, self.probe.edns_size],
        }
        return _digest(scope, json.dumps(about, sort_keys=True).encode()).hex()

    def order_key(self, scope: Scope, secret: bytes) -> bytes:
        """What orders that scope: a run's secret, or what all shards know, so that each address is in one of them."""
        return secret if self.shard[1] == 1 else _digest(scope, b"shards")

    @cached_property
    def _selection(self) -> Selection:
        return _select(self)


def load_plan(path: Path) -> Plan:
    """Read a plan file. PlanError, with the place in the file, where it cannot be meant."""
    path = Path(path)
    return read_plan(read_file(path), path.parent, str(path))


def read_plan(text: str, folder: Path, where: str = "the plan") -> Plan:
    """A plan from its text; `folder` is what its paths are relative to, `where` names it in messages."""
    return Plan(parse(text, where), Path(folder), where)


def template() -> str:
    """The text of a plan to fill in, every setting explained."""
    return files("dnsonde.probe").joinpath("_template.toml").read_text(encoding="utf-8")


def _digest(scope: Scope, about: bytes) -> bytes:
    state = hashlib.blake2b(about, digest_size=16)
    ranges = scope.ranges
    for column in (ranges.net, ranges.host, ranges.last_net, ranges.last_host):
        state.update(column.astype("<u8").tobytes())
    return state.digest()


def _select(plan: Plan) -> Selection:
    """Apply the rules to `[scope]`."""

    def refuse(message: str) -> PlanError:
        return PlanError(f"{plan.where}: {message}")

    space = plan.space
    allowed = frozenset({"private"} if space.private else ())
    parts, addresses, loopback, other = [], 0, "", ""
    try:
        for rows in _named(plan):
            is_loopback = _is_loopback(rows)
            if is_loopback.any() and not loopback:
                loopback = _row_text(rows[np.flatnonzero(is_loopback)[0]])
            if not is_loopback.all() and not other:
                other = _row_text(rows[np.flatnonzero(~is_loopback)[0]])
            _refuse_special(rows[~is_loopback], allowed, refuse)
            part = ranges_of(rows)
            addresses += part.count()
            parts.append(part.merged())
        blocked = [("[scope] exclude", ranges_of(read_list(space.exclude, "[scope] exclude")))]
        if space.exclude_file:
            place, path = "[scope] exclude_file", plan.folder / space.exclude_file
            pieces = [ranges_of(rows).merged() for rows in read_list_file(path, place)]
            blocked.append((f"{place} {space.exclude_file}", Ranges.joined(pieces)))
    except BadListError as error:
        raise refuse(str(error)) from error
    if not addresses:
        raise refuse("[scope] names nobody: give `prefixes` or a file of `targets` with at least one address")
    if loopback and other:
        raise refuse(
            f"[scope] mixes loopback ({loopback}) with other networks ({other}): give the lab its own plan"
        )
    is_lab = not other
    merged = Ranges.joined(parts).merged()
    del parts
    left, excluded = merged, []
    for reason, block in blocked:
        before = left.count()
        left = left.without(block)
        if before > left.count():
            excluded.append(Exclusion(f"on the blocklist: {reason}", before - left.count()))
    left, special = _without_special(left, allowed | {"loopback"} if is_lab else allowed)
    excluded += special
    _require_permission(plan, left, is_lab, refuse)
    _require_source(plan.probe.source, left, is_lab, refuse)
    _require_control(plan, refuse)
    warnings = []
    twice = addresses - merged.count()
    if twice:
        warnings.append(f"[scope] names {twice:,} addresses more than once; each is probed once")
    warnings += [
        f"{reason} excludes nothing that the plan would probe"
        for reason, block in blocked
        if len(block) and not any(reason in e.reason for e in excluded)
    ]
    contact = plan.identity.contact
    host = (urlsplit(contact).hostname or "") if "://" in contact else contact.rpartition("@")[2]
    if not is_lab and _is_below(host, EXAMPLES):
        warnings.append(f"[identity] contact {contact} is reserved for examples (RFC 2606): nobody reads it")
    unfilled = () if is_lab else tuple(_unfilled(plan))
    return Selection(Scope(left), tuple(excluded), tuple(warnings), is_lab, unfilled)


def _is_below(name: str, zones: Collection[str]) -> bool:
    labels = name.lower().rstrip(".").split(".")
    return labels[-1] in zones or ".".join(labels[-2:]) in zones


def _named(plan: Plan) -> Iterator[NDArray[np.void]]:
    """What `[scope]` names, as LINE rows, by pieces."""
    yield read_list(plan.space.prefixes, "[scope] prefixes")
    if plan.space.targets:
        yield from read_list_file(plan.folder / plan.space.targets, "[scope] targets")


def _without_special(left: Ranges, allowed: frozenset[str]) -> tuple[Ranges, list[Exclusion]]:
    """What remains of wide prefixes without the special space in them, and how much each row took."""
    rows = _special.forbidden(allowed=allowed)
    after = left.without(Ranges.joined([r for _, r in rows]))
    if after.count() == left.count():
        return left, []
    excluded = []
    for block, ranges in rows:
        kept = left.without(ranges)
        lost = left.count() - kept.count()
        if lost:
            excluded.append(Exclusion(f"special-purpose: {block}", lost))
            left = kept
    return left, excluded


def _refuse_special(
    named: NDArray[np.void], allowed: frozenset[str], refuse: Callable[[str], PlanError]
) -> None:
    """Refuse what is named outright in special space."""
    for version in (4, 6):
        mine = named[named["version"] == version]
        rows = _special.pieces(version, allowed=allowed)
        inside = Ranges.of_prefixes(mine["net"], mine["host"], mine["bits"])
        union = Ranges.joined([r for _, r in rows]).merged()
        bad = np.flatnonzero(inside.within(union))
        if not bad.size:
            continue
        first = inside[bad[:1]]
        block = next(b for b, r in rows if first.without(r).count() < first.count())
        more = f" (and {bad.size - 1:,} more like it)" if bad.size > 1 else ""
        cure = "take it out"
        if block.kind == "private":
            cure = "write `private = true` in [scope] if it is your own network, or take it out"
        raise refuse(
            f"[scope] names {_row_text(mine[bad[0]])}{more}, which is special-purpose space that is never probed: "
            f"{block}; {cure}"
        )


def _require_permission(plan: Plan, left: Ranges, is_lab: bool, refuse: Callable[[str], PlanError]) -> None:
    """The rules on size and identity."""
    size = left.count()
    if size == 0:
        raise refuse("nothing is left of [scope] after the exclusions: there is nobody to probe")
    if size > MOST:
        raise refuse(
            f"[scope] has {size:.3g} addresses, and 2^40 are the most of one run, shards or not: "
            "name smaller IPv6 prefixes, or the addresses that you know of in a file of `targets`"
        )
    if is_lab:
        return
    for name, text, example in (
        ("contact", plan.identity.contact, "noc@example.net"),
        ("description", plan.identity.description, "Open-resolver survey of our own networks"),
    ):
        if not text.strip():
            raise refuse(
                f'[identity] {name} is missing: who probes others says who asks and why, as in {name} = "{example}"'
            )
    contact = plan.identity.contact
    if "://" not in contact and mail_of(contact.removeprefix("mailto:")) is None:
        raise refuse(
            f"[identity] contact: {contact!r} is neither a mail address nor a URL: write it like noc@example.net"
        )
    if size > WIDE and not plan.space.internet_wide:
        raise refuse(
            f"[scope] has {size:,} addresses, more than {WIDE:,}: "
            "write `internet_wide = true` in [scope] if that is meant, or name fewer"
        )
    if size > WIDE and not plan.identity.url:
        raise refuse(
            f"[identity] url is missing: above {WIDE:,} addresses a page must say what this is (RFC 9511), "
            'as in url = "https://probing.example.net/"'
        )


def _unfilled(plan: Plan) -> Iterator[str]:
    """What of `[zone]` is still an example's: nothing comes of such probes, and the servers of others are asked."""
    zone = plan.zone
    reserved = NOBODYS if plan.space.private else NOBODYS | {"test"}
    for setting, name, cure in (
        (
            "name",
            zone.name,
            "a zone that is delegated to your authority, or `known`, a name whose answer you know",
        ),
        ("known", zone.known, "a name, best your own, whose answer you know"),
    ):
        if name and _is_below(name, reserved):
            yield f"[zone] {setting} {name} is reserved (RFC 6761) and not yours: put in {cure}"
    for setting, addresses, cure in (
        ("authority", zone.authority, "the addresses of the host that runs `dnsonde authority`"),
        ("answer", zone.answer, "what `known` has"),
    ):
        for address in addresses:
            block = _special.block_of(address)
            if block is not None and block.is_documentation:
                yield f"[zone] {setting} {address} is nobody's ({block}): put in {cure}"


def _require_source(source: str, left: Ranges, is_lab: bool, refuse: Callable[[str], PlanError]) -> None:
    """The address to send from can reach somebody."""
    if not source:
        return
    address = ip_address(source)
    where = "loopback" if address.is_loopback else "link-local" if address.is_link_local else ""
    if where and not is_lab:
        raise refuse(f"[probe] source {source} is {where} and cannot reach the scope: remove it")
    if not (left.is_ipv4() == (address.version == 4)).any():
        raise refuse(
            f"[probe] source {source} is IPv{address.version}, which nobody in [scope] is: remove it"
        )


def _require_control(plan: Plan, refuse: Callable[[str], PlanError]) -> None:
    """The authority has something to answer: without an A record of its own nobody who asks by IPv6 gets an answer."""
    if not plan.is_known and not any(ip_address(address).version == 4 for address in plan.zone.control):
        raise refuse(
            "[zone] control has no IPv4 address, and probes ask for A: add one of your own, which need not serve DNS"
        )


def _is_loopback(rows: NDArray[np.void]) -> NDArray[np.bool_]:
    four = (rows["version"] == 4) & (rows["host"] >> 24 == 0xFFFF_7F) & (rows["bits"] >= 104)
    six = (rows["version"] == 6) & (rows["net"] == 0) & (rows["host"] == 1) & (rows["bits"] == 128)
    found: NDArray[np.bool_] = four | six
    return found


def _row_text(row: np.void) -> str:
    version, bits = int(row["version"]), int(row["bits"])
    net, host = int(row["net"]), int(row["host"])
    if version == 6 and net == 0 and host >> 32 == 0xFFFF:
        return f"::ffff:0:0/{bits}"
    length = bits - 96 if version == 4 else bits
    return f"{address_text(net, host)}" + ("" if bits == 128 else f"/{length}")
