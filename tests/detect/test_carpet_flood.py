"""Floods spread over a prefix, and what only looks like them."""

from typing import Any

import pytest

from dnsonde.detect.carpet_flood import carpet_flood
from tests.detect.rows import SECOND, Row, apart, flow, found, moved


def carpet(addresses: int = 200, packets: int = 100, **more: Any) -> list[Row]:
    shape: dict[str, Any] = {
        "protocol": 17,
        "dst_port": 4444,
        "packets": packets,
        "bytes": packets * 600,
        **more,
    }
    return [
        flow(f"203.0.113.{n % 50}", f"192.0.2.{n}", time_s=n / 1000, lasts_s=0.5, **shape)
        for n in range(addresses)
    ]


def test_a_thin_flood_is_of_the_prefix() -> None:
    (row,) = found(carpet_flood, flows=carpet())
    assert (row["subject"], row["subject_kind"], row["severity"]) == ("192.0.2.0/24", "prefix", "high")
    assert row["count"] == 20_000
    assert (row["evidence"]["vector"], row["evidence"]["addresses"]) == ("udp_plain", 200)


def test_what_the_turn_of_a_minute_cuts_is_one_carpet() -> None:
    rows = [
        row | {"end_us": row["start_us"]} for _ in range(30) for row in carpet(packets=1, bytes=40, syn=1)
    ]
    rows = [row | {"protocol": 6, "start_us": row["start_us"] + n * 100} for n, row in enumerate(rows)]
    moves = [
        round((40 - 0.8 * share) * SECOND) for share in (0.0, 0.2, 0.5, 0.8)
    ]  # START is 40 s before a minute
    cut = apart(carpet_flood, *([moved(row, us) for row in rows] for us in moves))
    told = [[(row["count"], row["evidence"]["addresses"]) for row in one] for one in cut]
    assert told == [[(6000, 200)]] * len(moves)


def test_six_has_its_48() -> None:
    flows = [
        flow(
            "2001:db9::1",
            f"2001:db8:1:{n:x}::1",
            protocol=17,
            dst_port=4444,
            packets=500,
            bytes=300_000,
            lasts_s=0.5,
        )
        for n in range(40)
    ]
    (row,) = found(carpet_flood, flows=flows)
    assert row["subject"] == "2001:db8:1::/48"


def test_just_below_the_thresholds_is_nothing() -> None:
    cases = (carpet(addresses=15, packets=1000), carpet(addresses=16, packets=1000), carpet(packets=24))
    assert [len(told) for told in apart(carpet_flood, *cases)] == [0, 1, 0]
    assert found(carpet_flood, flows=carpet(), packets_s_min=1_000_000, mbit_min=1e6) == []


def test_a_scan_of_many_ports_of_many_addresses_is_not_it() -> None:
    def syns(ports: int) -> list[Row]:
        shape: dict[str, Any] = {"syn": 1, "packets": 1, "bytes": 44}
        return [
            flow("203.0.113.9", f"192.0.2.{n % 30}", time_s=n / 1000, dst_port=1 + n // 30 % ports, **shape)
            for n in range(3000)
        ]

    bots = [row | {"src_host": row["src_host"] + n % 50} for n, row in enumerate(syns(100))]
    *others, (row,), by_bots = apart(carpet_flood, syns(100), syns(11), syns(10), bots)
    assert others == [[], []]
    assert (row["evidence"]["vector"], row["evidence"]["addresses"]) == ("syn", 30)
    assert len(by_bots) == 1


def test_a_scan_one_target_and_conversations_are_not_it() -> None:
    assert found(carpet_flood, flows=carpet(packets=19), packets_min=1, packets_s_min=1000) == []
    one = flow(
        "203.0.113.9", "192.0.2.1", protocol=17, dst_port=4444, packets=60_000, bytes=36_000_000, lasts_s=1
    )
    answers = [
        flow(f"192.0.2.{n}", f"203.0.113.{n % 50}", protocol=17, src_port=4444, packets=100, bytes=9000)
        for n in range(200)
    ]
    assert apart(carpet_flood, [*carpet(), one], [*carpet(), *answers]) == [[], []]
    assert found(carpet_flood, flows=carpet(), packets_min=20_001) == []


def test_marks_bare_syns_and_answers_unasked_count_at_a_lower_rate() -> None:
    def thin(**more: Any) -> list[Row]:
        return [row | {"end_us": row["start_us"] + 9_000_000} for row in carpet(packets=25, **more)]

    *counted, plain = apart(
        carpet_flood,
        thin(protocol=6, syn=25, dst_port=443),
        thin(bytes=25 * 1340, payload_bytes=25 * 1312),
        thin(src_port=53),
        thin(),
    )
    for (row,), vector in zip(counted, ("syn", "udp_plain", "reflection"), strict=True):
        assert (row["subject"], row["evidence"]["vector"]) == ("192.0.2.0/24", vector)
    assert plain == []


def test_downloads_and_validating_resolvers_are_not_it() -> None:
    """Large answers for few small questions, or for questions that were not captured."""
    down: dict[str, Any] = {"src_port": 443, "bytes": 120_000}
    asked = [
        flow(f"192.0.2.{n}", f"203.0.113.{n % 50}", protocol=17, dst_port=443, packets=10, bytes=900)
        for n in range(200)
    ]
    assert found(carpet_flood, flows=[*carpet(**down), *asked]) == []
    assert found(carpet_flood, flows=carpet(**down)) == []
    elsewhere = [row | {"dst_host": row["dst_host"] + 99} for row in asked]
    assert len(found(carpet_flood, flows=[*carpet(**down), *elsewhere])) == 1
    secure = [row | {"dst_port": 53} for row in asked]
    assert found(carpet_flood, flows=[*carpet(src_port=53, bytes=150_000), *secure]) == []


def test_what_trickles_on_does_not_hide_a_burst() -> None:
    """Five seconds of ten thousand a second, then a packet now and again to the end of the minute."""
    burst = [
        row | {"packets": 500, "bytes": 300_000, "end_us": row["start_us"] + 4_800_000} for row in carpet()
    ]
    trickle = [
        flow("203.0.113.9", f"192.0.2.{n}", time_s=5 + n / 5, protocol=17, dst_port=4444, bytes=600)
        for n in range(200)
    ]
    (row,) = found(carpet_flood, flows=[*burst, *trickle])
    assert row["evidence"]["packets_s"] == pytest.approx(10_000, rel=0.02)
    even = [row | {"end_us": row["start_us"] + 45_000_000} for row in burst]
    assert found(carpet_flood, flows=even, mbit_min=1e6) == []
