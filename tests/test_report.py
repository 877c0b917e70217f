"""Verdicts as people read them."""

from ipaddress import ip_network
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsonde import report
from dnsonde.errors import UsageError
from dnsonde.probe import _rules
from dnsonde.table import store
from dnsonde.table.readable import readable
from dnsonde.table.rows import Relation, within
from dnsonde.table.schema import ENRICHMENT, VERDICT
from dnsonde.wire.batch import address_pair

DATABASE = store.database()


def verdicts(*rows: tuple[str, str, bool]) -> Relation:
    """A verdict table of (address, class, open) rows; the amplification counts up."""
    made: list[dict[str, Any]] = []
    for number, (address, name, is_open) in enumerate(rows, 1):
        row: dict[str, Any] = dict.fromkeys(VERDICT.schema.names)
        net, host = address_pair(address)
        row |= {
            "target_net": net,
            "target_host": host,
            "class": name,
            "open": is_open,
            "why": f"why {address}",
        }
        row |= {"egress_net": net, "egress_host": host, "amplification": float(number)}
        row |= {
            "confidence": 1.0,
            "egress_count": 1,
            "attempts": 1,
            "replies": 1,
            "sightings": 1,
            "query_bytes": 60,
        }
        made.append(row)
    schema = pa.schema([pa.field(f.name, f.type) for f in VERDICT.schema])
    return DATABASE.from_arrow(pa.Table.from_pylist(made, schema=schema))


def owned_by(*rows: tuple[str, int, str | None, str]) -> Relation:
    """An enrichment table of (address, asn, as_name, country) rows."""
    made = []
    for address, *facts in rows:
        net, host = address_pair(address)
        made.append(
            {
                "address_net": net,
                "address_host": host,
                **dict(zip(("asn", "as_name", "country"), facts, strict=True)),
            }
        )
    schema = pa.schema([pa.field(f.name, f.type) for f in ENRICHMENT.schema])
    return DATABASE.from_arrow(pa.Table.from_pylist(made, schema))


THREE = (
    ("192.0.2.1", "refused", False),
    ("192.0.2.9", "recursive_forwarder", True),
    ("2001:db8::53", "recursive_resolver", True),
)


def test_a_summary_counts_every_host_and_puts_the_strongest_first() -> None:
    summary = report.summarise(verdicts(*THREE))
    assert (summary.targets, summary.open) == (3, 2)
    assert [(c.name, c.hosts, c.open) for c in summary.counts] == [
        ("recursive_resolver", 1, 1),
        ("recursive_forwarder", 1, 1),
        ("refused", 1, 0),
    ]
    assert [h.address for h in summary.worst] == ["2001:db8::53", "192.0.2.9"]


def test_a_class_that_the_list_lacks_is_counted_all_the_same() -> None:
    summary = report.summarise(verdicts(("192.0.2.1", "of_tomorrow", False)))
    assert [(c.name, c.hosts) for c in summary.counts] == [("of_tomorrow", 1)]


def test_select_by_class_and_prefix() -> None:
    table = verdicts(*THREE)
    assert addresses(report.select(table, ["refused"])) == ["192.0.2.1"]
    assert addresses(report.select(table, prefixes=["192.0.2.0/29", "2001:db8::/64"])) == [
        "192.0.2.1",
        "2001:db8::53",
    ]
    assert len(addresses(report.select(table))) == 3


def test_what_cannot_be_selected_is_said() -> None:
    with pytest.raises(UsageError, match="no class 'opn'"):
        report.select(verdicts(), ["opn"])
    with pytest.raises(UsageError, match="is no prefix"):
        report.select(verdicts(), prefixes=["192.0.2"])


