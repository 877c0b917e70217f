"""How fast all detectors look through a lake of messages, and in how much memory.

    python benchmarks/bench_detect.py [--rows 10000000] [--detector NAME]

A capture of DNS is read once; its rows are written into a lake again and again, later each time, with other clients and
other names, until there are enough. Then every detector runs over the lake in a process of its own, as `dnsonde detect
LAKE` runs them. The last line is rows a second through all of them; the line before says what memory it took.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from bench_read import write_capture

from dnsonde.formats._contract import Options
from dnsonde.formats._reading import Reading
from dnsonde.table.lake import Lake

BLOCK = 400_000
HOME = "10.0.0.0/8"


def block(folder: Path) -> pa.Table:
    """The rows that are repeated, as the reader makes them."""
    path = folder / "block.pcap"
    write_capture(path, BLOCK)
    with Reading(str(path), Options()) as reading:
        batches = [batch for table, batch in reading if table == "message"]
    path.unlink()
    return pa.Table.from_batches(batches)


def moved(rows: pa.Table, number: int) -> pa.Table:
    """The same rows, later, from other clients, for names of their own."""
    time_us = rows["time_us"].to_numpy()
    span = int(time_us.max() - time_us.min()) + 1
    changes = {"time_us": time_us + number * span}
    for role in ("src", "dst"):
        host = rows[f"{role}_host"].to_numpy()
        client = host >> 24 == 0xFFFF_0A
        changes[f"{role}_host"] = np.where(client, host + (number % 64) * 50_000, host)
    sub = rows["sub_hash"].to_numpy()
    changes["sub_hash"] = np.where((sub != 0) & (np.arange(len(sub)) % 8 < 2), sub ^ (number << 20), sub)
    for name, values in changes.items():
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(place), pa.array(values))
    return rows


def write_lake(folder: Path, rows: int) -> float:
    """Fill a lake with so many messages; seconds that it took."""
    began = time.perf_counter()
    first = block(folder.parent)
    lake = Lake(folder, create=True, durable=False)
    with lake.take("00" * 16) as intake:
        assert intake is not None
        for number in range(-(-rows // BLOCK)):
            for batch in moved(first, number).slice(0, rows - number * BLOCK).to_batches():
                intake.append("message", batch)
        intake.commit({"file": "00" * 16, "path": "bench", "format": "pcap", "bytes": 0, "packets": rows,
                       "parsed": rows, "ignored": 0, "malformed": 0, "messages": rows, "reasons": "{}"})  # fmt: skip
    return time.perf_counter() - began


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description="All detectors over a lake of messages.")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--detector", action="append", default=[], help="only this one")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        lake = Path(temporary) / "lake"
        seconds = write_lake(lake, asked.rows)
        size = sum(part.stat().st_size for part in lake.rglob("*.parquet"))
        print(f"a lake of {asked.rows:,} messages, {size / 1e6:,.0f} MB, written in {seconds:.0f} s")
        command = [sys.executable, "-m", "dnsonde", "detect", str(lake), "--home", HOME, "--format", "jsonl"]
        for name in asked.detector:
            command += ["--detector", name]
        began = time.perf_counter()
        found = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{len(found.splitlines())} findings in {seconds:.1f} s, {peak:,.0f} MiB at most")
    print(f"ours {asked.rows / seconds:.0f} rows/s")


if __name__ == "__main__":
    main()
