"""Answers to packets that home never sent, and what only looks like them."""

from typing import Any

from dnsonde.detect.backscatter import backscatter
from tests.detect.rows import SECOND, Row, flow, found, moved

VICTIM = "203.0.113.9"


def answers(
    count: int, *, step_s: float = 0.5, src: str = VICTIM, homes: int = 100, **more: Any
) -> list[Row]:
    shape: dict[str, Any] = {"synack": 1, "src_port": 443, "dst_port": 1234, **more}
    return [flow(src, f"192.0.2.{n % homes}", time_s=n * step_s, **shape) for n in range(count)]


def test_answers_that_nobody_asked_for_are_backscatter() -> None:
    (row,) = found(backscatter, flows=answers(200))
    assert (row["subject"], row["severity"], row["count"]) == (VICTIM, "info", 200)
    assert row["evidence"]["kind"] == "tcp"
    assert row["evidence"]["destinations"] == 100
    assert row["evidence"]["ports"] == [443]


def test_resets_and_icmp_errors_count() -> None:
    (row,) = found(backscatter, flows=answers(200, synack=0, rst=1, ack=1))
    assert row["evidence"]["kind"] == "tcp"
    (row,) = found(backscatter, flows=answers(200, synack=0, protocol=1, src_port=3, dst_port=3))
    assert row["evidence"]["kind"] == "icmp"
    assert "ports" not in row["evidence"]
    assert found(backscatter, flows=answers(200, synack=0, protocol=1, src_port=8, dst_port=0)) == []


def test_it_must_last_and_peak() -> None:
    assert found(backscatter, flows=answers(200, step_s=0.25)) == []  # 50 seconds
    assert found(backscatter, flows=answers(90, step_s=3)) == []  # 20 a minute
    assert found(backscatter, flows=answers(24, step_s=5)) == []


def test_its_peak_is_in_any_minute() -> None:
    """START is forty seconds before a minute."""
    few = answers(40, step_s=0.5, homes=20) + answers(10, step_s=8, homes=20)
    for begin_s in (0, 30):
        (row,) = found(backscatter, flows=[moved(row, begin_s * SECOND) for row in few])
        assert row["evidence"]["peak_packets_minute"] >= 45


def test_a_small_network_gets_a_little_of_it_at_many_addresses() -> None:
    (row,) = found(backscatter, flows=answers(200, step_s=25))  # two a minute
    assert (row["severity"], row["count"], row["evidence"]["destinations"]) == ("info", 200, 100)
    assert found(backscatter, flows=answers(200, step_s=25), addresses_min=101) == []


def test_who_was_asked_or_sends_data_is_a_server() -> None:
    asked = [flow(f"192.0.2.{n}", VICTIM, syn=1, dst_port=443) for n in range(100)]
    assert found(backscatter, flows=[*answers(200), *asked]) == []
    data = answers(100, synack=0, ack=8, packets=8, payload_bytes=9000)
    assert found(backscatter, flows=[*answers(200), *data]) == []


def test_resets_of_home_do_not_count_as_asking() -> None:
    resets = [flow(f"192.0.2.{n}", VICTIM, rst=1, dst_port=443) for n in range(100)]
    assert len(found(backscatter, flows=[*answers(200), *resets])) == 1


def test_between_strangers_and_within_home_it_is_not_ours() -> None:
    assert found(backscatter, flows=answers(200, src="198.51.100.9")) == []


def test_a_crowd_that_is_answered_with_data_is_a_busy_server() -> None:
    """Only what comes in was captured: a server's SYN-ACKs come with its pages."""
    page: dict[str, Any] = {"synack": 1, "ack": 20, "packets": 21, "src_port": 443}
    flows = [
        flow("203.0.113.9", f"192.0.2.{n % 200}", time_s=n, dst_port=40_000 + n, **page) for n in range(300)
    ]
    assert found(backscatter, flows=flows) == []
