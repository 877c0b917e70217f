"""Domains of those who probe in secret, steal or command: what a resolver may refuse to resolve."""

from collections.abc import Iterator

import dns.exception
import dns.name

from dnsonde.intel.indicators import indicators
from dnsonde.intel.load import campaigns
from dnsonde.view.view import Incident, View

BLOCKED = ("covert", "unknown")  # intents; those who say who they are and why may ask
BOTS, LISTED = "botnet_c2", "indicator"  # the detector, and what it calls a contact with a listed place


def name_of(incident: Incident) -> dns.name.Name | None:
    """The domain of a finding that nobody of good will has; None for others, and for what is no name of two labels."""
    if incident.kind != "domain" or incident.nature.role != "campaign":
        return None
    if incident.evidence.get("intent", "unknown") not in BLOCKED:
        return None
    return _name(incident.subject)


def found(view: View) -> Iterator[tuple[dns.name.Name, str]]:
    """Domains among the findings, each with the reason."""
    for incident in view.incidents():
        name = name_of(incident)
        if name is not None:
            yield name, f"{incident.detector}: {incident.evidence.get('campaign', 'unknown')}"
        for name in _servers(incident):
            yield name, f"{incident.detector}: {incident.malware}"


def _servers(incident: Incident) -> Iterator[dns.name.Name]:
    """The listed names of bots' servers that a host asked for."""
    signs, names = incident.evidence.get("signs"), incident.evidence.get("names")
    if incident.detector == BOTS and isinstance(names, list) and LISTED in str(signs):
        for text in names:
            name = _name(str(text))
            if name is not None:
                yield name


def listed() -> Iterator[tuple[dns.name.Name, str]]:
    """Zones of covert campaigns and domains of bots' servers that are known, each with whose they are."""
    for campaign in campaigns():
        if campaign.intent in BLOCKED:
            for zone in campaign.zones:
                yield dns.name.from_text(zone), f"campaign: {campaign.name}"
    for indicator in indicators():
        name = _name(indicator.value) if indicator.kind == "domain" else None
        if name is not None:
            yield name, f"malware: {indicator.malware}"


def _name(text: str) -> dns.name.Name | None:
    try:
        name = dns.name.from_text(text.encode("ascii", "strict").decode("ascii"))
    except (dns.exception.DNSException, ValueError):
        return None
    # One label is a top-level domain: no finding is worth that.
    return name if len(name.labels) > 2 else None
