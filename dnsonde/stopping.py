"""Being told to stop: by Ctrl-C, by SIGTERM (systemd, `timeout`), or by SIGHUP, of a terminal that is gone."""

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

told: list[int] = []  # the signals that came since `listen`


def heard() -> tuple[signal.Signals, ...]:
    """The signals that ask to stop; what `nohup` has ignored stays so."""
    return tuple(n for n in SIGNALS if n is signal.SIGINT or signal.getsignal(n) != signal.SIG_IGN)


def listen() -> None:
    """From now on each of them raises KeyboardInterrupt, so that whoever works puts things in order."""
    for number in heard():
        signal.signal(number, _stop)


def _stop(number: int, _frame: FrameType | None) -> None:
    told.append(number)
    raise KeyboardInterrupt
