"""Rows on their way to disk, beside the loop that sends: first the replies, then the probes that they answer.

Before either, what an authority of ours saw is. A probe becomes a row only when its time is up, or its round over, and
the replies until then are on disk. So rows are the checkpoint: a target with a row is done with, one without is asked
again, whichever process was killed, and wherever.
"""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Condition, Thread

import numpy as np
from numpy.typing import NDArray

from dnsonde.probe.match import Secret, reply_columns
from dnsonde.probe.order import Scope
from dnsonde.probe.rounds import KINDS, Asked
from dnsonde.probe.state import State, save
from dnsonde.table.schema import PROBE, REPLY
from dnsonde.table.store import Writer
from dnsonde.wire.encode import probe_text
from dnsonde.wire.name import ProbeNames
from dnsonde.wire.replied import REPLIED

SENT = np.dtype([("index", "i8"), ("time_us", "i8"), ("query_bytes", "i4"), ("errno", "i4")])

WAITING = 2  # checkpoints that may wait before `full`
CHUNK = 4096  # rows turned into columns at once: as many as stay in a processor's cache

Rows = NDArray[np.void]


class Chunks:
    """Replies (REPLIED) in memory that is used again and again: its pages are known to the system."""

    def __init__(self) -> None:
        self._free: deque[Rows] = deque()
        self._full: list[Rows] = []
        self._rows, self._used = np.zeros(CHUNK, REPLIED), 0

    def __len__(self) -> int:
        return self._used + sum(map(len, self._full))

    def room(self, count: int) -> Rows:
        """Where the next `count` rows may be written, at most CHUNK; they count once they are kept."""
        if self._used + count > CHUNK:
            self._close()
        return self._rows[self._used : self._used + count]

    def keep(self, count: int) -> None:
        """So many rows at the beginning of the last `room` are to stay."""
        self._used += count

    def take(self) -> list[Rows]:
        """All rows that were kept; to be given back when they are written."""
        if self._used:
            self._close()
        taken, self._full = self._full, []
        return taken

    def give_back(self, chunk: Rows) -> None:
        """Nobody needs this one any more."""
        assert chunk.base is not None
        self._free.append(chunk.base)

    def _close(self) -> None:
        self._full.append(self._rows[: self._used])
        self._rows, self._used = self._free.popleft() if self._free else np.zeros(CHUNK, REPLIED), 0


class Recorder:
    """Write probes and replies of one run in a thread of its own.

    keep: puts on disk what others know of these probes, or raises. `put` hands over one checkpoint; an error of the
    thread is raised by the next `put`, `check` or `close`. Nothing is written any more after an error: what is on disk
    stays a true checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        scope: Scope,
        names: ProbeNames,
        secret: Secret,
        chunks: Chunks,
        keep: Callable[[], object] | None = None,
    ) -> None:
        self._folder, self._keep = folder, keep
        self._scope, self._names, self._secret = scope, names, secret
        # A checkpoint is a part: parts are flushed, never filled up.
        self._replies = Writer(REPLY, folder, rows_per_part=1 << 40)
        self._probes = Writer(PROBE, folder, rows_per_part=1 << 40)
        self._chunks = chunks
        self._waiting: deque[tuple[Asked, list[Rows], list[Rows], State]] = deque()
        self._changed = Condition()
        self._failure: BaseException | None = None
        self._closing = False
        self._thread = Thread(target=self._work, name="record", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """As much waits as may: send nothing new."""
        return len(self._waiting) >= WAITING

    @property
    def idle(self) -> bool:
        """Everything that was handed over is on disk (or failed, see `check`)."""
        return not self._waiting or self._failure is not None

    def put(self, asked: Asked, probes: list[Rows], replies: list[Rows], state: State) -> None:
        """Hand over settled probes (SENT) of one round, the replies received until now (Chunks), the state then."""
        self.check()
        with self._changed:
            self._waiting.append((asked, probes, replies, state))
            self._changed.notify_all()

    def check(self) -> None:
        """Raise what the thread ran into."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Write what waits and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self.check()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                job = self._waiting[0]
            try:
                self._write(*job)
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread, whatever it is
                self._failure = error
                return
            with self._changed:
                self._waiting.popleft()

    def _write(self, asked: Asked, probes: list[Rows], replies: list[Rows], state: State) -> None:
        if self._keep is not None:
            self._keep()  # before the replies, too: a late one is to a probe that has its row
        for chunk in replies:
            sorts = chunk["outcome"].astype(np.uint16) << np.uint16(8) | chunk["kind"]
            if (sorts == sorts[0]).all():
                self._replies.append(reply_columns(chunk))
            else:
                for sort in np.unique(sorts):
                    self._replies.append(reply_columns(chunk[sorts == sort]))
            self._chunks.give_back(chunk)
        self._replies.flush()
        octets = [part.view(np.uint8) for part in probes]  # NumPy copies records a field at a time
        settled = np.concatenate([np.zeros(0, np.uint8), *octets]).view(SENT)
        for start in range(0, len(settled), CHUNK):
            self._probes.append(self._columns(asked, settled[start : start + CHUNK]))
        self._probes.flush()
        save(self._folder, state)

    def _columns(self, asked: Asked, probes: Rows) -> dict[str, object]:
        targets = self._scope.at(np.ascontiguousarray(probes["index"]))
        key, run = self._secret.key, self._secret.run
        columns: dict[str, object] = {
            "target_net": targets["net"],
            "target_host": targets["host"],
            "kind": KINDS[asked.kind],
            "attempt": asked.attempt,
            "time_us": probes["time_us"],
            "qtype": asked.qtype,
            "query_bytes": probes["query_bytes"],
            "errno": probes["errno"],
        }
        if asked.known:
            return columns | {"qname": asked.known}
        names, tags = probe_text(self._names, targets, asked.attempt, asked.kind, asked.step, key, run)
        return columns | {"qname": names, "tag": tags}
