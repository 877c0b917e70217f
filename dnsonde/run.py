"""The use cases of Measure: measure, serve, join, and the lab that shows them."""

import json
import random
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import msgspec

from dnsonde import look, report, stopping
from dnsonde.authority import server
from dnsonde.authority.answer import Policy
from dnsonde.beside import Beside, Ready, Work
from dnsonde.clock import Clock, SystemClock
from dnsonde.errors import PortTaken, RunError, SystemRefusal, UsageError
from dnsonde.lab.scenario import Scenario, checked, load_scenario
from dnsonde.lab.serve import Served
from dnsonde.lab.serve import serve as serve_lab_hosts
from dnsonde.probe import narrow
from dnsonde.probe import state as states
from dnsonde.probe.judge import require_rows, write_verdicts
from dnsonde.probe.plan import Plan, load_plan
from dnsonde.probe.prober import ProbeProgress, Prober
from dnsonde.table import store
from dnsonde.table.lake import is_lake
from dnsonde.table.schema import PROBE, SIGHTING
from dnsonde.view.open import plan_of
from dnsonde.whole import put

UNCLAIMED = range(20_000, 32_000)  # ports that systems give to nobody who asks for any
PORT_TRIES = 5
LAB_PPS = 40_000.0  # what a busy laptop's lab answers without dropping packets

Begun = TypeVar("Begun")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a piece of work is. left_s: None while nobody can tell."""

    phase: str
    done: int
    total: int
    sent: int
    answered: int
    rate: float
    elapsed_s: float
    left_s: float | None

    def as_dict(self) -> dict[str, str | float | None]:
        """Plain values by name, for machines."""
        return asdict(self)


# -- measure ----------------------------------------------------------------------------------------------


def measure(
    plan_path: Path,
    folder: Path,
    clock: Clock,
    *,
    authority: bool,
    on_progress: Callable[[Progress], None],
    say: Callable[[str], None],
) -> look.Measured:
    """Probe what a plan names into a run's folder, new or begun, and judge.

    With `authority` our name server runs beside, where the plan's address for it is this machine's. Ctrl-C ends the
    probing and what is there is judged.
    """
    plan = load_plan(plan_path)
    plan.scope()
    _require_no_lake(folder)
    for warning in (*plan.warnings, *plan.unfilled):
        say(f"Note: {warning}.")
    beside: AbstractContextManager[object] = nullcontext()
    if plan.zone.name and authority:
        if all(is_ours(address) for address in plan.zone.authority):
            beside = Beside(_authority, plan_path, folder)
        else:
            say(
                f"The authority {', '.join(plan.zone.authority)} is another machine's: run `dnsonde authority` there, "
                "and join its sightings afterwards."
            )

    def narrowed(more: states.Narrowing) -> None:
        _keep_plan(plan_path, folder, again=True)
        say(f"{narrow.sentence(more)}.")

    with states.Lock(folder) as lock:
        _keep_plan(plan_path, folder)
        require_rows(folder)
        drive(_prober(plan, folder, clock, lock, narrowed), plan, clock, beside, on_progress, say)
        judge(folder, say)
    return look.at(folder)[0]


def _prober(
    plan: Plan,
    folder: Path,
    clock: Clock,
    lock: states.Lock,
    on_narrowed: Callable[[states.Narrowing], None] | None = None,
) -> Prober:
    """The prober of a run whose lock we hold."""
    # A lab's probes cannot leave the machine, whatever its routes say.
    device = "lo" if plan.is_loopback else None
    return Prober(plan, folder, clock=clock, lock=lock, device=device, on_narrowed=on_narrowed)


def drive(
    prober: Prober,
    plan: Plan,
    clock: Clock,
    beside: AbstractContextManager[object],
    on_progress: Callable[[Progress], None],
    say: Callable[[str], None],
) -> None:
    """Run a prober of that plan to its end, with somebody beside."""
    began_us = clock.monotonic_us()
    with beside as helper:

        def told(now: ProbeProgress) -> None:
            if isinstance(helper, Beside):
                helper.check()
            on_progress(_progress_of(now, plan.probe.attempts, (clock.monotonic_us() - began_us) / 1e6))

        def stop() -> None:
            if prober.stop() == 1:
                say(
                    "Stopping: waiting for the last replies. Once more does not wait, and who was asked last is asked "
                    "again."
                )

        with stopping.calling(stop):
            prober.run(told, keep=helper.keep if isinstance(helper, Beside) else None)


def _progress_of(now: ProbeProgress, attempts: int, elapsed_s: float) -> Progress:
    return Progress(
        phase=f"{now.kind} {now.attempt} of {attempts}" if now.kind == "sweep" else now.kind,
        done=round(now.share * now.targets),
        total=now.targets,
        sent=now.sent,
        answered=now.answered,
        rate=now.rate,
        elapsed_s=elapsed_s,
        left_s=now.time_left_s,
    )


def _require_no_lake(folder: Path) -> None:
    """RunError where what would be written could not be read again."""
    if is_lake(folder):
        raise RunError(f"{folder} is a lake, which holds traffic: choose another folder")


def _keep_plan(plan_path: Path, folder: Path, *, again: bool = False) -> None:
    """Copy the plan into its run, once unless `again`, whole or not at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if again or not (folder / states.PLAN).exists():
            put(folder / states.PLAN, plan_path.read_bytes())
    except OSError as error:
        raise SystemRefusal(
            f"cannot write {folder / states.PLAN}: {error.strerror}; choose another folder"
        ) from error


