"""Scans for services, and what only looks like them."""

from typing import Any

import pytest

from dnsonde.detect._floods import USUAL_PROTOCOLS
from dnsonde.detect.service_scan import service_scan
from tests.detect.rows import Row, flow, found

SCANNER = "203.0.113.9"
HOUR = 3600


def probes(count: int, src: str = SCANNER, net: str = "192.0.2", step_s: float = 1, **more: Any) -> list[Row]:
    """One SYN each to so many addresses."""
    syn: dict[str, Any] = {"syn": 1, "dst_port": 1433, **more}
    return [flow(src, f"{net}.{n}", time_s=n * step_s, **syn) for n in range(count)]


def ports(count: int, src: str = SCANNER, dst: str = "192.0.2.7", **more: Any) -> list[Row]:
    """One SYN each to so many ports."""
    syn: dict[str, Any] = {"syn": 1, **more}
    return [flow(src, dst, time_s=n / 10, dst_port=n + 1, **syn) for n in range(count)]


def test_one_port_at_many_addresses_is_a_horizontal_scan() -> None:
    (row,) = found(service_scan, flows=probes(60))
    assert (row["subject"], row["severity"], row["count"]) == (SCANNER, "low", 60)
    assert row["evidence"] == {
        "technique": "horizontal", "protocol": "tcp", "addresses": 60, "ports": 1, "scanned_ports": [1433],
    }  # fmt: skip


def test_the_thresholds_are_zeeks_and_for_udp_nemeas() -> None:
    assert found(service_scan, flows=probes(24)) == []
    assert found(service_scan, flows=probes(25))[0]["confidence"] == 0.5
    assert (len(found(service_scan, flows=ports(14))), len(found(service_scan, flows=ports(15)))) == (0, 1)
    udp: dict[str, Any] = {"protocol": 17, "syn": 0}
    assert found(service_scan, flows=ports(49, **udp)) == []
    (row,) = found(service_scan, flows=ports(52, **udp))  # of which 53 is none
    assert (row["evidence"]["protocol"], row["evidence"]["technique"]) == ("udp", "vertical")


def test_a_port_that_got_nothing_but_syns_is_scanned_however_many_they_were() -> None:
    """As flow exporters count a scan with retries, and one whose packets were sampled up."""
    assert len(found(service_scan, flows=ports(60, packets=15, ack=0))) == 1
    assert found(service_scan, flows=ports(60, packets=15, ack=12)) == []
    assert found(service_scan, flows=probes(60, packets=15, ack=0, src="192.0.2.9", net="203.0.113")) == []


def test_a_slow_scan_is_one_and_one_after_a_pause_another() -> None:
    assert [row["count"] for row in found(service_scan, flows=probes(200, step_s=HOUR))] == [200]
    twice = probes(60) + [
        flow(SCANNER, f"192.0.2.{n}", time_s=1e5 + n, syn=1, dst_port=1433) for n in range(60)
    ]
    assert [row["count"] for row in found(service_scan, flows=twice)] == [60, 60]


def test_many_ports_of_one_address_are_a_vertical_scan() -> None:
    (row,) = found(service_scan, flows=ports(1000, packets=2, bytes=88, rst=1))
    assert (row["evidence"]["technique"], row["evidence"]["ports"], row["evidence"]["addresses"]) == (
        "vertical", 1000, 1,
    )  # fmt: skip


def test_a_probe_is_a_syn_and_not_what_its_own_system_does_about_the_answer() -> None:
    """The third segment of a handshake, and resets (nmap -sT and -sS)."""
    (row,) = found(service_scan, flows=ports(100, packets=3, ack=1, rst=1))
    assert row["count"] == 100


