"""`dnsonde show` and `dnsonde diff`: what people and other programs get to see."""

import csv
import io
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from dnsonde import report
from dnsonde.cli import _summary
from dnsonde.probe import narrow
from dnsonde.probe import state as states
from dnsonde.probe.order import Ranges, Scope
from dnsonde.table.lake import Lake
from dnsonde.table.schema import PROBE
from dnsonde.table.store import Writer

Type = Callable[..., subprocess.CompletedProcess[str]]
MakeRun = Callable[..., Path]
Hosts = Sequence[tuple[str, str, bool, float | None]]

KNOWN = """
[scope]
prefixes = ["127.1.0.0/24"]
[zone]
known = "www.example.net"
answer = "192.0.2.80"
"""


def test_the_summary_counts_each_class_and_says_what_is_next(dnsonde: Type, run: Path) -> None:
    said = dnsonde("show", run)
    assert said.returncode == 0, said.stderr
    lines = [line.split() for line in said.stdout.splitlines()]
    assert ["recursive_resolver", "1", "20.0", "%"] in [line[:4] for line in lines]
    assert "2 of 5 hosts are open (40.0 %)." in said.stdout
    worst = [line for line in lines if line and line[0] in {"127.1.0.1", "127.1.0.2"}]
    assert [line[0] for line in worst] == ["127.1.0.2", "127.1.0.1"], "the strongest first"
    assert "40.2-fold" in said.stdout
    assert "Took 5 s: 5 probes, 1 reply, 0 queries" in said.stdout
    assert f"Next: dnsonde report {run} -o report.html\n      dnsonde show {run} --open\n" in said.stdout


def test_hosts_go_to_the_file_that_was_named(dnsonde: Type, run: Path, tmp_path: Path) -> None:
    """Without a format as a table; `-` is stdout, which is no file's name."""
    assert dnsonde("show", run, "-o", "hosts.txt").stdout == ""
    listed = (tmp_path / "hosts.txt").read_text()
    assert listed.split()[0] == "target"
    assert len(listed.splitlines()) == 6
    assert dnsonde("diff", run, run, "-o", "changed.txt").stdout == ""
    assert (tmp_path / "changed.txt").exists()
    told = dnsonde("show", run, "--format", "csv", "-o", "-")
    assert len(told.stdout.splitlines()) == 6
    assert not (tmp_path / "-").exists()
    assert dnsonde("show", run, "--by", "prefix", "-o", "x").returncode == 2


def test_addresses_stay_whole_on_a_narrow_terminal() -> None:
    host = report.Host(
        "2001:db8:1234:5678:9abc:def0:1234:5678", "transparent_forwarder", "192.0.2.1", 48.2, ""
    )
    out = io.StringIO()
    Console(file=out, width=60).print(_summary.worst(report.Summary(1, 1, (), (host,))))
    assert host.address in out.getvalue()


def test_without_an_authority_the_summary_says_what_it_cannot_tell(
    dnsonde: Type, make_run: MakeRun, tmp_path: Path
) -> None:
    said = dnsonde("show", make_run(tmp_path / "known", [("127.1.0.1", "open", True, 2.0)], KNOWN))
    flat = " ".join(said.stdout.split())
    assert "cannot tell apart: recursive_resolver, recursive_forwarder" in flat
    assert "delegated" in flat


@pytest.mark.parametrize(
    "arguments", [["show"], ["show", "--class", "refused"], ["show", "--format", "jsonl"]]
)
def test_no_escape_sequence_reaches_the_terminal(arguments: list[str], dnsonde: Type, run: Path) -> None:
    said = dnsonde(arguments[0], run, *arguments[1:])
    assert "\x1b" not in said.stdout
    assert said.returncode == 0


def test_json_lines_hold_every_column_and_address_as_text(dnsonde: Type, run: Path, hosts: Hosts) -> None:
    rows = [json.loads(line) for line in dnsonde("show", run, "--format", "jsonl").stdout.splitlines()]
    assert [(r["target"], r["class"], r["open"]) for r in rows] == [(a, c, o) for a, c, o, _ in hosts]
    assert "target_net" not in rows[0]


def test_csv_runs_no_formula(dnsonde: Type, run: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(dnsonde("show", run, "--format", "csv").stdout)))
    assert {row["subclass"] for row in rows} == {"'=1+1"}


def test_parquet_goes_to_a_file_only(dnsonde: Type, run: Path, hosts: Hosts, tmp_path: Path) -> None:
    assert dnsonde("show", run, "--format", "parquet").returncode == 2
    assert dnsonde("show", run, "--format", "parquet", "-o", tmp_path / "x.parquet").returncode == 0
    assert pq.read_table(tmp_path / "x.parquet")["target"].to_pylist() == [a for a, *_ in hosts]


