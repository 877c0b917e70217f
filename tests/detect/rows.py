"""Small `message` and `flow` tables as a reader would write them, and findings as a user would read them."""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from dnsonde.detect._contract import Detector
from dnsonde.findings.compiled import query_of
from dnsonde.findings.queries import Stages
from dnsonde.formats._names import name_columns
from dnsonde.table import store
from dnsonde.table.finding import findings
from dnsonde.table.prefix import prefixes
from dnsonde.table.schema import FLOW, MESSAGE
from dnsonde.table.sides import Seen
from dnsonde.wire.batch import address_pair

HOME = ("192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32")
SEEN = Seen(prefixes(HOME))
START = 1_700_000_000_000_000  # 2023-11-14 22:13:20 UTC
SECOND = 1_000_000
DAY = 86_400 * SECOND
A, NS, CNAME, MX, TXT, AAAA, ANY = 1, 2, 5, 15, 16, 28, 255
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5

Row = dict[str, Any]

REFILL = {
    "message": ("DELETE FROM message", "INSERT INTO message BY NAME SELECT * FROM fresh"),
    "flow": ("DELETE FROM flow", "INSERT INTO flow BY NAME SELECT * FROM fresh"),
}

_MESSAGE: Row = {
    "file": "test", "packet": 1, "transport": "udp", "src_port": 40000, "dst_port": 53, "ip_ttl": 57,
    "status": 0, "id": 4711, "response": False, "opcode": 0, "aa": False, "tc": False, "rd": True, "ra": False,
    "ad": False, "cd": False, "qdcount": 1, "ancount": 0, "nscount": 0, "arcount": 0, "mixed_case": False,
    "qtype": A, "qclass": 1, "cookie": False, "answers": 0, "answer_hash": 0,
}  # fmt: skip

_FLOW: Row = {
    "file": "test", "protocol": 6, "src_port": 40000, "dst_port": 23, "packets": 1, "bytes": 40,
    "payload_bytes": 0, "syn": 0, "synack": 0, "ack": 0, "fin": 0, "rst": 0, "push": 0, "mirai_syn": 0,
    "ttl_min": 57, "ttl_max": 57, "options": 0, "payload": b"", "fragments": 0,
}  # fmt: skip


def query(src: str, dst: str, qname: str, *, time_s: float = 0.0, **more: Any) -> Row:
    """A query `time_s` after START; `more` are columns of `message`."""
    return {
        **_MESSAGE,
        **_ends(src, dst),
        "time_us": START + round(time_s * SECOND),
        "qname": qname.lower(),
        "dns_bytes": 12 + len(qname) + 6,
        "ip_bytes": 28 + 12 + len(qname) + 6,
        **more,
    }


def response(asked: Row, answer: str | None = None, *, after_s: float = 0.01, **more: Any) -> Row:
    """What answers the query `asked`: with one address, or with none; `more` are columns of `message`."""
    turned = {
        **asked,
        **{f"src_{part}": asked[f"dst_{part}"] for part in ("net", "host", "port")},
        **{f"dst_{part}": asked[f"src_{part}"] for part in ("net", "host", "port")},
        "time_us": asked["time_us"] + round(after_s * SECOND),
        "src_mac": asked.get("dst_mac"),
        "response": True,
        "ra": True,
        "rcode": NOERROR,
    }
    turned.pop("dst_mac", None)
    if answer is not None:
        net, host = address_pair(answer)
        turned |= {
            "ancount": 1, "answers": 1, "answer_net": net, "answer_host": host, "ttl_min": 300,
            "answer_hash": hash((net, host)) or 1, "dns_bytes": asked["dns_bytes"] + 16,
            "ip_bytes": asked["ip_bytes"] + 16,
        }  # fmt: skip
    return turned | more


def flow(src: str, dst: str, *, time_s: float = 0.0, lasts_s: float = 0.0, **more: Any) -> Row:
    """A flow row that starts `time_s` after START; `more` are columns of `flow`."""
    row = {
        **_FLOW,
        **_ends(src, dst),
        "start_us": START + round(time_s * SECOND),
        "end_us": START + round((time_s + lasts_s) * SECOND),
        **more,
    }
    length = row["bytes"] // max(1, row["packets"])
    sizes = {"length_min": length, "length_max": length, "length_mean": float(length)}
    return {**sizes, **row}


