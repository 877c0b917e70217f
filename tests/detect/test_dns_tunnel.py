"""Tunnels of several makes, and what only looks like them."""

import random

import pytest

from dnsonde.detect.dns_tunnel import dns_tunnel
from tests.detect.rows import AAAA, CNAME, MX, NXDOMAIN, SECOND, TXT, A, Row, found, query, response

CLIENT, RESOLVER = "192.0.2.9", "192.0.2.53"
HEX = "0123456789abcdef"
BASE32 = "abcdefghijklmnopqrstuvwxyz012345"
NULL = 10


def data(seed: int, octets: int, alphabet: str = BASE32) -> str:
    text = "".join(random.Random(seed).choices(alphabet, k=octets))
    return ".".join(text[at : at + 57] for at in range(0, len(text), 57))


def tunnel(
    count: int, domain: str = "t.example.com", octets: int = 80, qtype: int = TXT, step_s: float = 0.1
) -> list[Row]:
    rows = []
    for n in range(count):
        asked = query(CLIENT, RESOLVER, f"{data(n, octets)}.{domain}", qtype=qtype, time_s=n * step_s)
        rows += [asked, response(asked, ancount=1, answer_hash=n + 1, dns_bytes=200)]
    return rows


@pytest.mark.parametrize("qtype", [TXT, NULL, CNAME, MX, 65399])
def test_names_that_carry_data_are_a_tunnel(qtype: int) -> None:
    (row,) = found(dns_tunnel, tunnel(60, qtype=qtype))
    assert (row["subject"], row["severity"], row["count"]) == ("example.com", "high", 60)
    evidence = row["evidence"]
    assert (evidence["names"], evidence["client"], evidence["clients"]) == (60, CLIENT, 1)
    assert evidence["qtypes"] == [qtype]
    assert evidence["bytes_down"] == 60 * 200


@pytest.mark.parametrize("more", ["deadbeef", "203-0-113-4", "host-203-0-113-4.dyn"])
def test_an_address_added_to_its_names_hides_none(more: str) -> None:
    assert len(found(dns_tunnel, tunnel(60, domain=f"{more}.example.com"))) == 1


def test_lists_of_addresses_are_none() -> None:
    asked = [
        query(
            CLIENT,
            RESOLVER,
            f"{n & 255}.{n >> 8}.0.203.spam-and-worse.dnsbl.example.com",
            qtype=TXT,
            time_s=n,
        )
        for n in range(400)
    ]
    assert found(dns_tunnel, asked) == []


def test_who_is_not_answered_asks_three_times() -> None:
    asked = [row for row in tunnel(22, octets=130) if not row["response"]]
    again = [row | {"time_us": row["time_us"] + late * SECOND} for late in (0, 2, 5) for row in asked]
    assert len(found(dns_tunnel, again)) == 1


def test_an_unknown_top_level_domain_has_its_subject_too() -> None:
    (row,) = found(dns_tunnel, tunnel(60, domain="pirate.sea", qtype=NULL))
    assert row["subject"] == "pirate.sea"


def test_dnscat_without_a_domain_is_one_tunnel() -> None:
    rows = [
        query(CLIENT, "203.0.113.5", f"dnscat.{data(n, 50, HEX)}", qtype=TXT, time_s=n) for n in range(60)
    ]
    (row,) = found(dns_tunnel, rows)
    assert row["subject"] == "dnscat"


def test_a_slow_one_adds_up() -> None:
    (row,) = found(dns_tunnel, tunnel(80, step_s=60, octets=40))
    assert row["evidence"]["names"] == 80


def test_one_across_midnight_is_whole() -> None:
    rows = [row | {"time_us": row["time_us"] + 6350 * SECOND} for row in tunnel(50, step_s=2)]
    (row,) = found(dns_tunnel, rows)
    assert (row["count"], row["evidence"]["names"], row["evidence"]["bytes_down"]) == (50, 50, 50 * 200)


