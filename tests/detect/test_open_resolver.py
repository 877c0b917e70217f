"""Recursion given to outsiders, and what only looks like it."""

from typing import Any

from dnsonde.detect.open_resolver import open_resolver
from tests.detect.rows import ANY, REFUSED, START, Row, found, query, response

STRANGER = "203.0.113.9"
SERVER = "192.0.2.53"


def answered(
    client: str = STRANGER, server: str = SERVER, name: str = "www.example.com", **more: Any
) -> list[Row]:
    asked = query(client, server, name)
    return [asked, response(asked, "203.0.113.80", **more)]


def test_one_recursive_answer_to_a_stranger_is_a_finding() -> None:
    (row,) = found(open_resolver, answered())
    assert (row["subject"], row["subject_kind"], row["severity"]) == (SERVER, "address", "medium")
    assert row["count"] == 1
    assert row["confidence"] == 0.5
    assert row["first_seen"] == row["last_seen"] == START + 10_000
    assert row["evidence"]["domains"] == ["example.com"]
    assert "any_answers" not in row["evidence"]


def test_it_is_one_finding_an_address_with_all_its_clients() -> None:
    messages = [m for n in range(5) for m in answered(f"203.0.113.{n}", name=f"n{n}.example.com", qtype=ANY)]
    messages += answered("2001:db9::1", "2001:db8::53")
    four, six = found(open_resolver, messages)
    assert (four["subject"], six["subject"]) == (SERVER, "2001:db8::53")
    assert (four["evidence"]["clients"], four["evidence"]["names"]) == (5, 5)
    assert four["evidence"]["any_answers"] == 5


def test_what_only_looks_open_is_not() -> None:
    assert found(open_resolver, answered(aa=True)) == []  # an authority
    assert found(open_resolver, answered(client="198.51.100.7")) == []  # our own client
    assert found(open_resolver, answered(client=SERVER, server=STRANGER)) == []  # our resolver asks
    assert found(open_resolver, answered(ra=False)) == []
    assert found(open_resolver, answered(transport="mdns")) == []
    asked = query(STRANGER, SERVER, "www.example.com")
    assert found(open_resolver, [response(asked, rcode=REFUSED)]) == []  # closed, with RA set
    assert found(open_resolver, [response(asked, nscount=13)]) == []  # a referral


def test_the_threshold_is_a_parameter() -> None:
    messages = [m for n in range(3) for m in answered(name=f"n{n}.example.com")]
    assert found(open_resolver, messages, answers_min=4) == []
    assert len(found(open_resolver, messages, answers_min=3)) == 1
