"""Named probes answered a second: our prober beside massdns, in front of the same responder.

Every probe has a name of its own, and every target has to be answered. Prober and responder share this machine, rounds
alternate, so that all see the same machine, and both probers have as many probes under way. Before each round the bare
ceiling is taken: two processes that only echo (`bench_net.py`).

    python benchmarks/bench_probe.py [--peer massdns=PATH]     # hosts that answer by themselves (responder.py)
    python benchmarks/bench_probe.py --chain [--peer ...]      # a lab's hosts, each of which asks our authority first
    python benchmarks/bench_probe.py --memory                  # our memory from 10^4 to 10^7 targets
    ... [--targets 200000] [--rounds 3] [--under-way 3000]
"""

import argparse
import json
import multiprocessing
import resource
import subprocess
import tempfile
import time
from contextlib import AbstractContextManager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from statistics import median
from threading import Event
from typing import Any

import msgspec
from bench_net import ceiling
from responder import respond

from dnsonde.beside import Beside, Ready
from dnsonde.clock import SystemClock
from dnsonde.compile import compile_all
from dnsonde.lab.scenario import Scenario, checked, load_scenario
from dnsonde.lab.serve import serve
from dnsonde.probe.plan import read_plan
from dnsonde.probe.prober import Prober

ATTEMPTS = 3
SCOPES = (  # whose memory is measured: 2^14, 2^17, 2^20, 2^22 and 10.5 million addresses
    ["127.64.0.0/18"],
    ["127.64.0.0/15"],
    ["127.64.0.0/12"],
    ["127.64.0.0/10"],
    ["127.64.0.0/11", "127.128.0.0/9"],
)


def lab(scenario: Scenario, stop: Event, ready: Ready) -> None:
    """The lab and its authority in a process of their own."""
    with tempfile.TemporaryDirectory() as folder:
        serve(
            scenario, Path(folder), SystemClock(), stop,
            on_ready=lambda *_: ready(), truth=False, sightings=False,
        )  # fmt: skip


def answering(scenario: Scenario, *, chain: bool) -> AbstractContextManager[Beside]:
    """Whoever answers, in a process of its own: the least that can, or the lab and its authority."""
    if chain:
        return Beside(lab, scenario)
    return Beside(respond, scenario.port, scenario.authority.zone, scenario.authority.control[0])


def plan_text(scenario: Scenario, scope: str, pps: float, under_way: int) -> str:
    """A plan over `scope`, a line of TOML."""
    place = scenario.authority
    return f"""\
[scope]
{scope}
port = {scenario.port}
[zone]
name = "{place.zone}"
authority = "{place.address}"
authority_port = {place.port}
control = {list(place.control)}
[pace]
total_pps = {pps}
under_way = {under_way}
[probe]
attempts = {ATTEMPTS}
timeout_s = 1.0
characterise = false
"""


def ours(scenario: Scenario, folder: Path, targets: int, pps: float, under_way: int) -> tuple[float, float]:
    """Answered probes a second that our prober reaches, tables and all, and its processor time for each, in us."""
    folder.mkdir(parents=True)
    first = IPv4Address(scenario.first)
    (folder / "targets.txt").write_text("".join(f"{first + i}\n" for i in range(targets)))
    plan = read_plan(plan_text(scenario, 'targets = "targets.txt"', pps, under_way), folder, "benchmark")
    plan.scope()
    before, began = time.process_time(), time.perf_counter()
    done = Prober(plan, folder / "run", device="lo", clock=SystemClock()).run()
    seconds, processor = time.perf_counter() - began, time.process_time() - before
    if done.answered < targets:
        print(f"  ours: {targets - done.answered} of {targets} unanswered")
    return done.answered / seconds, processor / targets * 1e6