def serve_authority(
    plan_path: Path,
    folder: Path,
    clock: Clock,
    listen: Sequence[str],
    per_second: float | None,
    on_progress: Callable[[Progress], None],
    say: Callable[[str], None],
) -> server.ServeProgress:
    """Serve a plan's zone until Ctrl-C."""
    plan = load_plan(plan_path)
    if not plan.zone.name:
        raise UsageError(
            f"{plan_path} has no zone of its own to serve: give [zone] a `name` instead of `known`"
        )
    _require_no_lake(folder)
    policy = Policy() if per_second is None else Policy(per_second=per_second or None)
    stop = Event()

    def ready(authority: server.Authority) -> None:
        where = ", ".join(listen or plan.zone.authority)
        say(f"Serving {plan.zone.name} on {where}, port {authority.port}, UDP and TCP. Ctrl-C ends it.")

    def told(progress: server.ServeProgress) -> None:
        elapsed_s = progress.elapsed_us / 1e6
        rate = progress.queries / elapsed_s if elapsed_s else 0.0
        on_progress(Progress("serving", 0, 0, progress.queries, progress.answered, rate, elapsed_s, None))

    with stopping.calling(stop.set, once=True):
        return server.serve(
            plan, folder, clock, stop, listen=listen, policy=policy, on_progress=told, on_ready=ready
        )


def _authority(plan_path: Path, folder: Path, stop: Event, ready: Ready) -> None:
    """The authority in a child process."""
    plan = load_plan(plan_path)
    # Only this machine can ask an authority on loopback: a limit would only spoil the measurement.
    policy = Policy(per_second=None) if plan.is_loopback else Policy()
    server.serve(
        plan, folder, SystemClock(), stop, policy=policy, on_ready=lambda authority: ready(authority.keep)
    )


def free_port(address: str = "0.0.0.0", wanted: int | None = None) -> int:
    """`wanted` if nobody holds that port, for UDP or TCP, else one that nobody holds."""
    for port in (*([] if wanted is None else [wanted]), *random.sample(UNCLAIMED, 50)):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            suppress(OSError),
        ):
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the authority does
            udp.bind((address, port))
            tcp.bind((address, port))
            break
    return port  # where all are held, whoever binds it says so


def is_ours(address: str) -> bool:
    """Whether an address is one of this machine's: whether a socket can be bound to it."""
    family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as test:
        try:
            test.bind((address, 0))
        except OSError:
            return False
    return True


def _unheard(_sentence: str) -> None:
    """Say it to nobody."""


