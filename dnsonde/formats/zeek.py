"""Zeek's dns.log and conn.log, as separated text or JSON; rotated ones joined, cut ones read to their cut.

What separates the columns of text, and what stands for nothing, its header says; a line that names the columns, as
zeek-cut and those who make CSV of logs write it, is enough. JSON may spell `id.orig_h` as `id_orig_h` too, or have it
within `id`, and may be of other logs as well, where each object names its own.

A dns.log line is a query and, where it has a response code, its response: two messages. A conn.log line is a
flow each way, whatever its length in time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dnsonde.clock import LAST_US
from dnsonde.formats import _logs as logs
from dnsonde.formats._contract import Account, Format, Options, Tables
from dnsonde.formats._messages import MDNS, TCP, UDP
from dnsonde.formats._stream import Stream

TEXT, REAL, FLAG = pa.string(), pa.float64(), pa.bool_()
ENDS = {"id.orig_h": TEXT, "id.orig_p": REAL, "id.resp_h": TEXT, "id.resp_p": REAL, "proto": TEXT}
DNS = {
    "ts": REAL, **ENDS, "trans_id": REAL, "rtt": REAL, "query": TEXT, "qclass": REAL, "qtype": REAL, "rcode": REAL,
    "AA": FLAG, "TC": FLAG, "RD": FLAG, "RA": FLAG, "answers": pa.list_(TEXT), "TTLs": pa.list_(REAL),
}  # fmt: skip
CONN = {
    "ts": REAL, **ENDS, "duration": REAL, "orig_bytes": REAL, "resp_bytes": REAL, "conn_state": TEXT, "history": TEXT,
    "orig_pkts": REAL, "orig_ip_bytes": REAL, "resp_pkts": REAL, "resp_ip_bytes": REAL,
}  # fmt: skip
COMMENT = "#"
HEADER = 1 << 14  # octets among which a header's lines stand

Columns = dict[str, pa.Array]


@dataclass(frozen=True, slots=True)
class Style:
    """How a log of text is written: what separates columns, and the items of a vector; what stands for nothing."""

    separator: str = "\t"
    items: str = ","
    empty: str = "(empty)"
    unset: str = "-"
    fields: tuple[str, ...] = ()
    quoted: bool = False

    @classmethod
    def of(cls, head: bytes, before: "Style") -> "Style":
        """As the header lines say, or as before where there are none."""
        line = head[: head.find(b"\n")]
        if b"orig_h" in line and not line.startswith((b"#", b"{", b"[")):
            separator = "\t" if b"\t" in line else ","
            fields = tuple(_name(name.strip('"\r')) for name in line.decode("latin-1").split(separator))
            if _kind(set(fields)):
                return cls(separator, fields=fields, quoted=separator == ",")
        found: dict[str, str] = {}
        separator = before.separator
        # Most files that are sniffed at are captures, and have none: to split and decode them takes its time.
        if not (head.startswith(HEADED) or any(b"\n" + begun in head for begun in HEADED)):
            return before
        for line in head[:HEADER].split(b"\n"):
            text = line.decode("latin-1").rstrip("\r")
            if text.lstrip().startswith("#separator "):
                told = ESCAPE.sub(lambda octet: chr(int(octet[1], 16)), text.partition("#separator ")[2])
                separator = told if len(told) == 1 and "\0" < told < "\x7f" and told not in '\r\n"' else "\t"
            elif text.startswith("#"):
                name, _, value = text[1:].partition(separator)
                found[name] = value
        if "fields" not in found:
            return before
        return cls(
            separator,
            found.get("set_separator", before.items) or ",",
            found.get("empty_field", before.empty),
            found.get("unset_field", before.unset),
            tuple(found["fields"].split(separator)),
        )


HEADED = (b"#", b" #separator")  # how a line of a header begins
ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")
PLAIN = Style()


NEEDED = {  # fields by which a log that is read is known
    "dns": ("ts", "id.orig_h", "id.resp_h", "query", "trans_id"),
    "conn": ("ts", "id.orig_h", "id.resp_h", "conn_state"),
}
PATH = re.compile(rb"^#path[\t ](\S+)", re.MULTILINE)
OTHER = re.compile(rb'"id\.orig_h"|^\{ *"ts": *\d')  # in JSON each of its logs begins with the time


def _kind(fields: set[str]) -> str:
    """dns, conn, or "" for another log."""
    return next((name for name, needed in NEEDED.items() if fields.issuperset(needed)), "")


def other_log(head: bytes) -> str:
    """What a log is that begins so, if it is one of Zeek's that are not read; empty for anything else."""
    name = _path(head)
    if name and name not in NEEDED:
        return f"Zeek's {name}.log, of which dns and conn are read"
    if head.startswith(b"{") and OTHER.search(head[:4096]):
        return "a Zeek log as JSON, of which dns and conn are read"
    return ""


