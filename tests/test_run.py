"""The use cases on a real lab: sockets, child processes, tables, verdicts."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import nullcontext
from importlib.resources import files
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rdatatype
import msgspec
import pytest

from dnsonde import look, run
from dnsonde.beside import Beside
from dnsonde.clock import SystemClock, VirtualClock
from dnsonde.errors import Failure, LabError, RunError, SystemRefusal, UsageError
from dnsonde.lab.secshow import PROBER
from dnsonde.probe import state as states
from dnsonde.probe.plan import load_plan
from dnsonde.probe.prober import ProbeProgress, Prober
from dnsonde.table import store
from dnsonde.table.lake import Lake
from dnsonde.table.schema import SIGHTING
from dnsonde.table.store import row_count

COMMAND = (sys.executable, "-m", "dnsonde")


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny lab on ports of its own."""
    text = (files("dnsonde.lab") / "scenarios/tiny.toml").read_text()
    text = text.replace("port = 5300", f"port = {run.free_port()}", 1)
    path = tmp_path_factory.mktemp("scenario") / "tiny.toml"
    path.write_text(f"{text}\n[authority]\nport = {run.free_port()}\n")
    return path


@pytest.fixture(scope="module")
def measured(
    scenario: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A lab measured by the command, as a user types it."""
    folder = tmp_path_factory.mktemp("lab") / "run"
    ran = subprocess.run(
        [
            *COMMAND,
            "lab",
            "demo",
            "--scenario",
            str(scenario),
            "--no-loop",
            "-o",
            str(folder),
            "--progress",
            "jsonl",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return folder, ran


def test_the_demo_recognises_every_host(measured: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, ran = measured
    assert ran.returncode == 0, ran.stderr
    assert "256 of 256 verdicts are what the lab's hosts really are" in ran.stdout
    assert f"Run: {folder}" in ran.stdout
    kept = {p.name for p in folder.iterdir()}
    assert kept >= {"plan.toml", "probe", "reply", "sighting", "truth", "verdict"}


def test_progress_for_machines_is_json(measured: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    told = [json.loads(line) for line in measured[1].stderr.splitlines()]
    steps = [step for step in told if "phase" in step]
    assert {"sent", "answered", "rate", "left_s"} <= set(steps[0])
    assert [s["sent"] for s in steps] == sorted(s["sent"] for s in steps)


def test_the_same_command_finds_the_run_complete(
    measured: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = measured
    before = look.at(folder)[0]
    again = run.measure(
        folder / states.PLAN,
        folder,
        SystemClock(),
        authority=False,
        on_progress=lambda _: None,
        say=lambda _: None,
    )
    assert (again.finished, again.probes) == (True, before.probes)


def test_an_exclusion_is_told_and_kept_in_the_run(
    measured: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    folder, said = tmp_path / "run", list[str]()
    shutil.copytree(measured[0], folder)
    plan = tmp_path / "plan.toml"
    text = (folder / states.PLAN).read_text()
    first = str(load_plan(folder / states.PLAN).space.prefixes[0]).partition("/")[0]
    plan.write_text(text.replace("[scope]", f'[scope]\nexclude = ["{first}"]'))
    for _ in range(2):
        run.measure(plan, folder, SystemClock(), authority=False, on_progress=lambda _: None, say=said.append)
    told = [line for line in said if "excluded since the run began" in line]
    assert len(told) == 1
    assert told[0].startswith(
        f"Note: 1 address is excluded since the run began ({first}): it is asked no more."
    )
    assert (folder / states.PLAN).read_text() == plan.read_text()


def test_sightings_of_another_machine_are_joined_once(
    measured: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    folder, _ = measured
    elsewhere = tmp_path / "elsewhere"
    alone = tmp_path / "alone"
    subprocess.run(["cp", "-r", str(folder), str(alone)], check=True)
    elsewhere.mkdir()
    (alone / "sighting").rename(elsewhere / "sighting")
    shutil.rmtree(alone / "verdict")
    blind = run.join(alone, [])
    assert blind.sightings == 0
    assert "recursive_forwarder" not in {c.name for c in blind.summary.counts}
    seen = run.join(alone, [elsewhere])
    assert seen.summary == look.at(folder)[0].summary
    said: list[str] = []
    assert run.join(alone, [elsewhere], said.append).sightings == seen.sightings
    assert said == [f"Note: all sightings of this run in {elsewhere} were joined before."]
    truth = look.at(alone)[1]
    assert truth is not None
    assert truth.right == truth.hosts


def test_what_cannot_be_joined_is_said(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there are no sightings"):
        run.join(copied, [tmp_path])
    other, said = tmp_path / "other", list[str]()
    seen = store.open_folder(copied, tables=[SIGHTING])["sighting"]
    store.add(SIGHTING, other, seen.project("* REPLACE (xor(tag, 1) AS tag)"))
    run.join(copied, [other], said.append)
    assert said == [f"Note: no sighting in {other} is of this run: they are of other runs, or of none."]


@pytest.fixture
def copied(measured: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> Path:
    """That run, for one test alone."""
    return Path(shutil.copytree(measured[0], tmp_path / "copied"))


def test_nothing_is_joined_into_a_run_while_it_is_measured(copied: Path) -> None:
    with (
        states.Lock(copied),
        pytest.raises(RunError, match=r"another process is at work in .*: wait for it$"),
    ):
        run.join(copied, [])


def test_joins_at_the_same_time_wait_for_each_other(copied: Path, tmp_path: Path) -> None:
    elsewhere, alone = tmp_path / "elsewhere", tmp_path / "alone"
    elsewhere.mkdir()
    (copied / "sighting").rename(elsewhere / "sighting")
    shutil.copytree(copied, alone)
    once = run.join(alone, [elsewhere])
    joins = [
        subprocess.Popen(
            [*COMMAND, "join", str(copied), str(elsewhere)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    assert {join.communicate(timeout=240)[1] for join in joins} == {b""}
    after = look.at(copied)[0]
    assert (after.sightings, after.summary) == (once.sightings, once.summary)


def test_joining_leaves_what_an_authority_writes_meanwhile(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(copied / "sighting", elsewhere / "sighting")
    meanwhile = copied / "sighting/part-000900.parquet"
    add = store.add

    def slowly(*arguments: Any) -> int:
        shutil.copy(next((elsewhere / "sighting").iterdir()), meanwhile)
        return add(*arguments)

    monkeypatch.setattr(store, "add", slowly)
    run.join(copied, [elsewhere])
    assert meanwhile.exists()


@pytest.mark.parametrize("missing", ["probe", "reply", "sighting"])
def test_a_copy_without_one_of_its_tables_keeps_its_verdicts(missing: str, copied: Path) -> None:
    shutil.rmtree(copied / missing)
    verdicts = {part: part.read_bytes() for part in (copied / "verdict").iterdir()}
    plan = copied / states.PLAN
    with pytest.raises(RunError, match=f"{missing} lacks rows that the run has had"):
        run.join(copied, [])
    with pytest.raises(RunError, match=f"{missing} lacks rows that the run has had"):
        run.measure(plan, copied, SystemClock(), authority=False, on_progress=print, say=print)
    assert {part: part.read_bytes() for part in (copied / "verdict").iterdir()} == verdicts
    if missing == "probe":  # nor are its hosts asked again
        shutil.rmtree(copied / "verdict")
        with pytest.raises(RunError, match="lacks rows"):
            run.measure(plan, copied, SystemClock(), authority=False, on_progress=print, say=print)


def test_no_run_comes_into_a_lake(copied: Path, tmp_path: Path) -> None:
    lake, clock = tmp_path / "lake", SystemClock()
    Lake(lake, create=True)
    before = sorted(lake.rglob("*"))
    plan, lab = copied / states.PLAN, run.scenario("tiny", None, None)

    def told(*_: object) -> None:
        raise AssertionError

    for wrong in (
        lambda: run.measure(plan, lake, clock, authority=False, on_progress=told, say=told),
        lambda: run.serve_authority(plan, lake, clock, (), None, told, told),
        lambda: run.join(lake, [copied]),
        lambda: run.demo(lab, lake, clock, on_progress=told, say=told),
        lambda: run.serve_lab(lab, lake, clock, told),
    ):
        with pytest.raises(RunError, match="is a lake"):
            wrong()
    assert sorted(lake.rglob("*")) == before


def test_a_second_measurement_hears_of_the_first_and_not_of_its_ports(copied: Path) -> None:
    path = copied / states.PLAN
    plan = load_plan(path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken, states.Lock(copied):
        taken.bind((plan.zone.authority[0], plan.zone.authority_port))
        with pytest.raises(RunError, match="another process is at work"):
            run.measure(path, copied, SystemClock(), authority=True, on_progress=print, say=print)


def test_ctrl_c_ends_cleanly_and_the_same_command_continues(scenario: Path, tmp_path: Path) -> None:
    lab, folder = tmp_path / "lab", tmp_path / "run"
    serving = subprocess.Popen(
        [*COMMAND, "lab", "serve", str(scenario), "-o", str(lab)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert serving.stdout is not None
        assert "256 hosts" in serving.stdout.readline()
        plan = lab / "plan.toml"
        quick = plan.read_text().replace("timeout_s = 2.0", "timeout_s = 1.0\ncharacterise = false")
        plan.write_text(quick.replace("total_pps = 40000.0", "total_pps = 60.0"))
        probe = [*COMMAND, "probe", str(plan), "-o", str(folder), "--no-authority", "--progress", "jsonl"]
        first = subprocess.Popen(probe, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert first.stderr is not None
        for line in first.stderr:
            if json.loads(line).get("sent", 0) > 20:
                break
        first.send_signal(signal.SIGINT)
        out, err = first.communicate(timeout=120)
        assert first.returncode == 130, err
        assert "Traceback" not in err
        assert f"addresses have been asked. Continue: dnsonde probe {plan} -o {folder} --no-authority" in out
        sent = look.at(folder)[0].probes
        assert 20 < sent < 256
        plan.write_text(plan.read_text().replace("= 60.0", "= 40000.0"))
        second = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=240)
        assert second.returncode == 0, second.stderr
    finally:
        serving.send_signal(signal.SIGINT)
        serving.communicate(timeout=60)
    assert serving.returncode == 0
    ended = run.join(folder, [lab])
    assert ended.finished
    assert ended.summary.targets == 256
    truth = look.at(lab)[1]
    assert truth is None or truth.hosts == 256


def test_a_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        plan = tmp_path / "plan.toml"
        plan.write_text(
            f'[scope]\nprefixes = ["127.9.0.0/30"]\n[zone]\nname = "p.example"\nauthority = "127.0.0.1"\n'
            f"authority_port = {port}\n"
        )
        ran = subprocess.run(
            [*COMMAND, "probe", str(plan), "-o", str(tmp_path / "run")],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert ran.returncode == 3
    assert "in use" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_lab_moves_on_where_another_was_faster_at_its_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = run.scenario("tiny", None, None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("0.0.0.0", 0))
        taken = msgspec.structs.replace(run.on_free_ports(chosen), port=held.getsockname()[1])
        # Others than the first are as free as on any busy machine: another test may be faster there, too.
        first, choose = iter([taken]), run.on_free_ports
        monkeypatch.setattr(run, "on_free_ports", lambda scenario: next(first, None) or choose(scenario))
        with run.lab_beside(chosen, run._lab, tmp_path) as (served, helper):
            helper.check()
            assert served.port != taken.port


def test_what_a_killed_authority_had_not_written_is_asked_again(tmp_path: Path) -> None:
    # It writes a second after a query at the earliest, and is killed sooner.
    open_hosts = {"resolver": 0.4, "forwarder": 0.4}  # of which all that is told rests on what it sees
    lab = run.on_free_ports(msgspec.structs.replace(run.scenario("tiny", None, None), shares=open_hosts))
    for attempt in ("killed", "continued"):
        with states.Lock(tmp_path) as lock, run.lab_beside(lab, run._lab, tmp_path) as (served, helper):
            assert served == lab, "another took its ports"
            file = run.lab_plan(lab, tmp_path, "attempts = 1\ncharacterise = false")
            slower = file.read_text().replace("total_pps = 40000.0", "total_pps = 200.0")
            file.write_text(slower.replace("timeout_s = 2.0", "timeout_s = 0.3"))
            prober = Prober(
                load_plan(file),
                tmp_path,
                lock=lock,
                device="lo",
                batch=8,
                checkpoint_rows=16,
                clock=SystemClock(),
            )

            def told(
                now: ProbeProgress, helper: Beside = helper, *, kill: bool = attempt == "killed"
            ) -> None:
                if kill and now.sent > 130:
                    helper._process.kill()
                    helper._process.join()
                helper.check()

            gone = pytest.raises(Failure, match="ended without a word")
            with gone if attempt == "killed" else nullcontext():
                prober.run(told, keep=helper.keep)
    run.judge(tmp_path)
    measured, truth = look.at(tmp_path)
    assert truth is not None
    assert measured.summary.targets == 256
    unheard = {"silent", "resolves_no_reply"}  # on a busy machine a reply may come after its time
    wrong = {(true, told): n for (true, told), n in truth.cells.items() if told not in {true, *unheard}}
    assert not wrong


def test_the_authority_alone_answers_and_counts(tmp_path: Path) -> None:
    port = run.free_port()
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f'[scope]\nprefixes = ["127.9.0.0/30"]\n[zone]\nname = "p.example"\nauthority = "127.0.0.1"\n'
        f"authority_port = {port}\n"
    )
    serving = subprocess.Popen(
        [*COMMAND, "authority", str(plan), "-o", str(tmp_path / "seen"), "--progress", "plain"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stderr is not None
        heard: list[str] = []
        while not heard or ("Serving" not in heard[-1] and heard[-1]):
            heard.append(serving.stderr.readline())
        assert f"port {port}" in heard[-1], heard
        query = dns.message.make_query("p.example", "SOA")
        answer = dns.query.udp(query, "127.0.0.1", port=port, timeout=20)
        assert answer.answer[0].rdtype == dns.rdatatype.SOA
    finally:
        serving.send_signal(signal.SIGINT)
        out, _ = serving.communicate(timeout=60)
    assert serving.returncode == 0
    assert "1 query, 1 answered" in out
    assert row_count(tmp_path / "seen", SIGHTING) == 1


def test_a_plan_without_a_zone_has_nothing_to_serve(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[scope]\nprefixes = ["127.9.0.0/30"]\n[zone]\nknown = "x.example"\nanswer = "192.0.2.1"\n'
    )
    with pytest.raises(UsageError, match="no zone of its own"):
        run.serve_authority(plan, tmp_path, SystemClock(), (), None, lambda _: None, lambda _: None)


def test_which_addresses_are_ours() -> None:
    assert run.is_ours("127.0.0.53")
    assert not run.is_ours("198.51.100.7")


def test_a_scenario_of_another_size_and_seed() -> None:
    changed = run.scenario("tiny", 1000, 9)
    assert (changed.size, changed.seed) == (1024, 9)
    with pytest.raises((LabError, UsageError)):
        run.scenario("no-such-lab", None, None)


@pytest.mark.parametrize("hosts", [16, 65_536, 65_537, 131_072, 1 << 22])
def test_the_default_lab_can_have_any_size_that_is_offered(hosts: int) -> None:
    changed = run.scenario("default", hosts, None)
    assert changed.size // 2 < hosts <= changed.size
    for outside in (PROBER, changed.authority.address):
        assert ip_address(outside) not in ip_network(changed.prefix)


def test_the_plan_of_a_lab_is_put_in_place_whole(tmp_path: Path) -> None:
    plan = run.lab_plan(run.scenario("tiny", 1000, None), tmp_path)
    (tmp_path / "first").hardlink_to(plan)
    before = plan.read_text()
    assert run.lab_plan(run.scenario("tiny", 2000, None), tmp_path).read_text() != before
    assert (tmp_path / "first").read_text() == before


def test_a_new_run_is_named_by_the_time() -> None:
    clock = VirtualClock(1_700_000_000_000_000)
    assert run.fresh_folder(Path("runs"), clock) == Path("runs/demo-20231114-221320")


def test_a_file_that_cannot_be_written_is_refused(
    measured: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    with pytest.raises(SystemRefusal, match="cannot write"):
        look.export(look.judged(measured[0])["verdict"], "csv", tmp_path / "no/folder.csv")
