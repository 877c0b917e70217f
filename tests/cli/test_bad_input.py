"""What goes wrong around a measurement: a sentence that says what to do, the right exit code, and nothing lost."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from dnsonde.probe import state
from dnsonde.table.schema import PROBE, VERDICT
from dnsonde.table.store import row_count

Ran = subprocess.CompletedProcess[str]
Type = Callable[..., Ran]

PLAN = """
[scope]
prefixes = ["127.9.0.0/28"]
port = {port}
[zone]
known = "www.campus.edu"
answer = "9.9.9.80"
[probe]
attempts = 1
timeout_s = 0.05
"""
IDENTITY = '[identity]\ncontact = "noc@example.net"\ndescription = "Our own network"\n'
PROBE_COMMAND = ("probe", "plan.toml", "-o", "run", "--progress", "none")


def closed_port() -> int:
    """A UDP port at which nobody listens: the kernel answers for the hosts, with ICMP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("0.0.0.0", 0))
        return int(free.getsockname()[1])


def sentence(ran: Ran, code: int) -> str:
    """The one line of the complaint, without its name; nothing of Python's in it."""
    assert ran.returncode == code, ran
    line = ran.stderr.splitlines()[-1]
    assert line.startswith("dnsonde: ")
    assert "Traceback" not in ran.stderr
    assert "unexpected" not in line
    assert not re.search(r"\[Errno|Error\(|<class", line)
    return line.removeprefix("dnsonde: ")


@pytest.fixture
def plan(tmp_path: Path) -> str:
    """A plan in the working folder that can be measured; its text."""
    text = PLAN.format(port=closed_port())
    (tmp_path / "plan.toml").write_text(text)
    return text


BAD_PLANS = {
    "broken TOML": ("attempts = 1", "attempts = = 1", "plan.toml is not TOML: line 9"),
    "an unclosed list": ('/28"]', '/28"', "plan.toml is not TOML"),
    "a setting that is not one": ("attempts", "atempts", "did you mean `attempts`"),
    "no prefix": ('"127.9.0.0/28"', "", "names nobody: give `prefixes`"),
    "an empty prefix": ("127.9.0.0/28", "", "such as 198.51.100.7"),
    "no prefix but blanks": ("127.9.0.0/28", "  ", "such as 198.51.100.7"),
    "host bits": ("127.9.0.0/28", "127.9.0.1/28", "127.9.0.0/28"),
    "all excluded": ("port =", 'exclude = ["127.9.0.0/16"]\nport =', "there is nobody to probe"),
    "reserved space": ("127.9.0.0/28", "240.0.0.0/8", "Reserved (RFC 1112, 4); take it out"),
    "multicast": ("127.9.0.0/28", "224.0.0.0/8", "never probed"),
    "private space": ("127.9.0.0/28", "10.0.0.0/24", "write `private = true`"),
    "no contact": (
        "127.9.0.0/28",
        "20.0.0.0/24",
        "[identity] contact is missing: who probes others says who asks",
    ),
    "no zone": ("[zone]", "[zones]", "zone"),
    "a target file that is not there": (
        "port =",
        'targets = "hosts.txt"\nport =',
        "hosts.txt cannot be read",
    ),
}


@pytest.mark.parametrize(("old", "new", "said"), BAD_PLANS.values(), ids=BAD_PLANS)
def test_a_plan_that_cannot_be_meant_is_refused_before_anything_is_done(
    old: str, new: str, said: str, dnsonde: Type, tmp_path: Path, plan: str
) -> None:
    assert old in plan
    (tmp_path / "plan.toml").write_text(plan.replace(old, new, 1))
    for command in (PROBE_COMMAND, ("plan", "check", "plan.toml"), ("authority", "plan.toml", "-o", "run")):
        if command[0] == "authority" and "zone" in new:
            continue
        ran = dnsonde(*command)
        if command[0] != "authority":
            assert said in sentence(ran, 2)
    assert not (tmp_path / "run").exists()


