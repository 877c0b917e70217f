"""Columns: equal to what rows say (`decode`, `packet`), on messages whole, damaged, and asked again and again."""

import random
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.wire import columns, decode, text
from dnsonde.wire._arrays import frozen
from dnsonde.wire._kernels import message_columns as messages
from dnsonde.wire._kernels import packet_columns as packets
from dnsonde.wire._kernels.answers import SCRATCH
from dnsonde.wire._keys import KEYS
from dnsonde.wire.batch import Batch
from dnsonde.wire.codes import Flag, PacketStatus
from dnsonde.wire.columns import BITS, NUMBERS, Sorter, message_columns
from dnsonde.wire.message import MESSAGE
from dnsonde.wire.packet import PACKET

cases = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("test_decode.py"))))

FLAGS = {"aa": Flag.AA, "tc": Flag.TC, "rd": Flag.RD, "ra": Flag.RA, "ad": Flag.AD, "cd": Flag.CD}


def twin(batch: Batch) -> dict[str, list[Any]]:
    """The columns, from rows, one after another."""
    rows = decode.decode_messages(batch)
    found: dict[str, list[Any]] = {name: [] for name in [*NUMBERS, *BITS, "qname", "nsid"]}
    for item, row in zip((batch[i] for i in range(len(batch))), rows, strict=True):
        flags, headed = int(row["flags"]), len(item) >= 12
        response = bool(flags & Flag.QR)
        edns, ecs = row["edns_version"] >= 0, row["ecs_family"] > 0
        asked, answered = row["qname_length"] > 0, row["address_count"] > 0
        nsid = item[row["nsid_start"] : row["nsid_start"] + row["nsid_length"]]
        told = {
            **{name: bool(flags & bit) for name, bit in FLAGS.items()},
            **{n: int(row[n]) for n in ("status", "opcode", "qdcount", "ancount", "nscount", "arcount")},
            "response": response,
            "id": int(row["id"]) if headed else None,
            "rcode": int(row["rcode"]) if headed and response else None,
            "mixed_case": bool(row["mixed_case"]),
            "qtype": int(row["qtype"]) if asked else None,
            "qclass": int(row["qclass"]) if asked else None,
            "edns_size": int(row["edns_size"]) if edns else None,
            "edns_do": bool(row["edns_flags"] & 0x8000) if edns else None,
            "ecs_net": int(row["ecs"]["net"]) if ecs else None,
            "ecs_host": int(row["ecs"]["host"]) if ecs else None,
            "ecs_source": int(row["ecs_source"]) if ecs else None,
            "cookie": bool(row["cookie_length"] > 0),
            "ede": int(row["ede"]) if row["ede"] >= 0 else None,
            "answers": int(row["address_count"]),
            "answer_net": int(row["address_net"][0]) if answered else None,
            "answer_host": int(row["address_host"][0]) if answered else None,
            "answer_hash": int(row["answer_hash"]),
            "ttl_min": int(row["ttl_min"]) if row["ttl_min"] >= 0 else None,
            "nsid": text.octet_text(Batch.of([nsid]), np.zeros(1, int), np.array([len(nsid)]))[0].as_py()
            or None,
        }
        for name, value in told.items():
            found[name].append(value)
    found["qname"] = text.name_text(batch, rows, lower=True).to_pylist()
    return found


def compare(items: list[bytes]) -> columns.MessageColumns:
    batch = Batch.of(items)
    told = message_columns(batch)
    expected = twin(batch)
    assert [told.name[i].as_py() for i in told.index.tolist()] == expected.pop("qname")
    assert told.column.keys() == expected.keys()
    for name, column in told.column.items():
        column.validate(full=True)
        assert column.to_pylist() == expected[name], name
    assert len(set(told.name.to_pylist())) == len(told.name), "a name twice"
    return told


def test_columns_say_what_rows_say() -> None:
    compare(list(cases.SAMPLES.values()))
    compare(cases.damaged(5, 400))


def test_no_messages_make_no_columns() -> None:
    told = message_columns(Batch.of([]))
    assert {len(column) for column in told.column.values()} == {0}
    assert told.name.to_pylist() == [""]


