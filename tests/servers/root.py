"""A root of our own for resolvers without Internet: it delegates the probe zone, and knows one name by heart."""

import socket
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.node
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.zone

SERVER = "a.root-servers.example."
KNOWN, KNOWN_ADDRESS = "www.known.example.", "198.18.44.44"


class Root:
    """The zone `.` on one address, port 53, UDP, served by a thread for as long as the block lasts.

    zone: what is delegated to a server at `authority` (its addresses). PermissionError where port 53 is not to be had.
    """

    def __init__(self, address: str, zone: str, authority: Sequence[str]) -> None:
        self.address = address
        glue = "\n".join(f"ns1.{zone}. {'AAAA' if ':' in a else 'A'} {a}" for a in authority)
        text = f"""
$TTL 3600
. SOA {SERVER} nobody.example. 1 3600 600 86400 60
. NS {SERVER}
{SERVER} A {address}
{KNOWN} A {KNOWN_ADDRESS}
{zone}. NS ns1.{zone}.
{glue}
"""
        self._zone = dns.zone.from_text(text, dns.name.root, relativize=False)
        self._cut = dns.name.from_text(zone)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._thread = Thread(target=self._serve, name="root", daemon=True)
        try:
            self._socket.bind((address, 53))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # A datagram of our own wakes the thread: shutdown does not, and a timeout would only be slower.
        self._stopping = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (self.address, 53))
        self._thread.join()
        self._socket.close()

    _stopping = False

    def _serve(self) -> None:
        while True:
            octets, asker = self._socket.recvfrom(4096)
            if self._stopping:
                return
            with suppress(dns.exception.DNSException, OSError):
                query = dns.message.from_wire(octets)
                self._socket.sendto(self.answer(query).to_wire(max_size=1232), asker)

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        """What a root server says (RFC 1034, 4.3.2)."""
        question = query.question[0]
        response = dns.message.make_response(query, our_payload=1232)
        if question.name.is_subdomain(self._cut):
            self._add(response.authority, self._cut, dns.rdatatype.NS)
            for rtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
                self._add(response.additional, dns.name.from_text("ns1", self._cut), rtype)
            return response
        response.flags |= dns.flags.AA
        if not self._add(response.answer, question.name, question.rdtype):
            # A name above another exists, though empty (RFC 8020, 2): names are minimised on that ground.
            if not any(name.is_subdomain(question.name) for name in self._zone.nodes):
                response.set_rcode(dns.rcode.NXDOMAIN)
            self._add(response.authority, dns.name.root, dns.rdatatype.SOA)
        return response

    def _add(self, section: list[dns.rrset.RRset], name: dns.name.Name, rtype: int) -> bool:
        found = self._zone.get_rrset(name, dns.rdatatype.RdataType(rtype))
        if found is not None:
            section.append(found)
        return found is not None
