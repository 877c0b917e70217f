"""What a flood of forged replies costs a run: not more than reading its datagrams costs by itself.

Rounds alternate: a run without a flood, the same run under one (forged replies: our zone and run, a wrong tag), and the
flood alone, read and attributed by the prober's own socket and matcher. Costs are the probing process's processor time,
so that what the flooding process takes of the machine does not count.

    python benchmarks/bench_flood.py [--targets 131072] [--rounds 3] [--pps 20000]

The last line is the cost of a forged datagram within a run over its cost alone: 1 or less is "no slowdown beyond that".
"""

import argparse
import multiprocessing
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
from bench_probe import answering, plan_text

from dnsonde.clock import SystemClock
from dnsonde.compile import compile_all
from dnsonde.lab.scenario import Scenario, checked, load_scenario
from dnsonde.net.udp import Udp
from dnsonde.probe import state
from dnsonde.probe.match import Matcher, Secret
from dnsonde.probe.order import Ranges, Scope
from dnsonde.probe.plan import read_plan
from dnsonde.probe.prober import ROW_OCTETS, ProbeProgress, Prober
from dnsonde.wire.batch import ADDRESS, MAPPED, address_array
from dnsonde.wire.codes import Type
from dnsonde.wire.encode import encode_probes
from dnsonde.wire.name import ProbeNames

BATCH = 256
ALONE = 100_000  # datagrams of the flood alone
FLOOD_PPS = 40_000
PREFIX = "127.64.0.0/13"


def flood(port: Any, run: Any, zone: str, ready: Event, stop: Event) -> None:
    """Send forged replies to loopback's `port`, once it is told, until `stop`."""
    ready.set()
    while not port.value:
        if stop.wait(0.001):
            return
    with Udp("0.0.0.0", batch=BATCH, size=320, device="lo") as udp:
        targets = np.zeros(BATCH, ADDRESS)
        targets["host"] = MAPPED | 0x7F40_0000 + np.arange(BATCH)
        length = np.zeros(BATCH, np.int32)
        label = run.value.decode()
        encode_probes(
            ProbeNames(zone), udp.tx_data, length, targets, 1, 0, 0, Type.A, b"another key here", label, 0
        )
        udp.tx_data[:, 2] |= 0x80
        udp.tx["host"], udp.tx["port"], udp.tx["length"] = MAPPED | 0x7F00_0001, port.value, length
        due = time.perf_counter()
        while not stop.is_set():
            udp.send(BATCH)
            due = max(due + BATCH / FLOOD_PPS, time.perf_counter() - 0.1)
            time.sleep(max(due - time.perf_counter(), 0))


class Flood:
    """A flooding process, which begins once `aim` has told it where."""

    def __init__(self, zone: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._run: Any
        ready = context.Event()
        self._port, self._run, self._stop = context.Value("i", 0), context.Array("c", 9), context.Event()
        self._process = context.Process(
            target=flood, args=(self._port, self._run, zone, ready, self._stop), daemon=True
        )
        self._process.start()
        ready.wait()  # a run may be over before a process has begun

    def aim(self, port: int, run: str) -> None:
        """At a port of loopback, with names of that run."""
        if not self._port.value:
            self._run.value = run.encode()
            self._port.value = port

    def end(self) -> None:
        """Stop it."""
        self._stop.set()
        self._process.join()


def measured(
    scenario: Scenario, folder: Path, targets: int, pps: float, *, flooded: bool
) -> tuple[float, int]:
    """Seconds of processor time that a run takes, and the forged replies that it counted."""
    prefix = f"{PREFIX.partition('/')[0]}/{32 - (targets - 1).bit_length()}"
    plan = read_plan(plan_text(scenario, f'prefixes = ["{prefix}"]', pps, 0), folder, "benchmark")
    prober, shout = (
        Prober(plan, folder / "run", device="lo", clock=SystemClock()),
        Flood(scenario.authority.zone),
    )

    def told(_: ProbeProgress) -> None:
        begun = state.load(folder / "run")
        if flooded and begun is not None:
            (socket,) = prober._sockets  # noqa: SLF001 - whom a stranger would have to guess
            shout.aim(socket.port, begun.run)

    try:
        before = time.process_time()
        done = prober.run(told)
        seconds = time.process_time() - before
    finally:
        shout.end()
    if done.answered < done.targets:
        print(f"  {done.targets - done.answered} of {done.targets} unanswered")
    return seconds, done.forged


def alone(zone: str) -> float:
    """Seconds of processor time for one forged datagram, read and attributed, and nothing else done."""
    names, shout = ProbeNames(zone), Flood(zone)
    secret = Secret(bytes(16), "00000000")
    scope = Scope(Ranges.of_networks([]))
    matcher = Matcher(names, secret, scope, address_array(["192.0.2.80"]), qtype=Type.A)
    with Udp("0.0.0.0", size=ROW_OCTETS, device="lo", errors=True, choose_source=False) as udp:
        shout.aim(udp.port, secret.run)
        while not udp.receive():
            udp.wait(20_000)
        count, before = 0, time.process_time()
        while count < ALONE:
            taken = udp.receive()
            if taken:
                matcher.replies(udp.received, udp.rx[:taken], attempt=1, now_us=1)
                count += taken
            else:
                udp.errors()
                udp.wait(1000)
        seconds = time.process_time() - before
    shout.end()
    return seconds / count


def main() -> None:
    parser = argparse.ArgumentParser(description="What a flood of forged replies costs a run.")
    parser.add_argument("--targets", type=int, default=131_072, help="a power of two")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pps", type=float, default=20_000.0, help="pace of the run")
    asked = parser.parse_args()
    compile_all(lambda *_: None)
    scenario = checked(msgspec.structs.replace(load_scenario("bench"), prefix=PREFIX))
    rows = []
    with tempfile.TemporaryDirectory() as temporary, answering(scenario, chain=False):
        for number in range(asked.rounds):
            quiet, _ = measured(
                scenario, _made(temporary, f"quiet-{number}"), asked.targets, asked.pps, flooded=False
            )
            loud, forged = measured(
                scenario, _made(temporary, f"loud-{number}"), asked.targets, asked.pps, flooded=True
            )
            if not forged:
                raise SystemExit("the run was over before the flood began: give more --targets")
            by_itself = alone(scenario.authority.zone)
            within = (loud - quiet) / forged
            rows.append((within, by_itself))
            print(
                f"round {number + 1}: run {quiet:.2f} s, with {forged:,} forged replies {loud:.2f} s of processor: "
                f"{within * 1e6:.2f} us each; alone {by_itself * 1e6:.2f} us each"
            )
    within, by_itself = (median(column) for column in zip(*rows, strict=True))
    print(
        f"ratio: {within / by_itself:.2f} (ours {within * 1e6:.2f} us within a run, "
        f"ALONE {by_itself * 1e6:.2f} us by itself)"
    )


def _made(folder: str, name: str) -> Path:
    path = Path(folder) / name
    path.mkdir()
    return path


if __name__ == "__main__":
    main()
