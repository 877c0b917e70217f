"""Which probe a datagram answers, and what it says: batches in, rows out. Pure.

A reply is attributed from its name alone, whoever sent it: the name carries the target and a keyed tag.
Replies without a question (some servers send FORMERR so), and all replies to a known name, are attributed by
address and message id, which is keyed as well. What is nobody's is counted as what it is: malformed (no DNS
message), mismatched (not our name, run or target), forged (our name with a wrong tag, our target with a
wrong id).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnsonde.probe.order import Scope
from dnsonde.wire.batch import ADDRESS, MAPPED, Batch
from dnsonde.wire.codes import Class, Flag, Rcode, Status, Type
from dnsonde.wire.decode import decode_messages, decode_records
from dnsonde.wire.message import MESSAGE, PROBE_NAME
from dnsonde.wire.name import Kind, NameStatus, ProbeNames, probe_ids, run_number

KINDS = ("sweep", "nxdomain", "size", "chain")
NO_KIND = 255
HEADER = 12
KEPT = 4  # addresses that MESSAGE keeps of an answer


class Outcome(IntEnum):
    """What became of a datagram; the names are those of the `reply` table."""

    ANSWERED = 0
    ICMP = 1
    MISMATCHED = 2
    FORGED = 3
    MALFORMED = 4


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
    ]
)

Rows = NDArray[np.void]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Secret:
    """What makes a run's names its own: 16 octets, and the label of 8 digits."""

    key: bytes
    run: str


