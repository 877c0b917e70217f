"""Which probe a datagram or an ICMP error answers, and what it says: batches in, rows and columns out. Pure.

How a reply is attributed, and what it teaches, `wire.replied` knows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnsonde.probe.order import Scope
from dnsonde.probe.rounds import KINDS
from dnsonde.wire.batch import Batch
from dnsonde.wire.datagram import DATAGRAM
from dnsonde.wire.name import ProbeNames
from dnsonde.wire.replied import NO_KIND, Outcome, Reader

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
        self._scope = scope
        self._reader = Reader(
            names, secret.key, secret.run, scope.start, scope.first, control, qtype=qtype, known=known
        )

    def replies(
        self, batch: Batch, datagrams: Rows, *, attempt: int, now_us: int = 0, out: Rows | None = None
    ) -> Rows:
        """`REPLIED` rows for received datagrams (DATAGRAM); `attempt` is the last that has been sent.

        `now_us` stands where the system tells no time; `out` is filled, where it is given, and returned cut to size.
        """
        return self._reader.read(batch, datagrams, attempts=attempt, now_us=now_us, out=out)

    def errors(self, icmp: Rows, quoted: Batch, *, kind: int, attempt: int, now_us: int = 0) -> Rows:
        """`REPLIED` rows for ICMP errors (ICMP_ERROR) with what they quote of our queries.

        A router need not quote more than 8 octets of UDP (RFC 792): what has no readable name is attributed by
        the address that it is about and the id; without even that to the round that is on, of `kind` and
        `attempt`.
        """
        asked = np.zeros(len(icmp), DATAGRAM)
        for name in ("net", "host", "port", "time_us"):
            asked[name] = icmp[name]
        asked["ttl"] = -1
        rows = self._reader.read(quoted, asked, attempts=attempt, now_us=now_us, quoted=True)
        rows["icmp_type"], rows["icmp_code"] = icmp["type"], icmp["code"]
        rows["offender"]["net"], rows["offender"]["host"] = icmp["offender_net"], icmp["offender_host"]
        blind = np.flatnonzero(quoted.length < 2)
        if len(blind):
            about = np.ascontiguousarray(rows["responder"][blind])
            index = self._scope.index(about)
            mine, index = blind[index >= 0], index[index >= 0]
            rows["index"][mine], rows["target"][mine] = index, rows["responder"][mine]
            rows["kind"][mine], rows["attempt"][mine] = kind, attempt
            rows["outcome"][mine] = Outcome.ICMP
        return rows


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
