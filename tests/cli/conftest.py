"""A run folder as a measurement leaves it, and a way to type a command."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dnsonde.__main__ import answer
from dnsonde.table.schema import PROBE, REPLY, VERDICT, Table
from dnsonde.table.store import Writer
from dnsonde.wire.batch import address_pair
from tests.cli.captures import bot, open_resolver, pcap

Ran = subprocess.CompletedProcess[str]
Type = Callable[..., Ran]

PLAN = """
[scope]
prefixes = ["127.1.0.0/24"]
port = 5300
[zone]
name = "probe.example.net"
authority = "127.0.0.53"
"""
HOSTS = (
    ("127.1.0.1", "recursive_resolver", True, 1.5),
    ("127.1.0.2", "recursive_forwarder", True, 40.25),
    ("127.1.0.3", "refused", False, 1.0),
    ("127.1.0.4", "manipulated", False, 1.0),
    ("127.1.1.5", "silent", False, None),
)


@pytest.fixture
def dnsonde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Type:
    """Type a command in an empty folder; in this process, where the heavy libraries are loaded already."""
    monkeypatch.chdir(tmp_path)

    def typed(*arguments: object) -> Ran:
        capfd.readouterr()
        words = [str(a) for a in arguments]
        code = answer(words)
        said = capfd.readouterr()
        return subprocess.CompletedProcess(words, code, said.out, said.err)

    return typed


@pytest.fixture
def make_run() -> Callable[..., Path]:
    """Write a run folder with some verdicts: (address, class, open, amplification)."""
    return _make_run


@pytest.fixture
def hosts() -> Sequence[tuple[str, str, bool, float | None]]:
    """The verdicts of `run`."""
    return HOSTS


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of five hosts."""
    return _make_run(tmp_path / "run")


def _make_run(
    folder: Path, hosts: Sequence[tuple[str, str, bool, float | None]] = HOSTS, plan: str = PLAN
) -> Path:
    folder.mkdir(parents=True)
    (folder / "plan.toml").write_text(plan)
    rows = [{**_target(address), "class": name, "open": is_open, "amplification": factor,
             "why": f"Seen \x1b[31mso\x1b[0m at {address}.", "subclass": "=1+1"}
            for address, name, is_open, factor in hosts]  # fmt: skip
    _write(folder, VERDICT, rows)
    _write(folder, PROBE, [{**_target(a), "time_us": 1_000_000 + i} for i, (a, *_) in enumerate(hosts)])
    _write(folder, REPLY, [{**_target(hosts[0][0]), "time_us": 6_000_000}])
    return folder


def _target(address: str) -> dict[str, Any]:
    net, host = address_pair(address)
    return {"target_net": net, "target_host": host}


def _write(folder: Path, table: Table, rows: list[dict[str, Any]]) -> None:
    blank: dict[str, Any] = {}
    for column in table.columns:
        if not column.null:
            blank[column.name] = "" if str(column.type) == "string" else 0
    with Writer(table, folder) as writer:
        if rows:
            full = [blank | row for row in rows]
            names = sorted({name for row in full for name in row})
            writer.append({name: pa.array([row.get(name) for row in full]) for name in names})


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A bot and an open resolver at home, captured."""
    return pcap(tmp_path / "trace.pcap", *sorted([*bot(), *open_resolver()]))
