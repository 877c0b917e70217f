"""C-DNS (RFC 8618): blocks of queries with their responses, as dns-stats' compactor and others write them.

CBOR is read by cbor2, a block at a time. What a block tells of a message is put back into a DNS message, which the
kernels then decode, so that its row is the one that a capture would have given, as far as the file knows. Only the
sizes are those that the file tells.
"""

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, NoReturn

import cbor2
import numpy as np
from numpy.typing import NDArray

from dnsonde.clock import LAST_US
from dnsonde.formats._contract import Account, Format, Options, Tables
from dnsonde.formats._messages import MDNS, TCP, UDP, UNKNOWN, message_batch
from dnsonde.formats._stream import Stream
from dnsonde.wire.batch import MAPPED, Batch
from dnsonde.wire.codes import Type

MARK = b"\x65C-DNS"
PIECE = 1 << 20  # octets of the file that are read at a time
LONGEST = 1 << 24  # octets of a block that is believed: 200,000 queries and responses
DEEPEST = 8  # arrays and maps within each other; the format needs 7
ROOM = 1 << 24  # octets of messages in memory: a few octets of a block may stand for 64 KiB
WIDEST = 65535  # octets of a message
NAME = 255

# Keys of the maps (RFC 8618, 7 and appendix A).
VERSION, PARAMETERS = 0, 3
STORAGE, TICKS, FLAGS = 0, 0, 5
PREAMBLE, TABLES, ITEMS, EVENTS, MALFORMED = 0, 2, 3, 4, 5
EARLIEST, WHICH = 0, 1
ADDRESSES, CLASSES, NAMES, SIGNATURES, LISTS, RECORDS, PAYLOADS = 0, 1, 2, 3, 6, 7, 8
ANSWER, AUTHORITY, ADDITIONAL = 1, 2, 3
HAS_QUERY, HAS_RESPONSE, QUERY_OPT, RESPONSE_OPT, QUERY_ASKS_NOT, RESPONSE_ASKS_NOT = (
    1 << n for n in range(6)
)
ANONYMIZED, SAMPLED = 1, 2
TRANSPORTS = [UDP, TCP] + [UNKNOWN] * 14
# DNSFlags, seven for each (CD AD Z RA RD TC AA), as a header has them.
HEADER_FLAGS = [sum(16 << bit for bit in range(7) if value >> bit & 1) for value in range(128)]

HEADER, RECORD, PAIR = Struct(">HHHHHH"), Struct(">HHIH"), Struct(">HH")
OPT_BEGINS = b"\0" + Type.OPT.to_bytes(2, "big")
FAULTS = (
    AttributeError, IndexError, KeyError, OverflowError, struct.error, TypeError, ValueError, ZeroDivisionError,
)  # fmt: skip

End = tuple[int, int]  # halves of an address
Section = tuple[int, bytes, bool]  # how many records, their octets, whether an OPT is among them
NOBODY: End = (0, 0)
NO_RECORDS: Section = (0, b"", False)


def _refuse(*_: Any) -> NoReturn:
    raise cbor2.CBORDecodeError("a tag, which C-DNS has none of")


# Tags stand for numbers, expressions and references whose making costs more than their octets.
TAGS: dict[int, Callable[..., Any]] = dict.fromkeys(
    (*range(6), 25, *range(28, 31), *range(35, 38), 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799),
    _refuse,
)


