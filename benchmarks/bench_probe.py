"""Named probes answered a second: our prober beside massdns, in front of the same lab and its authority.

Every probe has a name of its own, and every lab host answers it after asking our authority over a socket. Prober, lab
and authority share this machine. Rounds alternate, so that all see the same machine; every target has to be answered,
and both probers have as many probes under way.

    python benchmarks/bench_probe.py [--peer massdns=PATH] [--targets 200000] [--rounds 3] [--responder]
    python benchmarks/bench_probe.py --memory          # our memory from 10^4 to 4 * 10^6 targets

`--responder`: hosts that answer by themselves, without asking the authority, for the prober alone.
"""

import argparse
import multiprocessing
import resource
import subprocess
import tempfile
import time
from ipaddress import IPv4Address
from pathlib import Path
from statistics import median
from threading import Event
from typing import Any

import msgspec
from bench_net import ceiling

from dnsonde.beside import Beside, Ready
from dnsonde.clock import SystemClock
from dnsonde.lab.scenario import Scenario, checked, load_scenario
from dnsonde.lab.serve import serve
from dnsonde.probe.plan import read_plan
from dnsonde.probe.prober import Prober
from dnsonde.wire.compile import compile_all

CONCURRENCY = 3000  # probes under way
ATTEMPTS = 3


def lab(scenario: Scenario, stop: Event, ready: Ready) -> None:
    """The lab and its authority in a process of their own."""
    with tempfile.TemporaryDirectory() as folder:
        serve(
            scenario, Path(folder), SystemClock(), stop,
            on_ready=lambda *_: ready(), truth=False, sightings=False,
        )  # fmt: skip


def plan_text(scenario: Scenario, targets: int, pps: float, attempts: int = ATTEMPTS) -> str:
    """A plan over the scenario's first `targets` addresses."""
    place = scenario.authority
    return f"""\
[scope]
targets = "targets.txt"
port = {scenario.port}
[zone]
name = "{place.zone}"
authority = "{place.address}"
authority_port = {place.port}
control = {list(place.control)}
[pace]
total_pps = {pps}
under_way = {CONCURRENCY if attempts > 1 else 0}
[probe]
attempts = {attempts}
timeout_s = 1.0
characterise = false
# {targets} targets
"""


def ours(scenario: Scenario, folder: Path, targets: int, pps: float) -> tuple[float, int]:
    """Seconds that our prober takes, tables and all, and how many targets were answered."""
    folder.mkdir(parents=True)
    first = IPv4Address(scenario.first)
    (folder / "targets.txt").write_text("".join(f"{first + i}\n" for i in range(targets)))
    plan = read_plan(plan_text(scenario, targets, pps), folder, "benchmark")
    plan.scope()
    began = time.perf_counter()
    done = Prober(plan, folder / "run", device="lo").run()
    return time.perf_counter() - began, done.answered


def massdns(program: str, scenario: Scenario, folder: Path, targets: int) -> float:
    """Answered names a second that massdns reaches; all of them must be answered."""
    names, out, servers = folder / "names.txt", folder / "out.jsonl", folder / "resolvers.txt"
    first = IPv4Address(scenario.first)
    label = "{:08x}1000000000000.00000000." + scenario.authority.zone
    with names.open("w") as file:
        for i in range(targets):
            file.write(f"{label.format(int(first) + i)} {first + i}:{scenario.port}\n")
    servers.write_text(f"{first}:{scenario.port}\n")
    command = [
        program, "--extended-input", "--root", "-q", "-s", str(CONCURRENCY), "-o", "J", "-r", str(servers),
        "-w", str(out), str(names),
    ]  # fmt: skip
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    answered = sum(b'"NOERROR"' in line for line in out.open("rb"))
    if answered < targets:
        print(f"  massdns: {targets - answered} of {targets} unanswered")
    return answered / seconds


def compare(scenario: Scenario, peer: str | None, targets: int, rounds: int, pps: float) -> None:
    """Alternate the ceiling, us and the peer; print each round and the ratio of the medians."""
    rows: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory() as temporary, Beside(lab, scenario):
        folder = Path(temporary)
        ours(scenario, folder / "warm", min(targets, 20_000), 20_000.0)
        for number in range(rounds):
            bare = ceiling(2.0)
            seconds, answered = ours(scenario, folder / str(number), targets, pps)
            if answered < targets:
                print(f"  ours: {targets - answered} of {targets} unanswered")
            mine = answered / seconds
            theirs = massdns(peer, scenario, folder, targets) if peer else 0.0
            rows.append((bare, mine, theirs))
            print(f"round {number + 1}: ceiling {bare:,.0f}/s  ours {mine:,.0f}/s  massdns {theirs:,.0f}/s")
    bare, mine, theirs = (median(column) for column in zip(*rows, strict=True))
    print(f"{mine / bare:.0%} of the bare ceiling {bare:,.0f} answered/s (two processes that only echo)")
    if peer:
        print(f"ratio: {mine / theirs:.2f} (ours {mine:.0f} probes/s, massdns {theirs:.0f} probes/s)")
    else:
        print(f"ours {mine:.0f} probes/s")


def _measured_memory(line: Any, scenario: Scenario, targets: int, pps: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = plan_text(scenario, targets, pps, attempts=1)
        prefix = f"{IPv4Address(scenario.first)}/{32 - (targets - 1).bit_length()}"
        plan = read_plan(
            text.replace('targets = "targets.txt"', f'prefixes = ["{prefix}"]'), Path(folder), ""
        )
        done = Prober(plan, Path(folder) / "run", device="lo").run()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        line.send((done.targets, done.sent, done.answered, peak))


def memory(scenario: Scenario, sizes: list[int], pps: float) -> None:
    """Peak memory of the probing process for scopes of several sizes, each in a fresh process."""
    context = multiprocessing.get_context("spawn")
    print(f"{'targets':>12} {'sent':>12} {'answered':>12} {'peak MiB':>9}")
    peaks = []
    with Beside(lab, scenario):
        for size in sizes:
            near, far = context.Pipe()
            child = context.Process(target=_measured_memory, args=(far, scenario, size, pps))
            child.start()
            targets, sent, answered, peak = near.recv()
            child.join()
            peaks.append(peak)
            print(f"{targets:>12,} {sent:>12,} {answered:>12,} {peak:>9,}")
    print(f"ours {max(peaks)} MiB")


def scenario_for(name: str, prefix: str) -> Scenario:
    """A scenario of the package on another prefix."""
    return checked(msgspec.structs.replace(load_scenario(name), prefix=prefix))


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description="Named probes answered a second, beside massdns.")
    parser.add_argument("--peer", help="massdns=PATH")
    parser.add_argument("--targets", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pps", type=float, default=1_000_000.0, help="ceiling of our pace")
    parser.add_argument("--responder", action="store_true", help="hosts answer without asking the authority")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of speed")
    parser.add_argument("--largest", type=int, default=4_000_000, help="with --memory: most targets")
    asked = parser.parse_args()
    compile_all(lambda *_: None)
    if asked.memory:
        sizes = [n for n in (10_000, 100_000, 1_000_000, 4_000_000) if n <= asked.largest]
        memory(scenario_for("default", "127.64.0.0/10"), sizes, asked.pps)
        return

    peer = asked.peer.partition("=")[2] if asked.peer else None
    name = "responder" if asked.responder else "bench"
    compare(scenario_for(name, "127.64.0.0/13"), peer, asked.targets, asked.rounds, asked.pps)


if __name__ == "__main__":
    main()
