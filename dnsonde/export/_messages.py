"""DNS messages of a lake, row by row, and what their numbers are called."""

from collections.abc import Iterator
from typing import Any

import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from dnsonde.table.readable import readable
from dnsonde.view.view import View

COLUMNS = (
    "time_us", "transport", "src", "dst", "src_port", "dst_port", "ip_bytes", "id", "response", "opcode", "rcode", "aa",
    "tc", "rd", "ra", "ad", "cd", "qname", "qtype", "qclass", "answer", "registered_domain",
)  # fmt: skip


def dns_rows(view: View) -> Iterator[dict[str, Any]]:
    """The well-formed messages of a lake, with addresses as text."""
    for batch in readable(view.tables["message"].filter("status = 0"), columns=COLUMNS):
        yield from batch.to_pylist()


def rrtype(number: int | None) -> str | None:
    """A record type's mnemonic, or TYPE and its number (RFC 3597)."""
    return None if number is None else dns.rdatatype.to_text(dns.rdatatype.RdataType.make(number & 0xFFFF))


def rrclass(number: int | None) -> str | None:
    """A class's mnemonic, or CLASS and its number (RFC 3597)."""
    return None if number is None else dns.rdataclass.to_text(dns.rdataclass.RdataClass.make(number & 0xFFFF))


def rcode(number: int | None) -> str | None:
    """A response code's mnemonic, or its number."""
    return None if number is None else dns.rcode.to_text(dns.rcode.Rcode.make(number & 0xFFF))


def opcode(number: int | None) -> str | None:
    """An operation's mnemonic, or its number."""
    return None if number is None else dns.opcode.to_text(dns.opcode.Opcode.make(number & 0xF))
