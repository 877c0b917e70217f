"""Objects of Internet routing registries: RPSL (RFC 2622)."""

import re
from collections.abc import Iterator

from dnsonde.owners.owner import (
    Entry,
    Owner,
    asn_of,
    country_of,
    mail_of,
    prefix_of,
    range_of_ends,
    range_of_prefix,
)

OBJECT = re.compile(r"^(route6?|inet6?num):", re.MULTILINE)


def entries(text: str) -> Iterator[Entry]:
    """Routes with their origin, and whom addresses are assigned to; other objects are passed over."""
    for block in re.split(r"\n\s*\n", text):
        pairs = re.findall(r"^([A-Za-z0-9-]+):[ \t]*([^#\n]*)", block, re.MULTILINE)
        told: dict[str, str] = {}
        for key, value in pairs:
            told.setdefault(key.lower(), value.strip())
        place = next((told[k] for k in ("route", "route6", "inetnum", "inet6num") if k in told), "")
        span = range_of_ends(*place.split("-", 1)) if "-" in place else range_of_prefix(place)
        if span is not None:
            owner = Owner(
                asn=asn_of(told.get("origin")),
                prefix=prefix_of(span),
                country=country_of(told.get("country")),
                abuse=mail_of(told.get("abuse-mailbox")),
            )
            yield Entry(*span, owner)
