"""Indicators of bots' servers: our own, and those that an operator hands in as TOML, CSV, STIX 2.x or MISP JSON."""

import csv
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dnsonde.clock import EPOCH
from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.utf8 import NotUtf8Error, text_of

UNKNOWN = "unknown malware"
MOST_BYTES = 64 << 20
# One observation of a pattern, between its brackets; a bracket within quotes is none.
STIX_WITHIN = re.compile(r"\[((?:[^'\[\]]|'(?:[^'\\]|\\.)*')*)\]")
STIX_OR = re.compile(r"\bOR\b")
STIX = re.compile(r"(domain-name|ipv4-addr|ipv6-addr):value\s*=\s*'([^']+)'")
STIX_REFERENCE = re.compile(r"network-traffic:dst_ref\.value\s*=\s*'([^']+)'")
STIX_PORT = re.compile(r"network-traffic:dst_port\s*=\s*(\d{1,5})")
MISP_DOMAIN = ("domain", "hostname", "domain|ip", "hostname|port")
MISP_ADDRESS = ("ip-dst", "ip-src", "ip-dst|port", "domain|ip")
VALUES = ("indicator", "value", "ioc", "ioc_value", "domain", "address", "ip", "dst_ip", "host")
FAMILIES = ("malware", "family", "malware_printable", "threat", "tag")
PORTS = ("port", "dst_port")
PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", re.ASCII)


class Indicator(NamedTuple):
    """One place that bots of `malware` talk with.

    kind: domain (with all below it), suffix (a top-level domain) or address; port 0: any.
    """

    kind: str
    value: str
    port: int
    malware: str


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A row of TOML; `ports` are those of `addresses`."""

    malware: str
    source: str
    domains: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    indicator: tuple[_Row, ...]


@cache
def indicators() -> tuple[Indicator, ...]:
    """Our own, `indicators.toml`."""
    text = files("dnsonde.intel").joinpath("indicators.toml").read_text(encoding="utf-8")
    return tuple(sorted(set(_of_toml(text, "indicators.toml"))))


def load_indicators(path: Path, now_us: int = 0) -> tuple[Indicator, ...]:
    """Those of a file, by what it holds: UsageError says what is wrong in it, SystemRefusal that it cannot be read.

    What its maker no longer holds valid at `now_us` (microseconds since 1970 UTC) is left out.
    """
    try:
        with path.open("rb") as file:
            octets = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SystemRefusal(f"{path} cannot be read: {error.strerror}") from error
    if len(octets) > MOST_BYTES:
        raise UsageError(f"{path} is larger than {MOST_BYTES >> 20} MiB: split it")
    try:
        text = text_of(octets)
    except NotUtf8Error as error:
        raise UsageError(f"{path} {error}; indicators are TOML, CSV, STIX 2.x or MISP JSON") from None
    if path.suffix == ".toml":
        found = _of_toml(text, str(path))
    elif text.lstrip()[:1] in {"{", "["}:
        found = _of_json(text, str(path), now_us)
    else:
        found = _of_csv(text, str(path))
    kept = tuple(sorted(set(found)))
    if not kept:
        raise UsageError(f"{path} holds no indicator: no domain or address of a known form")
    return kept


def _of_toml(text: str, name: str) -> Iterator[Indicator]:
    try:
        rows = msgspec.toml.decode(text, type=_File).indicator
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: {error}") from None
    for row in rows:
        for domain in row.domains:
            yield from _indicator(domain, row.malware)
        for suffix in row.suffixes:
            yield Indicator("suffix", suffix.lower().strip("."), 0, row.malware)
        for address in row.addresses:
            for port in row.ports or (0,):
                yield from _indicator(address, row.malware, port)


def _of_csv(text: str, name: str) -> Iterator[Indicator]:
    """With a header that names a column like `indicator`, or one indicator a line; `#` begins a comment."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        return
    try:
        rows = list(csv.reader(lines, strict=True))
    except csv.Error as error:
        raise UsageError(f"{name}: {error}") from None
    header = [cell.strip().lower() for cell in rows[0]]
    columns = [at for at, cell in enumerate(header) if cell in VALUES]
    family = next((at for at, cell in enumerate(header) if cell in FAMILIES), None)
    ports = next((at for at, cell in enumerate(header) if cell in PORTS), None)
    for row in rows[1:] if columns else rows:
        malware = row[family].strip() if family is not None and family < len(row) else ""
        port = row[ports].strip() if ports is not None and ports < len(row) else ""
        for at in columns or [0]:
            if at < len(row):
                yield from _indicator(row[at], malware, _port(port))


