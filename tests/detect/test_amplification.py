"""Reflections seen from everywhere, and what only looks like them."""

from typing import Any

import pytest

from dnsonde.detect.amplification import amplification
from dnsonde.detect.flood import flood
from tests.detect.rows import ANY, SECOND, START, Row, flow, found, moved, query, response

VICTIM = "192.0.2.7"
AWAY = "203.0.113.7"


def reflect(
    port: int,
    *,
    rows: int = 60,
    packets: int = 5,
    size: int = 1000,
    dst: str = VICTIM,
    net: str = "203.0.113",
    **more: Any,
) -> list[Row]:
    """Responses of `rows` reflectors."""
    shape: dict[str, Any] = {"protocol": 17, "packets": packets, "payload_bytes": packets * size, **more}
    shape["bytes"] = packets * (size + 28)
    return [
        flow(f"{net}.{10 + n}", dst, time_s=n / 1000, src_port=port, dst_port=4000 + n, **shape)
        for n in range(rows)
    ]


def asked(responses: list[Row], size: int) -> list[Row]:
    """The requests to those responses."""
    swap = {"src_net": "dst_net", "src_host": "dst_host", "src_port": "dst_port"}
    swap |= {value: key for key, value in swap.items()}
    octets = {"payload_bytes": size * responses[0]["packets"], "bytes": (size + 28) * responses[0]["packets"]}
    return [{**row, **{key: row[other] for key, other in swap.items()}, **octets} for row in responses]


@pytest.mark.parametrize(
    ("port", "protocol"),
    [(53, "dns"), (123, "ntp"), (1900, "ssdp"), (389, "cldap"), (11211, "memcached"), (161, "snmp"), (19, "chargen"),
     (3702, "ws_discovery"), (5683, "coap"), (3283, "ard"), (47808, "bacnet"), (37810, "dhdiscover"), (4500, "isakmp"),
     (1194, "openvpn"), (27015, "steam")],
)  # fmt: skip
def test_unasked_responses_are_reflected_by_protocol(port: int, protocol: str) -> None:
    (row,) = found(amplification, flows=reflect(port))
    assert (row["subject"], row["severity"], row["count"]) == (VICTIM, "high", 300)
    evidence = row["evidence"]
    assert (evidence["protocol"], evidence["reflectors"], evidence["seen_from"]) == (protocol, 60, "victim")
    assert "factor" not in evidence


