"""Whom to ask next: everybody once, nobody twice, whatever the ceilings say."""

from ipaddress import ip_network
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.clock import VirtualClock
from dnsonde.net.pace import Pace
from dnsonde.probe._bitmap import Bitmap
from dnsonde.probe._recover import Marks
from dnsonde.probe._supply import PUT_OFF, Supply
from dnsonde.probe.order import Order, Ranges, Scope
from dnsonde.wire.name import Kind


def whole(folder: Path, prefix: str, kind: Kind, prefix_pps: float | None, shard: tuple[int, int] = (1, 1),
          learn: int = 0) -> list[int]:  # fmt: skip
    """Everything that comes out of a supply; the first `learn` targets are marked before."""
    scope = Scope(Ranges.of_networks([ip_network(prefix)]))
    clock = VirtualClock()
    pace = Pace(1e6, prefix_pps, clock=clock)
    marks = Marks.clear(folder, scope.size, 1)
    for mark in (marks.answered, marks.recursive):
        mark.set(np.arange(learn))
    supply = Supply(scope, Order(scope.size, b"key", shard), marks, kind)
    out: list[int] = []
    for _ in range(100_000):
        if supply.exhausted:
            return out
        index, addresses = supply.next(64, pace)
        assert np.array_equal(scope.index(addresses), index)
        assert supply._waiting <= PUT_OFF + 64
        pace.take(len(index))
        out += index.tolist()
        clock.sleep_us(1000)
    raise AssertionError("it never ends")


@pytest.mark.parametrize("prefix_pps", [None, 500.0])
def test_everybody_once(tmp_path: Path, prefix_pps: float | None) -> None:
    out = whole(tmp_path, "10.0.0.0/21", Kind.SWEEP, prefix_pps)
    assert sorted(out) == list(range(2048))
    assert out != sorted(out)


def test_shards_are_apart_and_together_complete(tmp_path: Path) -> None:
    found = [t for k in (1, 2, 3) for t in whole(tmp_path, "10.0.0.0/22", Kind.SWEEP, None, (k, 3))]
    assert sorted(found) == list(range(1024))


def test_sweep_leaves_out_the_answered_and_the_rest_asks_only_the_recursive(tmp_path: Path) -> None:
    assert sorted(whole(tmp_path, "10.0.0.0/22", Kind.SWEEP, None, learn=1000)) == list(range(1000, 1024))
    assert sorted(whole(tmp_path, "10.0.0.0/22", Kind.CHAIN, None, learn=30)) == list(range(30))


def shares(folder: Path, kind: Kind, answered: int, done: int, step: int) -> list[tuple[float, float]]:
    """Share and number left of 256 targets after each step, with so many marked before."""
    scope = Scope(Ranges.of_networks([ip_network("10.0.0.0/24")]))
    marks = Marks.clear(folder, scope.size, 1)
    for mark in (marks.answered, marks.recursive):
        mark.set(np.arange(answered))
    marks.done.set(np.arange(256 - done, 256))
    supply = Supply(scope, Order(scope.size, b"key"), marks, kind)
    told = []
    while not supply.exhausted:
        supply.next(step, Pace(1e6, None, clock=VirtualClock()))
        told.append((supply.share, supply.left))
    return told


def test_the_share_is_of_those_asked_and_not_of_those_looked_at(tmp_path: Path) -> None:
    assert shares(tmp_path, Kind.SWEEP, 0, 0, 64) == [(k / 4, 256 - 64 * k) for k in range(1, 5)]
    assert shares(tmp_path, Kind.SWEEP, 156, 0, 50) == [(0.5, 50), (1, 0)]
    assert shares(tmp_path, Kind.CHAIN, 40, 0, 10) == [(k / 4, 40 - 10 * k) for k in range(1, 5)]


def test_whom_an_earlier_process_asked_counts_in_the_share(tmp_path: Path) -> None:
    assert shares(tmp_path, Kind.SWEEP, 0, 128, 64) == [(0.75, 64), (1, 0)]


@given(st.lists(st.lists(st.integers(0, 199), max_size=50), max_size=6))
def test_bitmap_is_a_set(tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]]) -> None:
    bitmap, model = Bitmap(tmp_path_factory.getbasetemp(), 200), set[int]()
    for batch in batches:
        fresh = set(batch) - model
        assert bitmap.set(np.array(batch, np.int64)) == len(fresh)
        model |= fresh
        assert bitmap.count == len(model)
        assert np.flatnonzero(bitmap.get(np.arange(200))).tolist() == sorted(model)


def test_bitmap_of_a_huge_scope_takes_no_room(tmp_path: Path) -> None:
    bitmap = Bitmap(tmp_path, 1 << 34)
    bitmap.set(np.array([0, (1 << 34) - 1]))
    assert bitmap.get(np.array([0, 1, (1 << 34) - 1])).tolist() == [True, False, True]
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"
