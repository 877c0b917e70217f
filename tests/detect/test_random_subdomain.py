"""Water torture, and what only looks like it."""

import random
from typing import Any

import pytest

from dnsonde.detect.random_subdomain import random_subdomain
from dnsonde.wire.codes import Status
from tests.detect.rows import AAAA, NXDOMAIN, SECOND, SERVFAIL, Row, found, query, response

CLIENT, RESOLVER = "192.0.2.9", "192.0.2.53"


def label(seed: int) -> str:
    return "".join(random.Random(seed).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=12))


def storm(count: int, domain: str = "victim.example", step_s: float = 0.02, **more: Any) -> list[Row]:
    """Random names and their answers; rcode: of the answers."""
    rows = []
    for n in range(count):
        asked = query(CLIENT, RESOLVER, f"{label(n)}.{domain}", time_s=n * step_s)
        rows += [asked, response(asked, **{"rcode": NXDOMAIN, **more})]
    return rows


def test_random_names_that_fail_are_one_finding() -> None:
    (row,) = found(random_subdomain, storm(600))
    assert (row["subject"], row["subject_kind"], row["severity"]) == ("victim.example", "domain", "medium")
    assert row["count"] == 600
    assert row["evidence"]["names"] == 600
    assert row["evidence"]["clients"] == 1
    assert row["evidence"]["failing"] == 1.0


@pytest.mark.parametrize("digits", [7, 8, 9])
def test_names_of_eight_hex_digits_are_as_random_as_others(digits: int) -> None:
    rows = []
    for n in range(600):
        name = "".join(random.Random(n).choices("0123456789abcdef", k=digits))
        asked = query(CLIENT, RESOLVER, f"{name}.victim.example", time_s=n / 50)
        rows += [asked, response(asked, rcode=NXDOMAIN)]
    assert len(found(random_subdomain, rows)) == 1


def test_addresses_that_are_on_no_list_are_none() -> None:
    rows = []
    for n in range(600):
        asked = query(CLIENT, RESOLVER, f"{n & 255}.{n >> 8}.0.203.dnsbl.example", time_s=n / 50)
        rows += [asked, response(asked, rcode=NXDOMAIN)]
    assert found(random_subdomain, rows) == []


def test_silence_and_servfail_fail_too_and_speed_is_worse() -> None:
    unanswered = [row for row in storm(600, step_s=0.001) if not row["response"]]
    (row,) = found(random_subdomain, unanswered)
    assert row["severity"] == "high"
    assert len(found(random_subdomain, storm(600, rcode=SERVFAIL))) == 1
    responses_only = [row for row in storm(600) if row["response"]]
    assert found(random_subdomain, responses_only)[0]["count"] == 600


def test_a_list_of_words_that_one_client_tries_is_told_as_such() -> None:
    """As fierce and gobuster do; many clients do not have the same list."""
    words = ["mail", "news", "vpn", "intranet", "autodiscover", "smtp", "host", "server", "office", "www"]

    def names(clients: int) -> list[Row]:
        labels = [f"{words[n % 10]}-{words[n // 10 % 10]}{n // 100}" for n in range(600)]
        return [
            query(f"192.0.2.{9 + n % clients}", RESOLVER, f"{one}.victim.example", time_s=n / 400)
            for n, one in enumerate(labels)
        ]

    (row,) = found(random_subdomain, [*names(1), *(response(one, rcode=NXDOMAIN) for one in names(1))])
    assert (row["severity"], row["evidence"]["made_of"]) == ("low", "words")
    assert "made of words, as a list of hosts is" in row["summary"]
    (row,) = found(random_subdomain, names(40))
    assert (row["severity"], row["evidence"].get("made_of")) == ("high", None)


def test_below_the_threshold_is_nothing() -> None:
    assert found(random_subdomain, storm(499)) == []
    assert len(found(random_subdomain, storm(500))) == 1
    assert found(random_subdomain, storm(600, step_s=60)) == []


def test_an_attack_of_hours_is_one() -> None:
    (row,) = found(random_subdomain, storm(1500, step_s=4))
    assert row["evidence"]["names"] == 1500


@pytest.mark.parametrize("edge_s", [1000, 2800])  # half past the hour, and the full hour
def test_an_attack_across_the_edge_of_a_window_is_whole(edge_s: int) -> None:
    rows = [row | {"time_us": row["time_us"] + (edge_s - 6) * SECOND} for row in storm(600)]
    (row,) = found(random_subdomain, rows)
    assert (row["count"], row["evidence"]["names"]) == (600, 600)


def test_names_that_exist_are_a_cdn_or_telemetry() -> None:
    rows = []
    for n in range(900):
        asked = query(CLIENT, RESOLVER, f"{label(n)}.avts.telemetry.example", time_s=n)
        rows += [asked, response(asked, "127.0.0.1")]
    assert found(random_subdomain, rows) == []


def test_lists_of_addresses_and_of_domains_are_not_it() -> None:
    rows = []
    for n in range(900):
        asked = query(CLIENT, RESOLVER, f"{n % 250}.{n // 250}.51.198.zen.blocklist.example", time_s=n)
        rows += [asked, response(asked, rcode=NXDOMAIN)]
    assert found(random_subdomain, rows) == []


def test_search_suffixes_are_not_it() -> None:
    rows = []
    for n in range(900):
        name = f"{'www.' * (n % 3)}{label(n)}.com.corp.example"
        asked = query(CLIENT, RESOLVER, name, time_s=n)
        rows += [asked, response(asked, rcode=NXDOMAIN)]
    assert found(random_subdomain, rows) == []


def test_one_dead_name_asked_again_and_again_is_not_it() -> None:
    rows = [query(CLIENT, RESOLVER, "gone.victim.example", time_s=n / 10, qtype=AAAA) for n in range(5000)]
    assert found(random_subdomain, rows) == []
    few = [query(CLIENT, RESOLVER, f"{label(n % 500)}.victim.example", time_s=n / 10) for n in range(3000)]
    assert found(random_subdomain, few) == []


def test_answers_that_the_capture_cut_are_answers() -> None:
    """A snap length leaves header and question: the names exist."""
    rows = []
    for n in range(900):
        asked = query(CLIENT, RESOLVER, f"{label(n)}.cdn.example", time_s=n / 10)
        rows += [asked, response(asked, status=int(Status.TRUNCATED), ancount=1)]
    assert found(random_subdomain, rows) == []
    assert len(found(random_subdomain, rows[::2])) == 1


def test_silence_proves_little_where_no_answer_was_captured() -> None:
    asked = [query(CLIENT, RESOLVER, f"{label(n)}.cdn.example", time_s=n / 10) for n in range(900)]
    (row,) = found(random_subdomain, asked)
    assert row["severity"] == "low"
    other = query(CLIENT, RESOLVER, "www.example.com")
    (row,) = found(random_subdomain, [*asked, other, response(other, "203.0.113.7")])
    assert row["severity"] == "medium"
    (row,) = found(random_subdomain, [{**m, "time_us": m["time_us"] // 100} for m in asked])
    assert row["severity"] == "high"
