"""A lake of very many small captures: what taking them in costs, and what asking it then does.

So many one-minute captures of 200 packets of DNS each are written, as `tcpdump -G 60` leaves them, and taken in, asked
and looked into by the command, each in a process of its own. A line each: seconds, seconds of processor, and the most
memory; then of how many files the lake consists. The last says what all of it took.

    bench_lake.py [--captures 5000] [--folder DIR]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_read import write_capture

PACKETS = 200
HEADER = 24  # octets, of a file
RECORD = 16  # and of a packet
START = 1_700_000_000


def write_captures(folder: Path, number: int) -> None:
    """One-minute captures, one after the other."""
    folder.mkdir()
    whole = folder.with_suffix(".pcap")
    write_capture(whole, number * PACKETS)
    data = memoryview(whole.read_bytes())
    at = HEADER
    for minute in range(number):
        parts = [data[:HEADER]]
        for packet in range(PACKETS):
            length = int.from_bytes(data[at + 8 : at + 12], "little")
            micros = packet * 60_000_000 // PACKETS
            stamp = (START + 60 * minute + micros // 1_000_000, micros % 1_000_000)
            parts.append(memoryview(b"".join(field.to_bytes(4, "little") for field in stamp)))
            parts.append(data[at + 8 : at + RECORD + length])
            at += RECORD + length
        (folder / f"{minute:06d}.pcap").write_bytes(b"".join(parts))
    whole.unlink()


def run(name: str, *words: str | Path) -> float:
    """Run a command of dnsonde, print what it took, and return its seconds."""
    began = time.perf_counter()
    done = subprocess.Popen(
        [sys.executable, "-m", "dnsonde", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(done.pid, 0)
    done.returncode = os.waitstatus_to_exitcode(status)
    if done.returncode:
        raise SystemExit(f"dnsonde {words[0]} ended with {done.returncode}")
    seconds, processor = time.perf_counter() - began, used.ru_utime + used.ru_stime
    print(
        f"{name:18} {seconds:7.1f} s  {processor:7.1f} s of processor  {used.ru_maxrss >> 10:6,} MiB",
        flush=True,
    )
    return seconds


def main() -> None:
    """Write, take in, ask and look."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--captures", type=int, default=5000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        captures, lake = Path(place, "captures"), Path(place, "lake")
        write_captures(captures, options.captures)
        home = ("--home", "10.0.0.0/8")
        spent = run("ingest", "ingest", captures, "-o", lake)
        spent += run("query", "query", lake, "SELECT count(*) FROM message")
        spent += run("detect", "detect", lake, *home)
        spent += run("detect, once more", "detect", lake, *home)
        print(f"{sum(1 for _ in lake.glob('*/**/*.parquet')):,} files of Parquet")
        print(f"ours {spent:.1f} s")


if __name__ == "__main__":
    main()
