"""Socket structures: the kernels against their twin, on what Linux writes and on what it never would."""

import random
import struct
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from dnsonde.wire import datagram
from dnsonde.wire._kernels import datagram as kernel
from dnsonde.wire.batch import address_pair
from dnsonde.wire.datagram import AF_INET, AF_INET6, DATAGRAM, ICMP_ERROR, Frame

HELPERS = ("_half", "_swap4", "_swap8", "_long", "_sockaddr")


def load_twin() -> ModuleType:
    spec = util.spec_from_file_location("datagram_twin", Path(__file__).parent / "twins" / "datagram.py")
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    sys.modules["datagram_twin"] = module
    spec.loader.exec_module(module)
    return module


twin = load_twin()


def octets(words: NDArray[np.int64]) -> NDArray[np.uint8]:
    return words.view(np.uint8)


def control_message(chance: random.Random) -> bytes:
    """One that Linux would write, sometimes with a length that lies."""
    level, kind, size = chance.choice(
        [
            (1, 35, 16),
            (1, 40, 4),
            (0, 8, 12),
            (0, 2, 4),
            (41, 50, 20),
            (41, 52, 4),
            (0, 11, 32),
            (41, 25, 44),
            (9, 9, 7),
        ]
    )
    data = bytearray(chance.randbytes(size))
    if kind in {11, 25}:
        data[16:18] = struct.pack("=H", chance.choice([2, 10, 0]))
    length = chance.choice([16 + size] * 12 + [0, 15, 16, 17, 20, 1 << 40, (1 << 64) - 8])
    return struct.pack("=Qii", length, level, kind) + data + bytes(-size % 8)


