"""What caching resolvers remember: a table of fixed size for all of them together, one answer a place.

A resolver forgets when another answer needs its place, or when the least TTL (here: a constant of the lab) is
over. Names of probes are unique, so a cache shows only where a question comes twice.
"""

import numpy as np
from numpy.typing import NDArray

from dnsonde.lab.behavior import U64, mix
from dnsonde.wire.batch import Batch
from dnsonde.wire.codes import Type
from dnsonde.wire.decode import decode_messages, decode_records

PLACES = 1 << 14
OCTETS_MAX = 512
LIFE_US = 10_000_000

Rows = NDArray[np.uint8]


class Cache:
    """Answers by (resolver, question in lower case)."""

    def __init__(self) -> None:
        self._key = np.zeros(PLACES, np.uint64)
        self._kept_us = np.zeros(PLACES, np.int64)
        self._length = np.zeros(PLACES, np.int32)
        self._answer = np.empty((PLACES, OCTETS_MAX), np.uint8)

    def keep(
        self,
        identity: NDArray[np.uint32],
        requests: Rows,
        end: NDArray[np.integer],
        answers: Rows,
        length: NDArray[np.int32],
        now_us: int,
    ) -> None:
        """Remember answers without error or with NXDOMAIN (RFC 2308, 5), not truncated, of up to `OCTETS_MAX`."""
        rcode = answers[:, 3] & 0x0F
        fit = np.flatnonzero(
            (length <= OCTETS_MAX) & ((rcode == 0) | (rcode == 3)) & ((answers[:, 2] & 2) == 0)
        )
        if len(fit) == 0:
            return
        key = _keys(identity[fit], requests[fit], end[fit])
        place = (key & np.uint64(PLACES - 1)).astype(np.int64)
        width = min(int(length[fit].max()), OCTETS_MAX)
        self._key[place], self._kept_us[place], self._length[place] = key, now_us, length[fit]
        self._answer[place, :width] = answers[fit, :width]

    def find(
        self, identity: NDArray[np.uint32], requests: Rows, end: NDArray[np.integer], now_us: int
    ) -> tuple[NDArray[np.int64], Rows, NDArray[np.int32]]:
        """Which rows are known, and their answers with TTLs grown old: (rows, answers, lengths)."""
        key = _keys(identity, requests, end)
        place = (key & np.uint64(PLACES - 1)).astype(np.int64)
        fresh = (self._key[place] == key) & (now_us - self._kept_us[place] < LIFE_US)
        hit = np.flatnonzero(fresh)
        place = place[hit]
        answers, length = self._answer[place], self._length[place]
        if len(hit):
            _age(answers, length, (now_us - self._kept_us[place]) // 1_000_000)
        return hit, answers, length


def _keys(identity: NDArray[np.uint32], requests: Rows, end: NDArray[np.integer]) -> U64:
    """64 bits of each resolver and question, letters in lower case."""
    width = -(-int(end.max()) // 8) * 8
    octets = requests[:, 12 : 12 + width].copy()
    octets |= np.where((octets >= ord("A")) & (octets <= ord("Z")), np.uint8(0x20), np.uint8(0))
    octets[np.arange(octets.shape[1]) >= end[:, None] - 12] = 0
    words = octets[:, : octets.shape[1] // 8 * 8].copy().view(np.uint64)
    key = mix(identity.astype(np.uint64) + np.uint64(1))
    for k in range(words.shape[1]):
        key = mix(key ^ words[:, k])
    return key


def _age(answers: Rows, length: NDArray[np.int32], seconds: NDArray[np.int64]) -> None:
    """Take the time that has passed from every TTL, in place."""
    batch = Batch.rows(answers, length)
    records = decode_records(batch, decode_messages(batch))
    records = records[records["type"] != Type.OPT]
    row, at = records["message"], records["rdata_start"].astype(np.int64) - 6
    left = np.maximum(records["ttl"].astype(np.int64) - seconds[row], 0)
    for k in range(4):
        answers[row, at + k] = (left >> (24 - 8 * k)) & 0xFF
