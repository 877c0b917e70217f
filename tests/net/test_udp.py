"""UDP batches on loopback, with the standard library's sockets at the other end and as oracle."""

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from dnsonde.errors import SystemRefusal
from dnsonde.net import _libc
from dnsonde.net.udp import Udp
from dnsonde.wire import datagram
from dnsonde.wire.batch import address_pair, address_text

FAMILIES = {"ipv4": ("0.0.0.0", "127.0.0.1"), "ipv6": ("::", "::1")}
SECOND_US = 1_000_000
IP_RECVERR, IP_RECVTTL, SO_TIMESTAMPNS = 11, 12, 35
IPV6_RECVERR = 25


@pytest.fixture(params=list(FAMILIES.values()), ids=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> tuple[str, str]:
    """(wildcard, loopback address)"""
    assert isinstance(request.param, tuple)
    return request.param


@contextmanager
def plain(address: str, port: int = 0) -> Iterator[socket.socket]:
    """A socket of the standard library."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.bind((address, port))
        yield sock


def port_of(sock: socket.socket) -> int:
    port = sock.getsockname()[1]
    assert isinstance(port, int)
    return port


def text_of(row: np.void, role: str = "") -> str:
    return address_text(int(row[role + "net"]), int(row[role + "host"]))


def receive(udp: Udp, count: int) -> list[tuple[str, int, bytes]]:
    """Exactly `count` datagrams: (peer, port, payload)."""
    got: list[tuple[str, int, bytes]] = []
    while len(got) < count:
        assert udp.wait(10 * SECOND_US), f"{len(got)} of {count} came"
        for i in range(udp.receive()):
            row = udp.rx[i]
            got.append((text_of(row), int(row["port"]), udp.received[i]))
    assert udp.receive() == 0
    return got


def aim(udp: Udp, row: int, address: str, port: int, payload: bytes) -> None:
    udp.tx["net"][row], udp.tx["host"][row] = address_pair(address)
    udp.tx["port"][row] = port
    udp.tx["length"][row] = len(payload)
    udp.tx_data[row, : len(payload)] = np.frombuffer(payload, np.uint8)


def test_a_batch_arrives_whole_and_in_order(family: tuple[str, str]) -> None:
    _, here = family
    with Udp(here, batch=300) as sender, Udp(here, batch=128) as receiver:
        for i in range(300):
            aim(sender, i, here, receiver.port, b"%d" % i * (i + 1))
        assert sender.send(300) == 300
        assert not sender.tx_errno.any()
        assert receive(receiver, 300) == [(here, sender.port, b"%d" % i * (i + 1)) for i in range(300)]


def test_ancillary_data_equals_what_recvmsg_tells(family: tuple[str, str]) -> None:
    wild, here = family
    with plain(here) as sender, Udp(wild, device="lo") as ours, plain(here) as theirs:
        if ":" in here:
            theirs.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            theirs.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 37)
        else:
            theirs.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
            theirs.setsockopt(socket.IPPROTO_IP, 8, 1)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 37)
        theirs.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sender.sendto(b"first", (here, ours.port))
        sender.sendto(b"then", theirs.getsockname())
        assert receive(ours, 1) == [(here, port_of(sender), b"first")]
        row = ours.rx[0]
        ttl, local, when = None, None, 0
        for level, kind, data in theirs.recvmsg(100, 500)[1]:
            match level, kind:
                case (0, 2) | (41, 52):
                    ttl = struct.unpack("i", data)[0]
                case 0, 8:
                    local = socket.inet_ntop(socket.AF_INET, data[8:12])
                case 41, 50:
                    local = socket.inet_ntop(socket.AF_INET6, data[:16])
                case 1, 35:
                    seconds, nanoseconds = struct.unpack("qq", data)
                    when = seconds * SECOND_US + nanoseconds // 1000
        assert row["ttl"] == ttl == 37
        assert text_of(row, "local_") == local == here
        assert row["time_us"] <= when
        assert when - row["time_us"] < 60 * SECOND_US


def test_one_wildcard_socket_is_asked_and_answers_as_every_address_of_127() -> None:
    with Udp("0.0.0.0", device="lo") as lab, plain("127.0.0.1") as client:
        for address in ("127.0.0.9", "127.200.1.2", "127.255.255.254"):
            client.sendto(address.encode(), (address, lab.port))
        receive(lab, 3)
        lab.tx[:3] = lab.rx[:3]
        lab.tx_data[:3] = lab.rx_data[:3]
        assert lab.send(3) == 3
        for _ in range(3):
            payload, peer = client.recvfrom(100)
            assert peer == (payload.decode(), lab.port)


def test_without_choose_source_the_kernel_chooses_and_tells_nothing() -> None:
    with Udp("127.0.0.1", choose_source=False) as udp, plain("127.0.0.1") as peer:
        peer.sendto(b"x", (udp.address, udp.port))
        receive(udp, 1)
        assert udp.rx[0]["local_host"] == 0


def test_what_does_not_fit_the_row_is_cut_and_its_length_told() -> None:
    with Udp("127.0.0.1", size=64) as udp, plain("127.0.0.1") as peer:
        for payload in (b"a" * 200, b"b" * 64, b""):
            peer.sendto(payload, (udp.address, udp.port))
        assert [payload for *_, payload in receive(udp, 3)] == [b"a" * 64, b"b" * 64, b""]
        assert udp.rx["full_length"][:3].tolist() == [200, 64, 0]


def test_rows_of_length_zero_are_left_out(family: tuple[str, str]) -> None:
    _, here = family
    with Udp(here) as sender, Udp(here) as receiver:
        for i in range(10):
            aim(sender, i, here, receiver.port, b"%d" % i if i % 3 else b"")
        assert sender.send(10) == 10
        assert [payload for *_, payload in receive(receiver, 6)] == [b"1", b"2", b"4", b"5", b"7", b"8"]


def test_a_refused_row_is_told_and_passed_over() -> None:
    with Udp("127.0.0.1", size=2000, errors=True) as sender, Udp("127.0.0.1") as receiver:
        for i in range(8):
            aim(sender, i, "127.0.0.1", receiver.port, b"%d" % i)
        sender.tx["port"][0] = 0  # udp_sendmsg: EINVAL
        aim(sender, 3, "127.255.255.255", receiver.port, b"broadcast")
        aim(sender, 4, "::1", receiver.port, b"other family")
        sender.tx["length"][7] = 2001
        assert sender.send(8) == 8
        want = [errno.EINVAL, 0, 0, errno.EACCES, errno.EAFNOSUPPORT, 0, 0, errno.EMSGSIZE]
        assert sender.tx_errno[:8].tolist() == want
        assert [payload for *_, payload in receive(receiver, 4)] == [b"1", b"2", b"5", b"6"]
        sender.tx["port"][0] = receiver.port
        assert sender.send(1) == 1
        assert sender.tx_errno[0] == 0


def closed_port(here: str) -> int:
    with plain(here) as sock:
        return port_of(sock)


def test_icmp_errors_come_back_as_rows_that_quote_us(family: tuple[str, str]) -> None:
    _, here = family
    port = closed_port(here)
    with Udp(here, errors=True) as udp, plain(here) as theirs:
        if ":" in here:
            theirs.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
        else:
            theirs.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        theirs.sendto(b"hello?", (here, port))
        aim(udp, 0, here, port, b"hello?")
        assert udp.send(1) == 1
        assert udp.wait(10 * SECOND_US)
        rows, payloads = udp.errors()
        assert len(rows) == len(payloads) == 1
        assert payloads[0] == b"hello?"

        payload, ancillary, _, target = theirs.recvmsg(100, 500, socket.MSG_ERRQUEUE)
        data = next(data for level, kind, data in ancillary if kind in {IP_RECVERR, IPV6_RECVERR})
        number, origin, icmp_type, code = struct.unpack_from("=IBBB", data)
        assert (payload, target[:2]) == (b"hello?", (here, port))
        row = rows[0]
        assert (row["errno"], row["origin"], row["type"], row["code"]) == (number, origin, icmp_type, code)
        assert (number, icmp_type, code) == (errno.ECONNREFUSED, *((1, 4) if ":" in here else (3, 3)))
        assert text_of(row) == here
        assert row["port"] == port
        assert text_of(row, "offender_") == here
        assert row["time_us"] > 0
        assert len(udp.errors()[0]) == 0
        assert udp.receive() == 0


def test_icmp_errors_of_earlier_rows_cost_no_later_row(family: tuple[str, str]) -> None:
    _, here = family
    port = closed_port(here)
    with Udp(here, errors=True, batch=200) as sender, Udp(here) as receiver:
        for i in range(200):
            aim(sender, i, here, port if i % 2 else receiver.port, b"%d" % i)
        assert sender.send(200) == 200
        assert not sender.tx_errno.any()
        assert [int(payload) for *_, payload in receive(receiver, 100)] == list(range(0, 200, 2))
        quoted = []
        while len(batch := sender.errors()[1]):
            quoted += [int(batch[i]) for i in range(len(batch))]
        # How many a second come back is the kernel's choice (icmp_msgs_per_sec); none is invented.
        assert quoted
        assert set(quoted) <= set(range(1, 200, 2))
        assert len(quoted) == len(set(quoted))


def test_an_error_that_pends_from_the_last_call_fails_neither_send_nor_receive(
    family: tuple[str, str],
) -> None:
    _, here = family
    port = closed_port(here)
    with Udp(here, errors=True) as udp, plain(here) as peer:
        aim(udp, 0, here, port, b"x")
        aim(udp, 1, here, port_of(peer), b"y")
        for _ in range(5):
            assert udp.send(1) == 1  # its ICMP error now waits for the next call
            assert udp.send(2, 1) == 1
            assert udp.tx_errno[:2].tolist() == [0, 0]
            assert peer.recvfrom(100)[0] == b"y"
            peer.sendto(b"z", (here, udp.port))
            assert udp.send(1) == 1
            assert receive(udp, 1) == [(here, port_of(peer), b"z")]


def test_errors_that_keep_pending_while_a_row_goes_out_are_not_the_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, pending = _libc.sendmmsg, [errno.ECONNREFUSED] * 200

    def disturbed(fd: int, headers: int, count: int) -> int:
        return -pending.pop() if pending else real(fd, headers, count)

    with Udp("127.0.0.1") as sender, Udp("127.0.0.1") as receiver:
        monkeypatch.setattr(_libc, "sendmmsg", disturbed)
        aim(sender, 0, "127.0.0.1", receiver.port, b"x")
        assert sender.send(1) == 1
        assert sender.tx_errno[0] == 0
        assert receive(receiver, 1) == [("127.0.0.1", sender.port, b"x")]


def test_a_socket_without_errors_has_none_and_is_not_disturbed() -> None:
    with Udp("127.0.0.1") as udp:
        aim(udp, 0, "127.0.0.1", closed_port("127.0.0.1"), b"x")
        assert udp.send(1) == 1
        assert not udp.wait(0)
        assert [len(part) for part in udp.errors()] == [0, 0]


def test_a_full_kernel_ends_the_call_and_the_rest_goes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    real, room = _libc.sendmmsg, [3, 0, 2, 0, 100]

    def limited(fd: int, headers: int, count: int) -> int:
        allowed = room.pop(0)
        return real(fd, headers, min(count, allowed)) if allowed else -errno.EAGAIN

    monkeypatch.setattr(_libc, "sendmmsg", limited)
    with Udp("127.0.0.1") as sender, Udp("127.0.0.1") as receiver:
        for i in range(10):
            aim(sender, i, "127.0.0.1", receiver.port, b"" if i == 1 else b"%d" % i)
        done = sender.send(10)
        assert done == 4  # three went out, the empty row is done with too
        done += sender.send(10, done)
        assert done == 6
        done += sender.send(10, done)
        assert done == 10
        assert [int(payload) for *_, payload in receive(receiver, 9)] == [0, *range(2, 10)]


def receive_buffer(udp: Udp) -> int:
    """Octets that the kernel keeps for datagrams not yet received, its own overhead included."""
    with socket.socket(fileno=os.dup(udp.fileno())) as same:
        return same.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def test_every_datagram_is_received_or_counted_as_dropped() -> None:
    with Udp("127.0.0.1") as sender, Udp("127.0.0.1", receive_buffer=20_000) as receiver:
        assert receive_buffer(receiver) < 100_000
        for i in range(512):
            aim(sender, i, "127.0.0.1", receiver.port, b"x" * 100)
        assert sender.send(512) == 512
        received = 0
        while count := receiver.receive():
            received += count
        assert 0 < received < 512
        assert receiver.dropped == 512 - received
        assert sender.dropped == 0


def test_wait_tells_whether_something_came() -> None:
    with Udp("127.0.0.1") as udp, plain("127.0.0.1") as peer:
        assert not udp.wait(0)
        assert not udp.wait(-5)
        assert not udp.wait(1_500)
        assert udp.wait(0, writable=True)
        peer.sendto(b"x", (udp.address, udp.port))
        assert udp.wait(10 * SECOND_US)


def test_paths_are_not_probed_and_ipv6_sockets_serve_ipv6_only() -> None:
    with Udp("127.0.0.1") as four, Udp("::1") as six:
        omit = 5  # IP_PMTUDISC_OMIT: no DF bit, no belief in forged ICMP (RFC 9715)
        with socket.socket(fileno=os.dup(four.fileno())) as sock:
            assert sock.getsockopt(socket.IPPROTO_IP, 10) == omit
        with socket.socket(fileno=os.dup(six.fileno())) as sock:
            assert sock.getsockopt(socket.IPPROTO_IPV6, 23) == omit
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


def test_the_same_port_serves_both_families() -> None:
    with Udp("::1") as six, Udp("127.0.0.1", six.port) as four:
        assert four.port == six.port


# What the machine refuses


def test_a_port_in_use_is_refused_with_the_command_that_names_its_holder(family: tuple[str, str]) -> None:
    _, here = family
    with plain(here) as holder:
        port = port_of(holder)
        with pytest.raises(SystemRefusal, match=rf":{port} is already in use.*ss -lunp"):
            Udp(here, port)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(SystemRefusal, match=r"203\.0\.113\.99.*no interface.*ip address"):
        Udp("203.0.113.99")


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(SystemRefusal, match=r"no device named 'nosuch0'.*ip link"):
        Udp("127.0.0.1", device="nosuch0")


@contextmanager
def as_nobody() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)  # drops the effective capabilities too (capabilities(7))
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_privileged_port_is_refused_to_users_with_the_way_out() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 1:
        pytest.skip("this machine lets every user bind every port")
    with as_nobody(), pytest.raises(SystemRefusal, match=r"1024 or above.*ip_unprivileged_port_start=1"):
        Udp("127.0.0.1", 1)


def test_users_get_a_socket_with_what_buffer_the_machine_allows() -> None:
    with as_nobody(), Udp("127.0.0.1", receive_buffer=1 << 30) as udp:
        assert receive_buffer(udp) > 0


def failing_socket(number: int) -> Callable[..., socket.socket]:
    def fail(*_: object) -> socket.socket:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EAFNOSUPPORT, "no IPv6"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EPERM, "may not open"),
        (errno.EIO, "doctor"),
    ],
)
def test_other_refusals_say_what_to_do(number: int, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", failing_socket(number))
    with pytest.raises(SystemRefusal, match=sentence):
        Udp("::1")


def test_structures_have_the_sizes_of_the_c_headers() -> None:
    assert datagram.HEADER.itemsize == 64
    assert datagram.IOVEC.itemsize == 16


def test_gathered_rows_arrive_as_if_they_had_gone_one_by_one(family: tuple[str, str]) -> None:
    _, here = family
    with (
        Udp(here, batch=300, gather=True) as sender,
        Udp(here, batch=400) as first,
        Udp(here, batch=400) as second,
    ):
        want: dict[int, list[bytes]] = {first.port: [], second.port: []}
        for i in range(300):
            peer = (first, second)[i * i % 7 % 2]
            payload = b"%03d" % i + bytes(i % 3)
            want[peer.port].append(payload)
            aim(sender, i, here, peer.port, payload)
        assert sender.send(300) == 300
        assert not sender.tx_errno.any()
        for udp in (first, second):
            got = [payload for _, _, payload in receive(udp, len(want[udp.port]))]
            assert sorted(got) == sorted(want[udp.port])


def test_where_the_system_cuts_nothing_up_rows_go_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    real = _libc.sendmmsg

    def refuses_segments(fd: int, headers: int, count: int) -> int:
        frame = sender._tx
        at = (headers - sender._tx_header) // datagram.HEADER.itemsize
        gathered = np.flatnonzero(frame.header["iov_count"][at : at + count] > 1)
        if len(gathered) and gathered[0] == 0:
            return -errno.EIO
        return real(fd, headers, int(gathered[0]) if len(gathered) else count)

    with Udp("127.0.0.1", batch=64, gather=True) as sender, Udp("127.0.0.1", batch=64) as receiver:
        monkeypatch.setattr(_libc, "sendmmsg", refuses_segments)
        for i in range(64):
            aim(sender, i, "127.0.0.1", receiver.port, b"%d" % i)
        assert sender.send(64) == 64
        assert not sender.tx_errno.any()
        assert sorted(int(p) for _, _, p in receive(receiver, 64)) == list(range(64))