def test_plans_and_lists_are_read_as_windows_writes_them(dnsonde: Type, tmp_path: Path, plan: str) -> None:
    text = plan.replace('prefixes = ["127.9.0.0/28"]', 'targets = "hosts.txt"\nexclude_file = "never.txt"')
    (tmp_path / "plan.toml").write_bytes(f"\ufeff{text}".replace("\n", "\r\n").encode())
    (tmp_path / "hosts.txt").write_bytes("\ufeff127.9.0.0/28 \r\n".encode())
    (tmp_path / "never.txt").write_bytes("\ufeff127.9.0.1\r\n".encode())
    told = dnsonde("plan", "check", "plan.toml")
    assert told.returncode == 0, told.stderr
    assert "15 (15 IPv4" in told.stdout
    (tmp_path / "never.txt").write_text("127.9.0.1\n", encoding="utf-16")
    assert "never.txt is UTF-16 text: save it as UTF-8" in sentence(dnsonde("plan", "check", "plan.toml"), 2)


def test_overlaps_are_probed_once_and_mentioned(dnsonde: Type, tmp_path: Path, plan: str) -> None:
    text = plan.replace('"127.9.0.0/28"', '"127.9.0.0/28", "127.9.0.0/29"')
    (tmp_path / "plan.toml").write_text(text)
    noted = "Note: [scope] names 8 addresses more than once; each is probed once."
    assert noted in dnsonde("plan", "check", "plan.toml").stdout
    ran = dnsonde("probe", "plan.toml", "-o", "run", "--progress", "plain")
    assert ran.returncode == 0, ran.stderr
    assert noted in ran.stderr
    assert row_count(tmp_path / "run", PROBE) == 16


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
@pytest.mark.parametrize(
    "command", [PROBE_COMMAND, ("authority", "plan.toml", "-o", "run", "--progress", "none")]
)
def test_a_port_in_use_is_named_with_who_holds_it(
    command: tuple[str, ...], kind: socket.SocketKind, dnsonde: Type, tmp_path: Path, plan: str
) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        ours = f'name = "p.example"\nauthority = "127.0.0.1"\nauthority_port = {port}\n'
        (tmp_path / "plan.toml").write_text(re.sub(r"known = .*\nanswer = .*\n", ours, plan))
        said = sentence(dnsonde(*command), 3)
    assert f"127.0.0.1:{port} is already in use" in said
    assert "`ss -l" in said
    assert row_count(tmp_path / "run", PROBE) == 0


def test_no_route_is_told_and_the_same_command_continues(
    dnsonde: Type, tmp_path: Path, plan: str, alone: Callable[[], AbstractContextManager[None]]
) -> None:
    """In a network of its own, that has not even a loopback interface."""
    text = plan.replace("127.9.0.0/28", "20.0.0.0/28")
    (tmp_path / "far.toml").write_text(IDENTITY + text)
    with alone():
        for file in ("far.toml", "plan.toml"):
            said = sentence(dnsonde("probe", file, "-o", file[:-5], "--progress", "none"), 3)
            assert "(Network is unreachable): look at the routes" in said
            assert row_count(tmp_path / file[:-5], PROBE) == 0
    assert dnsonde("probe", "plan.toml", "-o", "plan", "--progress", "none").returncode == 0
    assert row_count(tmp_path / "plan", PROBE) == 16


@pytest.fixture
def alone() -> Callable[[], AbstractContextManager[None]]:
    """Enter a network namespace for a while; needs root."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)

    @contextmanager
    def entered() -> Iterator[None]:
        with Path("/proc/thread-self/ns/net").open() as home:
            if libc.unshare(0x4000_0000) != 0:
                why = os.strerror(ctypes.get_errno())
                pytest.skip(f"a network without routes needs root: {why}; run the tests as root")
            try:
                yield
            finally:
                assert libc.setns(home.fileno(), 0x4000_0000) == 0

    return entered


@pytest.mark.parametrize("folder", ["file", "file/run", "/proc/run", "/dev/null"])
def test_a_folder_that_cannot_be_is_refused(folder: str, dnsonde: Type, tmp_path: Path, plan: str) -> None:
    del plan
    (tmp_path / "file").write_text("here before")
    said = sentence(dnsonde("probe", "plan.toml", "-o", folder, "--progress", "none"), 3)
    assert said.startswith(f"cannot make a run in {folder} (")
    assert "choose a folder where this user may write" in said
    assert (tmp_path / "file").read_text() == "here before"


def test_a_folder_where_this_user_may_not_write_is_refused(
    dnsonde: Type, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anywhere, so the kernel's word is put in its mouth."""
    del plan

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", forbidden)
    said = sentence(dnsonde(*PROBE_COMMAND), 3)
    assert said == "cannot make a run in run (Permission denied): choose a folder where this user may write"


