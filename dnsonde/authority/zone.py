"""The zone that the authority serves: computed, never loaded, so that no answer can name a stranger.

Its only addresses are the asker's own and those given here. Below the apex live the probe names
(`wire.name`), and four fixed ones:

* `ns1`, `ns2`, ...: the name servers, one a pair of `addresses` (A and AAAA of one host);
* `probing`: TXT with contact, description and where probing.txt lies (RFC 9511);
* `whoami`: what the authority saw of the asker, for a person with dig.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from dnsonde.wire.name import MAX_NAME, parse_name


@dataclass(frozen=True, slots=True)
class Zone:
    """What the authority knows by heart.

    name: the delegated zone; addresses: of the authority itself; control: our own addresses, of which the
    first of each family is the second answer of every probe name; contact: mail address or URL;
    ttl_s and negative_ttl_s: seconds (RFC 2308); serial: of the SOA, constant as nothing ever changes; nsid: what
    this server is called, for those who ask (RFC 5001), at most 255 octets; empty: it is not told.
    """

    name: str
    addresses: tuple[str, ...]
    control: tuple[str, ...]
    contact: str = ""
    description: str = ""
    url: str = ""
    ttl_s: int = 10
    negative_ttl_s: int = 10
    serial: int = 1
    nsid: str = ""

    @property
    def wire(self) -> bytes:
        """The zone's name in wire form, lower case."""
        return parse_name(self.name).lower()

    @property
    def control4(self) -> bytes:
        """The control's four octets; empty when there is none."""
        return first(self.control, 4)

    @property
    def control6(self) -> bytes:
        """The control's sixteen octets; empty when there is none."""
        return first(self.control, 6)

    @property
    def servers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The A and AAAA rdata of ns1, ns2, ... ns9; empty bytes where a server lacks the family."""
        fours = [ip_address(a).packed for a in self.addresses if ip_address(a).version == 4]
        sixes = [ip_address(a).packed for a in self.addresses if ip_address(a).version == 6]
        count = min(max(len(fours), len(sixes), 1), 9)
        fours += [b""] * (count - len(fours))
        sixes += [b""] * (count - len(sixes))
        return tuple(zip(fours[:count], sixes[:count], strict=True))

    @property
    def mailbox(self) -> bytes | None:
        """The contact's mail address as an SOA RNAME (RFC 1035, 8) in wire form; None when it is no mail address."""
        user, at, host = self.contact.removeprefix("mailto:").partition("@")
        local = user.encode()
        if not at or not host or not 1 <= len(local) <= 63:
            return None
        try:
            wire = bytes([len(local)]) + local + parse_name(host)
        except ValueError:
            return None
        return wire if len(wire) <= MAX_NAME else None

    @property
    def notice(self) -> tuple[bytes, ...]:
        """Character strings for whoever wonders who asks: description, contact, and the probing.txt address."""
        parts = [self.description, f"contact={self.contact}" if self.contact else "", self._pointer()]
        return tuple(p.encode()[:255] for p in parts if p) or (b"DNS measurement",)

    def _pointer(self) -> str:
        if not self.url:
            return ""
        scheme, _, rest = self.url.partition("://")
        return f"probing={scheme}://{rest.split('/', 1)[0]}/.well-known/probing.txt"


def first(addresses: Sequence[str], version: int) -> bytes:
    """Packed form of the first address of that IP version; empty when there is none."""
    for text in addresses:
        address = ip_address(text)
        if address.version == version:
            return address.packed
    return b""
