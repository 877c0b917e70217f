"""The truth table says what the hosts are, in chunks that do not show."""

from pathlib import Path
from types import SimpleNamespace as Labs

import numpy as np
import pyarrow.parquet as pq
import pytest

from dnsonde.lab import truth as truths
from dnsonde.lab.behavior import KIND_NAMES, KINDS, Behavior
from dnsonde.lab.scenario import load_scenario
from dnsonde.wire.batch import MAPPED


def rows(folder: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pq.read_table(folder / "truth").to_pylist()
    return found


def test_every_address_has_its_row_whatever_the_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = load_scenario("tiny")
    truths.write_truth(scenario, tmp_path / "one")
    monkeypatch.setattr(truths, "CHUNK", 100)
    truths.write_truth(scenario, tmp_path / "many")
    one = rows(tmp_path / "one")
    assert one == rows(tmp_path / "many")
    assert [r["target_host"] for r in one] == [MAPPED | (scenario.first + k) for k in range(256)]
    kinds = Behavior(scenario).kind((np.arange(256) + scenario.first).astype(np.uint32))
    for row, kind in zip(one, kinds, strict=True):
        assert row["behavior"] == KIND_NAMES[kind]
        assert row["class"] == KINDS[KIND_NAMES[kind]].verdict
        assert (row["egress_host"] is None) == (not KINDS[KIND_NAMES[kind]].asks)


def test_without_the_capability_icmp_hosts_are_silent_in_truth(tmp_path: Path) -> None:
    scenario = load_scenario("tiny")
    truths.write_truth(scenario, tmp_path, icmp=False)
    silenced = [r for r in rows(tmp_path) if str(r["behavior"]).startswith("icmp")]
    assert silenced
    for row in silenced:
        assert (row["class"], row["subclass"], row["responder_host"], row["open"]) == (
            "silent",
            None,
            None,
            False,
        )


def test_transparent_forwarders_say_to_what_they_forward(tmp_path: Path) -> None:
    truths.write_truth(load_scenario("loss"), tmp_path)
    transparent = [r for r in rows(tmp_path) if r["class"] == "transparent_forwarder"]
    assert {r["subclass"] for r in transparent} == {"to_resolver", "to_forwarder"}
    for row in transparent:
        assert row["responder_host"] != row["target_host"]
        assert (row["subclass"] == "to_resolver") == (row["egress_host"] == row["responder_host"])


def test_serving_writes_it_before_the_first_answer(tmp_path: Path, labs: Labs) -> None:
    with labs.served(labs.on_free_ports("tiny"), tmp_path) as done:
        assert len(rows(tmp_path)) == 256
    assert done[0].world["probes"] == 0
    assert done[0].authority.queries == 0
