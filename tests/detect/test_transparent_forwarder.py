"""Queries relayed with the client's source, and those that only pass by."""

from typing import Any

from dnsonde.detect.transparent_forwarder import transparent_forwarder
from tests.detect.rows import START, Row, found, query

CLIENT, FORWARDER, RESOLVER = "203.0.113.9", "192.0.2.7", "9.9.9.9"
OUTER, INNER = 0x0053_0000_0001, 0x0053_0000_0002


def relayed(name: str = "a.example.com", *, after_s: float = 0.002, **changed: Any) -> list[Row]:
    asked = query(CLIENT, FORWARDER, name, src_port=5353 + len(name), id=77, src_mac=OUTER)
    again = query(CLIENT, RESOLVER, name, time_s=after_s, src_port=5353 + len(name), id=77, src_mac=INNER)
    return [asked, {**again, **changed}]


def test_one_relayed_query_is_proof() -> None:
    (row,) = found(transparent_forwarder, relayed())
    assert (row["subject"], row["severity"], row["confidence"]) == (FORWARDER, "medium", 0.99)
    assert (row["first_seen"], row["last_seen"], row["count"]) == (START, START + 2000, 1)
    assert row["evidence"]["relays_to"] == [RESOLVER]
    assert (row["evidence"]["clients"], row["evidence"]["resolvers"]) == (1, 1)
    assert row["evidence"]["delay_max_us"] == 2000


def test_captures_without_link_layer_tell_it_too() -> None:
    assert len(found(transparent_forwarder, [{**m, "src_mac": None} for m in relayed()])) == 1


def test_what_passes_by_is_none() -> None:
    assert found(transparent_forwarder, relayed(id=78)) == []
    assert found(transparent_forwarder, relayed(src_port=9)) == []
    assert found(transparent_forwarder, relayed(qname="b.example.com")) == []
    assert found(transparent_forwarder, relayed(src_mac=OUTER)) == []  # transit: the asker sent both
    assert found(transparent_forwarder, relayed(after_s=2.1)) == []
    assert found(transparent_forwarder, relayed(after_s=-0.1)) == []
    assert found(transparent_forwarder, relayed()[1:]) == []  # spoofing, but not of a query to us


def test_a_forwarder_under_its_own_address_is_none() -> None:
    own = query(FORWARDER, RESOLVER, "a.example.com", time_s=0.002, id=77, src_port=5366)
    assert found(transparent_forwarder, [*relayed()[:1], own]) == []


def test_a_balancer_that_leaves_the_source_to_servers_at_home_is_none() -> None:
    """Direct server return: the query goes on under its own source, but does not leave."""
    assert (
        found(
            transparent_forwarder,
            relayed(
                **query(CLIENT, "192.0.2.54", "x", src_mac=INNER)
                | {name: relayed()[1][name] for name in ("qname", "src_port", "id", "time_us")}
            ),
        )
        == []
    )


def test_the_threshold_is_a_parameter() -> None:
    messages = relayed("a.example.com") + relayed("aa.example.com")
    assert found(transparent_forwarder, messages, relayed_min=3) == []
    assert len(found(transparent_forwarder, messages, relayed_min=2)) == 1


def test_each_relayed_query_counts_once_however_often_it_was_asked_alike() -> None:
    """Stub resolvers of one port, and attackers who repeat one packet, send the same query again and again."""
    messages = []
    for number in range(200):
        messages += [{**m, "time_us": m["time_us"] + 5000 * number} for m in relayed()]
    (row,) = found(transparent_forwarder, messages)
    assert (row["count"], row["confidence"]) == (200, 0.99)
    assert row["evidence"]["delay_max_us"] == 2000


def test_of_many_that_were_asked_alike_the_last_one_before_is_suspected() -> None:
    swept = [{**relayed()[0], **query(CLIENT, f"192.0.2.{n}", "x", time_s=n / 1000)} for n in range(1, 255)]
    alike = {name: relayed()[0][name] for name in ("qname", "src_port", "id", "src_mac")}
    swept = [row | alike for row in swept]
    (row,) = found(transparent_forwarder, [*swept, {**relayed(after_s=0.0075)[1]}])
    assert (row["subject"], row["confidence"], row["count"]) == (FORWARDER, 0.5, 1)
