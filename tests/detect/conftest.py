"""What tests of detectors stand on: every detector there is, and `rows` beside them."""

import sys
from pathlib import Path

import pytest

from dnsonde.detect._contract import Detector
from dnsonde.registry import entries

# Tests are no package, but the detectors' tests share builders of rows: `tests.detect.rows`.
sys.path.insert(0, str(Path(__file__).parents[2]))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "each" in metafunc.fixturenames:
        known = entries("dnsonde.detect", Detector)
        metafunc.parametrize("each", known.values(), ids=known.keys())