def test_compare_tells_opened_closed_changed_appeared_gone() -> None:
    before = verdicts(
        ("192.0.2.1", "refused", False),
        ("192.0.2.2", "recursive_resolver", True),
        ("192.0.2.3", "recursive_resolver", True),
        ("192.0.2.4", "silent", False),
        ("192.0.2.5", "recursive_resolver", True),
        ("192.0.2.6", "silent", False),
    )
    after = verdicts(
        ("192.0.2.1", "recursive_resolver", True),
        ("192.0.2.2", "refused", False),
        ("192.0.2.3", "recursive_forwarder", True),
        ("192.0.2.4", "silent", False),
        ("198.51.100.7", "recursive_resolver", True),
        ("198.51.100.8", "silent", False),
    )
    changes = report.compare(before, after)
    rows = readable(changes.order(report.TARGET)).read_all().to_pylist()
    assert [(r["target"], r["change"]) for r in rows] == [
        ("192.0.2.1", "opened"),
        ("192.0.2.2", "closed"),
        ("192.0.2.3", "changed"),
        ("192.0.2.5", "gone"),
        ("198.51.100.7", "appeared"),
    ]
    owners = owned_by(("192.0.2.1", 64500, "Example", "AT"), ("198.51.100.7", 64501, None, "AT"))
    told = {by: report.changes_by(changes, by, owners) for by in report.GROUPS}
    assert [
        [(g["group"], g["hosts"], g["opened"], g["appeared"]) for g in rows] for rows in told.values()
    ] == [
        [("192.0.2.0/24", 4, 1, 0), ("198.51.100.0/24", 1, 0, 1)],
        [("-", 3, 0, 0), ("AS64500 Example", 1, 1, 0), ("AS64501", 1, 0, 1)],
        [("-", 3, 0, 0), ("AT", 2, 1, 1)],
    ]


def test_prefixes_of_both_families_are_groups() -> None:
    rows = verdicts(
        ("192.0.2.1", "refused", False),
        ("2001:db8::1", "refused", False),
        ("2001:db8:0:9::1", "refused", True),
    )
    empty = owned_by()
    measures = {"n": "count(*)", "open": "count(*) FILTER (open)"}
    found = report.grouped(rows, "prefix", empty, measures, first="n")
    assert [(r["group"], r["n"], r["open"]) for r in found] == [
        ("2001:db8::/48", 2, 1),
        ("192.0.2.0/24", 1, 0),
    ]
    assert [
        r["group"] for r in report.grouped(rows, "asn", empty, measures, first="n", having="open", most=1)
    ] == ["-"]


def test_ipv6_just_above_the_addresses_that_stand_for_ipv4_is_grouped_as_ipv6() -> None:
    rows = verdicts(
        *((address, "refused", False) for address in ("255.255.255.255", "::1:0:0:1", "::1:0:1:1"))
    )
    found = report.grouped(rows, "prefix", owned_by(), {"n": "count(*)"}, first="n")
    assert [(r["group"], r["n"]) for r in found] == [("::/48", 2), ("255.255.255.0/24", 1)]


def test_the_same_run_twice_differs_in_nothing() -> None:
    assert addresses(report.compare(verdicts(*THREE), verdicts(*THREE))) == []


def test_confusion_counts_right_wrong_and_missing() -> None:
    truth = verdicts(*THREE)
    told = verdicts(("192.0.2.1", "refused", False), ("192.0.2.9", "recursive_resolver", True))
    found = report.confusion(truth, told)
    assert (found.hosts, found.right) == (3, 1)
    assert found.wrong == [
        ("recursive_forwarder", "recursive_resolver", 1),
        ("recursive_resolver", "no_verdict", 1),
    ]


def test_every_class_that_a_verdict_can_be_has_a_meaning() -> None:
    names = {rule.name for rule in (*_rules.DELEGATED, *_rules.KNOWN)}
    assert names == set(report.CLASSES)
    known = {rule.name for rule in _rules.KNOWN}
    assert {name for name, kind in report.CLASSES.items() if kind.needs_authority} == names - known


@settings(max_examples=40, deadline=None)
@given(st.ip_addresses(), st.data())
def test_within_agrees_with_the_standard_library(address: Any, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, address.max_prefixlen))
    network = ip_network((data.draw(st.ip_addresses(v=address.version)), length), strict=False)
    rows = verdicts((str(address), "refused", False))
    if getattr(address, "ipv4_mapped", None):
        return  # IPv4 is kept as mapped IPv6
    inside = len(rows.filter(within("target", str(network))))
    assert bool(inside) == (address in network)


@pytest.mark.parametrize("prefix", ["::/0", "::/8", "::/64", "::8000:0:0/81"])
def test_what_is_written_as_ipv6_reaches_no_ipv4(prefix: str) -> None:
    rows = verdicts(("192.0.2.1", "refused", False), ("::fffe:0:1", "refused", False))
    assert addresses(report.select(rows, prefixes=[prefix])) == ["::fffe:0:1"]


def addresses(table: Relation) -> list[str]:
    found: list[str] = readable(table).read_all()["target"].to_pylist()
    return found
