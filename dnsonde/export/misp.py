"""A MISP event, to import or to put into a feed."""

import json
from datetime import UTC
from types import MappingProxyType
from typing import Annotated, Any, BinaryIO

from dnsonde.clock import moment, rfc3339
from dnsonde.export._attacks import Attack, attacks
from dnsonde.export._contract import require_within
from dnsonde.export._documents import LEVELS, document, stable_uuid
from dnsonde.extra import library
from dnsonde.view.view import Host, Incident, View

THREAT_LEVELS = MappingProxyType({5: 1, 4: 1, 3: 2, 2: 3, 1: 4})  # MISP: 1 high, 2 medium, 3 low, 4 undefined
COMMENT_MAX = 1000


def misp(
    view: View,
    out: BinaryIO,
    *,
    hosts_max: Annotated[int, "open resolvers, those first that amplify most"] = 1000,
) -> None:
    """Write findings and open resolvers as one MISP event, attacks as `ddos` objects.

    It is for your organisation only until you share it, and unpublished. Only domains of campaigns are for detection
    (`to_ids`). The same input gives the same identifiers.
    """
    require_within("hosts_max", hosts_max)
    lib = library("pymisp", "misp")
    incidents = view.incidents()
    hosts = list(view.hosts(most=hosts_max))
    view.warn_of_more(hosts_max)
    times = [incident.last_us for incident in incidents] + [host.time_us for host in hosts]
    latest = max(times, default=0)
    event = lib.MISPEvent()
    event.uuid = stable_uuid("misp", latest, *sorted(i.key for i in incidents), *(h.address for h in hosts))
    event.info = f"dnsonde: {len(incidents):,} findings, {view.host_count():,} open resolvers"
    event.date = moment(latest).astimezone(UTC).date()
    event.timestamp = latest // 1_000_000
    event.distribution = 0
    event.analysis = 2
    event.published = False
    worst = max((LEVELS[i.severity] for i in incidents), default=3 if hosts else 1)
    event.threat_level_id = THREAT_LEVELS[worst]
    event.add_tag("tlp:amber")
    told = {incident.at: attack for attack in attacks(view) for incident in attack.incidents}
    for incident in incidents:
        attack = told.get(incident.at)
        if attack is not None and attack.incident is not incident:
            continue  # with the worst that was found of the same attack
        if incident.nature.kind == "ddos" and incident.kind != "domain":
            event.add_object(_ddos(incident, attack, lib))
        else:
            _attribute(event, incident)
    for host in hosts:
        _host(event, host)
    document({"Event": json.loads(event.to_json())}, out)


def _attribute(event: Any, incident: Incident) -> None:
    campaign = incident.kind == "domain" and incident.nature.role == "campaign"
    kind = {"domain": "domain", "address": "ip-src", "prefix": "ip-src"}[incident.kind]
    if incident.nature.role in {"asset", "victim"} and kind == "ip-src":
        kind = "ip-dst"
    event.add_attribute(
        kind,
        incident.subject,
        uuid=stable_uuid("attribute", incident.key),
        timestamp=incident.last_us // 1_000_000,
        category="Network activity",
        to_ids=campaign and incident.evidence.get("intent", "unknown") in {"covert", "unknown"},
        comment=incident.description[:COMMENT_MAX],
        first_seen=rfc3339(incident.first_us),
        last_seen=rfc3339(max(incident.first_us, incident.last_us)),
        disable_correlation=incident.nature.role == "asset",
    )


def _host(event: Any, host: Host) -> None:
    event.add_attribute(
        "ip-dst",
        host.address,
        uuid=stable_uuid("attribute", "host", host.address, host.time_us),
        timestamp=host.time_us // 1_000_000,
        category="Network activity",
        to_ids=False,
        comment=f"Open DNS resolver ({host.name}), amplification {host.factor:.1f}: {host.row['why']}"[
            :COMMENT_MAX
        ],
    )


def _ddos(incident: Incident, attack: Attack | None, lib: Any) -> Any:
    made = lib.MISPObject("ddos", strict=True)
    made.uuid = stable_uuid("object", incident.key)
    made.timestamp = incident.last_us // 1_000_000
    made.comment = incident.title[:COMMENT_MAX]
    found = (incident,) if attack is None else attack.incidents
    first_us = min(one.first_us for one in found)
    values: list[tuple[str, Any]] = [
        ("ip-dst", incident.subject),
        ("first-seen", rfc3339(first_us)),
        ("last-seen", rfc3339(max(first_us, *(one.last_us for one in found)))),
        ("text", " ".join(one.description for one in found)[:COMMENT_MAX]),
        *(("type", kind) for kind in sorted({one.nature.identifier for one in found})),
    ]
    if attack is not None:
        values += [
            ("total-bps", round(8 * attack.octets / attack.seconds)),
            ("total-pps", round(attack.packets / attack.seconds)),
            ("total-bytes-sent", attack.octets),
            ("total-packets-sent", attack.packets),
        ]
        # The template has one protocol: the one of the vector with the most packets.
        values += [("protocol", vector.protocol_name) for vector in attack.vectors[:1]]
        values += [("src-port", v.source_port) for v in attack.vectors if v.source_port is not None]
        values += [("dst-port", v.port) for v in attack.vectors if v.port is not None and not v.is_pieces]
    for name, value in dict.fromkeys(values):  # two vectors may have a port in common
        made.add_attribute(
            name,
            value,
            uuid=stable_uuid("object", incident.key, name, value),
            timestamp=incident.last_us // 1_000_000,
            to_ids=False,
        )
    return made
