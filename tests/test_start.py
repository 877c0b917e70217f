"""What a small command loads: nothing that it does not need, since that is most of the time it takes."""

import subprocess
import sys
from pathlib import Path

from dnsonde.clock import VirtualClock
from dnsonde.lab.traffic import load_traffic, record

SCRIPT = """
import sys
from dnsonde.__main__ import main
try:
    main()
except SystemExit as ended:
    code = ended.code
print(code, *sorted({"ibis", "numba", "pandas", "rich", "jinja2", "starlette"} & sys.modules.keys()))
"""


def loaded(*words: object) -> list[str]:
    """The exit code of a command, and which slow libraries it imported."""
    command = [sys.executable, "-c", SCRIPT, *map(str, words)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()[-1].split()


def test_a_capture_is_looked_through_without_ibis_and_a_look_that_is_kept_read_without_numba(
    tmp_path: Path,
) -> None:
    capture, lake = tmp_path / "mirai.pcap", tmp_path / "lake"
    record(load_traffic("mirai_short"), capture, VirtualClock())
    # Queries that are not kept yet are made of relations, once.
    assert loaded("detect", capture)[0] == "0"
    assert loaded("detect", capture) == ["0", "numba", "rich"]
    assert loaded("ingest", capture, "-o", lake)[0] == "0"
    assert loaded("detect", lake) == ["0", "rich"]
    assert loaded("detect", lake) == ["0", "rich"]

    assert loaded("show", lake) == ["0", "rich"]
    assert loaded("show", lake, "--by", "prefix") == ["0", "rich"]
    for name in ("blocklist", "csv", "intelmq", "json", "jsonl", "rpz", "stix"):
        assert loaded("export", lake, "--format", name, "-o", tmp_path / "written") == ["0", "rich"]
    assert loaded("query", lake, "SELECT * FROM message, enrichment", "--format", "csv") == ["0"]
    assert loaded("query", lake, "SELECT * FROM finding", "--format", "table") == ["0", "rich"]


def test_help_needs_none_of_them() -> None:
    assert loaded("--help") == ["0"]
