"""What is told of the detectors is what they say, kept or not."""

import subprocess
import sys
from pathlib import Path

import pytest

from dnsonde.findings import about
from dnsonde.findings.compiled import detector_of
from dnsonde.table import kept

IMPORTS = """
import sys
from dnsonde.__main__ import answer
assert answer(["explain", "flood"]) == answer(["detectors"]) == 0
print(sorted({"ibis", "duckdb", "numba", "dnsonde.detect.flood"} & set(sys.modules)))
"""


def test_kept_or_made_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "kept_folder", lambda: tmp_path)
    made = about.about()
    (place,) = tmp_path.iterdir()
    assert about.about() == made
    place.write_text("{")
    assert about.about() == made, "damaged, it is made again"
    assert list(made) == list(about.detector_names())
    for name, one in made.items():
        detector = detector_of(name)
        assert one.explanation == detector.explanation
        assert [p.name for p in one.parameters] == [p.name for p in detector.parameters]
        assert [repr(p.default) for p in one.parameters] == [repr(p.default) for p in detector.parameters]


def test_who_explains_one_waits_for_none() -> None:
    about.about()
    ran = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
