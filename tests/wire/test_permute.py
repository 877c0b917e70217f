"""The permutation and the ranges: the kernels against their twin, with every index checked."""

import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dnsonde.wire import permute
from dnsonde.wire._kernels import permute as kernel
from dnsonde.wire.batch import ADDRESS

twin = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "twins" / "permute.py")))

i64 = st.integers(-(2**63), 2**63 - 1)
KEYS = np.random.default_rng(9511).integers(-(2**63), 2**63 - 1, 8)


@given(st.integers(1, permute.MOST), st.lists(i64, min_size=1, max_size=10), st.lists(i64, max_size=20))
def test_permute_equals_its_twin(size: int, keys: list[int], values: list[int]) -> None:
    values += [0, size - 1, size // 2]
    found = permute.permute(np.array(values), size, np.array(keys))
    assert found.tolist() == [twin.place(v, size, keys) for v in values]


@given(st.integers(1, 300), st.lists(i64, min_size=1, max_size=9))
def test_every_key_gives_a_permutation_that_reverse_undoes(size: int, keys: list[int]) -> None:
    everything, key = np.arange(size), np.array(keys)
    there = permute.permute(everything, size, key)
    assert sorted(there.tolist()) == everything.tolist()
    assert np.array_equal(permute.permute(there, size, key, reverse=True), everything)


@pytest.mark.parametrize("size", [0, -1, permute.MOST + 1])
def test_sizes_that_cannot_be_permuted_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="cannot be permuted"):
        permute.permute(np.zeros(1, np.int64), size, KEYS)


def test_a_changed_key_bit_changes_nearly_every_place() -> None:
    other = KEYS.copy()
    other[3] ^= 1 << 40
    everything = np.arange(1 << 16)
    here, there = permute.permute(everything, 1 << 16, KEYS), permute.permute(everything, 1 << 16, other)
    assert (here == there).sum() < 20  # one on average for two random permutations


@st.composite
def ranges(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Ascending, disjoint ranges near the places where a 64-bit half turns over or changes sign."""
    at = draw(st.sampled_from([0, 2**63 - 9, 2**64 - 9, 2**127 - 9, 2**127 + 2**64 - 9]))
    first, count = [], []
    for gap, size in draw(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=6)):
        first.append(at + gap)
        count.append(size)
        at += gap + size
    return first, count


def columns(first: list[int], count: list[int]) -> tuple[NDArray[np.int64], NDArray[np.void]]:
    return np.cumsum([0, *count]), halves(first)


def halves(numbers: list[int]) -> NDArray[np.void]:
    return np.array([(twin.signed(n >> 64), twin.signed(n % 2**64)) for n in numbers], ADDRESS)


@given(ranges())
def test_ranges_equal_their_twin(pair: tuple[list[int], list[int]]) -> None:
    start, first = columns(*pair)
    expected = twin.expand(*pair)
    index = np.arange(-1, len(expected) + 1)
    found = permute.range_addresses(index, start, first)
    assert np.array_equal(found[1:-1], halves(expected))
    assert found[[0, -1]].tolist() == [(0, 0), (0, 0)]
    around = sorted({e + d for e in [*expected, 5, 2**128 - 5] for d in (-1, 0, 1)})
    assert permute.range_positions(halves(around), start, first).tolist() == [
        expected.index(a) if a in expected else -1 for a in around
    ]


def test_no_index_leaves_its_array(tmp_path: Path, checked: dict[str, str]) -> None:
    """The suite's properties once more, compiled with bounds checks."""
    code = f"""
import runpy
import hypothesis
hypothesis.settings.register_profile("checked", deadline=None, database=None)
hypothesis.settings.load_profile("checked")
suite = runpy.run_path({__file__!r})
for name in ("test_permute_equals_its_twin", "test_ranges_equal_their_twin"):
    suite[name]()
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=checked, cwd=tmp_path, timeout=300)


def test_one_signature_each() -> None:
    permute.warm()
    permute.permute(np.arange(3, dtype=np.int32), 3, KEYS)
    first = np.zeros(2, [("net", "i8"), ("host", "i8"), ("more", "i8")])[["net", "host"]]
    permute.range_positions(first, np.array([0, 1, 2]), first)
    for one in (kernel.permute_values, kernel.range_addresses, kernel.range_positions):
        assert len(one.signatures) == 1