def test_sending_only_by_plain_types_is_found_when_it_is_much() -> None:
    rows = [query(CLIENT, RESOLVER, f"{data(n, 60)}.example.com", qtype=A, time_s=n) for n in range(300)]
    (row,) = found(dns_tunnel, rows)
    assert row["severity"] == "medium"
    assert found(dns_tunnel, rows[:160]) == []


def test_names_for_plain_types_that_count_up_are_the_pieces_of_a_file() -> None:
    def pieces(numbers: list[int], octets: int = 50) -> list[Row]:
        return [
            query(CLIENT, RESOLVER, f"{data(n, octets)}.{number:03}.1w0iy8.example.com", qtype=A, time_s=n)
            for n, number in enumerate(numbers)
        ]

    (row,) = found(dns_tunnel, pieces(list(range(1, 61))))
    assert (row["subject"], row["severity"]) == ("example.com", "medium")
    assert len(found(dns_tunnel, pieces([n // 2 for n in range(120)]))) == 1  # two names a piece
    assert found(dns_tunnel, pieces(list(range(1, 39)))) == []
    assert found(dns_tunnel, pieces([n * 37 for n in range(60)])) == []  # shards, ports, times of a day
    assert found(dns_tunnel, pieces(list(range(60)), octets=20)) == []  # counted, and short
    assert found(dns_tunnel, pieces([n % 12 for n in range(60)])) == []


def test_just_below_the_thresholds_is_nothing() -> None:
    assert found(dns_tunnel, tunnel(39)) == []
    assert len(found(dns_tunnel, tunnel(40))) == 1
    assert found(dns_tunnel, tunnel(60, octets=11)) == []


def test_cdn_telemetry_dkim_and_lists_are_no_tunnels() -> None:
    cdn = [
        row
        for n in range(2000)
        for asked in [
            query(CLIENT, RESOLVER, f"r{n % 9}---sn-{data(n, 8)}.video.example.net", qtype=AAAA, time_s=n)
        ]
        for row in (asked, response(asked, "203.0.113.7"))
    ]
    assert found(dns_tunnel, cdn) == []
    antivirus = [query(CLIENT, RESOLVER, f"{data(n, 60)}.avts.mcafee.com", time_s=n) for n in range(900)]
    assert found(dns_tunnel, antivirus) == []
    dkim = [
        query(CLIENT, RESOLVER, f"selector{s}._domainkey.d{n}.example.org", qtype=TXT, time_s=n)
        for n in range(30) for s in range(2)
    ]  # fmt: skip
    assert found(dns_tunnel, dkim[:20] * 50) == []
    blocklist = [
        query(CLIENT, RESOLVER, f"{n % 250}.{n // 250}.51.198.bl.example.net", qtype=TXT, time_s=n)
        for n in range(900)
    ]
    assert found(dns_tunnel, [row | {"rcode": NXDOMAIN} for row in blocklist]) == []
    repeated = [
        query(CLIENT, RESOLVER, f"{data(n % 50, 60)}.example.org", qtype=TXT, time_s=n) for n in range(900)
    ]
    assert found(dns_tunnel, repeated) == []


def test_a_search_suffix_makes_no_tunnel_of_what_does_not_exist() -> None:
    """Every name is asked again below the suffix of the company, and fails there."""
    rows = []
    for n in range(1500):
        asked = query(CLIENT, RESOLVER, f"www.site-{n}.com.corp.example.net", time_s=n)
        rows += [asked, response(asked, rcode=NXDOMAIN)]
    assert found(dns_tunnel, rows) == []


def test_plain_names_of_many_clients_are_telemetry() -> None:
    asked = [
        query(f"192.0.2.{n % 50 + 100}", RESOLVER, f"{data(n, 60)}.example.com", time_s=n)
        for n in range(3000)
    ]
    assert found(dns_tunnel, asked) == []
    relayed = [query(CLIENT, "203.0.113.5", f"{data(n, 60)}.example.com", time_s=n) for n in range(200)]
    assert len(found(dns_tunnel, asked + relayed)) == 1


def test_few_names_are_enough_where_they_are_a_known_tools() -> None:
    """iodine as it waits: what it begins with, and pings of eight octets."""
    names = ["zaaaa-aaahhh-drink-mal-ein-j\\228germeister-", *(f"paaa{data(n, 4)}" for n in range(12))]
    rows = [
        query(CLIENT, RESOLVER, f"{name}.example.com", qtype=TXT, time_s=4 * n)
        for n, name in enumerate(names)
    ]
    (row,) = found(dns_tunnel, rows)
    assert (row["evidence"]["tool"], row["evidence"]["names"]) == ("iodine", 13)
    assert found(dns_tunnel, rows[1:]) == []
    assert found(dns_tunnel, rows[:9]) == []
    ordered = [f"{data(1, 30)}.=auth.example.com", *(f"{data(n, 9)}.example.com" for n in range(12))]
    (row,) = found(dns_tunnel, [query(CLIENT, RESOLVER, name, qtype=TXT) for name in ordered])
    assert row["evidence"]["tool"] == "dns2tcp"


def test_types_that_nothing_else_asks_for_need_few_names() -> None:
    rows = [query(CLIENT, RESOLVER, f"paaa{data(n, 4)}.example.com", qtype=NULL, time_s=n) for n in range(12)]
    (row,) = found(dns_tunnel, rows)
    assert (row["severity"], row["evidence"]["names"]) == ("medium", 12)
    assert found(dns_tunnel, [row | {"qtype": A} for row in rows]) == []


def test_few_names_that_are_full_or_ask_for_types_by_turns_are_a_tunnel() -> None:
    full = [query(CLIENT, RESOLVER, f"{data(n, 150)}.example.com", qtype=TXT, time_s=n) for n in range(12)]
    assert len(found(dns_tunnel, full)) == 1
    assert found(dns_tunnel, [row | {"qtype": A} for row in full]) == []

    def turns(kinds: tuple[int, ...]) -> list[Row]:
        return [
            query(CLIENT, RESOLVER, f"{data(n, 34, HEX)}.example.com", qtype=kinds[n % len(kinds)], time_s=n)
            for n in range(15)
        ]

    assert len(found(dns_tunnel, turns((TXT, CNAME, MX)))) == 1
    assert found(dns_tunnel, turns((TXT, TXT, MX))) == []
    # Who looks after a domain asks each name for all of them.
    each = [row | {"qtype": kind} for row in turns((TXT,)) for kind in (TXT, CNAME, MX)]
    assert found(dns_tunnel, each) == []


def test_hosts_that_do_not_exist_carry_nothing_back() -> None:
    """Somebody feels for the mail servers of hosts at the authority that knows them."""
    rows = []
    for n in range(200):
        asked = query(
            CLIENT, RESOLVER, f"wg-dhcp{n}d{n * 7 % 256}.secure.wireless.example.com", qtype=MX, time_s=n * 40
        )
        rows += [asked, response(asked, rcode=NXDOMAIN if n % 4 else 0, dns_bytes=130)]
    assert found(dns_tunnel, rows) == []


def test_what_is_denied_and_sends_much_is_found_all_the_same() -> None:
    rows = []
    for n in range(300):
        asked = query(CLIENT, RESOLVER, f"{data(n, 60)}.example.com", qtype=TXT, time_s=n)
        rows += [asked, response(asked, rcode=NXDOMAIN, dns_bytes=130)]
    (row,) = found(dns_tunnel, rows)
    assert (row["severity"], row["evidence"]["names"]) == ("medium", 300)


def test_half_of_the_answers_may_deny_the_name_whether_or_not_the_questions_were_seen() -> None:
    rows = []
    for n in range(100):
        asked = query(CLIENT, RESOLVER, f"{data(n, 20)}.example.com", qtype=TXT, time_s=n)
        rows += [asked, response(asked, rcode=NXDOMAIN if n % 5 < 2 else 0, dns_bytes=130)]
    assert len(found(dns_tunnel, rows)) == 1
    assert len(found(dns_tunnel, rows[1::2])) == 1