class Matcher:
    """Attribution for one run.

    names: the zone's codec; scope: the targets; control: `ADDRESS` rows, our control addresses or the known
    answers; known: the wire form of the known name, empty where each probe has its own. `qtype` is what the
    sweep asks for.
    """

    def __init__(
        self,
        names: ProbeNames,
        secret: Secret,
        scope: Scope,
        control: Rows,
        *,
        qtype: int,
        known: bytes = b"",
    ) -> None:
        self._names, self._secret, self._scope = names, secret, scope
        self._control = control
        self._qtype = qtype
        self._known = np.frombuffer(known, np.uint8)
        self._run = np.uint64(run_number(secret.run))
        self._messages = np.zeros(0, MESSAGE)

    def replies(self, batch: Batch, datagrams: Rows, *, attempt: int) -> Rows:
        """`REPLIED` rows for received datagrams (DATAGRAM); `attempt` is the last that has been sent."""
        n = len(batch)
        if n > len(self._messages):
            self._messages = np.zeros(n, MESSAGE)
        messages = decode_messages(batch, self._messages)
        rows = np.zeros(n, REPLIED)
        rows["time_us"] = datagrams["time_us"]
        rows["responder"]["net"] = datagrams["net"]
        rows["responder"]["host"] = datagrams["host"]
        rows["responder_port"] = datagrams["port"]
        rows["ip_ttl"] = datagrams["ttl"]
        rows["response_bytes"] = datagrams["full_length"]
        good = messages["status"] == Status.OK
        nameless = good & (messages["qdcount"] == 0)
        if len(self._known):
            rows["outcome"] = Outcome.MISMATCHED
            asked = self._asked_known(batch, messages, good)
            self._attribute_by_id(rows, messages["id"], rows["responder"], asked | nameless, attempt)
        else:
            self._attribute_by_name(rows, self._names.parse(batch, messages), good)
            if nameless.any():
                self._attribute_by_id(rows, messages["id"], rows["responder"], nameless, attempt)
        rows["outcome"][~good] = Outcome.MALFORMED
        _forget(rows, rows["outcome"] != Outcome.ANSWERED)
        self._describe(rows, messages, good)
        self._count_referrals(rows, batch, messages)
        return rows

    def errors(self, icmp: Rows, quoted: Batch, *, kind: int, attempt: int) -> Rows:
        """`REPLIED` rows for ICMP errors (ICMP_ERROR) with what they quote of our queries.

        A router need not quote more than 8 octets of UDP (RFC 792): what has no readable name is attributed by
        the address that it is about and the id; without even that to the round that is on, of `kind` and
        `attempt`.
        """
        messages = decode_messages(quoted)
        rows = np.zeros(len(icmp), REPLIED)
        asked = np.zeros(len(icmp), ADDRESS)
        asked["net"], asked["host"] = icmp["net"], icmp["host"]
        rows["responder"] = asked
        rows["time_us"] = icmp["time_us"]
        rows["responder_port"] = icmp["port"]
        rows["ip_ttl"] = -1
        rows["icmp_type"], rows["icmp_code"] = icmp["type"], icmp["code"]
        rows["offender"]["net"], rows["offender"]["host"] = icmp["offender_net"], icmp["offender_host"]
        rows["outcome"] = Outcome.MISMATCHED
        whole = messages["status"] == Status.OK
        if not len(self._known):
            self._attribute_by_name(rows, self._names.parse(quoted, messages), whole)
        cut = rows["outcome"] == Outcome.MISMATCHED
        with_id = cut & (quoted.length >= 2)
        self._attribute_by_id(rows, messages["id"], asked, with_id, attempt)
        blind = cut & (quoted.length < 2)
        rows["index"][blind] = self._scope.index(np.ascontiguousarray(asked[blind]))
        rows["target"][blind] = asked[blind]
        rows["kind"][blind], rows["attempt"][blind] = kind, attempt
        ours = (rows["outcome"] == Outcome.ANSWERED) | blind & (rows["index"] >= 0)
        rows["outcome"] = np.where(ours, Outcome.ICMP, Outcome.MISMATCHED)
        _forget(rows, ~ours)
        return rows

    def _attribute_by_name(self, rows: Rows, parsed: NDArray[np.void], good: Mask) -> None:
        """Outcome, target, kind and attempt from `PROBE_NAME` rows; only where `good`."""
        assert parsed.dtype == PROBE_NAME
        named = good & (parsed["status"] == NameStatus.PROBE) & (parsed["run"] == self._run)
        genuine = named & self._names.verify(parsed, self._secret.key, self._secret.run)
        index = self._scope.index(np.ascontiguousarray(parsed["target"]))
        rows["index"] = index
        rows["target"] = parsed["target"]
        rows["kind"], rows["attempt"] = parsed["kind"], parsed["attempt"]
        rows["outcome"] = np.where(
            genuine & (index >= 0),
            Outcome.ANSWERED,
            np.where(named & ~genuine, Outcome.FORGED, Outcome.MISMATCHED),
        )
        if parsed["mixed_case"].any():
            rows["question_intact"] = ~parsed["mixed_case"]
        else:
            rows["question_intact"] = True

    def _attribute_by_id(
        self, rows: Rows, ids: NDArray[np.uint16], about: Rows, which: Mask, attempt: int
    ) -> None:
        """The same for the rows in `which`, by the address that they are about and the keyed message id."""
        at = np.flatnonzero(which)
        if len(at) == 0:
            return
        about = np.ascontiguousarray(about[at])
        index = self._scope.index(about)
        outcome = np.where(index >= 0, Outcome.FORGED, Outcome.MISMATCHED).astype(np.uint8)
        found = np.zeros(len(at), np.uint8)
        for tried in range(1, attempt + 1):
            expected = probe_ids(
                self._names.tags(self._secret.key, self._secret.run, about, tried, Kind.SWEEP)
            )
            found[(expected == ids[at]) & (index >= 0)] = tried
        outcome[found > 0] = Outcome.ANSWERED
        rows["index"][at], rows["target"][at] = index, about
        rows["kind"][at], rows["attempt"][at] = Kind.SWEEP, found
        rows["outcome"][at] = outcome
        rows["question_intact"][at] = len(self._known) > 0

    def _asked_known(self, batch: Batch, messages: Rows, good: Mask) -> Mask:
        """Whose question is the known name, in any case."""
        size = len(self._known)
        same = good & (messages["qname_length"] == size) & (messages["question_end"] == HEADER + size + 4)
        at = np.flatnonzero(same)
        octets = batch.data[(batch.offset[at] + HEADER)[:, None] + np.arange(size)]
        upper = (octets >= ord("A")) & (octets <= ord("Z"))
        same[at] = (np.where(upper, octets | 0x20, octets) == self._known).all(axis=1)
        known: Mask = same
        return known

    def _describe(self, rows: Rows, messages: Rows, good: Mask) -> None:
        """The columns that come from the message itself."""
        rows["decoded"] = good
        rows["rcode"], rows["flags"] = messages["rcode"], messages["flags"]
        rows["records"], rows["answers"] = messages["ancount"], messages["address_count"]
        rows["ttl_min"], rows["ede"] = messages["ttl_min"], messages["ede"]
        rows["edns_size"] = np.where(messages["edns_version"] >= 0, messages["edns_size"], -1)
        rows["question_intact"] &= (messages["qdcount"] == 1) & (messages["qclass"] == Class.IN)
        rows["question_intact"] &= (messages["qtype"] == self._qtype) | (rows["kind"] == Kind.SIZE)
        given = np.arange(KEPT) < messages["address_count"][:, None]
        ours = np.zeros(given.shape, np.bool_)
        for net, host in self._control.tolist():
            ours |= (messages["address_net"] == net) & (messages["address_host"] == host)
        ours &= given
        rows["control"] = ours.any(axis=1)
        rows["others"] = messages["address_count"] - ours.sum(axis=1)
        other = given & ~ours
        row = np.arange(len(rows))
        for name in ("answer1", "answer2"):
            first = other.argmax(axis=1)
            there = other[row, first]
            rows[name]["net"] = np.where(there, messages["address_net"][row, first], 0)
            rows[name]["host"] = np.where(there, messages["address_host"][row, first], 0)
            other[row, first] = False

    def _count_referrals(self, rows: Rows, batch: Batch, messages: Rows) -> None:
        """NS records of the authority section, where they could make a referral."""
        bare = (messages["nscount"] > 0) & (messages["ancount"] == 0) & (rows["outcome"] == Outcome.ANSWERED)
        at = np.flatnonzero(bare)
        if len(at):
            part = Batch(batch.data, batch.offset[at], batch.length[at])
            records = decode_records(part, messages[at])
            servers = (records["section"] == 2) & (records["type"] == Type.NS)
            rows["authority_ns"][at] = np.bincount(records["message"][servers], minlength=len(at))


