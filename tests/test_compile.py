"""Kernels are compiled once, with a word, and never again."""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from dnsonde import compile as room

make = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).resolve().parent / "formats" / "capture_files.py"))
)
SHOW_FOLDER = "from dnsonde.compile import cache_folder; print(cache_folder())"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that compiled code is kept in an empty folder."""
    monkeypatch.setattr(room, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(room, "_state", lambda: "this")
    # One process, so that the tests need not wait for others to start.
    monkeypatch.setattr(room, "WORKERS", 1)
    return tmp_path / "cache"


def test_progress_is_said_once_and_covers_every_module(folder: Path) -> None:
    said: list[tuple[int, int, str]] = []
    assert room.compile_all(lambda *step: said.append(step))
    total = len(room.warmable())
    assert [done for done, _, _ in said] == list(range(total + 1))
    assert {name for _, _, name in said[1:]} == {m.__name__.rpartition(".")[2] for m in room.warmable()}
    assert not room.compile_all(lambda *step: said.append(step))
    assert len(said) == total + 1
    assert len(list(folder.iterdir())) == 1


def test_who_measures_waits_for_no_more_than_that(folder: Path) -> None:
    del folder
    names = {m.__name__.rpartition(".")[2] for m in room.warmable()}
    assert names >= set(room.LONGEST)
    assert names == {*room.MEASURING, *room.READING}
    said: list[str] = []
    assert room.compile_all(lambda *step: said.append(step[2]), room.MEASURING)
    assert not room.compile_all(lambda *step: said.append(step[2]), room.MEASURING)
    assert set(said) == {"", *room.MEASURING}
    assert room.compile_all(lambda *step: said.append(step[2]))
    assert sorted(said[len(room.MEASURING) + 1 :]) == ["", *sorted(names - set(room.MEASURING))]


def test_what_else_is_made_once_is_made_with_them(folder: Path) -> None:
    del folder
    made: list[str] = []
    beside = {name: partial(made.append, name) for name in ("flood", "verdict")}
    said: list[tuple[int, int, str]] = []
    assert room.compile_all(lambda *step: said.append(step), ["permute"], beside)
    assert made == ["flood", "verdict"]
    assert said == [(0, 3, ""), (1, 3, "permute"), (2, 3, "flood"), (3, 3, "verdict")]
    assert not room.compile_all(lambda *step: said.append(step), ["permute"])


def test_without_kernels_to_compile_none_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "WORKERS", 1)
    monkeypatch.delattr(room, "cache_folder")  # it imports them
    made: list[str] = []
    assert room.compile_all(lambda *_: None, (), {"flood": partial(made.append, "flood")})
    assert made == ["flood"]
    assert not room.compile_all(lambda *_: None, ())


@pytest.mark.parametrize(
    ("modules", "beside", "sentence"),
    [
        (["permute", "text"], 0, "Compiling 2 modules of inner loops, once; up to a minute ..."),
        (["permute"], 2, "Compiling 1 module of inner loops and making 2 queries, once; up to a minute ..."),
        ([], 1, "Making 1 query, once; some seconds ..."),
        ([], 0, None),
    ],
)
def test_the_sentence_says_what_is_waited_for(
    folder: Path, modules: list[str], beside: int, sentence: str | None
) -> None:
    del folder
    said: list[str] = []
    room.compile_once(said.append, modules, {str(n): int for n in range(beside)})
    assert said == [sentence] * (sentence is not None)


WAITING = """
import os
import sys
import time
from functools import partial
from pathlib import Path
from dnsonde.compile import compile_all

def wait(number):
    Path(sys.argv[1], str(number)).touch()
    time.sleep(300)

if __name__ == "__main__":
    compile_all(lambda *_: None, (), {str(number): partial(wait, number) for number in range(8)})
"""


def works(process: str) -> bool:
    """Whether it is there, and not only waits to be buried."""
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())
    except OSError:
        return False


# As `dnsonde` ends where it is told to stop: at once, without what Python does at its own end.
ENDING = (
    WAITING.replace("    compile_all", "    try:\n        compile_all")
    + """
    except KeyboardInterrupt:
        os._exit(130)
