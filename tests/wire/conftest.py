"""What tests of kernels share."""

import os

import pytest


@pytest.fixture(scope="session")
def checked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process whose kernels check every index.

    Kept code does not know whether it does: it has a folder of its own, for all tests of this run, since kernels share
    helpers.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return os.environ | {
        "NUMBA_BOUNDSCHECK": "1", "NUMBA_OPT": "0", "NUMBA_CACHE_DIR": str(base / "checked"),
    }  # fmt: skip
