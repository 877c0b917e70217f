"""C-DNS: files made by cbor2 after the RFC's CDDL, whole, cut, damaged and hostile."""

import ipaddress
import random
import struct
from pathlib import Path
from typing import Any

import cbor2
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pyarrow as pa
import pytest

from dnsonde.formats import cdns
from dnsonde.formats._contract import Account, Options
from dnsonde.formats._reading import Reading
from dnsonde.wire.batch import address_text

START = 1_700_000_000
STORAGE = {0: 1_000_000, 1: 5000, 2: {0: 0, 1: 0, 2: 3, 3: 3}, 3: [0], 4: [1]}
CLIENT, SERVER = "192.0.2.1", "198.51.100.53"
CLIENT6 = "2001:db8:1:2::"


def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def wire(name: str) -> bytes:
    return b"".join(bytes([len(x)]) + x.encode() for x in name.split(".") if x) + b"\0"


# A query and its answers (CNAME and two addresses), one without an answer, and a response from nowhere.
NAMES = [
    wire("WWW.example.com"), wire("edge.example.net"), bytes([203, 0, 113, 9]), bytes([203, 0, 113, 10]),
    wire("lost.example.org"), b"\0\x0a\0\x08\1\2\3\4\5\6\7\x08\0\x08\0\x07\0\x01\x18\0\xc0\0\x02", b"",
]  # fmt: skip
TABLES: dict[int, Any] = {
    0: [packed(CLIENT), packed(SERVER), packed(CLIENT6)[:8]],
    1: [{0: 1, 1: 1}, {0: 5, 1: 1}, {0: 28, 1: 1}, {0: 41, 1: 1232}],
    2: NAMES,
    3: [
        # Both, over UDP: RD, DO; RA, RD and AA in the response, with OPT (a cookie and a client subnet) in both.
        {0: 1, 1: 53, 2: 0, 3: 2, 4: 0b1111, 5: 0, 6: 1 << 4 | 1 << 7 | 0b1011000 << 8, 7: 0, 8: 0, 9: 1, 10: 0,
         11: 0, 12: 1, 13: 0, 14: 1232, 15: 5, 16: 0},
        {1: 53, 2: 0b11, 4: 1, 5: 0, 6: 0, 8: 2, 9: 1},  # a query, over TCP and IPv6, of an untold server
        {0: 1, 1: 53, 2: 0, 4: 0b1010, 5: 0, 6: 0, 8: 0, 16: 16},  # a response alone: BADVERS
    ],
    6: [[0, 1, 2], [3]],
    7: [
        {0: 0, 1: 1, 2: 300, 3: 1}, {0: 1, 1: 0, 2: 60, 3: 2}, {0: 1, 1: 0, 2: 30, 3: 3}, {0: 6, 1: 3, 2: 0x8000, 3: 6},
    ],
    8: [{0: 1, 1: 53, 2: 0, 3: b"\0\x07\1\0\0\1\0\0\0\0\0\0\x05short"}],
}  # fmt: skip
NAMES[6] = b"\0"
TABLES[7][3] = {0: 6, 1: 3, 2: 0x8000, 3: 7}
NAMES.append(b"")
ITEMS: list[dict[int, Any]] = [
    {0: 5, 1: 0, 2: 4000, 3: 77, 4: 0, 5: 61, 6: 1500, 7: 0, 8: 60, 9: 180, 12: {1: 0, 3: 1}},
    {0: 2_000_000, 1: 2, 2: 4001, 3: 78, 4: 1, 5: 60, 7: 4, 8: 45},
    {0: 3_000_000, 1: 0, 2: 4002, 3: 79, 4: 2, 7: 0, 9: 27},
]
DAMAGED = [{0: 4_000_000, 1: 0, 2: 4003, 3: 0}]


def block(items: Any = ITEMS, *, damaged: Any = None, tables: Any = TABLES, **more: Any) -> dict[int, Any]:
    found = {0: {0: [START, 7]}, 2: tables, 3: items} | {int(k[1:]): v for k, v in more.items()}
    return found | ({5: damaged} if damaged else {})


