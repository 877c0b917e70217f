"""How kernels and helpers are compiled: less work than Numba's own, the same code in the end."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numba
import numpy as np
import pytest
from numba import types
from numba.core.types.functions import BaseFunction
from numpy.typing import NDArray

from dnsonde.wire._kernels import jit
from dnsonde.wire._kernels.jit import helper, remembering


@helper
def _limited(value: int, most: int) -> int:
    return min(value, most) if value >= 0 else -1


@helper
def _twice_limited(value: int, most: int) -> int:
    return _limited(2 * value, most)


def _sum_of_limited(values: NDArray[np.int64], most: int) -> int:
    total = 0
    for value in values:
        total += _twice_limited(value, most) + _limited(value, 3)
    return total


summed: Any = numba.njit(**jit.KERNEL)(_sum_of_limited)  # kept nowhere
plain: Any = numba.njit(_sum_of_limited)


def test_this_numba_is_the_one_that_was_looked_into() -> None:
    """Who upgrades Numba looks into it again, and raises `SERIES`; until then kernels compile for twice as long."""
    assert numba.__version__.startswith(f"{jit.SERIES}.")
    assert "pipeline_class" in jit.KERNEL
    assert "pipeline_class" in jit.HELPER


def test_helpers_of_helpers_work_within_kernels_of_both_kinds() -> None:
    values = np.array([-5, 0, 1, 2, 3, 1000], np.int64)
    wanted = sum((min(2 * v, 7) if v >= 0 else -1) + (min(v, 3) if v >= 0 else -1) for v in values.tolist())
    assert summed(values, 7) == plain(values, 7) == wanted


def test_a_helper_has_no_machine_code_of_its_own() -> None:
    summed(np.zeros(1, np.int64), 1)
    (of_kernel,), (of_helper,) = summed.overloads.values(), cast("Any", _twice_limited).overloads.values()
    assert of_kernel.library._get_compiled_object()
    with pytest.raises(RuntimeError, match="no compiled object"):
        of_helper.library._get_compiled_object()


def test_what_is_remembered_is_what_numba_says() -> None:
    """Asked with and without, of several operators and functions."""

    def mixed(a: int, b: int, c: int) -> tuple[Any, ...]:
        return (a + b, a - c, b * c, a < b, min(a, b), a >> 2, float(c) / 2, -b, a // b, not c)

    arguments = (types.int64, types.int32, types.uint8)
    untouched = BaseFunction.get_call_type
    first = numba.njit(mixed)
    first.compile(arguments)
    with remembering():
        assert BaseFunction.get_call_type is not untouched
        told = []
        for _ in range(2):
            again = numba.njit(mixed)
            again.compile(arguments)
            told += again.nopython_signatures
    assert told == first.nopython_signatures * 2
    assert BaseFunction.get_call_type is untouched


def test_another_numba_compiles_by_itself(tmp_path: Path) -> None:
    program = (
        "import numba; numba.__version__ = '9.1.0'\n"
        "from dnsonde.wire._kernels import jit\n"
        "assert jit.KERNEL == {} and jit.HELPER == {'cache': True}\n"
        "from dnsonde.compile import _compile\n"
        "_compile('pacing')\n"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=120)
    assert list(tmp_path.rglob("*.nbi"))
