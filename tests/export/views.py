"""Rows of a run and of a lake as exports are given them, with names and texts by strangers who mean ill."""

import json
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any

import pyarrow as pa

from dnsonde.table import store
from dnsonde.table.schema import ENRICHMENT, FINDING, FLOW, MESSAGE, PROBE, TABLES, VERDICT
from dnsonde.view.view import View
from dnsonde.wire.batch import address_pair

START = 1_700_000_000_000_000  # 2023-11-14 22:13:20 UTC
SECOND = 1_000_000
VICTIM = "192.0.2.10"
HOSTILE = (
    "evil\x1b[31m.example",
    "\u202eevil.example",
    "<script>alert(1)</script>.example",
    "x\n}\nflow { route y { match { source 0.0.0.0/0; } } }.example",
    "a'] OR [domain-name:value = 'b.example",
    '"quoted", and comma.example',
    "=cmd|' /C calc'!A0.example",
    "$INCLUDE.etc.passwd.example",
    "\\027[2J.example",
    f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 50}.example",
)
Row = dict[str, Any]


def address(role: str, text: str | None) -> Row:
    net, host = address_pair(text) if text else (None, None)
    return {f"{role}_net": net, f"{role}_host": host}


def host(text: str, name: str = "recursive_resolver", **more: Any) -> Row:
    """A row of `verdict`; addresses in `more` are text."""
    roles = {role: more.pop(role, None) for role in ("egress", "responder", "answer")}
    return {
        **address("target", text), **{k: v for role, a in roles.items() for k, v in address(role, a).items()},
        "class": name, "subclass": None, "confidence": 0.98, "open": True, "egress_count": 1, "rcode": 0, "ra": True,
        "attempts": 1, "replies": 1, "sightings": 1, "query_bytes": 42, "response_bytes": 194,
        "amplification": 194 / 42, "rtt_us": 900, "first_seen_us": START, "why": HOSTILE[0], **more,
    }  # fmt: skip


def finding(detector: str, subject: str, kind: str, **more: Any) -> Row:
    """A row of `finding`; `evidence` is a dictionary."""
    evidence = more.pop("evidence", {})
    return {
        "detector": detector, "threat": "threat", "subject": subject, "subject_kind": kind, "severity": "medium",
        "confidence": 0.95, "first_seen": START, "last_seen": START + 60 * SECOND, "count": 12,
        "title": f"Something about {subject}", "summary": f"Do what is right with {subject}.",
        "evidence": json.dumps(evidence), "references": '["RFC 1035"]', **more,
    }  # fmt: skip


def flow(src: str, dst: str, *, at_s: float = 0, lasts_s: float = 0, **more: Any) -> Row:
    """A row of `flow`."""
    row = {
        **address("src", src), **address("dst", dst), "file": "f", "protocol": 17, "src_port": 40000, "dst_port": 53,
        "packets": 1, "payload_bytes": 0, "syn": 0, "synack": 0, "ack": 0, "fin": 0, "rst": 0, "push": 0,
        "mirai_syn": 0, "options": 0, "payload": b"", "fragments": 0,
        "start_us": START + round(at_s * SECOND), "end_us": START + round((at_s + lasts_s) * SECOND), **more,
    }  # fmt: skip
    row.setdefault("bytes", 100 * row["packets"])
    length = row["bytes"] // row["packets"]
    return {"length_min": length, "length_max": length, "length_mean": float(length)} | row


def message(src: str, dst: str, qname: str, **more: Any) -> Row:
    """A row of `message`."""
    zero = {pa.string(): "", pa.bool_(): False}
    blank = {c.name: zero.get(c.type, 0) for c in MESSAGE.columns if not c.null}
    return blank | {
        **address("src", src), **address("dst", dst), "time_us": START, "transport": "udp", "src_port": 53,
        "dst_port": 40000, "response": True, "rcode": 0, "qname": qname, "qtype": 255, "qclass": 1, "ip_bytes": 99,
        "id": 7, **address("answer", None), "registered_domain": "example.net", **more,
    }  # fmt: skip


def amplified(victim: str = VICTIM, reflectors: int = 20) -> list[Row]:
    """Flows of a DNS amplification on a victim, half a second long."""
    return [
        flow(
            f"198.51.100.{i + 1}",
            victim,
            at_s=1,
            lasts_s=0.5,
            src_port=53,
            dst_port=40000,
            packets=100,
            bytes=140_000,
        )
        for i in range(reflectors)
    ]


def attack(detector: str = "amplification", victim: str = VICTIM, **more: Any) -> Row:
    """The finding of that."""
    kind = "prefix" if "/" in victim else "address"
    times = {"first_seen": START + SECOND, "last_seen": START + 2 * SECOND}
    return finding(detector, victim, kind, severity="critical", **times | more)


def make_view(
    kind: str = "lake",
    *,
    hosts: Iterable[Row] = (),
    findings: Iterable[Row] = (),
    flows: Iterable[Row] = (),
    messages: Iterable[Row] = (),
    owners: Mapping[str, Row] | None = None,
    **more: Any,
) -> View:
    """A view of those rows; `told` of it is what it warned of."""
    given: dict[str, Iterable[Row]] = {
        VERDICT.name: hosts,
        FLOW.name: flows,
        MESSAGE.name: messages,
        PROBE.name: [{**address("target", "192.0.2.1"), "time_us": START}],
        ENRICHMENT.name: [{**address("address", a), **row} for a, row in (owners or {}).items()],
    }
    connection = store.database()
    tables = {}
    for name, table in TABLES.items():
        nullable = pa.schema([pa.field(f.name, f.type) for f in table.schema])
        tables[name] = connection.from_arrow(pa.Table.from_pylist(list(given.get(name, ())), nullable))
    rows = pa.Table.from_pylist(list(findings), FINDING.schema)
    usual = {"home": (ip_network("192.0.2.0/24"),), "knows_owners": bool(owners)}
    return View(kind, connection, tables, rows, **usual | more)  # type: ignore[arg-type]


OWNER = {
    "asn": 64500,
    "as_name": "Example <b>",
    "prefix": "192.0.2.0/24",
    "country": "AT",
    "abuse": "abuse@example.net",
}
