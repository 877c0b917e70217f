"""A response policy zone: what BIND, Unbound, Knot Resolver and PowerDNS refuse to resolve."""

from types import MappingProxyType
from typing import Annotated, BinaryIO

import dns.exception
import dns.name

from dnsonde.errors import UsageError
from dnsonde.export._campaigns import found, listed
from dnsonde.view.view import View

# draft-vixie-dnsop-dns-rpz, 3: what a trigger's CNAME leads to says what to do.
ACTIONS = MappingProxyType(
    {"nxdomain": ".", "nodata": "*.", "drop": "rpz-drop.", "passthru": "rpz-passthru."}
)
OTHER_TRIGGERS = b"rpz-"  # of labels below which addresses and name servers stand, not names to be asked for
COMMENT = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-: ")


def rpz(
    view: View,
    out: BinaryIO,
    *,
    zone: Annotated[str, "the policy zone's name"] = "rpz.dnsonde.invalid",
    action: Annotated[str, "nxdomain, nodata, drop or passthru"] = "nxdomain",
    known: Annotated[bool, "list known campaigns and bots' servers that were not seen here, too"] = True,
) -> None:
    """Write the domains of covert campaigns, of tunnels and of bots' servers as a response policy zone.

    Each name stands with all below it. Probers who say who they are, and domains that are victims, are not in it.
    """
    if action not in ACTIONS:
        raise UsageError(f"action is one of {', '.join(ACTIONS)}, not {action!r}")
    try:
        origin = dns.name.from_text(zone)
    except dns.exception.DNSException:
        raise UsageError(f"{zone!r} is no name for a zone") from None
    names = dict(found(view))
    if known:
        names = dict(listed()) | names
    serial = max((incident.last_us for incident in view.incidents()), default=0) // 1_000_000
    out.write(_head(origin, serial % (1 << 32)).encode("ascii"))
    for name in sorted(names):
        trigger = name.relativize(dns.name.root)
        if trigger.labels[-1].lower().startswith(OTHER_TRIGGERS):
            view.warn(f"{name} is left out: a policy zone would read it as a trigger of another kind")
            continue
        try:
            below = dns.name.Name((b"*", *trigger.labels))
            below.concatenate(origin)
        except dns.exception.DNSException:
            view.warn(f"{name} does not fit below the zone's name: give a shorter `zone`")
            continue
        why = "".join(c for c in names[name].lower() if c in COMMENT)
        record = f"CNAME {ACTIONS[action]} ; {why}"
        out.write(f"{trigger.to_text()} {record}\n{below.to_text()} {record}\n".encode("ascii"))


def _head(origin: dns.name.Name, serial: int) -> str:
    return (
        f"$ORIGIN {origin.to_text()}\n$TTL 300\n"
        f"@ SOA localhost. hostmaster.localhost. {serial} 3600 600 86400 300\n@ NS localhost.\n"
    )
