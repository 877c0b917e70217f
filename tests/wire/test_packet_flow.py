"""Capture indexes, flows, fragments and streams: the kernels against their twins and the RFCs' rules."""

import random
import runpy
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.wire import capture, flow, segments
from dnsonde.wire._kernels import packet_flow, packet_index, packet_stream
from dnsonde.wire.batch import Batch
from dnsonde.wire.packet import PACKET, decode_packets
from dnsonde.wire.segments import Fragments, Packets, Streams

HERE = Path(__file__).parent
twin = SimpleNamespace(**runpy.run_path(str(HERE / "twins" / "packet_flow.py")))
make = SimpleNamespace(**runpy.run_path(str(HERE.parent / "formats" / "capture_files.py")))


def packets_of(raw: list[bytes], *, first: int = 1, time_us: int = 0, step_us: int = 1000) -> Packets:
    batch = Batch.of(raw)
    number = np.arange(first, first + len(raw), dtype=np.int64)
    return Packets(batch, decode_packets(batch, 101), time_us + number * step_us, number)


# --- captures ---------------------------------------------------------------------------------------------------


def compare_pcap(data: bytes, *, big: bool, nano: bool, header: int, most: int) -> None:
    entry = np.zeros(2000, capture.ENTRY)
    octets = np.frombuffer(data, np.uint8)
    count, pos, why = capture.index_pcap(
        octets, len(octets), entry, big=big, nano=nano, header=header, most=most
    )
    rows = [tuple(int(row[f]) for f in ("offset", "length", "original", "time_us")) for row in entry[:count]]
    assert (rows, pos, why.name) == twin.pcap(data, big=big, nano=nano, header=header, most=most)


def damaged_captures(seed: int, count: int) -> list[tuple[bytes, dict[str, Any]]]:
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        order = chance.choice("<>")
        raw = [chance.randbytes(chance.randrange(60)) for _ in range(chance.randrange(8))]
        how = {
            "big": order == ">",
            "nano": chance.random() < 0.5,
            "header": chance.choice((16, 24)),
            "most": 2000,
        }
        data = bytearray(make.pcap(raw, order=order)[24:] + chance.choice((b"", make.pcap(raw))))
        for _ in range(chance.randrange(3)):
            if data:
                data[chance.randrange(len(data))] = chance.choice((0, 255, chance.randrange(256)))
        found.append((bytes(data[: chance.randrange(len(data) + 1)] if chance.random() < 0.5 else data), how))
    return found


def test_pcap_index_equals_its_twin_on_damaged_captures() -> None:
    for data, how in damaged_captures(1, 600):
        compare_pcap(data, **how)


@given(
    st.integers(0, 2**64 - 1),
    st.one_of(st.integers(0, 19), st.integers(0x80, 0x80 + 63)),
    st.integers(-(2**40), 2**40),
)
def test_pcapng_times_are_exact(ticks: int, unit: int, offset: int) -> None:
    want = twin.microseconds(ticks, unit, offset)
    got = packet_index.microseconds(np.uint64(ticks), unit, offset)
    slack = 1 if unit > 0x80 + 43 else 0  # the finest units lose bits that are under a picosecond
    if abs(want) < 2**62:
        assert abs(int(got) - want) <= slack


def compare_snoop(seed: int, count: int) -> None:
    chance = random.Random(seed)
    entry = np.zeros(50, capture.ENTRY)
    for _ in range(count):
        raw = [chance.randbytes(chance.randrange(60)) for _ in range(chance.randrange(8))]
        data = bytearray(make.snoop(raw)[16:])
        for _ in range(chance.randrange(3)):
            if data:
                data[chance.randrange(len(data))] = chance.choice((0, 255, chance.randrange(256)))
        cut = bytes(data[: chance.randrange(len(data) + 1)] if chance.random() < 0.5 else data)
        found, pos, why = capture.index_snoop(np.frombuffer(cut, np.uint8), len(cut), entry, most=2000)
        rows = [
            tuple(int(row[f]) for f in ("offset", "length", "original", "time_us")) for row in entry[:found]
        ]
        assert (rows, pos, why.name) == twin.snoop(cut, most=2000)


