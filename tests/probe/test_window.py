"""The limit on probes under way."""

from pathlib import Path

import numpy as np

from dnsonde.probe._bitmap import Bitmap
from dnsonde.probe._recover import Marks
from dnsonde.probe._window import Window
from dnsonde.wire.name import Kind
from dnsonde.wire.replied import REPLIED


def replied(
    *index: int, kind: int = Kind.SWEEP, attempt: int = 1
) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    rows = np.zeros(len(index), REPLIED)
    rows["index"], rows["kind"], rows["attempt"] = index, kind, attempt
    return rows


TIMEOUT_US = 1000


class Held(Window):
    """A window of 8, and the marks that replies leave."""

    def __init__(self, folder: Path) -> None:
        super().__init__(8, TIMEOUT_US)
        self.begin(Bitmap(folder, 100), Kind.SWEEP, 1)
        self._marks = Marks.clear(folder, 100, 1)

    def replies(self, rows: np.ndarray[tuple[int], np.dtype[np.void]]) -> None:
        self._marks.take(rows, self)


def test_probes_leave_with_their_first_reply_or_when_their_time_is_up(tmp_path: Path) -> None:
    held = Held(tmp_path)
    held.sent(np.arange(4), 0)
    held.sent(np.arange(4, 8), 500)
    assert held.room == 0
    held.replies(replied(1, 2, 2, 1))
    assert held.room == 2
    held.expire(TIMEOUT_US - 1)
    assert held.room == 2
    held.expire(TIMEOUT_US)
    assert held.room == 4
    held.replies(replied(1, 4))
    held.expire(TIMEOUT_US + 500)
    assert held.room == 8


def test_nothing_is_sent_until_a_quarter_is_free(tmp_path: Path) -> None:
    held = Held(tmp_path)
    held.sent(np.arange(8), 0)
    held.replies(replied(1))
    assert held.room == 0


def test_replies_to_other_rounds_free_nothing(tmp_path: Path) -> None:
    held = Held(tmp_path)
    held.sent(np.arange(8), 0)
    held.replies(replied(1, 2, 3, attempt=2))
    held.replies(replied(4, 5, 6, kind=Kind.NXDOMAIN))
    assert held.room == 0


def test_what_is_under_way_takes_room_in_the_next_round(tmp_path: Path) -> None:
    held = Held(tmp_path)
    held.sent(np.arange(6), 0)
    held.replies(replied(1, 2))
    held.begin(Bitmap(tmp_path, 100), Kind.NXDOMAIN, 1)
    assert held.room == 4
    held.sent(np.arange(2), 10)
    held.replies(replied(0, 1, kind=Kind.NXDOMAIN))
    assert held.room == 4
    held.expire(TIMEOUT_US)
    assert held.room == 8
