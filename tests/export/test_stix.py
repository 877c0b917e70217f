import sys
from collections.abc import Callable
from typing import Any

import pytest
import stix2
from stix2patterns.validator import run_validator

from dnsonde.errors import SystemRefusal
from dnsonde.export.stix import stix
from dnsonde.view.view import View
from tests.export.views import OWNER, SECOND, START, finding, host, make_view

Written = Callable[..., bytes]


def bundle(text: bytes) -> list[Any]:
    return list(stix2.parse(text.decode(), allow_custom=False).objects)


def of(kind: str, objects: list[Any]) -> list[Any]:
    return [one for one in objects if one.type == kind]


def test_stix2_reads_a_run_back(run: View, written: Written) -> None:
    objects = bundle(written(stix, run))
    assert {one.value for one in of("ipv4-addr", objects)} == {"192.0.2.1", "192.0.2.2"}
    assert {one.value for one in of("ipv6-addr", objects)} == {"2001:db8::5"}
    assert {tuple(one.infrastructure_types) for one in of("infrastructure", objects)} == {("amplification",)}
    assert [one.number for one in of("autonomous-system", objects)] == [64500]


def test_stix2_reads_a_lake_back(lake: View, written: Written) -> None:
    objects = bundle(written(stix, lake))
    ids = {one.id for one in objects}
    assert len(ids) == len(objects)
    for one in objects:
        referred = {one.get(key) for key in ("source_ref", "target_ref", "sighting_of_ref", "created_by_ref")}
        assert referred - {None} <= ids
        assert set(one.get("object_refs", [])) | set(one.get("observed_data_refs", [])) <= ids
    assert len(of("observed-data", objects)) == lake.findings.num_rows
    techniques = {r.external_id for one in of("attack-pattern", objects) for r in one.external_references}
    assert {"T1498.002", "T1595.001", "T1110.001", "T1071.004"} <= techniques


def test_patterns_are_valid_whatever_the_name(lake: View, written: Written) -> None:
    patterns = [one.pattern for one in of("indicator", bundle(written(stix, lake)))]
    assert "[domain-name:value = 'secshow.net']" in patterns
    for pattern in patterns:
        assert run_validator(pattern, stix_version="2.1") == []
        assert (
            stix2.pattern_visitor.create_pattern_object(pattern).__class__.__name__ == "ObservationExpression"
        )


def test_floods_of_several_kinds_that_begin_together_are_told_apart(written: Written) -> None:
    at_once = [
        finding("flood", "192.0.2.10", "address", evidence={"vector": vector, "sources": 9})
        for vector in ("syn", "udp_plain")
    ]
    objects = bundle(written(stix, make_view("lake", findings=at_once)))
    assert len({one.id for one in of("observed-data", objects)}) == 2
    assert len({one.id for one in of("sighting", objects)}) == 2


def test_the_same_input_gives_the_same_bundle(lake: View, run: View, written: Written) -> None:
    assert written(stix, lake) == written(stix, lake)
    assert written(stix, run) == written(stix, run)


def test_what_goes_on_keeps_when_it_was_created(written: Written) -> None:
    """STIX 2.1, 3.6: `created` stays the same in every version of an object, `modified` is later in a later one."""

    def versions(seconds: int) -> dict[str, Any]:
        found = finding("dns_tunnel", "a.example", "domain", last_seen=START + seconds * SECOND)
        hosts = [host("192.0.2.1", first_seen_us=START + seconds * SECOND)]
        made = [make_view(findings=[found]), make_view("run", hosts=hosts, owners={"192.0.2.1": OWNER})]
        return {one.id: one for view in made for one in bundle(written(stix, view)) if "created" in one}

    before, after = versions(60), versions(120)
    assert set(before) == set(after)
    assert all(after[key].created == before[key].created for key in before)
    newer = {one.type for key, one in after.items() if one.modified > before[key].modified}
    assert newer == {"infrastructure", "relationship", "observed-data", "indicator", "sighting"}


def test_what_does_not_fit_is_told(run: View, written: Written) -> None:
    told: list[str] = []
    few = View(run.kind, run.connection, run.tables, run.findings, warn=told.append)
    objects = bundle(written(stix, few, hosts_max=1))
    assert [one.value for one in objects if one.type.endswith("-addr")] == ["192.0.2.1"]  # it amplifies most
    assert told == ["2 open resolvers are left out: `--set hosts_max=3` takes all"]


def test_without_the_library_a_sentence_says_what_to_install(
    run: View, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stix2", None)
    with pytest.raises(SystemRefusal, match=r"pip install 'dnsonde\[export\]'"):
        written(stix, run)
