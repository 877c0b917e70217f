import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import intelmq as package
from intelmq.lib.message import Event, MessageFactory

from dnsonde.export.intelmq import TAXONOMY, intelmq
from dnsonde.view.nature import NATURES
from dnsonde.view.view import View

Documents = Callable[..., list[dict[str, Any]]]
HARMONIZATION = json.loads((Path(package.__file__).parent / "etc" / "harmonization.conf").read_text())


def read(event: dict[str, Any]) -> Event:
    return MessageFactory.from_dict(event, harmonization=HARMONIZATION)


def test_intelmq_takes_every_event_of_a_run(run: View, documents: Documents) -> None:
    events = documents(intelmq, run)
    assert {read(event)["source.ip"] for event in events} == {"192.0.2.1", "192.0.2.2", "2001:db8::5"}
    first = next(event for event in events if event["source.ip"] == "192.0.2.1")
    assert first["classification.type"] == "vulnerable-system"
    assert first["classification.identifier"] == "dns-open-resolver"
    assert first["source.abuse_contact"] == "abuse@example.net"
    assert first["source.geolocation.cc"] == "AT"
    assert first["extra.min_amplification"] == 4.619


def test_intelmq_takes_every_event_of_a_lake(lake: View, documents: Documents) -> None:
    events = documents(intelmq, lake)
    assert len(events) == lake.findings.num_rows
    for event in events:
        again = read(event)
        assert again["classification.type"] == event["classification.type"]
        assert again["classification.taxonomy"] == event["classification.taxonomy"]


def test_a_victim_is_the_destination_and_a_scanner_the_source(lake: View, documents: Documents) -> None:
    events = documents(intelmq, lake)
    by = {(e["extra.detector"], e.get("source.ip"), e.get("destination.ip")) for e in events}
    assert ("amplification", None, "192.0.2.10") in by
    assert ("mirai_scan", "203.0.113.66", None) in by
    spoofing = next(e for e in events if e["extra.detector"] == "adjacent_spoofing")
    assert spoofing["source.network"] == "192.0.2.0/24"
    assert spoofing["extra.evidence.targets"] == 3
    victim = next(e for e in events if e["extra.detector"] == "random_subdomain")
    assert victim["destination.fqdn"] == "victim.example"


def test_what_is_no_host_name_is_no_fqdn(lake: View, documents: Documents) -> None:
    tunnels = [e for e in documents(intelmq, lake) if e["extra.detector"] == "dns_tunnel"]
    names = {e["source.fqdn"] for e in tunnels if "source.fqdn" in e}
    assert len(names) == 1  # the long one; of ten hostile names no other is a host's
    assert all("event_description.target" in e for e in tunnels if "source.fqdn" not in e)


def test_every_kind_of_finding_has_its_taxonomy() -> None:
    assert {nature.kind for nature in NATURES.values()} <= set(TAXONOMY)
