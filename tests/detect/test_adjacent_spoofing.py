"""Forged neighbours from outside, and real neighbours."""

import pytest

from dnsonde.detect.adjacent_spoofing import adjacent_spoofing
from dnsonde.errors import UsageError
from tests.detect.rows import START, Row, flow, found, query

BORDER, HOST, INNER = 0x0053_0000_0001, 0x0053_0000_0002, 0x0053_0000_0003
ORDINARY = [
    query("203.0.113.9", "192.0.2.53", "www.example.com", src_mac=BORDER),
    query("192.0.2.9", "203.0.113.53", "www.example.org", src_mac=INNER),
]


def spoofed(count: int = 3, mac: int | None = BORDER) -> list[Row]:
    name = "192-0-2-{}.probe.example"
    return [
        query(f"192.0.2.{4 * n + 1}", f"192.0.2.{4 * n + 2}", name.format(4 * n + 2), time_s=n, src_mac=mac)
        for n in range(count)
    ]


def test_the_border_brings_forged_neighbours() -> None:
    (row,) = found(adjacent_spoofing, ORDINARY + spoofed(3))
    assert (row["subject"], row["subject_kind"], row["severity"]) == ("192.0.2.0/24", "prefix", "medium")
    assert (row["count"], row["first_seen"], row["last_seen"]) == (3, START, START + 2_000_000)
    assert (row["evidence"]["targets"], row["evidence"]["sources"]) == (3, 3)
    assert row["evidence"]["examples"] == ["192.0.2.2", "192.0.2.6", "192.0.2.10"]


def test_one_is_enough_and_a_flood_of_them_does_not_hide_the_border() -> None:
    assert len(found(adjacent_spoofing, ORDINARY + spoofed(1))) == 1
    assert len(found(adjacent_spoofing, ORDINARY + spoofed(60))) == 1


def test_ipv6_neighbours_share_a_48() -> None:
    six = query("2001:db8:5:1::1", "2001:db8:5:2::2", "x.example.com", src_mac=BORDER)
    far = query("2001:db8:6::1", "2001:db8:5:2::2", "x.example.com", src_mac=BORDER)
    (row,) = found(adjacent_spoofing, [*ORDINARY, six, far])
    assert (row["subject"], row["count"]) == ("2001:db8:5::/48", 1)


def test_neighbours_inside_are_not_it() -> None:
    assert found(adjacent_spoofing, ORDINARY + spoofed(9, HOST)) == []
    assert found(adjacent_spoofing, ORDINARY + spoofed(9, INNER)) == []  # through an inner router
    assert found(adjacent_spoofing, ORDINARY + spoofed(9, None)) == []  # no link layer, nothing told


def test_an_inner_router_that_brings_a_little_from_outside_stays_inner() -> None:
    strays = [query("203.0.113.7", "203.0.113.8", "x.example.com", src_mac=INNER)]
    assert found(adjacent_spoofing, ORDINARY * 2 + strays + spoofed(9, INNER)) == []


def test_what_has_no_end_at_home_does_not_make_a_border() -> None:
    """A laptop in a private network that nobody called home asks its resolver over IPv6."""
    local = [flow("192.168.214.232", "192.168.214.50", src_mac=HOST, packets=2_000)]
    asked = query("2001:db8:5:1:5cf0::1", "2001:db8:5:1::ef", "50.214.168.192.in-addr.arpa", src_mac=HOST)
    out = [flow("2001:db8:5:1:5cf0::1", "2606:4700::1", src_mac=HOST, packets=23)]
    assert found(adjacent_spoofing, [asked], [*local, *out]) == []
    assert found(adjacent_spoofing, [asked], local) == []
    assert (
        len(found(adjacent_spoofing, ORDINARY + spoofed(1), [row | {"src_mac": BORDER} for row in local]))
        == 1
    )


def test_other_sources_and_other_messages_are_not_it() -> None:
    apart = [query("192.0.2.3", "192.0.2.4", "x.example.com", src_mac=BORDER)]
    assert found(adjacent_spoofing, ORDINARY + apart) == []
    assert found(adjacent_spoofing, ORDINARY + [{**m, "rd": False} for m in spoofed()]) == []
    assert found(adjacent_spoofing, ORDINARY + [{**m, "transport": "mdns"} for m in spoofed()]) == []


def test_flows_teach_the_border_too() -> None:
    flows = [flow("203.0.113.9", "192.0.2.80", src_mac=BORDER, packets=5)]
    assert len(found(adjacent_spoofing, spoofed(), flows)) == 1
    more = [flow("192.0.2.80", "203.0.113.9", src_mac=BORDER, packets=6)]
    assert found(adjacent_spoofing, spoofed(), flows + more) == []


def test_the_border_can_be_told() -> None:
    assert len(found(adjacent_spoofing, spoofed(), border="00:53:00:00:00:09, 00-53-00-00-00-01")) == 1
    assert found(adjacent_spoofing, ORDINARY + spoofed(), border="0053.0000.0009") == []
    with pytest.raises(UsageError, match="is no link-layer address"):
        found(adjacent_spoofing, border="eth0")


def test_a_link_layer_address_of_both_sides_tells_nothing() -> None:
    """A capture made anonymous, or a router with one port: what comes in and what goes out look alike."""
    both = [
        flow(*ends, src_mac=BORDER, packets=packets)
        for ends, packets in ((("203.0.113.9", "192.0.2.80"), 50), (("192.0.2.80", "203.0.113.9"), 6))
    ]
    assert found(adjacent_spoofing, spoofed(), both) == []
    assert len(found(adjacent_spoofing, spoofed(), both, border="00:53:00:00:00:01")) == 1