def massdns(
    program: str, scenario: Scenario, folder: Path, targets: int, under_way: int
) -> tuple[float, float]:
    """The same of massdns."""
    names, out, servers = folder / "names.txt", folder / "out.jsonl", folder / "resolvers.txt"
    first = IPv4Address(scenario.first)
    label = "{:08x}1000000000000.00000000." + scenario.authority.zone
    with names.open("w") as file:
        for i in range(targets):
            file.write(f"{label.format(int(first) + i)} {first + i}:{scenario.port}\n")
    servers.write_text(f"{first}:{scenario.port}\n")
    command = [
        program, "--extended-input", "--root", "-q", "-s", str(under_way), "-o", "J", "-r", str(servers),
        "-w", str(out), str(names),
    ]  # fmt: skip
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    answered = sum(b'"NOERROR"' in line for line in out.open("rb"))
    if answered < targets:
        print(f"  massdns: {targets - answered} of {targets} unanswered")
    return answered / seconds, processor / targets * 1e6


def compare(scenario: Scenario, asked: argparse.Namespace) -> None:
    """Alternate the ceiling, us and the peer; print each round and the ratio of the medians."""
    peer = asked.peer.partition("=")[2] if asked.peer else None
    rows: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory() as temporary, answering(scenario, chain=asked.chain):
        folder = Path(temporary)
        ours(scenario, folder / "warm", min(asked.targets, 20_000), 20_000.0, asked.under_way)
        for number in range(asked.rounds):
            bare = ceiling(2.0)
            mine, cost = ours(scenario, folder / str(number), asked.targets, asked.pps, asked.under_way)
            line = f"round {number + 1}: ceiling {bare:,.0f}/s  ours {mine:,.0f}/s ({cost:.1f} us of processor each)"
            theirs = 0.0
            if peer:
                theirs, cost = massdns(peer, scenario, folder, asked.targets, asked.under_way)
                line += f"  massdns {theirs:,.0f}/s ({cost:.1f} us)"
            rows.append((bare, mine, theirs))
            print(line)
    bare, mine, theirs = (median(column) for column in zip(*rows, strict=True))
    print(f"{mine / bare:.0%} of the bare ceiling {bare:,.0f} answered/s (two processes that only echo)")
    if peer:
        print(f"ratio: {mine / theirs:.2f} (ours {mine:.0f} probes/s, massdns {theirs:.0f} probes/s)")
    else:
        print(f"ours {mine:.0f} probes/s")


def _measured_memory(line: Any, scenario: Scenario, prefixes: list[str], pps: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scope = f'prefixes = {json.dumps(prefixes)}\nexclude = ["127.255.255.255"]'  # a broadcast address
        plan = read_plan(plan_text(scenario, scope, pps, 3000), Path(folder), "")
        done = Prober(plan, Path(folder) / "run", device="lo", clock=SystemClock()).run()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        line.send((done.targets, done.sent, done.answered, peak))


def memory(scenario: Scenario, largest: int, pps: float) -> None:
    """Peak memory of the probing process for scopes of several sizes, each in a fresh process."""
    context = multiprocessing.get_context("spawn")
    print(f"{'targets':>12} {'sent':>12} {'answered':>12} {'peak MiB':>9}")
    peaks = []
    with answering(scenario, chain=False):
        for scope in SCOPES:
            if sum(IPv4Network(prefix).num_addresses for prefix in scope) > largest:
                break
            near, far = context.Pipe()
            child = context.Process(target=_measured_memory, args=(far, scenario, scope, pps))
            child.start()
            targets, sent, answered, peak = near.recv()
            child.join()
            peaks.append(peak)
            print(f"{targets:>12,} {sent:>12,} {answered:>12,} {peak:>9,}", flush=True)
    print(f"ours {max(peaks)} MiB")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description="Named probes answered a second, beside massdns.")
    parser.add_argument("--peer", help="massdns=PATH")
    parser.add_argument("--targets", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--under-way", type=int, default=3000, help="probes that may be under way")
    parser.add_argument("--pps", type=float, default=1_000_000.0, help="ceiling of our pace")
    parser.add_argument("--chain", action="store_true", help="a lab's hosts, which ask our authority first")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of speed")
    parser.add_argument("--largest", type=int, default=11_000_000, help="with --memory: most targets")
    asked = parser.parse_args()
    compile_all(lambda *_: None)
    scenario = checked(msgspec.structs.replace(load_scenario("bench"), prefix="127.64.0.0/13"))
    if asked.memory:
        memory(scenario, asked.largest, asked.pps)
        return
    compare(scenario, asked)


if __name__ == "__main__":
    main()