class _Items:
    """The items of a CBOR sequence, each in bounded memory; `position` octets are done with."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._window = io.BytesIO()
        self._before = 0  # octets of the file before the window

    @property
    def position(self) -> int:
        return self._before + self._window.tell()

    def array(self) -> int:
        """The head of an array: how many items it has, -1 until a break. ValueError where there is none."""
        first = self._octet()
        kind, count = first >> 5, first & 31
        if kind != 4 or 27 < count < 31:
            raise ValueError("no array")
        if count < 24:
            return count
        return -1 if count == 31 else int.from_bytes([self._octet() for _ in range(1 << (count - 24))], "big")

    def ended(self) -> bool:
        """Whether a break stands next, which is then passed. EOFError at the end of the file."""
        found = self._octet()
        if found != 0xFF:
            self._window.seek(-1, io.SEEK_CUR)
        return found == 0xFF

    def item(self) -> Any:
        """The next one; EOFError where the file ends in it, ValueError where it is damaged or too long."""
        start = self._window.tell()
        while True:
            try:
                return cbor2.CBORDecoder(
                    self._window,
                    tag_hook=_refuse,
                    semantic_decoders=TAGS,
                    read_size=1 << 16,
                    max_depth=DEEPEST,
                ).decode()
            except cbor2.CBORDecodeEOF as error:
                self._window.seek(start)
                if len(self._window.getbuffer()) - start > LONGEST:
                    raise ValueError(f"a block of more than {LONGEST:,} octets") from error
                self._more()
                start = 0
            except (cbor2.CBORDecodeError, *FAULTS) as error:
                self._window.seek(start)
                raise ValueError(" ".join(str(error).split())) from error

    def _octet(self) -> int:
        found = self._window.read(1)
        if not found:
            self._more()
            found = self._window.read(1)
        return found[0]

    def _more(self) -> None:
        """Read on; the window begins where it stands. Twice as much where what is there was not enough."""
        self._before += self._window.tell()
        rest = self._window.read()
        fresh = self._stream.read(max(PIECE, len(rest)))
        self._window = io.BytesIO(rest + fresh)
        if not fresh:
            raise EOFError


def _sniff(head: bytes) -> float:
    return 1.0 if head[1:7] == MARK and head[0] in (0x83, 0x9F) else 0.0


def _read(stream: Stream, account: Account, options: Options) -> Tables:
    items = _Items(stream)
    try:
        items.array()
        items.item()
        preamble = items.item()
        if preamble[VERSION] != 1:
            account.note("a draft of C-DNS: only version 1 (RFC 8618) is read")
            return
        parameters = preamble[PARAMETERS]
        count = items.array()
        while count:
            if count < 0 and items.ended():
                return
            block = items.item()
            count -= count > 0
            yield from _rows(parameters, block, account, options)
    except EOFError:
        account.note("cut short: the file ends within a block")
    except FAULTS as error:
        account.note(f"damaged at octet {items.position:,}: {error}; nothing after it was read")


def _rows(parameters: Any, block: Any, account: Account, options: Options) -> Tables:
    """A block's messages. What does not follow the RFC is malformed, with all of the block that comes after it."""
    first = account.packets + 1
    lists = [block.get(key, []) if isinstance(block, dict) else None for key in (ITEMS, MALFORMED)]
    left = sum(len(part) if isinstance(part, list) else 1 for part in lists)
    parts = _Block(parameters, block, account, options).parts(lists, first)
    while left:
        try:
            part = next(parts)
            made = part.columns()
        except FAULTS:
            account.malformed["damaged_block"] += left
            return
        left -= part.taken
        account.parsed += part.good
        if part.taken > part.good:
            account.malformed["no_time"] += part.taken - part.good
        if made:
            account.messages += len(made[0])
            account.saw(int(made[1].min()), int(made[1].max()))
            if "message" in options.tables:
                batch, time_us, columns = made
                yield (
                    "message",
                    message_batch(batch, file=account.file, time_us=time_us, options=options, **columns),
                )


@dataclass(slots=True)
class _Part:
    """Some of a block's messages. taken: items of the block; good: those that gave messages."""

    taken: int = 0
    good: int = 0
    octets: int = 0
    messages: list[bytes] = field(default_factory=list)
    facts: list[tuple[int, ...]] = field(default_factory=list)

    def put(self, message: bytes, facts: tuple[int, ...]) -> None:
        """facts: number, time, transport, source, destination (two halves each), ports, size, IP TTL; -1: not told."""
        self.messages.append(message)
        self.facts.append(facts)
        self.octets += len(message)

    def columns(self) -> tuple[Batch, NDArray[np.int64], dict[str, Any]] | None:
        """(messages, their times, what else `message_batch` wants); None where there are none."""
        if not self.messages:
            return None
        number, time_us, transport, src_net, src_host, dst_net, dst_host, *rest = np.array(
            self.facts, np.int64
        ).T
        if (np.array(rest) > 0xFFFF).any() or (np.array(rest) < -1).any():
            raise ValueError("a port or a size that cannot be")
        src_port, dst_port, size, ttl = (part.astype(np.int32) for part in rest)
        ends = {"src_net": src_net, "src_host": src_host, "dst_net": dst_net, "dst_host": dst_host}
        return (
            Batch.of(self.messages),
            np.ascontiguousarray(time_us),
            {
                "packet": number,
                "transport": transport.astype(np.int8),
                "address": {name: np.ascontiguousarray(half) for name, half in ends.items()},
                "more": {
                    "src_port": src_port,
                    "dst_port": dst_port,
                    "dns_bytes": (size, size >= 0),
                    "ip_ttl": (ttl, ttl >= 0),
                },
            },
        )