def hostile_frame(seed: int, rows: int = 400) -> Frame:
    """Headers as recvmmsg leaves them, with every octet under suspicion."""
    chance = random.Random(seed)
    frame = Frame.around(np.zeros((rows, 64), np.uint8))
    for i in range(rows):
        family = struct.pack("=H", chance.choice([2, 10, 0, 1]))
        octets(frame.name)[i, : datagram.NAME_OCTETS] = np.frombuffer(family + chance.randbytes(26), np.uint8)
        frame.header[i]["name_length"] = chance.choice([16, 28, 0, 15, 27, 128])
        control = b"".join(control_message(chance) for _ in range(chance.randrange(6)))
        if chance.random() < 0.1:
            control = chance.randbytes(chance.randrange(256))
        control = control[: chance.choice([256, 256, len(control) // 2])]
        octets(frame.control)[i, : len(control)] = np.frombuffer(control, np.uint8)
        frame.header[i]["control_length"] = len(control)
        frame.header[i]["length"] = chance.choice([0, 5, 64, 65, 1500])
    return frame


def expected(frame: Frame, row: object) -> list[tuple[int, ...]]:
    assert callable(row)
    return [
        row(
            name[: h["name_length"]].tobytes(), control[: h["control_length"]].tobytes(), int(h["length"]), 64
        )
        for name, control, h in zip(octets(frame.name), octets(frame.control), frame.header, strict=True)
    ]


def values(rows: NDArray[np.void]) -> list[tuple[int, ...]]:
    return [tuple(row) for row in rows.tolist()]


@pytest.mark.parametrize("seed", range(5))
def test_received_rows_equal_the_twins(seed: int) -> None:
    frame = hostile_frame(seed)
    rows = np.zeros(len(frame.row), DATAGRAM)
    want = expected(frame, twin.datagram)
    datagram.unpack(frame, rows, len(rows))
    assert values(rows) == want


@pytest.mark.parametrize("seed", range(5))
def test_error_rows_equal_the_twins(seed: int) -> None:
    frame = hostile_frame(seed)
    rows = np.ones(len(frame.row), ICMP_ERROR)
    want = expected(frame, twin.icmp_error)
    datagram.unpack_errors(frame, rows, len(rows))
    assert values(rows) == want


def test_headers_are_ready_for_the_next_call_after_unpacking() -> None:
    for unpack, dtype in ((datagram.unpack, DATAGRAM), (datagram.unpack_errors, ICMP_ERROR)):
        frame = hostile_frame(1)
        unpack(frame, np.zeros(len(frame.row), dtype), len(frame.row))
        assert (frame.header["name_length"] == datagram.NAME_OCTETS).all()
        assert (frame.header["control_length"] == datagram.CONTROL_OCTETS).all()
        assert not frame.header["flags"].any()


@pytest.mark.parametrize("name", ["unpack_datagrams", "unpack_errors"])
def test_no_octet_outside_the_buffers_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for helper in HELPERS:
        monkeypatch.setattr(kernel, helper, getattr(kernel, helper).py_func)
    frame = hostile_frame(7)
    rows = np.zeros(len(frame.row), DATAGRAM if name == "unpack_datagrams" else ICMP_ERROR)
    # Plain numpy raises IndexError where the compiled kernel would read on; wide columns take any number.
    with np.errstate(all="ignore"):
        getattr(kernel, name).py_func(
            frame.header.view(np.recarray), frame.name, frame.control, datagram.NAME_OCTETS, 64,
            rows.astype([(n, "i8") for n in rows.dtype.names or ()]).view(np.recarray), len(rows),
        )  # fmt: skip


def random_rows(seed: int, count: int = 300) -> NDArray[np.void]:
    chance = random.Random(seed)
    addresses = [
        address_pair(a) for a in ("127.0.0.1", "127.255.3.4", "::1", "2001:db8::ffff:7f00:1", "fe80::1")
    ]
    rows = np.zeros(count, DATAGRAM)
    for row in rows:
        row["net"], row["host"] = chance.choice(addresses)
        row["local_net"], row["local_host"] = chance.choice([*addresses, (0, 0), (0, 0), (0, 0)])
        row["port"] = chance.randrange(1 << 16)
        row["length"] = chance.choice([0, 1, 63, 64, 65, -1, 1 << 30])
    return rows


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
@pytest.mark.parametrize("start", [0, 17])
def test_rows_to_send_equal_the_twins(family: int, start: int) -> None:
    rows = random_rows(family + start)
    count = len(rows) - 5
    frame = Frame.around(np.zeros((len(rows), 64), np.uint8))
    octets(frame.name)[:] = octets(frame.control)[:] = 0xEE  # what an earlier call left behind must not show
    errno = np.full(len(rows), -1, np.int32)
    filled = datagram.pack(frame, rows, errno, start, count, family)

    want_errno, headers = [], []
    for i in range(start, count):
        r = rows[i].tolist()
        described = twin.described(r[0:2], r[2], r[3:5], r[7], 64, family)
        want_errno.append(described[0] if described else 0)
        if described and not described[0]:
            headers.append((i, *described[1:]))
    assert errno.tolist() == [-1] * start + want_errno + [-1] * 5
    assert filled == len(headers) > 20
    for k, (i, name, control) in enumerate(headers):
        header = frame.header[k]
        assert frame.row[k] == i
        assert octets(frame.name)[k, : header["name_length"]].tobytes() == name
        assert (
            octets(frame.control)[k, : header["control_length"]].tobytes()[: len(control) - 4] == control[:-4]
        )
        assert header["control_length"] == len(control)
        assert frame.iov[k].tolist() == (frame.base + i * 64, rows[i]["length"])


def test_no_octet_outside_the_buffers_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    for helper in HELPERS:
        monkeypatch.setattr(kernel, helper, getattr(kernel, helper).py_func)
    rows = random_rows(3)
    wide = rows.astype([(n, "i8") for n in rows.dtype.names or ()]).view(np.recarray)
    frame = Frame.around(np.zeros((len(rows), 64), np.uint8))
    for family in (AF_INET, AF_INET6):
        for segments in (1, 4):
            filled = kernel.pack_datagrams.py_func(
                frame.header.view(np.recarray), frame.iov.view(np.recarray), frame.iov_base, frame.name,
                frame.control, frame.row, frame.base, 64, wide, frame.in_turn, np.zeros(len(rows), np.int32),
                0, len(rows), family, segments,
            )  # fmt: skip
            assert filled > 20


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
@pytest.mark.parametrize("seed", range(5))
def test_gathered_rows_are_described_once_and_cut_up_again_to_the_same(family: int, seed: int) -> None:
    chance = random.Random(seed)
    host = (0xFFFF_0A00_0000, 0xFFFF_0A00_0001) if family == AF_INET else (1, 2)
    net = 0 if family == AF_INET else 0x2001_0DB8_0000_0000
    rows = np.zeros(300, DATAGRAM)
    for row in rows:
        row["net"], row["host"], row["port"] = net, chance.choice(host), chance.choice([53, 54])
        row["length"] = chance.choice([40, 40, 40, 33, 0])
        if chance.random() < 0.5:
            row["local_net"], row["local_host"] = net, host[0]
    peers = [row[["net", "host", "port", "local_net", "local_host"]].tolist() for row in rows]
    order = np.array(sorted(range(300), key=lambda i: (peers[i], -rows[i]["length"])), np.int32)
    frame = Frame.around(np.zeros((300, 64), np.uint8))
    errno = np.zeros(300, np.int32)
    filled = datagram.pack(frame, rows, errno, 0, 300, family, order=order, segments=8)

    sent = []
    for k in range(filled):
        header = frame.header[k]
        first = int(header["iov"] - frame.iov_base) // datagram.IOVEC.itemsize
        vectors = frame.iov[first : first + int(header["iov_count"])]
        members = [int(base - frame.base) // 64 for base in vectors["base"]]
        control = octets(frame.control)[k, : header["control_length"]].tobytes()
        sizes = [int(n) for n in vectors["length"]]
        if len(members) > 1:
            assert control[-24:] == struct.pack("=QiiH6x", 18, 17, 103, sizes[0])
            assert set(sizes[:-1]) == {sizes[0]}
            assert sizes[-1] <= sizes[0]
        assert len(members) <= 8
        assert len({peers[i] for i in members}) == 1
        sent += members
    assert sent == [int(i) for i in order if rows[i]["length"]]
    assert filled < len(sent) / 2


def test_rows_beyond_the_batch_are_the_callers_mistake() -> None:
    frame = Frame.around(np.zeros((4, 64), np.uint8))
    rows, errno = np.zeros(4, DATAGRAM), np.zeros(4, np.int32)
    for start, count in ((0, 5), (-1, 2), (3, 2)):
        with pytest.raises(ValueError, match="of a batch of 4"):
            datagram.pack(frame, rows, errno, start, count, AF_INET)


def test_each_kernel_has_one_signature() -> None:
    datagram.warm()
    for name in ("unpack_datagrams", "unpack_errors", "pack_datagrams"):
        assert len(getattr(kernel, name).signatures) == 1, name
