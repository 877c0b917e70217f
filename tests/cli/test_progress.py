"""What the plain progress says, and how often."""

import pytest

from dnsonde.cli import _progress
from dnsonde.run import Progress


def told(capfd: pytest.CaptureFixture[str], *steps: tuple[str, float, int]) -> list[str]:
    """Lines for steps of (phase, seconds, done of 100)."""
    with _progress.watch("plain") as watch:
        for phase, elapsed_s, done in steps:
            watch.tell(Progress(phase, done, 100, done, done, 10.0, elapsed_s, None))
    return [" ".join(line.split()[:3]) for line in capfd.readouterr().err.splitlines()]


def test_a_phase_is_told_from_its_beginning_to_its_end(capfd: pytest.CaptureFixture[str]) -> None:
    lines = told(
        capfd,
        ("sweep", 0.1, 1), ("sweep", 0.4, 30), ("sweep", 0.7, 100), ("sweep", 0.9, 100), ("size", 1.0, 2),
        ("size", 1.2, 100),
    )  # fmt: skip
    assert lines == ["sweep 1 %", "sweep 100 %", "size 2 %", "size 100 %"]


def test_lines_come_often_at_first_and_then_one_a_minute(capfd: pytest.CaptureFixture[str]) -> None:
    minutes = told(capfd, *(("sweep", t / 4, 1) for t in range(4 * 60)))
    assert 10 < len(minutes) < 30
    week = told(capfd, *(("sweep", float(t), 1) for t in range(3600, 7200)))
    assert len(week) == 60


@pytest.mark.parametrize(
    ("rate", "words"), [(0.2, "0.2/s"), (0.0123, "0.012/s"), (3.0, "3/s"), (1234.5, "1,234/s")]
)
def test_a_rate_below_one_a_second_is_told(rate: float, words: str) -> None:
    assert words in _progress.probing(Progress("sweep", 1, 10, 1, 1, rate, 1.0, None))
