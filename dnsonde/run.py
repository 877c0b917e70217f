"""The use cases, shared by both faces: measure, serve, join, look, compare, and the lab that shows them."""

import json
import random
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO, TypeVar

import ibis
import msgspec
from ibis import _

from dnsonde import report
from dnsonde.authority import server
from dnsonde.authority.answer import Policy
from dnsonde.beside import Beside, Ready, Work
from dnsonde.clock import Clock, SystemClock
from dnsonde.errors import PortTaken, RunError, SystemRefusal, UsageError
from dnsonde.export._contract import Network, View
from dnsonde.export._open import open_view
from dnsonde.export._page_run import CHANGED, Before, Measurement
from dnsonde.export._page_whole import Part
from dnsonde.export._whose import require_owners
from dnsonde.export._write import write
from dnsonde.lab.scenario import Scenario, checked, load_scenario
from dnsonde.lab.serve import Served
from dnsonde.lab.serve import serve as serve_lab_hosts
from dnsonde.lab.truth import TRUTH
from dnsonde.probe import narrow
from dnsonde.probe import prober as prober_room
from dnsonde.probe import state as states
from dnsonde.probe.judge import write_verdicts
from dnsonde.probe.plan import Plan, load_plan
from dnsonde.probe.prober import Prober
from dnsonde.table import store
from dnsonde.table.schema import ENRICHMENT, PROBE, REPLY, SIGHTING, VERDICT

PLAN = "plan.toml"
UNCLAIMED = range(20_000, 32_000)  # ports that systems give to nobody who asks for any
PORT_TRIES = 5
LAB_PPS = 40_000.0  # what a busy laptop's lab answers without dropping packets
MEMORY_MIB = 2048  # of the engine, before it spills to disk
PREFIXES = 12  # of a plan, named in a report
FACTS = (  # about a plan, in reading order
    "run", "scope", "addresses", "zone", "known", "port", "ceiling", "prefix_ceiling", "attempts", "contact",
)  # fmt: skip

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


@dataclass(frozen=True, slots=True)
class Measured:
    """A run as it stands: what was found, and what it took. seconds: first probe to last reply."""

    folder: Path
    summary: report.Summary
    delegated: bool
    finished: bool
    probes: int
    replies: int
    sightings: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed between two runs: a relation of hosts, counts by change, and by group (`by`: `report.GROUPS`)."""

    hosts: ibis.Table
    counts: dict[str, int]
    by: str
    groups: list[dict[str, Any]]

    @property
    def total(self) -> int:
        """Hosts that changed."""
        return sum(self.counts.values())


# -- measure ----------------------------------------------------------------------------------------------


def measure(
    plan_path: Path,
    folder: Path,
    clock: Clock,
    *,
    authority: bool,
    on_progress: Callable[[Progress], None],
    say: Callable[[str], None],
) -> Measured:
    """Probe what a plan names into a run's folder, new or begun, and judge.

    With `authority` our name server runs beside, where the plan's address for it is this machine's. Ctrl-C ends the
    probing and what is there is judged.
    """
    plan = load_plan(plan_path)
    plan.scope()
    for warning in plan.warnings:
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
    _keep_plan(plan_path, folder)

    def narrowed(more: states.Exclusion) -> None:
        _keep_plan(plan_path, folder, again=True)
        say(f"{narrow.sentence(more)}.")

    drive(_prober(plan, folder, clock, narrowed), plan, clock, beside, on_progress, say)
    judge(folder)
    return look(folder)[0]


def _prober(
    plan: Plan, folder: Path, clock: Clock, on_narrowed: Callable[[states.Exclusion], None] | None = None
) -> Prober:
    # A lab's probes cannot leave the machine, whatever its routes say.
    device = "lo" if plan.is_loopback else None
    return Prober(plan, folder, clock=clock, device=device, on_narrowed=on_narrowed)


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

        def told(now: prober_room.Progress) -> None:
            if isinstance(helper, Beside):
                helper.check()
            on_progress(_progress_of(now, plan.probe.attempts, (clock.monotonic_us() - began_us) / 1e6))

        def stop() -> None:
            say("Stopping: waiting for the last replies. Once more does not wait.")
            prober.stop()

        with _interrupted_by_signals(stop):
            prober.run(told)


def _progress_of(now: prober_room.Progress, attempts: int, elapsed_s: float) -> Progress:
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


@contextmanager
def _interrupted_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """While inside, SIGINT and SIGTERM call `stop`. Only the main thread can ask for that; others go without."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, lambda *_: stop()) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _keep_plan(plan_path: Path, folder: Path, *, again: bool = False) -> None:
    """Copy the plan into its run, once unless `again`, whole or not at all."""
    copy = folder / f"{PLAN}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if again or not (folder / PLAN).exists():
            copy.write_bytes(plan_path.read_bytes())
            copy.rename(folder / PLAN)
    except OSError as error:
        with suppress(OSError):
            copy.unlink()
        raise SystemRefusal(
            f"cannot write {folder / PLAN}: {error.strerror}; choose another folder"
        ) from error


