"""A file is written, and asked whose an address is."""

from ipaddress import ip_address
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

from dnsonde.owners.owner import Owner
from dnsonde.owners.source import open_source

RDAP = {
    "objectClassName": "ip network", "handle": "NET-1", "startAddress": "192.0.2.0", "endAddress": "192.0.2.255",
    "country": "AT", "entities": [
        {"roles": ["registrant"], "vcardArray": ["vcard", [["email", {}, "text", "boss@example.net"]]], "entities": [
            {"roles": ["abuse"], "vcardArray": ["vcard", [["fn", {}, "text", "Abuse"],
                                                          ["email", {}, "text", "abuse@example.net"]]]},
        ]},
    ],
}  # fmt: skip


def ask(path: Path, address: str) -> Owner:
    (source,) = open_source(path)
    return source.find(ip_address(address))[1]


def file(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def database(path: Path, records: dict[str, Any], version: int = 6) -> Path:
    """A MaxMind DB: what is known of each prefix."""
    writer = MMDBWriter(ip_version=version, ipv4_compatible=version == 6, database_type="Test")
    for prefix, record in records.items():
        writer.insert_network(IPSet([prefix]), record)
    writer.to_db_file(str(path))
    return path
