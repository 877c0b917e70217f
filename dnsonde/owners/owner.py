"""What files tell of a range of addresses; strangers wrote it, and it is checked before it is kept."""

import re
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

from dnsonde.escape import terminal

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Range = tuple[Address, Address]  # first and last

MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}")
COUNTRY = re.compile(r"[A-Z]{2}")
TEXT_MAX = 200
ASN_MAX = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Owner:
    """What a file knows of a prefix."""

    asn: int | None = None
    as_name: str | None = None
    prefix: str | None = None
    country: str | None = None
    abuse: str | None = None

    def or_else(self, other: "Owner") -> "Owner":
        """These, and what only the other knows."""
        if self is NOBODY:
            return other
        lacking = {f.name: getattr(other, f.name) for f in fields(self) if getattr(self, f.name) is None}
        return replace(self, **lacking)


NOBODY = Owner()


@dataclass(frozen=True, slots=True)
class Entry:
    """What a file says of a range of addresses, first to last."""

    first: Address
    last: Address
    owner: Owner


def network_of(text: object) -> Network | None:
    """Of text with a slash in it; None for anything else, as all below give for what is none."""
    try:
        return ip_network(text, strict=False) if isinstance(text, str) and "/" in text else None
    except ValueError:
        return None


def range_of_prefix(text: object) -> Range | None:
    """First and last address of a prefix that is written."""
    place = network_of(text)
    return None if place is None else (place.network_address, place.broadcast_address)


def range_of_ends(first: object, last: object) -> Range | None:
    """Of two addresses that are written, of one version and in order."""
    try:
        one, other = ip_address(str(first).strip()), ip_address(str(last).strip())
    except ValueError:
        return None
    return (one, other) if one.version == other.version and int(one) <= int(other) else None


def prefix_of(span: Range) -> str | None:
    """A range that is one prefix, written."""
    parts = summarize_address_range(*span)
    only = next(parts)
    return str(only) if next(parts, None) is None else None


def asn_of(value: object) -> int | None:
    """64500, of `64500` or `AS64500`."""
    digits = str(value).upper().removeprefix("AS")
    return int(digits) if digits.isascii() and digits.isdecimal() and 0 < int(digits) <= ASN_MAX else None


def country_of(value: object) -> str | None:
    """Two letters (ISO 3166-1)."""
    code = str(value).strip().upper()
    return code if COUNTRY.fullmatch(code) else None


def mail_of(value: object) -> str | None:
    """An address that can be written to, and can harm no header."""
    return value if isinstance(value, str) and MAIL.fullmatch(value) else None


def text_of(value: object) -> str | None:
    """A name without anything that steers a terminal, cut where it is long."""
    return terminal(value, keep="")[:TEXT_MAX] if isinstance(value, str) and value else None