def test_what_is_no_run_is_said(dnsonde: Type, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "there is no run or lake at nowhere" in sentence(dnsonde("show", "nowhere"), 3)
    assert "nowhere is not a run, it has no plan.toml" in sentence(dnsonde("join", "nowhere"), 3)
    assert "empty has no verdicts yet" in sentence(dnsonde("diff", "empty", "nowhere"), 3)
    assert "empty is not a run, it has no plan.toml" in sentence(dnsonde("show", "empty"), 3)
    assert "empty is not a run, it has no plan.toml" in sentence(dnsonde("join", "empty"), 3)


def test_another_plan_and_another_process_are_refused_and_the_run_stays(
    dnsonde: Type, tmp_path: Path, plan: str
) -> None:
    assert dnsonde(*PROBE_COMMAND).returncode == 0
    before = sorted((tmp_path / "run").rglob("part-*"))
    with state.Lock(tmp_path / "run"):
        assert "another process is at work in run: wait for it, or choose another folder" in sentence(
            dnsonde(*PROBE_COMMAND), 3
        )
    (tmp_path / "plan.toml").write_text(plan.replace("/28", "/27"))
    assert "holds a run of another plan" in sentence(dnsonde(*PROBE_COMMAND), 3)
    assert sorted((tmp_path / "run").rglob("part-*")) == before
    (tmp_path / "run/state.json").write_text("{")
    (tmp_path / "plan.toml").write_text(plan)
    assert "state.json is damaged" in sentence(dnsonde(*PROBE_COMMAND), 3)
    before[0].write_bytes(b"PAR1 no more")
    assert "cannot be read" in sentence(dnsonde("show", "run"), 3)


@contextmanager
def disk(place: Path) -> Iterator[Callable[[int], None]]:
    """A small file system at `place`, and how to give it so many KiB."""
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"a full disk needs root: {made.stderr.strip()}; run the tests as root")

    def give(kib: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={kib}k", str(place)], check=True)

    try:
        yield give
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_full_at_any_stage_loses_nothing(dnsonde: Type, tmp_path: Path) -> None:
    """The same command again and again, with a little more room each time."""
    text = PLAN.format(port=closed_port()).replace("/28", "/19")
    (tmp_path / "plan.toml").write_text("# long\n" * 1000 + text)
    said: list[str] = []
    with disk(tmp_path / "disk") as give:
        for kib in range(0, 1000, 12):
            give(max(kib, 4))
            ran = dnsonde("probe", "plan.toml", "-o", "disk/run", "--progress", "none")
            if ran.returncode == 0:
                break
            said.append(sentence(ran, 3))
        assert ran.returncode == 0
        shutil.copytree(tmp_path / "disk/run", tmp_path / "kept")
    assert row_count(tmp_path / "kept", PROBE) == row_count(tmp_path / "kept", VERDICT) == 8192
    places = [
        "disk/run/plan.toml",
        "write in disk/run:",
        "bits in disk/run",
        "disk/run/reply",
        "disk/run/probe",
        "disk/run/verdict",
    ]
    met = {place for place in places if any(place in one for one in said)}
    assert len(met) >= 4, met
    assert all("space" in one for one in said), said


def test_traffic_to_write_has_a_name(tmp_path: Path, dnsonde: Type) -> None:
    assert "lists what there is" in sentence(dnsonde("lab", "traffic", "-o", "some.pcap"), 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rate", ["nan", "1e-320"])
def test_a_rate_of_answers_that_cannot_be_kept_is_a_sentence(rate: str, plan: str, dnsonde: Type) -> None:
    del plan
    ran = dnsonde("authority", "plan.toml", "-o", "seen", "--per-second", rate)
    assert "give 0.000001 or more a second, or 0 for no limit" in ran.stderr
    assert ran.returncode == 2
