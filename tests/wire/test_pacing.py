"""The pace towards each prefix: the kernel against its twin."""

import random
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dnsonde.wire import pacing
from dnsonde.wire._kernels import pacing as kernel
from dnsonde.wire.batch import ADDRESS, address_array
from dnsonde.wire.pacing import PrefixPace


def load_twin() -> ModuleType:
    spec = util.spec_from_file_location("pacing_twin", Path(__file__).parent / "twins" / "pacing.py")
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    sys.modules["pacing_twin"] = module
    spec.loader.exec_module(module)
    return module


twin = load_twin()


def addresses(chance: random.Random, count: int) -> list[str]:
    """Few networks, so that they meet; both families; halves of IPv6 addresses that sort as negative too."""
    return [
        chance.choice(
            [
                f"10.0.{chance.randrange(3)}.{chance.randrange(256)}",
                f"255.255.{chance.randrange(3)}.1",
                f"2001:db8:{chance.randrange(3)}::{chance.randrange(1 << 16):x}",
                f"fe80:0:0:{chance.randrange(3)}:f000::{chance.randrange(3)}",
            ]
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize(("prefix4", "prefix6"), [(24, 48), (32, 128), (0, 0), (8, 64), (16, 65), (25, 1)])
@pytest.mark.parametrize("burst", [1, 7])
def test_admission_equals_the_twins(prefix4: int, prefix6: int, burst: int) -> None:
    chance = random.Random(prefix4 * 1000 + prefix6 * 10 + burst)
    ours, theirs = PrefixPace(1000, burst, prefix4, prefix6), twin.Twin(1_000_000, burst, prefix4, prefix6)
    now_ns = 0
    admitted = refused = 0
    for _ in range(150):
        targets = addresses(chance, chance.randrange(20))
        verdicts = ours.admit(address_array(targets), now_ns).tolist()
        assert verdicts == theirs.admit(targets, now_ns)
        admitted += sum(verdicts)
        refused += len(verdicts) - sum(verdicts)
        now_ns += chance.choice([0, 1000, 999_999, 1_000_000, 5_000_000])
        if chance.random() < 0.5:
            lag_ns = chance.choice([0, 250_000])
            ours.postpone(lag_ns)
            theirs.postpone(lag_ns)
    assert min(admitted, refused) > 20


def test_prefixes_that_share_a_slot_share_its_ceiling() -> None:
    pace = PrefixPace(10, 1, 24, 48, slots=1)
    targets = address_array(["10.0.0.1", "10.9.9.9", "2001:db8::1"])
    assert pace.admit(targets, 0).tolist() == [True, False, False]
    assert pace.admit(targets[1:], 100_000_000).tolist() == [True, False]


def test_prefixes_seldom_share_a_slot() -> None:
    pace = PrefixPace(1, 1, 24, 48)
    targets = np.zeros(10_000, ADDRESS)
    targets["host"] = 0xFFFF_0A00_0000 + np.arange(10_000) * 256
    # 10,000 balls in 2^18 bins: 190 of them meet another, give or take 14.
    assert 10_000 - np.count_nonzero(pace.admit(targets, 0)) < 260


def test_no_slot_outside_the_table_is_touched() -> None:
    chance = random.Random(5)
    targets = np.frombuffer(chance.randbytes(16 * 500), ADDRESS).view(np.recarray)
    with np.errstate(over="ignore"):
        count = kernel.admit_targets.py_func(
            targets,
            -256,
            -1 << 16,
            0,
            np.zeros(8, np.int64),
            10,
            5,
            0,
            np.zeros(500, np.bool_),
            np.zeros(500, np.int64),
        )
    assert 0 < count <= 8


def test_each_kernel_has_one_signature() -> None:
    pacing.warm()
    for name in ("admit_targets", "postpone_slots"):
        assert len(getattr(kernel, name).signatures) == 1, name
