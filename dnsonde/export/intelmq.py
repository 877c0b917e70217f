"""IntelMQ events, ready for a collector that reads files."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from dnsonde.clock import moment
from dnsonde.export._documents import known, lines
from dnsonde.owners.owner import Owner
from dnsonde.view.view import Host, Incident, View

FEED = "dnsonde"
HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+")
SIDES = {"victim": "destination"}
KEY = re.compile(r"[^a-z0-9_]")


def intelmq(view: View, out: BinaryIO) -> None:
    """Write open resolvers and findings as IntelMQ events, one JSON object a line.

    Field names and values are those of IntelMQ's data harmonization; what has no field there is in `extra`.
    """
    lines(_events(view), out)


def _events(view: View) -> Iterator[dict[str, Any]]:
    for host in view.hosts():
        yield _of_host(host, view.port)
    for incident in view.incidents():
        yield _of_incident(incident)


def _of_host(host: Host, port: int) -> dict[str, Any]:
    return _event(host.time_us, host.row["confidence"]) | {
        "classification.taxonomy": "vulnerable",
        "classification.type": "vulnerable-system",
        "classification.identifier": "dns-open-resolver",
        "severity": "medium",
        "protocol.application": "dns",
        "protocol.transport": "udp",
        "source.ip": host.address,
        "source.port": port,
        "event_description.text": host.row["why"],
        "extra.class": host.name,
        "extra.min_amplification": round(host.factor, 4),
        **_owner("source", host.owner),
        **known(**{"extra.egress": host.row["egress"]}),
    }


TAXONOMY = {
    "ddos": "availability",
    "scanner": "information-gathering",
    "vulnerable-system": "vulnerable",
    "infected-system": "malicious-code",
    "brute-force": "intrusion-attempts",
    "ids-alert": "intrusion-attempts",
    "other": "other",
}


def _of_incident(incident: Incident) -> dict[str, Any]:
    side = SIDES.get(incident.nature.role, "source")
    event = _event(incident.last_us, incident.confidence) | {
        "classification.taxonomy": TAXONOMY[incident.nature.kind],
        "classification.type": incident.nature.kind,
        "classification.identifier": incident.nature.identifier,
        "severity": incident.severity,
        "event_description.text": incident.description,
        "extra.detector": incident.detector,
        "extra.first_seen": moment(incident.first_us).isoformat(),
        "extra.count": incident.count,
        **_owner(side, incident.owner),
        **known(**{"malware.name": incident.malware}),
        **{f"extra.{key}": value for key, value in _flat(incident.evidence, "evidence")},
    }
    if incident.kind == "address":
        event[f"{side}.ip"] = incident.subject
    elif incident.kind == "prefix":
        event[f"{side}.network"] = incident.subject
    elif HOST_NAME.fullmatch(incident.subject):
        event[f"{side}.fqdn"] = incident.subject
    else:  # no host name: IntelMQ would refuse the event
        event["event_description.target"] = incident.subject
    return event


def _event(time_us: int, confidence: float) -> dict[str, Any]:
    return {
        "__type": "Event",
        "feed.name": FEED,
        "feed.accuracy": round(100 * confidence, 1),
        "time.source": moment(time_us).replace(microsecond=0).isoformat(),
    }


def _owner(side: str, owner: Owner) -> dict[str, Any]:
    return known(
        **{
            f"{side}.asn": owner.asn,
            f"{side}.as_name": owner.as_name,
            f"{side}.network": owner.prefix,
            f"{side}.geolocation.cc": owner.country,
            f"{side}.abuse_contact": owner.abuse,
        }
    )


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Nested objects as dotted names, which is how IntelMQ stores them."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{KEY.sub('_', str(key).lower())}")
    elif value not in (None, "", []):
        yield name, value
