"""Text logs: Zeek and Suricata, whole, joined, cut and damaged."""

import csv
import gzip
import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from dnsonde.errors import UsageError
from dnsonde.formats import _logs
from dnsonde.formats._reading import Reading
from dnsonde.wire.batch import address_text
from tests.formats.reading import Rows, ends, read

HERE = Path(__file__).parent
CAPTURES = HERE.parents[2] / "shared" / "captures"
make = SimpleNamespace(**runpy.run_path(str(HERE / "capture_files.py")))

# --- Zeek -------------------------------------------------------------------------------------------------------

DNS_FIELDS = [
    "ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "trans_id", "rtt", "query", "qclass",
    "qtype", "rcode", "AA", "TC", "RD", "RA", "answers", "TTLs",
]  # fmt: skip
DNS_ROW = [
    "1700000000.000007", "C1", "192.0.2.1", "4000", "2001:db8::53", "53", "udp", "77", "0.25", "WWW.example.com", "1",
    "1", "0", "F", "F", "T", "T", "edge.example.net,198.51.100.1,198.51.100.2", "300.0,60.0,60.0",
]  # fmt: skip
CONN_FIELDS = [
    "ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "duration", "orig_bytes", "resp_bytes",
    "conn_state", "history", "orig_pkts", "orig_ip_bytes", "resp_pkts", "resp_ip_bytes",
]  # fmt: skip
CONN_ROW = [
    "1700000000.5", "C1", "192.0.2.1", "4000", "198.51.100.7", "23", "tcp", "1.5", "10", "20", "SF", "ShADdFf", "6",
    "300", "5", "280",
]  # fmt: skip


def tabs(fields: list[str], rows: list[list[str]], path: str = "dns") -> str:
    head = [f"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t{path}"]
    lines = [
        "\t".join(["#fields", *fields]),
        "\t".join(["#types", *fields]),
        *("\t".join(row) for row in rows),
    ]
    return "\n".join([*head, *lines, "#close\t2023-11-14-22-13-20"]) + "\n"


def zeek_object(fields: list[str], row: list[str]) -> dict[str, Any]:
    texts = {"uid", "id.orig_h", "id.resp_h", "proto", "query", "conn_state", "history"}
    found: dict[str, Any] = {}
    for name, value in zip(fields, row, strict=True):
        if name in ("answers", "TTLs"):
            found[name] = [float(v) if name == "TTLs" else v for v in value.split(",")]
        elif value in ("T", "F"):
            found[name] = value == "T"
        else:
            found[name] = value if name in texts else float(value)
    return found | ({"rejected": False} if "query" in found else {})


def check_dns(messages: Rows) -> None:
    query, answer = messages
    assert ends(query) == ("192.0.2.1", 4000, "2001:db8::53", 53)
    assert ends(answer) == ("2001:db8::53", 53, "192.0.2.1", 4000)
    assert (query["time_us"], answer["time_us"]) == (1_700_000_000_000_007, 1_700_000_000_250_007)
    assert (query["qname"], query["mixed_case"], query["id"], query["rd"]) == (
        "www.example.com",
        True,
        77,
        True,
    )
    assert (query["response"], query["rcode"], answer["response"], answer["rcode"]) == (False, None, True, 0)
    assert (answer["ancount"], answer["answers"], answer["ttl_min"]) == (3, 2, 60)
    assert address_text(answer["answer_net"], answer["answer_host"]) == "198.51.100.1"
    assert answer["answer_hash"] != 0
    assert answer["registered_domain"] == "example.com"
    assert (answer["ip_ttl"], answer["dns_bytes"]) == (None, None)


def test_zeek_dns_as_tabs(tmp_path: Path) -> None:
    messages, _, account = read(tmp_path, tabs(DNS_FIELDS, [DNS_ROW]))
    check_dns(messages)
    assert (account.format, account.packets, account.parsed, account.messages) == ("zeek", 1, 1, 2)


