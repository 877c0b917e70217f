"""XARF v4 reports, for those who can mend what was found."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO

from dnsonde.clock import rfc3339
from dnsonde.errors import UsageError
from dnsonde.export._attacks import TCP, Attack, attacks, during
from dnsonde.export._contract import require_within
from dnsonde.export._documents import known, lines, stable_uuid
from dnsonde.owners.owner import mail_of
from dnsonde.view.view import Host, Incident, View
from dnsonde.wire.batch import address_pair

VERSION = "4.2.0"
LENGTH_MAX = 200
TELNET_PORTS = (23, 2323)
PROTOCOLS = {"tcp", "udp", "icmp"}  # that XARF names; whatever else is its `mixed`
TAG = re.compile(r"[^a-z0-9_+-]+")


def xarf(
    view: View,
    out: BinaryIO,
    *,
    org: Annotated[str, "who reports: the organisation"] = "",
    contact: Annotated[str, "who reports: the mail address; the plan's if not given"] = "",
    sources_max: Annotated[int, "reflectors of one attack that are reported"] = 100,
) -> None:
    """Write open resolvers, infected hosts, scanners and reflectors as XARF v4 reports, one JSON object a line.

    One incident is one report, about the address that can be mended. Forged addresses are not reported: of an attack
    only the reflectors are. `dnsonde export --mail DIR` writes each as a mail to its abuse contact; nothing is sent.
    """
    lines((report for report, _ in reports(view, org, contact, sources_max)), out)


def reports(
    view: View, org: str, contact: str, sources_max: int = 100
) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Every report with the abuse contact of its source, where one is known. UsageError without a contact."""
    require_within("sources_max", sources_max)
    sender = _sender(org, contact or view.contact)
    for host in view.hosts():
        yield _of_host(host, view.port) | sender, host.owner.abuse
    for incident in view.incidents():
        if incident.kind == "address" and incident.nature.role in {"source", "asset"}:
            report = _of_incident(incident, view)
            if report is not None:
                yield report | sender, incident.owner.abuse
    for attack in attacks(view):
        yield from _of_attack(attack, view, sources_max, sender)


def _sender(org: str, contact: str) -> dict[str, Any]:
    contact = contact.removeprefix("mailto:")
    if mail_of(contact) is None:
        raise UsageError(
            "a report says who reports: give your mail address with `--set contact=abuse@example.net`, and your "
            "organisation with `--set org=NAME`"
        )
    domain = contact.rpartition("@")[2].lower()
    who = {"org": (org or domain)[:LENGTH_MAX], "contact": contact, "domain": domain}
    return {"reporter": who, "sender": who}


def _of_host(host: Host, port: int) -> dict[str, Any]:
    report = _report("vulnerability", "open_service", host.address, host.time_us)
    return report | {
        "service": "dns",
        "source_port": port,
        "evidence_source": "vulnerability_scan",
        "description": f"Open DNS resolver ({host.name}): {host.row['why']}",
        "tags": ["dns:open-resolver", f"dnsonde:{TAG.sub('-', host.name)}"],
        "evidence": [_evidence("What a DNS query from outside showed", {
            "confidence": host.row["confidence"], "class": host.name, "why": host.row["why"],
            "amplification": host.factor, "egress": host.row["egress"],
            "query_bytes": host.row["query_bytes"], "response_bytes": host.row["response_bytes"],
        })],
        "amplification_factor": round(host.factor, 4),
    }  # fmt: skip


def _of_incident(incident: Incident, view: View) -> dict[str, Any] | None:
    if incident.nature.report is None:
        return None
    category, kind = incident.nature.report
    report = _report(category, kind, incident.subject, incident.last_us, incident.key) | {
        "description": incident.description,
        "evidence_source": "traffic_analysis",
        "tags": [f"dnsonde:{TAG.sub('-', incident.detector)}"],
        "evidence": [
            _evidence("What the traffic showed", {"confidence": incident.confidence, **incident.evidence})
        ],
        "first_seen": rfc3339(incident.first_us),
        "last_seen": rfc3339(incident.last_us),
    }
    protocol = incident.evidence.get("protocol", "udp" if incident.detector == "dns_sweep" else "tcp")
    if kind == "open_service":
        return report | {"service": "dns", "source_port": 53}
    if kind == "infected_host":
        named = known(bot_name=incident.malware)
        return report | named | {"protocol": "tcp", "bot_type": "malicious"}
    if kind == "vulnerability_scan":
        ports = [port for port in incident.evidence.get("scanned_ports", []) if 0 < port < 65536]
        protocol = protocol if protocol in PROTOCOLS else "mixed"
        return report | {"protocol": protocol, "scan_type": "port_scan"} | known(targeted_ports=ports)
    ends = _ports(incident, view)
    if ends is None:  # behind a shared address nobody can be found without it, and XARF demands it
        view.warn(f"{incident.subject}: the source port of {incident.detector} is not known, no report of it")
        return None
    return report | {"protocol": "tcp", "source_port": ends[0], "destination_port": ends[1]}


def _of_attack(
    attack: Attack, view: View, sources_max: int, sender: dict[str, Any]
) -> Iterator[tuple[dict[str, Any], str | None]]:
    for vector in attack.vectors:
        if vector.source_port is None:  # sources of direct floods are forged
            continue
        sources = attack.source_addresses(vector, sources_max)
        owners = view.owners(sources)
        for source in sources:
            owner = owners.get(source)
            what = (attack.target, vector.source_port)
            report = _report("connection", "ddos", source, attack.last_us, *what)
            if attack.target.prefixlen == attack.target.max_prefixlen:
                report["destination_ip"] = attack.incident.subject
            yield report | sender | {
                "source_port": vector.source_port,
                "protocol": "udp",
                "attack_vector": f"{TAG.sub('_', vector.service.lower())}_amplification",
                "first_seen": rfc3339(vector.first_us),
                "last_seen": rfc3339(vector.last_us),
                "evidence_source": "flow_analysis",
                "description": f"Port {vector.source_port} ({vector.service}) of this address is misused to reflect "
                "an attack.",
                "tags": [f"ddos:{TAG.sub('-', vector.service.lower())}-amplification"],
            }, owner.abuse if owner else None  # fmt: skip


def _ports(incident: Incident, view: View) -> tuple[int, int] | None:
    """Source and destination port of one Telnet flow of the finding's."""
    net, host = address_pair(incident.subject)
    mine = view.tables["flow"].filter(f"{during(incident)} AND src_net = {net} AND src_host = {host}")
    telnet = mine.filter(f"protocol = {TCP} AND dst_port IN {TELNET_PORTS} AND src_port > 0")
    return telnet.project("src_port, dst_port").order("src_port, dst_port").fetchone()


def _report(category: str, kind: str, source: str, time_us: int, *what: object) -> dict[str, Any]:
    """What every report has; what: tells it from others about the same source at the same time."""
    return {
        "xarf_version": VERSION,
        "report_id": stable_uuid("xarf", category, kind, source, time_us, *what),
        "timestamp": rfc3339(time_us),
        "source_identifier": source,
        "category": category,
        "type": kind,
        # No `confidence`: the schema has a number from 0 to 1, and XARF's own library reads 0 and 1 alone.
    }


def _evidence(description: str, value: Any) -> dict[str, Any]:
    payload = json.dumps(value, ensure_ascii=True, sort_keys=True).encode("ascii")
    return {
        "content_type": "application/json",
        "description": description,
        "payload": base64.b64encode(payload).decode("ascii"),
        "hash": f"sha256:{hashlib.sha256(payload).hexdigest()}",
        "size": len(payload),
    }