"""
)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor works alone")
@pytest.mark.parametrize(("program", "last_words"), [(WAITING, "KeyboardInterrupt\n"), (ENDING, "")])
def test_who_is_interrupted_does_not_wait_for_the_others(
    tmp_path: Path, program: str, last_words: str
) -> None:
    (tmp_path / "work.py").write_text(program)
    begun = tmp_path / "begun"
    begun.mkdir()
    with subprocess.Popen(
        [sys.executable, tmp_path / "work.py", begun], stderr=subprocess.PIPE, text=True
    ) as work:
        while len(list(begun.iterdir())) < 2:
            assert work.poll() is None
            time.sleep(0.01)
        others = Path(f"/proc/{work.pid}/task/{work.pid}/children").read_text().split()
        assert len(others) >= 2
        work.send_signal(signal.SIGINT)
        _, said = work.communicate(timeout=30)
    assert said.endswith(last_words)
    assert "semaphore" not in said
    assert work.returncode != 0
    ends_s = time.monotonic() + 10
    while any(map(works, others)):
        assert time.monotonic() < ends_s
        time.sleep(0.01)


def test_a_changed_kernel_is_compiled_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert room.compile_all(lambda *_: None)
    (folder / "packet.decode_packets-1.py311.nbi").touch()
    monkeypatch.setattr(room, "_state", lambda: "another")
    assert room.compile_all(lambda *_: None)
    assert len(list(folder.iterdir())) == 1, "the old stamp is gone, and what a changed helper made"


def kept(folder: Path) -> dict[str, int]:
    """Compiled code in a folder, and when each file was written."""
    return {p.name: p.stat().st_mtime_ns for p in folder.rglob("*.nb?")}


def test_a_first_run_compiles_what_it_is_asked_for(tmp_path: Path) -> None:
    """From a fresh machine's point of view; the benchmark says how long that takes."""
    script = Path(__file__).resolve().parents[1] / "benchmarks" / "bench_cold.py"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_OPT": "0"}
    ran = subprocess.run(
        [sys.executable, script, "permute", "pacing"],
        env=environment, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert re.fullmatch(r"ours \d+\.\d s", ran.stdout.splitlines()[-1])
    assert kept(tmp_path)


COMPILE = """
import sys
from dnsonde.compile import compile_all
compile_all(lambda *_: None, sys.argv[1:])
"""


@pytest.mark.parametrize("work", ["measuring", "reading"])
def test_work_needs_nothing_but_what_was_compiled_for_it(tmp_path: Path, work: str) -> None:
    """Code of the kernels for that work alone, as a first run leaves it; this session has compiled them all."""
    modules = {"measuring": room.MEASURING, "reading": room.READING}[work]
    warm = f"from dnsonde import compile as c; [c._compile(name) for name in {modules!r}]"
    told = subprocess.run(
        [sys.executable, "-c", warm],
        env=os.environ | {"NUMBA_DEBUG_CACHE": "1"}, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    loaded = {Path(path) for path in re.findall(r"(?:index|data) loaded from '([^']+)'", told.stdout)}
    assert "saved to" not in told.stdout
    assert loaded
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "code")}
    place = subprocess.run(
        [sys.executable, "-c", SHOW_FOLDER], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    Path(place).mkdir(parents=True, exist_ok=True)
    for path in loaded:
        shutil.copy2(path, place)
    subprocess.run([sys.executable, "-c", COMPILE, *modules], env=environment, check=True, timeout=300)
    before = kept(tmp_path / "code")
    assert len(before) == len(loaded), "what is kept was compiled again"
    words: list[str | Path]
    if work == "measuring":
        words = ["lab", "demo", "--scenario", "tiny", "--no-loop", "-o", tmp_path / "run"]
    else:
        words = ["detect", *files(tmp_path)]
    ran = subprocess.run(
        [sys.executable, "-m", "dnsonde", *words],
        env=environment, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert "Compiling" not in ran.stderr
    assert kept(tmp_path / "code") == before, "a kernel was compiled that `warm` does not know of"


def files(folder: Path) -> list[Path]:
    """Something to read for every kernel: names with addresses, over UDP, TCP and in fragments, frames, and a log."""
    asked = make.dns("c0000201.1700000000.example")
    in_tcp = make.tcp(len(asked).to_bytes(2, "big") + asked, seq=1)
    sent = [make.ip4(make.udp(asked)), *make.fragments(make.udp(asked * 8), 512), make.ip4(in_tcp, 6)]
    log = {
        "ts": 1.5,
        "id.orig_h": "192.0.2.1",
        "id.resp_h": "192.0.2.2",
        "query": "a.example",
        "proto": "udp",
    }
    text = json.dumps(log | {"id.orig_p": 4000, "id.resp_p": 53, "trans_id": 7, "rejected": False}) + "\n"
    content = {
        "some.pcap": make.pcap(sent),
        "some.snoop": make.snoop([make.ether(sent[0])]),
        "dns.log": text.encode(),
    }
    for name, octets in content.items():
        (folder / name).write_bytes(octets)
    return [folder / name for name in content]


def test_a_read_only_installation_keeps_its_code_in_the_users_cache_folder(tmp_path: Path) -> None:
    """Numba's own fallback, which we count on: a copy whose `__pycache__` cannot be made."""
    installed = tmp_path / "site"
    shutil.copytree(
        Path(room.__file__).parent, installed / "dnsonde", ignore=shutil.ignore_patterns("__pycache__")
    )
    # Root may write anywhere: a file in the folder's place refuses it too.
    (installed / "dnsonde/wire/_kernels/__pycache__").write_text("")
    environment = os.environ | {
        "PYTHONPATH": str(installed),
        "HOME": str(tmp_path / "home"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment = {k: v for k, v in environment.items() if k not in {"XDG_CACHE_HOME", "NUMBA_CACHE_DIR"}}
    told = subprocess.run(
        [sys.executable, "-c", SHOW_FOLDER],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert Path(told.stdout.strip()).is_relative_to(tmp_path / "home")
