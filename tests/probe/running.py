"""A prober on loopback, whom it asks, and what it wrote."""

from collections import Counter
from pathlib import Path
from typing import Any

import dns.message
import pyarrow.parquet as pq

from dnsonde.clock import SystemClock
from dnsonde.probe.plan import Plan
from dnsonde.probe.prober import ProbeProgress, Prober
from dnsonde.wire.batch import address_text

Rows = list[dict[str, Any]]


def made(query: bytes, *addresses: str, rcode: int = 0) -> bytes:
    message = dns.message.make_response(dns.message.from_wire(query), recursion_available=True)
    message.set_rcode(dns.rcode.Rcode.make(rcode))
    for address in addresses:
        message.answer.append(dns.rrset.from_text(message.question[0].name, 1, "IN", "A", address))
    return message.to_wire()


def refused(query: bytes, _last: int) -> list[bytes]:
    return [query[:2] + b"\x81\x85" + query[4:]]


def table(folder: Path, name: str) -> Rows:
    return [
        row for part in sorted((folder / name).glob("*.parquet")) for row in pq.read_table(part).to_pylist()
    ]


def asked(rows: Rows) -> Counter[tuple[str, str, int]]:
    return Counter((address_text(r["target_net"], r["target_host"]), r["kind"], r["attempt"]) for r in rows)


def run(plan: Plan, folder: Path, **more: Any) -> ProbeProgress:
    clock = more.pop("clock", None) or SystemClock()
    return Prober(plan, folder, clock=clock, device="lo", **more).run()