def test_what_an_edge_of_windows_cuts_is_one_reflection() -> None:
    """SNMP's responses and, later and shorter, its errors; START is four hundred seconds before an edge."""
    rows = [
        *reflect(161, size=1000),
        *(moved(row, SECOND // 2) for row in reflect(161, size=30, rows=200, packets=1)),
    ]
    assert (START // SECOND + 400) % 600 == 0
    for begin_us in (0, 400 * SECOND - SECOND // 4):
        flows = [moved(row, begin_us) for row in rows]
        assert [row["count"] for row in found(amplification, flows=flows)] == [500]
        assert found(flood, flows=flows) == []


@pytest.mark.parametrize("victim", ["227.213.154.241", "249.239.36.119"])
def test_a_group_or_a_reserved_address_is_a_host_of_an_anonymised_capture(victim: str) -> None:
    (row,) = found(amplification, flows=reflect(53, dst=victim))
    assert (row["subject"], row["severity"], row["count"]) == (victim, "medium", 300)


@pytest.mark.parametrize(
    ("group", "port"),
    [("224.0.0.251", 5353), ("224.0.1.187", 5683), ("239.255.255.250", 1900), ("239.255.255.250", 3702),
     ("232.1.2.3", 5683), ("255.255.255.255", 53), ("ff02::fb", 5353)],
)  # fmt: skip
def test_what_services_tell_groups_and_everybody_is_not_reflected(group: str, port: int) -> None:
    """RFC 6762, 3; RFC 7252, 12.8; RFC 5771; RFC 4607."""
    assert found(amplification, flows=reflect(port, dst=group)) == []


def test_from_the_reflector_and_between_the_factor_is_measured() -> None:
    responses = reflect(123, dst=AWAY, net="192.0.2", size=440)
    (row,) = found(amplification, flows=[*responses, *asked(responses, 8)])
    assert (row["subject"], row["severity"]) == (AWAY, "high")
    assert (row["evidence"]["factor"], row["evidence"]["seen_from"]) == (55.0, "reflector")
    between = reflect(123, dst="198.18.0.1", size=440)
    (row,) = found(amplification, flows=between)
    assert (row["severity"], row["evidence"]["seen_from"]) == ("medium", "between")


def test_fragments_belong_to_what_their_reflector_sends() -> None:
    first = reflect(53, packets=1, fragments=1)
    rest = [
        row | {"src_port": 0, "dst_port": 0, "packets": 3, "bytes": 4000, "fragments": 3} for row in first
    ]
    stray = flow("198.18.0.9", VICTIM, protocol=17, src_port=0, dst_port=0, packets=9, fragments=9)
    (row,) = found(amplification, flows=[*first, *rest, stray])
    assert (row["evidence"]["protocol"], row["count"], row["evidence"]["fragments"]) == ("dns", 240, 180)


def test_below_the_threshold_is_nothing() -> None:
    assert found(amplification, flows=reflect(123, rows=33, packets=3)) == []
    assert len(found(amplification, flows=reflect(123, rows=34, packets=3))) == 1


def test_syn_acks_of_many_to_one_that_asked_none_are_tcp() -> None:
    shaken: dict[str, Any] = {"protocol": 6, "synack": 5, "size": 4}
    flows = reflect(443, **shaken)
    (row,) = found(amplification, flows=flows)
    assert row["evidence"]["protocol"] == "tcp"
    syns = [row | {"syn": 1, "synack": 0} for row in asked(flows, 0)]
    assert found(amplification, flows=[*flows, *syns]) == []  # a crawler
    few: dict[str, Any] = {"protocol": 6, "rows": 9, "size": 4}
    lost = reflect(443, packets=9, synack=9, **few)
    lost += [row | {"dst_port": row["dst_port"] + 100} for row in lost]
    assert found(amplification, flows=lost) == []  # a few connections' own repeats
    (row,) = found(
        amplification, flows=reflect(443, packets=50, synack=50, **few)
    )  # the same again and again
    assert row["evidence"]["reflectors"] == 9


def test_a_resolver_asks_different_questions_and_an_attack_one() -> None:
    flows = reflect(53, dst=VICTIM)
    flows += asked(flows, 40)

    def answers(names: int) -> list[Row]:
        queries = [query(VICTIM, "203.0.113.9", f"n{n % names}.example.com", qtype=ANY) for n in range(300)]
        return [response(one, dns_bytes=1000) for one in queries]

    assert found(amplification, messages=answers(300), flows=flows) == []
    assert len(found(amplification, messages=answers(2), flows=flows)) == 1


def test_who_checks_a_large_answer_asks_slowly_and_an_attack_does_not() -> None:
    """A monitor's DNSKEY every other second, each answered once; and what short answers an attack makes do with."""

    def checks(step_s: float, size: int, qtype: int = 48) -> tuple[list[Row], list[Row]]:
        count = 200
        asks = [query(AWAY, VICTIM, "example.net", time_s=n * step_s, qtype=qtype) for n in range(count)]
        told = [response(one, dns_bytes=size) for one in asks]
        way: dict[str, Any] = {"protocol": 17, "src_port": 53, "payload_bytes": size, "bytes": size + 28}
        flows = [flow(VICTIM, AWAY, time_s=n * step_s, dst_port=40_000 + n, **way) for n in range(count)]
        return told, [*flows, *asked(flows, 40)]

    assert found(amplification, *checks(2.0, 1000)) == []
    assert found(amplification, *checks(0.11, 1000)) == []
    (row,) = found(amplification, *checks(0.09, 1000))
    assert (row["subject"], row["count"], row["evidence"]["factor"]) == (AWAY, 200, 25.0)
    assert found(amplification, *checks(0.01, 399)) == []
    assert len(found(amplification, *checks(0.01, 200, ANY))) == 1
    assert found(amplification, *checks(0.01, 199, ANY)) == []
    assert found(amplification, *checks(0.11, 399, ANY)) == []
    told, flows = checks(0.01, 1000)
    several = [row | {"qname": f"n{n % 11}.example.net"} for n, row in enumerate(told)]
    assert found(amplification, several, flows) == []


def test_a_walk_through_a_devices_values_is_not_it() -> None:
    """SNMP from outside: each request names the place that the last answer ended at."""
    answers = reflect(161, rows=1, packets=500, dst=AWAY, net="192.0.2")
    requests = asked(answers, 40)
    assert len(found(amplification, flows=[*answers, *requests])) == 1
    walk = [row | {"length_min": 60, "length_max": 75} for row in requests]
    assert found(amplification, flows=[*answers, *walk]) == []


def test_time_monitoring_games_and_vpn_are_not_it() -> None:
    clock = reflect(123, size=48, packets=20)
    assert found(amplification, flows=[*clock, *asked(clock, 48)]) == []
    assert found(amplification, flows=clock) == []
    within = reflect(161, dst="198.51.100.7", net="192.0.2")
    assert found(amplification, flows=[*within, *asked(within, 40)]) == []
    for port in (27015, 4500, 443):
        session = reflect(port, rows=1, packets=90_000, size=1200)
        assert found(amplification, flows=[*session, *asked(session, 60)]) == []


def test_a_clients_port_that_a_service_has_too_reflects_nothing() -> None:
    upload: dict[str, Any] = {"rows": 1, "packets": 5000, "size": 1200}
    sent = [row | {"dst_port": 443} for row in reflect(41794, **upload)]
    assert found(amplification, flows=[*sent, *asked(sent, 40)]) == []
    assert found(amplification, flows=sent) == []
    (row,) = found(amplification, flows=reflect(41794, size=394))
    assert row["evidence"]["protocol"] == "crestron"
    answers = reflect(41794, rows=1, packets=500, size=394)
    assert len(found(amplification, flows=[*answers, *asked(answers, 1)])) == 1


def test_downloads_of_which_one_direction_was_captured_are_not_it() -> None:
    """QUIC, VPN and games come from ports that also reflect; what asked for them was not seen."""
    download = reflect(443, packets=200, size=1200)
    assert found(amplification, flows=download) == []
    heard = flow(VICTIM, "198.18.0.53", protocol=17, dst_port=53)
    assert len(found(amplification, flows=[*download, heard])) == 1  # it asked, but not there
    (row,) = found(amplification, flows=reflect(443, packets=4))
    assert row["evidence"]["protocol"] == "dtls"
    slow = [row | {"end_us": row["start_us"] + 50_000_000} for row in reflect(443, packets=4)]
    assert found(amplification, flows=slow) == []


def test_short_answers_of_a_hundred_servers_to_one_question_are_reflected() -> None:
    """An A record that everybody answers: it amplifies hardly, and fills the victim's link."""
    asks = [query(VICTIM, f"203.0.113.{10 + n}", "ddos.example.net", time_s=n / 1000) for n in range(120)]
    told = [response(ask, "198.51.100.5") for ask in asks for _ in range(2)]
    flows = reflect(53, rows=120, packets=2, size=60)
    (row,) = found(amplification, told, flows)
    assert (row["evidence"]["protocol"], row["evidence"]["reflectors"]) == ("dns", 120)
    assert found(amplification, told, flows[:99]) == []
    assert found(amplification, told, [*flows, *asked(flows, 40)]) == []
    slow = [row | {"start_us": row["start_us"] + n * 1_000_000} for n, row in enumerate(flows)]
    slow = [row | {"end_us": row["start_us"]} for row in slow]
    assert found(amplification, told, slow) == []
    heard = flow(VICTIM, "203.0.113.200", src_port=5000, dst_port=443, time_s=1)
    assert len(found(amplification, told, [*slow, heard])) == 1
    others = [row | {"qname": f"n{n}.example.net"} for n, row in enumerate(told)]
    assert found(amplification, others, flows) == []