def test_zeek_dns_as_json(tmp_path: Path) -> None:
    found = zeek_object(DNS_FIELDS, DNS_ROW)
    check_dns(read(tmp_path, json.dumps(found) + "\n")[0])
    found["ts"] = "2023-11-14T22:13:20.000007Z"
    check_dns(read(tmp_path, gzip.compress(json.dumps(found).encode()))[0])


def test_a_zeek_query_without_response_is_one_message(tmp_path: Path) -> None:
    row = [*DNS_ROW[:8], "-", *DNS_ROW[9:12], "-", *DNS_ROW[13:17], "-", "-"]
    messages, _, _ = read(tmp_path, tabs(DNS_FIELDS, [row]))
    assert [m["response"] for m in messages] == [False]


def check_conn(flows: Rows) -> None:
    there, back = flows
    assert (ends(there), there["packets"], there["bytes"], there["payload_bytes"]) == (
        ("192.0.2.1", 4000, "198.51.100.7", 23), 6, 300, 10,
    )  # fmt: skip
    assert (ends(back), back["packets"], back["syn"], back["synack"]) == (
        ("198.51.100.7", 23, "192.0.2.1", 4000),
        5,
        0,
        1,
    )
    assert (there["syn"], there["synack"], there["fin"], there["protocol"]) == (1, 0, 1, 6)
    assert (there["start_us"], there["end_us"]) == (1_700_000_000_500_000, 1_700_000_002_000_000)


def test_zeek_conn(tmp_path: Path) -> None:
    check_conn(read(tmp_path, tabs(CONN_FIELDS, [CONN_ROW], "conn"))[1])
    check_conn(read(tmp_path, json.dumps(zeek_object(CONN_FIELDS, CONN_ROW)))[1])


@pytest.mark.parametrize(
    ("protocol", "history", "acks"),
    [("tcp", "ShADdFf", [1, 1]), ("tcp", "Sr", [0, 0]), ("tcp", "ShDd", [1, 1]), ("udp", "Dd", [0, 0])],
)
def test_zeek_history_names_acks_with_data_by_the_data(
    tmp_path: Path, protocol: str, history: str, acks: list[int]
) -> None:
    row = [*CONN_ROW]
    row[CONN_FIELDS.index("proto")], row[CONN_FIELDS.index("history")] = protocol, history
    assert [flow["ack"] for flow in read(tmp_path, tabs(CONN_FIELDS, [row], "conn"))[1]] == acks


def test_zeek_connections_of_bad_checksums_alone_are_told_of(tmp_path: Path) -> None:
    bad = dict(zip(CONN_FIELDS, CONN_ROW, strict=True)) | {"history": "C", "conn_state": "OTH"}
    bad |= dict.fromkeys(
        ("orig_bytes", "resp_bytes", "orig_pkts", "orig_ip_bytes", "resp_pkts", "resp_ip_bytes"), "0"
    )
    _, flows, account = read(tmp_path, tabs(CONN_FIELDS, [CONN_ROW, list(bad.values())], "conn"))
    assert (len(flows), account.parsed) == (2, 2)
    assert ["zeek -C" in note for note in account.notes] == [True]


def test_zeek_icmp_is_by_family_and_unanswered_flows_are_one_way(tmp_path: Path) -> None:
    row = [
        "1700000000",
        "C",
        "2001:db8::1",
        "135",
        "2001:db8::2",
        "136",
        "icmp",
        "-",
        "-",
        "-",
        "OTH",
        "-",
        "1",
        "72",
        "0",
        "0",
    ]
    (flow,) = read(tmp_path, tabs(CONN_FIELDS, [row], "conn"))[1]
    assert (flow["protocol"], flow["src_port"], flow["dst_port"], flow["packets"]) == (58, 135, 136, 1)


def test_rotated_zeek_logs_joined_may_change_their_columns(tmp_path: Path) -> None:
    fields, row = [*DNS_FIELDS, "label"], [*DNS_ROW, "benign"]
    messages, _, account = read(tmp_path, tabs(DNS_FIELDS, [DNS_ROW] * 2) + tabs(fields, [row] * 3))
    assert (len(messages), account.packets, dict(account.malformed)) == (10, 5, {})