def _ends(src: str, dst: str) -> Row:
    source, destination = address_pair(src), address_pair(dst)
    return {
        "src_net": source[0], "src_host": source[1], "dst_net": destination[0], "dst_host": destination[1],
    }  # fmt: skip


def moved(row: Row, by_us: int) -> Row:
    """The same at another time."""
    return row | {name: row[name] + by_us for name in ("time_us", "start_us", "end_us") if name in row}


def tables(messages: Iterable[Row] = (), flows: Iterable[Row] = ()) -> dict[str, pa.Table]:
    """What detectors look at: both tables, told what is home."""
    connection = store.database(threads=1)
    connection.register("message", _messages(list(messages)))
    connection.register("flow", _flows(list(flows)))
    return {name: connection.execute(SEEN.sql(name)).fetch_arrow_table() for name in ("message", "flow")}


def _messages(rows: list[Row]) -> pa.Table:
    wanted = MESSAGE.schema
    if not rows:
        return wanted.empty_table()
    qname = pa.array([row["qname"] for row in rows], pa.string())
    address = {
        f"{role}_{half}": np.array([row[f"{role}_{half}"] for row in rows], np.int64)
        for role in ("src", "dst")
        for half in ("net", "host")
    }
    names = name_columns(qname, address, np.array([row["time_us"] for row in rows], np.int64))
    columns = []
    for field in wanted:
        if field.name not in names:
            columns.append(pa.array([row.get(field.name) for row in rows], field.type))
            continue
        found = names[field.name]
        if found is None:  # nothing in any row
            found = pa.nulls(len(rows), field.type)
        if isinstance(found, tuple):  # values, and which of them are there
            found = pa.array(found[0], mask=~found[1])
        columns.append(pa.array(found).cast(field.type))
    return pa.Table.from_arrays(columns, schema=wanted)


def _flows(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, FLOW.schema) if rows else FLOW.schema.empty_table()


def _told(detector: Detector, found: pa.Table) -> list[Row]:
    rows = [
        {**row, "evidence": json.loads(row["evidence"])}
        for row in findings(detector.wording, found).to_pylist()
    ]
    return sorted(rows, key=lambda row: (row["subject"], row["first_seen"]))


def found(
    detector: Detector, messages: Iterable[Row] = (), flows: Iterable[Row] = (), **settings: Any
) -> list[Row]:
    """The findings in some rows."""
    return _bench().found(detector, messages, flows, settings)


def apart(detector: Detector, *cases: Iterable[Row]) -> list[list[Row]]:
    """The findings in each of several cases of flow rows, looked for at once: planning a query takes most of the time.

    Each case has a day and a file of its own. For detectors to whom what is of another day and file is nothing.
    """
    flows = [
        moved(row, number * DAY) | {"file": str(number)} for number, case in enumerate(cases) for row in case
    ]
    told: list[list[Row]] = [[] for _ in cases]
    for row in found(detector, flows=flows):
        number = (row["first_seen"] - START) // DAY
        told[number].append(row | {name: row[name] - number * DAY for name in ("first_seen", "last_seen")})
    return told


class _Bench:
    """Tables that are filled anew for each test, and queries by stages as `dnsonde detect` runs them."""

    def __init__(self) -> None:
        self._connection = store.database(threads=1)
        for table in (MESSAGE, FLOW):
            self._connection.register("fresh", table.schema.empty_table())
            self._connection.execute(f"CREATE TABLE {table.name} AS FROM fresh")
            self._connection.execute(f"CREATE VIEW seen_{table.name} AS {SEEN.sql(table.name)}")

    def found(
        self, detector: Detector, messages: Iterable[Row], flows: Iterable[Row], settings: Row
    ) -> list[Row]:
        for name, fresh in (("message", _messages(list(messages))), ("flow", _flows(list(flows)))):
            self._connection.register("fresh", fresh)
            for statement in REFILL[name]:
                self._connection.execute(statement)
            self._connection.unregister("fresh")
        query = query_of(detector.name, tuple(sorted(settings.items())))
        stages = Stages(self._connection)
        rows = stages.rows(query)
        stages.drop(query, [])
        return _told(detector, rows)


@cache
def _bench() -> _Bench:
    return _Bench()
