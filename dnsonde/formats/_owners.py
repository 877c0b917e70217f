"""Files that tell whose an address is.

Known by what is in them: a MaxMind DB (MaxMind's, IPinfo's and others); a routing table as collectors dump it (MRT, RFC
6396); prefixes and systems as text, CAIDA's pfx2as, lines of `PREFIX ASN`, or `bgpdump -m`; RPSL of an Internet routing
registry; JSON, one object, an array or one a line: RDAP answers (RFC 9083), or objects with `prefix`, `asn`, `as_name`,
`country`, `abuse`. A folder is read with all files in it. All but a MaxMind DB may be compressed by gzip or bzip2.
"""

import bz2
import gzip
import json
import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import maxminddb

from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.escape import terminal
from dnsonde.formats._mrt import is_mrt, routes
from dnsonde.utf8 import NotUtf8Error, without_mark

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Range = tuple[Address, Address]

MMDB_MARK = b"\xab\xcd\xefMaxMind.com"
MMDB_TAIL = 128 * 1024  # octets at the end that hold the mark (MaxMind DB format 2.0)
MMDB_FAULTS = (
    ArithmeticError, LookupError, RecursionError, TypeError, ValueError, maxminddb.InvalidDatabaseError, struct.error,
)  # fmt: skip
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2"}
PACKED_BY: dict[str, Callable[[BinaryIO], Any]] = {"gzip": gzip.open, "bzip2": bz2.open}
HEAD = 12  # octets by which MRT is known
MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}")
COUNTRY = re.compile(r"[A-Z]{2}")
RPSL = re.compile(r"^(route6?|inet6?num):", re.MULTILINE)
TEXT_MAX = 200
ASN_MAX = 0xFFFF_FFFF
IPV4_OCTETS = 4


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file knows of a prefix."""

    asn: int | None = None
    as_name: str | None = None
    prefix: str | None = None
    country: str | None = None
    abuse: str | None = None

    def or_else(self, other: "Facts") -> "Facts":
        """These, and what only the other knows."""
        if self is NOTHING:
            return other
        lacking = {f.name: getattr(other, f.name) for f in fields(self) if getattr(self, f.name) is None}
        return replace(self, **lacking)


NOTHING = Facts()


class Source(Protocol):
    """A file that can be asked."""

    def find(self, address: Address) -> tuple[int, Facts]:
        """What it knows of an address, and the last address (a number) up to which it says the same."""
        ...


def open_source(path: Path) -> list[Source]:
    """A file, or all files of a folder, to be asked. UsageError for what is none of those that we read.

    In a folder a file that tells of no prefix is passed over: a licence lies beside most databases. Texts are asked
    before databases, which know no prefixes of routing.
    """
    entries: list[Entry] = []
    databases: list[Source] = []
    try:
        for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            if _is_mmdb(file):
                databases.append(Mmdb(file))
                continue
            try:
                entries += _entries(file)
            except _NothingToldError:
                if file == path:
                    raise
    except OSError as error:
        raise SystemRefusal(f"{path} cannot be read: {error.strerror or error}") from error
    if not (entries or databases):
        raise UsageError(f"{path} has no file in it that tells whose an address is: name one that has")
    return [Prefixes(entries), *databases] if entries else databases


def _is_mmdb(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - MMDB_TAIL))
        return MMDB_MARK in file.read()


class _NothingToldError(UsageError):
    """A file that is not damaged, and has nothing that we look for."""


class Mmdb:
    """A MaxMind DB; what its record calls a thing differs by who made it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # In Python: what is written in C reads outside of a damaged file, and ends the process.
            self._reader = maxminddb.open_database(path, maxminddb.MODE_MMAP)
        except MMDB_FAULTS as error:
            raise self._damaged(error) from error
        self._only_ipv4 = self._reader.metadata().ip_version == 4

    def find(self, address: Address) -> tuple[int, Facts]:
        """See `Source`; UsageError where it is damaged. Its prefixes are none of routing, and not told."""
        if self._only_ipv4 and address.version == 6:
            return (1 << address.max_prefixlen) - 1, NOTHING
        try:
            record, bits = self._reader.get_with_prefix_len(address)
        except MMDB_FAULTS as error:
            raise self._damaged(error) from error
        if address.version == 4 and bits > 32:
            bits -= 96
        spare = address.max_prefixlen - bits
        return int(address) | (1 << spare) - 1, _of_record(record)

    def _damaged(self, error: Exception) -> UsageError:
        return UsageError(
            f"{self._path} is a damaged MaxMind DB ({error or type(error).__name__}): get it again"
        )