def test_snoop_index_equals_its_twin_on_damaged_captures() -> None:
    compare_snoop(1, 600)


def compare_pcapng(seed: int, count: int) -> None:
    """Damaged blocks never make an entry outside of the data."""
    chance = random.Random(seed)
    interfaces = np.zeros(2, capture.INTERFACE)
    interfaces["unit"] = 6
    entry = np.zeros(50, capture.ENTRY)
    for _ in range(count):
        order = chance.choice("<>")
        blocks = [
            chance.choice((
                make.enhanced(chance.randbytes(9), chance.randrange(2**60), order=order, which=chance.randrange(3)),
                make.simple(chance.randbytes(7), order), make.old(chance.randbytes(5), 5, order),
                make.block(order, 5, b"stat"),
            ))
            for _ in range(5)
        ]  # fmt: skip
        data = bytearray(b"".join(blocks))
        for _ in range(chance.randrange(3)):
            data[chance.randrange(len(data))] = chance.choice((0, 255, 4, 12, chance.randrange(256)))
        octets = np.frombuffer(bytes(data), np.uint8)
        stop = chance.randrange(len(data) + 1)
        found, pos, _ = capture.index_pcapng(octets, stop, entry, interfaces, 2, big=order == ">", most=1000)
        assert 0 <= pos <= stop
        assert (entry["offset"][:found] + entry["length"][:found] <= stop).all()
        assert (entry["length"][:found] >= 0).all()


def test_pcapng_entries_stay_inside_the_data() -> None:
    compare_pcapng(1, 500)


# --- flows ------------------------------------------------------------------------------------------------------


def some_traffic(seed: int, count: int) -> list[bytes]:
    chance = random.Random(seed)
    hosts = [bytes([10, 0, 0, n]) for n in range(4)]
    found = []
    for _ in range(count):
        ends = {"src": chance.choice(hosts), "dst": chance.choice(hosts)}
        payload = chance.randbytes(chance.randrange(50))
        seq = int.from_bytes(ends["dst"], "big") if chance.random() < 0.5 else 5
        kind = chance.randrange(5)
        if kind == 0:
            found.append(make.ip4(make.udp(payload), **ends))
        elif kind == 1:
            found.append(make.ip4(make.tcp(payload, seq=seq, flags=chance.randrange(64)), 6, **ends))
        elif kind == 2:
            inside = make.ip4(make.udp(payload), id_=chance.randrange(65536))
            found.append(make.ip4(b"\0\0\x08\0" + inside, 47, **ends))
        elif kind == 3:
            found.append(make.ip4(bytes(64), field=0x2000 | chance.randrange(8), **ends))
        else:
            found.append(chance.randbytes(chance.randrange(30)))
    return found


def compare_flows(seed: int, count: int) -> None:
    have = packets_of(some_traffic(seed, count), step_us=70_000)
    meter = flow.Meter(1_000_000)
    half = count // 2
    parts = [have.take(np.arange(half)), have.take(np.arange(half, count))]
    found = np.concatenate([rows_of(meter, *parts), rows_of(meter)])
    row = have.row
    packets = [{name: int(r[name]) for name in PACKET.names or ()} for r in row]
    payloads = []
    for i, p in enumerate(packets):
        side = "outer_" if p["outer_protocol"] == 47 else "payload_"
        start = p[f"{side}start"]
        payloads.append(have.batch[i][start : start + p[f"{side}length"]] if p["ip_version"] else b"")
    want = twin.flows(packets, have.time_us.tolist(), payloads, 1_000_000)
    assert len(found) == len(want)
    column, payload = flow.flow_columns(found)
    for i, octets in enumerate(payload.to_pylist()):
        r = {name: int(values[i]) for name, values in column.items()}
        ends = tuple(r[name] for name in ("src_net", "src_host", "dst_net", "dst_host"))
        protocol, sport, dport = r["ports"] >> 32, r["ports"] >> 16 & 0xFFFF, r["ports"] & 0xFFFF
        f = want[(*ends, protocol, sport, dport, r["when"])]
        for name in (
            "packets", "bytes", "payload_bytes", "syn", "synack", "ack", "fin", "rst", "push", "mirai_syn",
            "fragments",
        ):  # fmt: skip
            assert r[name] == f[name], name
        assert (r["length_min"], r["length_max"]) == (min(f["sizes"]), max(f["sizes"]))
        assert (r["ttl_min"], r["ttl_max"]) == (min(f["ttls"]), max(f["ttls"]))
        assert (r["start_us"], r["end_us"]) == (min(f["times"]), max(f["times"]))
        assert octets == f["payload"]
        assert all(r[name] == found[name][i] for name in column)


