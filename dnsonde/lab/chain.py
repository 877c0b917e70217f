"""Following aliases: the authority gives one CNAME a question, a resolver asks on and tells the whole chain.

Pure numpy on rows. What was found so far is kept as the records themselves (`partial`), their owner names
written as pointers to the previous record's target, so that they can be put into the response as they are.
"""

import numpy as np
from numpy.typing import NDArray

from dnsonde.lab.pending import PARTIAL_MAX
from dnsonde.lab.rewrite import get16, put16
from dnsonde.wire.codes import Type

Rows = NDArray[np.uint8]
Ints = NDArray[np.integer]

_POINTER = 0xC0
_RR = 12  # octets of a record before its rdata, its owner a pointer


def is_alias(answers: Rows, length: Ints, end: Ints) -> NDArray[np.bool_]:
    """Which answers are NOERROR with one CNAME of the asked name and nothing else."""
    alias: NDArray[np.bool_] = (get16(answers, 6) == 1) & ((answers[:, 3] & 0x0F) == 0)
    alias &= length >= end + _RR
    some = np.flatnonzero(alias)
    if len(some):
        head = _gather(answers[some], end[some, None] + np.arange(4))
        alias[some] = (head == np.array([_POINTER, 12, 0, Type.CNAME], np.uint8)).all(axis=1)
    return alias


def targets(answers: Rows, end: Ints) -> tuple[Rows, NDArray[np.int64], NDArray[np.int64]]:
    """The questions for the aliases' targets: rows with the question at octet 12, their ends, and rdata octets."""
    ends = end.astype(np.int64)
    octets = _number(answers, ends + 10)
    tail = _number(answers, ends + _RR + octets - 2)
    pointed = tail >= _POINTER << 8
    labels = np.where(pointed, octets - 2, octets)  # octets of the name that the rdata spells itself
    suffix = np.where(pointed, tail & 0x3FFF, ends - 4)  # the rest of it lies in the question
    new_end: NDArray[np.int64] = 12 + labels + (ends - 4 - suffix) + 4
    column = np.arange(int(new_end.max()))
    spelled = column < 12 + labels[:, None]
    source = np.where(
        spelled, ends[:, None] + _RR + column - 12, suffix[:, None] + column - 12 - labels[:, None]
    )
    rows = _gather(answers, source)
    # Type and class follow the name in both questions, so the suffix brings them along.
    return rows, new_end, octets


def collect(
    partial: Rows, partial_length: Ints, owner: Ints, answers: Rows, end: Ints, octets: Ints, first_end: Ints
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Append each alias record to its row of `partial`.

    Returns the new lengths, the pointers to the new targets, and which rows had room. `first_end` is where the
    question of the client's request ends: the records will follow it.
    """
    size = _RR + octets
    fits = (partial_length + size <= PARTIAL_MAX) & (end == first_end)
    where = np.flatnonzero(fits)
    new_length = partial_length.astype(np.int64) + size
    pointer = (_POINTER << 8) | (first_end.astype(np.int64) + partial_length + _RR)
    if len(where) == 0:
        return new_length, pointer, fits
    column = np.arange(int(size[where].max()))
    piece = _gather(answers[where], end[where][:, None] + column)
    put16(piece, 0, owner[where])
    place = partial_length[where][:, None].astype(np.int64) + column
    inside = (column < size[where][:, None]) & (place < PARTIAL_MAX)
    row, at = np.nonzero(inside)
    partial[where[row], place[row, at]] = piece[row, at]
    return new_length, pointer, fits


def join(
    answers: Rows, length: Ints, end: Ints, partial: Rows, partial_length: Ints, count: Ints, owner: Ints
) -> tuple[Rows, NDArray[np.int64]]:
    """The answers to the last questions with the aliases before them, and their lengths.

    The records that own the last question's name own the last alias's target now.
    """
    end, partial_length = end.astype(np.int64), partial_length.astype(np.int64)
    total = length + partial_length
    column = np.arange(int(total.max()))
    before = column < end[:, None]
    within = ~before & (column < (end + partial_length)[:, None])
    late = column - partial_length[:, None]
    rows = np.where(before, _gather(answers, np.broadcast_to(column, before.shape)), _gather(answers, late))
    rows = np.where(within, _gather(partial, column - end[:, None]), rows)
    records = get16(rows, 6).astype(np.int64)
    at = end + partial_length
    for k in range(int(records.max())):
        here = (k < records) & (at + _RR <= total)
        mine = np.flatnonzero(here & (_number(rows, at) == (_POINTER << 8 | 12)))
        rows[mine, at[mine]] = owner[mine] >> 8
        rows[mine, at[mine] + 1] = owner[mine] & 0xFF
        at = np.where(here, at + _RR + _number(rows, at + 10), at)
    put16(rows, 6, records + count)
    return rows, total


def _gather(rows: Rows, column: NDArray[np.integer]) -> Rows:
    """Octets at columns of each row; those outside are the nearest inside."""
    return np.take_along_axis(rows, np.clip(column, 0, rows.shape[1] - 1).astype(np.int64), axis=1)


def _number(rows: Rows, at: NDArray[np.int64]) -> NDArray[np.int64]:
    pair = _gather(rows, at[:, None] + np.arange(2)).astype(np.int64)
    return pair[:, 0] << 8 | pair[:, 1]
