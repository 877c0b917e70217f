"""Random names asked for their mail servers, and mail servers at work."""

import random

from dnsonde.detect.mx_probing import mx_probing
from tests.detect.rows import MX, NXDOMAIN, START, Row, found, query, response

NUMBERS = random.Random(2)
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def probes(count: int, domain: str, *, client: str = "203.0.113.9", server: str = "192.0.2.53") -> list[Row]:
    labels = ["".join(NUMBERS.choices(LETTERS, k=5)) for _ in range(count)]
    return [query(client, server, f"{label}.{domain}", qtype=MX, time_s=n) for n, label in enumerate(labels)]


def test_a_known_domain_needs_three_names() -> None:
    assert found(mx_probing, probes(2, "kb.com")) == []
    asked = probes(3, "kb.com")
    (row,) = found(mx_probing, [*asked, response(asked[0], rcode=NXDOMAIN)])
    assert (row["subject"], row["severity"], row["confidence"], row["count"]) == ("kb.com", "info", 0.99, 3)
    assert (row["first_seen"], row["last_seen"]) == (START, START + 2_000_000)
    assert (row["evidence"]["names"], row["evidence"]["targets"], row["evidence"]["clients"]) == (3, 1, 1)
    assert row["evidence"]["campaign"] == "muddling-meerkat"


def test_a_known_domain_that_is_a_public_suffix_is_the_subject_itself() -> None:
    (row,) = found(mx_probing, probes(5, "4u.com"))
    assert (row["subject"], row["count"]) == ("4u.com", 5)


def test_another_short_domain_needs_twenty_random_names() -> None:
    assert found(mx_probing, probes(19, "q7z.org")) == []
    (row,) = found(mx_probing, probes(20, "q7z.org"))
    assert (row["subject"], row["confidence"]) == ("q7z.org", 0.5)
    assert "campaign" not in row["evidence"]


def test_an_answer_made_up_on_the_way_makes_it_worse() -> None:
    asked = probes(30, "oao.com", client="192.0.2.53", server="203.0.113.53")
    (row,) = found(mx_probing, [*asked, response(asked[4], ancount=1)])
    assert (row["severity"], row["evidence"]["answered"], row["evidence"]["relayed"]) == ("low", 1, 31)


def test_seen_on_both_sides_of_a_resolver_it_is_still_fresh() -> None:
    asked = probes(25, "q7z.org")
    relayed = [{**m, **query("192.0.2.53", "198.18.0.53", m["qname"], qtype=MX)} for m in asked]
    assert len(found(mx_probing, asked + relayed)) == 1


def test_mail_servers_at_work_are_none() -> None:
    words = ["cs", "ee", "math", "bio", "law", "med", "art", "lists", "mail", "chem", "phys", "econ", "hist", "geo",
             "ling", "music", "news", "astro", "alum", "phil", "psych", "soc", "nurse", "dean"]  # fmt: skip
    names = [*(f"{word}.mit.edu" for word in words), *(f"a{n}.com" for n in range(60))]
    assert found(mx_probing, [query("192.0.2.25", "192.0.2.53", name, qtype=MX) for name in names]) == []


def test_a_search_suffix_and_lists_of_domains_are_none() -> None:
    """A mail server asks for each domain again below the company's short one, and a list about it."""
    below = [f"shop{n}.com.q7z.org" for n in range(60)] + [f"shop{n}.com.uribl.com" for n in range(60)]
    assert found(mx_probing, [query("192.0.2.25", "192.0.2.53", name, qtype=MX) for name in below]) == []


def test_the_same_names_again_and_again_are_none() -> None:
    assert found(mx_probing, probes(25, "q7z.org") * 3) == []


def test_other_types_longer_names_and_longer_domains_are_none() -> None:
    assert found(mx_probing, [{**m, "qtype": 1} for m in probes(30, "kb.com")]) == []
    assert found(mx_probing, probes(30, "a1.kb.com")) == []
    assert found(mx_probing, probes(30, "example-university.org")) == []
    assert len(found(mx_probing, probes(30, "example-university.org"), domain_max=30)) == 1
