"""How fast all detectors look through a lake, and in how much memory.

    python benchmarks/bench_detect.py [--rows 10000000] [--flows 0] [--attack] [--detector NAME] [--in FOLDER]

A capture of DNS is read once; its rows are written into a lake again and again, later each time, with other clients and
other names, until there are enough; likewise `--flows` rows of mixed traffic. Parts are sorted as `dnsonde ingest`
sorts them. Then `dnsonde detect LAKE` runs in a process of its own. Told are the seconds of each detector (what several
share counts for the first of them), the memory, and in the last line the rows a second through all of them. Messages
alone are set beside reading as many into Parquet, by processor time: of the whole command, its start included. 10^8
messages need 3 GB in FOLDER.

With `--attack` every message and flow is of one: names that do not exist, each asked once, below a few domains and as
domains of their own, and SYNs, all from forged sources that differ. It is the worst that can be looked through.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from bench_read import read, write_capture, write_mixed

from dnsonde.findings.about import detector_names
from dnsonde.findings.compiled import query_of
from dnsonde.formats._contract import Options
from dnsonde.formats._reading import Reading
from dnsonde.table.lake import Intake, Lake

BLOCK = 400_000
HOME = "10.0.0.0/8"
TIMES = {"message": ("time_us",), "flow": ("start_us", "end_us")}


def block(folder: Path, table: str, packets: int) -> pa.Table:
    """The rows that are repeated, as the reader makes them."""
    path = folder / "block.pcap"
    (write_capture if table == "message" else write_mixed)(path, packets)
    with Reading(str(path), Options()) as reading:
        batches = [batch for name, batch in reading if name == table]
    path.unlink()
    return pa.Table.from_batches(batches)


def moved(rows: pa.Table, table: str, number: int) -> pa.Table:
    """The same rows, later, from other clients, for names of their own."""
    first, *_, last = (TIMES[table] * 2)[:2]
    span = int(rows[last].to_numpy().max() - rows[first].to_numpy().min()) + 1
    changes = {name: rows[name].to_numpy() + number * span for name in TIMES[table]}
    for role in ("src", "dst"):
        host = rows[f"{role}_host"].to_numpy()
        client = host >> 24 == 0xFFFF_0A
        changes[f"{role}_host"] = np.where(client, host + (number % 64) * 50_000, host)
    if table == "message":
        sub = rows["sub_hash"].to_numpy()
        other = (sub != 0) & (np.arange(len(sub)) % 8 < 2)
        changes["sub_hash"] = np.where(other, sub ^ (number << 20), sub)
    return changed(rows, **changes)


def forged(rows: pa.Table, table: str, number: int) -> pa.Table:
    """The same rows, of an attack with forged sources: water torture, or a flood of SYNs."""
    chance = np.random.default_rng(number)
    count = rows.num_rows
    outside = 0xFFFF_0000_0000 | chance.integers(0x0B00_0000, 0xDF00_0000, count)
    inside = 0xFFFF_0A00_0000 | chance.integers(0, 1 << 20, count)
    if table == "flow":
        ones, none = np.ones(count, np.int64), np.zeros(count, np.int64)
        return changed(
            rows, src_host=outside, dst_host=inside, src_port=chance.integers(1024, 65536, count),
            dst_port=chance.integers(1, 65536, count), protocol=ones * 6, packets=ones, syn=ones, synack=none,
            ack=none, fin=none, rst=none, push=none, payload_bytes=none, mirai_syn=none,
        )  # fmt: skip
    # Of two rows one asks and the other answers.
    answer = rows["response"].to_numpy()
    place = np.arange(count) // 2
    outside, inside, label = outside[place], inside[place], chance.integers(1 << 60, 1 << 62, count)[place]
    ends = {"src_host": np.where(answer, inside, outside), "dst_host": np.where(answer, outside, inside)}
    below = number % 2 == 1
    domain = f"victim-{number % 14}.com" if below else "com"
    names = pc.binary_join_element_wise(pa.array(label).cast(pa.string()), domain, ".")
    octets, labels = (19, 3) if below else (0, 2)
    return changed(
        rows, **ends, qname=names, registered_domain=pa.repeat(domain, count) if below else names,
        sub_hash=label if below else np.zeros(count, np.int64), sub_bytes=np.full(count, octets),
        label_max=np.full(count, 19), labels=np.full(count, labels),
        rcode=pa.array(np.full(count, 3), mask=~answer),
    )  # fmt: skip


def changed(rows: pa.Table, **columns: Any) -> pa.Table:
    """The rows with other columns in place of theirs."""
    for name, values in columns.items():
        place = rows.schema.get_field_index(name)
        field = rows.schema.field(place)
        rows = rows.set_column(place, field, pa.array(values).cast(field.type))
    return rows


def fill(intake: Intake, folder: Path, table: str, rows: int, *, attack: bool) -> None:
    """Write so many rows of a table."""
    if not rows:
        return
    first = block(folder, table, min(BLOCK, rows))
    for number in range(-(-rows // first.num_rows)):
        some = moved(first, table, number).slice(0, rows - number * first.num_rows)
        if attack:
            some = forged(some, table, number)
        for batch in some.to_batches():
            intake.append(table, batch)


def write_lake(folder: Path, messages: int, flows: int, *, attack: bool) -> float:
    """Fill a lake with so many rows; seconds that it took."""
    began = time.perf_counter()
    with Lake(folder, create=True).take("00" * 16) as intake:
        assert intake is not None
        fill(intake, folder.parent, "message", messages, attack=attack)
        fill(intake, folder.parent, "flow", flows, attack=attack)
        intake.commit({"file": "00" * 16, "path": "bench", "format": "pcap", "bytes": 0, "packets": messages + flows,
                       "parsed": messages + flows, "ignored": 0, "malformed": 0, "messages": messages,
                       "reasons": "{}"})  # fmt: skip
    return time.perf_counter() - began


def reading_us(folder: Path, runs: int = 3) -> float:
    """Microseconds of processor that reading a message into Parquet takes, the best of some runs."""
    path = folder / "capture.pcap"
    write_capture(path, BLOCK)
    read(path, folder)  # compiles what is not compiled
    best = float("inf")
    for _ in range(runs):
        began = time.process_time()
        read(path, folder)
        best = min(best, time.process_time() - began)
    return best / BLOCK * 1e6


def processor_s() -> float:
    """Seconds of processor that commands took so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(*words: str) -> tuple[float, int, str]:
    """Run a command of dnsonde: its seconds, the lines it printed, and its progress."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "dnsonde", *words, "--progress", "jsonl"],
        check=True,
        capture_output=True,
        text=True,
    )
    return time.perf_counter() - began, len(done.stdout.splitlines()), done.stderr


def tell_each(progress: str) -> None:
    """Print what each detector took, from the moments at which the next one began."""
    events = [json.loads(line) for line in progress.splitlines() if line.startswith("{")]
    looks = [event for event in events if event.get("phase") == "looking"]
    begins = {event["item"]: event["elapsed_s"] for event in looks}
    for name, following in pairwise(begins):
        print(f"  {name:24s} {begins[following] - begins[name]:8.2f} s")


def peak_mib() -> float:
    """The most memory that one of the commands had."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description="All detectors over a lake.")
    parser.add_argument("--rows", type=int, default=10_000_000, help="messages")
    parser.add_argument("--flows", type=int, default=0, help="rows of flow")
    parser.add_argument("--attack", action="store_true", help="rows of an attack with forged sources")
    parser.add_argument("--detector", action="append", default=[], help="only this one")
    parser.add_argument("--in", dest="folder", type=Path, help="where the lake is made")
    asked = parser.parse_args()
    if asked.folder is not None:
        asked.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=asked.folder) as temporary:
        lake = Path(temporary) / "lake"
        seconds = write_lake(lake, asked.rows, asked.flows, attack=asked.attack)
        size = sum(part.stat().st_size for part in lake.rglob("*.parquet"))
        print(
            f"a lake of {asked.rows:,} messages and {asked.flows:,} flows, {size / 1e6:,.0f} MB, written in "
            f"{seconds:.0f} s"
        )
        for name in detector_names():
            query_of(name)  # which is made once for good
        only = [word for name in asked.detector for word in ("--detector", name)]
        before = processor_s()
        seconds, found, progress = run("detect", str(lake), "--home", HOME, "--format", "jsonl", *only)
        spent = processor_s() - before
        tell_each(progress)
        print(
            f"{found} findings in {seconds:.1f} s, {spent:.1f} s of processor, {peak_mib():,.0f} MiB at most"
        )
        if not asked.flows:
            theirs = 1e6 / reading_us(Path(temporary))
            ours = asked.rows / spent
            beside = f"ours {ours:,.0f} messages/s, reading {theirs:,.0f} messages/s"
            print(f"ratio: {ours / theirs:.2f} ({beside}, of one core)")
    if asked.flows:
        print(f"ours {(asked.rows + asked.flows) / seconds:.0f} rows/s")


if __name__ == "__main__":
    main()
