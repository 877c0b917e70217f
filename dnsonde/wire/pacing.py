"""The pace towards each prefix, decided for a batch of targets in one kernel call."""

import math

import numpy as np
from numpy.typing import NDArray

from dnsonde.wire._kernels import pacing as _kernels
from dnsonde.wire.batch import ADDRESS

_LONGEST_NS = 1 << 58  # nine years; the kernel's sums stay within 64 bits


class PrefixPace:
    """At most `rate` a second towards any one prefix, and at most `burst` of them at once.

    prefix4, prefix6: prefix lengths that share a ceiling (0 to 32, 0 to 128). slots: a power of two; prefixes
    that share a slot share its ceiling, so that collisions only make it slower.
    """

    def __init__(self, rate: float, burst: int, prefix4: int, prefix6: int, slots: int = 1 << 18) -> None:
        self._interval_ns = min(math.ceil(1e9 / rate), _LONGEST_NS)
        self._tolerance_ns = (burst - 1) * self._interval_ns
        self._mask4 = -(1 << 32 - prefix4)
        self._mask_net = _mask(min(prefix6, 64))
        self._mask_host = _mask(max(prefix6 - 64, 0))
        self._due_ns = np.full(slots, np.iinfo(np.int64).min // 2, np.int64)
        self._slot = np.zeros(0, np.int64)
        self._admitted = 0

    def admit(self, targets: NDArray[np.void], now_ns: int) -> NDArray[np.bool_]:
        """Which of `targets` (ADDRESS) may be sent to now, in their order; those are booked as sent."""
        targets = np.ascontiguousarray(targets, ADDRESS)
        admitted = np.zeros(len(targets), np.bool_)
        if len(self._slot) < len(targets):
            self._slot = np.zeros(len(targets), np.int64)
        self._admitted = _kernels.admit_targets(
            targets,
            self._mask4,
            self._mask_net,
            self._mask_host,
            self._due_ns,
            now_ns,
            self._interval_ns,
            self._tolerance_ns,
            admitted,
            self._slot,
        )
        return admitted

    def resume(self, last_ns: int) -> None:
        """Say that every prefix was sent to at the full rate until `last_ns`."""
        self._due_ns[:] = last_ns + self._tolerance_ns + self._interval_ns

    def postpone(self, lag_ns: int) -> None:
        """Say that what the last `admit` let through left `lag_ns` later than it was told."""
        _kernels.postpone_slots(self._due_ns, self._slot, self._admitted, lag_ns)
        self._admitted = 0


def warm() -> None:
    """Compile each kernel, or load it from the cache."""
    pace = PrefixPace(1.0, 1, 24, 48, slots=2)
    pace.admit(np.zeros(1, ADDRESS), 0)
    pace.postpone(0)


def _mask(bits: int) -> int:
    """The leading `bits` of 64, as the kernel's signed number."""
    return -(1 << 64 - bits) if bits else 0
