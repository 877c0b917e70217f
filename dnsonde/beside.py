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
from typing import Any, Protocol, Self

from dnsonde.errors import DnsondeError, Failure, Gone
from dnsonde.stopping import end_lightly

START_S = 120.0  # a cold machine may compile kernels meanwhile
STOP_S = KEEP_S = 30.0  # to write what is not on disk yet

Keep = Callable[[], bool]
Work = Callable[..., object]


class Ready(Protocol):
    """What work calls once it serves. keep: puts all that the work has on disk; False where it cannot."""

    def __call__(self, keep: Keep | None = None) -> None:
        """Say that it serves."""


class Beside:
    """Runs `work(*arguments, stop, ready)` in a child process for as long as the block lasts.

    work: a function of a module; it calls `ready()` once it serves, and returns soon after `stop` is set. Entering
    waits for that; DnsondeErrors of the child are raised here, on entering, by `check`, or on leaving.
    """

    def __init__(self, work: Work, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, far = context.Pipe()
        self._wishes, far_wishes = context.Pipe()
        self._name = f"the {work.__name__.strip('_')}"
        self._process = context.Process(target=_child, args=(far, far_wishes, work, arguments), daemon=True)
        self._far = far, far_wishes

    def __enter__(self) -> Self:
        resource_tracker.ensure_running()  # `start` would, and unblocks signals after it
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()  # the child begins with Ctrl-C blocked, and ignores it before it unblocks it
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for end in self._far:
            end.close()
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
        if failed is not None and (kind is None or issubclass(kind, Gone)):
            raise failed

    def check(self, *, wait: bool = False) -> None:
        """Raise what went wrong in the child, if anything did; with `wait`, once it has said a word."""
        if not wait and not self._line.poll(0):
            return
        try:
            said = self._line.recv()
        except (EOFError, OSError):
            said = Failure(self._silence())
        if isinstance(said, BaseException):
            raise said

    def keep(self) -> None:
        """Wait until all that the child has is on disk; Gone where that cannot be. One thread at a time may ask."""
        try:
            self._wishes.send(None)
            if self._wishes.poll(KEEP_S) and self._wishes.recv():
                return
        except (EOFError, OSError):
            raise Gone(self._silence()) from None
        raise Gone(f"{self._name} could not put on disk what it has, or not within {KEEP_S:.0f} s")

    def _silence(self) -> str:
        self._process.join(1)  # its end of the pipe is closed: it ends
        return f"{self._name} ended without a word (exit code {self._process.exitcode})"

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
        self._wishes.close()
        return failed


def _child(line: Connection, wishes: Connection, work: Work, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    end_lightly()
    stop = Event()
    Thread(target=_until_told, args=(line, stop), daemon=True).start()

    def ready(keep: Keep | None = None) -> None:
        Thread(target=_grant, args=(wishes, keep), daemon=True).start()
        line.send("ready")

    try:
        work(*arguments, stop, ready)
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


def _grant(wishes: Connection, keep: Keep | None) -> None:
    with suppress(EOFError, OSError):
        while True:
            wishes.recv()
            wishes.send(keep is None or keep())
