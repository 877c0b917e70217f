"""The benchmark runs, and its last line is what the published figures are read from."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "bench_authority.py"


@pytest.mark.skipif(shutil.which("dnsperf") is None, reason="dnsperf is not installed")
def test_it_measures_and_says_so_in_its_last_line() -> None:
    command = [
        sys.executable,
        str(BENCHMARK),
        "--seconds",
        "1",
        "--rounds",
        "1",
        "--names",
        "100",
        "--outstanding",
        "50",
    ]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    assert re.fullmatch(r"ours [1-9]\d* answers/s", told.splitlines()[-1])
    assert "100.00%" in told