def write(
    folder: Path, *blocks: Any, storage: Any = STORAGE, endless: bool = False, version: int = 1
) -> Path:
    path = folder / "capture.cdns"
    preamble = cbor2.dumps("C-DNS") + cbor2.dumps({0: version, 1: 0, 3: [{0: storage}]})
    whole = b"".join(cbor2.dumps(b) for b in blocks)
    size = b"\x9f" + whole + b"\xff" if endless else b"\x99" + struct.pack(">H", len(blocks)) + whole
    path.write_bytes((b"\x9f" if endless else b"\x83") + preamble + size + (b"\xff" if endless else b""))
    return path


def read(path: Path, options: Options | None = None) -> tuple[list[dict[str, Any]], Account]:
    rows: list[dict[str, Any]] = []
    with Reading(path, options) as reading:
        for _, batch in reading:
            batch.validate(full=True)
            rows += batch.to_pylist()
    return rows, reading.account


def ends(row: dict[str, Any]) -> tuple[str, int, str, int]:
    src, dst = (address_text(row[f"{side}_net"], row[f"{side}_host"]) for side in ("src", "dst"))
    return src, row["src_port"], dst, row["dst_port"]


@pytest.mark.parametrize("endless", [False, True])
def test_items_become_the_messages_that_were_on_the_wire(tmp_path: Path, endless: bool) -> None:
    rows, account = read(write(tmp_path, block(), endless=endless))
    query, answer, alone, badvers = rows
    assert (account.format, account.packets, account.parsed, account.messages) == ("cdns", 3, 3, 4)
    assert account.notes == []
    assert (ends(query), ends(answer)) == ((CLIENT, 4000, SERVER, 53), (SERVER, 53, CLIENT, 4000))
    first = START * 1_000_000 + 7 + 5
    assert (query["time_us"], answer["time_us"]) == (first, first + 1500)
    assert [r["packet"] for r in rows] == [1, 1, 2, 3]
    assert (query["id"], query["qname"], query["mixed_case"], query["qtype"]) == (
        77,
        "www.example.com",
        True,
        1,
    )
    assert (query["ip_ttl"], query["dns_bytes"], answer["ip_ttl"], answer["dns_bytes"]) == (61, 60, None, 180)
    assert (query["rd"], query["edns_do"], query["edns_size"], query["cookie"]) == (True, True, 1232, True)
    assert address_text(query["ecs_net"], query["ecs_host"]) == "192.0.2.0"
    assert (answer["aa"], answer["ra"], answer["rd"], answer["rcode"]) == (True, True, True, 0)
    assert (answer["ancount"], answer["arcount"], answer["ttl_min"], answer["edns_size"]) == (3, 1, 30, 1232)
    assert address_text(answer["answer_net"], answer["answer_host"]) == "203.0.113.9"
    assert {r["status"] for r in rows} == {0}
    assert ends(alone) == ("2001:db8:1:2::", 4001, "::", 53)  # a shortened address; a server that is not told
    assert (alone["transport"], alone["qtype"], alone["registered_domain"]) == ("tcp", 28, "example.org")
    assert (badvers["response"], badvers["rcode"], ends(badvers)[2:]) == (True, 16, (CLIENT, 4002))


