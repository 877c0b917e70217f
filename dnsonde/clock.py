"""Time as an argument: whoever needs the time is given a clock."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

LAST_US = 253_402_300_799_999_999  # the end of the year 9999: calendars know no more
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = (("d", 86400, 3600), ("h", 3600, 60), ("min", 60, 1))  # seconds, and those of the unit below


def spoken(length_us: float) -> tuple[str, int, int]:
    """A length of time as people say it: unit (d, h, min, s, ms), so many of it, and the rest in the unit below.

    Every face says it by this, so that all say the same.
    """
    ms = max(round(length_us / 1000), 0)
    if 0 < ms < 1000:
        return "ms", ms, 0
    seconds = round(ms / 1000)
    for unit, size, below in UNITS:
        if seconds >= size:
            return unit, seconds // size, seconds % size // below
    return "s", seconds, 0


def moment(time_us: int) -> datetime:
    """A time, with its zone; what no calendar has becomes the nearest that it has."""
    return EPOCH + timedelta(microseconds=min(max(time_us, 0), LAST_US))


def to_the_second(time_us: int) -> str:
    """A time in UTC as people read it."""
    return f"{moment(time_us):%Y-%m-%d %H:%M:%S}"


def rfc3339(time_us: int) -> str:
    """A time as RFC 3339 has it, UTC, with microseconds."""
    return f"{moment(time_us):%Y-%m-%dT%H:%M:%S.%fZ}"


class Clock(Protocol):
    """What the rest of the house knows of time."""

    def now_us(self) -> int:
        """Wall time, microseconds since 1970-01-01 UTC; may jump."""
        ...

    def monotonic_us(self) -> int:
        """Microseconds since some fixed moment; never goes back."""
        ...

    def sleep_us(self, duration_us: int) -> None:
        """Let `duration_us` microseconds pass; none or a negative number returns at once."""
        ...


class SystemClock:
    """The machine's own time."""

    def now_us(self) -> int:
        """Wall time in microseconds (CLOCK_REALTIME)."""
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        """Monotonic time in microseconds (CLOCK_MONOTONIC)."""
        return time.monotonic_ns() // 1000

    def sleep_us(self, duration_us: int) -> None:
        """Sleep; the pace of a real network needs real time."""
        if duration_us > 0:
            time.sleep(duration_us / 1e6)


class VirtualClock:
    """A clock that moves only when told to, for tests and replays.

    `start_us` is the wall time at which it begins; monotonic time begins at 0.
    """

    def __init__(self, start_us: int = 1_700_000_000_000_000) -> None:
        self.wall_us = start_us
        self.elapsed_us = 0

    def now_us(self) -> int:
        """Wall time in microseconds, as set."""
        return self.wall_us

    def monotonic_us(self) -> int:
        """Microseconds that have passed since the clock was made."""
        return self.elapsed_us

    def sleep_us(self, duration_us: int) -> None:
        """Move both times forward."""
        if duration_us > 0:
            self.wall_us += duration_us
            self.elapsed_us += duration_us

    def jump_us(self, by_us: int) -> None:
        """Move the wall time alone, as an NTP step does; `by_us` may be negative."""
        self.wall_us += by_us
