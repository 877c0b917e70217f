"""Suricata's EVE JSON: `dns` events (versions 1 to 3) and `flow` events; the others are counted as ignored.

Version 1 has an event for each answer record; each becomes a message of its own.
"""

import string
from typing import Any

import dns.exception
import dns.rcode
import dns.rdatatype
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dnsonde.formats import _logs as logs
from dnsonde.formats._contract import Account, Format, Options, Tables
from dnsonde.formats._flows import Way, conversations, flag_columns
from dnsonde.formats._messages import MDNS, TCP, UDP
from dnsonde.formats._stream import Stream

TEXT, REAL, FLAG = pa.string(), pa.float64(), pa.bool_()
ADDRESSES = ("A", "AAAA")
HEX = frozenset(string.hexdigits)
# The answers' data by type, in the format `grouped`: texts of most types, objects of some.
GROUPED = pa.struct(
    {
        **dict.fromkeys(("A", "AAAA", "CNAME", "MX", "NS", "PTR", "TXT", "NULL"), pa.list_(TEXT)),
        **dict.fromkeys(("SOA", "SRV", "SSHFP"), pa.list_(pa.struct({}))),
    }
)
DNS = pa.struct(
    {
        "type": TEXT, "id": REAL, "flags": TEXT, "opcode": REAL, "rrname": TEXT, "rrtype": TEXT, "rcode": TEXT,
        "rdata": TEXT, "ttl": REAL, "aa": FLAG, "tc": FLAG, "rd": FLAG, "ra": FLAG,
        "queries": pa.list_(pa.struct({"rrname": TEXT, "rrtype": TEXT})),
        "answers": pa.list_(pa.struct({"rrtype": TEXT, "rdata": TEXT, "ttl": REAL})), "grouped": GROUPED,
    }
)  # fmt: skip
FLOW = pa.struct(
    {
        "pkts_toserver": REAL, "pkts_toclient": REAL, "bytes_toserver": REAL, "bytes_toclient": REAL, "start": TEXT,
        "end": TEXT,
    }
)  # fmt: skip
SCHEMA = pa.schema(
    {
        "timestamp": TEXT, "event_type": TEXT, "src_ip": TEXT, "src_port": REAL, "dest_ip": TEXT, "dest_port": REAL,
        "proto": TEXT, "icmp_type": REAL, "icmp_code": REAL, "dns": DNS, "flow": FLOW,
        "tcp": pa.struct({"tcp_flags_ts": TEXT, "tcp_flags_tc": TEXT}),
    }
)  # fmt: skip


def _sniff(head: bytes) -> float:
    if not head.startswith((b"{", b"[")):
        return 0.0
    if found := next(logs.objects(head), {}):
        # Others have the two words too (pmacct's BMP log): an event has ends, or a part that is named as its type.
        known = {"timestamp", "event_type"} <= set(found)
        return 1.0 if known and ("src_ip" in found or str(found["event_type"]) in found) else 0.0
    return 0.5 if b'"event_type"' in head[:2000] and b'"timestamp"' in head[:2000] else 0.0


def _read(stream: Stream, account: Account, options: Options) -> Tables:
    number = 1
    for block in logs.json_blocks(stream, account):
        # Other events may use the same words for other things: only the two kinds are parsed.
        lines = block.splitlines()
        places = [at for at, line in enumerate(lines) if b'"dns"' in line or b'"flow"' in line]
        wanted = [lines[at] for at in places]
        account.ignored["other_event"] += sum(bool(line.strip()) for line in lines) - len(wanted)
        table = logs.json_rows(b"\n".join(wanted) + b"\n", SCHEMA, account)
        kind = logs.one(table["event_type"])
        account.ignored["other_event"] += int(
            pc.sum(pc.invert(pc.is_in(kind, pa.array(["dns", "flow"])))).as_py() or 0
        )
        account.ignored = +account.ignored
        # Where damaged lines were left out, the numbers of those after them are too low.
        index = pa.array(np.array(places[: len(table)], np.int64) + number)
        number += len(lines)
        for name, make in (("dns", _messages), ("flow", _flows)):
            part = table.append_column("number", index).filter(pc.equal(table["event_type"], name))
            if len(part):
                rows = {column: logs.one(part[column]) for column in part.column_names}
                made = make(rows, account, options)
                yield from ((which, batch) for which, batch in made if which in options.tables and len(batch))


