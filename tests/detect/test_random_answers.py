"""Answers from anywhere, and what only looks like it: rotations, pools, blocklists, dynamic names."""

import random
from ipaddress import IPv4Address, IPv6Address

from dnsonde.detect.random_answers import random_answers
from tests.detect.rows import AAAA, START, Row, found, query, response

CLIENT, SERVER = "192.0.2.53", "203.0.113.53"
PUBLIC = random.Random(5)


def anywhere() -> str:
    """A random address that a host can have."""
    while True:
        address = IPv4Address(PUBLIC.getrandbits(32))
        if address.is_global and not address.is_multicast:
            return str(address)


def answers(names: list[str], addresses: list[str], *, ttl_s: int = 300, **more: int) -> list[Row]:
    asked = [query(CLIENT, SERVER, name, time_s=n, **more) for n, name in enumerate(names)]
    return [response(m, address, ttl_min=ttl_s) for m, address in zip(asked, addresses, strict=True)]


def made(count: int) -> list[str]:
    return [f"{n}-192-0-2-{n}-192-0-2-{n + 1}.h.secshow.net" for n in range(count)]


def test_another_address_for_every_name_is_a_finding_from_twenty_on() -> None:
    addresses = [anywhere() for _ in range(20)]
    assert found(random_answers, answers(made(19), addresses[:19])) == []
    (row,) = found(random_answers, answers(made(20), addresses, ttl_s=86400))
    assert (row["subject"], row["severity"], row["confidence"]) == ("secshow.net", "low", 0.5)
    assert (row["count"], row["first_seen"]) == (20, START + 10_000)
    evidence = row["evidence"]
    assert (evidence["answers"], evidence["names"], evidence["nowhere"]) == (20, 20, 0)
    assert (evidence["ttl_max_s"], evidence["campaign"]) == (86400, "secshow")
    assert set(evidence["answer_examples"]) <= set(addresses)


def test_answers_seen_twice_on_their_way_count_once() -> None:
    given = answers(made(15), [anywhere() for _ in range(15)])
    assert found(random_answers, given * 3) == []


def test_addresses_that_no_host_can_have_tell_it_without_numbers_in_the_names() -> None:
    names = [f"{a}{b}.probe.example" for a in "abcdef" for b in "klmnop"]
    possible = [anywhere() for _ in names]
    assert found(random_answers, answers(names, possible)) == []
    assert len(found(random_answers, answers(names, [*possible[:-2], "240.7.7.7", "10.9.8.7"]))) == 1


def test_an_answer_for_a_day_that_is_another_one_the_next_time_is_a_finding() -> None:
    addresses = [anywhere() for _ in range(40)]
    for names in (
        ["same.probe.example"] * 40,
        [f"{a}{b}.probe.example" for a in "abcdefgh" for b in "klmno"],
    ):
        (row,) = found(random_answers, answers(names, addresses, ttl_s=86400))
        assert (row["subject"], row["count"]) == ("probe.example", 40)
        assert found(random_answers, answers(names, addresses, ttl_s=3600)) == []


def test_ipv6_scatters_too() -> None:
    addresses = [str(IPv6Address((0x2000 << 112) | PUBLIC.getrandbits(124))) for _ in range(25)]
    (row,) = found(random_answers, answers(made(25), addresses, qtype=AAAA))
    assert row["evidence"]["networks"] == 25


def test_rotation_and_pools_are_none() -> None:
    rotating = answers([f"{n}.cdn.example.com" for n in range(200)], [f"203.0.113.{n}" for n in range(200)])
    pool = answers(["2.debian.pool.ntp.org"] * 60, [anywhere() for _ in range(60)])
    assert found(random_answers, rotating + pool) == []


def test_blocklists_lines_and_dynamic_names_are_none() -> None:
    listed = answers(
        [f"{n}.2.0.192.zen.spamhaus.org" for n in range(60)], [f"127.0.0.{n}" for n in range(60)]
    )
    lines = [anywhere() for _ in range(60)]
    hosts = answers([f"{address.replace('.', '-')}.dyn.isp.example" for address in lines], lines)
    words = ["nas", "home", "cam", "office", "garden", "mail", "cloud", "box"]
    dynamic = answers([f"{a}{b}.dyn.example" for a in words for b in words], [anywhere() for _ in range(64)])
    assert found(random_answers, listed + hosts + dynamic) == []
