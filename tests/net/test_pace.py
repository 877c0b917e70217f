"""The pace never exceeds its ceilings, whatever its caller does and however the machine stalls."""

import math
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.clock import VirtualClock
from dnsonde.errors import UsageError
from dnsonde.net.pace import BURST_S, Pace
from dnsonde.wire.batch import ADDRESS, address_array

WINDOW_US = 100_000

rates = st.one_of(
    st.floats(0.05, 50),
    st.floats(50, 5_000),
    st.floats(5_000, 2_000_000),
)
# (sleep before asking, stall between asking and sending, stall between sending and saying so, share taken)
steps = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 3_000), st.integers(0, 2_000_000)),
        st.sampled_from([0, 0, 0, 7, 900, 40_000, 700_000]),
        st.sampled_from([0, 0, 3, 50_000]),
        st.floats(0, 1),
    ),
    max_size=120,
)


def busiest_window(times_us: list[int], counts: list[int]) -> int:
    """The most that was sent within any 100 ms, both ends included."""
    total = [0, *accumulate(counts)]
    last = np.searchsorted(times_us, np.asarray(times_us) + WINDOW_US, side="right")
    return max((total[end] - total[first] for first, end in enumerate(last)), default=0)


def ceiling(rate: float, batch: int) -> float:
    """What the issue allows in a window: the ceiling and one batch."""
    return rate * WINDOW_US / 1e6 + max(1, min(batch, rate * BURST_S)) + 1e-6


@given(rate=rates, batch=st.sampled_from([1, 16, 512]), sequence=steps, greedy=st.booleans())
def test_no_window_exceeds_the_total_ceiling_by_more_than_one_batch(
    rate: float, batch: int, sequence: list[tuple[int, int, int, float]], *, greedy: bool
) -> None:
    clock = VirtualClock()
    pace = Pace(rate, clock=clock, batch=batch)
    times, counts = [], []
    for sleep_us, before_us, after_us, share in sequence:
        clock.sleep_us(min(sleep_us, pace.wait_us()) if greedy else sleep_us)
        allowed = pace.allowance()
        assert 0 <= allowed <= pace.burst <= batch
        count = allowed if greedy else math.ceil(allowed * share)
        clock.sleep_us(before_us)
        times.append(clock.monotonic_us())
        counts.append(count)
        clock.sleep_us(after_us)
        pace.take(count)
    assert busiest_window(times, counts) <= ceiling(rate, batch)


@given(rate=st.one_of(st.floats(0.5, 200), st.floats(200, 20_000)), sequence=steps, seed=st.integers(0, 1000))
def test_no_window_exceeds_a_prefixs_ceiling_by_more_than_one_batch(
    rate: float, sequence: list[tuple[int, int, int, float]], seed: int
) -> None:
    clock = VirtualClock()
    pace = Pace(1_000_000, rate, clock=clock, batch=512)
    random = np.random.default_rng(seed)
    sent: dict[int, tuple[list[int], list[int]]] = {}
    for sleep_us, before_us, after_us, share in sequence:
        clock.sleep_us(sleep_us)
        count = min(pace.allowance(), math.ceil(share * 300))
        targets = np.zeros(count, ADDRESS)
        targets["host"] = 0xFFFF_0A00_0000 + random.integers(0, 3 * 256, count)
        admitted = pace.admit(targets)
        clock.sleep_us(before_us)
        for prefix, number in zip(
            *np.unique(targets["host"][admitted] >> 8, return_counts=True), strict=True
        ):
            times, counts = sent.setdefault(int(prefix), ([], []))
            times.append(clock.monotonic_us())
            counts.append(int(number))
        clock.sleep_us(after_us)
        pace.take(int(np.count_nonzero(admitted)))
    for times, counts in sent.values():
        assert busiest_window(times, counts) <= ceiling(rate, 512)


@pytest.mark.parametrize("rate", [0.1, 0.3, 1, 7, 100, 999, 12_345.6, 1_000_000])
def test_a_caller_that_waits_as_told_gets_the_whole_rate(rate: float) -> None:
    clock = VirtualClock()
    pace = Pace(rate, clock=clock)
    sent = 0
    while sent < 200 * pace.burst:  # of which the first came at once
        clock.sleep_us(pace.wait_us())
        allowed = pace.allowance()
        assert allowed > 0
        pace.take(allowed)
        sent += allowed
    assert sent / (clock.monotonic_us() / 1e6) == pytest.approx(rate, rel=0.01)


@pytest.mark.parametrize("rate", [0.2, 1, 10, 150])
def test_at_low_rates_one_goes_at_a_time_evenly_spaced(rate: float) -> None:
    clock = VirtualClock()
    pace = Pace(rate, clock=clock)
    times = []
    for _ in range(20):
        while not pace.allowance():
            clock.sleep_us(pace.wait_us())
        assert pace.allowance() == 1
        pace.take(1)
        times.append(clock.monotonic_us())
    gaps = np.diff(times)
    assert gaps.min() >= 1e6 / rate - 1e-6
    assert gaps.max() <= 1e6 / rate + 1


