"""The benchmark of the table of hosts runs, and ends in the line that the figures are taken from."""

import re
import runpy
from pathlib import Path

import pytest


def test_it_measures_every_page(capsys: pytest.CaptureFixture[str]) -> None:
    module = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/bench_web.py"))
    module["main"](["--hosts", "500", "--repeats", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"ours \d+ ms", lines[-1])
    assert {line[:24].strip() for line in lines[2:-1]} == set(module["questions"]())