def test_an_answer_is_the_same_as_in_a_capture(tmp_path: Path) -> None:
    """Its hash too, so that what one file says can be held against another: dnspython makes the message."""
    answer = dns.message.make_response(dns.message.make_query("www.example.com", "A", id=77))
    for name, kind, ttl, data in (
        ("www.example.com.", "CNAME", 300, "edge.example.net."),
        ("edge.example.net.", "A", 60, "203.0.113.9"),
        ("edge.example.net.", "A", 30, "203.0.113.10"),
    ):
        answer.answer.append(
            dns.rrset.from_text(name, ttl, dns.rdataclass.IN, dns.rdatatype.from_text(kind), data)
        )
    body = answer.to_wire()
    udp = struct.pack(">HHHH", 53, 4000, 8 + len(body), 0) + body
    ip = (
        struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 61, 17, 0)
        + packed(SERVER)
        + packed(CLIENT)
        + udp
    )
    capture = tmp_path / "capture.pcap"
    record = struct.pack("<IIII", START, 0, len(ip), len(ip)) + ip
    capture.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101) + record)
    (want,) = (batch.to_pylist()[0] for table, batch in Reading(capture) if table == "message")
    got = read(write(tmp_path, block()))[0][1]
    for name in (
        "answer_hash",
        "answer_net",
        "answer_host",
        "answers",
        "ancount",
        "ttl_min",
        "qname",
        "sub_hash",
    ):
        assert got[name] == want[name], name


def test_messages_that_the_writer_could_not_read_are_malformed_rows(tmp_path: Path) -> None:
    rows, account = read(write(tmp_path, block(damaged=DAMAGED)))
    assert (account.parsed, account.messages) == (4, 5)
    assert rows[-1]["status"] != 0
    assert (rows[-1]["id"], ends(rows[-1])) == (7, (CLIENT, 4003, SERVER, 53))
    assert rows[-1]["packet"] == 4


def test_blocks_have_their_own_parameters_and_numbers_go_on(tmp_path: Path) -> None:
    path = tmp_path / "capture.cdns"
    second = block(ITEMS[1:2]) | {0: {0: [START, 7_000], 1: 1}}
    parameters = [{0: STORAGE}, {0: STORAGE | {0: 1_000_000_000, 5: 3}}]
    path.write_bytes(cbor2.dumps(["C-DNS", {0: 1, 1: 0, 3: parameters}, [block(), second]]))
    rows, account = read(path)
    assert [r["packet"] for r in rows] == [1, 1, 2, 3, 4]
    assert rows[-1]["time_us"] == START * 1_000_000 + 7 + 2000  # in nanoseconds
    assert "anonymised" in account.row()["note"]
    assert "a sample" in account.row()["note"]


def test_what_a_file_does_not_tell(tmp_path: Path) -> None:
    """Everything is optional: no ports, no names, no signature, no time."""
    rows, account = read(write(tmp_path, block([{0: 1}, {}, {0: 2, 1: 0, 4: 0}], c4=[{0: 0, 2: 0, 4: 9}])))
    assert (account.parsed, dict(account.malformed), account.messages) == (2, {"no_time": 1}, 3)
    assert [r["packet"] for r in rows] == [1, 3, 3]
    assert (rows[0]["qname"], rows[0]["qtype"], ends(rows[0])) == ("", None, ("::", 0, "::", 0))
    assert "no times, were left out" in account.row()["note"]


def test_a_message_that_is_too_long_without_compression_keeps_its_question(tmp_path: Path) -> None:
    tables = TABLES | {6: [[0] * 3000, [3]]}
    rows, account = read(write(tmp_path, block(ITEMS[:1], tables=tables)))
    assert [(r["qname"], r["ancount"], r["status"]) for r in rows] == [("www.example.com", 0, 0)] * 2
    assert "without their records" in account.row()["note"]


def test_few_octets_that_stand_for_many_stay_in_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cdns, "ROOM", 100_000)
    tables = TABLES | {
        2: [*NAMES, bytes(60_000)],
        6: [[4]] * 40,
        7: [*TABLES[7], {0: 0, 1: 0, 3: len(NAMES)}],
    }
    items = [ITEMS[0] | {12: {1: n % 40}} for n in range(60)]
    sizes = []
    with Reading(write(tmp_path, block(items, tables=tables))) as reading:
        for _, batch in reading:
            sizes.append(batch.num_rows)
    assert sum(sizes) == 120
    assert max(sizes) <= 6
    assert reading.account.parsed == 60