def test_fins_with_ack_to_many_ports_or_addresses_from_one_port_feel_the_filter() -> None:
    """nmap -sM, after Uriel Maimon, Phrack 49-15; late ends of conversations come from a port each."""
    maimon: dict[str, Any] = {"syn": 0, "fin": 1, "ack": 1, "src_port": 50_000}
    (row,) = found(service_scan, flows=ports(20, **maimon))
    assert row["evidence"]["technique"] == "vertical"
    (row,) = found(service_scan, flows=probes(60, **maimon))
    assert row["evidence"]["technique"] == "horizontal"
    late = [row | {"src_port": 40_000 + n} for n, row in enumerate(ports(20, **maimon))]
    assert found(service_scan, flows=late) == []


def test_fragments_that_hide_the_flags_are_probes() -> None:
    """nmap -f: RFC 1858, 3. Other fragments have none of TCP's ports, or all of its flags."""
    tiny: dict[str, Any] = {"syn": 0, "fragments": 1, "bytes": 28}
    (row,) = found(service_scan, flows=ports(60, **tiny))
    assert (row["evidence"]["technique"], row["count"]) == ("vertical", 60)
    assert found(service_scan, flows=ports(60, **(tiny | {"bytes": 576}))) == []


@pytest.mark.parametrize("kind", [13, 17], ids=["timestamp", "address mask"])
def test_a_sweep_by_other_requests_of_icmp_is_one_of_pings(kind: int) -> None:
    """RFC 792 and RFC 950 (nmap -PP, -PM)."""
    (row,) = found(service_scan, flows=probes(18, protocol=1, src_port=kind, dst_port=0, syn=0))
    assert row["evidence"]["technique"] == "ping sweep"


@pytest.mark.parametrize("port", [123, 443])
def test_strangers_who_ask_all_of_home_for_the_time_look_for_it_and_clients_at_home_do_not(port: int) -> None:
    asks: dict[str, Any] = {"protocol": 17, "syn": 0, "src_port": 40_000, "dst_port": port}
    (row,) = found(service_scan, flows=probes(60, **asks))
    assert row["evidence"] == {
        "technique": "horizontal", "protocol": "udp", "addresses": 60, "ports": 1, "scanned_ports": [port],
    }  # fmt: skip
    assert found(service_scan, flows=probes(60, src="192.0.2.9", net="203.0.113", **asks)) == []
    assert found(service_scan, flows=probes(60, **(asks | {"dst_port": 53}))) == []  # `dns_sweep`'s


def test_a_ping_sweep_is_found_and_a_ping_monitor_is_not() -> None:
    echo: dict[str, Any] = {"protocol": 1, "src_port": 8, "dst_port": 0, "syn": 0}
    (row,) = found(service_scan, flows=probes(18, **echo))
    assert row["evidence"]["technique"] == "ping sweep"
    assert found(service_scan, flows=probes(15, **echo)) == []
    monitor = [row for n in range(50) for row in probes(18, step_s=0.1, **echo)]
    assert found(service_scan, flows=monitor) == []
    beside = probes(1, **echo) * 50  # one address that is looked after hides no sweep
    assert len(found(service_scan, flows=probes(18, **echo)[1:] + beside)) == 1


def test_a_monitor_that_polls_over_udp_is_none() -> None:
    polls = [row for n in range(50) for row in probes(60, step_s=0.1, protocol=17, syn=0, dst_port=161)]
    assert found(service_scan, flows=polls) == []


def test_udp_and_odd_flags() -> None:
    (row,) = found(service_scan, flows=probes(60, protocol=17, syn=0, dst_port=161))
    assert row["evidence"]["protocol"] == "udp"
    (row,) = found(service_scan, flows=ports(3, syn=0, fin=1))
    assert (row["evidence"]["technique"], row["severity"]) == ("odd flags", "low")
    assert found(service_scan, flows=ports(2, syn=0, fin=1)) == []


