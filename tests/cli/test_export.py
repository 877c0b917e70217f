"""`dnsonde export` and `dnsonde enrich`, as they are typed."""

import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dnsonde.findings.known import Look, code, keep, parts
from dnsonde.probe import state as states
from dnsonde.table import store
from dnsonde.table.lake import Lake
from dnsonde.table.schema import FINDING

OWNERS = [{"prefix": "127.1.0.0/24", "asn": "AS64500", "country": "at", "abuse": "abuse@example.net"}]
Type = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def owners(tmp_path: Path) -> Path:
    path = tmp_path / "owners.json"
    path.write_text(json.dumps(OWNERS))
    return path


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake that keeps a finding, as if somebody had looked into it."""
    folder = tmp_path / "lake"
    Lake(folder, create=True)
    row = {
        "detector": "mirai_scan", "threat": "botnet scan", "subject": "203.0.113.66", "subject_kind": "address",
        "severity": "high", "confidence": 0.99, "first_seen": 1, "last_seen": 2, "count": 3, "title": "x",
        "summary": "y",
        "evidence": "{}", "references": "[]",
    }  # fmt: skip
    look = Look(1_700_000_000_000_000, parts(folder), code(), (), None, ())
    keep(folder, look, pa.Table.from_pylist([row], FINDING.schema))
    return folder


def test_an_exported_report_says_of_a_run_what_the_report_says(
    dnsonde: Type, run: Path, tmp_path: Path
) -> None:
    plan = run / "plan.toml"
    zone = '[zone]\nknown = "www.example.net"\nanswer = ["192.0.2.80"]\n'
    plan.write_text(plan.read_text().partition("[zone]")[0] + zone)
    states.save(run, states.fresh("", 0))
    for command in (
        ["export", run, "--format", "markdown", "-o", "report.md"],
        ["report", run, "-o", "report.html"],
    ):
        assert dnsonde(*command).returncode == 0
    for name in ("report.md", "report.html"):
        told = (tmp_path / name).read_text().replace("\\", "")
        assert "The run is not finished" in told
        assert "5 of 256 addresses have been asked" in told
        assert "A name with a known answer was asked" in told
        assert "127.1.0.0/24" in told


def test_a_run_goes_to_a_file_with_whose_it_is(
    dnsonde: Type, run: Path, owners: Path, tmp_path: Path
) -> None:
    learned = dnsonde("enrich", run, owners)
    assert (learned.returncode, learned.stderr) == (0, "")
    assert "abuse contact" in learned.stdout
    ran = dnsonde("export", run, "--format", "shadowserver", "-o", "out.csv")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert [(row["ip"], row["asn"], row["geo"]) for row in rows] == [
        ("127.1.0.1", "64500", "AT"), ("127.1.0.2", "64500", "AT")]  # fmt: skip
    assert {row["port"] for row in rows} == {"5300"}
    assert not list(tmp_path.glob(".*.tmp"))


def test_show_tells_whose_a_host_is_once_that_was_learned(dnsonde: Type, run: Path, owners: Path) -> None:
    before = dnsonde("show", run, "--open")
    assert "64500" not in before.stdout
    dnsonde("enrich", run, owners)
    after = dnsonde("show", run, "--open")
    assert after.stdout.count("64500") == 2
    assert "AT" in after.stdout
    assert [row["abuse"] for row in map(json.loads, dnsonde("show", run, "--format", "jsonl").stdout.splitlines())] == [
        "abuse@example.net"] * 4 + [None]  # fmt: skip


def test_rows_of_any_table_go_to_csv_and_parquet(dnsonde: Type, run: Path, tmp_path: Path) -> None:
    ran = dnsonde("export", run, "--format", "csv")
    assert [row["target"] for row in csv.DictReader(io.StringIO(ran.stdout))][:2] == [
        "127.1.0.1",
        "127.1.0.2",
    ]
    assert (
        dnsonde("export", run, "--format", "parquet", "--table", "probe", "-o", "p.parquet").returncode == 0
    )
    assert pq.read_table(tmp_path / "p.parquet").num_rows == 5


def test_a_lake_tells_what_it_keeps(dnsonde: Type, lake: Path) -> None:
    ran = dnsonde("export", lake, "--format", "blocklist")
    assert ran.returncode == 0
    assert ran.stderr.splitlines() == [
        "Findings of 2023-11-14 22:13:20 UTC; nothing has changed since.",
        "Note: which addresses are yours is not known: see that none of them is listed, or give --home.",
    ]
    assert "\n203.0.113.66 # mirai_scan, high" in ran.stdout
    (row,) = map(json.loads, dnsonde("export", lake, "--format", "jsonl").stdout.splitlines())
    assert row["subject"] == "203.0.113.66"


def test_a_lake_without_findings_is_looked_into(dnsonde: Type, tmp_path: Path) -> None:
    Lake(tmp_path / "empty", create=True)
    ran = dnsonde("export", "empty", "--format", "ecs", "--home", "192.0.2.0/24", "--progress", "none")
    assert (ran.returncode, ran.stdout) == (0, "")


def test_mails_are_written_and_not_sent(dnsonde: Type, run: Path, owners: Path, tmp_path: Path) -> None:
    dnsonde("enrich", run, owners)
    ran = dnsonde(
        "export",
        run,
        "--format",
        "xarf",
        "--set",
        "contact=noc@example.net",
        "-o",
        "x.jsonl",
        "--mail",
        "mails",
    )
    assert ran.returncode == 0
    assert "2 mails are in mails; nothing was sent." in ran.stderr
    assert len(list((tmp_path / "mails").glob("abuse@example.net-*.eml"))) == 2


def test_the_list_tells_of_every_format(dnsonde: Type) -> None:
    ran = dnsonde("export", "--list")
    assert ran.returncode == 0
    assert "flowspec\n    Write a filter rule" in ran.stdout
    assert "--set rules=exabgp" in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 100, "as wide as all else in a pipe"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--format", "parquet"], "name a file with -o"),
        (["run", "--format", "csv", "--mail", "x"], "--mail goes with --format xarf"),
        (["run", "--format", "stix", "--table", "probe"], "is of a whole run or lake"),
        (["run", "--format", "csv", "--table", "nonsense"], "there is no table 'nonsense'"),
        (["run", "--format", "csv", "--set", "x=1"], "the format csv has no setting 'x'"),
        (["run", "--format", "rpz", "--set", "zone"], "--set takes NAME=VALUE"),
        (["run", "--format", "flowspec"], "this is a run: give a lake"),
        (["run", "--format", "xarf"], "--set contact="),
        (["nowhere", "--format", "csv"], "there is no run or lake at nowhere"),
        (["run", "--format", "csv", "-o", "no/such/folder/x.csv"], "cannot write"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    words: list[str], said: str, dnsonde: Type, run: Path
) -> None:
    assert run.is_dir()
    ran = dnsonde("export", *words)
    assert ran.returncode in {2, 3}
    assert said in ran.stderr
    assert "fault of dnsonde" not in ran.stderr


def test_an_export_that_fails_leaves_the_old_file(dnsonde: Type, run: Path, tmp_path: Path) -> None:
    assert run.is_dir()
    (tmp_path / "x").write_text("before")
    assert dnsonde("export", "run", "--format", "xarf", "-o", "x").returncode == 2
    assert (tmp_path / "x").read_text() == "before"


def test_an_empty_folder_has_nothing_to_enrich(dnsonde: Type, owners: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = dnsonde("enrich", "empty", owners)
    assert ran.returncode == 3
    assert "neither a lake nor a run" in ran.stderr
    assert store.row_count(tmp_path / "empty", FINDING) == 0
