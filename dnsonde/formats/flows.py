"""Flow records as collectors export them: nfdump as CSV (1.6 and 1.7) or JSON, goflow2 and pmacct as JSON lines.

Sampled flows are scaled by their sampling rate. nfdump and pmacct write times without a zone; they are taken as UTC.
pmacct tells when a flow began if its aggregate has that; else when its count did.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dnsonde.formats import _logs as logs
from dnsonde.formats._contract import Account, Format, Options, Tables
from dnsonde.formats._flows import Way, asks, conversations, flag_columns
from dnsonde.formats._stream import Stream

TEXT, REAL = pa.string(), pa.float64()

# Our word for a field: the words of nfdump 1.6 and 1.7 CSV, nfdump JSON (1.6 and 1.7), goflow2 (2 and 1), pmacct.
WORDS = {
    "first": ("ts", "firstSeen", "t_first", "first", "timestamp_start", "stamp_inserted"),
    "last": ("te", "t_last", "last", "timestamp_end", "stamp_updated"),
    "duration": ("td", "duration"),
    "first_ns": ("time_flow_start_ns",),
    "last_ns": ("time_flow_end_ns",),
    "received_ns": ("time_received_ns",),
    "first_s": ("TimeFlowStart",),
    "last_s": ("TimeFlowEnd",),
    "src": ("sa", "srcAddr", "src4_addr", "src_addr", "SrcAddr", "ip_src"),
    "dst": ("da", "dstAddr", "dst4_addr", "dst_addr", "DstAddr", "ip_dst"),
    "src6": ("src6_addr",),
    "dst6": ("dst6_addr",),
    "src_port": ("sp", "srcPort", "src_port", "SrcPort", "port_src"),
    "dst_port": ("dp", "dstPort", "dst_port", "DstPort", "port_dst"),
    "icmp_type": ("icmp_type", "IcmpType"),
    "icmp_code": ("icmp_code", "IcmpCode"),
    "proto": ("pr", "proto", "Proto", "ip_proto"),
    "flags": ("flg", "tcp_flags", "TCPFlags"),
    "packets": ("ipkt", "packets", "in_packets", "Packets"),
    "bytes": ("ibyt", "bytes", "in_bytes", "Bytes"),
    "out_packets": ("opkt", "out_packets"),
    "out_bytes": ("obyt", "out_bytes"),
    "sampling": ("sampling_rate", "SamplingRate"),
}
OURS = {word: ours for ours, words in WORDS.items() for word in words}
CSV_HEADS = (b"ts,te,td,sa,da,sp,dp,pr,flg", b"firstSeen,duration,proto,srcAddr")
SUMMARY = re.compile(
    r"Summary|flows,|[0-9,.]*$|Time window|Total flows|Sys:|No matched"
)  # what nfdump ends with
LETTERS = "FSRPA"  # of TCP's flags, from bit 0

Columns = dict[str, pa.Array]


def _first(head: bytes) -> dict[str, Any]:
    """The first object of JSON lines, or of an array."""
    return next(logs.objects(head), {})


def _sniff(head: bytes) -> float:
    if head.startswith(CSV_HEADS):
        return 1.0
    if head[:1] not in (b"{", b"["):
        return 0.0
    known = {OURS[word] for word in _first(head) if word in OURS}
    timed = known & {"first", "first_ns", "first_s", "received_ns"}
    return 0.8 if timed and {"proto", "packets", "bytes"} <= known and known & {"src", "src6"} else 0.0


def _read(stream: Stream, account: Account, options: Options) -> Tables:
    if "flow" not in options.tables:
        return
    read = _csv(stream, account) if stream.head.startswith(CSV_HEADS) else _json(stream, account)
    for count, columns in read:
        rows = {name: columns.get(name, pa.nulls(count, REAL)) for name in WORDS}
        yield from (("flow", batch) for batch in _flows(rows, account) if len(batch))


def _csv(stream: Stream, account: Account) -> Iterator[tuple[int, Columns]]:
    account.note("times were written without a zone and taken as UTC")
    header = stream.head.split(b"\n", 1)[0].decode("latin-1").strip().split(",")

    def count(line: str) -> None:
        if not SUMMARY.match(line):
            account.ignored["other_line"] += 1

    for block in logs.blocks(stream, account):
        summary = block.rfind(b"\nSummary\n")
        body = block[: summary + 1] if summary >= 0 else block
        if not body.strip():
            continue
        table = logs.separated(body, header, ",", count, quoted=True)
        rows = {OURS[name]: column for name, column in table.items() if name in OURS}
        named = pc.not_equal(rows["first"], header[0])  # header lines, as of joined files
        rows = {name: column.filter(named) for name, column in rows.items()}
        if len(rows["first"]):
            yield len(rows["first"]), rows


def _json(stream: Stream, account: Account) -> Iterator[tuple[int, Columns]]:
    first = _first(stream.head)
    words = {word: TEXT if isinstance(first.get(word), str) else REAL for word in OURS}
    words |= {word: pa.list_(TEXT) for word in WORDS["flags"] if isinstance(first.get(word), list)}
    for side in ("src", "dst"):
        for word in WORDS[side] + WORDS[f"{side}6"]:
            words[word] = TEXT
    for word in WORDS["first"] + WORDS["last"]:
        words[word] = TEXT
    schema = pa.schema(list(words.items()))
    for block in logs.json_blocks(stream, account):
        table = logs.json_rows(block, schema, account)
        if not len(table):
            continue
        rows: Columns = {}
        for word, ours in OURS.items():
            column = logs.one(table[word])
            if ours not in rows or rows[ours].null_count == len(table):
                rows[ours] = column
        if any(":" in str(first.get(word, "")) for word in WORDS["first"]):
            account.note("times were written without a zone and taken as UTC")
        yield len(table), rows


def _times(rows: Columns) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """(first, last, where they are known) in microseconds, from whatever the exporter has."""
    count = len(rows["proto"])
    first, last = np.zeros(count, np.int64), np.zeros(count, np.int64)
    known, ended = np.zeros(count, bool), np.zeros(count, bool)
    for name, scale, out, mask in (
        ("first_ns", 1e-3, first, known), ("first_s", 1e6, first, known), ("received_ns", 1e-3, first, known),
        ("last_ns", 1e-3, last, ended), ("last_s", 1e6, last, ended),
    ):  # fmt: skip
        values, valid = logs.scaled(rows[name], scale)
        take = ~mask & valid & (values > 0)
        out[take] = values[take]
        np.logical_or(mask, take, out=mask)
    for name, out, mask in (("first", first, known), ("last", last, ended)):
        if pa.types.is_string(rows[name].type):
            values, valid = logs.microseconds(rows[name])
            take = ~mask & valid
            out[take] = values[take]
            np.logical_or(mask, take, out=mask)
    last = np.where(ended, last, first + logs.span(rows["duration"]))
    return first, np.maximum(first, last), known


def _flags(column: pa.Array) -> NDArray[np.int64]:
    """Which TCP flags were seen, as bits, from letters, from names or from a number."""
    if pa.types.is_list(column.type):
        column = pc.replace_substring_regex(pc.binary_join(column, " "), "([A-Z])[A-Z]+", r"\1")
    number, numeric = logs.integers(column, 0xFFFF)
    if pa.types.is_string(column.type):
        text = column.fill_null("")
        letters = [
            logs.booleans(pc.match_substring(text, letter)) << bit for bit, letter in enumerate(LETTERS)
        ]
        return np.where(numeric, number, np.sum(letters, axis=0))
    return number


def _icmp(rows: Columns, told: NDArray[np.int64]) -> Iterator[logs.Pair]:
    """Type and code of ICMP: in columns of their own, or, as nfdump's CSV has them, `told` in place of a port.

    That is type * 256 + code (1.6), or both with a point between them (1.7).
    """
    known = logs.integers(rows["icmp_type"], 255)[1]
    ports = rows["dst_port"]
    text = ports.fill_null("") if pa.types.is_string(ports.type) else pa.nulls(len(ports), TEXT)
    pointed = pc.extract_regex(text, r"^(?P<icmp_type>\d{1,3})\.(?P<icmp_code>\d{1,3})$")
    for name, other in (("icmp_type", told >> 8), ("icmp_code", told & 255)):
        value, has = logs.integers(rows[name], 255)
        part, split = logs.integers(pc.struct_field(pointed, name), 255)
        yield np.where(known, value, np.where(split, part, other)), has | ~known


def _times_rate(column: pa.Array, rate: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Counters of all that was, from those of a sample; a little more than `most` where they cannot be."""
    counted = logs.integers(column, 1 << 53)[0]
    return np.minimum(counted, most // rate + 1) * rate


def _flows(rows: Columns, account: Account) -> Iterator[pa.RecordBatch]:
    first, last, timed = _times(rows)
    ends = []
    for side in ("src", "dst"):
        four, six = logs.addresses(rows[side]), logs.addresses(rows[f"{side}6"])
        ends.append(
            logs.Ends(
                np.where(four.valid, four.net, six.net),
                np.where(four.valid, four.host, six.host),
                four.valid | six.valid,
            )
        )
    src, dst = ends
    protocol = logs.protocols(rows["proto"], src)
    ports = [logs.integers(rows[f"{side}_port"], 65535)[0] for side in ("src", "dst")]
    icmp = (protocol == 1) | (protocol == 58)
    if icmp.any():
        for at, (value, has) in enumerate(_icmp(rows, ports[1])):
            ports[at] = np.where(icmp & has, value, ports[at])
    rate = np.maximum(logs.integers(rows["sampling"], 1 << 32)[0], 1)
    if (rate > 1).any():
        account.note("sampled flows were scaled by their sampling rate")
    forth, back = (
        Way(
            _times_rate(rows[f"{way}packets"], rate, logs.MOST_PACKETS),
            _times_rate(rows[f"{way}bytes"], rate, logs.MOST_OCTETS),
        )
        for way in ("", "out_")
    )
    forth.flags = flag_columns(
        _flags(rows["flags"]), forth.packets, asks(forth.packets, (ports[0], ports[1]))
    )
    return conversations(
        account, (first, last), (src, dst), (ports[0], ports[1]), protocol, (forth, back), timed
    )


flows = Format("flow records of nfdump (CSV, JSON), goflow2 and pmacct (JSON)", ("flow",), _sniff, _read)