def test_zeek_logs_with_other_separators_and_marks(tmp_path: Path) -> None:
    """As LogAscii::separator and its kin make them."""
    row = [value.replace(",", ";") for value in DNS_ROW]
    row[DNS_FIELDS.index("rtt")] = "NA"
    text = "#separator \\x2c\n#set_separator,;\n#empty_field,EMPTY\n#unset_field,NA\n#path,dns\n"
    text += "\n".join(",".join(line) for line in (["#fields", *DNS_FIELDS], row, row[:3])) + "\n"
    messages, _, account = read(tmp_path, text)
    assert (len(messages), account.parsed, dict(account.malformed)) == (2, 1, {"damaged_line": 1})
    assert messages[1]["time_us"] == messages[0]["time_us"]
    assert (messages[1]["ancount"], messages[1]["answers"], messages[1]["ttl_min"]) == (3, 2, 60)


def test_zeek_logs_after_zeek_cut_have_a_plain_header(tmp_path: Path) -> None:
    text = "\n".join("\t".join(line) for line in (DNS_FIELDS, DNS_ROW, DNS_FIELDS, DNS_ROW)) + "\n"
    messages, _, account = read(tmp_path, text)
    check_dns(messages[:1] + messages[2:3])
    assert (account.parsed, account.messages) == (2, 4)


@pytest.mark.parametrize("separator", ["", "\\x0a", "ab", '"', "\\xe9"])
def test_a_zeek_separator_that_cannot_be_is_a_tab(tmp_path: Path, separator: str) -> None:
    text = tabs(DNS_FIELDS, [DNS_ROW]).replace("\\x09", separator)
    check_dns(read(tmp_path, text)[0])


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("numbered", [True, False])
def test_zeek_logs_made_csv(tmp_path: Path, quote: str, numbered: bool) -> None:
    """By a data frame's to_csv, perhaps with the number of each row and other names."""
    row = [f'"{value}"' if "," in value else quote + value + quote for value in DNS_ROW]
    lines = [[name.replace(".", "_") for name in DNS_FIELDS], row, row, row[:-1]]
    if numbered:
        lines = [[number, *line] for number, line in zip(["", "0", "1", "2"], lines, strict=True)]
    messages, _, account = read(tmp_path, "".join(",".join(line) + "\r\n" for line in lines))
    check_dns(messages[:1] + messages[2:3])
    assert (account.parsed, dict(account.malformed)) == (2, {"damaged_line": 1})


def test_zeek_json_with_other_names_for_the_ends(tmp_path: Path) -> None:
    query = zeek_object(DNS_FIELDS, DNS_ROW)
    check_dns(read(tmp_path, json.dumps({n.replace("id.", "id_"): v for n, v in query.items()}) + "\n")[0])
    ends = {name.removeprefix("id."): value for name, value in query.items() if name.startswith("id.")}
    rest = {name: value for name, value in query.items() if not name.startswith("id.")}
    check_dns(read(tmp_path, json.dumps(rest | {"id": ends}) + "\n")[0])


def test_zeek_json_of_nothing_but_texts(tmp_path: Path) -> None:
    """As scripts write it that split the lines of a log and leave the values as they are."""
    row = dict(zip(DNS_FIELDS, DNS_ROW, strict=True))
    unanswered = row | {"rtt": "-", "rcode": "-", "answers": "-", "TTLs": "(empty)"}
    messages, _, account = read(tmp_path, json.dumps([row, unanswered], indent=4))
    check_dns([messages[0], messages[2]])
    assert (len(messages), account.parsed) == (3, 2)


