"""Elastic Common Schema, for Elastic, OpenSearch and what else speaks it."""

from collections.abc import Iterator
from ipaddress import ip_address
from types import MappingProxyType
from typing import Annotated, Any, BinaryIO

from dnsonde.clock import rfc3339
from dnsonde.export._documents import LEVELS, known, lines, stable_uuid
from dnsonde.export._messages import dns_rows, opcode, rcode, rrclass, rrtype
from dnsonde.owners.owner import Owner
from dnsonde.view.nature import Technique
from dnsonde.view.view import Host, Incident, View

VERSION = "8.17.0"
MODULE = "dnsonde"
CATEGORIES = MappingProxyType(
    {"ddos": ["network", "intrusion_detection"], "infected-system": ["malware", "network"]}
)
SIDES = MappingProxyType({"victim": "destination", "asset": "destination"})


def ecs(
    view: View,
    out: BinaryIO,
    *,
    messages: Annotated[bool, "every DNS message of a lake, too"] = False,
) -> None:
    """Write the hosts that answered, the findings and, if asked for, DNS messages as ECS documents, one a line.

    What ECS has no field for is below `dnsonde`.
    """
    lines(_documents(view, messages=messages), out)


def _documents(view: View, *, messages: bool) -> Iterator[dict[str, Any]]:
    for host in view.hosts(only_open=False):
        yield _of_host(host, view.port)
    for incident in view.incidents():
        yield _of_incident(incident)
    if messages:
        for row in dns_rows(view):
            yield _of_message(row)


def _of_host(host: Host, port: int) -> dict[str, Any]:
    row = host.row
    event = {"kind": "state", "category": ["vulnerability"], "type": ["info"], "dataset": f"{MODULE}.verdict"}
    return _base(host.time_us, event, row["why"]) | {
        "destination": {"ip": host.address, "port": port, **_owner(host.owner)},
        "network": {"protocol": "dns", "transport": "udp", "type": _version(host.address)},
        "related": {"ip": sorted({host.address} | {row[k] for k in ("egress", "responder") if row[k]})},
        **known(dns=known(response_code=rcode(row["rcode"]))),
        MODULE: known(
            **{
                "class": host.name,
                "subclass": row["subclass"],
                "open": host.open,
                "confidence": row["confidence"],
            },
            egress=row["egress"],
            responder=row["responder"],
            amplification=row["amplification"],
        ),
    }


def _of_incident(incident: Incident) -> dict[str, Any]:
    event = {
        "kind": "alert",
        "category": CATEGORIES.get(incident.nature.kind, ["network"]),
        "type": ["info"],
        "dataset": f"{MODULE}.finding",
        "id": stable_uuid("ecs", incident.key),
        "severity": LEVELS[incident.severity],
        "start": rfc3339(incident.first_us),
        "end": rfc3339(incident.last_us),
        "reason": incident.title,
    }
    document = _base(incident.last_us, event, incident.description) | {
        "rule": {
            "name": incident.detector,
            "category": incident.threat,
            "reference": " ".join(incident.references),
        },
        MODULE: {
            "subject": incident.subject,
            "subject_kind": incident.kind,
            "confidence": incident.confidence,
            "count": incident.count,
            "evidence": incident.evidence,
        },
    }
    if incident.nature.technique is not None:
        document["threat"] = _threat(incident.nature.technique)
    if incident.kind == "domain":
        document["dns"] = {"question": {"name": incident.subject, "registered_domain": incident.subject}}
        document["related"] = {"hosts": [incident.subject]}
    elif incident.kind == "address":
        side = SIDES.get(incident.nature.role, "source")
        document[side] = {"ip": incident.subject, **_owner(incident.owner)}
        document["related"] = {"ip": [incident.subject]}
    return document


def _of_message(row: dict[str, Any]) -> dict[str, Any]:
    kind = "answer" if row["response"] else "query"
    event = {
        "kind": "event",
        "category": ["network"],
        "type": ["protocol", "info"],
        "dataset": f"{MODULE}.message",
    }
    flags = [name.upper() for name in ("aa", "tc", "rd", "ra", "ad", "cd") if row[name]]
    question = known(
        name=row["qname"],
        type=rrtype(row["qtype"]),
        registered_domain=row["registered_domain"],
        **{"class": rrclass(row["qclass"])},
    )
    answer = known(resolved_ip=[row["answer"]] if row["answer"] else [])
    told = known(
        id=None if row["id"] is None else str(row["id"]),
        op_code=opcode(row["opcode"]),
        response_code=rcode(row["rcode"]),
        header_flags=flags,
        question=question,
    )
    # What came without a packet (a dnstap file, a log) has no transport that ECS knows.
    carried = known(
        transport=row["transport"] if row["transport"] in {"udp", "tcp"} else None, bytes=row["ip_bytes"]
    )
    return _base(row["time_us"], event, None) | {
        "source": {"ip": row["src"], "port": row["src_port"]},
        "destination": {"ip": row["dst"], "port": row["dst_port"]},
        "network": {"protocol": "dns", "type": _version(row["src"]), **carried},
        "dns": {"type": kind, **told, **answer},
        "related": {"ip": sorted({row["src"], row["dst"]})},
    }


def _base(time_us: int, event: dict[str, Any], message: str | None) -> dict[str, Any]:
    return {
        "@timestamp": rfc3339(time_us),
        "ecs": {"version": VERSION},
        "event": {"module": MODULE, **event},
        **known(message=message),
    }


def _owner(owner: Owner) -> dict[str, Any]:
    system = known(number=owner.asn, organization=known(name=owner.as_name))
    return known(**{"as": system, "geo": known(country_iso_code=owner.country)})


def _threat(technique: Technique) -> dict[str, Any]:
    (number, name), own = technique.parts
    told: dict[str, Any] = {"id": [number], "name": [name]}
    if own is not None:
        told["subtechnique"] = {"id": [own[0]], "name": [own[1]]}
    return {"framework": "MITRE ATT&CK", "technique": told}


def _version(address: str) -> str:
    """`ipv4` or `ipv6`."""
    return f"ipv{ip_address(address).version}"
