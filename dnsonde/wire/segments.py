"""What travels in several packets: IP fragments (RFC 791, 3.2; RFC 8200, 4.5) and DNS over TCP (RFC 7766).

Both keep what is unfinished, bounded in octets and in age; nothing is kept for longer than its input lasts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnsonde.wire._arrays import frozen
from dnsonde.wire._kernels import packet_stream as kernel
from dnsonde.wire._keys import KEYS
from dnsonde.wire.batch import Batch
from dnsonde.wire.packet import PACKET
from dnsonde.wire.text import gather

AGE_US = (
    30_000_000  # fragments wait this long (RFC 791 suggests 15 s, RFC 8200 60 s), and a stream with a hole
)
MOST_FRAGMENTS = 1 << 16
MOST_OCTETS = 1 << 26
CONNECTIONS = 1 << 16

CONNECTION = np.dtype(
    [
        ("src_net", "i8"),
        ("src_host", "i8"),
        ("dst_net", "i8"),
        ("dst_host", "i8"),
        ("last_us", "i8"),
        ("ident", "i8"),  # number of the connection, 0: free
        ("base", "i8"),  # sequence number of the stream's first octet
        ("next", "i8"),  # octets of the stream that are done with
        ("src_port", "u2"),
        ("dst_port", "u2"),
        ("closed", "u1"),  # a new connection of the same addresses and ports has begun
        ("synced", "u1"),  # a message begins at `next`, for sure
    ],
    align=True,
)


@dataclass(slots=True)
class Packets:
    """Packets of a file, with what is known of each: all arrays have one row a packet."""

    batch: Batch
    row: NDArray[np.void]  # PACKET
    time_us: NDArray[np.int64]
    number: NDArray[np.int64]  # in the file, from 1

    def __len__(self) -> int:
        return len(self.row)

    def take(self, which: NDArray[Any]) -> "Packets":
        """Some of them, by index or mask; the octets are shared."""
        batch = Batch(self.batch.data, self.batch.offset[which], self.batch.length[which])
        return Packets(batch, self.row[which], self.time_us[which], self.number[which])

    def where(self, mask: NDArray[np.bool_]) -> "Packets":
        """Those of the mask; themselves, and no copy, when it is all of them."""
        which = np.flatnonzero(mask)
        return self if len(which) == len(self) else self.take(which)

    def copy(self) -> "Packets":
        """The same with the octets in a buffer of their own, which holds nothing else."""
        return Packets(_own(self.batch), self.row, self.time_us, self.number)

    @classmethod
    def none(cls) -> "Packets":
        """No packets."""
        return cls(Batch.of([]), np.zeros(0, PACKET), np.zeros(0, np.int64), np.zeros(0, np.int64))

    @classmethod
    def join(cls, one: "Packets", two: "Packets") -> "Packets":
        """Both in one buffer."""
        if not len(one):
            return two
        if not len(two):
            return one
        first, second = _own(one.batch), _own(two.batch)
        batch = Batch(
            np.concatenate([first.data, second.data]),
            np.concatenate([first.offset, second.offset + len(first.data)]),
            np.concatenate([first.length, second.length]),
        )
        return cls(
            batch,
            np.concatenate([one.row, two.row]),
            np.concatenate([one.time_us, two.time_us]),
            np.concatenate([one.number, two.number]),
        )


def _own(batch: Batch) -> Batch:
    """The same byte strings one behind the other in a buffer of their own."""
    offset = np.zeros(len(batch), np.int64)
    np.cumsum(batch.length[:-1], out=offset[1:])
    return Batch(gather(batch.data, batch.offset, batch.length), offset, batch.length)


class Fragments:
    """Puts datagrams together. Fragments that overlap refuse the whole datagram (RFC 5722).

    overlapping, unfinished: fragments that came to nothing, so far.
    """

    def __init__(self) -> None:
        self._waiting = Packets.none()
        self.overlapping = 0
        self.unfinished = 0

    def add(self, fragments: Packets) -> tuple[Batch, NDArray[np.int64], NDArray[np.int64]]:
        """Whole datagrams as raw IP packets, with the time and the number of the last fragment of each."""
        if not len(fragments) and not len(self._waiting):
            return Batch.of([]), np.zeros(0, np.int64), np.zeros(0, np.int64)
        if len(fragments) and len(self._waiting):
            self._forget(self._waiting.time_us >= int(fragments.time_us.min()) - AGE_US)
        have = Packets.join(self._waiting, fragments)
        order, group = _datagrams(have.row)
        have = have.take(order)
        first = np.flatnonzero(np.diff(group, prepend=-1))
        count = np.diff(np.append(first, len(group)))
        row = have.row
        begin = row["fragment_offset"].astype(np.int64)
        end = begin + row["body_length"]
        joins = np.ones(len(row), bool)
        joins[1:] = begin[1:] == end[:-1]
        joins[first] = begin[first] == 0
        overlaps = np.zeros(len(row), bool)
        overlaps[1:] = begin[1:] < end[:-1]
        overlaps[first] = False
        last = first + count - 1
        more = row["more"].astype(bool)
        more[last] = ~more[last]
        whole = np.logical_and.reduceat(joins & more, first)
        bad = np.logical_or.reduceat(overlaps, first)
        self.overlapping += int(count[bad].sum())
        taken = np.repeat(whole, count)
        self._waiting = have.take(~taken & ~np.repeat(bad, count)).copy()
        self._bound()
        return self._join(have.take(taken), count[whole])

    def finish(self) -> None:
        """Give up what waits."""
        self._forget(np.zeros(len(self._waiting), bool))

    def _forget(self, keep: NDArray[np.bool_]) -> None:
        self.unfinished += int((~keep).sum())
        self._waiting = self._waiting.take(keep)

    def _bound(self) -> None:
        """Let the oldest go where there are too many."""
        if len(self._waiting) <= MOST_FRAGMENTS and len(self._waiting.batch.data) <= MOST_OCTETS:
            return
        newest = np.argsort(self._waiting.number, kind="stable")[::-1]
        size = np.cumsum(self._waiting.batch.length[newest].astype(np.int64))
        keep = np.zeros(len(newest), bool)
        keep[newest[(size <= MOST_OCTETS // 2) & (np.arange(len(newest)) < MOST_FRAGMENTS // 2)]] = True
        self._forget(keep)

    def _join(
        self, parts: Packets, count: NDArray[np.int64]
    ) -> tuple[Batch, NDArray[np.int64], NDArray[np.int64]]:
        if not len(parts):
            return Batch.of([]), np.zeros(0, np.int64), np.zeros(0, np.int64)
        first = np.cumsum(count) - count
        length = parts.row["body_length"].astype(np.int32)
        size = np.add.reduceat(length.astype(np.int64), first)
        head, head_length = _headers(parts.row[first], size)
        # Slices in order: a header, then its fragments, for each datagram.
        at = np.arange(len(length)) + np.repeat(np.arange(len(count)), count) + 1
        start = np.empty(len(length) + len(count), np.int64)
        octets = np.empty(len(start), np.int32)
        start[at] = parts.batch.offset + parts.row["body_start"] + head.size
        octets[at] = length
        heads = first + np.arange(len(count))
        start[heads] = np.arange(len(count)) * head.shape[1]
        octets[heads] = head_length
        data = gather(np.concatenate([head.reshape(-1), parts.batch.data]), start, octets)
        total = (size + head_length).astype(np.int32)
        batch = Batch(data, np.cumsum(total, dtype=np.int64) - total, total)
        return batch, np.maximum.reduceat(parts.time_us, first), np.maximum.reduceat(parts.number, first)


def _datagrams(row: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(order, group): rows sorted so that each datagram's fragments stand together by offset, and its number.

    The second fragment of one key with one offset belongs to the second datagram of that key, and so on:
    identifications come again.
    """
    keys = [row[name] for name in ("src_net", "src_host", "dst_net", "dst_host", "ip_id", "protocol")]
    order = np.lexsort([row["fragment_offset"], *keys])  # stable: equal ones stay in order of arrival
    same = np.ones(len(row), bool)
    same[:1] = False
    for key in keys:
        same[1:] &= key[order][1:] == key[order][:-1]
    key_number = np.cumsum(~same)
    offset = row["fragment_offset"][order]
    again = same.copy()
    again[1:] &= offset[1:] == offset[:-1]
    run = np.arange(len(row))
    turn = run - np.maximum.accumulate(np.where(again, 0, run))
    inner = np.lexsort([offset, turn, key_number])
    group = np.cumsum(
        np.diff(key_number[inner], prepend=-1).astype(bool) | np.diff(turn[inner], prepend=-1).astype(bool)
    )
    return order[inner], group


