"""Real captures by strangers, with their truth (../shared/captures/CATALOG.tsv): what is found, and what is not."""

import json
from pathlib import Path
from typing import Any

import dpkt
import pytest

from dnsonde import watch
from dnsonde.clock import SystemClock

CAPTURES = Path(__file__).resolve().parents[2] / "shared/captures"

pytestmark = pytest.mark.skipif(
    not CAPTURES.is_dir(), reason="the captures lie in ../shared, which is not here"
)

FOUND = [
    ("amp-flood/ddosgrid__synflood.pcap", "flood", "10.0.1.12", {"vector": "syn"}),
    (
        "amp-flood/stopddos__amp.TCP.reflection.SYNACK.pcap",
        "amplification",
        "10.10.10.10",
        {"protocol": "tcp"},
    ),
    (
        "amp-flood/stopddos__amp.UDP.bacnet.IOT.37810.pcapng",
        "amplification",
        "10.10.10.1",
        {"protocol": "bacnet"},
    ),
    ("amp-flood/stopddos__amp.UDP.isakmp.pcap", "amplification", "10.10.10.10", {"protocol": "isakmp"}),
    ("amp-flood/stopddos__pkt.TCP.DOMINATE.syn.ecn.cwr.pcapng", "flood", "10.10.10.10", {"vector": "syn"}),
    (
        "amp-flood/suri__tcp-session-syn-flood-drop-precedence.pcap",
        "flood",
        "198.51.100.5",
        {"vector": "syn"},
    ),
    (
        "random-subdomain/suri__datasets-06-state-long.pcap",
        "random_subdomain",
        "example.com",
        {"names": 1200},
    ),
    ("scan/ddosgrid__portscan-nmap.pcap", "service_scan", "10.12.192.237", {"technique": "vertical"}),
    ("scan/ndpi__synscan.pcap", "service_scan", "172.16.0.8", {"technique": "vertical"}),
    ("scan/scanng__scan-1433.pcap", "service_scan", "122.224.112.162", {"addresses": 7307}),
    ("scan/slips__test12-icmp-portscan.pcap", "service_scan", "192.168.1.109", {"protocol": "icmp"}),
    ("tunnel/ndpi__bad-dns-traffic.pcap", "dns_tunnel", "skullseclabs.org", {}),
    ("tunnel/ndpi__dns-tunnel-iodine.pcap", "dns_tunnel", "pirate.sea", {}),
    ("tunnel/suri__bug-1158.pcap", "dns_tunnel", "tunnel.com", {}),
]
NOTHING = [
    "tunnel/ndpi__dns2tcp_tunnel.pcap",
    "tunnel/ndpi__dns-exf.pcap",
    "random-subdomain/zeek__ticks-dns.pcap",
]


def detect(*names: str) -> list[dict[str, Any]]:
    paths = [str(CAPTURES / name) for name in names]
    found = watch.detect(paths, watch.Asked(), SystemClock(), lambda _: None)
    return [row | {"evidence": json.loads(row["evidence"])} for row in found.findings.to_pylist()]


@pytest.mark.parametrize(("name", "detector", "subject", "evidence"), FOUND)
def test_what_the_catalogue_calls_true_is_found(
    name: str, detector: str, subject: str, evidence: dict[str, Any]
) -> None:
    told = [
        row["evidence"] for row in detect(name) if (row["detector"], row["subject"]) == (detector, subject)
    ]
    assert any(evidence.items() <= one.items() for one in told)


@pytest.mark.parametrize(
    "name", [name for name, *_ in FOUND if name.startswith("amp-flood/") and name.endswith(".pcap")]
)
def test_an_edge_of_windows_in_the_middle_changes_nothing(name: str, tmp_path: Path) -> None:
    """Midnight is an edge of all windows; each capture is read again as if it were in the middle of what was found."""
    before = detect(name)
    middle_s = (before[0]["first_seen"] + before[0]["last_seen"]) / 2e6
    with (CAPTURES / name).open("rb") as source, (tmp_path / "moved.pcap").open("wb") as moved:
        packets = dpkt.pcap.Reader(source)
        writer = dpkt.pcap.Writer(moved, linktype=packets.datalink())
        for time_s, octets in packets:
            writer.writepkt(octets, float(time_s) - middle_s % 86_400)
    after = detect(str(tmp_path / "moved.pcap"))
    kept = ("detector", "subject", "severity")
    assert [[row[name] for name in kept] for row in after] == [[row[name] for name in kept] for row in before]
    for one, other in zip(before, after, strict=True):
        assert abs(one["count"] - other["count"]) <= 0.1 * one["count"]


def test_mirais_marked_syns_are_counted_exactly_and_other_scans_told_apart() -> None:
    rows = detect("mirai-iot/scanng__accurate-scan-summary.pcap")
    assert sum(row["count"] for row in rows if row["detector"] == "mirai_scan") == 44
    assert [row["count"] for row in rows if row["detector"] == "service_scan"] == [500]


@pytest.mark.parametrize("name", NOTHING)
def test_what_is_too_little_or_hidden_is_not_found(name: str) -> None:
    assert detect(name) == []


@pytest.mark.parametrize("theme", ["clean-dns", "clean-other"])
def test_clean_traffic_gives_no_finding_of_medium_severity_or_more(theme: str) -> None:
    assert [row for row in detect(theme) if row["severity"] not in {"info", "low"}] == []
