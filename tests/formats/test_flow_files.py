"""Argus text and nfdump's own files: built here after their documents, whole, cut and damaged."""

import bz2
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lz4.block  # type: ignore[import-untyped]
import pytest
import zstandard

from dnsonde.formats import nfdump
from dnsonde.formats._contract import Options
from tests.formats.reading import Rows, ends, read

HERE = Path(__file__).parent
CAPTURES = HERE.parents[2] / "shared" / "captures"

# --- Argus ------------------------------------------------------------------------------------------------------

NAMES = "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,SrcPkts,Label"
TCP = (
    "2023/11/14 22:13:20.500000,1.500000,tcp,192.0.2.1,4000,   ->,198.51.100.7,80,FSPA_FSPA,0,0,11,900,300,6,"
)
SCAN = (
    "2023/11/14 22:13:21.000000,0.000000,tcp,192.0.2.1,4001,   ->,198.51.100.8,23,S_,0,,3,180,180,3,flow=scan"
)
ICMP = "2023/11/14 22:13:22.000000,0.000000,icmp,192.0.2.1,0x0103,   ->,198.51.100.7,0x97af,URH,0,,1,70,70,1,"
ARP = "2023/11/14 22:13:23.000000,0.000000,arp,192.0.2.1,,  who,192.0.2.2,,INT,,,1,42,42,1,"
MANAGEMENT = "2023/11/14 22:13:23.000000,0.000000,man,0,0,,0,0,STA,,,0,0,0,0,"


def text(*lines: str, names: str = NAMES) -> str:
    return "\n".join([names, *lines]) + "\n"


def test_argus_lines_are_two_ways(tmp_path: Path) -> None:
    _, flows, account = read(tmp_path, text(TCP, SCAN))
    forth, _, back = flows
    assert (ends(forth), ends(back)) == (
        ("192.0.2.1", 4000, "198.51.100.7", 80),
        ("198.51.100.7", 80, "192.0.2.1", 4000),
    )
    assert (forth["start_us"], forth["end_us"]) == (1_700_000_000_500_000, 1_700_000_002_000_000)
    assert [(f["packets"], f["bytes"], f["syn"], f["synack"], f["fin"], f["ack"]) for f in flows] == [
        (6, 300 - 6 * 14, 1, 0, 1, 1),  # Argus counts octets of frames
        (3, 180 - 3 * 14, 3, 0, 0, 0),  # nothing but SYN: each packet is one
        (5, 600 - 5 * 14, 0, 1, 1, 1),
    ]
    assert (account.format, account.packets, account.parsed) == ("argus", 2, 2)
    assert account.notes == ["times were written without a zone and taken as UTC"]


def test_argus_icmp_has_type_and_code(tmp_path: Path) -> None:
    _, (flow,), _ = read(tmp_path, text(ICMP))
    assert (flow["protocol"], flow["src_port"], flow["dst_port"]) == (1, 3, 1)


def test_argus_lines_that_are_no_ip_are_ignored(tmp_path: Path) -> None:
    _, flows, account = read(
        tmp_path, text(ARP, MANAGEMENT, TCP, "cut,short", TCP.replace("192.0.2.1", "gone"))
    )
    assert len(flows) == 2
    assert (account.parsed, dict(account.ignored), dict(account.malformed)) == (
        1,
        {"not_ip": 2},
        {"damaged_line": 1, "no_time_or_address": 1},
    )


def test_argus_with_tabs_joined_and_in_seconds(tmp_path: Path) -> None:
    seconds = TCP.replace("2023/11/14 22:13:20.500000", "1700000000.500000")
    whole = text(seconds).replace(",", "\t")
    _, flows, account = read(tmp_path, whole + whole)
    assert len(flows) == 4
    assert {f["start_us"] for f in flows} == {1_700_000_000_500_000}
    assert account.notes == []


def test_argus_without_packets_of_each_way_shares_them_out(tmp_path: Path) -> None:
    """As in CTU-13, which has no SrcPkts."""
    names = NAMES.replace("SrcPkts,", "")
    line = TCP.replace(",300,6,", ",300,")
    _, flows, account = read(tmp_path, text(line, names=names))
    assert [(f["packets"], f["bytes"]) for f in flows] == [(4, 300 - 4 * 14), (7, 600 - 7 * 14)]
    assert "shared out" in account.row()["note"]


def test_argus_answers_seen_first_and_named_ports(tmp_path: Path) -> None:
    line = TCP.replace("   ->", "  <-").replace(",80,", ",http,")
    _, (forth, back), account = read(tmp_path, text(line))
    assert (forth["synack"], back["syn"], forth["dst_port"]) == (1, 1, 0)
    assert "ra -n" in account.row()["note"]