def rows_of(meter: flow.Meter, *parts: Packets) -> Any:
    """What a meter gives for these packets; for none, what is left in it."""
    given = [meter.add(part.batch, part.row, part.time_us) for part in parts] or [meter.finish()]
    rows = [row.copy() for rows in given for row in rows]
    return np.concatenate(rows) if rows else np.empty(0, flow.FLOW)


def test_flows_equal_their_twin() -> None:
    compare_flows(1, 3000)


def test_a_full_table_gives_its_rows_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "ROWS", 64)
    raw = [make.ip4(make.udp(b"", sport=port)) for port in range(1, 501)]
    have = packets_of(raw)
    meter = flow.Meter(60_000_000)
    rows = np.concatenate([rows_of(meter, have), rows_of(meter)])
    assert rows["packets"].sum() == 500
    assert len(np.unique(rows["ports"])) == 500


def test_its_table_grows_with_what_it_holds_and_counts_on() -> None:
    raw = [make.ip4(make.udp(b"", sport=port)) for port in range(1, 20_001)]
    meter = flow.Meter(60_000_000)
    assert not len(rows_of(meter, packets_of(raw), packets_of(raw[::-1], first=20_001)))
    rows = rows_of(meter)
    assert len(rows) == 20_000
    assert set(rows["packets"]) == {2}


def test_gre_keeps_both_identifications() -> None:
    have = packets_of([make.ip4(b"\0\0\x08\0" + make.ip4(make.udp(b"x"), id_=5), 47, id_=1234)])
    meter = flow.Meter(1_000_000)
    assert not len(rows_of(meter, have))
    (row,) = rows_of(meter)
    assert (row["ip_id"], row["inner_id"], row["inner_protocol"], row["ports"] >> 32) == (1234, 5, 17, 47)


# --- fragments --------------------------------------------------------------------------------------------------

WHOLE = make.udp(bytes(range(256)) * 8)


def joined(rounds: list[list[bytes]], **time: int) -> tuple[list[bytes], Fragments]:
    have = Fragments()
    found = []
    for number, raw in enumerate(rounds):
        batch, _, _ = have.add(packets_of(raw, first=1 + 100 * number, **time))
        found += [batch[i][20:] for i in range(len(batch))]
    have.finish()
    return found, have


def test_fragments_in_any_order_make_the_datagram() -> None:
    pieces = make.fragments(WHOLE, 512)
    assert joined([pieces])[0] == [WHOLE]
    assert joined([pieces[::-1]])[0] == [WHOLE]
    assert joined([[piece] for piece in pieces])[0] == [WHOLE]


def test_a_datagram_that_came_again_is_two() -> None:
    pieces = make.fragments(WHOLE, 512)
    assert joined([pieces + pieces])[0] == [WHOLE, WHOLE]


def test_overlapping_fragments_refuse_the_datagram() -> None:
    """RFC 5722."""
    pieces = make.fragments(WHOLE, 512)
    evil = make.ip4(b"evil" * 4, id_=7, field=0x2000 | 63)
    found, have = joined([[*pieces[:2], evil, *pieces[2:]]])
    assert found == []
    assert have.overlapping == len(pieces) + 1


def test_missing_fragments_are_counted_not_kept_for_ever() -> None:
    pieces = make.fragments(WHOLE, 512)
    found, have = joined([pieces[:-1], [make.fragments(WHOLE, 512, id_=8)[0]]], step_us=400_000)
    assert (found, have.unfinished) == ([], len(pieces))