@given(st.lists(st.binary(max_size=64), max_size=40))
def test_columns_of_anything_say_what_rows_say(items: list[bytes]) -> None:
    compare(items)


def question(name: bytes, *, tail: bytes = b"\0\x01\0\x01") -> bytes:
    return bytes(4) + b"\0\x01" + bytes(6) + name + tail


def test_a_name_is_one_name_in_any_case() -> None:
    """Cases differ, and so do octets next to the letters that must not be taken for letters."""
    labels = [
        b"abcdefgh",
        b"ABCDEFGH",
        b"AbCdEfGh",
        b"ab@[`{gh",
        b"AB`{@[GH",
        b"\xc1\xe1cdefgh",
        b"a",
        b"A",
        b"@",
        b"`",
    ]
    told = compare([question(bytes([len(x)]) + x + b"\0") for x in labels])
    assert told.index[:3].tolist() == [1, 1, 1]
    assert told.index[6] == told.index[7]
    assert len(told.name) == 1 + 7
    assert told.column["mixed_case"].to_pylist()[:3] == [False, False, True]


@pytest.mark.parametrize("octets", range(1, 40))
def test_names_of_every_length_are_told_apart_by_any_octet(octets: int) -> None:
    chance = random.Random(octets)
    name = bytes([octets]) + bytes(chance.choice(b"abcxyzABC019-_") for _ in range(octets)) + b"\0"
    others = [
        name[:at] + bytes([name[at] ^ flip]) + name[at + 1 :]
        for at in range(1, octets + 1)
        for flip in (1, 32, 128)
    ]
    compare([question(x) for x in [name, *others, name.upper(), name]])


def test_nobody_can_foresee_which_names_collide() -> None:
    """Names that a hash without a key gives one place, by reckoning it backwards: a table of them would be a list."""
    whole, prime = (1 << 64) - 1, 0x9E3779B97F4A7C15
    names = []
    for number in range(64):
        first = b"\x0f" + b"%07d" % number
        state = (17 * prime) & whole
        state = ((state ^ int.from_bytes(first, "little")) * prime) & whole
        state ^= state >> 32
        second = (0x1234567890ABCDEF * pow(prime, -1, 1 << 64)) & whole ^ state
        names.append(first + second.to_bytes(8, "little") + b"\0")
    assert len(compare([question(name) for name in names]).name) == 65
    assert len(set(by_kernel(Batch.of([question(name) for name in names])).names[1:, 2].tolist())) == 64


def test_names_are_as_many_as_messages() -> None:
    """The table of names is made for the worst."""
    told = compare([question(b"\x03%03d\0" % number) for number in range(300)])
    assert len(told.name) == 301


