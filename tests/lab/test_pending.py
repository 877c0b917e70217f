"""Open questions: what is kept of them, and that they come back as they were."""

import numpy as np

from dnsonde.lab.pending import IDS, PENDING, Pending, taken


def some_entries(count: int) -> np.ndarray:
    octets = np.random.default_rng(1).integers(0, 256, count * PENDING.itemsize, np.uint8)
    return octets.view(PENDING)


def test_records_are_taken_whole_as_numpy_takes_them() -> None:
    entries = some_entries(9)
    places = np.array([8, 0, 0, 3])
    assert taken(entries, places).tobytes() == entries[places].tobytes()
    assert taken(entries, entries["stage"] > 99).tobytes() == entries[entries["stage"] > 99].tobytes()


def test_what_is_kept_of_questions_is_found_by_their_ids_where_these_begin_again() -> None:
    pending = Pending()
    pending.open(IDS - 2, now_us=1)
    ids = pending.open(5, now_us=2)
    assert ids.tolist() == [IDS - 2, IDS - 1, 0, 1, 2]
    entries = some_entries(5)
    pending.keep(ids, entries)
    assert taken(pending.entry, ids).tobytes() == entries.tobytes()
    assert pending.forgotten == 3, "the first three were still without an answer"
