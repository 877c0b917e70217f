"""Packet captures: pcap (both orders of octets, micro- and nanoseconds) and pcapng, in chunks of bounded size."""

import struct
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dnsonde.formats._contract import Account, Format, Options, Tables
from dnsonde.formats._stream import Stream
from dnsonde.formats._traffic import Decoded, Traffic
from dnsonde.wire.capture import ENTRY, INTERFACE, Chunk, Stop, index_pcap, index_pcapng

CHUNK = 1 << 24  # octets of the file in memory at a time
SMALL = 1 << 18  # octets of a file that is not worth a second thread
PACKETS = 1 << 16  # packets of a chunk: more leave the cache before they are written, fewer cost calls
LONGEST = 1 << 18  # octets of a packet that is believed, as libpcap has it
SECTION = b"\x0a\x0d\x0d\x0a"

MAGIC = {  # first octets: (big endian, nanoseconds, octets of a record's header)
    b"\xa1\xb2\xc3\xd4": (True, False, 16),
    b"\xd4\xc3\xb2\xa1": (False, False, 16),
    b"\xa1\xb2\x3c\x4d": (True, True, 16),
    b"\x4d\x3c\xb2\xa1": (False, True, 16),
    b"\xa1\xb2\xcd\x34": (True, False, 24),  # Kuznetzov's, of old Linux
    b"\x34\xcd\xb2\xa1": (False, False, 24),
}


