"""Telnet login attempts, and what only looks like them."""

from typing import Any

from dnsonde.detect.telnet_bruteforce import telnet_bruteforce
from tests.detect.rows import Row, flow, found

BOT = "203.0.113.9"


def attempts(count: int, src: str = BOT, dst: str = "192.0.2.7", **more: Any) -> list[Row]:
    shape: dict[str, Any] = {
        "dst_port": 23,
        "packets": 12,
        "bytes": 700,
        "payload_bytes": 90,
        "syn": 1,
        "ack": 11,
        **more,
    }
    return [flow(src, dst, time_s=n * 5, lasts_s=4, src_port=30_000 + n, **shape) for n in range(count)]


def test_many_connections_of_an_attempts_size_are_a_finding() -> None:
    (row,) = found(telnet_bruteforce, flows=attempts(40))
    assert (row["subject"], row["severity"], row["count"]) == (BOT, "medium", 40)
    assert row["evidence"] == {"destinations": 1, "conversations": 40, "ports": [23]}


def test_the_thresholds_are_nemeas() -> None:
    assert found(telnet_bruteforce, flows=attempts(29)) == []
    assert len(found(telnet_bruteforce, flows=attempts(30))) == 1
    outside: list[dict[str, Any]] = [{"packets": 8}, {"packets": 51}, {"bytes": 449}, {"bytes": 3001}]
    for wrong in outside:
        assert found(telnet_bruteforce, flows=attempts(60, **wrong)) == []


def test_of_a_log_pushes_tell_that_something_was_said() -> None:
    """nfdump and Suricata count no octets of payload."""
    assert len(found(telnet_bruteforce, flows=attempts(40, payload_bytes=0, push=1))) == 1
    assert found(telnet_bruteforce, flows=attempts(40, payload_bytes=0)) == []


def test_an_attempt_cut_by_a_window_is_one() -> None:
    halves = [
        flow(
            BOT, "192.0.2.7", time_s=n * 5 + half, src_port=30_000 + n, packets=6, bytes=350, payload_bytes=45
        )
        for n in range(30)
        for half in (0, 1)
    ]
    (row,) = found(telnet_bruteforce, flows=halves)
    assert row["count"] == 30


def test_from_home_it_is_an_infected_host() -> None:
    (row,) = found(telnet_bruteforce, flows=attempts(30, src="192.0.2.7", dst="203.0.113.1"))
    assert row["severity"] == "high"


def test_scans_sessions_and_other_ports_are_not_it() -> None:
    assert found(telnet_bruteforce, flows=attempts(500, packets=1, bytes=40, payload_bytes=0)) == []
    assert found(telnet_bruteforce, flows=attempts(60, packets=400, bytes=30_000)) == []
    assert found(telnet_bruteforce, flows=attempts(60, dst_port=22)) == []
    mixed = attempts(30) + attempts(30, dst="192.0.2.8", packets=400, bytes=30_000)
    assert found(telnet_bruteforce, flows=mixed) == []
