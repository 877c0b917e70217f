"""Hosts are a pure function of (seed, address), in the shares that the scenario names."""

import math

import msgspec
import numpy as np
import pytest

from dnsonde.errors import LabError
from dnsonde.lab.behavior import ASKS, AT_ONCE, KIND_NAMES, KINDS, Act, Behavior, Trait, draw
from dnsonde.lab.scenario import Scenario, load_scenario


def addresses(scenario: Scenario) -> np.ndarray:
    return (np.arange(scenario.size) + scenario.first).astype(np.uint32)


def test_a_host_is_the_same_alone_and_in_any_company() -> None:
    scenario = load_scenario("default")
    behavior = Behavior(scenario)
    every = addresses(scenario)
    whole = behavior.describe(every)
    some = np.random.default_rng(1).permutation(scenario.size)[:1000]
    assert (behavior.describe(every[some]) == whole[some]).all()
    assert behavior.describe(every[77:78])[0] == whole[77]


def test_another_seed_makes_other_hosts() -> None:
    scenario = load_scenario("tiny")
    other = msgspec.structs.replace(scenario, seed=scenario.seed + 1)
    every = addresses(scenario)
    assert (Behavior(scenario).kind(every) != Behavior(other).kind(every)).mean() > 0.8


def test_kinds_come_in_their_shares() -> None:
    scenario = load_scenario("default")
    count = np.bincount(Behavior(scenario).kind(addresses(scenario)), minlength=len(KINDS))
    for name, share in scenario.shares.items():
        expected = share * scenario.size
        # Six standard deviations: the seed is fixed, so this can fail only when the code changes.
        assert abs(count[KIND_NAMES.index(name)] - expected) < 6 * math.sqrt(expected) + 1, name


@pytest.mark.parametrize("name", ["tiny", "loss", "default"])
def test_every_kind_of_the_catalogue_is_there(name: str) -> None:
    scenario = load_scenario(name)
    count = np.bincount(Behavior(scenario).kind(addresses(scenario)), minlength=len(KINDS))
    missing = {n for n, c in zip(KIND_NAMES, count, strict=True) if c == 0}
    assert missing <= ({"lossy"} if name == "loss" else set())


def test_an_unknown_kind_is_refused_by_name() -> None:
    scenario = msgspec.structs.replace(load_scenario("tiny"), shares={"resolvr": 0.1})
    with pytest.raises(LabError, match=r"resolvr.*resolver"):
        Behavior(scenario)


def test_addresses_that_hosts_use_are_their_own_or_the_pools() -> None:
    scenario = load_scenario("tiny")
    host = Behavior(scenario).describe(addresses(scenario))
    pool = range(scenario.pool_first, scenario.pool_first + 256)
    for row in host:
        kind = KIND_NAMES[row["kind"]]
        shared = kind in {"forwarder", "slow_forwarder", "transparent"}
        group = range(int(row["egress"]), int(row["egress"]) + int(row["egress_count"]))
        if shared:
            assert group[0] in pool
            assert group[-1] in pool
        else:
            assert list(group) == [row["target"]]
        if kind == "transparent":
            assert int(row["responder"]) - scenario.pool_first in range(16)
        elif kind == "multihomed":
            assert row["responder"] != row["target"]
            assert int(row["responder"]) >> 8 == int(row["target"]) >> 8
        else:
            assert row["responder"] == row["target"]


def test_what_asks_us_has_one_upstreams_habits() -> None:
    scenario = load_scenario("tiny")
    host = Behavior(scenario).describe(addresses(scenario))
    shared = host[host["egress"] >= scenario.pool_first]
    assert len(shared) > 10
    visible = shared["traits"] & (Trait.EDNS | Trait.MIXED_CASE | Trait.MINIMISE | Trait.ECS | Trait.DUAL)
    for identity in np.unique(shared["identity"]):
        assert len(np.unique(visible[shared["identity"] == identity])) == 1


def test_ra_is_as_the_kind_demands() -> None:
    scenario = load_scenario("tiny")
    host = Behavior(scenario).describe(addresses(scenario))
    ra = (host["traits"] & Trait.RA) != 0
    for index, name in enumerate(KIND_NAMES):
        wanted = KINDS[name].ra
        if wanted is not None:
            assert (ra[host["kind"] == index] == wanted).all()


def test_delays_lie_where_the_scenario_says() -> None:
    scenario = load_scenario("default")
    host = Behavior(scenario).describe(addresses(scenario))
    slow = (host["traits"] & Trait.SLOW) != 0
    low, high = (1000 * ms for ms in scenario.slow_delay_ms)
    assert low <= host["delay_us"][slow].min() < 1_000_000 < host["delay_us"][slow].max() <= high
    low, high = (1000 * ms for ms in scenario.host_delay_ms)
    assert low <= host["delay_us"][~slow].min() < host["delay_us"][~slow].max() <= high


def test_a_lying_host_invents_what_its_kind_says() -> None:
    scenario = load_scenario("tiny")
    host = Behavior(scenario).describe(addresses(scenario))

    def lies(kind: str) -> list[int]:
        return [int(x) for x in host["lie"][host["kind"] == KIND_NAMES.index(kind)]]

    assert set(lies("loopback")) == {0x7F000001}
    assert set(lies("null_address")) == {0}
    assert len(set(lies("one_address"))) == 1
    assert lies("own_address") == list(host["target"][host["kind"] == KIND_NAMES.index("own_address")])
    assert len(set(lies("other_address"))) == len(lies("other_address"))
    assert all(x >> 28 == 0xF for x in lies("other_address"))


def test_tables_by_kind_agree_with_the_catalogue() -> None:
    for index, kind in enumerate(KINDS.values()):
        assert ASKS[index] == kind.asks
        assert AT_ONCE[index] == kind.at_once
        assert kind.asks or kind.after == Act.NONE


def test_draws_are_even_and_differ_by_salt() -> None:
    value = np.arange(1 << 14, dtype=np.uint64)
    first, second = draw(1, 1, value), draw(1, 2, value)
    assert len(np.unique(first)) == len(value)
    for bit in range(64):
        share = ((first >> np.uint64(bit)) & np.uint64(1)).mean()
        assert abs(share - 0.5) < 6 * 0.5 / math.sqrt(len(value))
    agree = np.bitwise_count(first ^ second).mean()
    assert abs(agree - 32) < 0.5
