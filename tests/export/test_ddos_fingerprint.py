import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from dnsonde.errors import UsageError
from dnsonde.export.ddos_fingerprint import ddos_fingerprint
from dnsonde.view.view import View
from tests.export.views import HOSTILE, VICTIM, amplified, attack, flow, make_view, message

Documents = Callable[..., list[dict[str, Any]]]
SHARES = {
    "oneOf": [
        {"const": "random"},
        {"type": "object", "additionalProperties": {"type": "number", "maximum": 1}},
    ]
}
WHOLE = {"type": "integer", "minimum": 0}
TIME = {"type": "string", "format": "date-time"}
# As the dissector's description of the format has it, for input of flows.
VECTOR = {
    "service": {"type": "string"}, "protocol": {"type": "string"}, "fraction_of_attack": {"type": "number"},
    "source_port": {"oneOf": [{"const": "random"}, WHOLE]}, "destination_ports": SHARES,
    "tcp_flags": {"oneOf": [{"type": "null"}, SHARES]}, "nr_flows": WHOLE, "nr_packets": WHOLE, "nr_megabytes": WHOLE,
    "time_start": TIME, "duration_seconds": WHOLE, "source_ips": {"type": "array", "items": {"type": "string"}},
}  # fmt: skip
DNS = {"dns_query_name": SHARES, "dns_query_type": SHARES}
FINGERPRINT = {
    "attack_vectors": {
        "type": "array", "minItems": 1,
        "items": {"properties": VECTOR | DNS, "required": list(VECTOR), "additionalProperties": False},
    },
    "target": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}},
    "key": {"type": "string", "pattern": "^[0-9a-f]{32}$"}, "time_start": TIME, "time_end": TIME,
    "duration_seconds": WHOLE, "total_flows": WHOLE, "total_megabytes": WHOLE, "total_packets": WHOLE,
    "total_ips": WHOLE, "avg_bps": WHOLE, "avg_pps": WHOLE, "avg_Bpp": WHOLE,
}  # fmt: skip
SCHEMA = {"properties": FINGERPRINT, "required": list(FINGERPRINT), "additionalProperties": False}


def read(documents: Documents, view: View, **settings: Any) -> list[dict[str, Any]]:
    found = documents(ddos_fingerprint, view, **settings)
    for one in found:
        jsonschema.validate(one, SCHEMA)
    return found


def test_an_amplification_is_one_vector(lake: View, documents: Documents) -> None:
    (found,) = read(documents, lake)
    (vector,) = found["attack_vectors"]
    assert (found["target"], found["tags"]) == (VICTIM, ["Amplification attack"])
    assert (found["total_packets"], found["total_ips"], found["total_megabytes"]) == (2000, 20, 3)
    assert found["avg_Bpp"] == 1400
    assert (vector["service"], vector["protocol"], vector["source_port"]) == ("DNS", "UDP", 53)
    assert vector["destination_ports"] == {"40000": 1.0}
    assert vector["dns_query_name"] == {HOSTILE[0]: 1.0}
    assert vector["dns_query_type"] == {"ANY": 1.0}
    assert len(vector["source_ips"]) == 20


def test_vectors_are_told_apart_and_noise_is_none(documents: Documents) -> None:
    flows = [
        *amplified(),
        *(
            flow(f"203.0.113.{i}", VICTIM, at_s=1, protocol=6, dst_port=80, packets=500, syn=500)
            for i in range(4)
        ),
        flow("203.0.113.99", VICTIM, at_s=1, src_port=123, packets=10),
    ]
    (found,) = read(documents, make_view(findings=[attack("flood")], flows=flows))
    vectors = [(v["service"], v["protocol"], v["fraction_of_attack"]) for v in found["attack_vectors"]]
    assert vectors == [("Unknown service", "TCP", 0.499), ("DNS", "UDP", 0.499)]
    assert found["attack_vectors"][0]["tcp_flags"] == {"......S.": 1.0}
    assert "TCP SYN flag attack" in found["tags"]
    assert "Multi-vector attack" in found["tags"]


def test_an_attack_that_two_detectors_found_is_one_fingerprint(documents: Documents) -> None:
    (found,) = read(documents, make_view(findings=[attack(), attack("flood")], flows=amplified()))
    assert found["total_packets"] == 2000


def test_a_short_attack_has_the_rate_that_its_finding_tells(documents: Documents) -> None:
    flows = [
        flow("203.0.113.1", VICTIM, at_s=1, lasts_s=0.2, protocol=6, dst_port=80, packets=2000, syn=2000)
    ]
    (found,) = read(documents, make_view(findings=[attack("flood")], flows=flows))
    assert (found["avg_pps"], found["duration_seconds"]) == (10_000, 1)


def test_a_prefix_is_a_target_too(documents: Documents) -> None:
    flows = [f | {"dst_host": f["dst_host"] + i} for i, f in enumerate(amplified())]
    (found,) = read(documents, make_view(findings=[attack("carpet_flood", "192.0.2.0/24")], flows=flows))
    assert found["target"] == "192.0.2.0/24"
    assert "Carpet bombing attack" in found["tags"]


def test_fragments_have_neither_ports_nor_a_service(documents: Documents) -> None:
    piece: dict[str, Any] = {"src_port": 0, "dst_port": 0, "packets": 50, "fragments": 50, "bytes": 75_000}
    flows = [flow(f"203.0.113.{i}", VICTIM, at_s=1, **piece) for i in range(20)]
    (found,) = read(documents, make_view(findings=[attack("flood")], flows=flows))
    (vector,) = found["attack_vectors"]
    assert (vector["service"], vector["protocol"]) == ("Fragmented IP packets", "UDP")
    assert (vector["source_port"], vector["destination_ports"]) == ("random", "random")


def test_the_key_is_the_same_for_the_same_attack_alone(lake: View, documents: Documents) -> None:
    (one,), (again,), (hidden,) = (read(documents, lake, anonymous=a) for a in (False, False, True))
    assert one["key"] == again["key"] != hidden["key"]
    assert hidden["target"] == "Anonymous"
    assert VICTIM not in json.dumps(hidden)


def test_an_attack_without_flows_is_told_of(documents: Documents) -> None:
    told: list[str] = []
    view = make_view(
        findings=[attack()], messages=[message("198.51.100.1", VICTIM, "a.example")], warn=told.append
    )
    assert read(documents, view) == []
    assert told == ["192.0.2.10: the lake has no flows of this attack, it is left out"]


def test_a_run_has_no_attacks(run: View, documents: Documents) -> None:
    with pytest.raises(UsageError, match="give a lake"):
        read(documents, run)
