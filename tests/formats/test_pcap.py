"""Captures of every make: order of octets, resolution, sections, compression, cuts and damage."""

import bz2
import gzip
import io
import json
import lzma
import os
import runpy
import struct
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lz4.frame  # type: ignore[import-untyped]
import numpy as np
import pyarrow as pa
import pytest
import zstandard

from dnsonde.clock import LAST_US
from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.formats import pcap as module
from dnsonde.formats._contract import Account, Options
from dnsonde.formats._reading import Reading, formats
from dnsonde.formats._stream import PIECE, Stream
from dnsonde.table.schema import ACCOUNT, FLOW, MESSAGE
from dnsonde.wire.batch import address_text
from dnsonde.wire.packet import options_hash

make = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("capture_files.py"))))

QUERY = make.ip4(make.udp(make.dns(id_=7)))
ANSWER = make.ip4(make.udp(make.dns(id_=7, response=True), 53, 40000), src=make.B, dst=make.A)
PACKETS = [QUERY, ANSWER, make.ip4(make.tcp(b"GET /", seq=1, dport=80), 6), b"\x99garbage"]

COMPRESS = {
    "": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": lambda data: bz2.compress(data, 1),
    "xz": lzma.compress,
    "zstd": zstandard.compress,
    "lz4": lz4.frame.compress,
}


def read(path: Path | str, options: Options | None = None) -> tuple[dict[str, pa.Table], Account]:
    reading = Reading(path, options)
    found: dict[str, list[pa.RecordBatch]] = {"message": [], "flow": []}
    for table, batch in reading:
        batch.validate(full=True)
        found[table].append(batch)
    schemas = {"message": MESSAGE.schema, "flow": FLOW.schema}
    return {name: pa.Table.from_batches(found[name], schemas[name]) for name in found}, reading.account


def write(folder: Path, data: bytes, name: str = "capture") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def content_hash(path: Path) -> str:
    with Stream(path) as stream:
        return stream.content_hash


