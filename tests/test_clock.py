"""Times and their lengths, said the same by every face."""

import pytest

from dnsonde.cli._progress import duration
from dnsonde.clock import LAST_US, to_the_second
from dnsonde.lang.words import words
from dnsonde.page.lake import lasted


@pytest.mark.parametrize(
    ("us", "said"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (499, "0 s"),
        (230_000, "230 ms"),
        (999_600, "1 s"),
        (3_600_000, "4 s"),
        (59_600_000, "1 min"),
        (125_000_000, "2 min 5 s"),
        (12_000_000_000, "3 h 20 min"),
        (367_200_000_000, "4 d 6 h"),
    ],
)
def test_the_terminal_and_the_page_round_alike(us: int, said: str) -> None:
    assert duration(us / 1e6) == lasted(us, words("en")) == said


def test_a_time_that_no_calendar_has_is_the_nearest_that_it_has() -> None:
    assert to_the_second(1_700_000_000_000_000) == "2023-11-14 22:13:20"
    assert to_the_second(-1) == "1970-01-01 00:00:00"
    assert to_the_second(2**63 - 1) == to_the_second(LAST_US) == "9999-12-31 23:59:59"