def test_udp_from_home_is_a_scan_at_many_ports_of_one_address_and_traceroute_is_none() -> None:
    udp: dict[str, Any] = {"protocol": 17, "syn": 0, "src": "192.0.2.9"}
    (row,) = found(service_scan, flows=ports(1000, dst="203.0.113.7", **udp))
    assert (row["evidence"]["technique"], row["severity"]) == ("vertical", "medium")
    path = [
        flow("192.0.2.9", "203.0.113.7", protocol=17, src_port=50_000, dst_port=33_434 + n) for n in range(90)
    ]
    assert found(service_scan, flows=path) == []


def test_a_server_that_answers_low_ports_does_not_scan_them() -> None:
    udp: dict[str, Any] = {"protocol": 17, "src_port": 9955}
    replies = [flow("192.0.2.9", "203.0.113.7", dst_port=1000 + n, time_s=n / 100, **udp) for n in range(200)]
    assert len(found(service_scan, flows=replies)) == 1
    swap = {"src_net": "dst_net", "src_host": "dst_host", "src_port": "dst_port"}
    swap |= {value: key for key, value in swap.items()}
    asked = [{**row, **{key: row[other] for key, other in swap.items()}} for row in replies]
    assert found(service_scan, flows=[*replies, *asked]) == []


def test_acks_of_no_conversation_feel_for_a_filter() -> None:
    """nmap -sA; keepalives of idle connections go to few ports of an address, or to high ones."""
    bare: dict[str, Any] = {"syn": 0, "ack": 1, "packets": 1}
    (row,) = found(service_scan, flows=ports(1000, **bare))
    assert (row["evidence"]["protocol"], row["evidence"]["technique"]) == ("tcp", "vertical")
    # One packet each of a client's connections to a server with many ports, as sampling leaves them.
    sampled = [row | {"src_port": 40_000 + n} for n, row in enumerate(ports(60, **bare))]
    assert found(service_scan, flows=sampled) == []
    sweep = probes(200, **(bare | {"dst_port": 443, "src_port": 50_000}))
    clients = [row | {"src_port": 50_000 + n} for n, row in enumerate(sweep)]
    assert found(service_scan, flows=clients) == []
    (row,) = found(service_scan, flows=sweep)
    assert (row["evidence"]["technique"], row["evidence"]["addresses"]) == ("horizontal", 200)
    idle = [flow("203.0.113.9", "192.0.2.7", src_port=443, dst_port=50_000 + n, **bare) for n in range(90)]
    assert found(service_scan, flows=idle) == []


def test_ip_protocols_of_one_address_are_a_scan_and_usual_ones_are_none() -> None:
    """nmap -sO: a packet or two of each of 256 protocols."""
    kinds = [
        flow("203.0.113.9", "192.0.2.7", time_s=n / 5, protocol=n, src_port=0, dst_port=0, packets=2)
        for n in range(256)
    ]
    (row,) = found(service_scan, flows=kinds)
    assert (row["evidence"]["protocol"], row["evidence"]["technique"]) == ("ip", "ip protocols")
    assert row["evidence"]["ports"] == 256 - len(USUAL_PROTOCOLS)
    usual = [row for row in kinds if row["protocol"] in USUAL_PROTOCOLS]
    assert found(service_scan, flows=[*usual, *[r for r in kinds if 140 <= r["protocol"] < 149]]) == []


def test_from_home_it_is_worse_and_within_home_information() -> None:
    (out,) = found(service_scan, flows=probes(60, src="192.0.2.9", net="203.0.113"))
    (own,) = found(service_scan, flows=probes(60, src="192.0.2.9", net="198.51.100"))
    assert (out["severity"], own["severity"]) == ("medium", "info")


def test_who_talks_does_not_scan() -> None:
    browsing = probes(
        200, src="192.0.2.9", net="203.0.113", dst_port=443, packets=12, payload_bytes=900, ack=11
    )
    assert found(service_scan, flows=browsing) == []
    failing = probes(90, src="192.0.2.9", net="198.51.100", dst_port=443)
    assert found(service_scan, flows=browsing + failing) == []


