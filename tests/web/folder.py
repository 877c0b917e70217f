"""A folder to browse: two runs, a lake with findings, one without, and names by strangers who mean ill."""

import json
from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pyarrow as pa

from dnsonde.findings.known import Look, code, keep, parts
from dnsonde.probe import state
from dnsonde.table.lake import Lake
from dnsonde.table.schema import FINDING, MESSAGE, PROBE, REPLY, SIGHTING, VERDICT, Table
from dnsonde.table.store import Writer
from tests.export.views import HOSTILE, START, address, attack, finding, host, message

PLAN = """
[scope]
prefixes = ["127.1.0.0/24"]
port = 5300
[zone]
name = "probe.example.net"
authority = "127.0.0.53"
"""
SCRIPT = "<script>alert(1)</script>.example"
Row = dict[str, Any]


def make_folder(place: Path) -> Path:
    """All of it."""
    place.mkdir(parents=True, exist_ok=True)
    make_run(place / "runs/october", 40)
    make_run(place / "runs/november", 120, closed=5)
    make_lake(place / "march", campaign_findings())
    make_lake(place / "april", None)
    return place


def make_run(
    folder: Path, hosts: int, *, closed: int = 0, why: str = HOSTILE[2], complete: bool = True
) -> Path:
    """A run: every third host is open but for the first `closed`, every fourth silent."""
    folder.mkdir(parents=True)
    (folder / "plan.toml").write_text(PLAN)
    rows = []
    for n in range(hosts):
        here = f"127.1.0.{n}"
        if n % 4 == 3:
            rows.append(host(here, "silent", open=False, amplification=None, rtt_us=None, first_seen_us=None))
        elif n % 3 == 0 and n >= closed:
            name = ("recursive_resolver", "recursive_forwarder", "transparent_forwarder")[n % 5 % 3]
            rows.append(
                host(here, name, amplification=1 + n / 7, egress="127.9.0.1", responder=here, why=why)
            )
        else:
            rows.append(
                host(here, "refused", open=False, amplification=1.0, responder=here, why=HOSTILE[n % 10])
            )
    write(folder, VERDICT, rows)
    target = address("target", "127.1.0.0")
    write(folder, PROBE, [
        {**address("target", f"127.1.0.{n}"), "kind": "sweep", "attempt": 1, "time_us": START + n,
         "qname": HOSTILE[n % 10], "tag": n, "qtype": 1, "query_bytes": 60, "errno": 0} for n in range(hosts)
    ])  # fmt: skip
    write(folder, REPLY, [
        {**target, **address("responder", "127.1.0.0"), "time_us": START + 9, "outcome": "answered",
         "responder_port": 5300, "kind": "sweep", "attempt": 1, "rcode": 0, "response_bytes": 1232}
    ])  # fmt: skip
    write(folder, SIGHTING, [
        {**target, **address("egress", "127.9.0.1"), "time_us": START + 5, "egress_port": 4000, "transport": "udp",
         "outcome": "answered", "kind": "sweep", "attempt": 1, "tag": 0, "qname": HOSTILE[1], "qtype": 1, "qclass": 1}
    ])  # fmt: skip
    begun = state.fresh("d", START)
    begun.complete, begun.counts = complete, {"sent": hosts}
    state.save(folder, begun)
    return folder


def campaign_findings() -> list[Row]:
    """A finding of every severity, a campaign, and subjects that mean ill."""
    told = {
        "campaign": "SecShow", "template": HOSTILE[2], "intent": "covert", "targets": 30, "answered": 9, "resolved": 4,
        "names": 30, "address_written": "hex8",
    }  # fmt: skip
    return [
        attack(evidence={"vector": "dns", "packets_s": 2000}),
        finding("probing_campaign", "secshow.net", "domain", severity="high", evidence=told),
        *(finding("dns_tunnel", name, "domain", title=name, summary=name, evidence={"examples": [name]})
          for name in HOSTILE),
        finding("mirai_scan", "192.0.2.66", "address", severity="low", evidence={"destinations": 4}),
        finding("open_resolver", "192.0.2.1", "address", severity="info"),
        finding("not_known_yet", "203.0.113.68", "address", severity="info"),
    ]  # fmt: skip


def make_lake(folder: Path, findings: Sequence[Row] | None) -> Path:
    """A lake of some messages; with findings as if somebody had looked."""
    rows = [
        message("198.51.100.1", "192.0.2.1", f"{n:08x}.c.secshow.net", time_us=START + n * 10**7, file="a" * 32,
                registered_domain="secshow.net")
        for n in range(60)
    ]  # fmt: skip
    lake = Lake(folder, create=True)
    schema = MESSAGE.schema
    with lake.take("a" * 32) as intake:
        assert intake is not None
        intake.append("message", pa.RecordBatch.from_pylist([_whole(MESSAGE, row) for row in rows], schema))
        intake.commit(
            {"file": "a" * 32, "path": HOSTILE[2], "format": "pcap", "bytes": 999, "packets": 63, "parsed": 60,
             "ignored": 2, "malformed": 1, "messages": 60, "first_us": START, "last_us": START + 59 * 10**7,
             "reasons": json.dumps({HOSTILE[2]: 2, "short": 1}), "note": HOSTILE[1]}
        )  # fmt: skip
    if findings is not None:
        look = Look(START, parts(folder), code(), (ip_network("192.0.2.0/24"),), None, ())
        keep(folder, look, pa.Table.from_pylist(list(findings), FINDING.schema))
    return folder


def write(folder: Path, table: Table, rows: Iterable[Row]) -> None:
    """Rows as one part."""
    listed = [_whole(table, row) for row in rows]
    with Writer(table, folder) as writer:
        writer.append({c.name: pa.array([row[c.name] for row in listed], c.type) for c in table.columns})


def _whole(table: Table, row: Row) -> Row:
    """A row in which nothing is missing that must be there."""
    zero = {pa.string(): "", pa.bool_(): False, pa.binary(): b""}
    blank = {c.name: None if c.null else zero.get(c.type, 0) for c in table.columns}
    return blank | {
        name: value
        for name, value in row.items()
        if name in blank and (value is not None or blank[name] is None)
    }
