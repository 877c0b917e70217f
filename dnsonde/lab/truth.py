"""What every host of a lab really is: the table that a measurement's verdicts are held against."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dnsonde.lab.behavior import AT_ONCE, KIND_NAMES, KINDS, Act, Behavior, Way
from dnsonde.lab.scenario import Scenario
from dnsonde.table.schema import BOOL, I32, I64, TEXT, Column, Table
from dnsonde.table.store import Writer
from dnsonde.wire.batch import MAPPED

CHUNK = 1 << 17

TRUTH = Table(
    "truth",
    "one host of a lab, silent ones too",
    "lab",
    (
        Column("target_net", I64, "address of the host: network half (0 for IPv4)"),
        Column("target_host", I64, "address of the host: host half (IPv4-mapped)"),
        Column("behavior", TEXT, "what it does (lab.behavior.KINDS)"),
        Column("class", TEXT, "verdict that a perfect measurement reaches"),
        Column(
            "subclass", TEXT, "its variety; null where it depends on what else is probed or seen", null=True
        ),
        Column("open", BOOL, "it resolves for strangers, by whatever way"),
        Column("egress_net", I64, "first address it asks the authority from: network half", null=True),
        Column("egress_host", I64, "first address it asks the authority from: host half", null=True),
        Column("egress_count", I32, "consecutive addresses that it asks from, by turns; 0: it does not ask"),
        Column("responder_net", I64, "address its replies come from: network half", null=True),
        Column("responder_host", I64, "address its replies come from: host half", null=True),
        Column("delay_us", I64, "what it adds to every reply"),
    ),
)

_OF = tuple(KINDS.values())
_CLASS = pa.array([k.verdict for k in _OF])
_SUBCLASS = pa.array([k.subclass for k in _OF], pa.string())
_OPEN = np.array([k.open for k in _OF])
_ASKS = np.array([k.asks for k in _OF])
_REPLIES = np.array([k.at_once != Act.NONE or k.after != Act.NONE for k in _OF])
_TRANSPARENT = np.array([k.egress == Way.POOL and k.responder == Way.POOL for k in _OF])


def truth(scenario: Scenario, target: NDArray[np.uint32], *, icmp: bool = True) -> dict[str, object]:
    """Columns of TRUTH for some addresses; without `icmp` the hosts that would send it are silent."""
    host = Behavior(scenario).describe(target)
    kind = host["kind"].astype(np.int64)
    if not icmp:
        kind = np.where(AT_ONCE[kind] >= Act.ICMP_HOST, KIND_NAMES.index("silent"), kind)
    asks, replies = _ASKS[kind], _REPLIES[kind] & (AT_ONCE[kind] < Act.ICMP_HOST)
    subclass = _SUBCLASS.take(pa.array(kind)).to_numpy(zero_copy_only=False)
    own = host["responder"] == host["egress"]
    single = host["egress_count"] == 1
    # A transparent forwarder shows whether its resolver asks from the address that it answers from.
    transparent = _TRANSPARENT[kind]
    subclass[transparent & own & single] = "to_resolver"
    subclass[transparent & ~own] = "to_forwarder"
    return {
        "target_net": 0,
        "target_host": MAPPED | target.astype(np.int64),
        "behavior": pa.array(KIND_NAMES).take(pa.array(host["kind"].astype(np.int64))),
        "class": _CLASS.take(pa.array(kind)),
        "subclass": pa.array(subclass, pa.string()),
        "open": _OPEN[kind],
        "egress_net": (np.zeros(len(target), np.int64), asks),
        "egress_host": (MAPPED | host["egress"].astype(np.int64), asks),
        "egress_count": np.where(asks, host["egress_count"], 0),
        "responder_net": (np.zeros(len(target), np.int64), replies),
        "responder_host": (MAPPED | host["responder"].astype(np.int64), replies),
        "delay_us": host["delay_us"].astype(np.int64),
    }


def write_truth(scenario: Scenario, folder: Path, *, icmp: bool = True) -> Path | None:
    """Write the table `truth` below `folder`, a chunk at a time; raises SystemRefusal when the disk does not let it."""
    last = scenario.first + scenario.size
    with Writer(TRUTH, folder) as writer:
        for first in range(scenario.first, last, CHUNK):
            target = np.arange(first, min(first + CHUNK, last), dtype=np.int64).astype(np.uint32)
            writer.append(truth(scenario, target, icmp=icmp))
        return writer.flush()
