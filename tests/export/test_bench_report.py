"""The benchmark of reports runs, its last line is what figures are taken from, and its hostile pages are harmless."""

import io
import re
import runpy
from pathlib import Path

import pytest

from dnsonde import watch
from dnsonde.lang.words import words
from dnsonde.page.html import write_html
from dnsonde.page.parts import alone
from dnsonde.view.open import open_view

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return runpy.run_path(str(BENCHMARKS / "bench_report.py"))


def test_it_measures(
    benchmark: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark["main"](["--hosts", "300", "--in", str(tmp_path), "--only", "open"])  # type: ignore[operator]
    assert re.fullmatch(r"ours \d+\.\d s", capsys.readouterr().out.splitlines()[-1])
    page = (tmp_path / "open.html").read_text(encoding="utf-8")
    assert len(page) < 200_000
    assert "Open hosts by the network that announces them (20 of 300)" in page
    assert "<script" not in page


def test_so_many_findings_say_what_is_left_out(benchmark: dict[str, object], tmp_path: Path) -> None:
    benchmark["write_findings"](tmp_path / "lake", 400)  # type: ignore[operator]
    found = watch.kept(tmp_path / "lake")
    assert found is not None
    out = io.BytesIO()
    write_html(alone(open_view(tmp_path / "lake", found.findings, found.home), words("en")), out)
    page = out.getvalue().decode()
    assert len(page) < 500_000
    for told in (
        "worst first (50 of 400)",
        "What the probers know now (6 of ",
        "How their names are made (20 of ",
    ):
        assert told in page
    assert "<script" not in page
    assert "\u202e" not in page
