"""Names: text and wire (RFC 1035, 3.1 and 5.1), and the names of our own probes.

A probe's name says which target, attempt and run it belongs to, so that whoever sends it back is attributed::

    <target><attempt><tag>.[<kind>.]<run>.<zone>
    target   8 hexadecimal digits (IPv4) or 32 (IPv6)
    attempt  1 hexadecimal digit, 1 to 15
    tag      12 hexadecimal digits: the low 48 bits of SipHash-2-4 over target (16 octets, IPv4 mapped), attempt,
             kind and run label, keyed with the run's own 16 octets
    kind     none: sweep; nx: a name that does not exist; s0512: a TXT of so many octets; c3: a chain of 3 CNAMEs
    run      8 base32hex digits (RFC 4648, 7): 40 bits

It is sent in lower case and read in any.
"""

from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnsonde.wire._arrays import frozen
from dnsonde.wire.batch import ADDRESS, Batch
from dnsonde.wire.message import MESSAGE, PROBE_NAME

MAX_NAME = 255  # octets (RFC 1035, 2.3.4)
RUN_DIGITS = 8
MAX_BELOW = 46 + 6 + 1 + RUN_DIGITS  # octets of the labels left of the zone, at most

_BASE32 = "0123456789abcdefghijklmnopqrstuv"
_SPECIAL = b'"$().;@\\'


class Kind(IntEnum):
    """What a probe asks for."""

    SWEEP = 0
    NXDOMAIN = 1
    SIZE = 2
    CHAIN = 3


class NameStatus(IntEnum):
    """What a name in a question is to our zone."""

    PROBE = 0
    FOREIGN = 1  # outside the zone, or no question
    APEX = 2
    EMPTY = 3  # an empty non-terminal that could lead to a probe's name (RFC 8020, RFC 9156)
    UNKNOWN = 4  # in the zone, but no name that we give


def parse_name(text: str) -> bytes:
    r"""A name in presentation form to wire form, case kept; a last dot may be there, "." and "" are the root.

    Backslash and `\DDD` escapes as RFC 1035, 5.1; ValueError for empty or long labels, long names and non-ASCII.
    """
    if not text.isascii():
        raise ValueError(f"{text!r}: write an internationalised name in its xn-- form")
    if text in {"", "."}:
        return b"\0"
    labels = [bytearray()]
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == ".":
            labels.append(bytearray())
        elif char != "\\":
            labels[-1].append(ord(char))
        elif text[at : at + 1].isdigit():
            code = text[at : at + 3]
            if len(code) < 3 or not code.isdigit() or int(code) > 255:
                raise ValueError(f"{text!r}: \\ and digits must be \\000 to \\255")
            labels[-1].append(int(code))
            at += 3
        elif at < len(text):
            labels[-1].append(ord(text[at]))
            at += 1
        else:
            raise ValueError(f"{text!r} ends within an escape")
    if not labels[-1]:
        labels.pop()
    if any(not 1 <= len(label) <= 63 for label in labels):
        raise ValueError(f"{text!r}: a label has 1 to 63 octets")
    wire = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    if len(wire) > MAX_NAME:
        raise ValueError(f"{text!r}: a name has at most {MAX_NAME} octets")
    return wire


def show_name(wire: bytes) -> str:
    """An uncompressed wire name in presentation form, no last dot, the root "."; ValueError where it is none."""
    labels = []
    at = 0
    while True:
        if at >= len(wire):
            raise ValueError("the name has no end")
        size = wire[at]
        if size == 0:
            break
        if size > 63 or at + size >= len(wire):
            raise ValueError("a label is longer than the name, or compressed")
        labels.append("".join(_show_octet(octet) for octet in wire[at + 1 : at + 1 + size]))
        at += size + 1
    return ".".join(labels) or "."


def run_text(run: int) -> str:
    """A run's 40 bits as its label."""
    return "".join(_BASE32[run >> shift & 31] for shift in range(35, -1, -5))


def run_number(run: str) -> int:
    """A run's label, in any case, as its 40 bits; ValueError where it is none."""
    digits = [_BASE32.find(char) for char in run.lower()]
    if len(digits) != RUN_DIGITS or -1 in digits:
        raise ValueError(f"{run!r}: a run is {RUN_DIGITS} digits out of 0-9 and a-v")
    number = 0
    for digit in digits:
        number = number << 5 | digit
    return number


def siphash(key: bytes, data: bytes) -> int:
    """SipHash-2-4 of `data` under a key of 16 octets, 64 bits."""
    from dnsonde.wire._kernels import siphash as sip  # noqa: PLC0415 - slow to load, and most who need a name need none of it

    return int(sip.siphash(frozen(np.frombuffer(data, np.uint8), np.uint8), *_halves(key)))


