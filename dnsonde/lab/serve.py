"""A lab with its authority, in one process, for as long as it is wanted."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from dnsonde.authority.answer import Policy
from dnsonde.authority.server import Authority, ServeProgress
from dnsonde.authority.sighting import Sightings
from dnsonde.authority.zone import Zone
from dnsonde.clock import Clock
from dnsonde.lab.scenario import Scenario
from dnsonde.lab.tape import Tape
from dnsonde.lab.truth import write_truth
from dnsonde.lab.world import World
from dnsonde.table.schema import TABLES
from dnsonde.table.store import Writer
from dnsonde.wire.name import ProbeNames

STEP_US = 100_000

# Only this machine can ask, and all of a lab's resolvers do so from a few /24s: limits would spoil the measurement.
POLICY = Policy(per_second=None, amplification=100.0, udp_octets=4096)


@dataclass(frozen=True, slots=True)
class Served:
    """What a lab has done: the world's totals, and the authority's."""

    world: dict[str, int]
    authority: ServeProgress


def zone_of(scenario: Scenario) -> Zone:
    """The zone that the lab's authority serves."""
    place = scenario.authority
    return Zone(
        name=place.zone,
        addresses=(place.address,),
        control=place.control,
        contact="lab@example.net",
        description="dnsonde lab on loopback",
    )


def serve(
    scenario: Scenario,
    folder: Path,
    clock: Clock,
    stop: Event,
    *,
    on_ready: Callable[[World, Authority], None] | None = None,
    truth: bool = True,
    sightings: bool = True,
    names: ProbeNames | None = None,
    tape: Path | None = None,
) -> Served:
    """Serve the scenario's hosts and its authority until `stop` is set.

    Tables `truth` (before the first probe is answered) and `sighting` (as queries come) are written below
    `folder`. `on_ready` is called once both answer. The authority has a thread of its own, which shares the work
    between two cores as both spend their time in kernels and system calls. `names`: another make of names for probes;
    `tape`: a capture file for what passes the border of the lab's network. Raises SystemRefusal when a port or the disk
    is not to be had; an error of either side ends both.
    """
    failure: list[BaseException] = []
    rows = Sightings(Writer(TABLES["sighting"], folder), clock) if sightings else None
    authority = Authority(
        zone_of(scenario),
        addresses=(scenario.authority.address,),
        port=scenario.authority.port,
        sightings=rows,
        clock=clock,
        policy=POLICY,
        device="lo",
        names=names,
    )
    taped = nullcontext() if tape is None else Tape(tape, scenario, clock)
    with authority, taped as kept, World(scenario, clock=clock, tape=kept) as world:
        if truth:
            write_truth(scenario, folder, icmp=world.icmp)

        def answer() -> None:
            try:
                authority.run(stop)
            except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
                failure.append(error)
                stop.set()

        thread = Thread(target=answer, name="authority")
        thread.start()
        try:
            if on_ready is not None:
                on_ready(world, authority)
            while not stop.is_set():
                world.step(STEP_US)
        finally:
            stop.set()
            thread.join()
        if failure:
            raise failure[0]
        return Served(world.totals(), authority.measure())
