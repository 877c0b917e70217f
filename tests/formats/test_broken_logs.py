"""Text logs as broken exporters and strangers write them: what is wrong is counted, and all around it is read."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dnsonde.clock import LAST_US
from dnsonde.errors import UsageError
from dnsonde.formats._reading import Reading

logs = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("test_logs.py"))))

pytestmark = pytest.mark.filterwarnings("error")

ZEEK: dict[str, Any] = {
    "ts": 1.7e9, "uid": "C1", "id.orig_h": "192.0.2.1", "id.orig_p": 4000, "id.resp_h": "192.0.2.53", "id.resp_p": 53,
    "proto": "udp", "trans_id": 1, "query": "www.example.com", "rcode": 0, "rtt": 0.5, "rejected": False,
    "answers": ["198.51.100.1"], "TTLs": [60],
}  # fmt: skip
EVE: dict[str, Any] = {
    "timestamp": "2024-01-01T00:00:00Z", "event_type": "dns", "src_ip": "192.0.2.1", "dest_ip": "192.0.2.53",
    "proto": "UDP", "dns": {"type": "answer", "rrname": "a.example", "rrtype": "A", "rcode": "NOERROR", "ttl": 60},
}  # fmt: skip
GOFLOW: dict[str, Any] = {
    "type": "SFLOW_5", "time_flow_start_ns": 1_700_000_000_000_000_000, "src_addr": "192.0.2.1",
    "dst_addr": "192.0.2.2", "proto": "UDP", "src_port": 1, "dst_port": 2, "packets": 2, "bytes": 200,
    "sampling_rate": 10,
}  # fmt: skip
ARGUS_NAMES = "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,TotPkts,TotBytes"
ARGUS_ROW = "1700000000,1,udp,192.0.2.1,1,->,192.0.2.2,2,CON,1,100"
NFDUMP_NAMES = "ts,te,td,sa,da,sp,dp,pr,flg,ipkt,ibyt"
NFDUMP_ROW = "2024-01-01 00:00:00,2024-01-01 00:00:01,1,192.0.2.1,192.0.2.2,1,2,UDP,......,1,100"


def lines(*objects: dict[str, Any]) -> bytes:
    return "".join(f"{json.dumps(one)}\n" for one in objects).encode()


def flow_event(**flow: Any) -> dict[str, Any]:
    told = {"pkts_toserver": 1, "bytes_toserver": 100, "start": EVE["timestamp"], "end": EVE["timestamp"]}
    return {**EVE, "event_type": "flow", "dns": None, "flow": told | flow}


@pytest.mark.parametrize(
    ("names", "row", "odd"),
    [
        (logs.tabs(logs.DNS_FIELDS, []), "\t".join(logs.DNS_ROW), b"\xff\t\xfe"),
        (f"{ARGUS_NAMES}\n", ARGUS_ROW, b"\xff,\xfe"),
        (f"{NFDUMP_NAMES}\n", NFDUMP_ROW, b"\xff,\xfe"),
    ],
    ids=["zeek", "argus", "nfdump"],
)
def test_a_line_of_odd_octets_costs_that_line_alone(tmp_path: Path, names: str, row: str, odd: bytes) -> None:
    good = row.encode() + b"\n"
    _, _, account = logs.read(tmp_path, names.encode() + good + odd + b"\n" + good)
    assert account.parsed == 2
    assert account.malformed.total() + account.ignored.total() == 1


@pytest.mark.parametrize("name", [b"\xff.example.com", b"\\xff.example.com"])
def test_a_zeek_name_keeps_its_octets_whether_zeek_spelled_them_or_not(tmp_path: Path, name: bytes) -> None:
    row = "\t".join(logs.DNS_ROW).encode().replace(b"WWW.example.com", name)
    messages, _, _ = logs.read(tmp_path, logs.tabs(logs.DNS_FIELDS, []).encode() + row + b"\n")
    assert {message["qname"] for message in messages} == {r"\255.example.com"}


@pytest.mark.parametrize("word", [b"a.example", b'"A"', b"NOERROR", b"UDP"])
def test_json_with_octets_that_are_no_utf8_is_read(tmp_path: Path, word: bytes) -> None:
    odd = word.replace(b"a.example", b"\xff.example").replace(b'"A"', b'"\xff"')
    odd = odd.replace(b"NOERROR", b"\xff").replace(b"UDP", b"\xff")
    messages, _, account = logs.read(tmp_path, lines(EVE) + lines(EVE).replace(word, odd))
    assert (account.parsed, account.malformed.total()) == (2, 0)
    assert messages[1]["qname"] == (r"\255.example" if b"example" in word else "a.example")


def test_json_nested_beyond_measure_is_a_damaged_line(tmp_path: Path) -> None:
    deep = b'{"timestamp":"2024-01-01T00:00:00Z","event_type":"dns","x":' + b"[" * 400_000 + b"\n"
    messages, _, account = logs.read(tmp_path, lines(EVE) + deep + lines(EVE))
    assert len(messages) == 2
    assert account.malformed == {"damaged_line": 1}


def test_a_file_that_is_nothing_but_nesting_is_of_no_format(tmp_path: Path) -> None:
    path = tmp_path / "deep"
    path.write_bytes(b'{"a":' + b"[" * 60_000)
    with pytest.raises(UsageError, match="no format"):
        Reading(path)


@pytest.mark.parametrize(
    ("names", "row"),
    [
        (f"{ARGUS_NAMES},StartTime", f"{ARGUS_ROW},1700000000"),
        (f"{NFDUMP_NAMES},ts", f"{NFDUMP_ROW},2024-01-01 00:00:00"),
    ],
    ids=["argus", "nfdump"],
)
def test_a_column_that_is_there_twice_is_read_once(tmp_path: Path, names: str, row: str) -> None:
    _, flows, account = logs.read(tmp_path, f"{names}\n{row}\n")
    assert (len(flows), account.parsed) == (1, 1)


def test_a_separator_that_no_table_can_have_is_a_tab(tmp_path: Path) -> None:
    written = logs.tabs(logs.DNS_FIELDS, [logs.DNS_ROW]).replace("\\x09", "\\x00", 1)
    messages, _, _ = logs.read(tmp_path, written)
    assert len(messages) == 2


@pytest.mark.parametrize(
    "told",
    [
        lines({**ZEEK, "ts": 4e12}),
        lines({**ZEEK, "ts": -1.0}),
        lines({**EVE, "timestamp": "0001-01-01T00:00:00Z"}),
        lines({**GOFLOW, "time_flow_start_ns": 10**22}),
        lines({**GOFLOW, "time_flow_start_ns": 0, "TimeFlowStart": 10**18}),
    ],
    ids=["zeek", "zeek before 1970", "eve", "goflow2", "goflow"],
)
def test_a_time_that_no_calendar_has_is_none(tmp_path: Path, told: bytes) -> None:
    messages, flows, account = logs.read(tmp_path, told)
    assert not messages
    assert not flows
    assert account.malformed == {"no_time_or_address": 1}


def test_a_response_time_without_end_stays_within_the_calendar(tmp_path: Path) -> None:
    messages, _, _ = logs.read(tmp_path, lines({**ZEEK, "rtt": 4e18}, {**ZEEK, "ts": 253_402_300_799.0}))
    assert len(messages) == 4
    assert all(0 < message["time_us"] <= LAST_US for message in messages)


def test_a_ttl_is_one_that_dns_has(tmp_path: Path) -> None:
    told = lines(*({**ZEEK, "TTLs": [ttl]} for ttl in (-5, 0, 2**32 - 1, 2**32, 1e300)))
    messages, _, _ = logs.read(tmp_path, told)
    assert [m["ttl_min"] for m in messages if m["response"]] == [None, 0, 2**32 - 1, None, None]


def test_counters_that_cannot_be_are_cut_and_noted(tmp_path: Path) -> None:
    _, flows, account = logs.read(tmp_path, lines(flow_event(pkts_toserver=1e15, bytes_toserver=9e15)))
    assert (flows[0]["packets"], flows[0]["bytes"]) == (1 << 39, 1 << 47)
    assert len(account.notes) == 2


def test_a_sampling_rate_never_turns_a_counter_round(tmp_path: Path) -> None:
    huge = {**GOFLOW, "packets": 1 << 53, "bytes": 1 << 53, "sampling_rate": 1 << 32}
    _, flows, _ = logs.read(tmp_path, lines(GOFLOW, huge))
    assert [(flow["packets"], flow["bytes"]) for flow in flows] == [(20, 2000), (1 << 39, 1 << 47)]
