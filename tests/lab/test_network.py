"""Loss, doubling, delay and order, as pure functions of the datagrams."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.lab.network import FOREVER, Calendar, Leg, Rows
from dnsonde.lab.scenario import Link
from dnsonde.net.udp import DATAGRAM


def rows(n: int, width: int = 40) -> Rows:
    data = np.zeros((n, width), np.uint8)
    data[:, :4] = np.arange(n, dtype=">u4").view(np.uint8).reshape(n, 4)
    meta = np.zeros(n, DATAGRAM)
    meta["host"], meta["length"] = np.arange(n), width
    return data, meta


def keys(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.uint64) + np.uint64(0x7F01_0000_0000)


def leg(**settings: float) -> Leg:
    return Leg(Link(**settings), 1, 100, capacity=1 << 16, width=64)


def numbers(data: np.ndarray) -> list[int]:
    return [int(x) for x in np.ascontiguousarray(data[:, :4]).view(">u4")[:, 0]]


def test_a_clear_way_gives_back_what_it_got() -> None:
    data, meta = rows(10)
    out = leg().send(data, meta, keys(10), 0)
    assert out[0] is data
    assert out[1] is meta


def test_loss_and_doubling_have_their_shares() -> None:
    n = 20_000
    data, meta = rows(n)
    way = leg(loss=0.1, duplicate=0.05)
    out, _ = way.send(data, meta, keys(n), 0)
    assert abs(way.lost - 0.1 * n) < 6 * math.sqrt(0.09 * n)
    assert abs(way.doubled - 0.05 * 0.9 * n) < 6 * math.sqrt(0.045 * n)
    assert len(out) == n - way.lost + way.doubled
    seen = np.bincount(numbers(out), minlength=n)
    assert (int((seen == 0).sum()), int((seen == 2).sum())) == (way.lost, way.doubled)


def test_fate_does_not_depend_on_the_batch_or_the_moment() -> None:
    data, meta = rows(1000)
    whole = numbers(leg(loss=0.3).send(data, meta, keys(1000), 0)[0])
    parts = leg(loss=0.3)
    pieces = []
    for start in range(0, 1000, 77):
        piece = slice(start, start + 77)
        pieces += numbers(parts.send(data[piece], meta[piece], keys(1000)[piece], start * 1000)[0])
    assert pieces == whole


def test_directions_are_independent() -> None:
    data, meta = rows(20_000)
    there = Leg(Link(loss=0.5), 1, 100, capacity=8, width=64).send(data, meta, keys(20_000), 0)[0]
    back = Leg(Link(loss=0.5), 1, 101, capacity=8, width=64).send(data, meta, keys(20_000), 0)[0]
    both = len(set(numbers(there)) & set(numbers(back)))
    assert abs(both - 5000) < 6 * math.sqrt(20_000 * 3 / 16)


def test_delay_holds_and_lets_go_in_time() -> None:
    data, meta = rows(500)
    way = leg(delay_ms=10, jitter_ms=5)
    assert len(way.send(data, meta, keys(500), 1000)[1]) == 0
    assert 11_000 <= way.waiting.next_us < 11_500
    early = way.due(13_500, 1000)[1]
    late = way.due(16_000, 1000)[1]
    assert 100 < len(early) < 400
    assert len(early) + len(late) == 500
    assert len(way.waiting) == 0
    assert way.waiting.next_us == FOREVER


def test_what_is_overtaken_comes_later() -> None:
    data, meta = rows(1000)
    way = leg(reorder=0.2, reorder_ms=7)
    at_once = numbers(way.send(data, meta, keys(1000), 0)[0])
    later = numbers(way.due(7000, 2000)[0])
    assert 120 < len(later) < 280
    assert sorted(at_once + later) == list(range(1000))
    assert at_once == sorted(at_once)


def test_a_hosts_own_delay_is_added() -> None:
    data, meta = rows(4)
    way = leg()
    now, _ = way.send(data, meta, keys(4), 0, np.array([0, 2000, 1000, 0]))
    assert numbers(now) == [0, 3]
    assert numbers(way.due(1000, 10)[0]) == [2]
    assert numbers(way.due(2000, 10)[0]) == [1]


def test_a_full_calendar_refuses_and_counts() -> None:
    data, meta = rows(10)
    calendar = Calendar(6, 64)
    calendar.put(data, meta, np.arange(10))
    assert (len(calendar), calendar.refused) == (6, 4)
    assert numbers(calendar.take(100, 4)[0]) == [0, 1, 2, 3]
    calendar.put(data[6:], meta[6:], np.arange(4))
    assert (len(calendar), calendar.refused) == (6, 4)
    assert sorted(numbers(calendar.take(100, 10)[0])) == [4, 5, 6, 7, 8, 9]


@given(
    st.lists(st.one_of(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(0, 60)), max_size=25)
)
def test_the_calendar_is_a_sorted_list(doings: list[list[int] | int]) -> None:
    calendar, number = Calendar(40, 64), 0
    model: list[tuple[int, int]] = []
    for doing in doings:
        if isinstance(doing, int):
            due = sorted(x for x in model if x[0] <= doing)[:7]
            model = [x for x in model if x not in due]
            assert numbers(calendar.take(doing, 7)[0]) == [n for _, n in due]
            continue
        n = min(len(doing), 40 - len(model))
        data, meta = rows(number + len(doing))
        calendar.put(data[number:], meta[number:], np.array(doing))
        model += [(due, number + k) for k, due in enumerate(doing[:n])]
        number += len(doing)
    assert len(calendar) == len(model)


@pytest.mark.parametrize("octets", [0, 3])
def test_short_datagrams_keep_rows_wide_enough_to_look_at(octets: int) -> None:
    data, meta = rows(2)
    meta["length"] = octets
    calendar = Calendar(4, 64)
    calendar.put(data, meta, np.zeros(2, np.int64))
    assert calendar.take(0, 4)[0].shape[1] >= 22
