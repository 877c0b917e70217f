"""A prober whose names are like SecShow's, to see what one such learns: an instrument for the lab alone.

It is our own prober and our own authority with another make of names::

    1-<prober's address>-<target's address>.h.secshow.net      1-127-0-0-66-127-1-0-9.h.secshow.net

as Infoblox and Unit 42 saw them in 2024, where the first address was forged; ours is the prober's own. SecShow answered
with a random address for a day; ours answers as our authority always does. It asks once, and loopback alone: whoever
would have it ask others gets an error.
"""

import re
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from dnsonde.clock import Clock
from dnsonde.errors import LabError
from dnsonde.lab.scenario import Scenario
from dnsonde.probe import state as states
from dnsonde.probe.plan import Plan
from dnsonde.probe.prober import Prober
from dnsonde.wire.batch import MAPPED, Batch
from dnsonde.wire.message import PROBE_NAME
from dnsonde.wire.name import Kind, NameStatus, ProbeNames, run_number

ZONE = "h.secshow.net"
PROBER = "127.0.0.66"
# The names have no room for a label of their run, nor for a tag: these stand in the tables, and key the message ids.
RUN, KEY = "secprobe", bytes(16)
LABEL = re.compile(rb"\d{1,10}((?:-\d{1,3}){4})((?:-\d{1,3}){4})")


class SecShowNames(ProbeNames):
    """The codec of those names below `zone`; `source` is the address that asks."""

    def __init__(self, zone: str = ZONE, source: str = PROBER) -> None:
        super().__init__(zone)
        self._source = source.replace(".", "-")

    def spelt(self, targets: NDArray[np.void]) -> list[bytes]:
        """The name of each target, in wire form; ValueError for IPv6."""
        names = []
        for net, host in targets.tolist():
            if net or host >> 32 != MAPPED >> 32:
                raise ValueError("SecShow's names have room for IPv4 only")
            octets = "-".join(map(str, (host & 0xFFFF_FFFF).to_bytes(4)))
            label = f"1-{self._source}-{octets}".encode()
            names.append(bytes([len(label)]) + label + self.wire)
        return names

    def parse(self, batch: Batch, messages: NDArray[np.void]) -> NDArray[np.void]:
        """See `ProbeNames.parse`; run and tag are those that all of these names have."""
        out = np.zeros(len(batch), PROBE_NAME)
        out["status"] = NameStatus.FOREIGN
        starts, lengths = batch.offset + 12, messages["qname_length"]
        for row in np.flatnonzero((messages["status"] == 0) & (lengths > 0)).tolist():
            raw = batch.data[starts[row] : starts[row] + lengths[row]].tobytes()
            out["status"][row], out["target"]["host"][row] = self._read(raw.lower())
            out["mixed_case"][row] = raw != raw.lower()
        probes = out["status"] == NameStatus.PROBE
        out["run"][probes], out["attempt"][probes], out["labels"][probes] = run_number(RUN), 1, 1
        targets = np.ascontiguousarray(out["target"][probes])
        out["tag"][probes] = self.tags(KEY, RUN, targets, 1, Kind.SWEEP)
        return out

    def _read(self, wire: bytes) -> tuple[NameStatus, int]:
        """What a lower-case wire name is, and the target in it as the host half of an address."""
        below = wire.removesuffix(self.wire)
        if below == wire:
            return NameStatus.FOREIGN, 0
        if not below:
            return NameStatus.APEX, 0
        found = LABEL.fullmatch(below[1:]) if below[0] + 1 == len(below) else None
        octets = [int(octet) for octet in found[2].split(b"-")[1:]] if found else []
        if found is None or max(octets) > 255:
            return NameStatus.UNKNOWN, 0
        return NameStatus.PROBE, MAPPED | int.from_bytes(bytes(octets))


def as_secshow(scenario: Scenario) -> Scenario:
    """The same lab, whose resolvers find the prober's zone at the authority."""
    return msgspec.structs.replace(scenario, authority=msgspec.structs.replace(scenario.authority, zone=ZONE))


def secshow(plan: Plan, folder: Path, clock: Clock) -> Prober:
    """The prober, into the run of `folder`, new or begun. LabError unless all that it would ask is loopback."""
    if not plan.is_loopback or plan.probe.attempts != 1 or plan.probe.characterise:
        raise LabError(
            "the prober with SecShow's names is for the lab: it asks loopback addresses, once, and no others"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if states.load(folder) is None:
        begun = states.fresh(plan.digest, clock.now_us())
        states.save(folder, msgspec.structs.replace(begun, run=RUN, key=KEY.hex()))
    # Bound to the loopback device: whatever the routes say, nothing leaves the machine.
    names = SecShowNames(plan.zone.name, plan.probe.source or PROBER)
    return Prober(plan, folder, clock=clock, device="lo", names=names)
