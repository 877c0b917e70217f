"""Answers a second: our authority, every query written to its sighting table, against a server that serves a zone file.

dnsperf is the client. Each server gets one core and the client another; runs alternate, so that a slow moment of
the machine hits both. All are asked the same names: three probe names that exist for one that does not.

    python benchmarks/bench_authority.py [--peer knot=/usr/sbin/knotd] [--peer nsd=/usr/sbin/nsd]
        [--seconds 3] [--rounds 3] [--outstanding 1000] [--names 50000] [--no-sightings]
"""

import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import numpy as np

from dnsonde.authority.answer import Policy
from dnsonde.authority.server import Authority
from dnsonde.authority.sighting import Sightings
from dnsonde.authority.zone import Zone
from dnsonde.clock import SystemClock
from dnsonde.stopping import calling
from dnsonde.table.schema import TABLES
from dnsonde.table.store import Writer
from dnsonde.wire.batch import ADDRESS, MAPPED
from dnsonde.wire.encode import probe_text
from dnsonde.wire.name import Kind, ProbeNames

ZONE = Zone("probe.example", ("127.0.0.1",), ("192.0.2.80",), contact="noc@probe.example")
RUN = "bench000"
SEED = 20261122

ZONE_FILE = f"""$ORIGIN {ZONE.name}.
$TTL 10
@ SOA ns1 noc 1 3600 600 86400 10
@ NS ns1
ns1 A 127.0.0.1
*.{RUN} A 127.0.0.1
*.{RUN} A 192.0.2.80
nx.{RUN} TXT "so that the wildcard does not reach below"
"""

KNOT = """server:
  listen: 127.0.0.1@{port}
  rundir: {folder}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: {folder}
log:
  - target: stderr
    any: error
template:
  - id: default
    storage: {folder}
zone:
  - domain: {zone}
    file: zone
"""

NSD = """server:
  ip-address: 127.0.0.1
  port: {port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: {folder}
  pidfile: {folder}/pid
  zonelistfile: {folder}/list
  xfrdfile: {folder}/xfrd
  logfile: {folder}/log
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: {zone}
  zonefile: zone
"""

COMMANDS = {"knot": (KNOT, ["-c", "{folder}/conf"]), "nsd": (NSD, ["-d", "-c", "{folder}/conf"])}


def write_queries(path: Path, count: int) -> None:
    """Names of `count` targets, every fourth in the branch that does not exist."""
    names = ProbeNames(ZONE.name)
    targets = np.zeros(count, ADDRESS)
    targets["host"] = MAPPED | np.random.default_rng(SEED).permutation(1 << 24)[:count] + 0x0A00_0000
    there = probe_text(names, targets, 1, Kind.SWEEP, 0, bytes(16), RUN)[0].to_pylist()
    absent = probe_text(names, targets, 1, Kind.NXDOMAIN, 0, bytes(16), RUN)[0].to_pylist()
    asked = [absent[i] if i % 4 == 3 else there[i] for i in range(count)]
    path.write_text("".join(f"{name} A\n" for name in asked))


def serve_ours(port: int, folder: Path, *, sightings: bool) -> None:
    """Serve until SIGTERM."""
    clock, stop = SystemClock(), Event()
    rows = Sightings(Writer(TABLES["sighting"], folder), clock) if sightings else None
    authority = Authority(ZONE, port=port, sightings=rows, clock=clock, policy=Policy(per_second=None))
    with calling(stop.set, once=True), authority:
        authority.run(stop)


@contextmanager
def server(name: str, program: str, core: int, *, sightings: bool) -> Iterator[int]:
    """One server in a process of its own, on its core; its port."""
    with tempfile.TemporaryDirectory() as temp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        folder = Path(temp)
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        if name == "ours":
            command = [sys.executable, __file__, "--serve", str(port), "--folder", temp]
            command += [] if sightings else ["--no-sightings"]
        else:
            text, arguments = COMMANDS[name]
            (folder / "conf").write_text(text.format(port=port, folder=folder, zone=ZONE.name))
            (folder / "zone").write_text(ZONE_FILE)
            command = [program, *(a.format(folder=folder) for a in arguments)]
        pinned = ["taskset", "-c", str(core), *command]
        with subprocess.Popen(pinned, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            try:
                wait_for(port)
                yield port
            finally:
                process.send_signal(signal.SIGTERM)


def wait_for(port: int) -> None:
    """Ask for the SOA until it is answered, for at most a minute."""
    question = b"\0\1\0\0\0\1\0\0\0\0\0\0" + ZONE.wire + b"\0\6\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.1)
        for _ in range(600):
            client.sendto(question, ("127.0.0.1", port))
            try:
                client.recv(512)
            except OSError:
                time.sleep(0.05)
                continue
            return
    raise SystemExit("the server did not come up")


def measure(port: int, core: int, queries: Path, seconds: float, outstanding: int) -> tuple[float, float]:
    """Answers a second, and the share of queries answered."""
    command = ["taskset", "-c", str(core), "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(queries)]
    command += ["-l", str(seconds), "-q", str(outstanding), "-c", "4", "-T", "1", "-t", "1"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = re.search(r"Queries per second:\s+([\d.]+)", told)
    done = re.search(r"Queries completed:\s+\d+ \(([\d.]+)%\)", told)
    if not rate or not done:
        raise SystemExit(told)
    return float(rate.group(1)), float(done.group(1)) / 100


def main() -> None:
    """Run, print the table and the ratio to each peer, the last peer's last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", action="append", default=[], metavar="knot|nsd=PATH")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--outstanding", type=int, default=1000)
    parser.add_argument("--names", type=int, default=50_000)
    parser.add_argument("--no-sightings", action="store_true")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve_ours(args.serve, args.folder, sightings=not args.no_sightings)
        return
    if shutil.which("dnsperf") is None:
        raise SystemExit("dnsperf is not installed (Debian: apt install dnsperf)")
    servers = {"ours": "", **dict(peer.split("=", 1) for peer in args.peer)}
    cores = sorted(os.sched_getaffinity(0))
    rates: dict[str, list[float]] = {name: [] for name in servers}
    print(f"{'server':8} {'answers/s':>10} {'answered':>9}")
    with tempfile.TemporaryDirectory() as temp:
        queries = Path(temp) / "queries"
        write_queries(queries, args.names)
        for _ in range(args.rounds):
            for name, program in servers.items():
                with server(name, program, cores[0], sightings=not args.no_sightings) as port:
                    rate, share = measure(port, cores[-1], queries, args.seconds, args.outstanding)
                rates[name].append(rate)
                print(f"{name:8} {rate:10,.0f} {share:9.2%}", flush=True)
    ours = statistics.median(rates["ours"])
    for name in list(servers)[1:]:
        peer = statistics.median(rates[name])
        print(f"ratio: {ours / peer:.2f} (ours {ours:.0f} answers/s, {name} {peer:.0f} answers/s)")
    if len(servers) == 1:
        print(f"ours {ours:.0f} answers/s")


if __name__ == "__main__":
    main()
