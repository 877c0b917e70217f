"""What resolving hosts do to messages, for rows of octets: ask in their own way, and pass answers on.

Pure numpy on buffers (n, width); lengths and positions are octets from the start of each row. A request is what
the client sent, a query what the host asks the authority, an answer what came back, a response what the client gets.
"""

import numpy as np
from numpy.typing import NDArray

from dnsonde.lab.behavior import Trait
from dnsonde.wire.codes import EdnsOption, Flag, Type

Rows = NDArray[np.uint8]
Ints = NDArray[np.integer]

HEADER = 12
OPT = 11  # octets of an OPT record without options (RFC 6891, 6.1.2)
_PLAIN_SIZE = 1232
_LARGE_SIZE = 4096
_QUERY_COUNTS = np.array([0, 1, 0, 0, 0, 0, 0, 0], np.uint8)
_ECS = 11  # octets of an ECS option with a /24 (RFC 7871, 6)


def get16(rows: Rows, at: int) -> NDArray[np.uint16]:
    """The 16-bit number at one position of each row."""
    return (rows[:, at].astype(np.uint16) << np.uint16(8)) | rows[:, at + 1]


def put16(rows: Rows, at: int, value: Ints) -> None:
    """Write 16-bit numbers at one position of each row."""
    rows[:, at] = value >> 8
    rows[:, at + 1] = value & 0xFF


def put(rows: Rows, at: Ints, piece: Rows) -> None:
    """Write `piece` (n, k) into each row from its own position on."""
    if len(at) == 0:
        return
    low, width = int(at[0]), piece.shape[1]
    if (at == low).all():
        rows[: len(at), low : low + width] = piece
    else:
        rows[np.arange(len(at))[:, None], at[:, None] + np.arange(width)] = piece


def copy_questions(out: Rows, source: Rows, end: Ints) -> None:
    """Copy the octets 12 up to `end` of each row."""
    low, high = int(end.min()), int(end.max())
    out[: len(end), HEADER:low] = source[:, HEADER:low]
    if high > low:
        inside = np.arange(low, high) < end[:, None]
        np.copyto(out[: len(end), low:high], source[:, low:high], where=inside)


def same_questions(rows: Rows, other: Rows, end: Ints) -> NDArray[np.bool_]:
    """Whether the octets 12 up to `end` are equal, row by row; both must be as wide as the greatest end."""
    low, high = int(end.min()), int(end.max())
    same: NDArray[np.bool_] = (rows[:, HEADER:low] == other[:, HEADER:low]).all(axis=1)
    if high > low:
        beyond = np.arange(low, high) >= end[:, None]
        same &= ((rows[:, low:high] == other[:, low:high]) | beyond).all(axis=1)
    return same


def queries(
    out: Rows, questions: Rows, end: Ints, ids: Ints, traits: Ints, client: Ints, noise: NDArray[np.uint64]
) -> NDArray[np.int32]:
    """Write the hosts' own queries into `out`; returns their lengths.

    questions: rows with the question at octet 12, which ends at `end`; client: IPv4 addresses, for ECS;
    noise: 64 random bits a row, for 0x20. RD is clear: an authority is asked.
    """
    n = len(end)
    copy_questions(out, questions, end)
    put16(out[:n], 0, ids)
    out[:n, 2:4] = 0
    out[:n, 4:12] = _QUERY_COUNTS
    mixed = np.flatnonzero(traits & Trait.MIXED_CASE)
    if len(mixed):
        out[mixed] = mix_case(out[mixed], end[mixed], noise[mixed])
    length = end.astype(np.int32)
    edns = np.flatnonzero(traits & Trait.EDNS)
    if len(edns):
        out[edns, 11] = 1
        size = np.where(traits[edns] & Trait.EDNS_LARGE, _LARGE_SIZE, _PLAIN_SIZE)
        ecs = (traits[edns] & Trait.ECS) != 0
        piece = _opt(size)
        if len(edns) == n:
            put(out[:n], end, piece)
        else:
            rows = out[edns]
            put(rows, end[edns], piece)
            out[edns] = rows
        length[edns] += OPT
        if ecs.any():
            some = edns[ecs]
            rows = out[some]
            put(rows, end[some] + OPT, _ecs(client[some]))
            put(rows, end[some] + OPT - 2, np.tile(np.array([0, _ECS], np.uint8), (len(some), 1)))
            out[some] = rows
            length[some] += _ECS
    return length


def mix_case(rows: Rows, end: Ints, noise: NDArray[np.uint64]) -> Rows:
    """The rows with the case of each letter of the name drawn anew (draft-vixie-dnsext-dns0x20)."""
    rows = rows.copy()
    high = int(end.max()) - 4
    name = rows[:, HEADER:high]
    upper = name & 0xDF
    # A label's length is below 64, so no length octet passes for a letter.
    letter = (upper >= ord("A")) & (upper <= ord("Z")) & (np.arange(HEADER, high) < end[:, None] - 4)
    place = np.arange(high - HEADER, dtype=np.uint64) & np.uint64(63)
    flip = ((noise[:, None] >> place) & np.uint64(1)).astype(np.bool_) & letter
    name ^= np.where(flip, np.uint8(0x20), np.uint8(0))
    return rows