def test_a_browser_whose_ipv6_leads_nowhere_does_not_scan() -> None:
    """It asks over both, and takes what answers (RFC 8305)."""
    lost = [
        flow("2001:db8:20::5", f"2620:fe:{n}::9", time_s=n, syn=3, packets=3, dst_port=443) for n in range(40)
    ]
    assert found(service_scan, flows=lost) == []
    answered = flow("2001:db8:20::5", "2620:fe:99::9", time_s=50, syn=1, ack=1, packets=2, dst_port=443)
    assert (
        len(found(service_scan, flows=[*lost, answered])) == 1
    )  # IPv6 works, and most of those are not there
    assert len(found(service_scan, flows=[row | {"dst_port": 22} for row in lost])) == 1


def test_mirai_lookups_and_peers_are_others_business() -> None:
    assert found(service_scan, flows=probes(200, mirai_syn=1)) == []
    assert found(service_scan, flows=probes(200, protocol=17, syn=0, dst_port=53)) == []
    assert (
        found(
            service_scan,
            flows=probes(200, src="192.0.2.9", net="203.0.113", protocol=17, syn=0, dst_port=6881),
        )
        == []
    )
    peers = [flow("192.0.2.9", f"203.0.113.{n}", dst_port=20_000 + n, syn=1, packets=3) for n in range(200)]
    assert found(service_scan, flows=peers) == []
    shared = probes(200, src="192.0.2.9", net="203.0.113", dst_port=6346)
    assert found(service_scan, flows=shared) == []
    assert len(found(service_scan, flows=probes(200, dst_port=6346))) == 1


def test_a_log_that_tells_no_flags_shows_no_odd_ones() -> None:
    bare = [
        flow("203.0.113.9", "192.0.2.7", dst_port=port, ttl_min=None, ttl_max=None) for port in (22, 23, 80)
    ]
    assert found(service_scan, flows=bare) == []
    assert len(found(service_scan, flows=[row | {"ttl_min": 57} for row in bare])) == 1


def test_a_log_that_names_fin_may_mean_the_end_of_a_conversation() -> None:
    """Zeek's history says f for FIN, with ACK or without; a server whose client has gone repeats it."""
    late: dict[str, Any] = {"syn": 0, "fin": 1, "ttl_min": None, "ttl_max": None, "packets": 1}
    server = [flow("203.0.113.9", "192.0.2.7", src_port=22, dst_port=40_000 + n, **late) for n in range(90)]
    assert found(service_scan, flows=server) == []
    assert found(service_scan, flows=ports(9, **late)) == []
    assert found(service_scan, flows=probes(90, src="192.0.2.9", net="203.0.113", **late)) == []
    (row,) = found(service_scan, flows=ports(60, **late))
    assert row["evidence"]["technique"] == "vertical"


def test_of_several_protocols_the_one_with_the_most_probes_is_named() -> None:
    pings = probes(18, protocol=1, syn=0, src_port=8, dst_port=0)
    (row,) = found(service_scan, flows=pings + ports(80))
    assert (row["evidence"]["protocol"], row["evidence"]["technique"]) == ("tcp", "horizontal and vertical")
    (row,) = found(service_scan, flows=pings + ports(2))
    assert (row["evidence"]["technique"], row["evidence"].get("scanned_ports")) == ("ping sweep", None)


def test_checks_of_health_by_half_a_handshake_are_not_it() -> None:
    """A balancer of loads at home looks after its servers outside, every few seconds."""
    half: dict[str, Any] = {"src": "192.0.2.9", "net": "203.0.113", "packets": 2, "rst": 1, "step_s": 0.1}
    once = probes(60, **half)
    assert len(found(service_scan, flows=once)) == 1
    checks = [
        row | {name: row[name] + n * 10_000_000 for name in ("start_us", "end_us")}
        for n in range(20)
        for row in once
    ]
    assert found(service_scan, flows=checks) == []