class _Block:
    """One block's tables, and what its items mean by them; any of FAULTS where they are not as the RFC has them."""

    def __init__(self, parameters: Any, block: Any, account: Account, options: Options) -> None:
        self._parameters, self._block, self._account = parameters, block, account
        self._ports, self._mdns = frozenset(options.ports), frozenset(options.mdns_ports)

    def _open(self) -> None:
        preamble, tables = self._block[PREAMBLE], self._block.get(TABLES, {})
        storage = self._parameters[preamble.get(WHICH, 0)][STORAGE]
        self._ticks = int(storage[TICKS])
        self._earliest = preamble.get(EARLIEST)
        addresses = tables.get(ADDRESSES, [])
        self._ends = [[_address(octets, six=six) for octets in addresses] for six in (False, True)]
        self._names = tables.get(NAMES, [])
        self._classes = [PAIR.pack(entry[0], entry[1]) for entry in tables.get(CLASSES, [])]
        self._signatures = tables.get(SIGNATURES, [])
        self._payloads = tables.get(PAYLOADS, [])
        self._records, self._lists = tables.get(RECORDS, []), tables.get(LISTS, [])
        self._made: dict[int, Section] = {}
        self._made_octets = 0
        flags = int(storage.get(FLAGS, 0))
        if flags & ANONYMIZED:
            self._account.note("addresses or names were anonymised by who wrote it")
        if flags & SAMPLED:
            self._account.note("it is a sample: not every message is in it")
        if self._block.get(EVENTS):
            self._account.note("its counts of ICMP and TCP resets, which have no times, were left out")

    def parts(self, lists: list[Any], first: int) -> Iterator[_Part]:
        """The messages, so many at a time that they fit in memory; the first item has this number in the file."""
        self._open()
        part = _Part()
        for items, take in zip(lists, (self._pair, self._damaged), strict=True):
            for item in items:
                offset = item.get(0)
                if self._earliest is not None and offset is not None:
                    take(part, first, offset, item)
                    part.good += 1
                first += 1
                part.taken += 1
                if part.octets > ROOM:
                    yield part
                    part = _Part()
        yield part

    def _time(self, offset: int) -> int:
        seconds, ticks = self._earliest
        whole, rest = divmod(ticks + offset, self._ticks)
        found = int((seconds + whole) * 1_000_000 + rest * 1_000_000 // self._ticks)
        if not 0 <= found <= LAST_US:
            raise ValueError("a time that cannot be")
        return found

    def _way(self, transport: int, ports: tuple[int, int]) -> int:
        way = TRANSPORTS[transport >> 1 & 15]
        mdns = not self._mdns.isdisjoint(ports) and self._ports.isdisjoint(ports)
        return MDNS if way == UDP and mdns else way

    def _section(self, extended: Any, key: int) -> Section:
        """A section's records, made once."""
        if not extended or key not in extended:
            return NO_RECORDS
        index = extended[key]
        found = self._made.get(index)
        if found is None:
            records = [record for record in map(self._record, self._lists[index]) if record]
            found = len(records), b"".join(records), any(record.startswith(OPT_BEGINS) for record in records)
            self._made_octets += len(found[1])
            if self._made_octets > ROOM:
                self._made.clear()
                self._made_octets = len(found[1])
            self._made[index] = found
        return found

    def _record(self, index: int) -> bytes:
        """One resource record; nothing where the file does not know its data."""
        record = self._records[index]
        if 3 not in record:
            return b""
        owner, data = self._names[record[0]], self._names[record[3]]
        kind, group = PAIR.unpack(self._classes[record[1]])
        made: bytes = owner + RECORD.pack(kind, group, record.get(2, 0), len(data)) + data
        return made

    def _message(self, head: tuple[int, int], question: bytes, extended: Any, opt: bytes) -> bytes:
        """A DNS message, without compression; of one that would be too long so, the question."""
        answer, authority, additional = (
            self._section(extended, key) for key in (ANSWER, AUTHORITY, ADDITIONAL)
        )
        if additional[2]:
            opt = b""
        size = 12 + len(question) + len(answer[1]) + len(authority[1]) + len(additional[1]) + len(opt)
        if size > WIDEST:
            self._account.note(
                "messages that are too long without compression were kept without their records"
            )
            return HEADER.pack(*head, question != b"", 0, 0, 0) + question
        counts = (question != b"", answer[0], authority[0], additional[0] + (opt != b""))
        return HEADER.pack(*head, *counts) + question + answer[1] + authority[1] + additional[1] + opt

    def _pair(self, part: _Part, number: int, offset: int, item: Any) -> None:
        """A query, a response, or both."""
        signature = self._signatures[item[4]] if 4 in item else {}
        sign = signature.get
        kind = sign(4)
        if kind is None:  # not told: a response leaves a trace
            kind = HAS_QUERY | (HAS_RESPONSE if 6 in item or 9 in item or 16 in signature else 0)
        transport, flags = sign(2, 0), sign(6, 0)
        ends = self._ends[transport & 1]
        client = ends[item[1]] if 1 in item else NOBODY
        server = ends[signature[0]] if 0 in signature else NOBODY
        ports = item.get(2, 0), sign(1, 0)
        way = self._way(transport, ports)
        question = b""
        if 7 in item and 8 in signature:
            question = self._names[item[7]] + self._classes[signature[8]]
            if len(question) > NAME + 4:
                raise ValueError("a name that cannot be")
        identity, opcode = item.get(3, 0), (sign(5, 0) & 15) << 11
        if kind & HAS_QUERY:
            rcode, opt = sign(7, 0), b""
            if kind & QUERY_OPT:
                data = self._names[signature[15]] if 15 in signature else b""
                ttl = rcode >> 4 << 24 | sign(13, 0) << 16 | (flags >> 7 & 1) << 15
                opt = b"\0" + RECORD.pack(Type.OPT, sign(14, 0), ttl, len(data)) + data
            head = identity, opcode | HEADER_FLAGS[flags & 127] | rcode & 15
            asked = b"" if kind & QUERY_ASKS_NOT else question
            part.put(
                self._message(head, asked, item.get(11), opt),
                (number, self._time(offset), way, *client, *server, *ports, item.get(8, -1), item.get(5, -1)),
            )
        if kind & HAS_RESPONSE:
            rcode, opt = sign(16, 0), b""
            if kind & RESPONSE_OPT and rcode > 15:  # of an OPT record that was not kept, no more is told
                opt = b"\0" + RECORD.pack(Type.OPT, 0, rcode >> 4 << 24, 0)
            head = identity, 0x8000 | opcode | HEADER_FLAGS[flags >> 8 & 127] | rcode & 15
            asked = b"" if kind & RESPONSE_ASKS_NOT else question
            when = self._time(offset + item.get(6, 0) if kind & HAS_QUERY else offset)
            part.put(
                self._message(head, asked, item.get(12), opt),
                (number, when, way, *server, *client, ports[1], ports[0], item.get(9, -1), -1),
            )

    def _damaged(self, part: _Part, number: int, offset: int, item: Any) -> None:
        """A message that whoever wrote the file could not read."""
        told = self._payloads[item[3]] if 3 in item else {}
        payload, transport = told.get(3, b"")[:WIDEST], told.get(2, 0)
        size = len(payload)
        ends = self._ends[transport & 1]
        sides = [
            (ends[item[1]] if 1 in item else NOBODY, item.get(2, 0)),
            (ends[told[0]] if 0 in told else NOBODY, told.get(1, 0)),
        ]
        way = self._way(transport, (sides[0][1], sides[1][1]))
        if size > 2 and payload[2] & 0x80:  # a response
            sides.reverse()
        (source, source_port), (target, target_port) = sides
        part.put(
            payload,
            (
                number,
                self._time(offset),
                way,
                *source,
                *target,
                source_port,
                target_port,
                min(len(payload), WIDEST),
                -1,
            ),
        )


def _address(octets: bytes, *, six: bool) -> End:
    """Both halves of an address of which the last octets may have been cut off."""
    if not six:
        return 0, MAPPED | int.from_bytes(octets[:4].ljust(4, b"\0"), "big")
    whole = octets[:16].ljust(16, b"\0")
    return int.from_bytes(whole[:8], "big", signed=True), int.from_bytes(whole[8:], "big", signed=True)


cdns = Format("C-DNS (RFC 8618)", ("message",), _sniff, _read)
