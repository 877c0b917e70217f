"""Contradicting answers and strange distances; retries, rotations, copies and changed routes."""

from typing import Any

from dnsonde.detect.answer_injection import answer_injection
from tests.detect.rows import NXDOMAIN, SECOND, START, Row, found, moved, query, response

CLIENT, SERVER = "192.0.2.53", "203.0.113.53"


def question(n: int = 0, name: str = "www.blocked.example", **more: Any) -> Row:
    return query(CLIENT, SERVER, name, time_s=n / 10, id=100 + n, src_port=30000 + n, **more)


def injected(n: int = 0, *, ttl: int = 200, **more: Any) -> list[Row]:
    asked = question(n, **more)
    return [asked, response(asked, "198.18.9.9", after_s=0.002, ip_ttl=ttl), response(asked, "203.0.113.80")]


def steady(count: int = 30) -> list[Row]:
    asked = [question(1000 + n, f"n{n}.fine.example") for n in range(count)]
    return [response(m, "203.0.113.80") for m in asked]


def test_two_answers_to_one_question_are_a_finding() -> None:
    (row,) = found(answer_injection, injected())
    assert (row["subject"], row["severity"], row["confidence"], row["count"]) == (
        "blocked.example",
        "low",
        0.5,
        1,
    )
    assert (row["first_seen"], row["last_seen"]) == (START + 2000, START + 10_000)
    evidence = row["evidence"]
    assert (evidence["conflicts"], evidence["out_of_line"]) == (1, 0)
    assert evidence["answer_examples"] == ["198.18.9.9", "203.0.113.80"]
    assert evidence["ip_ttls"] == [57, 200]


def test_three_of_them_are_medium_and_one_finding() -> None:
    (row,) = found(answer_injection, [m for n in range(3) for m in injected(n, ttl=57)])
    assert (row["severity"], row["count"]) == ("medium", 3)
    assert found(answer_injection, injected(), conflicts_min=2) == []


def test_answers_on_both_sides_of_a_minute_contradict_each_other() -> None:
    asked = question()
    asked = {**asked, "time_us": START // 60_000_000 * 60_000_000 + 59_500_000}
    both = [response(asked, "198.18.9.9", after_s=0.1), response(asked, "203.0.113.80", after_s=5)]
    (row,) = found(answer_injection, [asked, *both])
    assert row["count"] == 1


def test_who_answers_for_every_domain_is_worse_than_one_name() -> None:
    three = [m for n in range(3) for m in injected(n, name=f"www.n{n}.example")]
    rows = found(answer_injection, three)
    assert [(row["severity"], row["evidence"]["conflicts_around"]) for row in rows] == [("medium", 3)] * 3
    apart = [{**m, "time_us": m["time_us"] + n // 3 * 2 * 3_600_000_000} for n, m in enumerate(three)]
    assert {row["severity"] for row in found(answer_injection, apart)} == {"low"}
    # START is 2,800 seconds before an hour, whose turn makes no difference.
    late = [moved(m, (2600 + n // 3 * 200) * SECOND) for n, m in enumerate(three)]
    assert [row["evidence"]["conflicts_around"] for row in found(answer_injection, late)] == [3] * 3


def test_an_answer_that_goes_to_the_server_was_put_in() -> None:
    asked = question()
    true = response(asked, "203.0.113.80")
    ends = {part: asked[part] for part in asked if part.startswith(("src_", "dst_"))}
    forged = {**response(asked, "198.18.9.9", after_s=0.02), **ends}
    (row,) = found(answer_injection, [asked, true, forged])
    assert row["evidence"]["answer_examples"] == ["198.18.9.9", "203.0.113.80"]
    assert found(answer_injection, [asked, true, {**true, **ends}]) == []


def test_data_against_nxdomain_is_a_contradiction_too() -> None:
    asked = question()
    both = [response(asked, "198.18.9.9"), response(asked, rcode=NXDOMAIN)]
    assert len(found(answer_injection, [asked, *both])) == 1


def test_without_the_question_the_distances_must_differ() -> None:
    assert len(found(answer_injection, injected()[1:])) == 1
    assert found(answer_injection, injected(ttl=57)[1:]) == []


def test_a_retry_that_meets_a_rotation_is_none() -> None:
    asked = question()
    both = [response(asked, "203.0.113.80"), response(asked, "203.0.113.81", after_s=2)]
    assert found(answer_injection, [asked, {**asked, "time_us": asked["time_us"] + 1_000_000}, *both]) == []


def test_copies_truncations_failures_and_a_port_used_again_are_none() -> None:
    asked = question()
    copy = [asked, response(asked, "203.0.113.80"), response(asked, "203.0.113.80", after_s=0.02)]
    assert found(answer_injection, copy) == []
    assert found(answer_injection, [*copy, response(asked, tc=True, answer_hash=9)]) == []
    assert found(answer_injection, [*copy, response(asked, rcode=2)]) == []
    later = {**asked, "time_us": asked["time_us"] + 600_000_000}
    assert found(answer_injection, [*copy, later, response(later, "203.0.113.99")]) == []


def test_answers_from_another_distance_than_their_server_are_a_finding() -> None:
    far = [response(question(n), "198.18.9.9", ip_ttl=44 + n) for n in range(3)]
    (row,) = found(answer_injection, steady() + far)
    assert (row["subject"], row["severity"], row["count"]) == ("blocked.example", "low", 3)
    assert (row["evidence"]["out_of_line"], row["evidence"]["ip_ttl_usual"]) == (3, 57)
    assert found(answer_injection, steady() + far[:2]) == []
    assert found(answer_injection, steady(10) + far) == []  # what is usual is not known


def test_a_route_that_changed_a_little_or_a_server_with_two_distances_is_none() -> None:
    nearer = [response(question(n), "198.18.9.9", ip_ttl=59) for n in range(5)]
    assert found(answer_injection, steady() + nearer) == []
    anycast = [{**m, "ip_ttl": 40} for m in steady(25)]
    assert found(answer_injection, steady() + anycast) == []


def test_answers_from_where_they_always_come_count_against_those_from_elsewhere() -> None:
    far = [response(question(n), "198.18.9.9", ip_ttl=44) for n in range(3)]
    asked = [
        query(CLIENT, "203.0.113.54", "www.blocked.example", time_s=n, id=n, src_port=20000 + n)
        for n in range(20)
    ]
    near = [response(m, "203.0.113.80") for m in asked]
    assert len(found(answer_injection, steady() + far)) == 1
    assert found(answer_injection, steady() + far + near) == []
