"""What a command that looks loads: nothing that it does not need, since that is most of the time it takes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsonde.clock import VirtualClock
from dnsonde.lab.traffic import load_traffic, record

SCRIPT = """
import json, sys
from dnsonde.__main__ import main
codes = set()
for command in json.loads(sys.stdin.read()):
    sys.argv[1:] = command
    try:
        main()
    except SystemExit as ended:
        codes.add(ended.code)
print()
print(*codes, *sorted({"ibis", "numba", "pandas", "rich", "jinja2", "starlette"} & sys.modules.keys()))
"""
Loaded = Callable[..., list[str]]


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """The exit codes of commands, one after the other in one process, and which slow libraries they imported."""

    def told(*commands: str) -> list[str]:
        typed = json.dumps(
            [[word.replace("\xa0", " ") for word in command.split(" ")] for command in commands]
        )
        ran = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            input=typed,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stdout.splitlines()[-1].split()

    return told


def test_a_capture_is_looked_through_without_ibis_and_a_look_that_is_kept_read_without_numba(
    tmp_path: Path, loaded: Loaded
) -> None:
    record(load_traffic("mirai_short"), tmp_path / "mirai.pcap", VirtualClock())
    # Queries that are not kept yet are made of relations, once.
    assert loaded("detect mirai.pcap")[0] == "0"
    assert loaded("detect mirai.pcap") == ["0", "numba", "rich"]
    assert loaded("ingest mirai.pcap -o lake")[0] == "0"
    assert loaded("detect lake", "detect lake") == ["0", "rich"]

    forms = ("blocklist", "csv", "ddos-fingerprint", "ecs", "flowspec", "intelmq", "json", "jsonl", "misp", "ocsf",
             "parquet", "rpz", "stix")  # fmt: skip
    assert loaded(
        "show lake",
        "show lake --by prefix",
        "export lake --format xarf --set contact=noc@example.net -o xarf",
        "export lake --format csv --table message -o csv",
        *(f"export lake --format {form} -o {form}" for form in forms),
    ) == ["0", "rich"]
    assert loaded("report lake -o lake.html", "export lake --format markdown -o markdown") == ["0", "jinja2"]
    assert loaded("query lake FROM\xa0message --format csv") == ["0"]
    assert loaded("query lake FROM\xa0finding") == ["0", "rich"]


def test_a_run_is_looked_at_and_a_plan_checked_without_ibis_and_compiled_code(
    tmp_path: Path, make_run: Callable[..., Path], loaded: Loaded
) -> None:
    make_run(tmp_path / "run")
    make_run(tmp_path / "later", hosts=[("127.1.0.1", "refused", False, None)])
    (tmp_path / "owners.txt").write_text("127.1.0.0\t24\t64500\n")
    assert loaded("plan new", "probe --help") == ["0"]
    assert loaded("plan check run/plan.toml") == ["0", "rich"]
    assert loaded(
        "enrich run owners.txt",
        "show run",
        "show run --open --prefix 127.1.0.0/25",
        "show run --by asn",
        "diff run later",
        "diff run later --format csv",
    ) == ["0", "rich"]
    forms = ("blocklist", "csv", "ecs", "intelmq", "json", "jsonl", "misp", "ocsf", "parquet", "rpz", "shadowserver",
             "stix")  # fmt: skip
    assert loaded(
        "export run --format xarf --set contact=noc@example.net -o xarf",
        *(f"export run --format {form} -o {form}" for form in forms),
    ) == ["0"]
    assert loaded("report run -o run.html --since later", "export run --format markdown -o markdown") == [
        "0",
        "jinja2",
    ]


def test_help_needs_none_of_them(loaded: Loaded) -> None:
    assert loaded("--help") == ["0"]
