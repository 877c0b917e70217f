"""Flow records as nfdump, goflow2 and pmacct export them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.formats.reading import ends, read

NFDUMP16 = """\
ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt
2023-11-14 22:13:20,2023-11-14 22:13:21,1.000,192.0.2.1,198.51.100.7,4000,23,TCP,....S.,0,0,10,400,0,0
2023-11-14 22:13:20.500,2023-11-14 22:13:21,0.500,198.51.100.7,192.0.2.1,23,4000,6,.AP.SF,0,0,3,180,2,100
Summary
flows,bytes,packets,avg_bps,avg_pps,avg_bpp
2,580,13,0,0,0
"""
NFDUMP17 = """\
firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows
2023-11-14 22:13:20.000,1.000,TCP,192.0.2.1,4000,198.51.100.7,23,10,400,1
"""
NFDUMP_JSON = """\
[
{
\t"type" : "FLOW",
\t"t_first" : "2023-11-14T22:13:20.000",
\t"t_last" : "2023-11-14T22:13:21.000",
\t"proto" : 6,
\t"src4_addr" : "192.0.2.1",
\t"dst4_addr" : "198.51.100.7",
\t"src_port" : 4000,
\t"dst_port" : 23,
\t"tcp_flags" : "......S.",
\t"in_packets" : 10,
\t"in_bytes" : 400
},
{
\t"type" : "FLOW",
\t"t_first" : "2023-11-14T22:13:20.000",
\t"t_last" : "2023-11-14T22:13:21.000",
\t"proto" : 58,
\t"src6_addr" : "2001:db8::1",
\t"dst6_addr" : "2001:db8::2",
\t"icmp_type" : 128,
\t"icmp_code" : 0,
\t"in_packets" : 1,
\t"in_bytes" : 104
}
]
"""
GOFLOW = {
    "type": "NETFLOW_V9", "time_received_ns": 1700000009000000000, "sampling_rate": 100, "bytes": 4, "packets": 1,
    "time_flow_start_ns": 1700000000000000000, "time_flow_end_ns": 1700000001000000000, "src_addr": "192.0.2.1",
    "dst_addr": "198.51.100.7", "proto": "TCP", "src_port": 4000, "dst_port": 23, "tcp_flags": 2, "etype": "IPv4",
}  # fmt: skip
GOFLOW1 = {
    "Type": 3, "TimeReceived": 1700000009, "SamplingRate": 0, "Bytes": 400, "Packets": 10, "TimeFlowStart": 1700000000,
    "TimeFlowEnd": 1700000001, "SrcAddr": "192.0.2.1", "DstAddr": "198.51.100.7", "Proto": 6, "SrcPort": 4000,
    "DstPort": 23, "TCPFlags": 2,
}  # fmt: skip


def check_flow(flow: dict[str, Any], packets: int, octets: int, *, syn: int = 1) -> None:
    assert ends(flow) == ("192.0.2.1", 4000, "198.51.100.7", 23)
    assert (flow["packets"], flow["bytes"], flow["syn"], flow["protocol"]) == (packets, octets, syn, 6)
    assert (flow["start_us"], flow["end_us"]) == (1_700_000_000_000_000, 1_700_000_001_000_000)


def test_nfdump_16_csv(tmp_path: Path) -> None:
    _, flows, account = read(tmp_path, NFDUMP16 + NFDUMP16)
    check_flow(flows[0], 10, 400)
    assert [f["packets"] for f in flows] == [10, 3, 10, 3, 2, 2]
    assert ends(flows[4]) == ("192.0.2.1", 4000, "198.51.100.7", 23)
    assert (flows[1]["synack"], flows[1]["fin"], flows[1]["push"]) == (1, 1, 1)
    assert (account.packets, account.parsed, "UTC" in account.notes[0]) == (4, 4, True)


def test_nfdump_17_csv(tmp_path: Path) -> None:
    _, (flow,), _ = read(tmp_path, NFDUMP17)
    check_flow(flow, 10, 400, syn=0)


@pytest.mark.parametrize(
    ("port", "told"), [("8.0", (8, 0)), ("3.10", (3, 10)), ("3.1", (3, 1)), ("0", (0, 0))]
)
def test_nfdump_17_csv_tells_icmp_in_place_of_a_port(
    tmp_path: Path, port: str, told: tuple[int, int]
) -> None:
    head, line, _ = NFDUMP17.split("\n")
    ping = line.replace("TCP", "ICMP").replace(",4000,", ",0,").replace(",23,", f",{port},")
    _, flows, _ = read(tmp_path, f"{head}\n{ping}\n{line}\n")
    assert [(f["src_port"], f["dst_port"]) for f in flows] == [told, (4000, 23)]


def test_nfdump_16_csv_tells_icmp_as_one_number(tmp_path: Path) -> None:
    head, line, _ = NFDUMP16.split("\n", 2)
    ping = line.replace("TCP", "ICMP").replace(",4000,23,", ",0,2048,")
    unreachable = ping.replace(",2048,", f",{3 << 8 | 10},")
    _, flows, _ = read(tmp_path, f"{head}\n{ping}\n{unreachable}\n")
    assert [(f["src_port"], f["dst_port"]) for f in flows] == [(8, 0), (3, 10)]


HEADER = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt"
TIMES = "2023-11-14 22:13:20,2023-11-14 22:13:21,1.000"


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("ESP", 50),
        ("OSPF ", 89),
        ("IP-in-IP", 4),
        ("IPv6", 41),
        ("RTP", 17),
        ("200  ", 200),
        ("0", 0),
        ("what", 255),
    ],
)
def test_protocols_by_number_or_by_any_name(tmp_path: Path, written: str, number: int) -> None:
    """nfdump pads, and Argus names what it takes UDP to carry."""
    lines = f"{HEADER}\n{TIMES},192.0.2.1,198.51.100.7,0,0,{written},......,0,0,10,400,0,0\n"
    (flow,) = read(tmp_path, lines)[1]
    assert flow["protocol"] == number


@pytest.mark.parametrize(
    ("ports", "flags", "packets", "syn", "synack", "ack"),
    [
        ("40000,443", "...AP.SF", 6, 1, 0, 1),  # a client's SYN, and its ACKs
        ("443,40000", "...AP.SF", 6, 0, 1, 1),  # a server's SYN-ACK, and its ACKs
        ("443,40000", "...A..S.", 1, 0, 1, 0),
        ("40000,443", "...A..S.", 1, 0, 1, 0),  # one packet is one packet
        ("40000,443", "......S.", 3, 1, 0, 0),
    ],
)
def test_flags_are_those_of_all_packets_of_a_flow(
    tmp_path: Path, ports: str, flags: str, packets: int, syn: int, synack: int, ack: int
) -> None:
    lines = f"{HEADER}\n{TIMES},192.0.2.1,198.51.100.7,{ports},TCP,{flags},0,0,{packets},400,0,0\n"
    (flow,) = read(tmp_path, lines)[1]
    assert (flow["syn"], flow["synack"], flow["ack"]) == (syn, synack, ack)


@pytest.mark.parametrize(
    ("src", "dst", "header"), [("192.0.2.1", "198.51.100.7", 28), ("2001:db8::1", "2001:db8::2", 48)]
)
def test_what_udp_carries_follows_from_its_octets(tmp_path: Path, src: str, dst: str, header: int) -> None:
    lines = [f"{TIMES},{src},{dst},53,4000,{name},......,0,0,3,3000,1,20" for name in ("UDP", "TCP")]
    flows = read(tmp_path, "\n".join([HEADER, *lines, ""]))[1]
    assert [flow["payload_bytes"] for flow in flows] == [3000 - 3 * header, 0, 0, 0]


def test_what_answers_icmp_has_a_type_of_its_own(tmp_path: Path) -> None:
    lines = f"{HEADER}\n{TIMES},192.0.2.1,198.51.100.7,0,{13 << 8},ICMP,......,0,0,3,120,3,120\n"
    forth, back = read(tmp_path, lines)[1]
    assert [(flow["src_port"], flow["dst_port"]) for flow in (forth, back)] == [(13, 0), (14, 0)]


def test_nfdump_json(tmp_path: Path) -> None:
    _, (flow, ping), account = read(tmp_path, NFDUMP_JSON)
    check_flow(flow, 10, 400)
    assert ends(ping) == ("2001:db8::1", 128, "2001:db8::2", 0)
    assert (ping["protocol"], account.packets) == (58, 2)


def test_nfdump_json_cut_short(tmp_path: Path) -> None:
    _, flows, account = read(tmp_path, NFDUMP_JSON[:-60])
    assert (len(flows), dict(account.malformed)) == (1, {"damaged_line": 1})


def test_goflow2(tmp_path: Path) -> None:
    _, (flow,), account = read(tmp_path, json.dumps(GOFLOW) + "\n")
    check_flow(flow, 100, 400)
    assert "sampling rate" in account.notes[0]
    _, (flow,), _ = read(tmp_path, json.dumps(GOFLOW1) + "\n")
    check_flow(flow, 10, 400)


@pytest.mark.parametrize("began", [True, False])
def test_pmacct(tmp_path: Path, began: bool) -> None:
    """With a flow's own times, or with those of the count alone; as seconds, or as a date."""
    record = {
        "event_type": "purge", "ip_src": "192.0.2.1", "ip_dst": "198.51.100.7", "port_src": 4000, "port_dst": 23,
        "tcp_flags": ["SYN", "RST"], "ip_proto": "tcp", "packets": 10, "flows": None, "bytes": 400,
        "stamp_inserted": "2023-11-14 22:13:20", "stamp_updated": "2023-11-14 22:13:21",
    }  # fmt: skip
    if began:
        record |= {"stamp_inserted": "1700000040", "stamp_updated": "1700000101"}
        record |= {"timestamp_start": "1700000000.000000", "timestamp_end": "1700000001.000000"}
    _, (flow,), account = read(tmp_path, json.dumps(record) + "\n")
    assert (account.format, account.parsed, len(account.notes)) == ("flows", 1, 0 if began else 1)
    check_flow(flow, 10, 400)
    assert (flow["syn"], flow["rst"], flow["ack"], flow["push"]) == (1, 1, 0, 0)
