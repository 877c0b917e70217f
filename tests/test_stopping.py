"""Who is told to stop puts things in order first, whichever signal says it; and who was killed is tidied up after."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import dnsonde.__main__ as face
from dnsonde import scratch, stopping
from dnsonde.errors import RunError

WORK = """
import signal, sys
import dnsonde.__main__ as face
from dnsonde.scratch import scratch
def work(*_, **__):
    with scratch() as folder:
        print(folder, flush=True)
        signal.pause()
face.dnsonde.main = work
face.main()
"""


@pytest.fixture(autouse=True)
def heard_by_default() -> Iterator[None]:
    """Who runs the tests by nohup has us ignore SIGHUP, and our children too."""
    before = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@contextmanager
def working(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", WORK],
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as work:
        try:
            yield work
        finally:
            work.kill()  # else a test that fails waits for it


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_each_signal_ends_with_a_word_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with working(tmp_path) as work:
        assert work.stdout is not None
        assert Path(work.stdout.readline().strip()).is_dir()
        work.send_signal(number)
        _, said = work.communicate(timeout=30)
    assert (work.returncode, said) == (code, "dnsonde: Stopped.\n")
    assert list(tmp_path.iterdir()) == []


def test_what_nohup_ignores_stays_ignored() -> None:
    assert signal.SIGHUP in stopping.heard()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert stopping.heard() == (signal.SIGINT, signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_must_not_be_left_half_done_is_done_first() -> None:
    done = []

    def work() -> None:
        with stopping.deferred():
            signal.raise_signal(signal.SIGINT)
            done.append("all of it")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_asks_between_two_waits_ends_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "heeded", [])
    done = []
    with stopping.between_waits():
        with stopping.wait():
            done.append("waited")
        signal.raise_signal(signal.SIGINT)
        done.append("worked")
        with pytest.raises(KeyboardInterrupt), stopping.wait():
            done.append("waited again")
    with stopping.between_waits(), pytest.raises(KeyboardInterrupt), stopping.wait():
        signal.raise_signal(signal.SIGTERM)
    assert done == ["waited", "worked"]
    with stopping.wait():
        done.append("what was asked is over")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_work_that_ends_in_its_own_time_says_by_which_signal(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "heeded", [])
    assert stopping.exit_code() == stopping.INTERRUPTED
    before, called = signal.getsignal(number), []
    with stopping.calling(lambda: called.append(1)):
        signal.raise_signal(number)
        signal.raise_signal(number)
    assert called == [1, 1]
    assert stopping.exit_code() == 128 + number
    assert signal.getsignal(number) == before
    with stopping.calling(lambda: called.append(1), once=True):
        signal.raise_signal(number)
        assert signal.getsignal(number) == signal.SIG_DFL, "a second one ends the process"
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(
    "error", [RuntimeError("Query interrupted"), ImportError("initialization failed"), RunError("damaged")]
)
def test_what_a_library_makes_of_it_is_no_fault(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(face.dnsonde, "main", refuse)
    monkeypatch.setattr(stopping, "told", [int(signal.SIGINT)])
    assert face.answer([]) == 130
    assert capsys.readouterr().err == "dnsonde: Stopped.\n"


def test_what_the_killed_left_goes_and_what_is_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / f"{scratch.PREFIX}left"
    (left / "lake").mkdir(parents=True)
    link = tmp_path / f"{scratch.PREFIX}link"
    other = tmp_path / "other"
    other.mkdir()
    link.symlink_to(other)
    with scratch.scratch() as first:
        assert left.is_dir(), "its maker may be about to lock it"
        for folder in (left, Path(first)):
            os.utime(folder, (0, 0))
        with scratch.scratch() as second:
            assert not left.exists()
            assert Path(first).is_dir()
            assert first != second
    assert sorted(tmp_path.iterdir()) == [link, other]


@pytest.mark.parametrize(("begin", "said"), [("", "looked for"), ("stopping.end_lightly()", "")])
def test_the_end_does_not_look_for_garbage(begin: str, said: str) -> None:
    program = f"""
from dnsonde import stopping
{begin}
class Loop:
    def __del__(self):
        print("looked for", end="")
loop = Loop()
loop.itself = loop
del loop
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == said