def judge(folder: Path, say: Callable[[str], None] = _unheard) -> None:
    """Join probes, replies and sightings of a run, and write its verdicts, in memory that does not grow with them."""
    plan = plan_of(folder)

    def apart(ahead_us: int) -> None:
        ahead = timedelta(seconds=abs(ahead_us) // 1_000_000)
        say(
            f"Note: the authority's clock is {ahead} {'ahead of' if ahead_us > 0 else 'behind'} the prober's; its "
            "sightings are judged as if it were not. NTP on both hosts keeps them together."
        )

    write_verdicts(
        folder,
        zone_mode="known" if plan.is_known else "delegated",
        memory_limit_mib=store.MEMORY_MIB,
        on_clocks=apart,
    )


def join(folder: Path, others: Sequence[Path], say: Callable[[str], None] = _unheard) -> look.Measured:
    """Add the sightings in other folders that belong to this run, each once, and judge again.

    RunError where it is being measured; who else joins is waited for.
    """
    _require_no_lake(folder)
    plan_of(folder)
    with states.Lock(folder, joining=True):
        for other in others:
            tables = store.open_folder(folder, tables=[PROBE, SIGHTING])
            found = store.open_folder(other, tables=[SIGHTING])["sighting"]
            if not store.row_count(other, SIGHTING):
                raise RunError(
                    f"there are no sightings in {other}: give the folder that `dnsonde authority -o` named"
                )
            theirs = found.set_alias("found").join(
                tables["probe"].set_alias("sent"), "found.tag = sent.tag", "semi"
            )
            # Added, not put in place of what is there: an authority may be writing beside it.
            if not store.add(SIGHTING, folder, theirs.distinct().except_(tables["sighting"])):
                here = theirs.limit(1).fetchone()
                say(
                    f"Note: all sightings of this run in {other} were joined before."
                    if here
                    else f"Note: no sighting in {other} is of this run: they are of other runs, or of none."
                )
        judge(folder, say)
    return look.at(folder)[0]


# -- the lab ----------------------------------------------------------------------------------------------


def scenario(name: str, hosts: int | None, seed: int | None) -> Scenario:
    """A scenario by name or file, with so many addresses and that seed where they are given."""
    found = load_scenario(name)
    changes: dict[str, Any] = {} if seed is None else {"seed": seed}
    if hosts is not None:
        bits = (hosts - 1).bit_length()
        # Of the networks of that size the next, not the one around: there are the prober and the authority.
        first = -(-found.first >> bits) << bits
        changes["prefix"] = f"{ip_address(first)}/{32 - bits}"
    return checked(msgspec.structs.replace(found, **changes))


def demo(
    chosen: Scenario,
    folder: Path,
    clock: Clock,
    *,
    on_progress: Callable[[Progress], None],
    say: Callable[[str], None],
) -> tuple[look.Measured, report.Confusion]:
    """Bring up a lab beside us, measure it and hold the verdicts against its truth.

    Where its ports are taken, by another lab perhaps, it gets others.
    """
    _require_no_lake(folder)
    with states.Lock(folder) as lock:
        with lab_beside(chosen, _lab, folder) as (served, helper):
            plan = load_plan(lab_plan(served, folder))
            drive(_prober(plan, folder, clock, lock), plan, clock, nullcontext(helper), on_progress, say)
        judge(folder)
    measured, truth = look.at(folder)
    if truth is None:
        raise RunError(f"the lab wrote no truth into {folder}")
    return measured, truth


@contextmanager
def lab_beside(chosen: Scenario, work: Work, *arguments: Any) -> Iterator[tuple[Scenario, Beside]]:
    """`work(scenario, *arguments, stop, ready)` for a while beside us, on free ports, and the scenario with these."""
    with ExitStack() as stack:
        yield _on_ports(chosen, lambda lab: (lab, stack.enter_context(Beside(work, lab, *arguments))))


def _on_ports(chosen: Scenario, begin: Callable[[Scenario], Begun]) -> Begun:
    """What `begin` makes of a lab on free ports; where another was faster at one of them, begun again on others."""
    for _try in range(PORT_TRIES - 1):
        with suppress(PortTaken):
            return begin(on_free_ports(chosen))
    return begin(on_free_ports(chosen))


def on_free_ports(chosen: Scenario) -> Scenario:
    """The same lab; where its ports are taken, on others."""
    place = msgspec.structs.replace(
        chosen.authority, port=free_port(chosen.authority.address, chosen.authority.port)
    )
    return msgspec.structs.replace(chosen, port=free_port(wanted=chosen.port), authority=place)


def serve_lab(
    chosen: Scenario, folder: Path, clock: Clock, ready: Callable[[Scenario, Path], None]
) -> Served:
    """Serve a lab until Ctrl-C, on other ports where its own are taken; `ready` is told it, and the plan for it."""
    _require_no_lake(folder)
    stop = Event()

    def begin(lab: Scenario) -> Served:
        plan = lab_plan(lab, folder)
        return serve_lab_hosts(lab, folder, clock, stop, on_ready=lambda *_: ready(lab, plan))

    with stopping.calling(stop.set, once=True):
        return _on_ports(chosen, begin)


def fresh_folder(parent: Path, clock: Clock) -> Path:
    """A name for a new run below `parent`: the time in UTC."""
    return parent / f"demo-{datetime.fromtimestamp(clock.now_us() / 1e6, UTC):%Y%m%d-%H%M%S}"


def _lab(chosen: Scenario, folder: Path, stop: Event, ready: Ready) -> None:
    """A lab in a child process."""
    serve_lab_hosts(chosen, folder, SystemClock(), stop, on_ready=lambda _, authority: ready(authority.keep))


def lab_plan(chosen: Scenario, folder: Path, probe: str = "") -> Path:
    """Write the plan that measures a lab; `probe`: more lines of its section `[probe]`."""
    place = chosen.authority
    text = f"""\
[scope]
prefixes = [{json.dumps(chosen.prefix)}]
port = {chosen.port}

[zone]
name = {json.dumps(place.zone)}
authority = {json.dumps(place.address)}
authority_port = {place.port}
control = {json.dumps(place.control)}

[pace]
total_pps = {LAB_PPS}

[probe]
timeout_s = 2.0
{probe}"""
    path = folder / states.PLAN
    try:
        folder.mkdir(parents=True, exist_ok=True)
        put(path, text.encode())
    except OSError as error:
        raise SystemRefusal(f"cannot write {path}: {error.strerror}") from error
    return path