def test_waiting_fragments_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "MOST_FRAGMENTS", 10)
    have = Fragments()
    have.add(packets_of([make.fragments(WHOLE, 512, id_=n)[0] for n in range(50)]))
    assert have.unfinished == 45


def test_ipv6_fragments() -> None:
    """RFC 8200, 4.5: the fragment header goes, the payload length is the whole's."""
    ends = bytes.fromhex("20010db8" + "0" * 22 + "01" + "20010db8" + "0" * 22 + "02")
    raw = []
    for at in range(0, len(WHOLE), 1024):
        more = at + 1024 < len(WHOLE)
        body = struct.pack(">BBHI", 17, 0, at | more, 77) + WHOLE[at : at + 1024]
        raw.append(struct.pack(">IHBB", 0x60000000, len(body), 44, 60) + ends + body)
    batch, _, number = Fragments().add(packets_of(raw))
    row = decode_packets(batch, 101)[0]
    assert (len(batch), row["status"], row["ip_version"], row["payload_length"]) == (1, 0, 6, len(WHOLE) - 8)
    assert number.tolist() == [3]


# --- streams ----------------------------------------------------------------------------------------------------

MESSAGES = [make.dns(f"host-{n}.example.com", id_=n) for n in range(1, 30)]
STREAM = b"".join(struct.pack(">H", len(m)) + m for m in MESSAGES)


def stream(
    pieces: list[tuple[int, bytes]], *, syn: bool = True, isn: int = 0xFFFFFF00, sport: int = 40001
) -> list[bytes]:
    """IP packets of segments given by their place in the stream; the sequence numbers wrap."""
    raw = [make.ip4(make.tcp(b"", seq=isn, flags=2, sport=sport), 6)] if syn else []
    return raw + [make.ip4(make.tcp(p, seq=(isn + 1 + at) % 2**32, sport=sport), 6) for at, p in pieces]


def cut(data: bytes, sizes: list[int]) -> list[tuple[int, bytes]]:
    found, at = [], 0
    for size in sizes:
        if at < len(data):
            found.append((at, data[at : at + size]))
        at += size
    return found + ([(at, data[at:])] if at < len(data) else [])


def read(rounds: list[list[bytes]]) -> list[bytes]:
    streams = Streams()
    found = []
    for number, raw in enumerate(rounds):
        batch, _ = streams.add(packets_of(raw, first=1 + 1000 * number))
        found += [batch[i] for i in range(len(batch))]
    batch, _ = streams.finish()
    return found + [batch[i] for i in range(len(batch))]


