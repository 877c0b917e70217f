"""Being told to stop: by Ctrl-C, SIGTERM (systemd, `timeout`), SIGHUP (a terminal is gone), or by who reads no further.

And how a process ends that has done its work.
"""

import atexit
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

told: list[int] = []  # the signals that came since `listen`, and raised KeyboardInterrupt
heeded: list[int] = []  # and those that ended a piece of work in its own time
INTERRUPTED = 130


def is_unread(error: BaseException) -> bool:
    """Whether whoever read our output has seen enough (`| head`); click and rich make of that an exit with 1."""
    return isinstance(error, BrokenPipeError) or (isinstance(error, SystemExit) and error.code == 1)


def print_no_more() -> None:
    """Let what is printed from now on go nowhere; the interpreter's last flush is quiet, too."""
    with suppress(ValueError):  # closed already
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def heard() -> tuple[signal.Signals, ...]:
    """The signals that ask to stop; what `nohup` has ignored stays so."""
    return tuple(n for n in SIGNALS if n is signal.SIGINT or signal.getsignal(n) != signal.SIG_IGN)


def listen() -> None:
    """From now on each of them raises KeyboardInterrupt, so that whoever works puts things in order."""
    for number in heard():
        signal.signal(number, _stop)


@contextmanager
def deferred() -> Iterator[None]:
    """While inside, who asks to stop is heard and waits: for what must not be left half done. It has to be short."""
    if threading.current_thread() is not threading.main_thread():
        yield  # where signals are not heard anyhow
        return
    waiting: list[int] = []
    before = {n: signal.signal(n, lambda number, _: waiting.append(number)) for n in heard()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])


@contextmanager
def calling(stop: Callable[[], object], *, once: bool = False) -> Iterator[None]:
    """While inside, each of them calls `stop` instead; with `once` a second one ends the process.

    Only in the main thread can signals be heard; others go without.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def heed(number: int, _frame: FrameType | None) -> None:
        heeded.append(number)
        if once:
            signal.signal(number, signal.SIG_DFL)
        stop()

    before = {number: signal.signal(number, heed) for number in heard()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Waits:
    """Whether somebody waits, and whether somebody asked to stop since `between_waits`."""

    def __init__(self) -> None:
        self.waiting = self.asked = False

    def ask(self) -> None:
        self.asked = True
        if self.waiting:
            raise KeyboardInterrupt


_waits = _Waits()


@contextmanager
def between_waits() -> Iterator[None]:
    """While inside, who asks to stop ends a `wait`, this one or the next, and nothing that is between two of them."""
    try:
        with calling(_waits.ask):
            yield
    finally:
        _waits.asked = False


@contextmanager
def wait() -> Iterator[None]:
    """A wait for others, which KeyboardInterrupt ends; it may come as this is left, so keep what was waited for."""
    _waits.waiting = True
    try:
        if _waits.asked:
            raise KeyboardInterrupt
        yield
    finally:
        _waits.waiting = False


def is_asked() -> bool:
    """Whether somebody asked to stop, within `between_waits`."""
    return _waits.asked


def end_lightly() -> None:
    """Let this process end without a last look for garbage among all that libraries made.

    That takes a third of a second, or two where kernels were compiled; the system takes back the memory anyhow.
    """
    atexit.register(gc.freeze)


def exit_code() -> int:
    """128 and the signal is how shells say which one it was."""
    return 128 + (told or heeded)[0] if told or heeded else INTERRUPTED


def _stop(number: int, _frame: FrameType | None) -> None:
    told.append(number)
    raise KeyboardInterrupt