def _of_json(text: str, name: str, now_us: int) -> Iterator[Indicator]:
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(f"{name} is no JSON") from None
    things = held if isinstance(held, list) else [held]
    for thing in _objects(things):
        if isinstance(thing.get("objects"), list):
            yield from _of_stix(thing["objects"], now_us)
        elif thing.get("type") == "indicator":
            yield from _of_stix([thing], now_us)
        response = thing.get("response")
        for wrapped in response if isinstance(response, list) else [thing]:
            event = wrapped.get("Event") if isinstance(wrapped, dict) else None
            if isinstance(event, dict):
                yield from _of_misp(event)


def _of_stix(objects: list[Any], now_us: int) -> Iterator[Indicator]:
    """Patterns of indicators that are valid: equality of domains and addresses, with the port beside it."""
    for thing in _objects(objects):
        if thing.get("type") != "indicator" or thing.get("revoked") or _is_over(thing, now_us):
            continue
        pattern = str(thing.get("pattern", ""))
        malware = str(thing.get("name", ""))
        for said in STIX_WITHIN.findall(pattern) or [pattern]:
            # Several ports in one observation: each is of the alternative that it stands in.
            for part in STIX_OR.split(said) if len(STIX_PORT.findall(said)) > 1 else [said]:
                port = STIX_PORT.search(part)
                for _, value in STIX.findall(part):
                    yield from _indicator(value, malware)
                for value in STIX_REFERENCE.findall(part):
                    yield from _indicator(value, malware, _port(port[1] if port else ""))


def _is_over(thing: dict[str, Any], now_us: int) -> bool:
    """Whether an indicator was valid until before then; what is no time says nothing."""
    try:
        until = datetime.fromisoformat(str(thing.get("valid_until")))
    except ValueError:
        return False
    after = (until if until.tzinfo else until.replace(tzinfo=UTC)) - EPOCH
    return after // timedelta(microseconds=1) <= now_us


def _of_misp(event: dict[str, Any]) -> Iterator[Indicator]:
    """Attributes for detection (`to_ids`) of an event and of its objects."""
    for group in (event, *_objects(event.get("Object"))):
        for attribute in _objects(group.get("Attribute")):
            if not attribute.get("to_ids", True):
                continue
            kind, parts = str(attribute.get("type")), str(attribute.get("value")).split("|")
            malware = str(event.get("info", ""))
            second = parts[1] if len(parts) > 1 else ""
            if kind in MISP_DOMAIN:
                yield from _indicator(parts[0], malware)
                if kind == "domain|ip":
                    yield from _indicator(second, malware)
            elif kind in MISP_ADDRESS:
                yield from _indicator(parts[0], malware, _port(second))


def _objects(held: object) -> list[dict[str, Any]]:
    """The objects of a list, where it is one."""
    return [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []


def _port(text: str) -> int:
    """A port; 0 where the text is none."""
    return int(text) if PORT.fullmatch(text) and int(text) <= 65535 else 0


def _indicator(text: str, malware: str, port: int = 0) -> Iterator[Indicator]:
    """What the text is, if it is a domain or an address; `hxxp` and `[.]` are undone, paths left out."""
    value = text.strip().strip('"').lower().replace("[.]", ".").replace("(.)", ".").replace("[:]", ":")
    if "/" in value:
        value = re.sub(r"^[a-z]+://", "", value).partition("/")[0]
    family = malware.strip() or UNKNOWN
    if not 0 <= port <= 65535:
        return
    if value.count(":") == 1:
        value, _, after = value.partition(":")
        port = _port(after) or port
    address = _address(value.strip("[]"))
    if address is not None:
        if not (address.is_unspecified or address.is_loopback or address.is_multicast):
            yield Indicator("address", str(address), port, family)
        return
    name = value.removeprefix("*.").strip(".")
    # A single label is a top-level domain, and would make a bot of every client.
    if "." in name and len(name) <= 253 and NAME.fullmatch(name) and not name.rpartition(".")[2].isdecimal():
        yield Indicator("domain", name, 0, family)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    if not (text[-1:].isdecimal() or ":" in text):  # as of most names, which is quicker to see
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None
