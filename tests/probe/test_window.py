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


class Held(Window):
    """A window, and the marks that replies leave."""

    def __init__(self, folder: Path, limit: int = 8) -> None:
        super().__init__(limit, Bitmap(folder, 100), Kind.SWEEP, 1)
        self._marks = Marks.clear(folder, 100)

    def replies(self, rows: np.ndarray[tuple[int], np.dtype[np.void]]) -> None:
        self._marks.take(rows, self)


def test_probes_leave_with_their_first_reply_or_when_their_time_is_up(tmp_path: Path) -> None:
    held = Held(tmp_path)
    held.sent(8)
    assert held.room == 0
    held.replies(replied(1, 2, 2, 1))
    assert held.room == 2
    held.over(np.array([1, 2, 3, 4]))
    assert held.room == 4


def test_nothing_is_sent_until_a_quarter_is_free(tmp_path: Path) -> None:
    held = Held(tmp_path)
    held.sent(8)
    held.replies(replied(1))
    assert held.room == 0


def test_replies_to_other_rounds_free_nothing(tmp_path: Path) -> None:
    held = Held(tmp_path)
    held.sent(8)
    held.replies(replied(1, 2, 3, attempt=2))
    held.replies(replied(4, 5, 6, kind=Kind.NXDOMAIN))
    assert held.room == 0