def damaged_log(head: bytes) -> str:
    """What a log is that begins so, if it is one that is read, and lacks what is needed; empty for anything else."""
    name = _path(head)
    return f"Zeek's {name}.log without one of the fields {', '.join(NEEDED[name])}" if name in NEEDED else ""


def _path(head: bytes) -> str:
    """What a log with a header calls itself; empty for what has none."""
    if not head.startswith(b"#separator"):
        return ""
    named = PATH.search(head)
    return named[1].decode("latin-1") if named else "unnamed"


def _name(name: str) -> str:
    """A field as Zeek names it: some who pass logs on have `id_orig_h` for `id.orig_h`."""
    return name.replace("_", ".", 1) if name.startswith(("id_orig_", "id_resp_")) else name


def _log(found: dict[str, Any]) -> str:
    """Which log an object of JSON is of; a query may be missing from one."""
    ends = found.get("id")
    within = [f"id.{name}" for name in ends] if isinstance(ends, dict) else []
    fields = {*map(_name, found), *within}
    return _kind(fields | {"query"} if {"trans_id", "rejected"} <= fields else fields)


def _first(head: bytes) -> dict[str, Any]:
    """The first object of JSON; of those that name their logs, the first of one that is read; none if there is none."""
    for found in logs.objects(head):
        if _log(found):
            return found
        if not any(word in found for word in NAMING):
            break
    return {}


NAMING = ("_path", "@stream")  # which log an object is of, by those who write several into one
NAMED = re.compile(rb'"(?:_path|@stream)" *: *"([^"]*)"')


def _sniff(head: bytes) -> float:
    if not head.startswith((b"{", b"[")):
        return 1.0 if _kind(set(Style.of(head, PLAIN).fields)) else 0.0
    return 0.9 if _first(head) else 0.0


def _read(stream: Stream, account: Account, options: Options) -> Tables:
    text = bool(Style.of(stream.head, PLAIN).fields)
    number = 1
    for kind, count, columns in _text(stream, account) if text else _json(stream, account):
        rows = {
            name: columns.get(name, pa.nulls(count, type_))
            for name, type_ in (DNS if kind == "dns" else CONN).items()
        }
        made = _messages(rows, number, account, options) if kind == "dns" else _flows(rows, account)
        number += count
        yield from ((table, batch) for table, batch in made if table in options.tables and len(batch))


def _json(stream: Stream, account: Account) -> Iterator[tuple[str, int, Columns]]:
    first = _first(stream.head)
    known = {b"dns": "dns", b"conn": "conn"} | {
        str(first[word]).encode(): _log(first) for word in NAMING if word in first
    }
    for block in logs.json_blocks(stream, account):
        parts = {_log(first): block}
        if any(word in first for word in NAMING):
            parts = _by_log(block, known, account)
        for kind, part in parts.items():
            count, columns = _rows(part, DNS if kind == "dns" else CONN, first, account)
            if count:
                yield kind, count, columns


def _by_log(block: bytes, known: dict[bytes, str], account: Account) -> dict[str, bytes]:
    """The lines of each log that is read; objects of others are counted. known: the logs by what objects call them."""
    lines = [line for line in block.splitlines() if line.strip()]
    names = NAMED.findall(block)
    if len(names) == len(lines) and len(set(names)) == 1 and names[0] in known:
        return {known[names[0]]: block}  # as nearly always
    parts: dict[str, list[bytes]] = {}
    for line in lines:
        named = NAMED.search(line)
        kind = known.get(named[1]) if named else None
        if kind is None:
            account.ignored["other_log"] += 1
        else:
            parts.setdefault(kind, []).append(line)
    return {kind: b"\n".join(part) + b"\n" for kind, part in parts.items()}


