"""One outside address asking many of ours, and resolvers at work."""

from typing import Any

from dnsonde.detect.dns_sweep import dns_sweep
from tests.detect.rows import REFUSED, START, TXT, Row, found, query, response

SCANNER = "203.0.113.9"


def sweep(targets: int = 20, *, source: str = SCANNER, every_s: float = 0.01, **more: Any) -> list[Row]:
    name = "dnsscan.shadowserver.org"
    return [query(source, f"192.0.2.{n}", name, time_s=n * every_s, **more) for n in range(targets)]


def test_twenty_targets_are_a_sweep_and_nineteen_are_none() -> None:
    assert found(dns_sweep, sweep(19)) == []
    (row,) = found(dns_sweep, sweep(20, ip_id=54321))
    assert (row["subject"], row["severity"], row["confidence"]) == (SCANNER, "info", 0.5)
    assert (row["count"], row["first_seen"], row["last_seen"]) == (20, START, START + 190_000)
    evidence = row["evidence"]
    assert (evidence["targets"], evidence["answered"], evidence["resolved"]) == (20, 0, 0)
    assert (evidence["tool"], evidence["campaign"]) == ("zmap", "shadowserver")
    assert evidence["names"] == ["dnsscan.shadowserver.org"]


def test_what_it_found_out_is_told() -> None:
    asked = sweep(30)
    answers = [response(asked[3], "203.0.113.80"), response(asked[4], rcode=REFUSED)]
    (row,) = found(dns_sweep, asked + answers)
    assert row["severity"] == "low"
    assert (row["evidence"]["answered"], row["evidence"]["resolved"]) == (2, 1)
    assert "tool" not in row["evidence"]


def test_many_queries_to_one_target_are_no_sweep() -> None:
    assert found(dns_sweep, [query(SCANNER, "192.0.2.1", f"n{n}.example.com") for n in range(300)]) == []


def test_a_resolver_that_asks_many_of_our_authorities_is_none() -> None:
    asked = sweep(60, rd=False)
    assert found(dns_sweep, asked) == []
    assert found(dns_sweep, asked + [response(m, "192.0.2.80", aa=True) for m in asked]) == []
    careless = sweep(60)
    assert found(dns_sweep, careless + [response(m, "192.0.2.80", aa=True) for m in careless]) == []


def test_version_queries_count_without_recursion() -> None:
    asked = [{**m, "qname": "version.bind"} for m in sweep(25, rd=False, qclass=3, qtype=TXT)]
    (row,) = found(dns_sweep, asked)
    assert row["evidence"]["qtype"] == TXT


def test_our_own_scanner_inside_is_none() -> None:
    assert found(dns_sweep, sweep(60, source="198.51.100.9")) == []


def test_a_slow_sweep_is_one_finding_and_another_day_another_one() -> None:
    slow = sweep(25, every_s=1800)
    later = [{**m, "time_us": m["time_us"] + 86_400_000_000} for m in sweep(25)]
    assert [row["evidence"]["targets"] for row in found(dns_sweep, slow)] == [25]
    rows = found(dns_sweep, sweep(25) + later)
    assert [row["first_seen"] for row in rows] == [START, START + 86_400_000_000]