@given(st.lists(st.integers(1, 90), max_size=60), st.integers(0, 2**32), st.integers(1, 9))
def test_messages_come_out_however_they_are_cut(sizes: list[int], seed: int, per_round: int) -> None:
    chance = random.Random(seed)
    pieces = cut(STREAM, sizes)
    pieces += chance.sample(pieces, len(pieces) // 3)  # sent again
    chance.shuffle(pieces)
    raw = stream(pieces)
    assert twin.stream_messages(pieces) == MESSAGES
    assert read([raw[at : at + per_round] for at in range(0, len(raw), per_round)]) == MESSAGES


def test_a_stream_without_its_beginning_is_read_from_a_segment_that_fits() -> None:
    pieces = cut(STREAM, [2 + len(m) for m in MESSAGES])
    assert read([stream(pieces[3:], syn=False)]) == MESSAGES[3:]


def test_after_a_hole_reading_goes_on_at_the_next_message() -> None:
    pieces = cut(STREAM, [2 + len(m) for m in MESSAGES])
    assert read([stream(pieces[:5] + pieces[8:])]) == MESSAGES[:5] + MESSAGES[8:]


@pytest.mark.parametrize("before", [0, 1, 5])
def test_a_stream_that_is_no_dns_any_more_is_told_once(before: int) -> None:
    pieces = cut(STREAM, [2 + len(m) for m in MESSAGES])[:before]
    at = sum(len(piece) for _, piece in pieces)
    other = b"\0\1x" + b"no DNS of any kind, "
    pieces += [(at + n * len(other), other) for n in range(4)]
    streams = Streams()
    batch, _ = streams.add(packets_of(stream(pieces)))
    streams.finish()
    assert (len(batch), streams.lost) == (before, 1)


def test_two_connections_do_not_mix() -> None:
    one, two = (stream(cut(STREAM, [50] * 40), sport=port) for port in (1000, 2000))
    mixed = [packet for pair in zip(one, two, strict=True) for packet in pair]
    assert sorted(read([mixed])) == sorted(MESSAGES * 2)


def test_a_new_syn_begins_anew() -> None:
    first = stream(cut(STREAM, [100]), isn=5)
    assert read([first[:2] + stream(cut(STREAM, [70] * 40), isn=9_000_000)]) == [
        MESSAGES[0],
        MESSAGES[1],
        *MESSAGES,
    ]


def unfinished(count: int, first: int = 1) -> list[bytes]:
    """Connections that each announce a long message, and send 14 octets of it."""
    begun = struct.pack(">H", 65535) + MESSAGES[0][:12]
    return [packet for n in range(count) for packet in stream([(0, begun)], sport=first + n)]


def test_what_waits_of_streams_is_bounded_in_octets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "MOST_OCTETS", 54 * 40)
    streams = Streams()
    streams.add(packets_of(unfinished(100)))
    assert (len(streams._waiting), streams.lost) == (20, 80)  # the newest ones
    streams.add(packets_of(stream([(14, MESSAGES[0][12:])], sport=100), first=1000))
    assert len(streams._waiting) == 21


def test_what_waits_of_streams_is_bounded_in_age() -> None:
    streams = Streams()
    streams.add(packets_of(unfinished(10)))
    assert len(streams._waiting) == 10
    late = packets_of(unfinished(3, first=500), first=1000)
    late.time_us += 60_000_000
    streams.add(late)
    assert (len(streams._waiting), streams.lost) == (3, 10)


def compare_streams(seed: int, count: int) -> None:
    """Garbage on a DNS port never makes a message outside of its octets."""
    chance = random.Random(seed)
    for _ in range(count):
        raw = []
        for _ in range(30):
            seq = chance.choice((1, 5, 40, chance.randrange(2**32)))
            flags, port = chance.choice((2, 16, 24)), chance.randrange(3)
            body = make.tcp(chance.randbytes(chance.randrange(80)), seq=seq, flags=flags, sport=port)
            raw.append(make.ip4(body, 6))
        streams = Streams()
        for at in (0, 10, 20):
            batch, last = streams.add(packets_of(raw[at : at + 10], first=at))
            assert len(batch) == len(last)
            assert (batch.offset + batch.length <= len(batch.data)).all()
        streams.finish()


def test_garbage_on_a_dns_port() -> None:
    compare_streams(1, 60)


def test_no_octet_outside_is_touched(checked: dict[str, str]) -> None:
    code = f"""
import runpy
t = runpy.run_path({str(Path(__file__))!r})
for data, how in t["damaged_captures"](5, 100):
    t["compare_pcap"](data, **how)
t["compare_pcapng"](5, 200)
t["compare_snoop"](5, 200)
t["compare_flows"](5, 500)
t["compare_streams"](5, 30)
t["test_fragments_in_any_order_make_the_datagram"]()
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=checked, timeout=300)


def test_one_signature_each() -> None:
    for facade in (capture, flow, segments):
        facade.warm()
    compare_flows(9, 50)
    compare_streams(9, 2)
    compare_pcapng(9, 5)
    compare_snoop(9, 5)
    read([stream(cut(STREAM, [50]))])
    joined([make.fragments(WHOLE, 512)])
    for kernel in (
        packet_index.pcap, packet_index.pcapng, packet_index.snoop, packet_flow.meter, packet_flow.place,
        packet_flow.turn, packet_stream.follow, packet_stream.assemble,
    ):  # fmt: skip
        assert len(kernel.signatures) == 1, kernel