@pytest.mark.parametrize("word", ["_path", "@stream"])
def test_several_zeek_logs_in_one(tmp_path: Path, word: str) -> None:
    query, flow = (zeek_object(*log) for log in ((DNS_FIELDS, DNS_ROW), (CONN_FIELDS, CONN_ROW)))
    other = {"ts": 1.5, "uid": "C1", "id.orig_h": "192.0.2.1", "id.resp_h": "192.0.2.2", "query": "x"}
    lines = [{word: "ssl"} | other, {word: "dns"} | query, {word: "conn"} | flow, {word: "notice"} | other]
    messages, flows, account = read(tmp_path, "".join(json.dumps(line) + "\n" for line in lines))
    check_dns(messages)
    assert (len(flows), account.packets, account.parsed, dict(account.ignored)) == (2, 4, 2, {"other_log": 2})
    text = (
        tabs(DNS_FIELDS, [DNS_ROW])
        + tabs(["ts", "host"], [["1", "x"]], "http")
        + tabs(CONN_FIELDS, [CONN_ROW])
    )
    messages, flows, account = read(tmp_path, text)
    check_dns(messages)
    assert (len(flows), account.parsed, dict(account.ignored)) == (2, 2, {"other_log": 1})


def test_a_zeek_log_may_be_called_anything(tmp_path: Path) -> None:
    flow = {"_path": "conn"} | zeek_object(CONN_FIELDS, CONN_ROW)
    line = json.dumps(flow).encode() + b"\n"
    _, flows, account = read(tmp_path, line * 3 + b'{"_path":"\xff\x1b[2J","uid":"C1"}\n')
    assert (len(flows), account.packets, dict(account.ignored)) == (6, 4, {"other_log": 1})


def test_zeek_columns_that_are_missing_or_there_twice(tmp_path: Path) -> None:
    keep = [at for at, name in enumerate(DNS_FIELDS) if name not in ("rtt", "TTLs", "proto", "qclass", "RD")]
    fields, row = ([line[at] for at in keep] for line in (DNS_FIELDS, DNS_ROW))
    messages, _, _ = read(tmp_path, tabs([*fields, "uid"], [[*row, "C1"]]))
    assert [m["qname"] for m in messages] == ["www.example.com"] * 2
    assert (messages[1]["ttl_min"], messages[1]["qclass"]) == (None, None)


def test_damaged_zeek_lines_are_counted(tmp_path: Path) -> None:
    bad_time, bad_address = ["soon", *DNS_ROW[1:]], [*DNS_ROW[:2], "nobody", *DNS_ROW[3:]]
    text = tabs(DNS_FIELDS, [DNS_ROW, DNS_ROW[:9], bad_time, bad_address])
    _, _, account = read(tmp_path, text[: text.rindex("#close")])
    assert (account.parsed, dict(account.malformed)) == (1, {"damaged_line": 1, "no_time_or_address": 2})
    line = json.dumps(zeek_object(DNS_FIELDS, DNS_ROW))
    _, _, account = read(tmp_path, f"{line}\n{line[:40]}\n[]\n{line}\nnull\n{line[:90]}")
    assert (account.parsed, dict(account.malformed)) == (2, {"damaged_line": 4})


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Example.COM.", "example.com"),
        ("a\\x00b.example", "a\\000b.example"),
        ("a b;c.example", "a\\032b\\;c.example"),
        ("back\\\\slash.example", "back\\\\slash.example"),
        ("\u00e9.example", "\\195\\169.example"),
        (".", "."),
        ("", ""),
        ("<script>.\x1b[2J", "<script>.\\027[2j"),
    ],
)
def test_names_of_logs_become_presentation_form(written: str, shown: str) -> None:
    assert _logs.names(pa.array([written]))[0].to_pylist() == [shown]


def test_a_newline_in_an_address_shifts_nothing() -> None:
    found = _logs.addresses(
        pa.array(["192.0.2.1", "192.0.2.2\n192.0.2.3", None, "10.0.0.0/8", "::1", "::1 # x"])
    )
    assert found.valid.tolist() == [True, False, False, False, True, False]
    assert address_text(int(found.net[4]), int(found.host[4])) == "::1"


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01T00:00:01.5Z", 1_500_000),
        ("1970-01-01T02:00:00.000001+0200", 1),
        ("1970-01-01T00:00:00-01:30", 5_400_000_000),
        ("1970-01-01T00:00:00.123456789", 123_456),
        ("1970-01-01 00:00:01", 1_000_000),
        ("1970/01/01 00:00:01.5", 1_500_000),
        ("1970/01/0100:00:01.5", 1_500_000),
        ("1970-01-01+00:00:01.5", 1_500_000),
        ("00:00:01.5", None),
        ("Tuesday", None),
    ],
)
def test_dates(text: str, micros: int | None) -> None:
    values, valid = _logs.microseconds(pa.array([text]))
    assert (values.tolist() if valid[0] else [None]) == [micros]


