"""Shadowserver's DNS Open Resolvers report: what CSIRTs' tools read every day."""

import csv
import io
from types import MappingProxyType
from typing import BinaryIO

from dnsonde.clock import moment
from dnsonde.errors import UsageError
from dnsonde.view.view import Host, View

# https://www.shadowserver.org/what-we-do/network-reporting/dns-open-resolvers-report/, of 2023-12-08
COLUMNS = (
    "timestamp", "severity", "ip", "protocol", "port", "hostname", "tag", "dns_version", "asn", "geo", "region", "city",
    "min_amplification", "naics", "hostname_source", "sector",
)  # fmt: skip
# Classes whose answers are not what the authority said.
BOGUS = frozenset({"manipulated", "injected", "filtering"})
SEVERITY = "medium"  # of every row of that report
TAGS = MappingProxyType({False: "openresolver", True: "openresolver;bogusresolver"})


def shadowserver(view: View, out: BinaryIO) -> None:
    """Write a run's open resolvers as Shadowserver's scan_dns CSV.

    What dnsonde does not learn (the version, the reverse name, region, city, sector) stays empty; `asn` and `geo` come
    from `dnsonde enrich`. The amplification is of DNS octets, as theirs is.
    """
    if view.kind != "run":
        raise UsageError("shadowserver tells of hosts that were probed, and this is a lake: give a run")
    text = io.TextIOWrapper(out, encoding="ascii", newline="", write_through=True)
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_row(host, view.port) for host in view.hosts())
    text.detach()


def _row(host: Host, port: int) -> list[str | int]:
    # Every value is a number, an address or a word of ours: nothing in it was written by strangers.
    cells: dict[str, str | int] = {
        "timestamp": f"{moment(host.time_us):%Y-%m-%d %H:%M:%S}",
        "severity": SEVERITY,
        "ip": host.address,
        "protocol": "udp",
        "port": port,
        "tag": TAGS[host.name in BOGUS],
        "asn": host.owner.asn or "",
        "geo": _country(host.owner.country),
        "min_amplification": f"{host.factor:.4f}",
    }
    return [cells.get(name, "") for name in COLUMNS]


def _country(code: str | None) -> str:
    return code if code and len(code) == 2 and code.isascii() and code.isalpha() else ""
