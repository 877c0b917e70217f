"""Open Cybersecurity Schema Framework, for Amazon Security Lake, Splunk and others."""

from collections.abc import Iterator
from importlib.metadata import version
from types import MappingProxyType
from typing import Annotated, Any, BinaryIO

from dnsonde.export._documents import LEVELS, known, lines, stable_uuid
from dnsonde.export._messages import dns_rows, rcode, rrclass, rrtype
from dnsonde.owners.owner import Owner
from dnsonde.view.nature import REFLECTION, Technique
from dnsonde.view.view import Host, Incident, View

VERSION = "1.5.0"
ATTACK_VERSION = "17.1"
DETECTION, CREATE, FINDINGS = 2004, 1, 2
DNS_ACTIVITY, NETWORK = 4003, 4
QUERY, RESPONSE = 1, 2
OBSERVABLES = MappingProxyType({"address": 2, "prefix": 99, "domain": 1})
UNASSIGNED_RCODE, OTHER_RCODE = 24, 99
PRIVATE_RCODES = 3841  # IANA's first for private use
AFFECTED, SUBJECT = "resources[].uid", "unmapped.subject"  # attributes that hold what a finding is about
RULE = 1


def ocsf(
    view: View,
    out: BinaryIO,
    *,
    messages: Annotated[bool, "every DNS message of a lake, too"] = False,
) -> None:
    """Write open resolvers and findings as OCSF Detection Findings (2004), one JSON object a line.

    DNS messages, if asked for, are DNS Activity (4003). What OCSF has no attribute for is in `unmapped`.
    """
    lines(_events(view, messages=messages), out)


def _events(view: View, *, messages: bool) -> Iterator[dict[str, Any]]:
    for host in view.hosts():
        yield _of_host(host)
    for incident in view.incidents():
        yield _of_incident(incident)
    if messages:
        for row in dns_rows(view):
            yield _of_message(row)


def _of_host(host: Host) -> dict[str, Any]:
    row = host.row
    finding = {
        "uid": stable_uuid("ocsf", host.address, host.time_us),
        "title": f"{host.address} resolves for strangers",
        "desc": row["why"],
        "types": ["open resolver"],
        "analytic": {"name": "verdict", "uid": "verdict", "type_id": RULE},
        "attacks": [_attack(REFLECTION)],
    }
    more = {"class": host.name, "amplification": row["amplification"], "egress": row["egress"]}
    return _finding(host.time_us, 3, row["confidence"], finding) | {
        "observables": [_observable(AFFECTED, "address", host.address)],
        "resources": [{"uid": host.address, "name": host.address, "type": "DNS resolver"}],
        "unmapped": known(**more, owner=_owner(host.owner)),
    }


def _of_incident(incident: Incident) -> dict[str, Any]:
    finding = {
        "uid": stable_uuid("ocsf", incident.key),
        "title": incident.title,
        "desc": incident.told,
        "types": [incident.threat],
        "analytic": {"name": incident.detector, "uid": incident.detector, "type_id": RULE},
        "first_seen_time": incident.first_us // 1000,
        "last_seen_time": incident.last_us // 1000,
        **known(attacks=[_attack(incident.nature.technique)] if incident.nature.technique else []),
    }
    affected = incident.nature.role in {"asset", "victim"}
    place = [{"uid": incident.subject, "name": incident.subject, "type": incident.kind}] if affected else []
    subject = None if affected else incident.subject
    return _finding(incident.last_us, LEVELS[incident.severity], incident.confidence, finding) | {
        "start_time": incident.first_us // 1000,
        "end_time": incident.last_us // 1000,
        "count": incident.count,
        "observables": [_observable(AFFECTED if affected else SUBJECT, incident.kind, incident.subject)],
        **known(resources=place),
        "unmapped": known(subject=subject, evidence=incident.evidence, owner=_owner(incident.owner)),
    }


def _finding(time_us: int, severity: int, confidence: float, finding: dict[str, Any]) -> dict[str, Any]:
    return {
        "class_uid": DETECTION,
        "class_name": "Detection Finding",
        "category_uid": FINDINGS,
        "category_name": "Findings",
        "activity_id": CREATE,
        "activity_name": "Create",
        "type_uid": DETECTION * 100 + CREATE,
        "time": time_us // 1000,
        "severity_id": severity,
        "status_id": 1,
        "confidence_score": round(100 * confidence),
        "confidence_id": 1 + (confidence >= 0.5) + (confidence >= 0.9),
        "message": finding["title"],
        "metadata": _metadata(finding["uid"]),
        "finding_info": finding,
    }


def _of_message(row: dict[str, Any]) -> dict[str, Any]:
    activity = RESPONSE if row["response"] else QUERY
    answers = (
        [{"type": "A" if "." in row["answer"] else "AAAA", "rdata": row["answer"]}] if row["answer"] else []
    )
    number = row["rcode"]
    return {
        "class_uid": DNS_ACTIVITY,
        "class_name": "DNS Activity",
        "category_uid": NETWORK,
        "category_name": "Network Activity",
        "activity_id": activity,
        "type_uid": DNS_ACTIVITY * 100 + activity,
        "time": row["time_us"] // 1000,
        "severity_id": 1,
        "metadata": _metadata(None),
        "src_endpoint": {"ip": row["src"], "port": row["src_port"]},
        "dst_endpoint": {"ip": row["dst"], "port": row["dst_port"]},
        **known(query=_query(row), answers=answers, rcode=rcode(number)),
        **({} if number is None else {"rcode_id": _rcode_id(number)}),
    }


def _query(row: dict[str, Any]) -> dict[str, Any] | None:
    """What was asked; None of a message without a question. The root's name is "." (RFC 9499)."""
    if row["qtype"] is None:
        return None
    told = {"hostname": row["qname"] or ".", "opcode_id": row["opcode"]}
    return told | known(type=rrtype(row["qtype"]), packet_uid=row["id"], **{"class": rrclass(row["qclass"])})


def _rcode_id(number: int) -> int:
    """OCSF's number of a response code: 24 of all that IANA has not assigned, 99 of what is for private use."""
    if number < 12 or 16 <= number < UNASSIGNED_RCODE:
        return number
    return UNASSIGNED_RCODE if number < PRIVATE_RCODES else OTHER_RCODE


def _metadata(uid: str | None) -> dict[str, Any]:
    product = {"name": "dnsonde", "vendor_name": "dnsonde", "version": version("dnsonde")}
    return {"version": VERSION, "product": product, **known(uid=uid)}


def _observable(attribute: str, kind: str, subject: str) -> dict[str, Any]:
    return {"name": attribute, "type_id": OBSERVABLES[kind], "value": subject}


def _attack(technique: Technique) -> dict[str, Any]:
    (number, name), own = technique.parts
    attack: dict[str, Any] = {"version": ATTACK_VERSION, "technique": {"uid": number, "name": name}}
    if own is not None:
        attack["sub_technique"] = {"uid": own[0], "name": own[1]}
    return attack


def _owner(owner: Owner) -> dict[str, Any]:
    return known(
        asn=owner.asn, as_name=owner.as_name, prefix=owner.prefix, country=owner.country, abuse=owner.abuse
    )