def _forget(rows: Rows, which: Mask) -> None:
    """What is nobody's has no target."""
    rows["index"][which] = -1
    rows["kind"][which] = NO_KIND
    rows["attempt"][which] = 0


@dataclass(frozen=True, slots=True)
class Lessons:
    """What replies teach of their targets, a mask a row each.

    conclusive: the sweep is over for it; proven: it gave our control address, so it resolves; plain: it may not know
    EDNS, and is to be asked again without.
    """

    conclusive: Mask
    proven: Mask
    plain: Mask


def lessons(rows: Rows) -> Lessons:
    """What `REPLIED` rows teach. Whose reply is not conclusive deserves another attempt.

    That may help after SERVFAIL (our authority may have been out of reach), after an empty truncated answer (rate
    limits), after an ICMP error other than "port unreachable" and "prohibited", and without EDNS for who did not
    understand it (RFC 6891, 6.2.2).
    """
    sweep = rows["kind"] == Kind.SWEEP
    answered = sweep & (rows["outcome"] == Outcome.ANSWERED)
    rcode, flags = np.ascontiguousarray(rows["rcode"]), np.ascontiguousarray(rows["flags"])
    response = answered & ((flags & Flag.QR) != 0)
    proven = response & (rcode == Rcode.NOERROR) & rows["control"]
    plain = again = np.zeros(len(rows), np.bool_)
    if rcode.any():
        puzzled = (rcode == Rcode.FORMERR) | (rcode == Rcode.NOTIMP) | (rcode == Rcode.BADVERS)
        plain = response & puzzled & (rows["attempt"] == 1)
        again = plain | (rcode == Rcode.SERVFAIL)
    cut = (flags & Flag.TC) != 0
    if cut.any():
        again = again | cut & (rows["answers"] == 0)
    conclusive = answered & ~again
    icmp = sweep & (rows["outcome"] == Outcome.ICMP)
    if icmp.any():
        conclusive |= icmp & _final(rows)
    return Lessons(conclusive, proven, plain)


def _final(rows: Rows) -> Mask:
    ipv4 = (rows["target"]["net"] == 0) & (rows["target"]["host"] >> 32 == MAPPED >> 32)
    code, kind = rows["icmp_code"], rows["icmp_type"]
    final4 = (kind == 3) & np.isin(code, (2, 3, 9, 10, 13))
    final6 = (kind == 1) & np.isin(code, (1, 4, 5, 6))
    final: Mask = np.where(ipv4, final4, final6)
    return final


def reply_columns(rows: Rows) -> dict[str, Any]:
    """Rows of one outcome and one kind as columns of the `reply` table."""
    outcome, kind = Outcome(int(rows["outcome"][0])), int(rows["kind"][0])
    icmp = outcome == Outcome.ICMP
    decoded = rows["decoded"]
    columns: dict[str, Any] = {
        "time_us": rows["time_us"],
        "outcome": outcome.name.lower(),
        "kind": None if kind == NO_KIND else KINDS[kind],
        "attempt": None if kind == NO_KIND else rows["attempt"],
        "responder_port": rows["responder_port"],
        "response_bytes": rows["response_bytes"],
        "ip_ttl": (rows["ip_ttl"], rows["ip_ttl"] >= 0),
        "ttl_min": (rows["ttl_min"], decoded & (rows["ttl_min"] >= 0)),
        "edns_size": (rows["edns_size"], decoded & (rows["edns_size"] >= 0)),
        "ede": (rows["ede"], decoded & (rows["ede"] >= 0)),
        "egress_count": (rows["others"], decoded),
        "icmp_type": rows["icmp_type"] if icmp else None,
        "icmp_code": rows["icmp_code"] if icmp else None,
    }
    for name in ("rcode", "flags", "question_intact", "answers", "control", "records", "authority_ns"):
        columns[name] = (rows[name], decoded)
    there = {
        "target": np.full(len(rows), kind != NO_KIND),
        "responder": None,
        "answer1": decoded & (rows["others"] > 0),
        "answer2": decoded & (rows["others"] > 1),
        "offender": np.full(len(rows), icmp),
    }
    for role, valid in there.items():
        for half in ("net", "host"):
            values = rows[role][half]
            columns[f"{role}_{half}"] = values if valid is None else (values, valid)
    return columns