@pytest.mark.parametrize(
    ("state", "there", "back"),
    [("REQ", (6, 0), (0, 0)), ("S0", (6, 0), (0, 0)), ("ACC", (6, 0), (0, 1)), ("CON", (0, 0), (0, 0))],
)
def test_argus_states_in_a_word(
    tmp_path: Path, state: str, there: tuple[int, int], back: tuple[int, int]
) -> None:
    """As `ra` writes without -Z b: (SYN, SYN-ACK) of each way; a connection says nothing of how it began."""
    fields = TCP.split(",")
    fields[NAMES.split(",").index("State")] = state
    _, flows, _ = read(tmp_path, text(",".join(fields)))
    assert [(f["syn"], f["synack"]) for f in flows] == [there, back]


# --- nfdump -----------------------------------------------------------------------------------------------------

FIRST_MS, LAST_MS = 1_700_000_000_500, 1_700_000_002_750
FLOWS = [  # protocol, source, target, ports, flags, packets, octets
    (6, "0a000001", "0a000002", 4000, 23, 2, 3, 180),
    (17, "20010db8000000000000000000000001", "20010db8000000000000000000000002", 53, 5353, 0, 1, 512),
    (1, "0a000003", "0a000004", 0, 3 << 8 | 1, 0, 1, 56),
]


def layout_1(
    *, mark: str = "<", wide: bool = True, flags: int = 0, pack: Callable[[bytes], bytes] = bytes
) -> bytes:
    records = [struct.pack(f"{mark}HHHH", 2, 8, 0, 0)]  # an extension map
    for protocol, source, target, sport, dport, bits, packets, octets in FLOWS:
        six = len(source) == 32
        code = "QQ" if wide else "II"
        body = struct.pack(
            f"{mark}HHHHIIBBBBHHHH", six | (6 if wide else 0), 0, FIRST_MS % 1000, LAST_MS % 1000, FIRST_MS // 1000,
            LAST_MS // 1000, 0, bits, protocol, 0, sport, dport, 1, 0,
        )  # fmt: skip
        halves = [int(end[at : at + 16], 16) for end in (source, target) for at in range(0, len(end), 16)]
        body += struct.pack(f"{mark}{'4Q' if six else '2I'}", *halves) + struct.pack(
            f"{mark}{code}", packets, octets
        )
        records.append(struct.pack(f"{mark}HH", 10, 4 + len(body) + 4) + body + bytes(4))
    block = pack(b"".join(records))
    head = struct.pack(f"{mark}HHII", 0xA50C, 1, flags, 1) + b"test".ljust(128, b"\0") + bytes(136)
    return head + struct.pack(f"{mark}IIHH", len(records), len(block), 2, 0) + block


def layout_2(
    *, mark: str = "<", packing: int = 0, pack: Callable[[bytes], bytes] = bytes, back: int = 0
) -> bytes:
    records = []
    for protocol, source, target, sport, dport, bits, packets, octets in FLOWS:
        six = len(source) == 32
        generic = struct.pack(
            f"{mark}5QHHBBBB", FIRST_MS, LAST_MS, 0, packets, octets, sport, dport, protocol, bits, 0, 0
        )
        halves = [int(end[at : at + 16], 16) for end in (source, target) for at in range(0, len(end), 16)]
        both = struct.pack(f"{mark}{'4Q' if six else '2I'}", *halves)
        elements = [(4, bytes(16)), (1, generic), (3 if six else 2, both)]
        if back:
            elements.append((5, struct.pack(f"{mark}3Q", 1, back, 40 * back)))
        body = b"".join(struct.pack(f"{mark}HH", kind, 4 + len(data)) + data for kind, data in elements)
        records.append(
            struct.pack(f"{mark}HHHBBHBB", 11, 12 + len(body), len(elements), 0, 0, 0, 0, 9) + body
        )
    block = pack(b"".join(records))
    head = struct.pack(f"{mark}HHIQBBHIQII", 0xA50C, 2, 0x01070101, 0, packing, 0, 0, 1, 0, 1 << 20, 2)
    names = struct.pack(f"{mark}IIHH", 1, 8, 3, 4) + struct.pack(f"{mark}HH", 0x8001, 8) + b"test"
    return head + names + struct.pack(f"{mark}IIHH", len(records), len(block), 3, 0) + block


def check(flows: Rows) -> None:
    tcp, udp, icmp = flows
    assert ends(tcp) == ("10.0.0.1", 4000, "10.0.0.2", 23)
    assert ends(udp) == ("2001:db8::1", 53, "2001:db8::2", 5353)
    assert ends(icmp) == ("10.0.0.3", 3, "10.0.0.4", 1)
    assert {(f["start_us"], f["end_us"]) for f in flows} == {(FIRST_MS * 1000, LAST_MS * 1000)}
    assert [(f["protocol"], f["packets"], f["bytes"], f["syn"]) for f in flows] == [
        (6, 3, 180, 1),
        (17, 1, 512, 0),
        (1, 1, 56, 0),
    ]


