"""How fast we may send: a ceiling in total and towards each prefix, that no burst, stall or clock exceeds.

Both are GCRA (the generic cell rate algorithm, ITU-T I.371, virtual scheduling): with an interval `1/rate`
and a burst of `b`, no window of any length `w` sees more than `rate * w + b` datagrams. The burst is what
`BURST_S` would send, at least one datagram and at most a batch: at low rates datagrams go one at a time,
evenly spaced.
"""

import math

import numpy as np
from numpy.typing import NDArray

from dnsonde.clock import Clock
from dnsonde.errors import UsageError
from dnsonde.wire import pacing
from dnsonde.wire.pacing import PrefixPace

BURST_S = 0.005

_PS_PER_US = 1_000_000


class Pace:
    """The ceiling of one sender.

    total_pps: datagrams a second, any positive number (0.1: one in ten seconds); per_prefix_pps: the same
    towards each /`prefix4` and each /`prefix6`, None for no such ceiling; batch: the most that may go at
    once.

    Ask `allowance`, ask `admit` for the targets, send, then say with `take` how many went. Times are
    monotonic microseconds of `clock`: a step of the wall clock changes nothing. Raises UsageError for what
    cannot be a pace.
    """

    def __init__(
        self,
        total_pps: float,
        per_prefix_pps: float | None = None,
        prefix4: int = 24,
        prefix6: int = 48,
        *,
        clock: Clock,
        batch: int = 512,
    ) -> None:
        for rate in (total_pps, per_prefix_pps):
            if rate is not None and not (math.isfinite(rate) and rate > 0):
                raise UsageError(
                    f"A pace of {rate:g} packets a second cannot be kept; give a number above 0."
                )
        if not (0 <= prefix4 <= 32 and 0 <= prefix6 <= 128):
            raise UsageError("A prefix length is 0 to 32 for IPv4 and 0 to 128 for IPv6.")
        self.burst = _burst(total_pps, batch)
        self._clock = clock
        self._interval_ps = math.ceil(1e12 / total_pps)
        self._due_ps = -(1 << 62)
        self._asked_us = 0
        self._prefixes: PrefixPace | None = None
        if per_prefix_pps is not None:
            self._prefixes = PrefixPace(per_prefix_pps, _burst(per_prefix_pps, batch), prefix4, prefix6)

    def allowance(self, now_us: int | None = None) -> int:
        """How many may be sent at once, 0 to `burst`. `now_us`: monotonic; None asks the clock."""
        now_ps = self._now(now_us) * _PS_PER_US
        first_ps = self._due_ps - (self.burst - 1) * self._interval_ps
        if now_ps < first_ps:
            return 0
        return min((now_ps - first_ps) // self._interval_ps + 1, self.burst)

    def wait_us(self) -> int:
        """Microseconds until one may be sent; 0: now."""
        ready_ps = self._due_ps - (self.burst - 1) * self._interval_ps
        return max(-(-ready_ps // _PS_PER_US) - self._now(None), 0)

    def admit(self, targets: NDArray[np.void], now_us: int | None = None) -> NDArray[np.bool_]:
        """Which of `targets` (ADDRESS) their prefixes allow now; the others have to come again later.

        An admitted target counts as sent. `take` belongs after each `admit`: it books the time that sending
        took.
        """
        if self._prefixes is None:
            return np.ones(len(targets), np.bool_)
        self._asked_us = self._now(now_us)
        return self._prefixes.admit(targets, self._asked_us * 1000)

    def take(self, count: int, now_us: int | None = None) -> None:
        """Say that `count` datagrams have been sent just now.

        Called after sending, not before: if the machine stalls between the two, what follows is put off as
        well, and the batch before the stall cannot meet the one after it.
        """
        now_us = self._now(now_us)
        self._due_ps = max(self._due_ps, now_us * _PS_PER_US) + count * self._interval_ps
        if self._prefixes is not None:
            self._prefixes.postpone(max(now_us - self._asked_us, 0) * 1000)

    def resume(self, ago_us: int) -> None:
        """Take up the pace of a sender before this one, which used the ceilings to the full until `ago_us` ago.

        Nothing goes, to anybody, before the rest of one interval has passed; a time to come counts as now.
        """
        last_us = self._now(None) - max(ago_us, 0)
        self._due_ps = last_us * _PS_PER_US + self.burst * self._interval_ps
        if self._prefixes is not None:
            self._prefixes.resume(last_us * 1000)

    def _now(self, now_us: int | None) -> int:
        return self._clock.monotonic_us() if now_us is None else now_us


def warm() -> None:
    """Compile the kernels that the pace uses."""
    pacing.warm()


def _burst(rate: float, batch: int) -> int:
    return min(max(int(rate * BURST_S), 1), batch)
