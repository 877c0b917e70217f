"""JSON: RDAP answers (RFC 9083), or objects with `prefix`, `asn`, `as_name`, `country`, `abuse`."""

import json
from collections.abc import Iterator
from typing import Any

from dnsonde.owners.owner import (
    Entry,
    Owner,
    asn_of,
    country_of,
    mail_of,
    prefix_of,
    range_of_ends,
    range_of_prefix,
    text_of,
)


def entries(text: str) -> Iterator[Entry]:
    """One object, an array of them, or one a line; those of other kinds are passed over.

    ValueError for what is no JSON; RecursionError for what is nested too deep to be read.
    """
    try:
        value = json.loads(text)
    except ValueError:
        value = [json.loads(line) for line in text.splitlines() if line.strip()]
    for one in value if isinstance(value, list) else [value]:
        entry = _of_object(one) if isinstance(one, dict) else None
        if entry is not None:
            yield entry


def _of_object(value: dict[str, Any]) -> Entry | None:
    if "startAddress" in value:
        span = range_of_ends(value["startAddress"], value.get("endAddress"))
        origins = value.get("arin_originas0_originautnums")
        asn = origins[0] if isinstance(origins, list) and origins else None
        abuse = _abuse(value.get("entities"))
    else:
        span = range_of_prefix(value.get("prefix", value.get("network")))
        asn, abuse = value.get("asn"), value.get("abuse")
    if span is None:
        return None
    owner = Owner(
        asn=asn_of(asn),
        as_name=text_of(value.get("as_name")),
        prefix=prefix_of(span),
        country=country_of(value.get("country")),
        abuse=mail_of(abuse),
    )
    return Entry(*span, owner)


def _abuse(entities: object, depth: int = 4) -> str | None:
    """The mail address of the entity with the role abuse; entities have entities (RFC 9083, 5.1)."""
    for entity in entities if isinstance(entities, list) and depth else []:
        if not isinstance(entity, dict):
            continue
        roles, card = entity.get("roles"), entity.get("vcardArray")
        if isinstance(roles, list) and "abuse" in roles and isinstance(card, list) and len(card) == 2:
            for item in card[1] if isinstance(card[1], list) else []:
                if isinstance(item, list) and len(item) > 3 and item[0] == "email" and mail_of(item[3]):
                    return mail_of(item[3])
        within = _abuse(entity.get("entities"), depth - 1)
        if within:
            return within
    return None
