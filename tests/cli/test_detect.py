"""`dnsonde detect`, `ingest`, and what explains them: from files to findings, as people type it."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from dnsonde import watch
from dnsonde.cli import _findings
from dnsonde.clock import VirtualClock
from tests.cli.captures import (
    address,
    datagram,
    found,
    open_resolver,
    pcap,
    syn,
)

Type = Callable[..., subprocess.CompletedProcess[str]]

HOME = "192.0.2.0/24"
COLUMNS = [
    "detector", "threat", "subject", "subject_kind", "severity", "confidence", "first_seen", "last_seen", "count",
    "title", "summary", "evidence", "references",
]  # fmt: skip
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_findings_stand_worst_first_and_every_packet_is_accounted_for(dnsonde: Type, capture: Path) -> None:
    said = dnsonde("detect", capture, "--home", HOME)
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    first = [line.split()[:2] for line in lines if line.startswith(("high", "medium"))]
    assert first == [["high", "192.0.2.66"], ["medium", "192.0.2.53"]]
    flat = " ".join(said.stdout.split())
    assert "2023-11-14 22:13:20" in flat
    assert "99 %" in flat
    # A path that is too long for its column goes on in the next line.
    assert any(line.split()[-5:] == ["50", "50", "0", "0", "10"] for line in lines)
    assert "No --home" not in flat


def test_what_was_read_is_named_as_short_as_tells_it_apart(dnsonde: Type, capture: Path) -> None:
    other = pcap(capture.parent / "other.pcap", *open_resolver())
    beside = dnsonde("detect", capture, other, "--home", HOME).stdout.splitlines()
    assert {"trace.pcap", "other.pcap"} <= {line.split()[0] for line in beside if line.strip()}
    mixed = dnsonde("detect", capture, "other.pcap", "--home", HOME)
    assert mixed.returncode == 0, mixed.stderr
    assert str(capture) in "".join(mixed.stdout.split())


def test_a_findings_json_has_exactly_the_columns_of_the_table(dnsonde: Type, capture: Path) -> None:
    rows = found(dnsonde("detect", capture, "--home", HOME, "--format", "jsonl"))
    assert {row["detector"] for row in rows} >= {"mirai_scan", "open_resolver"}
    for row in rows:
        assert list(row) == COLUMNS
        assert STAMP.fullmatch(row["first_seen"])
        assert STAMP.fullmatch(row["last_seen"])
        assert isinstance(row["evidence"], dict)
        assert isinstance(row["references"], list)
    assert json.loads(dnsonde("detect", capture, "--home", HOME, "--format", "json").stdout) == rows
    told = list(
        csv.DictReader(io.StringIO(dnsonde("detect", capture, "--home", HOME, "--format", "csv").stdout))
    )
    assert [json.loads(row["evidence"]) for row in told] == [row["evidence"] for row in rows]


def test_parquet_goes_to_a_file(dnsonde: Type, capture: Path, tmp_path: Path) -> None:
    assert dnsonde("detect", capture, "--format", "parquet").returncode == 2
    assert (
        dnsonde("detect", capture, "--home", HOME, "--format", "parquet", "-o", "f.parquet").returncode == 0
    )
    assert pq.read_table(tmp_path / "f.parquet").column_names == COLUMNS


@pytest.mark.parametrize("form", ["table", "jsonl", "json", "csv"])
def test_a_hostile_name_steers_nobody(form: str, dnsonde: Type, capture: Path) -> None:
    said = dnsonde("detect", capture, "--home", HOME, "--format", form)
    assert "\x1b" not in said.stdout + said.stderr
    asked = dnsonde("ingest", capture, "-o", "lake")
    assert asked.returncode == 0, asked.stderr
    told = dnsonde(
        "query", "lake", "SELECT qname, qname || chr(27) AS bad, '=1+1' AS sum FROM message", "--format", form
    )
    assert told.returncode == 0, told.stderr
    assert "\x1b" not in told.stdout
    if form == "csv":
        assert all(row["sum"] == "'=1+1" for row in csv.DictReader(io.StringIO(told.stdout)))


def test_detectors_are_chosen_and_set(dnsonde: Type, capture: Path) -> None:
    base = ("detect", capture, "--home", HOME, "--format", "jsonl", "--detector", "mirai_scan")
    assert [row["detector"] for row in found(dnsonde(*base))] == ["mirai_scan"]
    assert found(dnsonde(*base, "--set", "mirai_scan.syns_min=41")) == []


def test_what_is_allowed_is_left_out(dnsonde: Type, capture: Path, tmp_path: Path) -> None:
    (tmp_path / "allow").write_text("# ours\n192.0.2.66\nexample.net  # a test\n\n2001:db8::/32\n")
    said = dnsonde("detect", capture, "--home", HOME, "--format", "jsonl", "--allow", "allow")
    assert not {row["detector"] for row in found(said)} & {"mirai_scan", "open_resolver"}


def test_a_name_of_another_time_is_read_and_told(dnsonde: Type, capture: Path, tmp_path: Path) -> None:
    old = tmp_path / "caf\udce9.pcap"  # Latin-1
    shutil.copy(capture, old)
    assert r"caf\xe9.pcap" in dnsonde("detect", old, "--home", HOME).stdout
    assert dnsonde("ingest", old, "-o", tmp_path / "lake").returncode == 0
    refused = dnsonde("ingest", old, "-o", tmp_path / "caf\udce9")
    assert refused.returncode == 2
    assert "no UTF-8" in refused.stderr


def test_time_is_narrowed(dnsonde: Type, capture: Path) -> None:
    base = ("detect", capture, "--home", HOME, "--format", "jsonl", "--detector", "mirai_scan")
    (row,) = found(dnsonde(*base, "--since", "2023-11-14T22:13:22Z", "--until", "2023-11-14T22:13:23Z"))
    assert row["count"] < 40
    assert found(dnsonde(*base, "--since", "7d")) == []


def test_fail_on_sets_the_exit_code(dnsonde: Type, capture: Path) -> None:
    base = ("detect", capture, "--home", HOME, "--format", "jsonl", "--detector", "open_resolver")
    assert dnsonde(*base, "--fail-on", "medium").returncode == 1
    assert dnsonde(*base, "--fail-on", "critical").returncode == 0


def test_without_home_it_says_what_it_assumes(dnsonde: Type, capture: Path, tmp_path: Path) -> None:
    said = dnsonde("detect", capture)
    flat = " ".join(said.stdout.split())
    assert "192.0.2.0/24 is taken for home, since 100 % of 41 conversations have an end there" in flat
    told = dnsonde("detect", capture, "--format", "jsonl")
    assert "is taken for home" in told.stderr
    lonely = pcap(tmp_path / "lonely.pcap", (0, datagram("198.51.100.1", "198.51.100.2", (4000, 9), b"x")))
    flat = " ".join(dnsonde("detect", lonely).stdout.split())
    assert "none can be guessed" in flat
    assert "not found, by" in flat
    assert "detectors: name your prefixes" in flat


def test_a_lake_says_what_its_files_say(dnsonde: Type, capture: Path) -> None:
    direct = found(dnsonde("detect", capture, "--home", HOME, "--format", "jsonl"))
    assert dnsonde("ingest", capture, "-o", "lake").returncode == 0
    assert found(dnsonde("detect", "lake", "--home", HOME, "--format", "jsonl")) == direct
    again = dnsonde("ingest", capture, "-o", "lake")
    assert "was read before" in " ".join(again.stdout.split())
    assert "--port" not in again.stdout
    assert "with --port, name a new lake" in dnsonde("ingest", capture, "-o", "lake", "--port", "5300").stdout
    refused = dnsonde("detect", "lake", "--port", "5300")
    assert (refused.returncode, "name --port when you ingest them" in refused.stderr) == (2, True)
    for number in range(6):
        shutil.copy(capture, f"copy {number}.pcap")
    again = dnsonde("ingest", ".", "-o", "lake")
    assert "\n7 files were left: their content was read before.\n" in f"\n{again.stdout}"
    assert "copy" not in again.stdout
    assert ".parquet" not in again.stdout, "the lake itself lies there, and is nothing to be read"
    rows = found(
        dnsonde(
            "query", "lake", "SELECT count(*) AS n, sum(dns_bytes) AS s FROM message", "--format", "jsonl"
        )
    )
    assert rows[0]["n"] == 10


def test_folders_are_read_with_all_below_them_and_what_is_unknown_is_named(
    dnsonde: Type, capture: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "day"
    (folder / "more").mkdir(parents=True)
    capture.rename(folder / "more" / "trace.pcap")
    (folder / "more" / "copy.pcap").write_bytes((folder / "more" / "trace.pcap").read_bytes())
    (folder / "again").symlink_to(folder)
    (folder / "notes.txt").write_text("call back on Monday")
    os.mkfifo(folder / "pipe")
    said = dnsonde("detect", folder, "--home", HOME)
    flat = " ".join(said.stdout.split())
    assert said.returncode == 0, said.stderr
    assert "trace.pcap: its content was read before" in flat, "copy.pcap came first, and has the same content"
    assert "text that begins 'call back on Monday'" in flat
    assert len([line for line in said.stdout.splitlines() if " 50 " in line]) == 1


def test_a_mac_address_of_the_border_reaches_its_detector(dnsonde: Type, capture: Path) -> None:
    said = dnsonde("detect", capture, "--home", HOME, "--border", "02:00:00:00:00:02", "--format", "jsonl")
    assert said.returncode == 0, said.stderr
    assert dnsonde("detect", capture, "--home", HOME, "--border", "nonsense").returncode == 2


def test_indicators_of_ones_own_are_looked_for(dnsonde: Type, tmp_path: Path) -> None:
    target = "198.51.100.77"
    trace = pcap(tmp_path / "c2.pcap", (0, syn("192.0.2.8", target, 6667, b"\0\0\0\7")))
    (tmp_path / "ours.csv").write_text("indicator,malware\n198.51.100.77,ourbot\n")
    base = ("detect", trace, "--home", HOME, "--detector", "botnet_c2", "--format", "jsonl")
    assert found(dnsonde(*base)) == []
    (row,) = found(dnsonde(*base, "--intel", "ours.csv"))
    assert (row["subject"], row["evidence"]["malware"]) == ("192.0.2.8", "ourbot")
    assert dnsonde(*base, "--intel", "nowhere.csv").returncode in {2, 3}
    there = {"type": "indicator", "pattern": f"[network-traffic:dst_ref.value = '{target}']"}
    for until, findings in (("2001-01-01T00:00:00Z", 0), ("9000-01-01T00:00:00Z", 1)):
        (tmp_path / "ours.json").write_text(
            json.dumps(
                [
                    there | {"valid_until": until},
                    there | {"pattern": "[domain-name:value = 'c2.example.com']"},
                ]
            )
        )
        assert len(found(dnsonde(*base, "--intel", "ours.json"))) == findings


def test_a_damaged_account_is_named(dnsonde: Type, capture: Path, tmp_path: Path) -> None:
    assert dnsonde("ingest", capture, "-o", "lake").returncode == 0
    (part,) = (tmp_path / "lake" / "account").iterdir()
    part.write_bytes(part.read_bytes()[:100])
    told = dnsonde("detect", "lake", "--home", HOME)
    assert told.returncode == 3
    assert f"{part.name} cannot be read" in told.stderr
    assert len(told.stderr.splitlines()) == 1


def test_all_logs_of_a_day_may_be_named_though_only_some_are_read(dnsonde: Type, tmp_path: Path) -> None:
    fields = ("ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "trans_id", "query")
    head = "#separator \\x09\n#path\t{}\n#fields\t" + "\t".join(fields) + "\n"
    row = "1700000000.5\tC1\t192.0.2.1\t5353\t198.51.100.1\t53\tudp\t7\texample.net"
    other = head.replace("trans_id", "version").replace("query", "client")
    for name, begin in (("dns", head), ("ssh", other)):
        (tmp_path / f"{name}.log").write_text(begin.format(name) + row + "\n")
    (tmp_path / "weird.log").write_text('{"ts":1700000000.5,"name":"odd"}\n')
    said = dnsonde("detect", "ssh.log", "dns.log", "weird.log", "--progress", "none")
    assert said.returncode == 0, said.stderr
    told = " ".join(said.stdout.split())
    assert (
        "ssh.log is of no format that dnsonde reads: it looks like Zeek's ssh.log, of which dns and conn"
        in told
    )
    assert "weird.log is of no format that dnsonde reads: it looks like a Zeek log as JSON" in told
    (tmp_path / "dns.log").write_text(other.format("dns") + row + "\n")
    lacking = dnsonde("detect", "dns.log", "ssh.log", "--progress", "none")
    assert (lacking.returncode, "Zeek's dns.log without one of the fields" in lacking.stderr) == (2, True)
    alone = dnsonde("detect", "ssh.log", "weird.log", "--progress", "none")
    assert (alone.returncode, "ssh.log is of no format" in alone.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["detect", "nowhere.pcap"], 3, "nowhere.pcap cannot be read: No such file"),
        (["detect", "notes.txt"], 2, "it looks like text that begins 'hello world'"),
        (["detect", "empty"], 2, "there is no file in empty"),
        (["detect", "trace.pcap", "notes.txt"], 2, "notes.txt is of no format"),
        (["detect", "trace.pcap", "--home", "all"], 2, "'all' is no prefix"),
        (["detect", "trace.pcap", "--detector", "mirai"], 2, "there is no detector 'mirai'"),
        (["detect", "trace.pcap", "--set", "mirai_scan=3"], 2, "--set takes NAME.PARAM=VALUE"),
        (["detect", "trace.pcap", "--set", "mirai_scan.n=3"], 2, "mirai_scan has no setting 'n'"),
        (["detect", "trace.pcap", "--set", "mirai_scan.syns_min=x"], 2, "takes a whole number"),
        (["detect", "trace.pcap", "--set", "mirai_scan.syns_min=-1"], 2, "takes a whole number from 1 to"),
        (["detect", "trace.pcap", "--set", "nothing.n=3"], 2, "there is no detector 'nothing'"),
        (
            ["detect", "trace.pcap", "--since", "1h", "--until", "2h"],
            2,
            "--since 1h is not before --until 2h",
        ),
        (["detect", "trace.pcap", "--since", "yesterday"], 2, "'yesterday' is no time"),
        (["detect", "trace.pcap", "--since", "9" * 5000 + "d"], 2, "99' is no time: write it like"),
        (
            ["detect", "trace.pcap", "--allow", "notes.txt"],
            2,
            "notes.txt, line 1: 'hello world' is no address",
        ),
        (["detect", "trace.pcap", "--allow", "nowhere"], 3, "nowhere cannot be read"),
        (["detect", "trace.pcap", "-o", "no/such/file"], 3, "cannot write no/such/file"),
        (["detect", "trace.pcap", "-o", "link.pcap"], 2, "link.pcap is what is read: name another file"),
        (["detect", ".", "-o", "notes.txt"], 2, "notes.txt is what is read"),
        (["detect", "trace.pcap", "--allow", "notes.txt", "-o", "notes.txt"], 2, "notes.txt is what is read"),
        (["detect", "unix:x", "tcp:0"], 2, "only one of unix:x, tcp:0 can be listened on by one command"),
        (["ingest", "trace.pcap", "-o", "."], 3, "is a folder with other things in it"),
        (["ingest", "trace.pcap", "-o", "notes.txt"], 3, "a file is in its way"),
        (["query", "nowhere", "SELECT 1"], 3, "there is no lake at nowhere"),
        (["query", "empty", "SELECT 1"], 3, "empty is no lake"),
        (["explain", "nothing"], 2, "there is no detector 'nothing'"),
    ],
)
def test_mistakes_are_a_sentence(
    arguments: list[str], code: int, sentence: str, dnsonde: Type, capture: Path, tmp_path: Path
) -> None:
    assert capture.exists()
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello world")
    (tmp_path / "link.pcap").symlink_to("trace.pcap")
    said = dnsonde(*arguments, *(["--progress", "none"] if arguments[0] in {"detect", "ingest"} else []))
    assert said.returncode == code, said.stderr
    assert sentence in said.stderr
    assert len(said.stderr.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_sentence(dnsonde: Type, capture: Path) -> None:
    capture.chmod(0)
    said = dnsonde("detect", capture)
    assert (said.returncode, "Permission denied" in said.stderr) == (3, True)


def test_progress_is_told_for_machines(dnsonde: Type, capture: Path) -> None:
    said = dnsonde("detect", capture, "--home", HOME, "--progress", "jsonl", "--detector", "mirai_scan")
    told = [json.loads(line) for line in said.stderr.splitlines()]
    looked = [(one["item"], one["done"], one["total"]) for one in told if one.get("phase") == "looking"]
    assert (looked[0], looked[-1]) == (("mirai_scan", 0, 1), ("", 1, 1))


def test_detectors_and_formats_are_listed_and_explained(dnsonde: Type) -> None:
    said = dnsonde("detectors")
    assert said.returncode == 0, said.stderr
    assert "mirai_scan" in said.stdout
    assert "dnsonde explain NAME" in said.stdout
    flat = " ".join(dnsonde("explain", "mirai_scan").stdout.split())
    for part in ("Why it matters", "What looks like it", "syns_min 1", "References", "Antonakakis"):
        assert part in flat
    assert "**" not in flat
    assert "pcap" in dnsonde("formats").stdout


def test_standard_input_and_pipes_are_read_once(dnsonde: Type, capture: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "dnsonde",
        "detect",
        "-",
        "--home",
        HOME,
        "--format",
        "jsonl",
        "--detector",
    ]
    with capture.open("rb") as file:
        said = subprocess.run(
            [*command, "mirai_scan"], stdin=file, capture_output=True, text=True, check=False
        )
    assert [row["subject"] for row in found(said)] == ["192.0.2.66"]
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cp", str(capture), str(tmp_path / "pipe")]):
        piped = dnsonde("detect", "pipe", "--home", HOME, "--format", "jsonl", "--detector", "mirai_scan")
    assert found(piped) == found(said)


def test_a_lake_is_looked_into_once(dnsonde: Type, capture: Path) -> None:
    assert dnsonde("ingest", capture, "-o", "lake").returncode == 0
    none = dnsonde("show", "lake")
    assert (none.returncode, none.stdout) == (3, "")
    assert "`dnsonde detect lake` does, and keeps them" in " ".join(none.stderr.split())
    first = dnsonde("detect", "lake", "--home", HOME)
    again = dnsonde("detect", "lake")
    said = "Findings of 20"
    assert said not in first.stdout
    assert again.stdout.startswith(said)
    assert f"No --home was given: home is {HOME}, as when" in again.stdout
    assert again.stdout.endswith(first.stdout)
    assert dnsonde("show", "lake").stdout == again.stdout
    assert said not in dnsonde("detect", "lake", "--fresh").stdout
    machine = dnsonde("detect", "lake", "--format", "jsonl")
    assert machine.stderr.startswith(said)
    assert dnsonde("show", "lake", "--format", "jsonl").stdout == machine.stdout
    assert dnsonde("show", "lake", "--open").returncode == 2
    told = dnsonde("query", "lake", "SELECT DISTINCT detector FROM finding", "--format", "jsonl")
    assert {row["detector"] for row in found(told)} == {row["detector"] for row in found(machine)}


def attack(tmp_path: Path, name: str, numbers: range) -> Path:
    """A host at home that scans as Mirai does, a target a second."""
    targets = [f"198.51.{n}.{n + 1}" for n in numbers]
    frames = [(n, syn("192.0.2.66", t, 23, address(t))) for n, t in zip(numbers, targets, strict=True)]
    return pcap(tmp_path / name, *frames)


def test_a_lake_that_grows_tells_each_event_once(
    dnsonde: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grown(numbers: range) -> list[dict[str, Any]]:
        trace = attack(tmp_path, f"{numbers.start}.pcap", numbers)
        assert dnsonde("ingest", trace, "-o", "lake").returncode == 0
        return found(dnsonde(*news))

    news = ("detect", "lake", "--home", HOME, "--new", "--format", "jsonl", "--detector", "mirai_scan")
    assert [row["count"] for row in grown(range(90))] == [90]
    assert (tmp_path / "lake" / "told.jsonl").read_text().count("\n") == 1
    again = dnsonde(*news, "--fail-on", "info")
    assert (again.returncode, again.stdout) == (0, "")
    flat = " ".join(again.stderr.split())
    assert "1 finding that was told before is not shown; `dnsonde detect lake` shows all." in flat

    calm = dnsonde("detect", "lake", "--home", HOME, "--detector", "mirai_scan", "--new")
    assert calm.returncode == 0
    assert "Nothing new was found." in calm.stdout
    assert calm.stdout.endswith("`dnsonde detect lake` shows all.\n")

    trace = attack(tmp_path, "more.pcap", range(90, 120))
    assert dnsonde("ingest", trace, "-o", "lake").returncode == 0
    plain = dnsonde(*(word for word in news if word != "--new"))  # swallows nothing
    assert [row["count"] for row in found(plain)] == [120]
    with monkeypatch.context() as patch:
        patch.setattr("dnsonde.findings.again.note", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        stopped = dnsonde(*news)
    assert json.loads(stopped.stdout)["count"] == 120
    said = dnsonde(*news, "--fail-on", "info")
    assert (said.returncode, json.loads(said.stdout)["count"]) == (1, 120)
    assert grown(range(120, 150)) == []


def test_news_over_the_limit_of_a_table_come_next_time(dnsonde: Type, capture: Path) -> None:
    assert dnsonde("ingest", capture, "-o", "lake").returncode == 0
    command = ("detect", "lake", "--home", HOME, "--new", "--limit", "1")
    first, second = dnsonde(*command), dnsonde(*command)
    assert "192.0.2.66 " in first.stdout
    assert "192.0.2.53 " not in first.stdout
    assert "192.0.2.53 " in second.stdout
    everything = found(dnsonde("detect", "lake", "--format", "jsonl"))
    left = found(dnsonde("detect", "lake", "--new", "--format", "jsonl"))
    assert len(left) == len(everything) - 2
    assert dnsonde("detect", "lake", "--new", "--format", "jsonl").stdout == ""


def test_new_needs_a_lake_and_says_where_it_may_not_write(
    dnsonde: Type, capture: Path, tmp_path: Path
) -> None:
    refused = dnsonde("detect", capture, "--new")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "which only a lake knows" in refused.stderr
    assert dnsonde("ingest", capture, "-o", "lake").returncode == 0
    (tmp_path / "lake" / "told.jsonl").mkdir()  # what is in the way stops root, too
    command = ("detect", "lake", "--home", HOME, "--new", "--detector", "mirai_scan", "--format", "jsonl")
    for _ in range(2):
        said = dnsonde(*command)
        assert (said.returncode, len(said.stdout.splitlines())) == (0, 1)
        assert "\nWhat was told cannot be noted, so it is new again next time: " in said.stderr


def test_a_table_goes_to_a_file_as_to_a_pipe(dnsonde: Type, capture: Path) -> None:
    said = dnsonde("detect", capture, "--home", HOME)
    assert dnsonde("detect", capture, "--home", HOME, "-o", "f.txt").returncode == 0
    assert (capture.parent / "f.txt").read_text() == said.stdout


def test_where_the_terminal_is_narrow_a_finding_has_lines_of_its_own(
    capture: Path,
) -> None:
    found = watch.detect([str(capture)], watch.Asked(), VirtualClock(), lambda _: None)
    narrow = io.StringIO()
    _findings.show(found, Console(file=narrow, width=60), 1)
    told = found.findings.to_pylist()[0]
    said = " ".join(narrow.getvalue().split())
    assert said.count(f"{told['severity']}: {told['title']} since ") == 1
    assert f"count {told['count']:,}" in said
    assert "read size packets parsed messages" in said, "and no column of nothing"
    assert f"Next: dnsonde explain {told['detector']}" in said
    assert max(map(len, narrow.getvalue().partition("Next:")[0].splitlines())) <= 60