def _good(
    rows: dict[str, pa.Array], time_us: logs.Pair, account: Account
) -> tuple[NDArray[np.bool_], logs.Ends, logs.Ends]:
    """(events whose time and addresses can be read, both ends); counts them."""
    src, dst = logs.addresses(rows["src_ip"]), logs.addresses(rows["dest_ip"])
    good = time_us[1] & src.valid & dst.valid
    account.parsed += int(good.sum())
    account.malformed["no_time_or_address"] += int((~good).sum())
    account.malformed = +account.malformed
    if good.any():
        account.saw(int(time_us[0][good].min()), int(time_us[0][good].max()))
    return good, src, dst


def _messages(rows: dict[str, pa.Array], account: Account, options: Options) -> Tables:
    time_us = logs.microseconds(rows["timestamp"])
    good, src, dst = _good(rows, time_us, account)
    event = {field.name: pc.struct_field(rows["dns"], field.name) for field in DNS}
    response = logs.booleans(pc.is_in(event["type"], pa.array(["answer", "response"])))
    asked = pc.list_element(
        pc.if_else(_filled(event["queries"]), event["queries"], pa.scalar([{}], event["queries"].type)), 0
    )
    rrname = pc.coalesce(event["rrname"], pc.struct_field(asked, "rrname"))
    rrtype = pc.coalesce(event["rrtype"], pc.struct_field(asked, "rrtype"))
    qname, mixed = logs.names(pc.if_else(pc.equal(rrname, ""), ".", rrname))  # the root has no letter
    ports = [logs.integers(rows[name], 65535)[0] for name in ("src_port", "dest_port")]
    # An answer's ends are the flow's in version 2: the server is who has the DNS port.
    served = [np.isin(port, [*options.ports, *options.mdns_ports]) for port in ports]
    turned = response & served[1] & ~(served[0] & logs.booleans(pc.equal(event["type"], "response")))
    ends = {
        f"{role}_{half}": np.where(turned, getattr(other, half), getattr(own, half))
        for role, own, other in (("src", src, dst), ("dst", dst, src))
        for half in ("net", "host")
    }
    protocol = logs.protocols(rows["proto"], src)
    of_dns, mdns = (
        np.isin(ports[0], known) | np.isin(ports[1], known) for known in (options.ports, options.mdns_ports)
    )
    mdns &= ~of_dns
    single = pc.if_else(pc.is_valid(event["rdata"]), event["rdata"], None)
    answers = pc.if_else(_filled(event["answers"]), _texts(event["answers"]), _lists(single))
    answers = pc.if_else(_filled(answers), answers, _by_type(event["grouped"]))
    flags = _hex(event["flags"], 4)
    opcode, told = logs.integers(event["opcode"], 15)
    columns: dict[str, Any] = {
        "time_us": time_us[0], "packet": rows["number"].to_numpy(), **ends,
        "src_port": np.where(turned, ports[1], ports[0]), "dst_port": np.where(turned, ports[0], ports[1]),
        "id": logs.integers(event["id"], 65535), "response": response, "mixed_case": mixed,
        "qtype": _codes(rrtype, dns.rdatatype.from_text), "rcode": _codes(event["rcode"], dns.rcode.from_text),
        **{flag: logs.booleans(event[flag]) for flag in ("aa", "tc", "rd", "ra")},
        "ad": (flags & 0x20) > 0, "cd": (flags & 0x10) > 0, "opcode": np.where(told, opcode, flags >> 11 & 15),
        "ttl_min": _least(logs.integers(event["ttl"], 0xFFFF_FFFF), event["answers"]),
    }  # fmt: skip
    columns["rcode"] = (columns["rcode"][0], columns["rcode"][1] & response)
    columns = {k: (v[0][good], v[1][good]) if isinstance(v, tuple) else v[good] for k, v in columns.items()}
    mask = pa.array(good)
    columns["qname"] = qname.filter(mask)
    if len(columns["qname"]):
        transport = np.where(mdns, MDNS, np.where(protocol == 6, TCP, UDP))[good]
        yield (
            "message",
            logs.message_rows(account, options, columns, transport=transport, answers=answers.filter(mask)),
        )


def _filled(lists: pa.Array) -> pa.Array:
    return pc.greater(pc.list_value_length(lists), 0).fill_null(False)


def _texts(lists: pa.Array) -> pa.Array:
    """The data of the answer records, as lists of text; null for those that are no addresses."""
    record = pc.list_flatten(lists)
    told = pc.is_in(pc.struct_field(record, "rrtype").fill_null("A"), pa.array(ADDRESSES))
    return _pack(pc.if_else(told, pc.struct_field(record, "rdata"), None), _lengths(lists))


