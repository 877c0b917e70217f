"""The doctor tells what is so, and the command that fixes what is not."""

import errno
from pathlib import Path

import pytest

from dnsonde import doctor


def test_it_looks_at_everything_here_without_failing() -> None:
    found = list(doctor.checks())
    assert len(found) == 9
    assert all(c.good or c.fix for c in found), "what is not good has a fix"


@pytest.mark.parametrize(
    ("refusal", "good", "fix"),
    [
        (0, True, ""),
        (errno.EADDRINUSE, False, "ss -lunp"),
        (errno.EACCES, False, "setcap cap_net_bind_service"),
    ],
)
def test_port(refusal: int, good: bool, fix: str, tmp_path: Path) -> None:
    check = doctor.port(tmp_path, lambda _: refusal)
    assert check.good is good
    assert fix in check.fix


def test_a_small_buffer_names_its_sysctl(tmp_path: Path) -> None:
    folder = tmp_path / "sys/net/core"
    folder.mkdir(parents=True)
    (folder / "rmem_max").write_text("212992\n")
    check = doctor.buffer(tmp_path, "receive", "rmem_max")
    assert not check.good
    assert "net.core.rmem_max=4194304" in check.fix
    (folder / "rmem_max").write_text("4194304\n")
    assert doctor.buffer(tmp_path, "receive", "rmem_max").good


def test_capabilities_are_named(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/status").write_text("Name:\tx\nCapEff:\t0000000000000400\n")
    assert doctor.capabilities(tmp_path).found == "cap_net_bind_service"
    (tmp_path / "self/status").write_text("CapEff:\t0000000000000000\n")
    assert "none is needed" in doctor.capabilities(tmp_path).found


@pytest.mark.parametrize(("soft", "hard", "good", "fix"), [
    (4096, 4096, True, ""), (256, 4096, False, "ulimit -n 1024"), (256, 256, False, "limits.conf"),
])  # fmt: skip
def test_open_files(soft: int, hard: int, good: bool, fix: str) -> None:
    check = doctor.open_files((soft, hard))
    assert check.good is good
    assert fix in check.fix


@pytest.mark.parametrize(
    ("table", "good"),
    [
        ("00000000000000000000000000000001 01 80 10 80 lo\n", False),
        ("20010db8000000000000000000000001 02 40 00 80 eth0\n", True),
        ("", False),
    ],
)
def test_ipv6(table: str, good: bool, tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/if_inet6").write_text(table)
    assert doctor.ipv6(tmp_path).good is good


def test_clock() -> None:
    assert doctor.clock(synchronised=True).good
    assert doctor.clock(synchronised=None).good
    assert "set-ntp" in doctor.clock(synchronised=False).fix