@pytest.mark.parametrize(
    ("arguments", "targets"),
    [
        (["--class", "refused"], ["127.1.0.3"]),
        (["--class", "refused", "--class", "silent"], ["127.1.0.3", "127.1.1.5"]),
        (["--prefix", "127.1.1.0/24"], ["127.1.1.5"]),
        (["--open"], ["127.1.0.1", "127.1.0.2"]),
        (["--open", "--prefix", "127.1.0.2/32"], ["127.1.0.2"]),
    ],
)
def test_selection(arguments: list[str], targets: list[str], dnsonde: Type, run: Path) -> None:
    said = dnsonde("show", run, *arguments, "--format", "jsonl")
    assert [json.loads(line)["target"] for line in said.stdout.splitlines()] == targets


def test_an_empty_selection_says_so(dnsonde: Type, run: Path) -> None:
    said = dnsonde("show", run, "--class", "echo")
    assert said.returncode == 0
    assert "No host of this run is as you asked." in said.stderr


def test_a_shard_without_an_address_is_a_run_of_no_hosts(dnsonde: Type, tmp_path: Path) -> None:
    run = tmp_path / "shard"
    run.mkdir()
    (run / states.PLAN).write_text(KNOWN + '[probe]\nshard = "1/1000"\n')
    states.save(run, states.State("0" * 8, "0" * 32, "", 0))
    assert "has no verdicts yet" in dnsonde("show", run, "--open").stderr
    states.save(run, states.State("0" * 8, "0" * 32, "", 0, complete=True))
    told = [
        dnsonde(*words) for words in (["show", run], ["diff", run, run], ["export", "--format", "jsonl", run])
    ]
    assert [one.returncode for one in told] == [0, 0, 0]
    assert [one.stdout for one in told] == [
        "There was no address to ask: this shard has none.\n",
        "Nothing changed.\n",
        "",
    ]


def test_a_run_that_is_being_measured_is_waited_for(dnsonde: Type, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / states.PLAN).write_text(KNOWN)
    states.save(run, states.State("0" * 8, "0" * 32, "", 0))
    asked = (["show", run, "--open"], ["report", run, "-o", "x"], ["export", "--format", "jsonl", run])
    with states.Lock(run):
        told = [dnsonde(*words) for words in asked]
        summary = " ".join(dnsonde("show", run).stdout.split())
    assert [one.returncode for one in told] == [3, 3, 3]
    for one in told:
        assert "is being measured and has no verdicts yet: wait until that is done; `dnsonde" in one.stderr
    assert summary.endswith("It is being measured: wait until that is done.")
    assert "dnsonde join" in dnsonde(*asked[1]).stderr
    assert "Continue: dnsonde probe" in " ".join(dnsonde("show", run).stdout.split())


def test_a_long_table_says_what_it_left_out(dnsonde: Type, run: Path) -> None:
    said = dnsonde("show", run, "--format", "table", "--limit", "2")
    assert len(said.stdout.splitlines()) == 3
    assert "and 3 more" in said.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["show", "nowhere"], 3, "there is no run"),
        (["show", "run", "--class", "opn"], 2, "no class 'opn'"),
        (["show", "run", "--prefix", "127"], 2, "is no prefix"),
        (["show", "empty", "--open"], 3, "has no verdicts yet"),
        (["show", "run", "--format", "csv", "-o", "no/such/folder"], 3, "cannot write no/such/folder"),
        (["diff", "run", "nowhere"], 3, "there is no run"),
        (["diff", "run", "lake"], 3, "lake is a lake, and verdicts are a run's"),
    ],
)
def test_mistakes_are_a_sentence(
    arguments: list[str], code: int, sentence: str, dnsonde: Type, run: Path, tmp_path: Path
) -> None:
    assert run.exists()
    (tmp_path / "empty").mkdir()
    Lake(tmp_path / "lake", create=True)
    said = dnsonde(*arguments)
    assert (said.returncode, sentence in said.stderr) == (code, True), said.stderr
    assert len(said.stderr.splitlines()) == 1


