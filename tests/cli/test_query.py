"""`dnsonde query`: what may be asked of a lake, and what is told of it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsonde.cli import _options
from dnsonde.probe import narrow, state
from dnsonde.table import lake
from tests.cli.captures import found

Type = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT 1", 0),
        ("WITH a AS (FROM flow) SELECT count(*) FROM a", 0),
        ("SELECT src_net, src_host FROM flow", 0),
        ("SELECT * FROM read_text('/etc/hostname')", 2),
        ("SELECT * FROM '/etc/hostname'", 2),
        ("COPY flow TO 'out.csv'", 2),
        ("SELECT 1; SELECT 2", 2),
        ("DROP VIEW flow", 2),
        ("SET enable_external_access = true", 2),
        ("ATTACH 'x.db'", 2),
        ("INSTALL httpfs", 2),
        ("EXPLAIN ANALYZE COPY flow TO 'out.csv'", 2),
        ("SELECT nonsense FROM flow", 2),
        ("SELECT 1 AS a, 2 AS a", 2),
        ("SELEC", 2),
        ("", 2),
    ],
)
def test_a_query_reads_the_lake_and_nothing_else(
    sql: str, code: int, dnsonde: Type, capture: Path, tmp_path: Path
) -> None:
    dnsonde("ingest", capture, "-o", "lake")
    before = {p.name for p in tmp_path.iterdir()}
    said = dnsonde("query", "lake", sql, "--format", "jsonl")
    assert said.returncode == code, said.stderr
    assert len(said.stderr.splitlines()) == (code != 0), said.stderr
    assert {p.name for p in tmp_path.iterdir()} == before
    if sql.startswith("SELECT src_net"):
        assert {row["src"] for row in found(said)} == {"192.0.2.66", "192.0.2.53", "203.0.113.9"}


@pytest.mark.parametrize("name", ["a[b]", "a*b?", "a'b"])
def test_a_lake_may_have_any_name(name: str, dnsonde: Type, capture: Path) -> None:
    assert dnsonde("ingest", capture, "-o", name).returncode == 0
    told = dnsonde("query", name, "SELECT count(*) > 0 AS any FROM flow", "--format", "csv")
    assert (told.returncode, told.stdout.split()) == (0, ['"any"', "true"])


def test_what_a_lake_or_a_run_has_beside_its_tables_is_known_by_name() -> None:
    """Said twice, as to import where it is said would slow `--help`."""
    assert set(_options.OURS) == {lake.ABOUT, state.FILE, state.PLAN, narrow.FILE}


def test_nothing_is_written_over_a_lake(dnsonde: Type, capture: Path, tmp_path: Path) -> None:
    assert dnsonde("ingest", capture, "-o", "lake").returncode == 0
    part = next((tmp_path / "lake").rglob("part-*.parquet"))
    (tmp_path / "lake" / "report.html").write_text("of yesterday")
    ask = ("lake", "SELECT 1 AS one", "--format", "csv", "-o")
    for over in ("lake/lake.json", str(part)):
        said = dnsonde("query", *ask, over)
        assert (said.returncode, "is what is read" in said.stderr) == (2, True)
        assert dnsonde("report", "lake", "-o", over).returncode == 2
    assert dnsonde("report", "lake", "-o", "lake/report.html").returncode == 0
    assert dnsonde("query", *ask, "lake/one.csv").returncode == 0
    assert dnsonde("query", *ask, "lake/one.csv").returncode == 0


def test_who_asks_for_an_address_is_told_of_the_pair(dnsonde: Type, capture: Path) -> None:
    assert dnsonde("ingest", capture, "-o", "lake").returncode == 0
    told = dnsonde("query", "lake", "SELECT src FROM message")
    assert told.returncode == 2
    assert told.stderr.startswith(
        "dnsonde: an address is a pair of columns: ask for src_net, src_host, shown as src,"
    )
    assert len(told.stderr.splitlines()) == 1
    assert dnsonde("query", "lake", "SELECT src_net, src_host FROM message").stdout.startswith("src\n")


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("SELECT src_net, src_host, 1 AS src FROM message", "two columns of this query are named 'src'"),
        (
            "SELECT CASE WHEN range = 400000 THEN 'x' ELSE '1' END::INT AS n FROM range(500000)",
            "this query cannot be answered: Conversion Error: Could not convert string 'x'",
        ),
    ],
)
def test_a_query_that_fails_among_its_rows_is_a_sentence(
    sql: str, sentence: str, dnsonde: Type, capture: Path
) -> None:
    assert dnsonde("ingest", capture, "-o", "lake").returncode == 0
    told = dnsonde("query", "lake", sql, "--format", "jsonl")
    assert told.returncode == 2
    assert told.stderr.startswith(f"dnsonde: {sentence}")
    assert len(told.stderr.splitlines()) == 1


def test_an_address_is_asked_for_by_its_prefix(dnsonde: Type, capture: Path) -> None:
    assert dnsonde("ingest", capture, "-o", "lake").returncode == 0
    query = "SELECT DISTINCT src_net, src_host FROM message WHERE within(src_net, src_host, '{}')"
    rows = found(dnsonde("query", "lake", query.format("203.0.113.0/24"), "--format", "jsonl"))
    assert rows == [{"src": "203.0.113.9"}]
    assert found(dnsonde("query", "lake", query.format("::/0"), "--format", "jsonl")) == []
    told = dnsonde("query", "lake", query.format("example.com"))
    assert (told.returncode, told.stderr) == (
        2,
        "dnsonde: 'example.com' is neither an address nor a prefix\n",
    )


def test_a_table_says_that_there_is_more_and_machines_get_all(dnsonde: Type, capture: Path) -> None:
    assert dnsonde("ingest", capture, "-o", "lake").returncode == 0
    query = ("query", "lake", "SELECT * FROM range(60)")
    told = dnsonde(*query)
    assert told.stdout.splitlines()[-1].strip() == "49"
    assert (
        told.stderr == "... and more than these 50: --limit 0 shows all, --format csv -o FILE keeps them.\n"
    )
    for more in (("--limit", "0"), ("--limit", "60"), ("--format", "csv"), ("-o", "-", "--limit", "0")):
        told = dnsonde(*query, *more)
        assert told.stdout.splitlines()[-1].strip() == "59"
        assert told.stderr == ""
    assert len(found(dnsonde(*query, "--format", "jsonl", "--limit", "3"))) == 3
    assert dnsonde("query", "lake", "SELECT * FROM range(50)").stderr == ""


def test_a_query_may_give_columns_of_whatever_type(dnsonde: Type, capture: Path) -> None:
    dnsonde("ingest", capture, "-o", "lake")
    values = (
        'INTERVAL 1 DAY AS "how ""long"""',
        "'101'::BIT AS b",
        "[1, 2] AS l",
        "{'i': INTERVAL 1 HOUR} AS s",
    )
    sql = f"SELECT {', '.join(values)}, NULL AS n"
    (row,) = found(dnsonde("query", "lake", sql, "--format", "jsonl"))
    assert row == {'how "long"': "1 day", "b": "101", "l": [1, 2], "s": "{'i': '01:00:00'}", "n": None}
    for form in ("csv", "json", "table"):
        said = dnsonde("query", "lake", sql, "--format", form)
        assert (said.returncode, "[1, 2]" in said.stdout or form == "json") == (0, True), said.stderr
