"""SYNs that carry the address they ask as sequence number, counted exactly."""

from typing import Any

from dnsonde.detect.mirai_scan import mirai_scan
from tests.detect.rows import Row, flow, found

BOT = "203.0.113.9"
DAY = 86_400


def scan(count: int, src: str = BOT, net: str = "192.0.2", **more: Any) -> list[Row]:
    settings: dict[str, Any] = {"syn": 1, "mirai_syn": 1, "dst_port": 23, **more}
    return [flow(src, f"{net}.{n}", time_s=n, **settings) for n in range(count)]


def test_every_marked_syn_is_counted() -> None:
    flows = [*scan(30), flow(BOT, "192.0.2.7", time_s=40, dst_port=2323, packets=3, syn=3, mirai_syn=2)]
    (row,) = found(mirai_scan, flows=flows)
    assert (row["subject"], row["severity"], row["count"], row["confidence"]) == (BOT, "low", 32, 0.99)
    assert row["evidence"] == {"destinations": 30, "ports": [23, 2323]}


def test_below_a_campaign_it_is_information() -> None:
    assert [row["severity"] for row in found(mirai_scan, flows=scan(24))] == ["info"]
    assert [row["severity"] for row in found(mirai_scan, flows=scan(25))] == ["low"]
    assert found(mirai_scan, flows=scan(4), syns_min=5) == []


def test_our_own_infected_host_is_worse() -> None:
    (few,) = found(mirai_scan, flows=scan(2, src="192.0.2.1", net="203.0.113"))
    (many,) = found(mirai_scan, flows=scan(40, src="192.0.2.1", net="203.0.113"))
    assert (few["severity"], many["severity"]) == ("low", "high")


def test_scans_without_the_mark_are_not_it() -> None:
    assert found(mirai_scan, flows=scan(100, mirai_syn=0)) == []
    garbage = flow("170.170.170.170", "170.170.170.170", syn=1, mirai_syn=1)
    assert found(mirai_scan, flows=[garbage]) == []


def test_a_scan_ends_after_a_pause_and_not_at_midnight() -> None:
    slow = [flow(BOT, f"192.0.2.{n}", time_s=n * DAY * 0.9, syn=1, mirai_syn=1) for n in range(5)]
    assert [row["count"] for row in found(mirai_scan, flows=slow)] == [5]
    later = [flow(BOT, f"192.0.2.{n}", time_s=n * DAY * 3, syn=1, mirai_syn=1) for n in range(2)]
    assert [row["count"] for row in found(mirai_scan, flows=later)] == [1, 1]