def test_diff_counts_by_prefix_and_lists_hosts(
    dnsonde: Type, run: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    later = make_run(
        tmp_path / "later",
        [
            ("127.1.0.1", "refused", False, 1.0),
            ("127.1.0.2", "recursive_forwarder", True, 40.0),
            ("127.1.0.3", "recursive_resolver", True, 1.0),
            ("127.1.0.4", "injected", False, 1.0),
            ("127.1.1.5", "recursive_resolver", True, 3.0),
        ],
    )
    said = dnsonde("diff", run, later)
    assert said.returncode == 0, said.stderr
    assert "2 opened, 1 closed, 1 changed." in said.stdout
    assert ["127.1.0.0/24", "1", "1", "1", "-", "-"] in [line.split() for line in said.stdout.splitlines()]
    listed = dnsonde("diff", run, later, "--format", "jsonl").stdout.splitlines()
    assert [(json.loads(line)["target"], json.loads(line)["change"]) for line in listed] == [
        ("127.1.0.1", "closed"),
        ("127.1.0.3", "opened"),
        ("127.1.0.4", "changed"),
        ("127.1.1.5", "opened"),
    ]
    inside = dnsonde("diff", run, later, "--prefix", "127.1.1.0/24").stdout
    assert "1 opened." in inside
    assert dnsonde("diff", run, later, "--fail-on", "opened").returncode == 1
    assert dnsonde("diff", run, later, "--fail-on", "gone").returncode == 0


def test_the_same_run_twice_has_no_difference(dnsonde: Type, run: Path) -> None:
    assert dnsonde("diff", run, run, "--fail-on", "opened").stdout == "Nothing changed.\n"


def test_what_to_type_next_can_be_typed(dnsonde: Type, make_run: Callable[..., Path], tmp_path: Path) -> None:
    make_run(tmp_path / "it's [mine]")
    said = dnsonde("show", "it's [mine]").stdout
    assert shlex.split(said.splitlines()[-1]) == ["dnsonde", "show", "it's [mine]", "--open"]


def test_a_run_that_lost_its_plan_is_told_of_by_whoever_needs_it(dnsonde: Type, run: Path) -> None:
    (run / "plan.toml").unlink()
    for command in (("show",), ("report",), ("export", "--format", "csv")):
        said = dnsonde(*command, run)
        assert (said.returncode, "has no plan.toml" in said.stderr) == (3, True), said.stderr


def test_a_report_needs_no_list_that_the_plan_names(dnsonde: Type, run: Path) -> None:
    plan = run / "plan.toml"
    plan.write_text(
        plan.read_text().replace("[scope]", '[scope]\ntargets = "gone.txt"\nexclude_file = "never.txt"')
    )
    assert ">256<" not in dnsonde("report", "run").stdout
    narrow.keep(run, Scope(Ranges.of_networks([ip_network("127.1.0.0/24")])))
    ran = dnsonde("report", "run")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ">256<" in ran.stdout


def test_a_run_that_is_not_finished_is_told_as_one(
    dnsonde: Type, make_run: Callable[..., Path], run: Path
) -> None:
    make_run(run.parent / "begun")
    assert "not finished" not in dnsonde("show", "begun").stdout
    states.save(run.parent / "begun", states.fresh("", 0))
    told = (
        "The run is not finished: what is told here is what is known so far. 5 of 256 addresses have been asked. "
        "Continue: dnsonde probe PLAN.toml -o begun\n"
    )
    assert told in dnsonde("show", "begun").stdout
    assert dnsonde("show", "begun", "--open").stderr == told
    ran = dnsonde("diff", "run", "begun")
    assert (ran.stdout, ran.stderr) == ("Nothing changed.\n", f"begun: {told}")


def test_a_run_that_was_killed_before_it_was_judged_says_how_far_it_came(
    dnsonde: Type, make_run: Callable[..., Path], run: Path
) -> None:
    begun = make_run(run.parent / "begun")
    shutil.rmtree(begun / "verdict")
    with Writer(PROBE, begun) as writer:
        for attempt in (1, 2):
            writer.append(
                {
                    "target_net": 0, "target_host": list(range(7)), "kind": "sweep", "attempt": attempt,
                    "time_us": 0, "qname": "n.example", "qtype": 1, "query_bytes": 40, "errno": 0,
                }
            )  # fmt: skip
    states.save(begun, states.fresh("", 0))
    said = dnsonde("show", "begun")
    assert "7 of 256 addresses have been asked." in said.stdout
    assert "Judge what is there: dnsonde join begun\n" in said.stdout


def test_who_reads_no_further_still_gets_the_exit_code(run: Path, make_run: MakeRun, tmp_path: Path) -> None:
    before = make_run(tmp_path / "before", [("127.1.0.1", "refused", False, 1.0)])
    for wanted, code in (("opened", 1), ("closed", 0)):
        asked = f"{sys.executable} -m dnsonde diff {before} {run} --list --fail-on {wanted}"
        script = f"{asked} | true; echo ${{PIPESTATUS[0]}}"
        ran = subprocess.run(["bash", "-c", script], check=False, capture_output=True, text=True)
        assert (ran.stdout, ran.stderr) == (f"{code}\n", "")


def test_closed_outputs_are_no_fault(run: Path) -> None:
    command = f"exec {sys.executable} -m dnsonde show {run} --format csv >&- 2>&-"
    assert subprocess.run(["/bin/sh", "-c", command], check=False).returncode == 0
