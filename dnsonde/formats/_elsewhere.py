"""DNS that is spoken on a port that nobody named: it is not read as such, and whoever asked should know."""

from string import ascii_letters, digits

import numpy as np
from numpy.typing import NDArray

TCP, UDP = 6, 17
LEAST = 17  # octets of the shortest question: header, root, type, class (RFC 1035, 4.1)
NAMED_MAX = 3
FEW = 100  # of a hundred times as many
# What has DNS's header and is not read as DNS: NetBIOS names (RFC 1002), LLMNR (RFC 4795).
ALIKE = (137, 5355)
PORTS = 1 << 16
# What a label begins with, by octet.
LABEL = np.isin(np.arange(256), np.frombuffer(f"{ascii_letters}{digits}-_*".encode(), np.uint8))


class Elsewhere:
    """Counts flows that begin with a DNS message, of ports other than those that DNS is read from."""

    def __init__(self, ports: tuple[int, ...]) -> None:
        self._others = np.ones(PORTS, np.bool_)
        self._others[[*ports, *ALIKE]] = False
        self._seen = np.zeros(PORTS, np.int64)

    def add(self, flows: NDArray[np.void]) -> None:
        """Look at these `wire.flow.FLOW` rows."""
        target, source, protocol, _ = np.ascontiguousarray(flows["ports"]).view("<u2").reshape(-1, 4).T
        unread = np.flatnonzero(self._others.take(target))
        unread = unread[self._others.take(source[unread])]
        # One question: nothing else has that there as often, so only few rows are copied.
        for kind, start in ((UDP, 0), (TCP, 2)):  # over TCP its length comes first (RFC 1035, 4.2.2)
            which = unread[protocol[unread] == kind]
            which = which[flows["payload_octets"][which] >= start + LEAST]
            which = which[_word(flows["payload"], which, start + 4) == 1]
            if len(which):
                question, answer = _is_dns(flows["payload"][which, start:])
                self._seen += np.bincount(target[which[question]], minlength=PORTS)
                self._seen += np.bincount(source[which[answer]], minlength=PORTS)

    def note(self, messages: int) -> str:
        """What the person who asked should know, of so many messages as were read; nothing where that is little."""
        # A few among many are what a client got back: its question as an echo, or an answer from another port. And one
        # question without an answer is a scanner's.
        few = max(self._seen.max(), messages) / FEW
        common = np.flatnonzero((self._seen > few) & (self._seen > 1))
        if not len(common):
            return ""
        by_count = common[np.argsort(-self._seen[common], kind="stable")]
        worst = [(int(port), int(self._seen[port])) for port in by_count[:NAMED_MAX]]
        ports = ", ".join(f"{port} ({count:,} flows)" for port, count in worst)
        others = len(common) - len(worst)
        more = f" and {others:,} more" if others else ""
        option = " ".join(f"--port {port}" for port, _ in worst)
        return f"what looks like DNS on port {ports}{more} was not read as DNS; {option} reads it"


def _word(payload: NDArray[np.uint8], which: NDArray[np.intp], at: int) -> NDArray[np.int64]:
    word: NDArray[np.int64] = payload[which, at].astype(np.int64) << 8 | payload[which, at + 1]
    return word


def _is_dns(begin: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of the payloads u1 (n, at least 17), each with one question, are a query, and which a response."""
    flags, more = begin[:, 2], begin[:, 3]
    counts = np.ascontiguousarray(begin[:, 6:12]).view(">u2")
    label, first = begin[:, 12], begin[:, 13]
    named = (label >= 1) & (label <= 63) & LABEL[first]
    # QR, opcode and AA are zero, as are RA, Z and the RCODE: TC, RD, AD and CD may be set (RFC 1035, 4.1.1; RFC 4035).
    question = (
        named & (flags & 0xFC == 0) & (more & 0xCF == 0) & (counts[:, :2] == 0).all(1) & (counts[:, 2] <= 1)
    )
    # Of opcode 0, Z is zero, and the RCODE one of the first six.
    answer = named & (flags & 0xF8 == 0x80) & (more & 0x40 == 0) & (more & 0x0F <= 5) & (counts <= 255).all(1)
    return question, answer
