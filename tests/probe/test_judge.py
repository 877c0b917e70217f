"""Verdicts of a whole run folder: slices must tell what the one relation tells."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from dnsonde.probe import _judging, judge
from dnsonde.probe.judge import write_verdicts
from dnsonde.table import kept
from dnsonde.table.schema import BOOL, PROBE, REPLY, SIGHTING, TEXT, VERDICT, Table
from dnsonde.table.store import Writer, row_count
from dnsonde.wire.batch import MAPPED

TARGETS = 4000
START = 1_700_000_000_000_000


def addresses(role: str, host: Any, count: int) -> dict[str, Any]:
    return {f"{role}_net": np.zeros(count, np.int64), f"{role}_host": np.asarray(host, np.int64) + MAPPED}


def blank(table: Table) -> dict[str, Any]:
    """Something in every column that may not be null."""
    return {
        c.name: "" if c.type == TEXT else False if c.type == BOOL else 0 for c in table.columns if not c.null
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forwarders that share egresses, hosts that give one wrong address, refusing and silent ones."""
    return made(tmp_path, tmp_path)


def made(tmp_path: Path, authority: Path, ahead_us: int = 0) -> Path:
    """That run; what the authority saw lies in a folder, by a clock that is ahead."""
    host = np.arange(TARGETS) + 0xC6336400
    sort = np.arange(TARGETS) % 4
    common = {"kind": "sweep", "attempt": 1}
    with Writer(PROBE, tmp_path) as probe:
        probe.append(
            addresses("target", host, TARGETS) | common
            | {"time_us": START + np.arange(TARGETS), "qname": "x", "tag": host * 7, "qtype": 1, "query_bytes": 60,
               "errno": 0}
        )  # fmt: skip
    egress = 0xCB007100 + np.arange(TARGETS) % 50
    open_ = np.flatnonzero((sort == 0) | (np.arange(TARGETS) == 3))  # one of the silent resolves
    with Writer(SIGHTING, authority) as sighting:
        sighting.append(
            blank(SIGHTING) | common | addresses("target", host[open_], len(open_))
            | addresses("egress", egress[open_], len(open_))
            | {"time_us": START + 5000 + ahead_us, "outcome": "answered", "tag": host[open_] * 7}
        )  # fmt: skip
    with Writer(REPLY, tmp_path) as reply:
        for kind, given in ((0, egress), (1, np.full(TARGETS, 0xCB007201)), (2, None)):
            at = np.flatnonzero(sort == kind)
            n = len(at)
            rows = addresses("target", host[at], n) | addresses("responder", host[at], n) | common
            rows |= {"time_us": START + 9000, "outcome": "answered", "responder_port": 53, "response_bytes": 90,
                     "rcode": 0 if given is not None else 5, "flags": 0x8180, "question_intact": True}  # fmt: skip
            count = int(given is not None)
            rows |= {"answers": count + (kind == 0), "records": count + (kind == 0), "control": kind == 0,
                     "egress_count": count, "authority_ns": 0}  # fmt: skip
            if given is not None:
                rows |= addresses("answer1", given[at], n)
            reply.append(rows)
    return tmp_path


def judged(folder: Path) -> list[dict[str, Any]]:
    parts = sorted((folder / "verdict").glob("*.parquet"))
    rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
    return sorted(rows, key=lambda row: int(row["target_host"]))


def test_slices_tell_what_the_whole_tells(folder: Path) -> None:
    assert write_verdicts(folder) == TARGETS
    whole = judged(folder)
    assert write_verdicts(folder, slice_rows=2000, memory_limit_mib=512) == TARGETS
    assert judged(folder) == whole
    kinds = {(r["class"], r["subclass"], r["open"]) for r in whole}
    assert kinds == {
        ("recursive_forwarder", "shared_egress", True),
        ("manipulated", "one_address", False),
        ("refused", None, False),
        ("silent", None, False),
        ("resolves_no_reply", None, True),
    }
    assert not (folder / "verdict.new").exists()
    assert row_count(folder, VERDICT) == TARGETS


