"""STIX 2.1, for threat-intelligence platforms."""

import json
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO

from dnsonde.clock import moment, rfc3339
from dnsonde.export._contract import require_within
from dnsonde.export._documents import document, stable_uuid
from dnsonde.extra import library
from dnsonde.view.nature import REFLECTION, Technique
from dnsonde.view.view import Host, Incident, View

PRODUCER = "dnsonde"
# When what is known by no time of its own is said to be made: `created` must not change under one identifier (3.6).
EPOCH_US = 1_700_000_000_000_000


def stix(
    view: View,
    out: BinaryIO,
    *,
    hosts_max: Annotated[int, "open resolvers, those first that amplify most"] = 1000,
) -> None:
    """Write findings and open resolvers as one STIX 2.1 bundle, with MITRE ATT&CK techniques.

    A domain of a campaign is an indicator; an address is observed data with a sighting of the technique; an open
    resolver is infrastructure for amplification. The same input gives the same identifiers.
    """
    require_within("hosts_max", hosts_max)
    lib = library("stix2", "stix")
    found: dict[str, Any] = {}
    for thing in _things(view, lib, hosts_max):
        found.setdefault(thing.id, thing)
    view.warn_of_more(hosts_max)
    bundle = lib.Bundle(
        *found.values(), id=f"bundle--{stable_uuid('bundle', *sorted(found))}", allow_custom=True
    )
    document(json.loads(bundle.serialize()), out)


def _things(view: View, lib: Any, hosts_max: int) -> Iterator[Any]:
    producer = lib.Identity(
        id=f"identity--{stable_uuid('identity')}", name=PRODUCER, identity_class="system", **_made(EPOCH_US)
    )
    yield producer
    by = {"created_by_ref": producer.id}
    for host in view.hosts(most=hosts_max):
        yield from _of_host(host, lib, by)
    for incident in view.incidents():
        yield from _of_incident(incident, lib, by)


def _of_host(host: Host, lib: Any, by: dict[str, str]) -> Iterator[Any]:
    address = _address(host.address, lib)
    technique = _technique(REFLECTION, lib, by)
    place = lib.Infrastructure(
        id=f"infrastructure--{stable_uuid('host', host.address)}",
        name=f"Open DNS resolver {host.address}",
        description=host.row["why"],
        infrastructure_types=["amplification"],
        confidence=round(100 * host.row["confidence"]),
        **by,
        **_made(EPOCH_US, host.time_us),
    )
    yield from (address, technique, place)
    yield _relation(place, "consists-of", address, lib, by | _made(EPOCH_US, host.time_us))
    if host.owner.asn is not None:
        system = lib.AutonomousSystem(
            number=host.owner.asn, **({"name": host.owner.as_name} if host.owner.as_name else {})
        )
        yield system
        yield _relation(address, "belongs-to", system, lib, by | _made(EPOCH_US, host.time_us))


def _of_incident(incident: Incident, lib: Any, producer: dict[str, Any]) -> Iterator[Any]:
    observable = _subject(incident, lib)
    by = producer | _made(incident.first_us, incident.last_us)
    observed = lib.ObservedData(
        id=f"observed-data--{stable_uuid('observed', incident.key)}",
        first_observed=rfc3339(incident.first_us),
        last_observed=rfc3339(max(incident.first_us, incident.last_us)),
        number_observed=min(max(1, incident.count), 999_999_999),
        object_refs=[observable.id],
        confidence=round(100 * incident.confidence),
        labels=[incident.detector, incident.severity],
        **by,
    )
    yield from (observable, observed)
    told: Any = None
    if incident.nature.technique is not None:
        told = _technique(incident.nature.technique, lib, producer)
        yield told
    if incident.kind == "domain" and incident.nature.role == "campaign":
        indicator = lib.Indicator(
            id=f"indicator--{stable_uuid('indicator', incident.key)}",
            name=incident.title,
            description=incident.summary,
            indicator_types=["malicious-activity"],
            pattern=f"[domain-name:value = '{_quoted(incident.subject)}']",
            pattern_type="stix",
            valid_from=rfc3339(incident.first_us),
            confidence=round(100 * incident.confidence),
            external_references=[
                {"source_name": f"reference {n}", "description": text}
                for n, text in enumerate(incident.references, 1)
            ],
            **by,
        )
        yield indicator
        if told is not None:
            yield _relation(indicator, "indicates", told, lib, by)
        told = indicator
    if told is not None:
        yield lib.Sighting(
            id=f"sighting--{stable_uuid('sighting', incident.key)}",
            sighting_of_ref=told.id,
            observed_data_refs=[observed.id],
            first_seen=rfc3339(incident.first_us),
            last_seen=rfc3339(max(incident.first_us, incident.last_us)),
            count=min(max(1, incident.count), 999_999_999),
            description=incident.description,
            **by,
        )


def _subject(incident: Incident, lib: Any) -> Any:
    return (
        lib.DomainName(value=incident.subject)
        if incident.kind == "domain"
        else _address(incident.subject, lib)
    )


def _address(text: str, lib: Any) -> Any:
    return lib.IPv6Address(value=text) if ":" in text else lib.IPv4Address(value=text)


def _technique(technique: Technique, lib: Any, by: dict[str, str]) -> Any:
    reference = {
        "source_name": "mitre-attack",
        "external_id": technique.id,
        "url": f"https://attack.mitre.org/techniques/{technique.id.replace('.', '/')}",
    }
    return lib.AttackPattern(
        id=f"attack-pattern--{stable_uuid('technique', technique.id)}",
        name=technique.name,
        external_references=[reference],
        **by,
        **_made(EPOCH_US),
    )


def _relation(one: Any, kind: str, other: Any, lib: Any, by: dict[str, Any]) -> Any:
    return lib.Relationship(
        id=f"relationship--{stable_uuid('relation', one.id, kind, other.id)}",
        relationship_type=kind,
        source_ref=one.id,
        target_ref=other.id,
        **by,
    )


def _made(first_us: int, last_us: int = 0) -> dict[str, Any]:
    return {"created": moment(first_us), "modified": moment(max(first_us, last_us))}


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
