"""Frame Streams over sockets: the handshake, data, the goodbye, and senders that do otherwise."""

import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from dnsonde import take
from dnsonde.clock import SystemClock
from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.formats._contract import Account
from dnsonde.formats._reading import Reading
from dnsonde.net.frames import ACCEPT, CONTENT, FINISH, READY, START, STOP, Receiver, listens
from dnsonde.table import store
from dnsonde.table.lake import Lake
from dnsonde.table.schema import MESSAGE

QUERY = bytes.fromhex("00070100000100000000000003777777076578616d706c6503636f6d0000010001")
STOPPED = struct.pack(">III", 0, 4, STOP)


def control(kind: int, *contents: bytes) -> bytes:
    body = struct.pack(">I", kind) + b"".join(struct.pack(">II", 1, len(c)) + c for c in contents)
    return struct.pack(">II", 0, len(body)) + body


def dnstap(message: bytes) -> bytes:
    """A frame with a client query (dnstap.proto), that came at 1,700,000,000 s."""
    body = b"\x08\x05\x10\x01\x18\x01\x22\x04\xc0\0\2\1\x2a\x04\xc6\x33\x64\x07\x40\x80\xe2\xcf\xaa\x06"
    body += b"\x52" + bytes([len(message)]) + message
    whole = b"\x72" + bytes([len(body)]) + body + b"\x78\x01"
    return struct.pack(">I", len(whole)) + whole