def test_each_slice_is_in_the_order_of_its_targets(folder: Path) -> None:
    write_verdicts(folder, slice_rows=2000, memory_limit_mib=512)
    host = pq.read_table(folder / "verdict", columns=["target_host"]).column(0).to_numpy()
    assert np.count_nonzero(np.diff(host) < 0) == 1


def test_sightings_that_are_not_joined_yet_are_missed_in_the_sentence(tmp_path: Path) -> None:
    folder = made(tmp_path, tmp_path / "elsewhere")
    write_verdicts(folder)
    right = [r for r in judged(folder) if r["class"] == "answered_without_us"]
    assert len(right) == TARGETS // 4
    assert "not joined" in right[0]["why"]
    assert list(right[0]) == [c.name for c in VERDICT.columns]


@pytest.mark.parametrize(("hours", "slice_rows"), [(3, judge.SLICE_ROWS), (-30, 2000)])
def test_clock_of_the_authority_that_is_apart_changes_no_verdict(
    tmp_path: Path, hours: int, slice_rows: int
) -> None:
    one, other = made(tmp_path / "one", tmp_path / "one"), tmp_path / "other"
    made(other, other, ahead_us=hours * 3_600_000_000)
    told: list[int] = []
    for run in (one, other):
        write_verdicts(run, on_clocks=told.append, slice_rows=slice_rows)
    assert judged(other) == judged(one)
    assert told == [hours * 3_600_000_000]


def test_names_of_silent_hosts_replayed_later_do_not_set_the_clock(tmp_path: Path) -> None:
    folder = made(tmp_path, tmp_path)
    silent = np.flatnonzero(np.arange(TARGETS) % 4 == 3) + 0xC6336400
    with Writer(SIGHTING, folder) as sighting:
        sighting.append(
            blank(SIGHTING) | {"kind": "sweep", "attempt": 1} | addresses("target", silent, len(silent))
            | addresses("egress", silent * 0 + 0xCB007164, len(silent))
            | {"time_us": START + 7_200_000_000, "outcome": "answered", "tag": silent * 7}
        )  # fmt: skip
    told: list[int] = []
    write_verdicts(folder, on_clocks=told.append)
    assert told == []
    assert sum(row["class"] == "resolves_no_reply" for row in judged(folder)) == 1


def test_run_without_a_probe_has_no_verdicts(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert write_verdicts(tmp_path / "run") == 0
    assert judged(tmp_path / "run") == []


def test_once_its_sql_is_kept_a_run_is_judged_without_ibis(folder: Path) -> None:
    write_verdicts(folder)
    code = (
        "import sys; from pathlib import Path; from dnsonde.probe.judge import write_verdicts; "
        "print(write_verdicts(Path(sys.argv[1])), 'ibis' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(folder)], check=True, capture_output=True, text=True
    )
    assert ran.stdout.split() == [str(TARGETS), "False"]


def test_sql_that_is_damaged_is_made_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches = tmp_path / "caches"
    monkeypatch.setattr(kept, "kept_folder", lambda: caches)
    for _ in range(2):
        judge._sql.cache_clear()
        assert write_verdicts(folder) == TARGETS
        (place,) = caches.iterdir()
        assert json.loads(place.read_text())[0] == []
        place.write_text("[")
    judge._sql.cache_clear()


@pytest.mark.parametrize(
    "odd", ["5", "null", '"ab"', "[[1], 2]", "[[], null]", '[[], "", ""]', '{"first": []}']
)
def test_sql_that_is_kept_in_another_shape_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    monkeypatch.setattr(kept, "kept_folder", lambda: tmp_path)
    monkeypatch.setattr(_judging, "judging_sql", lambda *_, **__: (["first"], "select"))
    for _ in range(2):
        judge._sql.cache_clear()
        assert judge._sql("known", owned=False, sliced=True) == (["first"], "select")
        (place,) = tmp_path.iterdir()
        assert json.loads(place.read_text()) == [["first"], "select"]
        place.write_text(odd)
    judge._sql.cache_clear()
