"""STIX 2.1, for threat-intelligence platforms."""

import json
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO

from dnsonde.export._contract import Host, Incident, View, moment
from dnsonde.export._documents import document, known, stable_uuid
from dnsonde.export._threats import REFLECTION, Technique

PRODUCER = "dnsonde"
SPEC = "2.1"
OBSERVABLES = uuid.UUID(
    "00abedb4-aa42-466c-9c01-fed23315a9b7"
)  # the namespace of identifiers that STIX 2.1 gives
EPOCH_US = (
    1_700_000_000_000_000  # when the producer and the techniques are said to be made: it must not change
)


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
    found: dict[str, dict[str, Any]] = {}
    for thing in _things(view, hosts_max):
        found.setdefault(thing["id"], thing)
    left = view.host_count() - hosts_max
    if left > 0:
        view.warn(f"{left:,} open resolvers are left out: `--set hosts_max={view.host_count()}` takes all")
    bundle = {"type": "bundle", "id": f"bundle--{stable_uuid('bundle', *sorted(found))}"}
    document(bundle | {"objects": list(found.values())}, out)


def _things(view: View, hosts_max: int) -> Iterator[dict[str, Any]]:
    yield _PRODUCER
    for host in view.hosts(most=hosts_max):
        yield from _of_host(host)
    for incident in view.incidents():
        yield from _of_incident(incident)


def _of_host(host: Host) -> Iterator[dict[str, Any]]:
    address = _observable(_kind(host.address), "value", host.address)
    place = _made(
        "infrastructure", stable_uuid("host", host.address), host.time_us,
        name=f"Open DNS resolver {host.address}",
        description=host.row["why"],
        infrastructure_types=["amplification"],
        confidence=round(100 * host.row["confidence"]),
    )  # fmt: skip
    yield from (address, _technique(REFLECTION), place)
    yield _relation(place, "consists-of", address, host.time_us)
    if host.owner.asn is not None:
        system = _observable("autonomous-system", "number", host.owner.asn) | known(name=host.owner.as_name)
        yield system
        yield _relation(address, "belongs-to", system, host.time_us)


def _of_incident(incident: Incident) -> Iterator[dict[str, Any]]:
    kind = "domain-name" if incident.kind == "domain" else _kind(incident.subject)
    observable = _observable(kind, "value", incident.subject)
    first, last = _moment(incident.first_us), _moment(max(incident.first_us, incident.last_us))
    count = min(max(1, incident.count), 999_999_999)
    confidence = round(100 * incident.confidence)
    observed = _made(
        "observed-data", stable_uuid("observed", incident.key), incident.last_us,
        first_observed=first, last_observed=last, number_observed=count, object_refs=[observable["id"]],
        labels=[incident.detector, incident.severity], confidence=confidence,
    )  # fmt: skip
    yield from (observable, observed)
    told = None
    if incident.nature.technique is not None:
        told = _technique(incident.nature.technique)
        yield told
    if incident.kind == "domain" and incident.nature.role == "campaign":
        indicator = _made(
            "indicator", stable_uuid("indicator", incident.key), incident.last_us,
            name=incident.title, description=incident.summary, indicator_types=["malicious-activity"],
            pattern=f"[domain-name:value = '{_quoted(incident.subject)}']", pattern_type="stix",
            pattern_version="2.1", valid_from=first, confidence=confidence,
            **known(external_references=[
                {"source_name": f"reference {n}", "description": text}
                for n, text in enumerate(incident.references, 1)
            ]),
        )  # fmt: skip
        yield indicator
        if told is not None:
            yield _relation(indicator, "indicates", told, incident.last_us)
        told = indicator
    if told is not None:
        yield _made(
            "sighting", stable_uuid("sighting", incident.key), incident.last_us,
            description=f"{incident.title}. {incident.summary}", first_seen=first, last_seen=last, count=count,
            sighting_of_ref=told["id"], observed_data_refs=[observed["id"]],
        )  # fmt: skip


def _kind(address: str) -> str:
    return "ipv6-addr" if ":" in address else "ipv4-addr"


def _observable(kind: str, name: str, value: str | int) -> dict[str, Any]:
    """A thing that is what it is by one value, of which its identifier is made (STIX 2.1, 2.9)."""
    told = json.dumps({name: value}, ensure_ascii=False, separators=(",", ":"))
    return {
        "type": kind,
        "spec_version": SPEC,
        "id": f"{kind}--{uuid.uuid5(OBSERVABLES, told)}",
        name: value,
    }


def _technique(technique: Technique) -> dict[str, Any]:
    reference = {
        "source_name": "mitre-attack",
        "url": f"https://attack.mitre.org/techniques/{technique.id.replace('.', '/')}",
        "external_id": technique.id,
    }
    return _made(
        "attack-pattern", stable_uuid("technique", technique.id), EPOCH_US,
        name=technique.name, external_references=[reference],
    )  # fmt: skip


def _relation(one: dict[str, Any], kind: str, other: dict[str, Any], time_us: int) -> dict[str, Any]:
    return _made(
        "relationship", stable_uuid("relation", one["id"], kind, other["id"]), time_us,
        relationship_type=kind, source_ref=one["id"], target_ref=other["id"],
    )  # fmt: skip


def _made(kind: str, number: str, time_us: int, **values: Any) -> dict[str, Any]:
    """An object that somebody made: ourselves, but for who we are."""
    when = _moment(time_us, 3)
    by = {} if kind == "identity" else {"created_by_ref": _PRODUCER["id"]}
    head = {"type": kind, "spec_version": SPEC, "id": f"{kind}--{number}", **by}
    return head | {"created": when, "modified": when} | values


def _moment(time_us: int, digits: int = 0) -> str:
    """A time as STIX writes it: no more digits of a second than it has, and no fewer than `digits`."""
    when = moment(time_us)
    rest = f"{when:%f}".rstrip("0").ljust(digits, "0")
    return f"{when:%Y-%m-%dT%H:%M:%S}{f'.{rest}' if rest else ''}Z"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


_PRODUCER = _made("identity", stable_uuid("identity"), EPOCH_US, name=PRODUCER, identity_class="system")