def _of_record(record: object) -> Facts:
    if not isinstance(record, dict):
        return NOTHING
    traits = record.get("traits")
    flat = {**(traits if isinstance(traits, dict) else {}), **record}
    country = flat.get("country_code") or flat.get("country") or flat.get("registered_country")
    if isinstance(country, dict):
        country = country.get("iso_code")
    asn = flat.get("autonomous_system_number", flat.get("asn"))
    name = flat.get("autonomous_system_organization", flat.get("as_name", flat.get("name")))
    return Facts(asn=_asn(asn), as_name=_text(name), country=_country(country))


@dataclass(frozen=True, slots=True)
class Entry:
    """What a file says of a range of addresses, first to last."""

    first: Address
    last: Address
    facts: Facts


class Prefixes:
    """Ranges within ranges; the narrowest tells, and what it does not know the wider one does."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        parts: dict[int, list[Entry]] = {4: [], 6: []}
        for entry in entries:
            parts[entry.first.version].append(entry)
        self._flat = {version: _flat(listed) for version, listed in parts.items()}

    def find(self, address: Address) -> tuple[int, Facts]:
        """See `Source`."""
        starts, facts = self._flat[address.version]
        at = bisect_right(starts, int(address))
        last = starts[at] - 1 if at < len(starts) else (1 << address.max_prefixlen) - 1
        return last, facts[at - 1] if at else NOTHING


def _flat(entries: list[Entry]) -> tuple[list[int], list[Facts]]:
    """Where what is known changes, and what is known from there."""
    starts: list[int] = []
    facts: list[Facts] = []
    open_: list[tuple[int, Facts]] = []

    def change(start: int, to: Facts) -> None:
        if starts and starts[-1] == start:
            facts[-1] = to
        else:
            starts.append(start)
            facts.append(to)

    def close(before: int | None) -> None:
        while open_ and (before is None or open_[-1][0] < before):
            last, _ = open_.pop()
            change(last + 1, open_[-1][1] if open_ else NOTHING)

    for entry in sorted(entries, key=lambda e: (int(e.first), -int(e.last))):
        first, last = int(entry.first), int(entry.last)
        close(first)
        inside = entry.facts.or_else(open_[-1][1]) if open_ else entry.facts
        change(first, inside)
        # Ranges that overlap without one holding the other: the later ends with the earlier.
        open_.append((min(last, open_[-1][0]) if open_ else last, inside))
    close(None)
    return starts, facts


# -- texts ------------------------------------------------------------------------------------------------


def _entries(path: Path) -> list[Entry]:
    with path.open("rb") as file:
        packed = next((kind for mark, kind in PACKED.items() if file.peek(4).startswith(mark)), None)
        try:
            plain: Any = PACKED_BY[packed](file) if packed else file
            head = plain.read(HEAD)
            if is_mrt(head):
                plain.seek(0)
                return list(_of_mrt(path, plain))
            raw = head + plain.read()
        except (OSError, EOFError, zlib.error) as error:
            if packed is None:
                raise
            raise UsageError(f"{path} is a damaged {packed} file: get it again") from error
    try:
        text = without_mark(raw).decode("utf-8", "replace")
    except NotUtf8Error as error:
        raise UsageError(f"{path} {error}") from None
    head = text.lstrip()
    if head[:1] in {"{", "["}:
        found = list(_of_json(path, text))
    elif RPSL.search(text):
        found = list(_of_rpsl(text))
    else:
        found = list(_of_lines(text))
    if not found:
        raise _NothingToldError(
            f"{path} tells of no prefix: give a .mmdb, a routing table (MRT, or `bgpdump -m` of it), a pfx2as text, "
            "RPSL, or JSON of RDAP answers"
        )
    return found


def _of_mrt(path: Path, file: BinaryIO) -> Iterator[Entry]:
    seen = set()
    try:
        for number, octets, bits, origin in routes(file):
            if (number, octets, bits) in seen:
                continue
            seen.add((number, octets, bits))
            kind = IPv4Address if octets == IPV4_OCTETS else IPv6Address
            first = kind(number)
            last = kind(number | (1 << 8 * octets - bits) - 1)
            yield Entry(first, last, Facts(asn=origin, prefix=f"{first}/{bits}"))
    except ValueError as error:
        raise UsageError(f"{path} is a damaged routing table ({error}): get it again") from error
    if not seen:
        raise _NothingToldError(
            f"{path} is MRT with no routing table in it: give a dump of the RIB, not of updates"
        )


def _of_lines(text: str) -> Iterator[Entry]:
    """pfx2as (`192.0.2.0 24 64500`), `192.0.2.0/24 64500`, or `bgpdump -m`; other lines are passed over."""
    seen = set()
    for line in text.splitlines():
        columns = line.split("|")
        if len(columns) > 6:
            prefix, origin = columns[5], columns[6].rpartition(" ")[2]
        else:
            words = line.split()
            prefix, origin = ("/".join(words[:2]), words[2]) if len(words) == 3 else ("", "")
            if len(words) == 2:
                prefix, origin = words
        place = _network(prefix)
        # Several origins are written 64500_64501, a set of them {64500,64501} or 64500,64501: the first.
        number = re.search(r"\d+", origin)
        if place is not None and number is not None and place not in seen:
            seen.add(place)
            yield _entry(place, Facts(asn=_asn(number[0]), prefix=str(place)))


def _of_rpsl(text: str) -> Iterator[Entry]:
    """Objects of a routing registry (RFC 2622): routes with their origin, and whom addresses are assigned to."""
    for block in re.split(r"\n\s*\n", text):
        pairs = re.findall(r"^([A-Za-z0-9-]+):[ \t]*([^#\n]*)", block, re.MULTILINE)
        fields_: dict[str, str] = {}
        for key, value in pairs:
            fields_.setdefault(key.lower(), value.strip())
        place = next((fields_[k] for k in ("route", "route6", "inetnum", "inet6num") if k in fields_), "")
        span = _span(*place.split("-", 1)) if "-" in place else _of_network(place)
        if span is not None:
            facts = Facts(
                asn=_asn(fields_.get("origin")),
                prefix=_prefix(span),
                country=_country(fields_.get("country")),
                abuse=_mail(fields_.get("abuse-mailbox")),
            )
            yield Entry(*span, facts)


def _of_json(path: Path, text: str) -> Iterator[Entry]:
    try:
        try:
            value = json.loads(text)
        except ValueError:
            value = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise UsageError(f"{path} is no JSON ({error}): get it again") from error
    except RecursionError:
        raise UsageError(f"{path} is nested too deep to be an RDAP answer") from None
    for one in value if isinstance(value, list) else [value]:
        entry = _of_object(one) if isinstance(one, dict) else None
        if entry is not None:
            yield entry


def _of_object(value: dict[str, Any]) -> Entry | None:
    if "startAddress" in value:
        span = _span(value["startAddress"], value.get("endAddress"))
        origins = value.get("arin_originas0_originautnums")
        asn = origins[0] if isinstance(origins, list) and origins else None
        abuse = _abuse(value.get("entities"))
    else:
        span = _of_network(value.get("prefix", value.get("network")))
        asn, abuse = value.get("asn"), value.get("abuse")
    if span is None:
        return None
    facts = Facts(
        asn=_asn(asn),
        as_name=_text(value.get("as_name")),
        prefix=_prefix(span),
        country=_country(value.get("country")),
        abuse=_mail(abuse),
    )
    return Entry(*span, facts)


def _abuse(entities: object, depth: int = 4) -> str | None:
    """The mail address of the entity with the role abuse; entities have entities (RFC 9083, 5.1)."""
    for entity in entities if isinstance(entities, list) and depth else []:
        if not isinstance(entity, dict):
            continue
        roles, card = entity.get("roles"), entity.get("vcardArray")
        if isinstance(roles, list) and "abuse" in roles and isinstance(card, list) and len(card) == 2:
            for item in card[1] if isinstance(card[1], list) else []:
                if isinstance(item, list) and len(item) > 3 and item[0] == "email" and _mail(item[3]):
                    return _mail(item[3])
        within = _abuse(entity.get("entities"), depth - 1)
        if within:
            return within
    return None


# -- values: what strangers wrote is checked before it is kept --------------------------------------------


def _entry(place: Network, facts: Facts) -> Entry:
    return Entry(place.network_address, place.broadcast_address, facts)


def _network(text: object) -> Network | None:
    try:
        return ip_network(text, strict=False) if isinstance(text, str) and "/" in text else None
    except ValueError:
        return None


def _of_network(text: object) -> Range | None:
    place = _network(text)
    return None if place is None else (place.network_address, place.broadcast_address)


def _span(first: object, last: object) -> Range | None:
    try:
        one, other = ip_address(str(first).strip()), ip_address(str(last).strip())
    except ValueError:
        return None
    return (one, other) if one.version == other.version and int(one) <= int(other) else None


def _prefix(span: Range) -> str | None:
    """The range as a prefix; None where it is none."""
    parts = summarize_address_range(*span)
    only = next(parts)
    return str(only) if next(parts, None) is None else None


def _asn(value: object) -> int | None:
    digits = str(value).upper().removeprefix("AS")
    return int(digits) if digits.isascii() and digits.isdecimal() and 0 < int(digits) <= ASN_MAX else None


def _country(value: object) -> str | None:
    code = str(value).strip().upper()
    return code if COUNTRY.fullmatch(code) else None


def _mail(value: object) -> str | None:
    return value if isinstance(value, str) and MAIL.fullmatch(value) else None


def _text(value: object) -> str | None:
    return terminal(value, keep="")[:TEXT_MAX] if isinstance(value, str) and value else None