def serve_authority(
    plan_path: Path,
    folder: Path,
    clock: Clock,
    listen: Sequence[str],
    per_second: float | None,
    on_progress: Callable[[Progress], None],
    say: Callable[[str], None],
) -> server.Progress:
    """Serve a plan's zone until Ctrl-C."""
    plan = load_plan(plan_path)
    if not plan.zone.name:
        raise UsageError(
            f"{plan_path} has no zone of its own to serve: give [zone] a `name` instead of `known`"
        )
    policy = Policy() if per_second is None else Policy(per_second=per_second or None)
    stop = Event()

    def ready(authority: server.Authority) -> None:
        where = ", ".join(listen or plan.zone.authority)
        say(f"Serving {plan.zone.name} on {where}, port {authority.port}, UDP and TCP. Ctrl-C ends it.")

    def told(progress: server.Progress) -> None:
        elapsed_s = progress.elapsed_us / 1e6
        rate = progress.queries / elapsed_s if elapsed_s else 0.0
        on_progress(Progress("serving", 0, 0, progress.queries, progress.answered, rate, elapsed_s, None))

    with server.stopped_by_signals(stop):
        return server.serve(
            plan, folder, clock, stop, listen=listen, policy=policy, on_progress=told, on_ready=ready
        )


def _authority(plan_path: Path, folder: Path, stop: Event, ready: Ready) -> None:
    """The authority in a child process."""
    plan = load_plan(plan_path)
    # Only this machine can ask an authority on loopback: a limit would only spoil the measurement.
    policy = Policy(per_second=None) if plan.is_loopback else Policy()
    server.serve(plan, folder, SystemClock(), stop, policy=policy, on_ready=lambda _: ready())


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


def judge(folder: Path) -> None:
    """Join probes, replies and sightings of a run, and write its verdicts, in memory that does not grow with them."""
    plan = _plan_of(folder)
    write_verdicts(folder, zone_mode="known" if plan.is_known else "delegated", memory_limit_mib=MEMORY_MIB)


def join(folder: Path, others: Sequence[Path]) -> Measured:
    """Add the sightings in other folders that belong to this run, each once, and judge again."""
    tables = _tables(folder)
    every = tables["sighting"]
    connection = every.get_backend()
    tags = tables["probe"].select("tag").distinct()
    for other in others:
        found = store.open_folder(other, connection)["sighting"]
        if not store.row_count(other, SIGHTING):
            raise RunError(
                f"there are no sightings in {other}: give the folder that `dnsonde authority -o` named"
            )
        every = every.union(found.semi_join(tags, "tag"), distinct=True)
    if others:
        store.save(SIGHTING, folder, every)
    judge(folder)
    return look(folder)[0]


# -- the lab ----------------------------------------------------------------------------------------------


def scenario(name: str, hosts: int | None, seed: int | None) -> Scenario:
    """A scenario by name or file, with so many addresses and that seed where they are given."""
    found = load_scenario(name)
    changes: dict[str, Any] = {} if seed is None else {"seed": seed}
    if hosts is not None:
        changes["prefix"] = f"{found.prefix.partition('/')[0]}/{32 - (hosts - 1).bit_length()}"
    return checked(msgspec.structs.replace(found, **changes))


