"""Prefixes and the systems that originate them, a line each, as text."""

import re
from collections.abc import Iterator

from dnsonde.owners.owner import Entry, Owner, asn_of, network_of


def entries(text: str) -> Iterator[Entry]:
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
        place = network_of(prefix)
        # Several origins are written 64500_64501, a set of them {64500,64501} or 64500,64501: the first.
        number = re.search(r"\d+", origin)
        if place is not None and number is not None and place not in seen:
            seen.add(place)
            owner = Owner(asn=asn_of(number[0]), prefix=str(place))
            yield Entry(place.network_address, place.broadcast_address, owner)