@pytest.mark.parametrize(
    "wrong",
    [
        5,
        [1, 2],
        {0: {}, 3: 7},
        block([{0: 1, 4: 99}]),
        block([{0: "soon"}]),
        block([{0: 1, 2: 70_000}]),
        block([[1]]),
        block(tables={2: ["text"], 3: [{4: 3, 8: 0}], 1: [{0: 1, 1: 1}], 7: 5}, items=[{0: 1, 4: 0, 7: 0}]),
        block(tables=TABLES | {0: ["192.0.2.1"]}),
        block(tables=TABLES | {1: [{0: 1, 1: 70_000}]}),
        block() | {0: {0: [START, 7], 1: 5}},
    ],
)  # fmt: skip
def test_a_block_that_is_otherwise_is_malformed_and_the_next_is_read(tmp_path: Path, wrong: Any) -> None:
    rows, account = read(write(tmp_path, wrong, block()))
    assert len(rows) == 4
    assert account.parsed == 3
    assert account.malformed["damaged_block"]


def test_what_stands_before_a_fault_in_a_block_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cdns, "ROOM", 1)
    rows, account = read(write(tmp_path, block([*ITEMS, {0: 1, 4: 99}, ITEMS[0]])))
    assert (len(rows), account.parsed, dict(account.malformed)) == (4, 3, {"damaged_block": 2})


def test_a_file_cut_short_is_read_to_its_cut(tmp_path: Path) -> None:
    path = write(tmp_path, block(), block())
    whole = path.read_bytes()
    for size in range(7, len(whole) - 1, 11):
        path.write_bytes(whole[:size])
        rows, account = read(path)
        assert len(rows) in (0, 4)
        assert "cut short" in account.row()["note"]


@pytest.mark.parametrize(
    "item",
    [
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",  # arrays and strings that claim to be endless
        b"\x5b\x00\x00\x00\xff\x00\x00\x00\x00",
        b"\xbb\x00\x00\x00\xff\x00\x00\x00\x00",
        b"\x81" * 10_000,
        b"\xd8\x23\x68(a+)+$aaa"[:11],  # a tag: an expression
        b"\xc2\x42\x01\x00",
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\xda\x00\x01\x00\x00\x00",
        b"\x1c",
        b"\xff",
        b"\x61\xff",
    ],
)  # fmt: skip
def test_hostile_items_end_the_reading(tmp_path: Path, item: bytes) -> None:
    path = write(tmp_path, block())
    data = path.read_bytes().replace(b"\x99\x00\x01", b"\x99\x00\x03", 1) + item + cbor2.dumps(block())
    path.write_bytes(data)
    rows, account = read(path)
    assert len(rows) == 4
    assert account.row()["note"]


def test_a_block_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cdns, "LONGEST", 1000)
    monkeypatch.setattr(cdns, "PIECE", 100)
    rows, account = read(write(tmp_path, block(), block(ITEMS * 200)))
    assert len(rows) == 4
    assert "a block of more than 1,000 octets" in account.row()["note"]


def test_mutated_files_are_accounted_for(tmp_path: Path) -> None:
    chance = random.Random(1)
    path = write(tmp_path, block(damaged=DAMAGED), block())
    whole = path.read_bytes()
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(7, len(data))] = chance.choice((0, 255, 0x9F, 0xBF, chance.randrange(256)))
        path.write_bytes(data)
        rows, account = read(path)
        assert account.messages == len(rows)
        assert account.packets == account.parsed + account.malformed.total()


def test_drafts_are_named(tmp_path: Path) -> None:
    assert "a draft" in read(write(tmp_path, block(), version=0))[1].row()["note"]


def test_messages_that_are_not_wanted_are_counted_only(tmp_path: Path) -> None:
    rows, account = read(write(tmp_path, block()), Options(tables=("flow",)))
    assert (rows, account.messages) == ([], 4)


def test_text_columns_as_dictionaries(tmp_path: Path) -> None:
    with Reading(write(tmp_path, block()), Options(repeating=True)) as reading:
        for _, batch in reading:
            assert pa.types.is_dictionary(batch.schema.field("qname").type)
