"""How long the report of a large run or lake takes, in how much memory, and how long a page it makes.

    python benchmarks/bench_report.py [--hosts 1000000] [--rows 10000000] [--findings 100000] [--only CASE]

Each case is written, and `dnsonde report` runs over it in a process of its own:

- `run`: a run of so many hosts, seven of ten silent, each asked once
- `open`: a run whose hosts are all open, each in a /24 of its own, behind 100,000 egresses, each with a reason of its
  own, each announced by somebody else; and what changed since a run where all were closed
- `lake`: a lake of so many messages that was looked into before, as `bench_detect.py` makes it
- `fresh`: the same, looked into now
- `findings`: a lake that keeps so many findings of every detector, with long texts and names that are markup

Told are seconds, seconds of processor, the most memory (MiB) and the HTML's size (MB). The last line has the slowest.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
import pyarrow as pa
from bench_detect import HOME, processor_s, write_lake
from bench_web import PLAN, write_run

from dnsonde.choices import SEVERITIES
from dnsonde.findings.about import detector_names
from dnsonde.findings.known import Look, code, keep, parts
from dnsonde.table.prefix import prefixes
from dnsonde.table.schema import ENRICHMENT, FINDING, PROBE, VERDICT
from dnsonde.table.store import Writer
from dnsonde.wire.batch import address_pair

START_US = 1_700_000_000_000_000
EGRESSES = 100_000
MARKUP = "<script>alert(1)</script>\u202e" + "x" * 200
# What a process has at most is asked of itself: what `wait` tells begins with what its parent had.
MEASURED = """
import atexit, runpy
atexit.register(lambda: print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))))
runpy.run_module("dnsonde", run_name="__main__")
"""
PLACES = {"address": "198.51.{}.{}", "prefix": "10.{}.{}.0/24", "domain": MARKUP + ".{}-{}.example"}


def write_probes(folder: Path, host: np.ndarray) -> None:
    """One probe a host."""
    with Writer(PROBE, folder) as writer:
        writer.append({"target_net": 0, "target_host": host, "kind": "sweep", "attempt": 1,
                       "time_us": START_US + 100 * np.arange(len(host)), "qname": "x.example", "qtype": 1,
                       "query_bytes": 60, "errno": 0})  # fmt: skip


def write_open(folder: Path, hosts: int, *, opened: bool) -> None:
    """A run of hosts each in a /24 of its own, all open or none."""
    folder.mkdir()
    (folder / "plan.toml").write_text(PLAN)
    host = address_pair("16.0.0.0")[1] + 256 * np.arange(hosts)
    zeros = np.zeros(hosts, np.int64)
    random = np.random.default_rng(1)
    with Writer(VERDICT, folder) as writer:
        writer.append({
            "target_net": zeros, "target_host": host, "class": "recursive_forwarder" if opened else "refused",
            "confidence": 1.0, "open": opened, "egress_net": zeros if opened else None,
            "egress_host": address_pair("11.0.0.0")[1] + np.arange(hosts) % EGRESSES if opened else None,
            "egress_count": 1, "responder_net": zeros, "responder_host": host, "rcode": 0, "ra": opened, "attempts": 1,
            "replies": 1, "sightings": 1, "query_bytes": 60, "response_bytes": 90,
            "amplification": random.random(hosts) * 60, "rtt_us": random.integers(100, 300_000, hosts),
            "first_seen_us": START_US + np.arange(hosts), "why": [f"{n} {MARKUP}" for n in range(hosts)],
        })  # fmt: skip
    write_probes(folder, host)
    if not opened:
        return
    with Writer(ENRICHMENT, folder) as writer:
        writer.append({"address_net": zeros, "address_host": host, "asn": np.arange(hosts),
                       "as_name": [f"{n} {MARKUP}" for n in range(hosts)], "country": "ZZ",
                       "abuse": [f"abuse@{n}.example" for n in range(hosts)]})  # fmt: skip


def write_findings(lake: Path, number: int) -> None:
    """A lake that keeps so many findings."""
    write_lake(lake, 1000, 1000, attack=False)
    names, kinds, severities = cycle(detector_names()), cycle(PLACES), cycle(SEVERITIES)
    rows = []
    for n in range(number):
        name, kind = next(names), next(kinds)
        rows.append({
            "detector": name, "threat": name, "subject": PLACES[kind].format(n >> 8 & 255, n & 255),
            "subject_kind": kind, "severity": next(severities), "confidence": n % 100 / 100,
            "first_seen": START_US + n * 1_000_000, "last_seen": START_US + (n + n % 7000) * 1_000_000,
            "count": n, "title": f"{n} {MARKUP}", "summary": MARKUP * 4,
            "evidence": json.dumps({"vector": f"{MARKUP}{n}", "targets": n, "answered": n, "resolved": n,
                                    "template": MARKUP * 3, "destinations": n, **{f"e{k}": MARKUP for k in range(30)}}),
            "references": json.dumps([MARKUP, "https://example.net/" + "y" * 300]),
        })  # fmt: skip
    rows.sort(key=lambda row: -SEVERITIES.index(row["severity"]))
    look = Look(START_US, parts(lake), code(), prefixes([HOME]), None, ())
    keep(lake, look, pa.Table.from_pylist(rows, FINDING.schema))


def report(*words: str | Path) -> tuple[float, float, float]:
    """Run `dnsonde report`: its seconds, seconds of processor, and the most memory, MiB."""
    began, before = time.perf_counter(), processor_s()
    command = [sys.executable, "-c", MEASURED, "report", *map(str, words)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - began, processor_s() - before, int(done.stdout.split()[-2]) / 1024


def cases(asked: argparse.Namespace, folder: Path) -> dict[str, Callable[[], list[str | Path]]]:
    """What makes each case and returns the words after `dnsonde report`, by name."""

    def ordinary() -> list[str | Path]:
        write_run(folder / "run", asked.hosts)
        write_probes(folder / "run", address_pair("20.0.0.0")[1] + np.arange(asked.hosts))
        return [folder / "run"]

    def hostile() -> list[str | Path]:
        write_open(folder / "open", asked.hosts, opened=True)
        write_open(folder / "closed", asked.hosts, opened=False)
        return [folder / "open", "--since", folder / "closed"]

    def lake(*how: str) -> list[str | Path]:
        if not (folder / "lake").exists():
            write_lake(folder / "lake", asked.rows, 0, attack=False)
            report(folder / "lake", "-o", folder / "first.html", "--home", HOME)
        return [folder / "lake", "--home", HOME, *how]

    def findings() -> list[str | Path]:
        write_findings(folder / "found", asked.findings)
        return [folder / "found", "--home", HOME]

    return {
        "run": ordinary, "open": hostile, "lake": lake, "fresh": lambda: lake("--fresh"), "findings": findings,
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description="Reports of large runs and lakes.")
    parser.add_argument("--hosts", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=10_000_000, help="messages of the lake")
    parser.add_argument("--findings", type=int, default=100_000)
    parser.add_argument("--only", action="append", metavar="CASE", help="this case alone; may be repeated")
    parser.add_argument("--in", dest="folder", type=Path, help="where they are made, and stay")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        worst = 0.0
        print(f"{'case':10} {'seconds':>8} {'processor':>10} {'MiB':>6} {'HTML, MB':>9}")
        for name, make in cases(asked, folder).items():
            if asked.only and name not in asked.only:
                continue
            words = make()
            page = folder / f"{name}.html"
            seconds, processor, mib = report(*words, "-o", page)
            worst = max(worst, seconds)
            print(
                f"{name:10} {seconds:8.1f} {processor:10.1f} {mib:6.0f} {page.stat().st_size / 1e6:9.2f}",
                flush=True,
            )
    print(f"ours {worst:.1f} s")


if __name__ == "__main__":
    main()