def demo(
    chosen: Scenario,
    folder: Path,
    clock: Clock,
    *,
    on_progress: Callable[[Progress], None],
    say: Callable[[str], None],
) -> tuple[Measured, report.Confusion]:
    """Bring up a lab beside us, measure it and hold the verdicts against its truth.

    Where its ports are taken, by another lab perhaps, it gets others.
    """
    with lab_beside(chosen, _lab, folder) as (served, helper):
        plan = load_plan(lab_plan(served, folder))
        drive(_prober(plan, folder, clock), plan, clock, nullcontext(helper), on_progress, say)
    judge(folder)
    measured, truth = look(folder)
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
    stop = Event()

    def begin(lab: Scenario) -> Served:
        plan = lab_plan(lab, folder)
        return serve_lab_hosts(lab, folder, clock, stop, on_ready=lambda *_: ready(lab, plan))

    with server.stopped_by_signals(stop):
        return _on_ports(chosen, begin)


def fresh_folder(parent: Path, clock: Clock) -> Path:
    """A name for a new run below `parent`: the time in UTC."""
    return parent / f"demo-{datetime.fromtimestamp(clock.now_us() / 1e6, UTC):%Y%m%d-%H%M%S}"


def _lab(chosen: Scenario, folder: Path, stop: Event, ready: Ready) -> None:
    """A lab in a child process."""
    serve_lab_hosts(chosen, folder, SystemClock(), stop, on_ready=lambda *_: ready())


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
    path = folder / PLAN
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SystemRefusal(f"cannot write {path}: {error.strerror}") from error
    return path


# -- tell -------------------------------------------------------------------------------------------------


def part(folder: Path, *, since: Path | None = None, home: tuple[Network, ...] = ()) -> Part:
    """A run as a report tells it: with its plan, and with what changed since another one."""
    return part_of(folder, open_view(folder, home=home), since=since)


def part_of(
    folder: Path, view: View, *, name: str = "", since: Path | None = None, opens_files: bool = True
) -> Part:
    """The same of a run that is open already; name: how the report calls it.

    Without `opens_files` the plan's lists of addresses, other files, stay unread, and what only they tell is left out.
    """
    plan = load_plan(folder / PLAN)
    kept = states.load(folder)
    listed = ", ".join(plan.space.prefixes[:PREFIXES])
    facts = {
        "run": kept.run if kept else "",
        "scope": listed + (", ..." if len(plan.space.prefixes) > PREFIXES else "") or plan.space.targets,
        "zone": plan.zone.name,
        "known": plan.zone.known,
        "port": str(plan.space.port),
        "attempts": str(plan.probe.attempts),
        "contact": plan.identity.contact,
    }
    if opens_files or plan.stands_alone:
        each = plan.prefix_pps
        facts |= {
            "addresses": f"{plan.scope().size:,}",
            "ceiling": f"{plan.total_pps:,g}/s",
            "prefix_ceiling": "" if each is None else f"{each:,g}/s",
        }
    before = None
    if since is not None:
        changed = difference(since, folder, most=CHANGED)
        before = Before(str(since), changed.counts, changed.groups)
    told = Measurement(
        name or str(folder),
        delegated=not plan.is_known,
        finished=kept is None or kept.complete,
        facts=tuple((fact, facts[fact]) for fact in FACTS if facts.get(fact)),
        before=before,
    )
    return Part(view, told)


# -- look -------------------------------------------------------------------------------------------------


def look(folder: Path) -> tuple[Measured, report.Confusion | None]:
    """A run as it stands, and how right it is where it was a lab's."""
    tables = _tables(folder)
    measured = _measured(folder, tables)
    if not store.row_count(folder, TRUTH):
        return measured, None
    truth = tables["verdict"].get_backend().read_parquet(f"{folder / TRUTH.name}/part-*.parquet")
    return measured, report.confusion(truth, tables["verdict"])