def exactly(sender: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        piece = sender.recv(size - len(got))
        if not piece:
            break
        got += piece
    return got


def send(where: str | tuple[str, int], data: list[bytes], *, handshake: bool = True) -> bytes:
    """What a name server does; the last answer it got."""
    family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
    with socket.socket(family) as sender:
        sender.settimeout(20)
        sender.connect(where)
        if handshake:
            sender.sendall(control(READY, b"protobuf:other", CONTENT))
            assert exactly(sender, 12 + 8 + len(CONTENT)) == control(ACCEPT, CONTENT)
        for piece in [control(START, CONTENT), *data, STOPPED]:
            sender.sendall(piece)
        return exactly(sender, 12) if handshake else b""


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def hear(reading: Reading) -> tuple[list[str], Account]:
    names = [name for _, batch in reading for name in batch.column("qname").to_pylist()]
    return names, reading.account


def test_a_name_server_is_heard_on_a_unix_socket(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    place = tmp_path / "dnstap.sock"
    reading = Reading(f"unix:{place}")
    sending = pool.submit(send, str(place), [dnstap(QUERY)] * 3)
    names, account = hear(reading)
    assert sending.result() == control(FINISH)
    assert names == ["www.example.com"] * 3
    assert (account.packets, account.messages, account.notes, account.format) == (3, 3, [], "dnstap")
    assert not place.exists()


def test_a_frame_may_come_in_pieces_and_look_like_a_stop(pool: ThreadPoolExecutor) -> None:
    """A message that ends as a STOP does is none, even where a piece of the stream ends with it."""
    reading = Reading("tcp:0")
    frame = dnstap(QUERY + STOPPED)
    data = [octet.to_bytes(1, "big") for octet in frame] + [frame]
    sending = pool.submit(send, reading.stream._file.address, data)
    names, account = hear(reading)
    assert sending.result() == control(FINISH)
    assert (len(names), account.packets) == (2, 2)


def test_a_sender_that_asks_for_no_answers_gets_none(pool: ThreadPoolExecutor) -> None:
    reading = Reading("tcp:127.0.0.1:0")
    sending = pool.submit(send, reading.stream._file.address, [dnstap(QUERY)], handshake=False)
    assert len(hear(reading)[0]) == 1
    sending.result()


@pytest.mark.parametrize(
    ("said", "note"),
    [
        (control(READY, b"protobuf:other"), "other content"),
        (b"GET / HTTP/1.1\r\n\r\n", "does not begin as"),
        (control(STOP), "does not begin as"),
        (control(READY, CONTENT)[:10], "hung up"),
    ],
)
def test_another_speaker_is_told_of(said: bytes, note: str, pool: ThreadPoolExecutor) -> None:
    reading = Reading("tcp:0")

    def speak() -> None:
        with suppress(OSError), socket.create_connection(reading.stream._file.address) as sender:
            sender.sendall(said)  # which may be refused before its end
            sender.shutdown(socket.SHUT_WR)
            sender.recv(1)

    speaking: Future[None] = pool.submit(speak)
    names, account = hear(reading)
    assert not names
    assert note in account.notes[0]
    speaking.result()


def test_a_sender_that_vanishes_leaves_what_it_said(pool: ThreadPoolExecutor) -> None:
    reading = Reading("tcp:0")

    def vanish() -> None:
        with socket.create_connection(reading.stream._file.address) as sender:
            sender.sendall(control(START, CONTENT) + dnstap(QUERY) + dnstap(QUERY)[:20])

    leaving = pool.submit(vanish)
    names, account = hear(reading)
    leaving.result()
    assert len(names) == 1
    assert account.notes[0].startswith("cut short")


def test_who_stops_listening_keeps_what_was_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Receiver("tcp:0")

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(receiver, "_welcome", interrupt)
    assert (receiver.read(10), receiver.read(10), receiver.damage) == (b"", b"", "")
    receiver.close()


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    receiver = Receiver("tcp:0")
    assert receiver.address[0] == "127.0.0.1"
    receiver.close()


def test_an_address_that_cannot_be_listened_on(tmp_path: Path) -> None:
    place = tmp_path / "in-use.sock"
    first = Receiver(f"unix:{place}")
    with pytest.raises(SystemRefusal, match="is in use"):
        Receiver(f"unix:{place}")
    first._listener.close()  # as a process that was killed leaves it
    Receiver(f"unix:{place}").close()
    with pytest.raises(SystemRefusal, match="cannot be listened on"):
        Receiver(f"unix:{tmp_path}/missing/x.sock")
    with pytest.raises(UsageError, match="no address to listen on"):
        Receiver("tcp:name")
    taken = Receiver("tcp:0")
    with pytest.raises(SystemRefusal, match="already in use"):
        Receiver(f"tcp:{taken.address[1]}")
    taken.close()


def test_only_sockets_are_listened_on() -> None:
    assert listens("unix:/run/x")
    assert listens("tcp:6000")
    assert not listens("trace.pcap")


def visible(lake: Path) -> int:
    return len(list(lake.glob("account/part-*.parquet")))


def test_what_came_before_a_silence_is_visible_though_nothing_follows(
    tmp_path: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(take, "PART_S", 0.3)
    place, lake = tmp_path / "dnstap.sock", tmp_path / "lake"

    def resolver() -> None:
        with socket.socket(socket.AF_UNIX) as sender:

            def connected() -> bool:
                return sender.connect_ex(str(place)) == 0

            assert eventually(connected)
            sender.sendall(control(START, CONTENT) + dnstap(QUERY))
            assert eventually(lambda: visible(lake) == 1), "while the sender stays, and is silent"
            sender.sendall(dnstap(QUERY)[:20])
            sender.sendall(dnstap(QUERY)[20:])
            assert eventually(lambda: visible(lake) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    talking = pool.submit(resolver)
    (heard,) = take.ingest([f"unix:{place}"], lake, SystemClock(), lambda _: None).accounts
    talking.result()
    assert (heard["packets"], heard["malformed"]) == (2, 0)
    assert len(Lake(lake).tables()["message"]) == 2


def test_many_small_parts_of_a_socket_become_few(
    tmp_path: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(take, "PART_S", 0.0)
    place, lake, sent = tmp_path / "dnstap.sock", tmp_path / "lake", 12

    def seen(messages: int) -> bool:
        return store.row_count(lake, MESSAGE) == messages

    def resolver() -> None:
        with socket.socket(socket.AF_UNIX) as sender:
            assert eventually(lambda: sender.connect_ex(str(place)) == 0)
            sender.sendall(control(START, CONTENT))
            for number in range(1, sent + 1):
                sender.sendall(dnstap(QUERY))
                assert eventually(partial(seen, number))
        os.kill(os.getpid(), signal.SIGINT)

    talking = pool.submit(resolver)
    take.ingest([f"unix:{place}"], lake, SystemClock(), lambda _: None)
    talking.result()
    assert len(list(lake.glob("message/*/*.parquet"))) < 8
    assert len(Lake(lake).accounts()) == sent


@pytest.mark.parametrize(("part_s", "parts"), [(60.0, 2), (0.0, 3)])
def test_senders_are_heard_one_after_the_other_until_somebody_interrupts(
    tmp_path: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, part_s: float, parts: int
) -> None:
    """What came is in the lake, and visible, while more may come."""
    monkeypatch.setattr(take, "PART_S", part_s)
    place, lake = tmp_path / "dnstap.sock", tmp_path / "lake"

    def resolver(count: int) -> None:
        def connected() -> bool:
            with suppress(ConnectionError, FileNotFoundError):
                assert send(str(place), [dnstap(QUERY)] * count) == control(FINISH)
                return True
            return False

        assert eventually(connected)

    def both() -> None:
        resolver(3)
        assert eventually(lambda: visible(lake) >= 1)
        resolver(2)
        assert eventually(lambda: visible(lake) >= 2)
        os.kill(os.getpid(), signal.SIGINT)

    talking = pool.submit(both)
    taken = take.ingest([f"unix:{place}"], lake, SystemClock(), lambda _: None)
    talking.result()
    (heard,) = taken.accounts
    assert (heard["packets"], heard["messages"], heard["note"]) == (5, 5, None)
    kept = Lake(lake).accounts()
    assert 2 <= len(kept) <= parts
    assert sum(row["packets"] for row in kept) == 5
    assert sum(row["bytes"] for row in kept) == heard["bytes"]
    assert not place.exists()


def eventually(holds: Callable[[], bool]) -> bool:
    ends = time.monotonic() + 20
    while not holds():
        if time.monotonic() > ends:
            return False
        time.sleep(0.01)
    return True
