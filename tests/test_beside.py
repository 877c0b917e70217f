"""A child process that ends with its parent, and whose errors are its parent's."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dnsonde.beside import Beside
from dnsonde.errors import Failure, Gone, SystemRefusal

MODULE = """
import sys
from pathlib import Path
from dnsonde.errors import SystemRefusal

def serve(path, stop, ready):
    Path(path).write_text("up")
    ready()
    stop.wait()
    Path(path).write_text("down")

def refuse(stop, ready):
    raise SystemRefusal("port 53 is taken")

def stumble(stop, ready):
    ready()
    stop.wait()
    raise SystemRefusal("the disk is full")

def keep(path, stop, ready):
    def keep():
        Path(path).write_text("kept")
        return True
    ready(keep)
    stop.wait()

def cannot_keep(stop, ready):
    ready(lambda: False)
    stop.wait()
    raise SystemRefusal("the disk is full")

def break_down(stop, ready):
    raise ZeroDivisionError("oh")

def tell_blocked(path, stop, ready):
    import signal
    Path(path).write_text(str(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    ready()

def vanish(stop, ready):
    import os
    os._exit(7)
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that a spawned child can import."""
    (tmp_path / "beside_work.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("beside_work", None)
    import beside_work  # type: ignore[import-not-found]

    return beside_work


def test_it_is_ready_inside_the_block_and_gone_after_it(work: Any, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with Beside(work.serve, str(state)) as child:
        assert state.read_text() == "up"
        child.check()
    assert state.read_text() == "down"


def test_what_goes_wrong_at_the_start_is_raised_here(work: Any) -> None:
    with pytest.raises(SystemRefusal, match="port 53 is taken"), Beside(work.refuse):
        raise AssertionError


def test_what_goes_wrong_at_the_end_is_raised_here(work: Any) -> None:
    with pytest.raises(SystemRefusal, match="the disk is full"), Beside(work.stumble):
        pass


def test_an_error_inside_the_block_wins(work: Any) -> None:
    with pytest.raises(KeyError), Beside(work.stumble):
        raise KeyError


def test_the_parent_may_ask_that_everything_be_on_disk(work: Any, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with Beside(work.keep, str(state)) as child:
        assert not state.exists()
        child.keep()
        assert state.read_text() == "kept"
        child.keep()
    with Beside(work.serve, str(state)) as child:
        child.keep()  # it has nothing to keep


def test_where_that_cannot_be_the_child_may_say_why(work: Any) -> None:
    with pytest.raises(SystemRefusal, match="the disk is full"), Beside(work.cannot_keep) as child:
        child.keep()
    with Beside(work.stumble) as child:
        child._process.kill()
        with pytest.raises(Gone, match=r"ended without a word \(exit code -9\)"):
            child.keep()


def test_the_unforeseen_is_a_failure(work: Any) -> None:
    with pytest.raises(Failure, match="break_down: ZeroDivisionError: oh"), Beside(work.break_down):
        raise AssertionError
    with pytest.raises(Failure, match="ended without a word"), Beside(work.vanish):
        raise AssertionError


def test_a_killed_parent_takes_its_child_along(work: Any, tmp_path: Path) -> None:
    del work
    state = tmp_path / "state"
    script = tmp_path / "parent.py"
    script.write_text(f"""
import os, signal, sys
sys.path.insert(0, {str(tmp_path)!r})
import beside_work
from dnsonde.beside import Beside
if __name__ == "__main__":
    with Beside(beside_work.serve, {str(state)!r}) as child:
        print(child._process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
""")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == -signal.SIGKILL
    # run() returns when the child has closed its output too: it has ended.
    assert state.read_text() == "down"


def test_ctrl_c_while_the_child_starts_does_not_reach_it(tmp_path: Path) -> None:
    """A terminal sends it to the whole group, and the child is still importing."""
    (tmp_path / "slow_work.py").write_text("""
import os, signal, sys
if "--multiprocessing-fork" in sys.orig_argv:
    os.kill(os.getpid(), signal.SIGINT)

def serve(stop, ready):
    ready()
    stop.wait()
""")
    script = tmp_path / "parent.py"
    script.write_text("""
import slow_work
from dnsonde.beside import Beside
if __name__ == "__main__":
    with Beside(slow_work.serve):
        print("served")
""")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("served\n", "")


def test_nothing_stays_blocked(work: Any, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    with Beside(work.tell_blocked, str(blocked)):
        assert blocked.read_text() == "set()"
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
