"""Indicators of every form that is handed in, and what is none."""

import json
from pathlib import Path

import pytest

from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.intel.indicators import UNKNOWN, Indicator, indicators, load_indicators

C2 = Indicator("domain", "c2.example.com", 0, "Katana")
HOST = Indicator("address", "203.0.113.9", 1312, "Katana")


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_our_own_know_rebirth() -> None:
    known = indicators()
    assert Indicator("domain", "rebirthltd.com", 0, "Rebirth") in known
    assert Indicator("address", "87.246.7.194", 26721, "Rebirth") in known
    assert any(i.kind == "suffix" and i.value == "geek" for i in known)


def test_toml_has_the_form_of_our_own(tmp_path: Path) -> None:
    text = (
        '[[indicator]]\nmalware = "Katana"\ndomains = ["c2.example.com"]\naddresses = ["203.0.113.9"]\n'
        'ports = [1312]\nsource = "test"\n'
    )
    assert load_indicators(written(tmp_path, "x.toml", text)) == (HOST, C2)
    with pytest.raises(UsageError, match="nonsense"):
        load_indicators(written(tmp_path, "y.toml", 'nonsense = 1\n[[indicator]]\nmalware="x"\nsource="y"'))


def test_csv_with_a_header_and_without(tmp_path: Path) -> None:
    text = "first_seen,ioc,port,malware\n2026-01-01,hxxp://c2[.]example[.]com/x,,Katana\n,203.0.113.9,1312,Katana\n"
    assert load_indicators(written(tmp_path, "x.csv", text)) == (HOST, C2)
    plain = "# a list\n*.C2.example.com.\n2001:DB8::9\n203.0.113.9:1312\n"
    assert load_indicators(written(tmp_path, "y.txt", plain)) == (
        Indicator("address", "2001:db8::9", 0, UNKNOWN),
        Indicator("address", "203.0.113.9", 1312, UNKNOWN),
        Indicator("domain", "c2.example.com", 0, UNKNOWN),
    )


def test_stix_patterns_that_are_not_revoked(tmp_path: Path) -> None:
    def one(pattern: str, **more: object) -> dict[str, object]:
        return {"type": "indicator", "name": "Katana", "pattern": pattern, **more}

    bundle = {
        "type": "bundle",
        "objects": [
            one("[domain-name:value = 'c2.example.com']"),
            one("[network-traffic:dst_ref.value = '203.0.113.9' AND network-traffic:dst_port = 1312]"),
            one("[domain-name:value = 'old.example.com']", revoked=True),
            {"type": "malware", "name": "Katana"},
        ],
    }
    assert load_indicators(written(tmp_path, "x.json", json.dumps(bundle))) == (HOST, C2)


def test_a_stix_port_is_of_the_address_that_it_stands_with(tmp_path: Path) -> None:
    def at(address: str, port: int) -> str:
        return f"network-traffic:dst_ref.value = '{address}' AND network-traffic:dst_port = {port}"

    wanted = [("203.0.113.9", 23), ("203.0.113.10", 1312)]
    one, other = (at(*pair) for pair in wanted)
    shared = "network-traffic:dst_ref.value = '203.0.113.9' OR network-traffic:dst_ref.value = '203.0.113.10'"
    for pattern, ports in (
        (f"[{one}] OR [{other}]", {23, 1312}),
        (f"[({one}) OR ({other})]", {23, 1312}),
        (f"[({shared}) AND network-traffic:dst_port = 23]", {23}),
        (f"[url:value = 'a]b[c' AND {one}] AND [{other}]", {23, 1312}),
    ):
        text = json.dumps({"type": "indicator", "pattern": pattern})
        found = load_indicators(written(tmp_path, "x.json", text))
        assert {i.port for i in found} == ports, pattern
        assert len(found) == 2
        if len(ports) == 2:
            assert {(i.value, i.port) for i in found} == set(wanted)


