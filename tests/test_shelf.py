"""What a folder tells of its runs and lakes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from dnsonde.probe import narrow, state
from dnsonde.probe.plan import load_plan
from dnsonde.shelf import Entry, standing
from tests.web.folder import PLAN


@pytest.mark.parametrize("module", ["hosts", "look", "shelf"])
def test_to_look_brings_neither_compiled_code_nor_ibis(module: str) -> None:
    code = f"import sys, dnsonde.{module}; print(*sorted({{'ibis', 'numba'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"\n"


def test_how_many_a_run_has_to_ask_is_told_as_soon_as_it_keeps_its_scope_and_after_an_exclusion(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "targets.txt").write_text("127.1.0.1\n127.1.0.2\n")
    (run / "plan.toml").write_text(PLAN.replace('prefixes = ["127.1.0.0/24"]', 'targets = "../targets.txt"'))
    entry = Entry("run", run, "run")
    assert standing(entry).targets is None
    narrow.keep(run, load_plan(run / "plan.toml").scope())
    assert standing(entry).targets == 2
    kept = state.fresh("d", 0)
    kept.exclusions.append(state.Narrowing(0, 1, ["127.1.0.2"]))
    state.save(run, kept)
    assert standing(entry).targets == 1


@pytest.mark.parametrize("kind", ["run", "lake"])
def test_a_name_that_is_no_utf8_is_told_and_stops_nobody(
    kind: Literal["run", "lake"], tmp_path: Path
) -> None:
    """It stopped the whole overview."""
    folder = tmp_path / os.fsdecode(b"bad\xff")
    folder.mkdir()
    stands = standing(Entry("bad", folder, kind))
    assert (stands.state, "no UTF-8" in stands.said) == ("damaged", True)