def minimised(requests: Rows, end: Ints) -> tuple[Rows, NDArray[np.int64]]:
    """The questions without their first label, asked for A (RFC 9156, 2.1), and where they end."""
    cut = requests[:, HEADER].astype(np.int64) + 1
    width = int(end.max())
    source = np.minimum(np.arange(HEADER, width) + cut[:, None], width - 1)
    out = requests[:, :width].copy()
    out[:, HEADER:] = np.take_along_axis(requests[:, :width], source, axis=1)
    shorter = end - cut
    put(out, shorter - 4, np.tile(np.array([0, Type.A, 0, 1], np.uint8), (len(end), 1)))
    return out, shorter


def responses(
    out: Rows,
    answers: Rows,
    length: Ints,
    requests: Rows,
    end: Ints,
    *,
    edns_size: Ints,
    ra: NDArray[np.bool_],
) -> NDArray[np.int32]:
    """Write what the clients get of these answers into `out`; returns the lengths.

    Id, question (in its own case), RD and CD are the request's, AA is cleared, RA set where `ra`. An OPT that
    the client did not ask for is left out (RFC 6891, 7); what exceeds `edns_size` (0: none, 512 octets) is
    truncated (RFC 2181, 9). `edns_size` must be less than the rows are wide.
    """
    n, width = len(end), min(answers.shape[1], out.shape[1])
    out[:n, :width] = answers[:, :width]
    copy_questions(out, requests, end)
    out[:n, 0:2] = requests[:, 0:2]
    out[:n, 2] = 0x80 | (answers[:, 2] & (Flag.TC >> 8)) | (requests[:, 2] & (Flag.RD >> 8))
    out[:n, 3] = np.where(ra, Flag.RA, 0) | (requests[:, 3] & Flag.CD) | (answers[:, 3] & 0x0F)
    told = np.minimum(length, out.shape[1]).astype(np.int32)
    opt = has_plain_opt(out[:n], told)
    strip = opt & (edns_size == 0)
    if strip.any():
        told[strip] -= OPT
        put16(out[:n], 10, get16(out[:n], 10) - strip)
    over = np.flatnonzero(told > np.maximum(edns_size, 512))
    if len(over):
        _truncate(out, told, over, end, opt & ~strip)
    return told


def has_plain_opt(rows: Rows, length: Ints) -> NDArray[np.bool_]:
    """Whether a message ends in an OPT record without options."""
    start = np.maximum(length - OPT, 0)
    tail = rows[np.arange(len(length))[:, None], start[:, None] + np.array([0, 1, 2, 9, 10])]
    plain: NDArray[np.bool_] = (tail == np.array([0, 0, Type.OPT, 0, 0], np.uint8)).all(axis=1)
    return plain & (get16(rows, 10) > 0) & (length >= HEADER + OPT)


def first_address(answers: Rows, length: Ints, end: Ints) -> NDArray[np.int64]:
    """The address in the first record when it is an A record of the asked name, else 0."""
    place = end.astype(np.int64)[:, None] + np.arange(16)
    record = np.take_along_axis(answers, np.minimum(place, answers.shape[1] - 1), axis=1).astype(np.int64)
    is_a = (record[:, 2] == 0) & (record[:, 3] == Type.A) & (length >= end + 16) & (get16(answers, 6) > 0)
    value = record[:, 12] << 24 | record[:, 13] << 16 | record[:, 14] << 8 | record[:, 15]
    return np.where(is_a, value, 0)


def _truncate(out: Rows, length: NDArray[np.int32], over: Ints, end: Ints, opt: NDArray[np.bool_]) -> None:
    rows = out[over]
    keep = opt[over]
    tail = np.take_along_axis(rows, (length[over] - OPT)[:, None].astype(np.int64) + np.arange(OPT), axis=1)
    put(rows, end[over], tail)
    rows[:, 2] |= Flag.TC >> 8
    rows[:, 6:12] = 0
    rows[:, 11] = keep
    out[over] = rows
    length[over] = end[over] + np.where(keep, OPT, 0)


def _opt(size: Ints) -> Rows:
    piece = np.zeros((len(size), OPT), np.uint8)
    piece[:, 2] = Type.OPT
    put16(piece, 3, size)
    return piece


def _ecs(client: Ints) -> Rows:
    piece = np.zeros((len(client), _ECS), np.uint8)
    piece[:, :8] = [0, EdnsOption.ECS, 0, _ECS - 4, 0, 1, 24, 0]
    for k in range(3):
        piece[:, 8 + k] = (client >> (24 - 8 * k)) & 0xFF
    return piece
