"""dnstap: Frame Streams, from a file or from a name server itself, or one bare message."""

import numpy as np
import pyarrow as pa

from dnsonde.formats._contract import Account, Format, Options, Tables
from dnsonde.formats._messages import TCP, UDP, UNKNOWN, message_batch
from dnsonde.formats._stream import HEAD, Stream
from dnsonde.net.frames import CONTENT, stops
from dnsonde.table.schema import MESSAGE
from dnsonde.wire import dnstap as wire
from dnsonde.wire.batch import Batch
from dnsonde.wire.capture import Stop

CHUNK = 1 << 24  # octets of the file in memory at a time
FRAMES = 1 << 17
LONGEST = 1 << 18  # octets of a frame that is believed: a message of 64 KiB and what is told of it

NOTHING = pa.RecordBatch.from_pylist([], MESSAGE.schema)
FIELDS = b"\x0a\x12\x1a\x72\x78"  # of a bare message: identity, version, extra, message, type


def _sniff(head: bytes) -> float:
    if head[:4] == bytes(4) and CONTENT in head[:600]:
        return 1.0
    return 0.4 if 8 < len(head) < HEAD and head[0] in FIELDS and _bare(head) else 0.0


def _bare(head: bytes) -> bool:
    """Whether this is one dnstap message without a frame, as in test data."""
    row = wire.decode_frames(Batch.of([head]))[0]
    return bool(
        row["status"] == wire.OK and row["type"] and max(row["query_length"], row["response_length"]) >= 12
    )


def _read(stream: Stream, account: Account, options: Options) -> Tables:
    if not stream.live and stream.head[:4] != bytes(4):
        yield from _rows(Batch.of([stream.read(HEAD)]), 1, account, options)
        return
    buffer = np.empty(CHUNK, np.uint8)
    have, base, number = 0, 0, 1
    while True:
        got = stream.readinto(memoryview(buffer.data)[have:])
        if stream.idle:
            yield "message", NOTHING
            continue
        ended = got == 0 if stream.live else got < len(buffer) - have
        have += got
        behind = 0  # the last data frame
        pos, why = 0, Stop.FULL
        while why == Stop.FULL:
            frames, size, why = wire.index_frames(buffer[pos:have], LONGEST, FRAMES)
            if len(frames):
                behind = pos + int(frames.offset[-1] + frames.length[-1])
                yield from _rows(frames, number, account, options)
            number += len(frames)
            pos += size
        if why == Stop.DAMAGED:
            account.note(
                f"damaged at octet {base + pos:,}: a frame that cannot be; nothing after it was read"
            )
            return
        if stream.live and pos == have and stops(memoryview(buffer.data)[behind:have]):
            stream.finish()
        if ended:
            if pos < have:
                account.note(f"cut short: {have - pos:,} octets of an incomplete frame at the end")
            return
        buffer[: have - pos] = buffer[pos:have].copy()
        base, have = base + pos, have - pos


def _rows(frames: Batch, first: int, account: Account, options: Options) -> Tables:
    """The message of each frame: a response where its type says so, a query otherwise."""
    row = wire.decode_frames(frames)
    account.malformed["damaged_frame"] += int((row["status"] == wire.DAMAGED).sum())
    answer = row["type"] % 2 == 0
    length = np.where(answer, row["response_length"], row["query_length"])
    good = (row["status"] == wire.OK) & (length >= 0)
    account.ignored["no_message"] += int(((row["status"] != wire.DAMAGED) & ~good).sum())
    account.parsed += int(good.sum())
    account.malformed, account.ignored = +account.malformed, +account.ignored
    if not good.any():
        return
    account.messages += int(good.sum())
    number = np.flatnonzero(good) + first
    row, answer, length = row[good], answer[good], length[good]
    start = np.where(answer, row["response_start"], row["query_start"])
    seconds = np.where(answer, row["response_sec"], row["query_sec"])
    time_us = seconds * 1_000_000 + np.where(answer, row["response_nsec"], row["query_nsec"]) // 1000
    time_us = account.dated(time_us)
    account.saw(int(time_us.min()), int(time_us.max()))
    if "message" not in options.tables:
        return
    ends = {
        f"{role}_{half}": np.where(answer == (role == "dst"), row[f"query_{half}"], row[f"response_{half}"])
        for role in ("src", "dst")
        for half in ("net", "host")
    }
    transport = np.select([row["protocol"] == wire.UDP, row["protocol"] == wire.TCP], [UDP, TCP], UNKNOWN)
    yield (
        "message",
        message_batch(
            Batch(frames.data, start, length.astype(np.int32)),
            file=account.file,
            packet=number,
            time_us=time_us,
            transport=transport.astype(np.int8),
            address=ends,
            more={
                "src_port": np.where(answer, row["response_port"], row["query_port"]),
                "dst_port": np.where(answer, row["query_port"], row["response_port"]),
            },
            options=options,
        ),
    )


dnstap = Format(
    "dnstap in Frame Streams: files, or unix:/path and tcp:port to listen on", ("message",), _sniff, _read
)