def test_a_log_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_logs, "BLOCK", 1000)
    messages, _, account = read(tmp_path, tabs(DNS_FIELDS, [DNS_ROW] * 200))
    assert (account.packets, len(messages), dict(account.malformed)) == (200, 400, {})
    assert sorted({m["packet"] for m in messages}) == list(range(1, 201))


def test_an_endless_line_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_logs, "BLOCK", 1000)
    monkeypatch.setattr(_logs, "LONGEST_LINE", 1000)
    text = tabs(DNS_FIELDS, [DNS_ROW])
    _, _, account = read(tmp_path, text + "x" * 10_000)
    assert (account.parsed, dict(account.malformed)) == (1, {"endless_line": 1})


def test_another_zeek_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Zeek's http\.log"):
        read(tmp_path, tabs(["ts", "host"], [["1", "x"]], "http"))


# --- EVE --------------------------------------------------------------------------------------------------------

EVE = {
    "timestamp": "2023-11-14T23:13:20.000007+0100", "flow_id": 1, "src_ip": "192.0.2.1", "src_port": 4000,
    "dest_ip": "198.51.100.53", "dest_port": 53, "proto": "UDP",
}  # fmt: skip
QUERY = EVE | {
    "event_type": "dns",
    "dns": {"type": "query", "id": 7, "rrname": "WWW.example.com", "rrtype": "AAAA", "tx_id": 0},
}
ANSWER2 = EVE | {
    "event_type": "dns",
    "dns": {
        "version": 2, "type": "answer", "id": 7, "flags": "8180", "qr": True, "rd": True, "ra": True,
        "rrname": "www.example.com", "rrtype": "A", "rcode": "NXDOMAIN",
        "answers": [{"rrname": "www.example.com", "rrtype": "A", "ttl": 9, "rdata": "203.0.113.9"}],
    },
}  # fmt: skip
RESPONSE3 = EVE | {
    "event_type": "dns",
    "dns": {
        "version": 3, "type": "response", "id": 7, "ra": True, "rcode": "NOERROR",
        "queries": [{"rrname": "www.example.com", "rrtype": "TYPE65"}],
    },
}  # fmt: skip
ANSWER1 = EVE | {
    "event_type": "dns", "src_ip": "198.51.100.53", "src_port": 53, "dest_ip": "192.0.2.1", "dest_port": 4000,
    "dns": {"type": "answer", "id": 7, "rcode": "NOERROR", "rrname": "x.example", "ttl": 5, "rdata": "10.0.0.1"},
}  # fmt: skip
FLOW = EVE | {
    "event_type": "flow", "proto": "TCP", "tcp": {"tcp_flags_ts": "1b", "tcp_flags_tc": "1A", "syn": True},
    "flow": {
        "pkts_toserver": 6, "pkts_toclient": 5, "bytes_toserver": 300, "bytes_toclient": 280,
        "start": "2023-11-14T22:13:20.000000+0000", "end": "2023-11-14T22:13:21.000000+0000",
    },
}  # fmt: skip
ALERT = EVE | {"event_type": "alert", "dns": {"query": [{"type": "query"}]}, "flow": {"start": 5}}


