"""Whose the addresses of runs and lakes are, looked up in files."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dnsonde.enrich import enrich
from dnsonde.errors import RunError, SystemRefusal, UsageError
from dnsonde.table import store
from dnsonde.table.readable import readable
from dnsonde.table.schema import ENRICHMENT, VERDICT
from dnsonde.table.store import Writer
from dnsonde.wire.batch import address_pair
from tests.owners.asking import RDAP, file


def run_of(folder: Path, *hosts: tuple[str, str, str | None]) -> Path:
    blank = {c.name: "" if c.type == pa.string() else 0 for c in VERDICT.columns if not c.null}
    rows = []
    for target, name, egress in hosts:
        pairs = {"target": address_pair(target), "egress": address_pair(egress) if egress else (None, None)}
        ends = {
            f"{role}_{half}": pair[i]
            for role, pair in pairs.items()
            for i, half in enumerate(("net", "host"))
        }
        rows.append({**blank, **ends, "class": name, "open": False})
    with Writer(VERDICT, folder) as writer:
        writer.append({f.name: pa.array([row.get(f.name) for row in rows], f.type) for f in VERDICT.schema})
    return folder


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    rows = readable(store.open_folder(folder)["enrichment"]).read_all().to_pylist()
    return {row.pop("address"): row for row in rows}


def test_hosts_and_those_behind_them_are_looked_up(tmp_path: Path) -> None:
    run = run_of(
        tmp_path / "run",
        ("192.0.2.1", "recursive_forwarder", "198.51.100.1"),
        ("192.0.2.2", "silent", None),
        ("2001:db8::1", "refused", None),
        ("203.0.113.1", "refused", None),
    )
    files = [
        file(tmp_path, "p.txt", "192.0.2.0 24 64500\n198.51.100.0 24 64501\n2001:db8:: 32 64502\n"),
        file(tmp_path, "r.json", json.dumps(RDAP)),
    ]
    learned = enrich(run, files)
    assert learned.addresses == 4
    assert learned.known == {"asn": 3, "as_name": 0, "prefix": 3, "country": 1, "abuse": 1}
    found = rows_of(run)
    assert found.keys() == {"192.0.2.1", "198.51.100.1", "2001:db8::1"}
    assert found["192.0.2.1"] == {
        "asn": 64500, "as_name": None, "prefix": "192.0.2.0/24", "country": "AT", "abuse": "abuse@example.net"
    }  # fmt: skip
    (part,) = (run / ENRICHMENT.name).iterdir()
    assert pq.read_schema(part).metadata[b"dnsonde.table"] == b"enrichment"


def test_the_first_file_that_knows_tells_and_newer_files_replace(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", ("192.0.2.1", "refused", None))
    one, other = (file(tmp_path, f"{n}.txt", f"192.0.2.0 24 {n}\n") for n in (1, 2))
    enrich(run, [one, other])
    assert rows_of(run)["192.0.2.1"]["asn"] == 1
    enrich(run, [other])
    assert rows_of(run)["192.0.2.1"]["asn"] == 2
    assert {p.name for p in run.iterdir()} == {"verdict", "enrichment"}


def test_two_at_once_do_not_disturb_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(tmp_path / "run", ("192.0.2.1", "refused", None))
    one, other = (file(tmp_path, f"{n}.txt", f"192.0.2.0 24 {n}\n") for n in (1, 2))
    save = store.save

    def save_later(*arguments: Any) -> Path:
        monkeypatch.setattr(store, "save", save)
        enrich(run, [other])
        return save(*arguments)

    monkeypatch.setattr(store, "save", save_later)
    assert enrich(run, [one]).known["asn"] == 1
    assert rows_of(run)["192.0.2.1"]["asn"] == 1


def test_nowhere_to_write_is_said(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", ("192.0.2.1", "refused", None))
    file(run, ENRICHMENT.name, "in the way")
    with pytest.raises(SystemRefusal, match="enrichment"):
        enrich(run, [file(tmp_path, "p.txt", "192.0.2.0 24 1\n")])


def test_files_that_know_nobody_are_told_of_and_take_nothing_away(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", ("192.0.2.1", "refused", None))
    enrich(run, [file(tmp_path, "good.txt", "192.0.2.0 24 64500\n")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty has no file in it"):
        enrich(run, [tmp_path / "empty"])
    file(tmp_path / "empty", "README", "nothing in it\n")
    with pytest.raises(UsageError, match="empty has no file in it"):
        enrich(run, [tmp_path / "empty"])
    with pytest.raises(RunError, match="know none of the 1 addresses"):
        enrich(run, [file(tmp_path, "p.txt", "10.0.0.0 8 1\n")])
    assert rows_of(run)["192.0.2.1"]["asn"] == 64500


def test_nothing_to_look_up_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="neither a lake nor a run"):
        enrich(tmp_path / "empty", [file(tmp_path, "p.txt", "10.0.0.0 8 1\n")])
    with pytest.raises(UsageError, match="name at least one file"):
        enrich(tmp_path / "empty", [])
