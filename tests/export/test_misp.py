import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pymisp

from dnsonde.export.misp import misp
from dnsonde.view.view import View
from tests.export.views import SECOND, START, VICTIM, amplified, attack, flow, make_view

Written = Callable[..., bytes]
SCHEMA = json.loads((Path(pymisp.__file__).parent / "data" / "schema-lax.json").read_text())


def event(text: bytes) -> pymisp.MISPEvent:
    jsonschema.validate(json.loads(text), SCHEMA)
    found = pymisp.MISPEvent()
    found.load(text)
    return found


def test_pymisp_reads_a_run_back(run: View, written: Written) -> None:
    found = event(written(misp, run))
    assert {a.value for a in found.attributes} == {"192.0.2.1", "192.0.2.2", "2001:db8::5"}
    assert not any(a.to_ids for a in found.attributes)
    assert not found.published


def test_pymisp_reads_a_lake_back(lake: View, written: Written) -> None:
    found = event(written(misp, lake))
    by_value = {a.value: a for a in found.attributes}
    assert by_value["secshow.net"].to_ids
    assert not by_value["openresolverproject.org"].to_ids
    assert not by_value["victim.example"].to_ids
    (attack,) = found.objects
    values = {a.object_relation: a.value for a in attack.attributes}
    assert attack.name == "ddos"
    assert values["ip-dst"] == "192.0.2.10"
    assert int(values["total-packets-sent"]) == 2000
    assert int(values["src-port"]) == 53
    assert values["protocol"] == "UDP"


def test_the_same_input_gives_the_same_event(lake: View, written: Written) -> None:
    assert written(misp, lake) == written(misp, lake)


def test_of_an_attack_with_two_protocols_the_larger_is_named(written: Written) -> None:
    flows = [
        *amplified(),
        flow("203.0.113.1", VICTIM, at_s=1, protocol=1, src_port=0, dst_port=0, packets=1000),
    ]
    (found,) = event(written(misp, make_view(findings=[attack()], flows=flows))).objects
    assert [a.value for a in found.attributes if a.object_relation == "protocol"] == ["UDP"]


def test_a_short_attack_has_the_rate_that_its_finding_tells(written: Written) -> None:
    flows = [
        flow("203.0.113.1", VICTIM, at_s=1, lasts_s=0.2, protocol=6, dst_port=80, packets=2000, bytes=80_000)
    ]
    (found,) = event(written(misp, make_view(findings=[attack("flood")], flows=flows))).objects
    values = {
        a.object_relation: int(a.value) for a in found.attributes if a.object_relation.startswith("total")
    }
    assert (values["total-pps"], values["total-bps"], values["total-packets-sent"]) == (
        10_000,
        3_200_000,
        2000,
    )


def test_what_two_vectors_have_in_common_is_said_once(written: Written) -> None:
    both = [
        flow("203.0.113.1", VICTIM, at_s=1, protocol=protocol, dst_port=443, packets=1000)
        for protocol in (6, 17)
    ]
    (found,) = event(written(misp, make_view(findings=[attack("flood")], flows=both))).objects
    uuids = [a.uuid for a in found.attributes]
    assert [a.value for a in found.attributes if a.object_relation == "dst-port"] == ["443"]
    assert len(uuids) == len(set(uuids))


def test_fragments_have_no_port(written: Written) -> None:
    pieces = flow(
        "203.0.113.1", VICTIM, at_s=1, src_port=0, dst_port=0, packets=900, bytes=900_000, fragments=900
    )
    (found,) = event(written(misp, make_view(findings=[attack()], flows=[pieces]))).objects
    assert not {"src-port", "dst-port"} & {a.object_relation for a in found.attributes}


def test_what_was_found_twice_of_an_attack_is_one_object(written: Written) -> None:
    findings = [attack(), attack("flood", first_seen=START), attack("flood", first_seen=START + 90 * SECOND,
                                                                    last_seen=START + 91 * SECOND)]  # fmt: skip
    later = flow("203.0.113.1", VICTIM, at_s=90, packets=50)
    found = event(written(misp, make_view(findings=findings, flows=[*amplified(), later]))).objects
    packets = [
        int(a.value) for one in found for a in one.attributes if a.object_relation == "total-packets-sent"
    ]
    assert packets == [2000, 50]
    kinds = [a.value for a in found[0].attributes if a.object_relation == "type"]
    assert kinds == ["flood", "reflected-amplification"]