def test_eve_dns_and_flow_events(tmp_path: Path) -> None:
    stats = {"timestamp": EVE["timestamp"], "event_type": "stats", "stats": {"uptime": 1}}
    events = [stats, QUERY, ANSWER2, RESPONSE3, ANSWER1, FLOW]
    messages, flows, account = read(tmp_path, "".join(json.dumps(e) + "\n" for e in events))
    query, two, three, one = messages
    assert query["time_us"] == 1_700_000_000_000_007
    assert (ends(query), query["qname"], query["qtype"]) == (
        ("192.0.2.1", 4000, "198.51.100.53", 53),
        "www.example.com",
        28,
    )
    for answer in (two, three, one):
        assert ends(answer) == ("198.51.100.53", 53, "192.0.2.1", 4000)
    assert (two["rcode"], two["answers"], two["ra"], three["rcode"], three["qtype"]) == (3, 1, True, 0, 65)
    assert (one["answers"], one["ttl_min"], query["rcode"]) == (1, 5, None)
    assert (two["ttl_min"], three["ttl_min"], three["ancount"]) == (9, None, 0)
    there, back = flows
    assert (there["packets"], there["syn"], back["packets"], back["syn"], back["synack"]) == (6, 1, 5, 0, 1)
    assert (there["bytes"], back["bytes"]) == (300 - 6 * 14, 280 - 5 * 14)  # Suricata counts octets of frames
    assert (account.packets, account.parsed, dict(account.ignored)) == (6, 5, {"other_event": 1})
    assert [m["packet"] for m in messages] == [2, 3, 4, 5]


def test_eve_answers_grouped_by_type(tmp_path: Path) -> None:
    grouped = {
        "TXT": ["203.0.113.11"],
        "A": ["203.0.113.9", "203.0.113.10"],
        "SRV": [{"port": 1}],
        "HINFO": 1,
    }
    ttls: list[dict[str, Any]] = [
        {"ttl": 60, "rrtype": "TXT", "rdata": "203.0.113.11"},  # which is no address
        {"ttl": 7, "rrtype": "A", "rdata": "203.0.113.9"},
        {"rdata": "203.0.113.10"},
        {},
    ]
    dns: dict[str, Any] = {
        "type": "answer",
        "id": 7,
        "rrname": "a.example",
        "rrtype": "A",
        "rcode": "NOERROR",
    }
    each: list[dict[str, Any]] = [
        {"grouped": grouped, "opcode": 4},
        {"answers": ttls},
        {"grouped": {}},
        {"flags": "28B0"},
    ]
    text = "".join(json.dumps(EVE | {"event_type": "dns", "dns": dns | one}) + "\n" for one in each)
    by_type, told, none, flagged = read(tmp_path, text)[0]
    assert (by_type["ancount"], by_type["answers"], by_type["ttl_min"], by_type["opcode"]) == (4, 2, None, 4)
    assert (told["ancount"], told["answers"], told["ttl_min"], told["opcode"]) == (4, 2, 7, 0)
    assert all(by_type[name] == told[name] for name in ("answer_hash", "answer_net", "answer_host"))
    assert (none["ancount"], none["answers"], none["ad"]) == (0, 0, False)
    assert (flagged["opcode"], flagged["ad"], flagged["cd"]) == (5, True, True)


def test_eve_tells_the_root_and_which_way_an_answer_went(tmp_path: Path) -> None:
    """Version 3 writes an answer as it went, version 2 as its flow began; tell-tale where both ports are 53."""
    dns: dict[str, Any] = {"id": 7, "rrname": "", "rrtype": "NS", "rcode": "NOERROR"}
    both = EVE | {"event_type": "dns", "src_port": 53}
    events = [
        both | {"dns": dns | {"version": v, "type": kind}} for v, kind in ((2, "answer"), (3, "response"))
    ]
    two, three = read(tmp_path, "".join(json.dumps(event) + "\n" for event in events))[0]
    assert [message["qname"] for message in (two, three)] == [".", "."]
    assert (ends(two), ends(three)) == (
        ("198.51.100.53", 53, "192.0.2.1", 53),
        ("192.0.2.1", 53, "198.51.100.53", 53),
    )


def test_eve_events_that_use_the_same_words_otherwise(tmp_path: Path) -> None:
    messages, flows, account = read(tmp_path, "".join(json.dumps(e) + "\n" for e in (QUERY, ALERT, FLOW)))
    assert (len(messages), len(flows), account.packets, account.parsed) == (1, 2, 3, 2)


