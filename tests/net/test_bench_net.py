"""The benchmark of bare sockets runs, and says what benchmarks say."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "bench_net.py"


def test_it_counts_answered_datagrams() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--seconds", "0.1", "--batch", "32", "--window", "64"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    last = re.fullmatch(r"ours (\d+) answered/s", done.stdout.splitlines()[-1])
    assert last
    assert int(last[1]) > 0