@pytest.mark.parametrize(
    ("until", "kept"),
    [("2001-01-01T00:00:00Z", False), ("2023-11-14T22:13:20.000Z", False), ("2023-11-14T22:13:21Z", True),
     ("2001-01-01", False), ("some day", True), (None, True),
     ("0001-01-01T00:00:00+23:59", False), ("9999-12-31T23:59:59-23:59", True)],
)  # fmt: skip
def test_what_stix_no_longer_holds_valid_is_left_out(tmp_path: Path, until: str | None, kept: bool) -> None:
    old = {"type": "indicator", "name": "Katana", "pattern": "[domain-name:value = 'c2.example.com']"}
    other = old | {"pattern": "[domain-name:value = 'other.example.com']"}
    text = json.dumps([old | ({} if until is None else {"valid_until": until}), other])
    found = load_indicators(written(tmp_path, "x.json", text), 1_700_000_000_000_000)
    assert (C2 in found) == kept


def test_misp_attributes_for_detection(tmp_path: Path) -> None:
    event = {
        "Event": {
            "info": "Katana",
            "Attribute": [
                {"type": "domain", "value": "c2.example.com", "to_ids": True},
                {"type": "domain", "value": "report.example.org", "to_ids": False},
                {"type": "sha256", "value": "00", "to_ids": True},
            ],
            "Object": [{"Attribute": [{"type": "ip-dst|port", "value": "203.0.113.9|1312", "to_ids": True}]}],
        }
    }
    assert load_indicators(written(tmp_path, "x.json", json.dumps({"response": [event]}))) == (HOST, C2)
    assert load_indicators(written(tmp_path, "y.json", json.dumps(event))) == (HOST, C2)


def test_what_would_accuse_everybody_is_left_out(tmp_path: Path) -> None:
    text = "127.0.0.1\n0.0.0.0\n::\ncom\nlocalhost\n1.2.3\n999.1.1.1\nc2.example.com\n224.0.0.1\n"
    assert [i.value for i in load_indicators(written(tmp_path, "x.txt", text))] == ["c2.example.com"]


DIGITS = "9" * 5000  # more than Python makes a number of


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", f"indicator,port\n203.0.113.9,{DIGITS}\n"),
        ("x.txt", f"203.0.113.9:{DIGITS}\n"),
        ("x.txt", "203.0.113.9:\u0663\n"),
        (
            "x.json",
            json.dumps({"Event": {"Attribute": [{"type": "ip-dst|port", "value": f"203.0.113.9|{DIGITS}"}]}}),
        ),
    ],
)
def test_a_port_that_is_none_is_any(tmp_path: Path, name: str, text: str) -> None:
    (found,) = load_indicators(written(tmp_path, name, text))
    assert (found.value, found.port) == ("203.0.113.9", 0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.json", '{"Event": {"Object": 5}}'),
        ("x.json", '{"Event": {"Attribute": true, "Object": [7, {"Attribute": 7}]}}'),
        ("x.json", '{"objects": [5, {"type": "indicator", "pattern": [1]}]}'),
        ("x.json", '[1, [2], {"response": [{"Event": 3}, 4]}]'),
        ("x.toml", "indicator = " + "[" * 20_000),
        ("x.toml", f"indicator = {DIGITS}"),
    ],
)
def test_a_file_of_another_shape_is_told_in_a_sentence(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(UsageError, match=name):
        load_indicators(written(tmp_path, name, text))


def test_files_that_hold_none_say_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no indicator"):
        load_indicators(written(tmp_path, "x.csv", "a,b\n1,2\n"))
    with pytest.raises(UsageError, match="is no JSON"):
        load_indicators(written(tmp_path, "x.json", "{"))
    with pytest.raises(SystemRefusal, match="cannot be read"):
        load_indicators(tmp_path / "none")
    (tmp_path / "b").write_bytes(b"\xff\xfea\x00")
    with pytest.raises(UsageError, match="is UTF-16 text: save it as UTF-8"):
        load_indicators(tmp_path / "b")