def probe_ids(tags: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """The message ids that go with probes of these tags."""
    folded: NDArray[np.uint64] = tags ^ tags >> np.uint64(16) ^ tags >> np.uint64(32)
    return (folded & np.uint64(0xFFFF)).astype(np.uint16)


class ProbeNames:
    """The codec of probe names below one zone.

    `zone` is presentation form; ValueError where it leaves no room for our labels. `wire` is its lower-case wire form.
    """

    def __init__(self, zone: str) -> None:
        self.wire = parse_name(zone).lower()
        if len(self.wire) + MAX_BELOW > MAX_NAME:
            raise ValueError(
                f"{zone!r}: a zone has at most {MAX_NAME - MAX_BELOW} octets, for the labels below it"
            )
        self.zone = show_name(self.wire)
        self._zone = frozen(np.frombuffer(self.wire, np.uint8), np.uint8)

    def spelt(self, targets: NDArray[np.void]) -> list[bytes] | None:
        """Names of another make, in wire form, one a target; None for those described above, which a kernel writes."""
        del targets
        return None

    def parse(self, batch: Batch, messages: NDArray[np.void]) -> NDArray[np.void]:
        """What each message's asked name is, as `PROBE_NAME` rows; the tag is read, not verified."""
        from dnsonde.wire._kernels import probe_name  # noqa: PLC0415 - see `siphash`

        if len(messages) != len(batch):
            raise ValueError(f"{len(messages)} rows for {len(batch)} messages")
        out = np.zeros(len(batch), PROBE_NAME)
        data, offset = frozen(batch.data, np.uint8), frozen(batch.offset, np.int64)
        probe_name.parse(data, offset, frozen(messages, MESSAGE), self._zone, out)
        return out

    def tags(
        self, key: bytes, run: str, targets: NDArray[np.void], attempts: ArrayLike, kind: int
    ) -> NDArray[np.uint64]:
        """The 48-bit tag of each target (`ADDRESS`) and attempt (one for all, or one each)."""
        from dnsonde.wire._kernels import siphash as sip  # noqa: PLC0415 - see `siphash`

        out = np.empty(len(targets), np.uint64)
        sip.tags(frozen(targets, ADDRESS), spread(attempts, len(targets)), int(kind), *secret(key, run), out)
        return out

    def verify(self, parsed: NDArray[np.void], key: bytes, run: str) -> NDArray[np.bool_]:
        """Which of the `PROBE_NAME` rows are probes of this run with the right tag; all others are not ours."""
        from dnsonde.wire._kernels import siphash as sip  # noqa: PLC0415 - see `siphash`

        out = np.empty(len(parsed), np.bool_)
        sip.verify(frozen(parsed, PROBE_NAME), np.uint64(run_number(run)), *secret(key, run), out)
        return out

    def tail(self, run: str, kind: int, step: int) -> bytes:
        """The wire name behind the target label: kind, run and zone. ValueError for a kind or step out of range."""
        label = _run_label(run)
        match kind:
            case Kind.SWEEP:
                return label + self.wire
            case Kind.NXDOMAIN:
                return b"\2nx" + label + self.wire
            case Kind.SIZE if 0 <= step <= 9999:
                return b"\5s%04d" % step + label + self.wire
            case Kind.CHAIN if 0 <= step <= 15:
                return b"\2c%x" % step + label + self.wire
        raise ValueError(f"no kind {kind} with step {step}")


@lru_cache(maxsize=16)  # of one run there are as many calls as batches
def secret(key: bytes, run: str) -> tuple[np.uint64, np.uint64, np.uint64]:
    """What the tagging kernels want: the run label's octets as an integer, and the key's halves."""
    label = run_text(run_number(run)).encode()
    return (np.uint64(int.from_bytes(label, "little")), *_halves(key))


def spread(attempts: ArrayLike, n: int) -> NDArray[np.generic]:
    """Attempts, one for all or one each, as uint8 (n,); ValueError outside 1 to 15."""
    given = np.asarray(attempts)
    if n and (int(given.min()) < 1 or int(given.max()) > 15):
        raise ValueError("an attempt is 1 to 15")
    return frozen(np.broadcast_to(given, (n,)) if given.ndim else np.full(n, given, np.uint8), np.uint8)


def warm() -> None:
    """Compile each kernel once."""
    names = ProbeNames("example")
    key, run = bytes(16), "0" * RUN_DIGITS
    names.tags(key, run, np.zeros(1, ADDRESS), 1, 0)
    empty = Batch(np.zeros(1, np.uint8), np.zeros(1, np.int64), np.zeros(1, np.int32))
    names.verify(names.parse(empty, np.zeros(1, MESSAGE)), key, run)
    siphash(key, b"")


@lru_cache(maxsize=16)
def _run_label(run: str) -> bytes:
    """A run's label in wire form, in lower case."""
    return parse_name(run_text(run_number(run)))[:-1]


def _halves(key: bytes) -> tuple[np.uint64, np.uint64]:
    if len(key) != 16:
        raise ValueError(f"a key has 16 octets, not {len(key)}")
    return np.uint64(int.from_bytes(key[:8], "little")), np.uint64(int.from_bytes(key[8:], "little"))


def _show_octet(octet: int) -> str:
    if octet in _SPECIAL:
        return "\\" + chr(octet)
    return chr(octet) if 0x20 < octet < 0x7F else f"\\{octet:03d}"