def test_after_a_stall_there_is_one_batch_and_no_more() -> None:
    clock = VirtualClock()
    pace = Pace(10_000, clock=clock)
    pace.take(pace.allowance())
    clock.sleep_us(3_600_000_000)
    assert pace.allowance() == pace.burst == 50
    pace.take(50)
    assert pace.allowance() == 0
    assert pace.wait_us() == 100


def test_each_interval_allows_one_more() -> None:
    clock = VirtualClock()
    pace = Pace(10_000, clock=clock)
    pace.take(pace.allowance())
    for count in range(pace.burst):
        assert pace.allowance() == count
        assert pace.wait_us() == (0 if count else 100)
        clock.sleep_us(99)
        assert pace.allowance() == count
        clock.sleep_us(1)
        assert pace.wait_us() == 0


def test_a_prefix_is_a_24_or_a_48_unless_told_otherwise() -> None:
    """RFC 6177: a site has a /48; an address of IPv4 is announced in nothing smaller than a /24."""
    near = address_array(["192.0.2.1", "192.0.2.254", "2001:db8::1", "2001:db8:0:ffff::1"])
    far = address_array(["192.0.3.1", "2001:db8:1::1"])
    pace = Pace(1000, 0.1, clock=VirtualClock())
    assert pace.admit(near).tolist() == [True, False, True, False]
    assert pace.admit(far).all()
    everybody = Pace(1000, 0.1, 0, 0, clock=VirtualClock())
    assert everybody.admit(near).tolist() == [True, False, True, False]
    assert not everybody.admit(far).any()


def test_a_stall_while_sending_puts_off_the_prefixes_that_were_sent_to() -> None:
    clock = VirtualClock()
    clock.sleep_us(7_000_000)  # a machine is up for a while before we ask
    pace = Pace(1000, 10, clock=clock)
    target = address_array(["10.0.0.1"])
    assert pace.admit(target).all()
    clock.sleep_us(300_000)  # the datagram may have left at the very end of this
    pace.take(1)
    clock.sleep_us(99_999)
    assert not pace.admit(target).any()
    pace.take(0)
    clock.sleep_us(1)
    assert pace.admit(target).all()


@pytest.mark.parametrize("rate", [0.02, 7, 5_000])
@pytest.mark.parametrize(("ago", "rest"), [(0.0, 1.0), (0.25, 0.75), (-3.0, 1.0)])
def test_who_continues_waits_for_the_rest_of_the_interval_and_no_longer(
    rate: float, ago: float, rest: float
) -> None:
    interval_us = 1e6 / rate
    target = address_array(["10.0.0.1"])
    pace = Pace(rate, clock=VirtualClock())
    pace.resume(int(ago * interval_us))
    assert not pace.allowance()
    assert pace.wait_us() == pytest.approx(rest * interval_us, abs=2)
    clock = VirtualClock()
    pace = Pace(1e6, rate, clock=clock)
    pace.resume(int(ago * interval_us))
    assert not pace.admit(target).any()
    clock.sleep_us(math.floor(rest * interval_us) - 1)
    assert not pace.admit(target).any()
    clock.sleep_us(3)
    assert pace.admit(target).all()


def test_who_continues_much_later_does_not_wait() -> None:
    pace = Pace(0.02, 0.02, clock=VirtualClock())
    pace.resume(3_600_000_000)
    assert pace.allowance() == 1
    assert pace.admit(address_array(["10.0.0.1"])).all()


def test_a_step_of_the_wall_clock_changes_nothing() -> None:
    clock = VirtualClock()
    pace = Pace(10, clock=clock)
    pace.take(1)
    for step_us in (10**12, -(10**13)):
        clock.jump_us(step_us)
        assert pace.allowance() == 0
        assert pace.wait_us() == 100_000


def test_without_a_ceiling_per_prefix_all_are_admitted() -> None:
    pace = Pace(10, clock=VirtualClock())
    assert pace.admit(address_array(["10.0.0.1"] * 5)).tolist() == [True] * 5


def test_prefixes_have_ceilings_of_their_own() -> None:
    clock = VirtualClock()
    pace = Pace(1000, 2, clock=clock)
    targets = address_array(
        ["10.0.0.1", "10.0.0.2", "10.0.1.1", "2001:db8::1", "2001:db8:0:1::1", "2001:db8:1::"]
    )
    assert pace.admit(targets).tolist() == [True, False, True, True, False, True]
    pace.take(4)
    clock.sleep_us(499_999)
    assert not pace.admit(targets).any()
    pace.take(0)
    clock.sleep_us(1)
    assert pace.admit(targets).tolist() == [True, False, True, True, False, True]


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf])
def test_a_pace_that_cannot_be_kept_is_a_usage_error(rate: float) -> None:
    with pytest.raises(UsageError, match="above 0"):
        Pace(rate, clock=VirtualClock())
    with pytest.raises(UsageError, match="above 0"):
        Pace(10, rate, clock=VirtualClock())


@pytest.mark.parametrize(("prefix4", "prefix6"), [(33, 48), (-1, 48), (24, 129)])
def test_a_prefix_length_that_is_none_is_a_usage_error(prefix4: int, prefix6: int) -> None:
    with pytest.raises(UsageError, match="prefix length"):
        Pace(10, 1, prefix4, prefix6, clock=VirtualClock())