def _rows(
    block: bytes, wanted: dict[str, pa.DataType], first: dict[str, Any], account: Account
) -> tuple[int, Columns]:
    """(how many, columns) of the objects of a block, spelled as the first one is."""
    ends = first["id"] if isinstance(first.get("id"), dict) else {}
    written = isinstance(ends.get("orig_p", first.get("id.orig_p", first.get("id_orig_p"))), str)
    types = dict.fromkeys(wanted, TEXT) if written else dict(wanted)
    if isinstance(first.get("ts"), str):
        types["ts"] = TEXT
    spelled = {name: name.replace(".", "_") if name.replace(".", "_") in first else name for name in types}
    fields = {spelled[name]: type_ for name, type_ in types.items()}
    within = {}
    if ends:
        within = {name: types[f"id.{name}"] for name in ("orig_h", "orig_p", "resp_h", "resp_p")}
        fields["id"] = pa.struct(within)
    table = logs.json_rows(block, pa.schema(list(fields.items())), account)
    columns = {name: logs.one(table[spelled[name]]) for name in types}
    for name in within:
        columns[f"id.{name}"] = pc.struct_field(logs.one(table["id"]), name)
    if written:  # the text of a log, put into JSON as it stands
        nothing = pa.array([PLAIN.unset, PLAIN.empty, ""])
        columns = {
            name: pc.if_else(pc.is_in(column, nothing), None, column) for name, column in columns.items()
        }
        columns = _vectors(columns, PLAIN.items)
    return len(table), columns


def _vectors(columns: Columns, between: str) -> Columns:
    """With each vector's text as a list."""
    return columns | {
        name: pc.split_pattern(columns[name], between) for name in ("answers", "TTLs") if name in columns
    }


def _text(stream: Stream, account: Account) -> Iterator[tuple[str, int, Columns]]:
    """Tables of text; a header in the middle (joined files) may name other columns."""
    style = PLAIN
    for block in logs.blocks(stream, account):
        for part in _parts(block):
            style = Style.of(part, style)
            if not (kind := _kind(set(style.fields))):
                if others := sum(not line.startswith(b"#") for line in part.splitlines()):
                    account.ignored["other_log"] += others
                continue
            columns = _table(part, style, account)
            if columns and len(columns["ts"]):
                yield kind, len(columns["ts"]), columns


def _parts(block: bytes) -> Iterator[bytes]:
    """The block cut before each header."""
    at = 0
    while (cut := block.find(b"\n#separator", at)) >= 0:
        yield block[at : cut + 1]
        at = cut + 1
    yield block[at:]


def _table(block: bytes, style: Style, account: Account) -> Columns:
    def count(line: str) -> None:
        if not line.lstrip().startswith(COMMENT):
            account.malformed["damaged_line"] += 1

    try:
        columns = logs.separated(
            block,
            style.fields,
            style.separator,
            count,
            quoted=style.quoted,
            nulls=(style.unset, style.empty, ""),
        )
    except pa.ArrowInvalid as error:
        if style.separator.encode("latin-1") in block:
            account.note(f"a block of {len(block):,} octets is no table: {error}")
        return {}
    # A comment with as many separators as a row has columns, or a header line without its mark.
    first = columns[style.fields[0]]
    head = pc.or_kleene(pc.starts_with(first, COMMENT), pc.equal(columns["ts"], "ts"))
    body = pc.invert(head.fill_null(False))
    columns = {name: column.filter(body) for name, column in columns.items()}
    return _vectors(columns, style.items)


def _ends(rows: Columns, account: Account) -> tuple[Columns, NDArray[np.int64], logs.Ends, logs.Ends]:
    """(rows whose time and addresses can be read, times, both ends); the others are counted as malformed."""
    time_us, timed = logs.microseconds(rows["ts"])
    orig, resp = logs.addresses(rows["id.orig_h"]), logs.addresses(rows["id.resp_h"])
    good = timed & orig.valid & resp.valid
    account.parsed += int(good.sum())
    account.malformed["no_time_or_address"] += int((~good).sum())
    account.malformed = +account.malformed
    if good.any():
        account.saw(int(time_us[good].min()), int(time_us[good].max()))
    mask = pa.array(good)
    kept = {name: column.filter(mask) for name, column in rows.items()}
    return kept, time_us[good], orig.where(good), resp.where(good)


