"""Work in a process of its own: the authority beside the prober, the lab beside both.

The child ends when it is told to, and also when its parent is gone, however that went: the pipe between them is then
closed. Ctrl-C reaches the parent alone, which decides. What goes wrong in the child is raised in the parent.
"""

import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from dnsonde.errors import DnsondeError, Failure
from dnsonde.stopping import end_lightly

START_S = 120.0  # a cold machine may compile kernels meanwhile
STOP_S = 30.0  # to write what is not on disk yet

Ready = Callable[[], None]
Work = Callable[..., object]


class Beside:
    """Runs `work(*arguments, stop, ready)` in a child process for as long as the block lasts.

    work: a function of a module; it calls `ready()` once it serves, and returns soon after `stop` is set. Entering
    waits for that; DnsondeErrors of the child are raised here, on entering, by `check`, or on leaving.
    """

    def __init__(self, work: Work, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, far = context.Pipe()
        self._name = work.__name__
        self._process = context.Process(target=_child, args=(far, work, arguments), daemon=True)
        self._far = far

    def __enter__(self) -> Self:
        resource_tracker.ensure_running()  # `start` would, and unblocks signals after it
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()  # the child begins with Ctrl-C blocked, and ignores it before it unblocks it
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._far.close()
        if not self._line.poll(START_S):
            self._end()
            raise Failure(f"{self._name} did not start within {START_S:.0f} s: is the machine very busy?")
        try:
            self.check(wait=True)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = self._end()
        if failed is not None and kind is None:
            raise failed

    def check(self, *, wait: bool = False) -> None:
        """Raise what went wrong in the child, if anything did; with `wait`, once it has said a word."""
        if not wait and not self._line.poll(0):
            return
        try:
            said = self._line.recv()
        except (EOFError, OSError):
            said = Failure(f"{self._name} ended without a word (exit code {self._process.exitcode})")
        if isinstance(said, BaseException):
            raise said

    def _end(self) -> BaseException | None:
        """Tell the child to end and wait for it; returns what it had to say that is an error."""
        with suppress(OSError):
            self._line.send(None)
        failed: BaseException | None = None
        with suppress(EOFError, OSError):
            while self._line.poll(STOP_S):
                said = self._line.recv()
                if isinstance(said, BaseException):
                    failed = said
        self._process.join(STOP_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._line.close()
        return failed


def _child(line: Connection, work: Work, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    end_lightly()
    stop = Event()
    Thread(target=_until_told, args=(line, stop), daemon=True).start()
    try:
        work(*arguments, stop, lambda: line.send("ready"))
    except DnsondeError as error:
        said: BaseException = error
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to know
        said = Failure(f"{work.__name__}: {type(error).__name__}: {error}")
    else:
        return
    with suppress(OSError):
        line.send(said)


def _until_told(line: Connection, stop: Event) -> None:
    with suppress(EOFError, OSError):
        line.recv()
    stop.set()
