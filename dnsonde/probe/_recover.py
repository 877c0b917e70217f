"""What a run has done already, read back from its rows: the only checkpoint there is."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dnsonde.errors import RunError
from dnsonde.probe._bitmap import Bitmap
from dnsonde.probe._window import Window
from dnsonde.probe.order import Scope
from dnsonde.probe.rounds import KINDS
from dnsonde.table.schema import PROBE, REPLY, Table
from dnsonde.table.store import keep_rows
from dnsonde.wire.batch import ADDRESS
from dnsonde.wire.replied import NO_KIND, REPLIED, Fresh, Outcome, learn

ROWS = 65_536

_REPLY_COLUMNS = {
    "rcode": "rcode",
    "flags": "flags",
    "answers": "answers",
    "control": "control",
    "icmp_type": "icmp_type",
    "icmp_code": "icmp_code",
    "attempt": "attempt",
}


@dataclass(slots=True)
class Marks:
    """One bit a target each.

    answered: the sweep is over for it; recursive: it is proven; plain: ask it without EDNS; done: it was asked in the
    round that is on, before this process began. attempts: of the sweep. refused: how many of `answered` are there only
    because the system would not let us ask them.
    """

    answered: Bitmap
    recursive: Bitmap
    plain: Bitmap
    done: Bitmap
    attempts: int
    refused: int = 0

    @classmethod
    def clear(cls, folder: Path, size: int, attempts: int) -> "Marks":
        """Nothing is known of anybody."""
        answered, recursive, plain, done = (Bitmap(folder, size) for _ in range(4))
        return cls(answered, recursive, plain, done, attempts)

    def refuse(self, index: NDArray[np.int64]) -> None:
        """The system will not let these be asked."""
        self.refused += self.answered.set(index)

    def take(self, rows: NDArray[np.void], window: Window | None = None) -> Fresh:
        """Learn from replies (REPLIED), and let those leave the window that were under way."""
        bits = self.answered.bits, self.recursive.bits, self.plain.bits
        if window is None:
            fresh = learn(rows, *bits, last=self.attempts)
        else:
            fresh = learn(rows, *bits, window.heard.bits, window.kind, window.attempt, last=self.attempts)
            window.answered(fresh.heard)
        self.answered.count += fresh.answered
        self.recursive.count += fresh.recursive
        self.plain.count += fresh.plain
        return fresh


def recover(folder: Path, scope: Scope, marks: Marks, *, kind: int, attempt: int) -> dict[str, int]:
    """Fill `marks` from the parts in `folder`; `kind` and `attempt`: the round that is on.

    A reply whose probe has no row is of those under way when a process was killed. Its target is asked again, and may
    then say something else, as a forwarder with several egresses does: the first reply goes, lest it look injected.

    Returns how many rows there are of probes (`sent`, and `errors` that could not be) and replies (`answered`, `icmp`).
    """
    counts = dict.fromkeys(("sent", "errors", "answered", "icmp"), 0)
    for part in _parts(folder, PROBE):
        for batch in _batches(part, ["target_net", "target_host", "kind", "attempt", "errno"]):
            index = scope.index(_targets(batch))
            mine = _equal(batch["kind"], KINDS[kind]) & (batch["attempt"].to_numpy() == attempt)
            marks.done.set(index[mine & (index >= 0)])
            refused = batch["errno"].to_numpy() != 0
            marks.refuse(index[refused & (index >= 0)])
            counts["errors"] += int(refused.sum())
            counts["sent"] += int((~refused).sum())
    for part in _parts(folder, REPLY):
        kept = [np.zeros(0, np.bool_)]
        for batch in _batches(part, ["outcome", "kind", "target_net", "target_host", *_REPLY_COLUMNS]):
            rows = _replies(batch, scope)
            known = rows["index"] >= 0
            lost = known & (rows["kind"] == kind) & (rows["attempt"] == attempt)
            lost[lost] = ~marks.done.get(rows["index"][lost])
            marks.take(rows[known & ~lost])
            # An error, which says nothing that differs, may be about an earlier round's probe.
            gone = lost & (rows["outcome"] == Outcome.ANSWERED)
            kept.append(~gone)
            for outcome in (Outcome.ANSWERED, Outcome.ICMP):
                counts[outcome.name.lower()] += int(np.count_nonzero(rows["outcome"][~gone] == outcome))
        keep_rows(REPLY, part, np.concatenate(kept))
    return counts


def _replies(batch: pa.RecordBatch, scope: Scope) -> NDArray[np.void]:
    rows = np.zeros(len(batch), REPLIED)
    rows["target"] = _targets(batch)
    rows["index"] = scope.index(np.ascontiguousarray(rows["target"]))
    rows["outcome"], rows["kind"] = Outcome.MISMATCHED, NO_KIND
    for outcome in (Outcome.ANSWERED, Outcome.ICMP):
        rows["outcome"][_equal(batch["outcome"], outcome.name.lower())] = outcome
    for number, name in enumerate(KINDS):
        rows["kind"][_equal(batch["kind"], name)] = number
    for name in _REPLY_COLUMNS:
        rows[name] = batch[name].fill_null(False if pa.types.is_boolean(batch[name].type) else 0)
    return rows


def _parts(folder: Path, table: Table) -> list[Path]:
    return sorted((folder / table.name).glob("part-*.parquet"))


def _batches(part: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(part) as file:
            yield from file.iter_batches(ROWS, columns=columns)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise RunError(
            f"{part} cannot be read: the run cannot continue; restore it, or start again in another folder"
        ) from error


def _targets(batch: pa.RecordBatch) -> NDArray[np.void]:
    out = np.zeros(len(batch), ADDRESS)
    for half in ("net", "host"):
        out[half] = batch[f"target_{half}"].fill_null(0).to_numpy()
    return out


def _equal(column: pa.Array, text: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.fill_null(pc.equal(column, text), False).to_numpy(zero_copy_only=False)
    return found