def _messages(rows: Columns, first: int, account: Account, options: Options) -> Tables:
    number = np.arange(first, first + len(rows["ts"]))
    rows = rows | {"number": pa.array(number)}
    rows, time_us, orig, resp = _ends(rows, account)
    number = rows["number"].to_numpy()
    orig_port, resp_port = (logs.integers(rows[f"id.{end}_p"], 65535)[0] for end in ("orig", "resp"))
    rcode = logs.integers(rows["rcode"], 4095)
    qname, mixed = logs.names(rows["query"])
    protocol = logs.protocols(rows["proto"], orig)
    transport = np.where(protocol == 6, TCP, np.where(resp_port == 5353, MDNS, UDP))
    same: dict[str, Any] = {
        "packet": number, "mixed_case": mixed, "rd": logs.booleans(rows["RD"]),
        "id": logs.integers(rows["trans_id"], 65535),
        "qtype": logs.integers(rows["qtype"], 65535), "qclass": logs.integers(rows["qclass"], 65535),
    }  # fmt: skip
    count = len(time_us)
    asked = same | {
        "time_us": time_us, "src_net": orig.net, "src_host": orig.host, "dst_net": resp.net, "dst_host": resp.host,
        "src_port": orig_port, "dst_port": resp_port, "response": np.zeros(count, bool), "qname": qname,
    }  # fmt: skip
    if count:
        yield "message", logs.message_rows(account, options, asked, transport=transport)
    answered = rcode[1]
    if not answered.any():
        return
    answers, ttls = (_lists(rows[name], kind) for name, kind in (("answers", TEXT), ("TTLs", REAL)))
    told = same | {
        "time_us": np.minimum(time_us + logs.span(rows["rtt"]), LAST_US), "src_net": resp.net,
        "src_host": resp.host, "dst_net": orig.net, "dst_host": orig.host, "src_port": resp_port, "dst_port": orig_port,
        "response": np.ones(count, bool), "rcode": rcode, "aa": logs.booleans(rows["AA"]),
        "tc": logs.booleans(rows["TC"]), "ra": logs.booleans(rows["RA"]), "ttl_min": _least(ttls, count),
    }  # fmt: skip
    mask = pa.array(answered)
    told = {
        k: (v[0][answered], v[1][answered]) if isinstance(v, tuple) else v[answered] for k, v in told.items()
    }
    told["qname"] = qname.filter(mask)
    yield (
        "message",
        logs.message_rows(
            account, options, told, transport=transport[answered], answers=answers.filter(mask)
        ),
    )


def _lists(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column of vectors, of text or of numbers in text."""
    if kind == REAL and pa.types.is_list(column.type) and pa.types.is_string(column.type.value_type):
        flat, valid = logs.integers(pc.list_flatten(column), 0xFFFF_FFFF)
        length = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        offsets = np.zeros(len(column) + 1, np.int32)
        np.cumsum(length, out=offsets[1:])
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, mask=~valid))
    return column


def _least(lists: pa.Array, count: int) -> logs.Pair:
    values, valid = logs.integers(pc.list_flatten(lists), 0xFFFF_FFFF)
    length = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    row = np.repeat(np.arange(count), length)[valid]
    least = np.full(count, np.inf)
    np.minimum.at(least, row, values[valid])
    has = np.isfinite(least)
    return np.where(has, least, 0).astype(np.int64), has


def _flows(rows: Columns, account: Account) -> Tables:
    rows, start, orig, resp = _ends(rows, account)
    end = start + logs.span(rows["duration"])
    ports = [logs.integers(rows[f"id.{side}_p"], 65535)[0] for side in ("orig", "resp")]
    protocol = logs.protocols(rows["proto"], orig)
    history = rows["history"].cast(TEXT).fill_null("")
    if pc.any(pc.match_substring_regex(history, "^[Cc]+$")).as_py():
        account.note(
            "some connections had nothing but bad checksums, and Zeek counted no packets of them: where the network "
            "card reckons them, have `zeek -C` ignore them"
        )
    for side, src, dst, letters in (("orig", orig, resp, "SHADFR"), ("resp", resp, orig, "shadfr")):
        payload, _ = logs.integers(rows[f"{side}_bytes"], 1 << 53)
        packets, counted = logs.integers(rows[f"{side}_pkts"], 1 << 53)
        octets, _ = logs.integers(rows[f"{side}_ip_bytes"], 1 << 53)
        if not counted.any():  # logs of before packets were counted
            packets, octets = (payload > 0).astype(np.int64), payload
        saw = {letter: _saw(history, letter) for letter in letters}
        syn, synack, ack, data, fin, rst = saw.values()
        ack = np.where(protocol == 6, ack | data, 0)  # an ACK alone, or with data
        yield "flow", logs.flow_rows(
            account,
            {
                "start_us": start, "end_us": end, "src_net": src.net, "src_host": src.host, "dst_net": dst.net,
                "dst_host": dst.host, "protocol": protocol, "src_port": ports[0 if side == "orig" else 1],
                "dst_port": ports[1 if side == "orig" else 0], "packets": packets, "bytes": octets,
                "payload_bytes": payload, "syn": syn, "synack": synack, "ack": ack, "fin": fin,
                "rst": rst,
            },
            packets > 0,
        )  # fmt: skip


def _saw(history: pa.Array, letter: str) -> NDArray[np.int64]:
    found: NDArray[np.bool_] = pc.match_substring(history, letter).to_numpy(zero_copy_only=False)
    return found.astype(np.int64)


zeek = Format("Zeek dns.log and conn.log (tabs or JSON)", ("message", "flow"), _sniff, _read)
