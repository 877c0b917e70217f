"""What came back to a prober: datagrams to rows that say whose they are, what they say, and what they teach.

A reply is attributed from the name that it asks for, whoever sent it: the name carries the target and a keyed tag.
Replies without a question (some servers send FORMERR so), and all replies to a known name, are attributed by
address and message id, which is keyed as well. What is nobody's is counted as what it is.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from dnsonde.wire._arrays import frozen
from dnsonde.wire._kernels import replied as kernel
from dnsonde.wire._kernels.answers import SCRATCH
from dnsonde.wire.batch import ADDRESS, Batch
from dnsonde.wire.datagram import DATAGRAM
from dnsonde.wire.decode import decode_messages
from dnsonde.wire.message import MESSAGE, PROBE_NAME
from dnsonde.wire.name import RUN_DIGITS, ProbeNames, run_number, secret

NO_KIND = kernel.NO_KIND


class Outcome(IntEnum):
    """What became of a datagram; the names are those of the `reply` table."""

    ANSWERED = kernel.ANSWERED
    ICMP = kernel.ICMP
    MISMATCHED = kernel.MISMATCHED  # not our name, run or target
    FORGED = kernel.FORGED  # our name with a wrong tag, our target with a wrong id
    MALFORMED = kernel.MALFORMED  # no DNS message


REPLIED = np.dtype(
    [
        ("outcome", "u1"),
        ("kind", "u1"),  # wire.name.Kind, NO_KIND where it belongs to no probe
        ("attempt", "u1"),
        ("index", "i8"),  # the target's position in the scope, -1: none
        ("target", ADDRESS),
        ("time_us", "i8"),
        ("responder", ADDRESS),
        ("responder_port", "u2"),
        ("ip_ttl", "i2"),
        ("response_bytes", "i4"),
        ("decoded", "?"),  # the columns from here to `ede` mean something
        ("rcode", "i4"),
        ("flags", "i4"),
        ("question_intact", "?"),
        ("answers", "i4"),
        ("records", "i4"),
        ("control", "?"),
        ("others", "i4"),  # addresses that are not the control
        ("answer1", ADDRESS),
        ("answer2", ADDRESS),
        ("authority_ns", "i4"),
        ("ttl_min", "i8"),
        ("edns_size", "i4"),
        ("ede", "i4"),
        ("icmp_type", "i2"),
        ("icmp_code", "i2"),
        ("offender", ADDRESS),
    ],
    align=True,
)


@dataclass(slots=True)
class Fresh:
    """How many bits `learn` has set that were clear; `outcomes` how many rows there were of each Outcome."""

    answered: int
    recursive: int
    plain: int
    heard: int
    outcomes: list[int]


class Reader:
    """Attribution for one run.

    names: the zone's codec; key and run: the run's secret and label; start, first: the scope as
    `wire.permute.range_positions` takes it; control: ADDRESS, our control addresses or the known answers; qtype: what
    the sweep asks for; known: the wire form of the known name, empty where each probe has its own.
    """

    def __init__(
        self,
        names: ProbeNames,
        key: bytes,
        run: str,
        start: NDArray[np.int64],
        first: NDArray[np.void],
        control: NDArray[np.void],
        *,
        qtype: int,
        known: bytes = b"",
    ) -> None:
        messages, found = np.zeros(1, MESSAGE), np.zeros(1, PROBE_NAME)
        octets = frozen(np.frombuffer(names.wire, np.uint8), np.uint8)
        self._about = (
            octets,
            frozen(np.frombuffer(known.lower(), np.uint8), np.uint8),
            frozen(start, np.int64),
            frozen(first, ADDRESS),
            frozen(control, ADDRESS),
            int(qtype),
        )
        self._secret = (np.uint64(run_number(run)), *secret(key, run))
        self._message = (messages, messages.view(np.uint8))
        self._name = (found, found.view(np.uint8))
        self._want = np.empty(SCRATCH, np.uint8)
        # Names of another make are for their own codec to read.
        self._codec = None if type(names).parse is ProbeNames.parse else names

    def read(
        self,
        batch: Batch,
        peers: NDArray[np.void],
        *,
        attempts: int,
        now_us: int,
        quoted: bool = False,
        out: NDArray[np.void] | None = None,
    ) -> NDArray[np.void]:
        """`REPLIED` rows of datagrams and their DATAGRAM rows.

        attempts: the last that has been sent; now_us: the time of rows for which the system knows none. `quoted`:
        they are what ICMP errors quote of our queries to those peers; then only whose they are is told, ANSWERED as
        ICMP. `out` (contiguous REPLIED rows, at least as many) is filled and returned cut to the batch.
        """
        n = len(batch)
        if out is None:
            out = np.empty(n, REPLIED)
        if len(peers) != n or len(out) < n or out.dtype != REPLIED or not out.flags.c_contiguous:
            raise ValueError(f"{len(peers)} peers and {len(out)} rows for {n} datagrams")
        out = out[:n]
        out.view(np.uint8).fill(0)
        name = self._name
        if self._codec is not None:
            name = (self._codec.parse(batch, decode_messages(batch)), name[1][:0])
        kernel.read(
            frozen(batch.data, np.uint8),
            frozen(batch.offset, np.int64),
            frozen(batch.length, np.int32),
            frozen(peers, DATAGRAM),
            bool(quoted),
            int(now_us),
            *self._about,
            int(attempts),
            *self._secret,
            *self._message,
            *name,
            self._want,
            out,
        )
        return out


def learn(
    rows: NDArray[np.void],
    answered: NDArray[np.uint8],
    recursive: NDArray[np.uint8],
    plain: NDArray[np.uint8],
    heard: NDArray[np.uint8] | None = None,
    kind: int = 0,
    attempt: int = 0,
    *,
    last: int,
) -> Fresh:
    """Set the bits of what `REPLIED` rows teach, one bit a target each.

    Whose reply is not conclusive deserves another attempt. That may help after SERVFAIL (our authority may have been
    out of reach), after an empty truncated answer (rate limits), after an ICMP error other than "unreachable port"
    and "prohibited", and without EDNS for who did not understand it: such a reply is conclusive only to the attempt
    `last`, the sweep's last.

    `heard`, where given, gets whoever replied to the probe of `kind` and `attempt`. ValueError where an index lies
    outside.
    """
    room = 8 * min(len(answered), len(recursive), len(plain), len(answered if heard is None else heard))
    if len(rows) and int(rows["index"].max()) >= room:
        raise ValueError(f"a row of target {int(rows['index'].max())} for {room} bits")
    outcomes, fresh = np.zeros(len(Outcome), np.int64), np.zeros(4, np.int64)
    heard = _NOBODY if heard is None else heard
    kernel.learn(rows, answered, recursive, plain, heard, int(kind), int(attempt), last, outcomes, fresh)
    counts = fresh.tolist()
    return Fresh(counts[0], counts[1], counts[2], counts[3], outcomes.tolist())


def warm() -> None:
    """Compile each kernel once."""
    bits, start, nobody = np.zeros(1, np.uint8), np.array([0, 1]), np.zeros(1, ADDRESS)
    reader = Reader(ProbeNames("example"), bytes(16), "0" * RUN_DIGITS, start, nobody, nobody, qtype=1)
    rows = reader.read(Batch.of([b"\0" * 12]), np.zeros(1, DATAGRAM), attempts=1, now_us=0)
    learn(rows, bits, bits, bits, bits, last=1)


_NOBODY = np.zeros(0, np.uint8)
