"""Argus flow records as `ra` prints them (binetflow, as in the CTU-13 data set): a header line, commas or tabs.

A line tells of both ways of a conversation. Its times have no zone and are taken as UTC, unless they are seconds
since 1970 (`ra -u`).
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dnsonde.formats import _logs as logs
from dnsonde.formats._contract import Account, Format, Options, Tables
from dnsonde.formats._flows import Way, conversations
from dnsonde.formats._stream import Stream

TEXT = pa.string()
NEEDED = {"StartTime", "Proto", "SrcAddr", "DstAddr", "TotPkts", "TotBytes"}
# States in a word, as `ra` writes without `-Z b`, and as Zeek names those of them that nobody answered or refused.
WORDS = {"REQ": "S_", "S0": "S_", "ACC": "S_SA", "REJ": "S_RA"}
USED = NEEDED | {"Dur", "Sport", "Dir", "Dport", "State", "SrcPkts", "SrcBytes"}
NO_IP = ("arp", "rarp", "llc", "man")  # and others whose ends are no addresses

Columns = dict[str, pa.Array]


def _header(head: bytes) -> tuple[list[str], str]:
    """(names of the columns, what stands between them); no names where this is no such file."""
    line = head.split(b"\n", 1)[0].decode("latin-1").strip("\r")
    between = "\t" if "\t" in line else ","
    names = line.split(between)
    return (names if set(names) >= NEEDED else []), between


def _sniff(head: bytes) -> float:
    return 1.0 if _header(head)[0] else 0.0


def _read(stream: Stream, account: Account, options: Options) -> Tables:
    if "flow" not in options.tables:
        return
    for rows in _csv(stream, account):
        yield from (("flow", batch) for batch in _flows(rows, account))


def _csv(stream: Stream, account: Account) -> Iterator[Columns]:
    names, between = _header(stream.head)

    def count(_: str) -> None:
        account.malformed["damaged_line"] += 1

    for block in logs.blocks(stream, account):
        if not block.strip():
            continue
        rows = logs.separated(block, names, between, count)
        body = pc.not_equal(rows["StartTime"], "StartTime")
        rows = {name: rows[name].filter(body) for name in USED if name in rows}
        if len(rows["StartTime"]):
            yield dict.fromkeys(USED, pa.nulls(len(rows["StartTime"]), TEXT)) | rows


def _flows(rows: Columns, account: Account) -> Iterator[pa.RecordBatch]:
    proto = pc.utf8_trim_whitespace(pc.ascii_lower(rows["Proto"].fill_null("")))
    ends = [logs.addresses(rows[name]) for name in ("SrcAddr", "DstAddr")]
    ip = ~logs.booleans(pc.is_in(proto, pa.array(NO_IP)))
    ip &= ends[0].valid | ends[1].valid | (logs.protocols(proto, ends[0]) != 255)
    if not ip.all():
        account.ignored["not_ip"] += int((~ip).sum())
        mask = pa.array(ip)
        rows = {name: column.filter(mask) for name, column in rows.items()}
        proto = proto.filter(mask)
        ends = [end.where(ip) for end in ends]
    first, timed = _times(rows["StartTime"], account)
    last = first + logs.span(rows["Dur"])
    src, dst = ends
    protocol = logs.protocols(proto, src)
    icmp = (protocol == 1) | (protocol == 58)
    ports = _ports(rows["Sport"], icmp, account), _ports(rows["Dport"], icmp, account)
    # An ICMP message's type and code are in its first port, the code above.
    ports = np.where(icmp, ports[0] & 0xFF, ports[0]), np.where(icmp, ports[0] >> 8, ports[1])
    ways = _ways(rows, account)
    return conversations(account, (first, last), (src, dst), ports, protocol, ways, timed)


def _times(column: pa.Array, account: Account) -> logs.Pair:
    if logs.dated(column):
        account.note("times were written without a zone and taken as UTC")
    return logs.microseconds(column)


def _ports(column: pa.Array, icmp: NDArray[np.bool_], account: Account) -> NDArray[np.int64]:
    """Numbers, decimal or hexadecimal with 0x; 0 where there is none."""
    text = pc.utf8_trim_whitespace(column.fill_null(""))
    number, valid = logs.integers(text, 65535)
    hexadecimal = pc.match_substring_regex(text, "^0x[0-9a-fA-F]{1,4}$").to_numpy(zero_copy_only=False)
    for at in np.flatnonzero(hexadecimal):
        number[at] = int(text[at].as_py(), 16)
    named = ~valid & ~hexadecimal & ~icmp & pc.greater(pc.utf8_length(text), 0).to_numpy(zero_copy_only=False)
    if named.any():
        account.note("ports that are written as names are unknown here: have `ra -n` write numbers")
    return number


def _ways(rows: Columns, account: Account) -> tuple[Way, Way]:
    """What went from the source and what came back."""
    packets, octets = (logs.integers(rows[name], 1 << 53)[0] for name in ("TotPkts", "TotBytes"))
    source_octets, told = logs.integers(rows["SrcBytes"], 1 << 53)
    source_octets = np.minimum(np.where(told, source_octets, octets), octets)
    source_packets, counted = logs.integers(rows["SrcPkts"], 1 << 53)
    if not counted.all():
        account.note("packets of each way are not told: they were shared out as its octets are")
        # At least one where there are octets, on either side.
        share = np.rint(packets * (source_octets / np.maximum(octets, 1))).astype(np.int64)
        least = np.minimum((source_octets > 0).astype(np.int64), packets)
        most = np.maximum(packets - (octets > source_octets), least)
        source_packets = np.where(counted, source_packets, np.clip(share, least, most))
    source_packets = np.minimum(source_packets, packets)
    state = rows["State"].fill_null("")
    for word, flags in WORDS.items():
        state = pc.if_else(pc.equal(state, word), flags, state)
    parts = pc.split_pattern(state, "_", max_splits=1)
    length = pc.list_value_length(parts).to_numpy(zero_copy_only=False)
    parts = pc.if_else(pa.array(length == 2), parts, pa.scalar(["", ""]))
    states = pc.list_element(parts, 0), pc.list_element(parts, 1)
    backwards = logs.booleans(pc.match_substring_regex(rows["Dir"].fill_null(""), "<[-?] *$"))
    back_packets = packets - source_packets
    source, back = (
        logs.of_frames(count, of)
        for count, of in ((source_octets, source_packets), (octets - source_octets, back_packets))
    )
    return (
        Way(source_packets, source, _flags(states[0], source_packets, answers=backwards)),
        Way(back_packets, back, _flags(states[1], back_packets, answers=~backwards)),
    )


def _flags(
    state: pa.Array, packets: NDArray[np.int64], *, answers: NDArray[np.bool_]
) -> dict[str, NDArray[np.int64]]:
    """Columns of the flags that one side was seen to send; with nothing but SYN, each packet is one."""
    seen = {letter: logs.booleans(pc.match_substring(state, letter)).astype(np.int64) for letter in "SAFRP"}
    syn = np.where(pc.equal(state, "S").to_numpy(zero_copy_only=False), packets, seen["S"])
    return {
        "syn": np.where(answers, 0, syn),
        "synack": np.where(answers, syn, 0),
        "ack": seen["A"],
        "fin": seen["F"],
        "rst": seen["R"],
        "push": seen["P"],
    }


argus = Format("Argus flow records as text (ra, binetflow)", ("flow",), _sniff, _read)
