"""What holds for every detector: its words, its parameters, its columns, and that both engines can read it."""

import inspect
import re
from functools import cache

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from ibis.config import Config

from dnsonde.choices import SEVERITIES
from dnsonde.detect._contract import Detector, confidence, finding, severity
from dnsonde.errors import UsageError
from dnsonde.findings.compiled import query_of
from dnsonde.table import schema
from dnsonde.table.finding import COLUMNS
from tests.detect.rows import found

KNOWN_TABLES = {"message", "flow"}
INTEGERS = {"subject_net", "subject_host", "subject_bits", "severity", "first_seen", "last_seen", "count"}


class SparkOptions(Config):  # type: ignore[misc]  # ibis ships no types
    """What the Spark engine would register."""

    treat_nan_as_null: bool = False


def unbound() -> dict[str, ibis.Table]:
    """Tables with columns and no rows and no engine."""
    sides = {"src_home": dt.boolean, "dst_home": dt.boolean}
    both = {}
    for table, more in ((schema.MESSAGE, {"embedded_home": dt.boolean}), (schema.FLOW, {})):
        columns = ibis.Schema.from_pyarrow(table.schema.remove_metadata())
        both[table.name] = ibis.table({**columns, **sides, **more}, name=table.name)
    return both


@cache
def whole(each: Detector) -> ir.Table:
    """The detector's relation, which takes a moment to build."""
    return each(unbound())


def test_it_is_called_what_its_file_is_and_reads_known_tables(each: Detector) -> None:
    module = inspect.getmodule(each.relation)
    assert module is not None
    assert module.__name__ == f"dnsonde.detect.{each.name}"
    assert each.tables
    assert set(each.tables) <= KNOWN_TABLES


def test_every_parameter_says_what_it_means(each: Detector) -> None:
    for parameter in each.parameters:
        assert parameter.type in {int, float, str, bool}
        assert isinstance(parameter.default, parameter.type)
        assert len(parameter.meaning) > 8
        assert parameter.name in each.explanation, f"the docstring says nothing of {parameter.name}"


def test_it_is_explained_with_what_looks_like_it(each: Detector) -> None:
    text = each.explanation
    assert len(text.splitlines()[0]) <= 120
    assert text.splitlines()[0].endswith(".")
    for section in ("**Why it matters**", "**What looks like it**", "**Thresholds**"):
        assert section in text, f"{section} is missing"


def test_it_has_references_and_titles(each: Detector) -> None:
    assert each.references
    assert all(len(reference) > 8 for reference in each.references)
    assert "{subject}" in each.title
    assert each.summary.rstrip().endswith(".")
    assert re.fullmatch(r"[a-z][a-z -]+", each.threat)


def test_templates_name_only_what_the_relation_has(each: Detector) -> None:
    has = set(whole(each).columns) | {"subject", "count"}
    has |= {name.rsplit("_", 1)[0] for name in has if name.endswith(("_host", "_hosts"))}
    for template in (each.title, each.summary):
        assert set(re.findall(r"{(\w+)}", template)) <= has


def test_nothing_comes_of_nothing(each: Detector) -> None:
    assert found(each) == []


def test_its_relation_has_the_columns_of_a_finding(each: Detector) -> None:
    relation = whole(each)
    assert relation.columns[: len(COLUMNS)] == COLUMNS
    types = relation.schema()
    assert all(types[name].is_int64() for name in INTEGERS)
    assert types["subject"].is_string()
    assert types["confidence"].is_float64()


def asked_of(engine: str, each: Detector) -> str:
    """The SQL that an engine is asked, as one relation where it comes by no stages."""
    if engine == "pyspark":
        return str(ibis.to_sql(whole(each), dialect=engine))
    query = query_of(each.name)
    return "\n".join([*(step.sql for step in query.steps), query.sql])


@pytest.mark.parametrize("engine", ["duckdb", "pyspark"])
def test_both_engines_can_read_it(each: Detector, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Spark's compiler asks for an option that only its engine, an extra of 490 MB, brings along.
    monkeypatch.setattr(ibis.options, "pyspark", SparkOptions())
    sql = asked_of(engine, each).lower()
    assert "select" in sql
    assert "approx" not in sql
    assert not re.search(r"regexp|rlike|first\(|any_value|random|rand\(|now\(|current_", sql)


def test_settings_are_checked(each: Detector) -> None:
    with pytest.raises(UsageError, match="has no setting 'nonsense'"):
        each(unbound(), nonsense=1)
    for parameter in each.parameters:
        assert each.checked({parameter.name: str(parameter.default)}) == {parameter.name: parameter.default}


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "1e308", "9223372036854775807", "1" + "0" * 30])
def test_numbers_that_no_threshold_can_be_are_a_sentence(each: Detector, text: str) -> None:
    """What 64 bits do not hold stopped the engine, and below nothing is nothing."""
    for parameter in each.parameters:
        if parameter.type in {int, float}:
            with pytest.raises(UsageError, match=f"{parameter.name} of {each.name} takes a"):
                each.checked({parameter.name: text})


def test_nothing_is_a_share_but_no_number_of_things(each: Detector) -> None:
    for parameter in each.parameters:
        if parameter.type is float or parameter.default == 0:
            assert each.checked({parameter.name: "0"}) == {parameter.name: 0}
        elif parameter.type is int:
            with pytest.raises(UsageError, match="takes a whole number from 1 to 10,000,000,000, not '0'"):
                each.checked({parameter.name: "0"})


def test_confidence_grows_from_a_half_at_the_threshold() -> None:
    t = ibis.memtable(pa.table({"x": [10, 20, 100, 10**9]}))
    got = t.mutate(c=confidence(t.x, 10)).c.to_pyarrow().to_pylist()
    assert got == [0.5, 0.75, 0.95, 0.99]


def test_severity_steps_and_ends_at_critical() -> None:
    t = ibis.memtable(pa.table({"x": [0, 5, 50, 500]}))
    got = t.mutate(s=severity(2, t.x, 5, 50, 500)).s.to_pyarrow().to_pylist()
    assert [SEVERITIES[level] for level in got] == ["medium", "high", "critical", "critical"]


def test_a_finding_needs_no_evidence() -> None:
    t = ibis.memtable(pa.table({"x": [1]}))
    relation = finding(
        t, severity=0, confidence=0.5, first_seen=t.x, last_seen=t.x, count=t.x, address=(t.x, t.x)
    )
    assert relation.columns == COLUMNS
