"""Every language says everything, with the same places to fill."""

import string

import pytest

from dnsonde.errors import UsageError
from dnsonde.intel.load import amplifiers, markers
from dnsonde.intel.remedies import remedies
from dnsonde.lang.words import DEFAULT, Values, languages, share_of, words
from dnsonde.report import CLASSES

OTHERS = [code for code in languages() if code != DEFAULT]


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def keys(code: str) -> set[str]:
    """All but the findings', as detectors speak English by themselves, and names that are the same everywhere."""
    return {key for key in words(code).texts if not key.startswith(("finding.", "kind."))}


def test_there_are_english_and_japanese() -> None:
    assert {"en", "ja"} <= set(languages())


@pytest.mark.parametrize("code", OTHERS)
def test_catalogues_have_the_same_keys(code: str) -> None:
    assert keys(code) ^ keys(DEFAULT) == set()


@pytest.mark.parametrize("code", OTHERS)
def test_texts_have_the_same_places(code: str) -> None:
    texts, english = words(code).texts, words(DEFAULT).texts
    assert [key for key in keys(code) if places(texts[key]) != places(english[key])] == []


@pytest.mark.parametrize("code", OTHERS)
def test_findings_are_told_as_their_detectors_do(code: str) -> None:
    from dnsonde.findings.about import about

    detectors = about()
    for key, text in words(code).texts.items():
        if key.startswith("finding."):
            _, name, part = key.split(".")
            said = detectors[name].title if part == "title" else detectors[name].summary
            assert places(text) <= places(said), key


@pytest.mark.parametrize("code", languages())
def test_classes_and_measures_have_words(code: str) -> None:
    texts = words(code).texts
    assert [n for n in CLASSES if f"class.{n}" not in texts or f"meaning.{n}" not in texts] == []
    assert [m.name for m in remedies().measure if f"measure.{m.name}.why" not in texts] == []


def test_an_unknown_language_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="en, ja"):
        words("../en")


def test_evidence_that_is_missing_is_no_error() -> None:
    row = {"detector": "open_resolver", "subject": "192.0.2.1", "count": "3", "title": "t", "summary": "s"}
    assert "192.0.2.1" in words("ja").finding(row, {})[1]
    assert words("en").finding(row, {}) == ("t", "s")


def test_kinds_of_floods_and_protocols_are_written_as_people_do() -> None:
    """The data says syn, and the finding SYN: every kind that is known has a name."""
    known = {one.protocol for one in amplifiers()} | {one.name for one in markers().vector} | {"tcp", "udp"}
    assert [name for name in known if not words().has(f"kind.{name}")] == []
    assert words("en").kind("syn") == words("ja").kind("syn") == "SYN"
    assert words("ja").kind("fragments") != words("en").kind("fragments")
    assert words("en").kind("not yet known") == "not yet known"
    row = {"detector": "service_scan", "subject": "192.0.2.1", "count": "3", "title": "t", "summary": "s"}
    assert "垂直" in words("ja").finding(row, {"technique": "vertical"})[0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("{n} {one:address|addresses} {n:address|addresses}", "1,200 1 address 1,200 addresses"),
        ("{part} {part:%} {whole:%}", "0.974 97 % 100 %"),
        ("{rate} {ports} {ports:? (ports %)}", "12,345 53, 80  (ports 53, 80)"),
        ("{vector} flood, {protocol}", "UDP flood, BACnet"),
        ("{nothing} {nothing:%} {nothing:? (ports %)}", "? ? "),
    ],
)
def test_a_place_is_filled_as_it_asks(asked: str, said: str) -> None:
    values = {
        "n": 1200,
        "one": 1,
        "part": 0.974,
        "whole": 1.0,
        "rate": 12345.4,
        "ports": [53, 80],
        "vector": "udp_plain",
        "protocol": "bacnet",
    }
    assert asked.format_map(Values(values, words(), missing="?")) == said


def test_one_is_not_many() -> None:
    english = words("en")
    assert english("lake.headline", findings=1, grave=0) == "1 finding, 0 of them high or critical."
    assert english("lake.headline", findings=1200, grave=9) == "1,200 findings, 9 of them high or critical."


def test_a_share_is_nothing_only_where_it_is_none() -> None:
    assert [share_of(n, 65_536) for n in (0, 1, 33, 1_376, 65_536)] == [
        "0.0 %",
        "< 0.1 %",
        "0.1 %",
        "2.1 %",
        "100.0 %",
    ]