def _headers(row: NDArray[np.void], size: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """IP headers (n, 40) for whole payloads of these sizes, the first 20 octets of each IPv4 one used."""
    head = np.zeros((len(row), 40), np.uint8)
    four = row["ip_version"] == 4
    head[:, 0] = np.where(four, 0x45, 0x60)
    stated = (np.where(four, size + 20, size) & 0xFFFF).astype(">u2")
    head[four, 2:4] = stated[four].view(np.uint8).reshape(-1, 2)
    head[~four, 4:6] = stated[~four].view(np.uint8).reshape(-1, 2)
    head[four, 4:6] = row["ip_id"][four].astype(">u2").view(np.uint8).reshape(-1, 2)
    head[four, 8], head[four, 9] = row["ip_ttl"][four], row["protocol"][four]
    head[~four, 6], head[~four, 7] = row["protocol"][~four], row["ip_ttl"][~four]
    for name, at in (("src", 12), ("dst", 16)):
        head[four, at : at + 4] = (
            (row[f"{name}_host"][four] & 0xFFFFFFFF).astype(">u4").view(np.uint8).reshape(-1, 4)
        )
    for name, at in (("src_net", 8), ("src_host", 16), ("dst_net", 24), ("dst_host", 32)):
        head[~four, at : at + 8] = row[name][~four].astype(">i8").view(np.uint8).reshape(-1, 8)
    return head, np.where(four, 20, 40).astype(np.int32)


class Streams:
    """Takes DNS messages out of TCP segments: in order of sequence, several a segment, across segments.

    lost: connections whose octets were missing, no DNS from their beginning or midway, or not there in time.
    """

    def __init__(self) -> None:
        self._table = np.zeros(0, CONNECTION)  # until there is a segment: most captures are of UDP alone
        self._counter = 0
        self._waiting = Packets.none()
        self._place = np.zeros((3, 0), np.int64)  # slot, ident, relative of each that waits
        self.lost = 0

    def add(self, segments: Packets) -> tuple[Batch, Packets]:
        """Messages (without the length before each), and the last packet of each; `segments` are TCP packets."""
        if not len(segments) and not len(self._waiting):
            return Batch.of([]), segments
        if not len(self._table):
            self._table = np.zeros(CONNECTIONS, CONNECTION)
        place = np.empty((3, len(segments)), np.int64)
        self._counter = kernel.follow(
            frozen(segments.row, PACKET),
            frozen(segments.time_us, np.int64),
            KEYS,
            self._table,
            self._counter,
            *place,
        )
        carry = np.flatnonzero(segments.row["payload_length"] > 0)
        have = Packets.join(self._waiting, segments.take(carry))
        place = np.concatenate([self._place, place[:, carry]], axis=1)
        too_old = int(segments.time_us.max(initial=np.iinfo(np.int64).min + AGE_US)) - AGE_US
        found = self._assemble(have, place, too_old)
        self._bound(too_old)
        self._waiting = self._waiting.copy()
        return found

    def finish(self) -> tuple[Batch, Packets]:
        """What can still be read behind holes."""
        found = self._assemble(self._waiting, self._place, np.iinfo(np.int64).max)
        self._waiting, self._place = Packets.none(), np.zeros((3, 0), np.int64)
        return found

    def _assemble(self, have: Packets, place: NDArray[np.int64], too_old: int) -> tuple[Batch, Packets]:
        order = np.lexsort([have.number, place[2], place[1]])
        have, place = have.take(order), np.ascontiguousarray(place[:, order])
        length = have.row["payload_length"].astype(np.int64)
        total = int(length.sum())
        if total > MOST_OCTETS:
            too_old = np.iinfo(np.int64).max
        out = np.empty(total, np.uint8)
        keep = np.zeros(len(have), np.uint8)
        found = np.empty((total // 14 + 1, 2), np.int64)
        last = np.empty(len(found), np.int64)
        count, lost = kernel.assemble(
            frozen(have.batch.data, np.uint8),
            have.batch.offset + have.row["payload_start"],
            length,
            place[0],
            place[1],
            place[2],
            frozen(have.time_us, np.int64),
            self._table,
            too_old,
            out,
            keep,
            found,
            last,
        )
        self.lost += lost
        kept = np.flatnonzero(keep)
        self._waiting, self._place = have.take(kept), np.ascontiguousarray(place[:, kept])
        messages = Batch(out, found[:count, 0].copy(), found[:count, 1].astype(np.int32))
        return messages, have.take(last[:count])

    def _bound(self, too_old: int) -> None:
        """Let connections go that nothing came of for too long, and where there is too much the oldest of them."""
        if not len(self._waiting):
            return
        first = np.flatnonzero(np.diff(self._place[1], prepend=-1))  # they stand together
        size = np.add.reduceat(self._waiting.batch.length.astype(np.int64), first)
        keep = np.maximum.reduceat(self._waiting.time_us, first) >= too_old
        if size[keep].sum() > MOST_OCTETS:
            newest = np.argsort(np.maximum.reduceat(self._waiting.number, first))[::-1]
            keep[newest] &= np.cumsum((size * keep)[newest]) <= MOST_OCTETS // 2
        if keep.all():
            return
        self.lost += int((~keep).sum())
        kept = np.repeat(keep, np.diff(np.append(first, len(self._waiting))))
        self._waiting, self._place = self._waiting.where(kept), np.ascontiguousarray(self._place[:, kept])


def warm() -> None:
    """Compile this facade's kernels."""
    packets = Packets(
        Batch.of([b"\0" * 16]), np.zeros(1, PACKET), np.zeros(1, np.int64), np.ones(1, np.int64)
    )
    packets.row["payload_length"] = 16
    Streams().add(packets.copy())
