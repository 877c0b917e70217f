"""An event that goes on is told once, and again only when it is worse or ten times as much."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.errors import SystemRefusal
from dnsonde.findings import again
from dnsonde.findings.about import about

NOW_US = 1_700_000_000_000_000
HOUR_US = 3600 * 1_000_000
DETECTORS = about()
Row = dict[str, Any]


def finding(count: int = 90, *, first_h: float = 0.0, last_h: float = 1.0, **more: Any) -> Row:
    """A series of password guessing, whose events are an hour apart at most."""
    row = {
        "detector": "telnet_bruteforce",
        "subject": "192.0.2.66",
        "severity": "medium",
        "first_seen": NOW_US + round(first_h * HOUR_US),
        "last_seen": NOW_US + round(last_h * HOUR_US),
        "count": count,
        "evidence": "{}",
    }
    return row | more


def told(folder: Path, *rows: Row, now_us: int = NOW_US) -> list[bool]:
    """Whether each is news, once; then all of them were told."""
    fresh = again.news(again.told(folder), rows, DETECTORS)
    again.note(folder, rows, DETECTORS, now_us)
    return fresh


def test_the_first_look_tells_all_and_the_second_nothing(tmp_path: Path) -> None:
    rows = finding(), finding(subject="192.0.2.67"), finding(detector="mirai_scan")
    assert told(tmp_path, *rows) == [True, True, True]
    assert told(tmp_path, *rows) == [False, False, False]


def test_it_is_told_again_when_its_count_passes_a_power_of_ten(tmp_path: Path) -> None:
    counts = [90, 99, 100, 150, 999, 1000, 1000, 50, 100_000]
    news = [told(tmp_path, finding(count, last_h=1 + n / 2))[0] for n, count in enumerate(counts)]
    assert news == [True, False, True, False, False, True, False, False, True]


def test_it_is_told_again_when_it_is_worse_and_not_when_it_is_better(tmp_path: Path) -> None:
    levels = ["medium", "low", "medium", "high", "medium", "high", "critical"]
    news = [told(tmp_path, finding(severity=level))[0] for level in levels]
    assert news == [True, False, False, True, False, False, True]


@pytest.mark.parametrize(
    ("more", "anew"),
    [
        ({"first_h": 2.0, "last_h": 3.0}, False),
        ({"first_h": 2.1, "last_h": 3.0}, True),
        ({"first_h": -1.0, "last_h": -0.5}, False),
        ({"first_h": -9.0, "last_h": -8.0}, True),
        ({"first_h": 2.1, "last_h": 3.0, "detector": "mirai_scan"}, False),  # whose gap is a day
        ({"first_h": 25.1, "last_h": 26.0, "detector": "mirai_scan"}, True),
        ({"first_h": 2.1, "last_h": 3.0, "detector": "open_resolver"}, True),  # which has none
        ({"first_h": 2.0, "last_h": 3.0, "detector": "open_resolver"}, False),
    ],
)
def test_another_event_of_the_same_subject_is_news(tmp_path: Path, more: Row, *, anew: bool) -> None:
    told(tmp_path, finding(**{**more, "first_h": 0.0, "last_h": 1.0}))
    assert told(tmp_path, finding(**more)) == [anew]
    assert len(again.told(tmp_path)) == 1 + anew


def test_vectors_at_one_address_are_events_of_their_own(tmp_path: Path) -> None:
    syn, udp = (finding(detector="flood", evidence=json.dumps({"vector": v})) for v in ("syn", "udp_plain"))
    assert told(tmp_path, syn) == [True]
    assert told(tmp_path, syn, udp) == [False, True]
    # Of a scan it is the first protocol only.
    tcp, icmp = (
        finding(detector="service_scan", evidence=json.dumps({"protocol": p})) for p in ("tcp", "icmp")
    )
    assert [told(tmp_path, tcp), told(tmp_path, icmp)] == [[True], [False]]


def test_an_event_keeps_its_name_and_since_when_it_is_known(tmp_path: Path) -> None:
    told(tmp_path, finding())
    (first,) = again.told(tmp_path)
    assert re.fullmatch("[0-9a-f]{12}", first.event)
    assert first.known_since == "2023-11-14T22:13:20Z"
    # Days are deleted at its beginning, and it goes on.
    for n in range(1, 5):
        assert told(tmp_path, finding(first_h=n, last_h=n + 1), now_us=NOW_US + n) == [False]
    (last,) = again.told(tmp_path)
    assert (last.event, last.known_since) == (first.event, first.known_since)
    assert (last.first_seen, last.last_seen) == (NOW_US, NOW_US + 5 * HOUR_US)


def test_two_events_that_turn_out_to_be_one_go_on_as_the_elder(tmp_path: Path) -> None:
    told(tmp_path, finding(500, first_h=5, last_h=6))
    (elder,) = again.told(tmp_path)
    told(tmp_path, finding(50), finding(500, first_h=5, last_h=6), now_us=NOW_US + HOUR_US)
    assert len(again.told(tmp_path)) == 2
    assert told(tmp_path, finding(600, first_h=0, last_h=6), now_us=NOW_US + 2 * HOUR_US) == [False]
    (one,) = again.told(tmp_path)
    assert (one.event, one.known_since, one.count) == (elder.event, elder.known_since, 600)


def test_what_is_not_found_now_stays_told_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "GONE_MAX", 2)
    rows = [finding(subject=f"192.0.2.{n}", last_h=n) for n in range(1, 6)]
    told(tmp_path, *rows)
    told(tmp_path, rows[0])
    assert {one.subject for one in again.told(tmp_path)} == {"192.0.2.1", "192.0.2.4", "192.0.2.5"}


@pytest.mark.parametrize(
    "octets", [b"", b"nonsense", b"\xff\n", b"{}\n", b"[1]\n", b'{"event": "a", "count": 1e99}\n']
)
def test_what_is_damaged_is_told_again_and_mended(tmp_path: Path, octets: bytes) -> None:
    told(tmp_path, finding())
    (tmp_path / again.FILE).write_bytes(octets)
    assert told(tmp_path, finding()) == [True]
    assert told(tmp_path, finding()) == [False]


def test_where_nothing_can_be_written_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / again.FILE).mkdir()  # what is in the way stops root, too
    with pytest.raises(SystemRefusal):
        told(tmp_path, finding())
    assert [path.name for path in tmp_path.iterdir()] == [again.FILE]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a\n", "\u2028", '"']),
            st.floats(0, 50),
            st.floats(0, 5),
            st.integers(1, 10**6),
            st.sampled_from(["low", "high"]),
        ),
        max_size=12,
    )
)
def test_whatever_was_told_is_no_news(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[str, float, float, int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("lake")
    rows = [
        finding(count, subject=subject, first_h=first, last_h=first + lasts, severity=severity)
        for subject, first, lasts, count, severity in spans
    ]
    assert all(told(folder, *rows))
    events = again.told(folder)
    assert len({one.event for one in events}) == len(events)
    assert not any(told(folder, *rows[::-1]))
    assert sorted(again.told(folder), key=repr) == sorted(events, key=repr)