def _by_type(groups: pa.Array) -> pa.Array:
    """The same of `grouped` ones."""
    each = [pc.struct_field(groups, field.name) for field in GROUPED]
    lengths = [_lengths(lists) for lists in each]
    told = [field.name in ADDRESSES for field in GROUPED]
    texts = [
        pc.list_flatten(lists) if known else pa.nulls(length.sum(), TEXT)
        for lists, length, known in zip(each, lengths, told, strict=True)
    ]
    row = np.concatenate([np.repeat(np.arange(len(groups)), length) for length in lengths])
    order = pa.array(np.argsort(row, kind="stable"))
    return _pack(pa.concat_arrays(texts).take(order), np.sum(lengths, axis=0))


def _least(own: logs.Pair, answers: pa.Array) -> logs.Pair:
    """The event's own TTL, or the least of its answers'."""
    ttl, valid = logs.integers(pc.struct_field(pc.list_flatten(answers), "ttl"), 0xFFFF_FFFF)
    row = np.repeat(np.arange(len(answers)), _lengths(answers))
    least = np.full(len(answers), np.iinfo(np.int64).max)
    np.minimum.at(least, row[valid], ttl[valid])
    has = least < np.iinfo(np.int64).max
    return np.where(own[1], own[0], np.where(has, least, 0)), own[1] | has


def _lengths(lists: pa.Array) -> NDArray[np.int32]:
    found: NDArray[np.int32] = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    return found


def _lists(texts: pa.Array) -> pa.Array:
    """A list of one for each text, an empty one for null."""
    return _pack(texts.drop_null(), texts.is_valid().to_numpy(zero_copy_only=False).astype(np.int32))


def _pack(values: pa.Array, length: NDArray[Any]) -> pa.Array:
    offsets = np.zeros(len(length) + 1, np.int32)
    np.cumsum(length, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _codes(texts: pa.Array, number: Any) -> logs.Pair:
    """Numbers of mnemonics (`A`, `TYPE65`, `NXDOMAIN`), each distinct one looked up once."""
    encoded = texts.cast(TEXT).dictionary_encode()
    found: list[int | None] = []
    for text in encoded.dictionary.to_pylist():
        try:
            found.append(int(number(text)))
        except (dns.exception.DNSException, ValueError):
            found.append(None)
    column = pa.array(found, pa.int64()).take(encoded.indices)
    return column.fill_null(0).to_numpy(zero_copy_only=False), column.is_valid().to_numpy(
        zero_copy_only=False
    )


def _flows(rows: dict[str, pa.Array], account: Account, options: Options) -> Tables:  # noqa: ARG001
    event = {field.name: pc.struct_field(rows["flow"], field.name) for field in FLOW}
    first, timed = logs.microseconds(event["start"])
    last, ended = logs.microseconds(event["end"])
    last = np.where(ended, np.maximum(last, first), first)
    ends = logs.addresses(rows["src_ip"]), logs.addresses(rows["dest_ip"])
    protocol = logs.protocols(rows["proto"], ends[0])
    is_icmp = (protocol == 1) | (protocol == 58)
    source, target = (
        np.where(is_icmp, logs.integers(rows[kind], 255)[0], logs.integers(rows[port], 65535)[0])
        for kind, port in (("icmp_type", "src_port"), ("icmp_code", "dest_port"))
    )
    ways = _way(rows, event, "server"), _way(rows, event, "client")
    for batch in conversations(account, (first, last), ends, (source, target), protocol, ways, timed):
        yield "flow", batch


def _way(rows: dict[str, pa.Array], event: dict[str, pa.Array], to: str) -> Way:
    packets, octets = (logs.integers(event[f"{what}_to{to}"], 1 << 53)[0] for what in ("pkts", "bytes"))
    bits = _hex(pc.struct_field(rows["tcp"], f"tcp_flags_t{to[0]}"), 2)
    flags = flag_columns(bits, packets, np.full_like(bits, to == "server"))
    return Way(packets, logs.of_frames(octets, packets), flags)


def _hex(texts: pa.Array, digits: int) -> NDArray[np.int64]:
    """Numbers of up to so many hexadecimal digits; 0 where there are none."""
    encoded = texts.dictionary_encode()
    found = [
        int(text, 16) if 0 < len(text) <= digits and set(text) <= HEX else 0
        for text in encoded.dictionary.to_pylist()
    ]
    values = pa.array(found, pa.int64()).take(encoded.indices).fill_null(0)
    return np.asarray(values.to_numpy(zero_copy_only=False), np.int64)


eve = Format("Suricata EVE JSON (dns and flow events)", ("message", "flow"), _sniff, _read)
