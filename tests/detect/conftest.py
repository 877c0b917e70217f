"""What tests of detectors stand on: every detector there is, and `rows` beside them."""

import ibis
import pytest

from dnsonde.detect._contract import Detector
from dnsonde.registry import entries


@pytest.fixture(autouse=True)
def quick_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ibis takes half as long to write SQL that it does not make pretty; engines read both alike."""
    monkeypatch.setattr(ibis.options.sql, "fuse_selects", False)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "each" in metafunc.fixturenames:
        known = entries("dnsonde.detect", Detector)
        metafunc.parametrize("each", known.values(), ids=known.keys())