def verdicts(folder: Path) -> ibis.Table:
    """A run's verdicts as a relation; RunError where it has none."""
    found = _tables(folder)["verdict"]
    if not store.row_count(folder, VERDICT):
        raise RunError(f"{folder} has no verdicts yet: `dnsonde join {folder}` makes them from what is there")
    return found


def difference(
    before: Path,
    after: Path,
    prefixes: Iterable[str] = (),
    by: str = "prefix",
    most: int | None = None,
) -> Difference:
    """Compare two runs, within some prefixes or everywhere; `by`: one of `report.GROUPS`; most: so many groups.

    Whose an address is, the later run tells; of hosts that only the earlier one has, that.
    """
    chosen = tuple(prefixes)
    if not store.row_count(before, ENRICHMENT):
        require_owners(by, after)
    connection = store.connect(memory_limit_mib=MEMORY_MIB)
    old, new = (
        report.chosen(_with_verdicts(folder, connection), prefixes=chosen) for folder in (before, after)
    )
    hosts = report.compare(old, new).cache()
    counted = hosts.group_by("change").aggregate(hosts=_.count()).to_pyarrow().to_pylist()
    counts = dict.fromkeys(report.CHANGES, 0) | {row["change"]: row["hosts"] for row in counted}
    earlier, later = (store.open_folder(f, connection)["enrichment"] for f in (before, after))
    owners = later.union(earlier.anti_join(later, ["address_net", "address_host"]))
    return Difference(hosts, counts, by, report.changes_by(hosts, by, owners, most))


def groups(folder: Path, relation: ibis.Table, by: str, most: int | None = None) -> list[dict[str, Any]]:
    """Hosts of a run by prefix, system or country: `group`, hosts that answered, open ones, and the strongest.

    most: so many groups, those with the most open hosts.
    """
    require_owners(by, folder)
    owners = store.open_folder(folder, relation.get_backend())["enrichment"]
    measures = {
        "hosts": _.count(),
        "answered": (~_["class"].isin(["silent", "not_sent"])).sum(),
        "open": _.open.sum(),
        "strongest": _.amplification.max(where=_.open),
    }
    return report.grouped(relation, by, owners, measures, first="open", having="answered", most=most)


def export(
    relation: ibis.Table,
    name: str,
    output: Path | BinaryIO,
    columns: Iterable[str] = (),
    limit: int | None = None,
) -> int:
    """Write a relation in a format of `dnsonde.export`; returns how many rows `limit` left out."""
    left = 0
    if limit is not None:
        left = max(0, int(relation.count().to_pyarrow().as_py()) - limit)
        relation = relation.limit(limit)
    write(report.readable(relation, columns=columns), name, output)
    return left


def _plan_of(folder: Path) -> Plan:
    """The plan that a run keeps."""
    if not (folder / PLAN).exists():
        raise RunError(f"{folder} is not a run, it has no {PLAN}: give the folder that `-o` named")
    return load_plan(folder / PLAN)


def _tables(folder: Path) -> dict[str, ibis.Table]:
    return store.open_folder(folder, store.connect(memory_limit_mib=MEMORY_MIB))


def _with_verdicts(folder: Path, connection: ibis.BaseBackend) -> ibis.Table:
    found = store.open_folder(folder, connection)["verdict"]
    if not store.row_count(folder, VERDICT):
        raise RunError(f"{folder} has no verdicts yet: `dnsonde join {folder}` makes them from what is there")
    return found


def _measured(folder: Path, tables: dict[str, ibis.Table]) -> Measured:
    state = states.load(folder)
    times = [tables["probe"].time_us.min(), tables["probe"].time_us.max(), tables["reply"].time_us.max()]
    first, last, reply = (expression.to_pyarrow().as_py() for expression in times)
    seconds = 0.0 if first is None else (max(last, reply or last) - first) / 1e6
    return Measured(
        folder=folder,
        summary=report.summarise(tables["verdict"]),
        delegated=not _plan_of(folder).is_known,
        finished=state is None or state.complete,
        probes=store.row_count(folder, PROBE),
        replies=store.row_count(folder, REPLY),
        sightings=store.row_count(folder, SIGHTING),
        seconds=seconds,
    )
