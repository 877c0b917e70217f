"""What every test stands on, and the rule that CI on Debian runs the tests with real DNS servers."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A first call compiles a kernel: time is not what these properties are about.
settings.register_profile("dnsonde", deadline=None)
settings.load_profile("dnsonde")

skipped_servers: list[str] = []


def must_have_servers() -> bool:
    """True on the machines where scripts/test installs the servers, under CI."""
    return os.environ.get("CI") == "true" and os.geteuid() == 0 and Path("/etc/debian_version").exists()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and "servers" in report.keywords:
        skipped_servers.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if skipped_servers and must_have_servers():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if skipped_servers and must_have_servers():
        terminalreporter.write_line(
            f"failed: {len(skipped_servers)} tests with real DNS servers were skipped; CI must run them here",
            red=True,
        )