def test_a_log_of_other_events_is_no_eve(tmp_path: Path) -> None:
    stats = {"timestamp": EVE["timestamp"], "event_type": "stats", "stats": {"uptime": 1}}
    assert read(tmp_path, json.dumps(stats) + "\n")[2].format == "eve"
    with pytest.raises(UsageError, match="of no format"):
        read(tmp_path, json.dumps(stats | {"event_type": "log"}) + "\n")


def test_eve_cut_short(tmp_path: Path) -> None:
    line = json.dumps(QUERY)
    messages, _, account = read(tmp_path, f"{line}\n{line[:-30]}")
    assert (len(messages), dict(account.malformed)) == (1, {"damaged_line": 1})


@pytest.mark.parametrize(("indent", "array"), [(None, True), (2, True), (2, False)])
def test_json_in_an_array_or_laid_out_is_read_as_lines_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None, array: bool
) -> None:
    """As `jq`, `jq -s` and many scripts write it; braces, quotes and backslashes within texts mean nothing."""
    monkeypatch.setattr(_logs, "BLOCK", 1000)
    texts = {"odd": 'a } { \\" \\ ] , "', "end": "\\", "deep": {"er": [{"x": "{"}, {}]}}
    alert = EVE | texts | {"event_type": "alert", "flow": {"start": EVE["timestamp"]}}
    events = [QUERY | texts, ANSWER2, alert, FLOW] * 5
    text = json.dumps(events, indent=indent)
    if not array:
        text = "\n".join(json.dumps(event, indent=indent) for event in events)
    messages, flows, account = read(tmp_path, text)
    assert (len(messages), len(flows), account.packets, account.parsed) == (10, 10, 20, 15)
    assert not account.malformed
    messages, _, account = read(tmp_path, text[: len(text) - 80])
    assert (len(messages), account.packets, dict(account.malformed)) == (10, 20, {"damaged_line": 1})
    query = zeek_object(DNS_FIELDS, DNS_ROW)
    text = json.dumps([query] * 3, indent=indent) if array else f"{json.dumps(query, indent=indent)}\n" * 3
    messages, _, account = read(tmp_path, text)
    check_dns(sorted(messages, key=lambda message: bool(message["response"]))[2:4])
    assert (account.format, account.packets) == ("zeek", 3)


def test_an_endless_object_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_logs, "BLOCK", 1000)
    monkeypatch.setattr(_logs, "LONGEST_LINE", 1000)
    messages, _, account = read(tmp_path, f'[{json.dumps(QUERY)}, {{"x": "' + "y" * 10_000)
    assert (len(messages), dict(account.malformed)) == (1, {"endless_line": 1})


# --- the real ones ----------------------------------------------------------------------------------------------


def catalog() -> list[dict[str, str]]:
    if not CAPTURES.is_dir():
        return []
    with (CAPTURES / "CATALOG.tsv").open() as file:
        return [
            row for row in csv.DictReader(file, delimiter="\t") if row["theme"] in ("zeek-logs", "dnstap")
        ]


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"the captures are not at {CAPTURES}")
def test_the_catalogues_logs_have_as_many_messages_as_it_says() -> None:
    refused = 0
    for row in catalog():
        try:
            reading = Reading(CAPTURES / row["file"])
        except UsageError:
            refused += 1
            continue
        counted = {False: 0, True: 0}
        for table, batch in reading:
            batch.validate(full=True)
            if table == "message":
                for response in batch["response"].to_pylist():
                    counted[response] += 1
        if row["file"] == "dnstap/pktvisor__fixture.dnstap":
            assert reading.account.notes[0].startswith("cut short")  # the catalogue counts the cut frame
            assert (reading.account.packets, counted[True]) == (153, 74)
            continue
        assert reading.account.packets == int(row["packets"]), row["file"]
        assert (counted[False], counted[True]) == (int(row["dns_queries"]), int(row["dns_responses"])), row[
            "file"
        ]
    assert refused == 14  # Zeek's other logs, and one without its header