@dataclass(slots=True)
class _Pcap:
    """The state of a pcap file: what its header said."""

    big: bool = False
    nano: bool = False
    record: int = 16
    linktype: int = 0
    most: int = LONGEST

    def head(self, data: NDArray[np.uint8]) -> tuple[int, str]:
        """As `State.head`."""
        if len(data) < 24:
            return 0, ""
        raw = data[:24].tobytes()
        self.big, self.nano, self.record = MAGIC[raw[:4]]
        snaplen, linktype = struct.unpack(">II" if self.big else "<II", raw[16:24])
        self.linktype = linktype & 0x03FF_FFFF  # above: the length of a frame check sequence
        self.most = max(LONGEST, min(snaplen, CHUNK // 4))
        return 24, ""

    def index(self, data: NDArray[np.uint8], entry: NDArray[np.void]) -> tuple[int, int, Stop]:
        """As `wire.capture.index_pcap`."""
        found = index_pcap(
            data, len(data), entry, big=self.big, nano=self.nano, header=self.record, most=self.most
        )
        entry["linktype"][: found[0]] = self.linktype
        return found


@dataclass(slots=True)
class _Pcapng:
    """The state of a pcapng file: its section's order of octets and interfaces."""

    big: bool = False
    known: int = 0
    interfaces: NDArray[np.void] = field(default_factory=lambda: np.zeros(4, INTERFACE))

    def head(self, data: NDArray[np.uint8]) -> tuple[int, str]:
        """The same for a section or interface block."""
        if len(data) < 12:
            return 0, ""
        section = data[:4].tobytes() == SECTION
        if section:
            order = data[8:12].tobytes()
            if order not in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a"):
                return 0, "a section without an order of octets"
            self.big = order[0] == 0x1A
            self.known = 0
        mark = ">" if self.big else "<"
        (size,) = struct.unpack(f"{mark}I", data[4:8].tobytes())
        least = 28 if section else 20
        if size < least or size % 4 or size > CHUNK // 4:
            return 0, f"a block of {size:,} octets"
        if size > len(data):
            return 0, ""
        block = data[:size].tobytes()
        if block[-4:] != block[4:8]:
            return 0, "a block whose two lengths differ"
        if not section:
            self._interface(block, mark)
        return size, ""

    def _interface(self, block: bytes, mark: str) -> None:
        if self.known == len(self.interfaces):
            self.interfaces = np.concatenate([self.interfaces, np.zeros(self.known, INTERFACE)])
        linktype, snaplen = struct.unpack(f"{mark}HxxI", block[8:16])
        unit, offset, at = 6, 0, 16
        while at + 4 <= len(block) - 4:
            code, size = struct.unpack(f"{mark}HH", block[at : at + 4])
            value = block[at + 4 : min(at + 4 + size, len(block) - 4)]
            if code == 9 and len(value) == 1:
                unit = value[0]
            elif code == 14 and len(value) == 8:
                (offset,) = struct.unpack(f"{mark}q", value)
            at += 4 + size + -size % 4
            if code == 0:
                break
        offset_us = max(-(1 << 62), min(1 << 62, offset * 1_000_000))
        self.interfaces[self.known] = (offset_us, snaplen, linktype, unit)
        self.known += 1

    def index(self, data: NDArray[np.uint8], entry: NDArray[np.void]) -> tuple[int, int, Stop]:
        """As `wire.capture.index_pcapng`."""
        return index_pcapng(
            data, len(data), entry, self.interfaces, self.known, big=self.big, most=CHUNK // 4
        )


class State(Protocol):
    """What is known of a capture so far, by whose rules its packets are found."""

    def head(self, data: NDArray[np.uint8]) -> tuple[int, str]:
        """(octets of the header at the start of `data`, or 0: not all there; what is wrong with it)."""
        ...

    def index(self, data: NDArray[np.uint8], entry: NDArray[np.void]) -> tuple[int, int, Stop]:
        """(packets, position after the last, why it ended); `Stop.OTHER`: another header stands there."""
        ...


def chunks(stream: Stream, account: Account, state: State) -> Iterator[Chunk]:
    """The packets of a capture, some at a time; a cut or a damage ends it, and is noted in the account.

    A chunk is valid until the next but one is asked for: its arrays are used again.
    """
    buffer, other = np.empty(CHUNK, np.uint8), np.empty(CHUNK, np.uint8)
    room, spare = np.zeros(PACKETS, ENTRY), np.zeros(PACKETS, ENTRY)
    have, base, number = 0, 0, 1
    expected = True  # a file header, a section or an interface stands next
    lent = False  # a chunk lies in this buffer: what follows goes to the other one
    while True:
        got = stream.readinto(memoryview(buffer.data)[have:])
        ended = got < len(buffer) - have
        have += got
        pos = 0
        while True:
            if expected:
                size, wrong = state.head(buffer[pos:have])
                if wrong:
                    account.note(f"damaged at octet {base + pos:,}: {wrong}; nothing after it was read")
                    return
                if size == 0:
                    why = Stop.WAIT
                    break
                pos += size
                expected = False
            count, size, why = state.index(buffer[pos:have], room)
            if count:
                entry = room[:count]
                entry["offset"] += pos
                yield Chunk(buffer, entry, number)
                number += count
                room, spare = spare, room
                lent = True
            pos += size
            if why == Stop.DAMAGED:
                account.note(
                    f"damaged at octet {base + pos:,}: a record that cannot be; nothing after it was read"
                )
                return
            if why == Stop.OTHER:
                expected = True
            elif why != Stop.FULL:
                break
        if ended:
            if pos < have:
                account.note(f"cut short: {have - pos:,} octets of an incomplete record at the end")
            return
        rest = buffer[pos:have]
        if lent:
            other[: len(rest)] = rest
            buffer, other, lent = other, buffer, False
        else:
            buffer[: len(rest)] = rest.copy()
        base += pos
        have -= pos


def _sniff(head: bytes) -> float:
    return 1.0 if head[:4] in MAGIC or head[:4] == SECTION else 0.0


def packets(stream: Stream, account: Account, options: Options, state: State) -> Tables:
    """The rows of a capture's packets."""
    traffic = Traffic(account, options)
    decoded = (traffic.decode(chunk) for chunk in chunks(stream, account, state))
    # What comes through a pipe is worked on as it comes, and may be left at any time. (Its size is 0.)
    with closing(_ahead(decoded) if stream.size > SMALL else decoded) as ready:
        for one in ready:
            yield from traffic.add(one)
    yield from traffic.finish()


def _ahead(items: Iterator[Decoded]) -> Generator[Decoded]:
    """The same, each made by a second thread while the one before it is worked on: kernels run beside each other."""
    with ThreadPoolExecutor(1, "decode") as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def _read(stream: Stream, account: Account, options: Options) -> Tables:
    return packets(stream, account, options, _Pcapng() if stream.head.startswith(SECTION) else _Pcap())


pcap = Format("pcap and pcapng packet captures", ("message", "flow"), _sniff, _read)
