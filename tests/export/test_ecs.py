from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from dnsonde.export.ecs import ecs
from dnsonde.view.view import View

Documents = Callable[..., list[dict[str, Any]]]
WORD = {"type": "string"}
WORDS = {"type": "array", "items": WORD}
WHOLE = {"type": "integer"}
IP = {"type": "string", "pattern": "^[0-9a-f.:]+$"}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"}


def fields(required: tuple[str, ...] = (), /, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


SIDE = fields(
    ("ip",),
    ip=IP,
    port=WHOLE,
    geo=fields(country_iso_code=WORD),
    **{"as": fields(number=WHOLE, organization=fields(name=WORD))},
)
# The fields of ECS 8.17 that are used, with their types and allowed values (elastic.co/docs/reference/ecs).
SCHEMA = fields(
    ("@timestamp", "ecs", "event"),
    **{"@timestamp": TIME},
    ecs=fields(("version",), version={"const": "8.17.0"}),
    message=WORD,
    event=fields(
        ("kind", "category", "type", "module", "dataset"),
        kind={"enum": ["alert", "event", "state"]},
        category={"type": "array", "items": {"enum": ["network", "vulnerability", "intrusion_detection", "malware"]}},
        type={"type": "array", "items": {"enum": ["info", "protocol"]}},
        module=WORD, dataset=WORD, id=WORD, severity=WHOLE, start=TIME, end=TIME, reason=WORD,
    ),
    source=SIDE,
    destination=SIDE,
    network=fields(
        protocol={"const": "dns"}, transport={"enum": ["udp", "tcp"]}, type={"enum": ["ipv4", "ipv6"]}, bytes=WHOLE
    ),
    related=fields(ip={"type": "array", "items": IP}, hosts=WORDS),
    rule=fields(name=WORD, category=WORD, reference=WORD),
    threat=fields(
        framework=WORD, technique=fields(id=WORDS, name=WORDS, subtechnique=fields(id=WORDS, name=WORDS))
    ),
    dns=fields(
        type={"enum": ["query", "answer"]}, id=WORD, op_code=WORD, response_code=WORD, resolved_ip={"items": IP},
        header_flags={"type": "array", "items": {"enum": ["AA", "TC", "RD", "RA", "AD", "CD", "DO"]}},
        question=fields(name=WORD, type=WORD, registered_domain=WORD, **{"class": WORD}),
    ),
    dnsonde={"type": "object"},
)  # fmt: skip


def read(documents: Documents, view: View, **settings: Any) -> list[dict[str, Any]]:
    found = documents(ecs, view, **settings)
    for one in found:
        jsonschema.validate(one, SCHEMA)
    return found


def test_hosts_that_answered_are_states(run: View, documents: Documents) -> None:
    found = {one["destination"]["ip"]: one for one in read(documents, run)}
    assert set(found) == {"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::5"}
    assert found["192.0.2.1"]["destination"]["as"] == {
        "number": 64500,
        "organization": {"name": "Example <b>"},
    }
    assert found["192.0.2.3"]["dns"] == {"response_code": "REFUSED"}
    assert found["192.0.2.3"]["dnsonde"]["open"] is False
    assert found["2001:db8::5"]["related"]["ip"] == ["198.51.100.9", "2001:db8::5"]


def test_findings_are_alerts(lake: View, documents: Documents) -> None:
    found = read(documents, lake)
    assert {one["event"]["kind"] for one in found} == {"alert"}
    assert len({one["event"]["id"] for one in found}) == lake.findings.num_rows
    attack = next(one for one in found if one["rule"]["name"] == "amplification")
    assert attack["destination"]["ip"] == "192.0.2.10"
    assert attack["event"]["severity"] == 5
    assert attack["threat"]["technique"]["subtechnique"]["id"] == ["T1498.002"]


def test_messages_come_when_they_are_asked_for(lake: View, documents: Documents) -> None:
    (message,) = [one for one in read(documents, lake, messages=True) if one["event"]["kind"] == "event"]
    assert message["dns"]["type"] == "answer"
    assert message["dns"]["question"]["type"] == "ANY"
    assert message["dns"]["response_code"] == "NOERROR"
    assert message["source"] == {"ip": "198.51.100.1", "port": 53}


def test_the_schema_of_this_test_can_fail() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"@timestamp": "now", "ecs": {}, "event": {}}, SCHEMA)
