"""How right the detectors are, and that the judge is fair."""

import json
from typing import Any

import pytest

from dnsonde.lab.evaluate import Evaluation, Score, evaluate, judge
from dnsonde.lab.traffic import Capture, Label

PRECISION_MIN = 0.95
RECALL_MIN = 0.9


def found(detector: str, subject: str, severity: str = "high", **evidence: str) -> dict[str, Any]:
    return {
        "detector": detector, "subject": subject, "severity": severity, "title": "a title",
        "evidence": json.dumps(evidence),
    }  # fmt: skip


def judged(labels: list[Label], findings: list[dict[str, Any]]) -> Evaluation:
    result = Evaluation()
    judge(result, "some", Capture(10, tuple(labels)), findings)
    return result


FLOOD = Label("flood", "192.0.2.1", True, ())


def test_a_finding_of_the_right_subject_is_right() -> None:
    result = judged([FLOOD], [found("flood", "192.0.2.1")])
    assert (result.total.right, result.total.wrong, result.total.missed) == (1, 0, 0)
    assert result.faults == []


def test_another_subject_is_wrong_and_the_true_one_missed() -> None:
    result = judged([FLOOD], [found("flood", "192.0.2.2")])
    assert (result.total.right, result.total.wrong, result.total.missed) == (0, 1, 1)
    assert [(fault.kind, fault.subject) for fault in result.faults] == [
        ("wrong", "192.0.2.2"),
        ("missed", "192.0.2.1"),
    ]


def test_the_right_subject_of_another_detector_is_wrong() -> None:
    result = judged([FLOOD], [found("carpet_flood", "192.0.2.1")])
    assert result.scores["carpet_flood"].wrong == 1
    assert result.scores["flood"].missed == 1


def test_the_same_told_twice_is_wrong_once() -> None:
    result = judged([FLOOD], [found("flood", "192.0.2.1")] * 2)
    assert (result.total.right, result.total.wrong) == (1, 1)
    assert result.faults[0].detail == "told more than once"


def test_what_may_be_told_counts_for_neither_side() -> None:
    label = Label("flood", "192.0.2.1", False, ())
    for findings in ([], [found("flood", "192.0.2.1")]):
        total = judged([label], findings).total
        assert (total.right, total.wrong, total.missed) == (0, 0, 0)


def test_evidence_that_says_otherwise_is_misnamed() -> None:
    label = Label("flood", "192.0.2.1", True, (("vector", "vse"),))
    good = judged([label], [found("flood", "192.0.2.1", vector="vse")])
    bad = judged([label], [found("flood", "192.0.2.1", vector="udp_plain")])
    assert (good.total.named, good.total.of, bad.total.named, bad.total.of) == (1, 1, 0, 1)
    assert bad.faults[0].detail == "vector is vse, told udp_plain"
    assert bad.total.right == 1


def test_only_medium_and_worse_in_a_harmless_capture_are_alarms() -> None:
    harmless = judged([], [found("flood", "192.0.2.1", "low"), found("flood", "192.0.2.2", "medium")])
    assert [fault.subject for fault in harmless.alarms] == ["192.0.2.2"]
    assert judged([FLOOD], [found("flood", "192.0.2.2", "medium")]).alarms == []


def test_the_measures_are_what_they_are_called() -> None:
    score = Score(right=3, wrong=1, missed=2)
    assert score.precision == 0.75
    assert score.recall == 0.6
    assert score.f1 == pytest.approx(2 * 0.75 * 0.6 / 1.35)
    assert (Score().precision, Score().recall) == (1.0, 1.0)
    assert Score(wrong=1, missed=1).f1 == 0.0


# ---- the detectors themselves


@pytest.fixture(scope="module")
def result() -> Evaluation:
    return evaluate()


def test_detectors_together_hold_their_floors(result: Evaluation) -> None:
    said = [f"{fault.kind} {fault.detector} {fault.subject} in {fault.scenario}" for fault in result.faults]
    assert result.total.precision >= PRECISION_MIN, said
    assert result.total.recall >= RECALL_MIN, said


def test_no_detector_is_left_behind(result: Evaluation) -> None:
    """Each finds most of its own, and most of what it says is so."""
    low = {
        name: s for name, s in result.scores.items() if s.recall < RECALL_EACH or s.precision < PRECISION_EACH
    }
    assert low == {}


def test_what_is_found_is_called_by_its_name(result: Evaluation) -> None:
    assert result.total.named >= NAMED_MIN * result.total.of
    assert result.total.of >= 40


def test_nothing_alarms_where_nothing_is(result: Evaluation) -> None:
    assert [(alarm.scenario, alarm.detector, alarm.subject) for alarm in result.alarms] == []


def test_there_is_enough_to_find_that_the_figures_mean_something(result: Evaluation) -> None:
    assert result.scenarios >= 60
    assert result.total.right + result.total.missed >= 150


PRECISION_EACH = 0.8
RECALL_EACH = 0.75
NAMED_MIN = 0.9
