from collections.abc import Callable
from typing import Any

import pytest
from py_ocsf_models.events.findings.detection_finding import DetectionFinding

from dnsonde.export.ocsf import ocsf
from dnsonde.view.view import View
from tests.export.views import VICTIM, make_view, message

Documents = Callable[..., list[dict[str, Any]]]


def dropped(given: Any, kept: Any) -> set[str]:
    """Names that the model does not know, and so left out."""
    if isinstance(given, dict) and isinstance(kept, dict):
        inside = (dropped(value, kept[key]) for key, value in given.items() if key in kept)
        return {key for key in given if key not in kept}.union(*inside)
    if isinstance(given, list) and isinstance(kept, list):
        return set().union(*(dropped(a, b) for a, b in zip(given, kept, strict=True)))
    return set()


def read(event: dict[str, Any]) -> DetectionFinding:
    model = DetectionFinding.model_validate(event)
    assert dropped(event, model.model_dump(mode="json")) == set()
    return model


def test_the_models_read_a_run_back(run: View, documents: Documents) -> None:
    found = [read(event) for event in documents(ocsf, run)]
    assert {one.resources[0].uid for one in found if one.resources} == {
        "192.0.2.1",
        "192.0.2.2",
        "2001:db8::5",
    }
    assert {one.type_uid for one in found} == {200401}


def test_the_models_read_a_lake_back(lake: View, documents: Documents) -> None:
    found = [read(event) for event in documents(ocsf, lake)]
    assert len({one.finding_info.uid for one in found}) == lake.findings.num_rows
    attack = next(
        one for one in found if one.finding_info.analytic and one.finding_info.analytic.uid == "amplification"
    )
    assert attack.severity_id == 5
    assert attack.time == 1_700_000_002_000
    assert attack.finding_info.attacks
    assert attack.finding_info.attacks[0].sub_technique
    assert attack.finding_info.attacks[0].sub_technique.uid == "T1498.002"


def test_a_message_is_dns_activity(lake: View, documents: Documents) -> None:
    (event,) = [one for one in documents(ocsf, lake, messages=True) if one["class_uid"] == 4003]
    # Required by the class (schema.ocsf.io, 1.5.0), with the numbers that follow from one another.
    required = {
        "activity_id",
        "category_uid",
        "class_uid",
        "metadata",
        "severity_id",
        "src_endpoint",
        "time",
        "type_uid",
    }
    assert required <= set(event)
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"] == 400302
    assert event["category_uid"] == 4
    assert event["query"]["type"] == "ANY"
    assert event["rcode_id"] == 0
    assert event["rcode"] == "NOERROR"
    assert event["metadata"]["version"] == "1.5.0"


def asked(documents: Documents, **more: Any) -> dict[str, Any]:
    (event,) = documents(ocsf, make_view(messages=[message("192.0.2.9", VICTIM, "", **more)]), messages=True)
    return event


def test_a_query_has_the_name_that_it_needs(documents: Documents) -> None:
    assert asked(documents)["query"]["hostname"] == "."
    assert "query" not in asked(documents, qtype=None, qclass=None)


@pytest.mark.parametrize(("number", "said"), [(0, 0), (11, 11), (12, 24), (15, 24), (16, 16), (23, 23), (24, 24),
                                              (3840, 24), (3841, 99)])  # fmt: skip
def test_a_response_code_has_the_number_that_ocsf_gives_it(
    number: int, said: int, documents: Documents
) -> None:
    assert asked(documents, rcode=number)["rcode_id"] == said


@pytest.mark.parametrize("which", ["run", "lake"])
def test_an_observable_is_what_its_attribute_holds(
    which: str, request: pytest.FixtureRequest, documents: Documents
) -> None:
    for event in documents(ocsf, request.getfixturevalue(which)):
        (one,) = event["observables"]
        held = {"resources[].uid": [r["uid"] for r in event.get("resources", [])],
                "unmapped.subject": [event["unmapped"].get("subject")]}  # fmt: skip
        assert held[one["name"]] == [one["value"]]