def rows(table: pa.Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_pylist()
    return found


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_both_orders_and_both_resolutions(tmp_path: Path, order: str, nano: bool) -> None:
    tables, account = read(write(tmp_path, make.pcap(PACKETS, order=order, nano=nano)))
    query, answer = rows(tables["message"])
    assert (query["time_us"], answer["time_us"]) == (make.START * 1_000_000, make.START * 1_000_000 + 1000)
    assert (query["qname"], query["id"], query["response"], answer["response"]) == (
        "www.example.com",
        7,
        False,
        True,
    )
    assert address_text(query["src_net"], query["src_host"]) == "192.0.2.1"
    assert address_text(answer["answer_net"], answer["answer_host"]) == "192.0.2.99"
    assert (query["registered_domain"], query["ip_ttl"], query["ip_id"], query["packet"]) == (
        "example.com",
        61,
        99,
        1,
    )
    assert (query["rcode"], answer["rcode"], answer["ttl_min"]) == (None, 0, 60)
    assert (account.packets, account.parsed, account.messages) == (4, 3, 2)
    assert dict(account.malformed) == {"bad_version": 1}


def test_the_account_is_a_row_of_its_table(tmp_path: Path) -> None:
    _, account = read(write(tmp_path, make.pcap(PACKETS)))
    row = account.row()
    assert list(row) == [c.name for c in ACCOUNT.columns]
    assert row["packets"] == row["parsed"] + row["ignored"] + row["malformed"]
    assert json.loads(row["reasons"]) == {"bad_version": 1}
    pa.Table.from_pylist([row], schema=ACCOUNT.schema)


@pytest.mark.parametrize("kind", COMPRESS)
def test_compressed_files_are_told_by_their_first_octets(tmp_path: Path, kind: str) -> None:
    _, account = read(write(tmp_path, COMPRESS[kind](make.pcap(PACKETS))))
    assert (account.packets, account.messages, account.notes) == (4, 2, [])


@pytest.mark.parametrize("kind", [k for k in COMPRESS if k])
def test_concatenated_members_are_one_file(tmp_path: Path, kind: str) -> None:
    data = make.pcap(PACKETS * 100)
    parts = COMPRESS[kind](data[:3000]) + COMPRESS[kind](data[3000:])
    _, account = read(write(tmp_path, parts))
    assert (account.packets, account.notes) == (400, [])


def test_captures_joined_with_cat_are_read_on(tmp_path: Path) -> None:
    parts = gzip.compress(make.pcap(PACKETS)) + gzip.compress(make.pcap(PACKETS, order=">", nano=True))
    tables, account = read(write(tmp_path, parts))
    assert (account.packets, account.messages, account.notes) == (8, 4, [])
    assert tables["message"]["packet"].to_pylist() == [1, 2, 5, 6]


@pytest.mark.parametrize("before", [[], PACKETS * (module.PACKETS // len(PACKETS))])
def test_a_joined_capture_may_begin_where_a_chunk_does(tmp_path: Path, before: list[bytes]) -> None:
    _, account = read(write(tmp_path, make.pcap(before) + make.pcap([]) + make.pcap(PACKETS)))
    assert (account.packets, account.notes) == (len(before) + len(PACKETS), [])


@pytest.mark.parametrize("cut", range(1, 7))
def test_a_member_may_begin_where_a_read_ends(tmp_path: Path, cut: int) -> None:
    first = gzip.compress(make.pcap(PACKETS))
    comment = b"c" * (PIECE - cut - len(first) - 1) + b"\0"  # RFC 1952, 2.3
    padded = first[:3] + b"\x10" + first[4:10] + comment + first[10:]
    assert len(padded) == PIECE - cut
    _, account = read(write(tmp_path, padded + gzip.compress(make.pcap(PACKETS))))
    assert (account.packets, account.notes) == (8, [])


SKIPPED = b"\x5a\x2a\x4d\x18" + struct.pack("<I", PIECE + 5) + bytes(PIECE + 5)  # RFC 8878, 3.1.2


@pytest.mark.parametrize(
    ("kind", "between"), [("xz", bytes(4)), ("gzip", bytes(512)), ("zstd", SKIPPED), ("lz4", 2 * SKIPPED)]
)
def test_padding_and_frames_to_be_skipped_end_nothing(tmp_path: Path, kind: str, between: bytes) -> None:
    one, other = COMPRESS[kind](make.pcap(PACKETS)), COMPRESS[kind](make.pcap(PACKETS))
    _, account = read(write(tmp_path, one + between + other + between))
    assert (account.packets, account.notes) == (8, [])
    short = SKIPPED[:4] + struct.pack("<I", 3) + b"abc"
    if kind in {"zstd", "lz4"}:
        _, account = read(write(tmp_path, short + one))
        assert (account.packets, account.notes) == (4, [])
        _, account = read(write(tmp_path, one + short[:-1]))
        assert (account.packets, account.notes) == (4, [f"the {kind} data is cut short"])


@pytest.mark.parametrize("kind", COMPRESS)
def test_what_stands_before_a_cut_is_read(tmp_path: Path, kind: str) -> None:
    chance = np.random.default_rng(1)
    noise = [make.ip4(make.udp(chance.bytes(200), dport=9)) for _ in range(4000)]
    data = COMPRESS[kind](make.pcap(noise))
    _, account = read(write(tmp_path, data[: len(data) // 2]))
    assert 500 < account.packets < 2500
    assert "cut short" in account.row()["note"]


def test_damaged_compression_is_noted(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(np.random.default_rng(1).bytes(5000) + make.pcap(PACKETS)))
    data[-3000:-2900] = bytes(100)
    with Stream(write(tmp_path, bytes(data))) as stream:
        while stream.read(100_000):
            pass
        assert "damaged" in stream.damage


def test_a_gzip_bomb_is_read_in_bounded_pieces(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with Stream(write(tmp_path, bomb)) as stream:
        stream.read(1)
        assert len(stream._given) <= 2 * PIECE


def test_a_record_that_cannot_be_ends_the_reading(tmp_path: Path) -> None:
    data = bytearray(make.pcap([QUERY, QUERY, QUERY]))
    second = 24 + 16 + len(QUERY)
    data[second + 8 : second + 12] = b"\xff\xff\xff\x7f"
    _, account = read(write(tmp_path, bytes(data)))
    assert account.packets == 1
    assert f"damaged at octet {second:,}" in account.row()["note"]


@pytest.mark.parametrize("size", [4, 23, 24, 30, 60])
def test_a_capture_cut_in_its_headers(tmp_path: Path, size: int) -> None:
    _, account = read(write(tmp_path, make.pcap(PACKETS)[:size]))
    assert account.packets == 0
    assert (account.notes == []) == (size == 24)


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_blocks_sections_and_interfaces(tmp_path: Path, order: str) -> None:
    micros = make.START * 1_000_000
    data = (
        make.section(order)
        + make.interface(order)
        + make.interface(order, linktype=1, unit=9, offset=-100)
        + make.interface(order, unit=0x80 | 20)
        + make.enhanced(QUERY, micros + 5, order=order)
        + make.enhanced(make.ether(QUERY), micros * 1000 + 7999, order=order, which=1)
        + make.enhanced(QUERY, make.START << 20 | 1 << 19, order=order, which=2)
        + make.block(order, 5, b"statistics..")
        + make.old(QUERY, micros + 9, order)
        + make.section("<")
        + make.interface("<")
        + make.simple(QUERY)
    )
    tables, account = read(write(tmp_path, data))
    times = tables["message"]["time_us"].to_pylist()
    assert times == [micros + 5, micros + 7 - 100_000_000, micros + 500_000, micros + 9, 0]
    assert (account.packets, account.notes) == (5, [])


def test_pcapng_with_many_interfaces(tmp_path: Path) -> None:
    data = make.section() + make.interface() * 500 + make.enhanced(QUERY, 5, which=499)
    assert read(write(tmp_path, data))[1].messages == 1


@pytest.mark.parametrize(
    "wrong",
    [
        make.enhanced(QUERY, 5, which=9),
        make.block("<", 6, bytes(8)),
        b"\x06\0\0\0\x0d\0\0\0" + bytes(20),
        make.enhanced(QUERY, 5)[:-4] + b"\x10\0\0\0",
        make.block("<", 0x0A0D0D0A, b"nobyteorder" + bytes(9)),
    ],
)
def test_damaged_pcapng_is_read_to_its_damage(tmp_path: Path, wrong: bytes) -> None:
    data = make.section() + make.interface() + make.enhanced(QUERY, 5)
    _, account = read(write(tmp_path, data + wrong + make.enhanced(QUERY, 6)))
    assert account.packets == 1
    assert f"damaged at octet {len(data):,}" in account.row()["note"]


def test_an_option_that_its_block_cuts_is_passed_over(tmp_path: Path) -> None:
    announced = struct.pack("<HHIHH", 1, 0, 0, 14, 8)  # an offset of eight octets, and none of them there
    data = make.section() + make.block("<", 1, announced) + make.enhanced(make.ether(QUERY), 5)
    tables, account = read(write(tmp_path, data))
    assert tables["message"]["time_us"].to_pylist() == [5]
    assert account.notes == []


def test_times_that_no_calendar_has_become_the_nearest_that_it_has(tmp_path: Path) -> None:
    ticks = (1 << 63) - 1, (1 << 64) - 1, 5  # the second is negative
    packets = b"".join(make.enhanced(QUERY, time) for time in ticks)
    tables, account = read(write(tmp_path, make.section() + make.interface() + packets))
    assert tables["message"]["time_us"].to_pylist() == [LAST_US, 0, 5]
    assert (account.first_us, account.last_us) == (0, LAST_US)
    assert account.notes == ["some of its times cannot be, and were taken for the nearest of 1970 to 9999"]


def test_snoop_captures(tmp_path: Path) -> None:
    tables, account = read(write(tmp_path, make.snoop([make.ether(p) for p in PACKETS])))
    assert tables["message"]["qname"].to_pylist() == ["www.example.com"] * 2
    assert tables["message"]["time_us"].to_pylist()[1] == make.START * 1_000_000 + 1000
    assert (account.format, account.packets, account.parsed, account.notes) == ("snoop", 4, 3, [])
    _, account = read(write(tmp_path, make.snoop(PACKETS, datalink=2)))
    assert dict(account.ignored) == {"unknown_link": 4}


def test_a_snoop_capture_cut_or_of_another_version(tmp_path: Path) -> None:
    data = make.snoop([make.ether(QUERY)] * 3)
    _, account = read(write(tmp_path, data[:-5]))
    assert account.packets == 2
    assert "cut short" in account.row()["note"]
    _, account = read(write(tmp_path, data[:11] + b"\x03" + data[12:]))
    assert "version 3 of snoop" in account.row()["note"]


def test_chunks_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 1 << 11)
    monkeypatch.setattr(module, "PACKETS", 5)
    monkeypatch.setattr(module, "LONGEST", 1 << 9)
    tables, account = read(write(tmp_path, make.pcap([QUERY, ANSWER] * 300)))
    assert (account.packets, account.messages, account.notes) == (600, 600, [])
    assert tables["message"]["packet"].to_pylist() == list(range(1, 601))
    assert sum(tables["flow"]["packets"].to_pylist()) == 600


def test_a_chunk_stays_as_it_is_while_the_next_is_sought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also through more octets than a buffer has, with no packet in them."""
    monkeypatch.setattr(module, "CHUNK", 1 << 11)
    statistics = make.block("<", 5, bytes(200)) * 50
    data = make.section() + make.interface() + make.enhanced(QUERY, 1) + statistics + make.enhanced(ANSWER, 2)
    with Stream(write(tmp_path, data)) as stream:
        found = module.chunks(stream, Account("", "", ""), module._Pcapng())
        first = next(found)
        second = next(found)
        assert (first.batch[0], second.batch[0]) == (QUERY, ANSWER)


def test_fragments_and_tcp_become_messages(tmp_path: Path) -> None:
    big = make.dns("big.example.com", response=True, pad=200) * 1
    pieces = make.fragments(make.udp(big, 53, 4000), 64)
    first, second = make.dns("one.example.com"), make.dns("two.example.com")
    stream = b"".join(len(m).to_bytes(2, "big") + m for m in (first, second))
    segments = [make.ip4(make.tcp(stream[at : at + 20], seq=100 + at), 6) for at in range(0, len(stream), 20)]
    tables, account = read(write(tmp_path, make.pcap(pieces[::-1] + segments[::-1])))
    assert tables["message"]["transport"].to_pylist() == ["udp", "tcp", "tcp"]
    assert tables["message"]["qname"].to_pylist() == ["big.example.com", "one.example.com", "two.example.com"]
    assert tables["message"]["status"].to_pylist() == [0, 0, 0]
    assert tables["message"]["dns_bytes"].to_pylist()[0] == len(big)
    assert (account.packets, account.parsed) == (len(pieces) + len(segments),) * 2


def test_unfinished_fragments_are_malformed_packets(tmp_path: Path) -> None:
    pieces = make.fragments(make.udp(bytes(500)), 64)
    _, account = read(write(tmp_path, make.pcap(pieces[1:])))
    assert (account.parsed, dict(account.malformed)) == (0, {"unfinished": len(pieces) - 1})


def test_a_first_fragment_that_the_capture_cut_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    first, second = make.fragments(make.udp(make.dns(response=True, pad=200), 53, 4000), 128)[:2]
    data = make.pcap([first[:100], second])
    table = read(write(tmp_path, data))[0]["message"]
    assert (table["qname"].to_pylist(), table["response"].to_pylist()) == (["www.example.com"], [True])
    assert table["status"].to_pylist() != [0]


def test_mdns_is_told_apart_and_other_ports_are_the_operators(tmp_path: Path) -> None:
    raw = [make.ip4(make.udp(make.dns(), dport=port)) for port in (53, 5353, 5355, 5300)]
    path = write(tmp_path, make.pcap(raw))
    assert read(path)[0]["message"]["transport"].to_pylist() == ["udp", "mdns"]
    resolver = write(tmp_path, make.pcap([make.ip4(make.udp(make.dns(), 5353, 53))]), "r.pcap")
    assert read(resolver)[0]["message"]["transport"].to_pylist() == ["udp"]  # by chance from that port
    tables, _ = read(path, Options(ports=(5300,), mdns_ports=()))
    assert tables["message"]["dst_port"].to_pylist() == [5300]


def test_malformed_messages_are_rows(tmp_path: Path) -> None:
    raw = [make.ip4(make.udp(make.dns()[:20])), make.ip4(make.udp(b"short"))]
    table = read(write(tmp_path, make.pcap(raw)))[0]["message"]
    assert [status > 0 for status in table["status"].to_pylist()] == [True, True]
    assert table["id"].to_pylist() == [1, None]


def test_flows_count_what_a_scan_looks_like(tmp_path: Path) -> None:
    """Mirai's SYN: the sequence number is the destination's address."""
    options = bytes.fromhex("020405b40101040201030308")
    syn = make.tcp(b"", seq=int.from_bytes(make.B, "big"), flags=2, dport=23)
    syn = syn[:12] + b"\x80" + syn[13:] + options
    (row,) = rows(read(write(tmp_path, make.pcap([make.ip4(syn, 6)] * 3)))[0]["flow"])
    assert (row["packets"], row["syn"], row["mirai_syn"], row["dst_port"], row["window"]) == (
        3,
        3,
        3,
        23,
        1024,
    )
    assert row["options"] == options_hash(options)
    assert (row["length_min"], row["length_mean"], row["payload"], row["inner_id"]) == (52, 52.0, b"", None)


def test_a_flow_has_a_row_a_window(tmp_path: Path) -> None:
    path = write(tmp_path, make.pcap([QUERY] * 10, step_us=500_000))
    assert len(read(path, Options(window_s=1))[0]["flow"]) == 5
    assert len(read(path, Options(window_s=3600))[0]["flow"]) in (1, 2)


def test_only_what_is_wanted_is_made(tmp_path: Path) -> None:
    tables, _ = read(write(tmp_path, make.pcap(PACKETS)), Options(tables=("flow",)))
    assert (len(tables["message"]), len(tables["flow"])) == (0, 3)


@pytest.mark.parametrize("kind", ["", "gzip"])
def test_a_file_that_grows_is_read_as_it_was_opened(tmp_path: Path, kind: str) -> None:
    """So that its hash is of what was read; the whole is another file."""
    chance = np.random.default_rng(1)
    noise = make.pcap([make.ip4(make.udp(chance.bytes(1200), dport=9)) for _ in range(1500)])
    path = write(tmp_path, COMPRESS[kind](noise))
    reading = Reading(path)
    with path.open("ab") as file:
        file.write(COMPRESS[kind](make.pcap(PACKETS)))
    for _ in reading:
        pass
    assert (reading.account.packets, reading.account.bytes) == (1500, reading.size)
    assert "the file grew while it was read" in reading.account.row()["note"]
    assert read(path)[1].packets == 1504


@pytest.mark.parametrize("kind", ["", "gzip"])
def test_a_file_that_becomes_shorter_says_so(tmp_path: Path, kind: str) -> None:
    chance = np.random.default_rng(1)
    noise = make.pcap([make.ip4(make.udp(chance.bytes(1200), dport=9)) for _ in range(1500)])
    path = write(tmp_path, COMPRESS[kind](noise))
    reading = Reading(path)
    os.truncate(path, reading.size // 2)
    for _ in reading:
        pass
    assert 500 < reading.account.packets < 1000
    assert reading.account.bytes == reading.size // 2
    said = f"the file became shorter while it was read: {reading.size // 2:,} of its {reading.size:,} octets were read"
    assert said in reading.account.row()["note"]


def test_a_file_that_cannot_be_read_to_its_end_is_none_of_its_content(tmp_path: Path) -> None:
    path = write(tmp_path, make.pcap([make.ip4(make.udp(bytes(1200), dport=9)) for _ in range(1500)]))
    with Reading(path) as reading:
        assert reading.account.file  # the hash, while all of it can be read
        folder = os.open(tmp_path, os.O_RDONLY)  # of which nothing can be read
        os.dup2(folder, reading.stream._file.fileno())
        os.close(folder)
        for _ in reading:
            pass
    assert reading.stream.short
    assert 0 < reading.account.bytes == reading.consumed < reading.size
    assert "reading stopped after" in reading.account.row()["note"]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(gzip.compress(make.pcap(PACKETS)))))
    _, account = read("-")
    assert (account.packets, account.path, bool(account.file)) == (4, "-", True)


def test_standard_input_that_is_closed_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SystemRefusal, match="standard input is closed"):
        Reading("-")


def test_the_same_content_has_the_same_key(tmp_path: Path) -> None:
    one, two = write(tmp_path, make.pcap(PACKETS), "a"), write(tmp_path, make.pcap(PACKETS), "b")
    other = write(tmp_path, make.pcap(PACKETS[:3]), "c")
    keys = [content_hash(path) for path in (one, two, other)]
    assert keys[0] == keys[1] != keys[2]


def test_long_files_that_differ_anywhere_are_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dnsonde.formats import _stream

    monkeypatch.setattr(_stream, "SAMPLE", 8)
    data = bytearray(np.random.default_rng(1).bytes(8 * 1000 + 3))
    key = content_hash(write(tmp_path, bytes(data)))
    for at in (0, 12, len(data) // 2, len(data) - 1):  # in a sample, between two, in the last one
        changed = bytearray(data)
        changed[at] ^= 1
        assert content_hash(write(tmp_path, bytes(changed))) != key
    assert content_hash(write(tmp_path, bytes(data) + b"x")) != key


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(SystemRefusal, match="is a folder"):
        Reading(tmp_path)
    with pytest.raises(SystemRefusal, match="No such file"):
        Reading(tmp_path / "missing")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty file"),
        (b"%PDF-1.7", "a PDF document"),
        (b"PK\x03\x04....", "zip archive; unpack it first"),
        (b"\x0c\xa5\x09\0" + bytes(300), "nfdump file of another layout"),
        (b'{"ts": 1.5, "uid": "C1", "id.orig_h": "::1", "method": "GET"}\n', "a Zeek log as JSON"),
        (b"\n  \nhello world\n", "text that begins 'hello world'"),
        (b"hello world\n", "text that begins 'hello world'"),
        (bytes(range(200, 256)), "binary data that begins c8 c9"),
        (gzip.compress(b"hello\n", mtime=0), "text that begins 'hello'"),
    ],
)
def test_an_unknown_file_is_told_what_it_looks_like(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Reading(write(tmp_path, data))


def test_every_format_says_what_it_is() -> None:
    for kind in formats().values():
        assert kind.title
        assert set(kind.tables) <= {"message", "flow"}
        assert kind.sniff(b"") == 0


def test_what_a_snap_length_cut_is_counted_as_its_headers_state_it(tmp_path: Path) -> None:
    """Of UDP the whole payload; of TCP what is there, and nothing where its header is cut."""
    answer = make.ip4(make.udp(bytes(1000), 11211, 4000))
    options = bytes.fromhex("020405b40402080a00000001000000000103030a")
    syn = make.tcp(b"", seq=1, flags=2, dport=80)
    syn = make.ip4(syn[:12] + b"\xa0" + syn[13:] + options, 6)
    udp, tcp = rows(read(write(tmp_path, make.pcap([answer[:64], syn[:50]])))[0]["flow"])
    assert (udp["bytes"], udp["payload_bytes"], len(udp["payload"])) == (1028, 1000, 32)
    assert (tcp["bytes"], tcp["payload_bytes"], tcp["syn"], tcp["payload"]) == (60, 0, 1, b"")


def test_a_link_layer_address_of_zeros_is_none(tmp_path: Path) -> None:
    frame = make.ether(make.ip4(make.udp(make.dns())))
    for source, told in ((frame[6:12], 0x02_00_00_00_00_01), (bytes(6), None)):
        data = make.pcap([frame[:6] + source + frame[12:]], linktype=1)
        tables, _ = read(write(tmp_path, data))
        assert [tables[name]["src_mac"].to_pylist() for name in ("message", "flow")] == [[told], [told]]


def test_a_capture_that_is_left_early_leaves_no_thread_behind(tmp_path: Path) -> None:
    path = write(tmp_path, make.pcap([QUERY] * 200_000))
    with Reading(path) as reading:
        rows = iter(reading)
        next(rows)
        rows.close()  # type: ignore[attr-defined]
    assert not [one for one in threading.enumerate() if one.name.startswith("decode")]