@pytest.mark.parametrize("mark", "<>")
@pytest.mark.parametrize("wide", [False, True])
def test_nfdump_16_files(tmp_path: Path, mark: str, wide: bool) -> None:
    _, flows, account = read(tmp_path, layout_1(mark=mark, wide=wide))
    check(flows)
    assert (account.format, account.packets, account.parsed, account.notes) == ("nfdump", 3, 3, [])


def lz4_block(data: bytes) -> bytes:
    return bytes(lz4.block.compress(data, store_size=False))


@pytest.mark.parametrize(("flags", "pack"), [(8, bz2.compress), (16, lz4_block)])
def test_nfdump_16_files_compressed(tmp_path: Path, flags: int, pack: Callable[[bytes], bytes]) -> None:
    check(read(tmp_path, layout_1(flags=flags, pack=pack))[1])


@pytest.mark.parametrize(
    ("packing", "pack"), [(0, bytes), (2, bz2.compress), (3, lz4_block), (4, zstandard.compress)]
)
def test_nfdump_17_files(tmp_path: Path, packing: int, pack: Callable[[bytes], bytes]) -> None:
    _, flows, account = read(tmp_path, layout_2(packing=packing, pack=pack))
    check(flows)
    assert (account.packets, account.notes) == (3, [])
    check(read(tmp_path, layout_2(mark=">", packing=packing, pack=pack))[1])


def test_nfdump_counters_of_the_other_way(tmp_path: Path) -> None:
    _, flows, account = read(tmp_path, layout_2(back=5))
    check(flows[:3])
    assert ends(flows[3]) == ("10.0.0.2", 23, "10.0.0.1", 4000)
    assert [(f["packets"], f["bytes"]) for f in flows[3:]] == [(5, 200)] * 3
    assert account.parsed == 3


def test_nfdump_files_that_are_not_read_say_why(tmp_path: Path) -> None:
    for data, why in (
        (layout_1(flags=1), "compressed by LZO"),
        (layout_2(packing=1), "compressed by LZO"),
        (layout_2()[:17] + b"\x01" + layout_2()[18:], "encrypted"),
    ):
        _, flows, account = read(tmp_path, data)
        assert not flows
        assert why in account.row()["note"]


@pytest.mark.parametrize("whole", [layout_1(), layout_2(), layout_2(packing=4, pack=zstandard.compress)])
def test_nfdump_files_cut_or_damaged(tmp_path: Path, whole: bytes) -> None:
    for size in range(4, len(whole), 7):
        _, flows, account = read(tmp_path, whole[:size])
        assert not flows
        assert size in (len(whole), 40, 276) or "cut short" in account.row()["note"]
    chance = random.Random(1)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(3):
            data[chance.randrange(4, len(data))] = chance.choice((0, 255, chance.randrange(256)))
        _, flows, account = read(tmp_path, bytes(data))
        assert account.packets == account.parsed + account.ignored.total() + account.malformed.total()


def test_a_compressed_block_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nfdump, "MOST", 200)
    for packing, pack in ((2, bz2.compress), (3, lz4_block), (4, zstandard.compress)):
        _, _, account = read(tmp_path, layout_2(packing=packing, pack=pack))
        assert account.malformed.total() == 1


def test_nfdump_records_of_countless_elements_cost_no_more_than_their_octets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = []
    taken = nfdump._taken

    def counted(octets: Any, at: Any, kind: Any, mark: str) -> Any:
        looked_at.append(len(at))
        return taken(octets, at, kind, mark)

    monkeypatch.setattr(nfdump, "_taken", counted)
    head = struct.Struct("<HHHHI").pack
    many = head(11, 12 + 4 * 9000, 9000, 0, 0) + struct.pack("<HH", 99, 4) * 9000
    none = head(11, 12, 0, 0, 0) * 5000
    block = bz2.compress(many + none)
    file = layout_2(packing=2)[:40] + struct.pack("<IIHH", 5001, len(block), 3, 0) + block
    assert read(tmp_path, file)[2].packets == 5001
    assert sum(looked_at) < len(many + none)
    assert len(looked_at) < 100


def test_flows_that_are_not_wanted_are_not_made(tmp_path: Path) -> None:
    for data in (text(TCP), layout_1()):
        assert not read(tmp_path, data, Options(tables=("message",)))[1]


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"the captures are not at {CAPTURES}")
def test_the_catalogues_flow_files(tmp_path: Path) -> None:
    """Sums as awk has them of the text, without Ethernet's headers, and as nfdump 1.7.1 has them of its file."""
    for name, flows, packets, octets in (
        ("slips__test1.nfdump", 4593, 4652, 241025),
        ("slips__test2-malicious.binetflow", 6751, 491156, 348705565 - 491156 * 14),
        ("slips__test3-mixed.binetflow", 89, 186, 39779 - 186 * 14),
    ):
        _, rows, account = read(tmp_path, (CAPTURES / "flows" / name).read_bytes())
        assert (account.parsed, sum(r["packets"] for r in rows), sum(r["bytes"] for r in rows)) == (
            flows,
            packets,
            octets,
        )
