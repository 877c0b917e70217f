"""What every test stands on, and the rule that CI on Debian runs those with real DNS servers, Spark and Chromium."""

import gc
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from dnsonde.compile import compile_all
from dnsonde.probe.judge import to_prepare as judging
from dnsonde.watch import Asked, to_prepare

# A first call compiles a kernel: time is not what these properties are about.
settings.register_profile("dnsonde", deadline=None)
settings.load_profile("dnsonde")

# Marks of tests that scripts/test prepares a machine for.
PREPARED = ("servers", "spark", "browser")
skipped_prepared: list[str] = []

# Where several processes run the tests (scripts/check): what takes longest begins first, so that nobody waits for it
# at the end. Tests of a file share what they set up and stay together; those of whole labs do too, lest these wait for
# each other's processors.
FIRST = (
    "tests/detect/test_engines.py",
    "tests/test_docs.py",
    "tests/test_run.py",
    "tests/lab/",
    "tests/servers/",
    "tests/web/",
    "tests/cli/",
    "tests/test_variants.py",
    "tests/wire/",
)
WHOLE_LABS = ("tests/test_loop.py", "tests/test_run.py", "tests/test_wheel.py", "tests/test_compile.py")


def must_be_prepared() -> bool:
    """True on the machines where scripts/test installs what they need, under CI."""
    return os.environ.get("CI") == "true" and os.geteuid() == 0 and Path("/etc/debian_version").exists()


def pytest_sessionstart(session: pytest.Session) -> None:
    # A lab's hosts do not wait seconds for a kernel; workers find what the first process compiled.
    if not hasattr(session.config, "workerinput"):
        compile_all(lambda *_: None, None, judging() | to_prepare(Asked()))


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Files are given out whole, in order."""

    def _split_scope(self, nodeid: str) -> str:
        return "whole labs" if nodeid.startswith(WHOLE_LABS) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(
        key=lambda item: next(
            (at for at, start in enumerate(FIRST) if item.nodeid.startswith(start)), len(FIRST)
        )
    )


def pytest_collection_finish() -> None:
    gc.freeze()  # four thousand tests, which no collection has to go through again and again


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and any(mark in report.keywords for mark in PREPARED):
        skipped_prepared.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if skipped_prepared and must_be_prepared():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if skipped_prepared and must_be_prepared():
        terminalreporter.write_line(
            f"failed: {len(skipped_prepared)} tests with DNS servers, on Spark or in Chromium were skipped; "
            "CI must run them here",
            red=True,
        )
