"""A blocklist: one address, prefix or domain a line."""

from typing import Annotated, BinaryIO

from dnsonde.clock import rfc3339
from dnsonde.errors import UsageError
from dnsonde.escape import terminal
from dnsonde.export._campaigns import name_of
from dnsonde.export._contract import require_within
from dnsonde.export._documents import LEVELS
from dnsonde.intel.load import relied_on
from dnsonde.table.prefix import NO_HOST, PRIVATE, Prefix
from dnsonde.view.view import Incident, View

KINDS = ("all", "address", "domain")


def blocklist(
    view: View,
    out: BinaryIO,
    *,
    kind: Annotated[str, "address (prefixes too), domain or all"] = "all",
    severity: Annotated[str, "of findings, at least"] = "low",
    confidence: Annotated[float, "of findings, at least"] = 0.9,
) -> None:
    """Write who attacks or scans, and the domains of campaigns, one a line, the reason behind a `#`.

    Never in it: the operator's own addresses, private ones and such as no host has (only a forged packet comes from
    them), victims, reflectors (their address is forged or misused), public resolvers and root servers (the same, and
    your users need them), and probers who say who they are and why.
    """
    if kind not in KINDS:
        raise UsageError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
    if severity not in LEVELS:
        raise UsageError(f"severity is one of {', '.join(LEVELS)}, not {severity!r}")
    require_within("confidence", confidence, 1)
    if not view.home and kind != "domain":
        view.warn("which addresses are yours is not known: see that none of them is listed, or give --home")
    out.write(
        b"# dnsonde: who attacks or scans. Look at it before you block by it: whoever sends UDP, or SYNs and nothing "
        b"more, can forge where it comes from.\n"
    )
    told: set[str] = set()
    spared: dict[str, str] = {}
    for incident in view.incidents():
        if LEVELS[incident.severity] < LEVELS[severity] or incident.confidence < confidence:
            continue
        entry = _entry(incident, view)
        if entry is None or entry in told or kind not in {"all", _kind(incident)}:
            continue
        owner = incident.network and _relied_on(incident.network)
        if owner:
            spared[entry] = owner
            continue
        told.add(entry)
        why = terminal(incident.title, keep="").encode("ascii", "backslashreplace").decode("ascii")
        line = f"{entry} # {incident.detector}, {incident.severity}, {rfc3339(incident.last_us)}: {why}\n"
        out.write(line.encode("ascii"))
    if spared:
        named = ", ".join(f"{entry} ({owner})" for entry, owner in spared.items())
        view.warn(f"left out, since your users may need it and its address is easily forged: {named}")


def _is_nobodys(place: Prefix) -> bool:
    """Whether nobody outside has such an address: whoever blocks it blocks himself, or nothing."""
    return any(place.version == one.version and place.overlaps(one) for one in (*PRIVATE, *NO_HOST))


def _relied_on(place: Prefix) -> str | None:
    """Whose name server, which very many depend on, has an address in it; None where none has."""
    known = relied_on()
    if place.prefixlen == place.max_prefixlen:  # as nearly all are, and of bots there may be very many
        return known.get(place.network_address)
    return next((owner for address, owner in known.items() if address in place), None)


def _kind(incident: Incident) -> str:
    return "domain" if incident.kind == "domain" else "address"


def _entry(incident: Incident, view: View) -> str | None:
    if incident.kind == "domain":
        name = name_of(incident)
        return None if name is None else name.to_text(omit_final_dot=True)
    place = incident.network
    if incident.nature.role != "source" or place is None or view.is_home(place) or _is_nobodys(place):
        return None
    return str(place.network_address) if place.prefixlen == place.max_prefixlen else str(place)
