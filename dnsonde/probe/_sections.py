"""The sections of a plan file, and how its TOML becomes them; every complaint says where and what to do."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import msgspec

from dnsonde.errors import PlanError
from dnsonde.utf8 import NotUtf8Error, text_of
from dnsonde.wire.name import MAX_BELOW, MAX_NAME, parse_name

SLOWEST_PPS = 1e-6  # one packet in twelve days


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[identity]`: who asks, for those who wonder."""

    contact: str = ""  # mail address or URL
    description: str = ""
    url: str = ""  # of a page about the measurement (RFC 9511)


class Space(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[scope]`: whom to ask, and whom never."""

    prefixes: tuple[str, ...] = ()
    targets: str = ""  # a file, one address or prefix a line
    exclude: tuple[str, ...] = ()
    exclude_file: str = ""
    private: bool = False
    internet_wide: bool = False
    port: int = 53


class ZonePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[zone]`: a zone of our own with its authority, or a name whose answer is known."""

    name: str = ""
    authority: tuple[str, ...] = ()
    authority_port: int = 53
    control: tuple[str, ...] = ()  # constant second answer; the authority's own addresses if left out
    nsid: str = ""  # what the authority calls itself to those who ask (RFC 5001); empty: it does not
    known: str = ""
    answer: tuple[str, ...] = ()


class PacePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[pace]`: hard ceilings, packets a second; what is left out follows from where the scope lies."""

    total_pps: float | None = None
    prefix_pps: float | None = None
    prefix4: int = 24
    prefix6: int = 48
    under_way: int = 0  # probes neither answered nor timed out, at most; 0: no limit


class ProbePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[probe]`: how each address is asked."""

    attempts: int = 3
    timeout_s: float = 3.0
    characterise: bool = True
    shard: str = "1/1"
    edns_size: int = 1232  # 0: no EDNS in any round
    source: str = ""

    @property
    def shard_pair(self) -> tuple[int, int]:
        """`shard` as numbers: (2, 8) for "2/8"."""
        number, shards = self.shard.split("/")
        return int(number), int(shards)


class Sections(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"space": "scope"}):
    """The whole file."""

    space: Space
    zone: ZonePart
    identity: Identity = Identity()
    pace: PacePart = PacePart()
    probe: ProbePart = ProbePart()


_LISTS = {"scope": ("prefixes", "exclude"), "zone": ("authority", "control", "answer")}
_PARTS: Mapping[str, type[msgspec.Struct]] = {
    "scope": Space,
    "zone": ZonePart,
    "identity": Identity,
    "pace": PacePart,
    "probe": ProbePart,
}


def read_file(path: Path) -> str:
    """The text of a plan file; PlanError where there is none."""
    try:
        return text_of(path.read_bytes())
    except FileNotFoundError as error:
        raise PlanError(
            f"there is no plan at {path}: `dnsonde plan new > {path}` writes one to fill in"
        ) from error
    except NotUtf8Error as error:
        raise PlanError(f"{path} {error}") from error
    except IsADirectoryError as error:
        raise PlanError(f"{path} is a folder: name the plan's file, {path / 'plan.toml'} perhaps") from error
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}") from error


def parse(text: str, where: str) -> Sections:
    """A plan's text to its sections, each value checked by itself. `where` names the plan in messages."""
    try:
        raw = tomllib.loads(text)
    except RecursionError:
        raise PlanError(f"{where} is no plan: its lists are nested too deep") from None
    except ValueError as error:
        raise PlanError(f"{where} is not TOML: {_toml_complaint(str(error), text)}") from error
    for section, names in _LISTS.items():
        part = raw.get(section)
        for name in names:
            if isinstance(part, dict) and isinstance(part.get(name), str):
                part[name] = [part[name]]
    _known_keys(raw, where)
    for section, what in (("scope", "whom to ask"), ("zone", "what to ask")):
        if section not in raw:
            raise PlanError(f"{where} has no [{section}]: add that section, it says {what}")
    try:
        sections = msgspec.convert(raw, Sections)
    except msgspec.ValidationError as error:
        raise PlanError(f"{where}: {_type_complaint(str(error))}") from error
    _check_values(sections, where)
    return sections


def _toml_complaint(message: str, text: str) -> str:
    """What tomllib says, with the line it is about."""
    if "end of document" in message:
        return f"{message}, after line {text.count(chr(10)) + 1}: something is not closed"
    found = re.search(r"^(.*) \(at line (\d+), column (\d+)\)$", message)
    if not found:
        return message
    what, line, column = found[1], int(found[2]), found[3]
    shown = text.splitlines()[line - 1].strip() if line <= len(text.splitlines()) else ""
    return f"line {line}, column {column}: {what[0].lower()}{what[1:]}, in `{shown}`"


def _known_keys(raw: dict[str, Any], where: str) -> None:
    for section, part in raw.items():
        if section not in _PARTS:
            raise PlanError(f"{where} has an unknown section [{section}]{_close(section, _PARTS)}")
        if not isinstance(part, dict):
            raise PlanError(f"{where}: `{section}` must be a section: write [{section}] on a line of its own")
        fields = _PARTS[section].__struct_fields__
        for name in part:
            if name not in fields:
                raise PlanError(f"{where}: [{section}] has no setting `{name}`{_close(name, fields)}")


def _close(word: str, words: Any) -> str:
    near = difflib.get_close_matches(word, list(words), 1)
    return f": did you mean `{near[0]}`?" if near else f": it may have {', '.join(words)}"


def _type_complaint(message: str) -> str:
    found = re.search(r"^(.*) - at `\$\.(\w+)(?:\.(\w+))?(?:\[.*\])?`$", message)
    if not found:
        return message
    what = found[1].replace("`array`", "a list").replace("`", "")
    return f"[{found[2]}] {found[3]}: {what[0].lower()}{what[1:]}"


def _check_values(plan: Sections, where: str) -> None:
    def refuse(place: str, complaint: str) -> NoReturn:
        raise PlanError(f"{where}: {place}: {complaint}")

    def within(place: str, value: float, low: float, high: float) -> None:
        if not low <= value <= high:
            refuse(place, f"{value} is outside {low} to {high}")

    for name, path in (("targets", plan.space.targets), ("exclude_file", plan.space.exclude_file)):
        if "\0" in path:
            refuse(f"[scope] {name}", "a path has no NUL in it")
    within("[scope] port", plan.space.port, 1, 65535)
    within("[zone] authority_port", plan.zone.authority_port, 1, 65535)
    within("[probe] attempts", plan.probe.attempts, 1, 15)
    if not (isfinite(plan.probe.timeout_s) and 0 < plan.probe.timeout_s <= 60):
        refuse("[probe] timeout_s", f"{plan.probe.timeout_s} is outside 0 (without it) to 60 seconds")
    if plan.probe.edns_size:
        within("[probe] edns_size", plan.probe.edns_size, 512, 4096)
    if not re.fullmatch(r"[1-9]\d{0,5}/[1-9]\d{0,5}", plan.probe.shard):
        refuse("[probe] shard", f'{plan.probe.shard!r} is no shard: write "2/8" for the second of eight')
    number, shards = plan.probe.shard_pair
    if number > shards:
        refuse(
            "[probe] shard", f"there is no shard {number} of {shards}: use 1/{shards} to {shards}/{shards}"
        )
    within("[pace] prefix4", plan.pace.prefix4, 8, 32)
    within("[pace] prefix6", plan.pace.prefix6, 16, 128)
    for name, value in (("total_pps", plan.pace.total_pps), ("prefix_pps", plan.pace.prefix_pps)):
        if value is not None and not (isfinite(value) and value >= SLOWEST_PPS):
            refuse(
                f"[pace] {name}",
                f"{value} is no pace: give packets a second, {SLOWEST_PPS:f} or more (0.1 is one in 10 s)",
            )
    if plan.pace.under_way < 0:
        refuse(
            "[pace] under_way", f"{plan.pace.under_way} is no limit: give a number of probes, or 0 for none"
        )
    url, contact = plan.identity.url, plan.identity.contact
    if url and not (re.fullmatch(r"https?://[^\s/]+\S*", url) and _is_url(url)):
        refuse("[identity] url", f"{url!r} is no URL: write https://...")
    if "://" in contact and not _is_url(contact):
        refuse("[identity] contact", f"{contact!r} is no URL: write https://..., or a mail address")
    for name, text in (("contact", plan.identity.contact), ("description", plan.identity.description)):
        if not text.isprintable():
            refuse(f"[identity] {name}", "has control characters or line breaks: write it on one line")
    addresses = [("[zone] authority", a) for a in plan.zone.authority]
    addresses += [("[zone] control", a) for a in plan.zone.control]
    addresses += [("[zone] answer", a) for a in plan.zone.answer]
    addresses += [("[probe] source", a) for a in [plan.probe.source] if a]
    for place, address in addresses:
        try:
            parsed = ip_address(address)
        except ValueError:
            refuse(place, f"{address!r} is no address")
        if isinstance(parsed, IPv6Address) and parsed.scope_id is not None:
            refuse(place, f"{address!r} has a zone id (%), which means nothing to others: leave it out")
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            refuse(place, f"{address!r} is an IPv4 address written as IPv6: write {parsed.ipv4_mapped}")
    _check_zone(plan.zone, refuse)


def _is_url(text: str) -> bool:
    try:
        urlsplit(text)
    except ValueError:
        return False
    return text.isprintable()


def _check_zone(zone: ZonePart, refuse: Any) -> None:
    if zone.name and zone.known:
        refuse(
            "[zone]",
            "has both `name` and `known`: keep `name` with an authority of your own, `known` without",
        )
    if not zone.name and not zone.known:
        refuse("[zone]", "needs `name` (a zone delegated to you) or `known` and `answer` (a name you know)")
    if zone.known and not zone.answer:
        refuse("[zone] answer", f"is missing: give the right addresses of {zone.known}")
    if zone.answer and not zone.known:
        refuse("[zone] answer", "belongs to `known`; a zone of your own computes its answers: remove it")
    if zone.name and not zone.authority:
        refuse("[zone] authority", f"is missing: give the address of the name server of {zone.name}")
    if zone.known and (zone.authority or zone.control or zone.nsid):
        refuse("[zone]", "has `authority`, `control` or `nsid`, which `known` does without: remove them")
    if zone.nsid and not re.fullmatch(r"[ -~]{1,64}", zone.nsid):
        refuse("[zone] nsid", f"{zone.nsid!r} is no identifier: write 1 to 64 printable ASCII characters")
    for place, name in (("[zone] name", zone.name), ("[zone] known", zone.known)):
        if not name:
            continue
        try:
            wire = parse_name(name)
        except ValueError as error:
            refuse(place, str(error))
        if wire == b"\0":
            refuse(place, "is the root: give a name below it")
        if place == "[zone] name" and len(wire) + MAX_BELOW > MAX_NAME:
            refuse(
                place,
                f"is too long by {len(wire) + MAX_BELOW - MAX_NAME} octets for the probes' labels below it",
            )
