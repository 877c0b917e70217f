"""Whose the addresses are, wherever they are counted: `show --by`, `diff --by`, `detect`, `query`, the report."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Type = Callable[..., subprocess.CompletedProcess[str]]
MakeRun = Callable[..., Path]

OWNERS = """
{"prefix": "127.1.0.0/31", "asn": 64500, "as_name": "Inner \\u001b[31m", "country": "AT"}
{"prefix": "127.1.0.2/31", "asn": 64501, "as_name": "Outer", "country": "DE"}
{"prefix": "198.51.100.0/24", "asn": 64502, "as_name": "Bots", "country": "XX"}
"""


@pytest.fixture
def owners(tmp_path: Path) -> Path:
    path = tmp_path / "owners.jsonl"
    path.write_text(OWNERS.strip())
    return path


def lines(said: subprocess.CompletedProcess[str]) -> list[str]:
    assert said.returncode == 0, said.stderr
    assert "\x1b" not in said.stdout
    return [" ".join(line.split()) for line in said.stdout.splitlines()]


def test_hosts_are_counted_by_prefix_system_and_country(dnsonde: Type, run: Path, owners: Path) -> None:
    assert "127.1.0.0/24 4 4 2 40.2-fold" in lines(dnsonde("show", run, "--by", "prefix"))
    refused = dnsonde("show", run, "--by", "asn")
    assert refused.returncode == 2 or "dnsonde enrich" in refused.stderr
    assert "dnsonde enrich" in refused.stderr
    dnsonde("enrich", run, owners)
    assert "AS64501 Outer 2 2 1 40.2-fold" in lines(dnsonde("show", run, "--by", "asn"))
    assert "AT 1 1 1 1.5-fold" in lines(dnsonde("show", run, "--by", "country"))
    assert not [line for line in lines(dnsonde("show", run, "--by", "asn", "--open")) if line.startswith("-")]
    assert dnsonde("show", run, "--by", "asn", "--format", "csv").returncode == 2


def test_changes_are_counted_by_system_and_country(
    dnsonde: Type, make_run: MakeRun, run: Path, owners: Path, tmp_path: Path
) -> None:
    later = make_run(
        tmp_path / "later", [("127.1.0.1", "refused", False, None), ("127.1.0.3", "open", True, 2.0)]
    )
    assert "dnsonde enrich" in dnsonde("diff", run, later, "--by", "asn").stderr
    for folder in (run, later):
        dnsonde("enrich", folder, owners)
    told = lines(dnsonde("diff", run, later, "--by", "asn"))
    assert "autonomous system opened closed changed appeared gone" in told
    # One opened and one gone with AS64501; the first host closed.
    assert "AS64501 Outer 1 - - - 1" in told
    assert "DE 1 - - - 1" in lines(dnsonde("diff", run, later, "--by", "country"))


HOME = ("--home", "192.0.2.0/24")


@pytest.fixture
def lake(dnsonde: Type) -> Path:
    """A lake with scans in it, all from addresses of one far network."""
    for command in ("lab traffic scans -o scans.pcap", "ingest scans.pcap -o lake"):
        said = dnsonde(*command.split())
        assert said.returncode == 0, said.stderr
    return Path("lake")


def test_findings_tell_whose_their_subject_is(dnsonde: Type, lake: Path, owners: Path) -> None:
    before = dnsonde("detect", lake, *HOME, "--format", "jsonl")
    assert before.returncode == 0, before.stderr
    assert "subject_asn" not in before.stdout
    dnsonde("enrich", lake, owners)
    rows = [
        json.loads(line) for line in dnsonde("detect", lake, *HOME, "--format", "jsonl").stdout.splitlines()
    ]
    assert rows
    assert {(r["subject_asn"], r["subject_as_name"], r["subject_country"]) for r in rows} == {
        (64502, "Bots", "XX")
    }
    assert "AS64502 Bots, XX" in lines(dnsonde("detect", lake, *HOME))
    listed = dnsonde("show", lake, "--by", "asn", "-o", "counts.csv")
    assert (listed.returncode, Path("counts.csv").exists()) == (2, False)
    counted = lines(dnsonde("show", lake, "--by", "asn"))
    assert counted[0] == "autonomous system subjects findings critical high medium"
    assert counted[1] == "AS64502 Bots 5 5 - - -"
    asked = dnsonde(
        "query", lake, "SELECT asn, count(*) AS n FROM enrichment GROUP BY asn", "--format", "csv"
    )
    assert "64502,24" in asked.stdout.replace('"', "")
    dnsonde("report", lake, *HOME, "-o", "report.html")
    page = Path("report.html").read_text()
    assert "Findings by the network of their subject" in page
    assert "AS64502 Bots" in page