def by_kernel(batch: Batch) -> SimpleNamespace:
    """What the kernel writes into arrays of just the size that it asks for."""
    count = len(batch)
    wide, narrow, small = (
        np.zeros((6, count), np.int64),
        np.zeros((13, count), np.int32),
        np.zeros((3, count), np.int16),
    )
    mark = np.zeros(-(-count // 8) * 8, np.uint32)
    index = np.zeros(count, np.int32)
    names = np.zeros((count + 1, 3), np.int64)
    found = messages.message_columns(
        frozen(batch.data, np.uint8), frozen(batch.offset, np.int64), frozen(batch.length, np.int32),
        KEYS, np.zeros(2, MESSAGE), np.empty(SCRATCH, np.uint8), np.zeros(1 << (2 * count + 1).bit_length(), np.int32),
        names, index, wide, narrow, small, mark,
    )  # fmt: skip
    return SimpleNamespace(found=found, names=names, index=index, small=small, mark=mark)


def test_nothing_is_read_or_written_outside() -> None:
    """`test_bounds` runs this with bounds checking on."""
    batch = Batch.of([*cases.SAMPLES.values(), question(b"\x01a\0"), question(b"\0")])
    got = by_kernel(batch)
    bits = np.zeros((8 * messages.LANES, len(got.mark) // 8), np.uint8)
    messages.spread_bits(got.mark, bits)
    told = message_columns(batch)
    assert got.found == len(told.name)
    assert got.index.tolist() == told.index.tolist()
    assert got.small[messages.STATUS].tolist() == told.column["status"].to_pylist()
    for bit in range(8 * messages.LANES):
        assert np.unpackbits(bits[bit], bitorder="little").tolist() == (got.mark >> bit & 1).tolist()


def some_packets(seed: int, count: int) -> np.ndarray[Any, Any]:
    chance = np.random.default_rng(seed)
    rows = np.zeros(count, PACKET)
    rows.view(np.uint8)[:] = chance.integers(0, 256, rows.nbytes, dtype=np.uint8)
    rows["status"] = chance.choice([PacketStatus.PARSED, PacketStatus.NOT_IP, 255], count)
    rows["protocol"] = chance.choice([6, 17, 1], count)
    rows["fragment"] = chance.choice([0, 0, 1], count)
    rows["short"] = chance.choice([0, 1], count)
    rows["fragment_offset"] = chance.choice([0, 8], count)
    rows["payload_length"] = chance.choice([0, 40], count)
    for end in ("src_port", "dst_port"):
        rows[end] = chance.choice([53, 5353, 80, 65535, 0], count)
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_packets_are_sorted_and_told_as_a_loop_would(seed: int) -> None:
    rows = some_packets(seed, 500)
    sorter = Sorter((53, 80), (5353,))
    status = np.ones(256, np.int64)
    datagrams, segments, pieces = sorter.sort(rows, status)
    expected: dict[str, list[int]] = {"udp": [], "tcp": [], "piece": []}
    for i, row in enumerate(rows):
        ends = {int(row["src_port"]), int(row["dst_port"])}
        if row["status"] or row["protocol"] not in (6, 17):
            continue
        if row["fragment"] and not (row["short"] and not row["fragment_offset"] and row["protocol"] == 17):
            expected["piece"].append(i)
        elif row["protocol"] == 17 and ends & {53, 80, 5353} and row["payload_length"]:
            expected["udp"].append(i)
        elif row["protocol"] == 6 and ends & {53, 80}:
            expected["tcp"].append(i)
    assert [x.tolist() for x in (datagrams, segments, pieces)] == list(expected.values())
    assert status.tolist() == [1 + int((rows["status"] == value).sum()) for value in range(256)]

    which = datagrams.copy()
    time_us, number = np.arange(500) + 7, np.arange(500) + 1
    batch = Batch(np.zeros(1, np.uint8), np.arange(500) * 1000, np.zeros(500, np.int32))
    told = sorter.columns(rows, batch, time_us, number, which)
    for k, i in enumerate(which.tolist()):
        row = rows[i]
        assert (told.time_us[k], told.number[k]) == (i + 7, i + 1)
        assert told.payload.offset[k] == i * 1000 + row["payload_start"]
        assert told.payload.length[k] == row["payload_length"]
        ends = {row["src_port"], row["dst_port"]}
        assert told.mdns[k] == (5353 in ends and not ends & {53, 80})
        assert all(
            told.address[name][k] == row[name] for name in ("src_net", "src_host", "dst_net", "dst_host")
        )
        assert {name: column[k].as_py() for name, column in told.column.items()} == {
            "src_port": row["src_port"],
            "dst_port": row["dst_port"],
            "src_mac": row["src_mac"] if row["src_mac"] >= 0 else None,
            "ip_ttl": row["ip_ttl"],
            "ip_id": np.int64(row["ip_id"]).astype(np.int32)
            if row["ip_version"] == 4 and np.int64(row["ip_id"]).astype(np.int32) >= 0
            else None,
            "ip_bytes": row["ip_bytes"],
        }


def test_each_kernel_has_one_signature() -> None:
    columns.warm()
    compare(list(cases.SAMPLES.values()))
    for kernel in (
        messages.message_columns,
        messages.spread_bits,
        packets.sort_packets,
        packets.packet_columns,
    ):
        assert len(kernel.signatures) == 1
