"""Benchmarks that have no room of their own run, and end in the line that figures are taken from."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize(
    ("command", "last"),
    [
        ("bench_lake.py --captures 3", r"ours [\d.]+ s"),
        ("bench_read.py --messages 5000", r"ours [\d,]+ messages/s"),
        ("bench_read.py --packets 5000", r"ours [\d,]+ packets/s"),
        ("bench_probe.py --targets 2000 --rounds 1", r"ours \d+ probes/s"),
    ],
)
def test_it_runs_and_says_what_it_measured(command: str, last: str) -> None:
    name, *options = command.split()
    ran = subprocess.run(
        [sys.executable, BENCHMARKS / name, *options], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert re.fullmatch(last, ran.stdout.splitlines()[-1])
