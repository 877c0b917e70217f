"""Frames for a capture file, octet by octet, with their times and what is true of them. No socket is near.

Ethernet II (IEEE 802.3), IPv4 (RFC 791), IPv6 (RFC 8200), UDP (RFC 768), TCP (RFC 9293), ICMP (RFC 792), GRE
(RFC 2784). Transport checksums are 0, as captures on hosts with offloading have them.
"""

import random
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from dnsonde.clock import Clock
from dnsonde.whole import whole

TCP, UDP, GRE, ICMP, ICMP6 = 6, 17, 47, 1, 58
FIN, SYN, RST, PUSH, ACK = 1, 2, 4, 8, 16
MTU = 1500

HOME = ("10.20.0.0/16", "192.0.2.0/24", "2001:db8:20::/48")
_INSIDE = (bytes([10, 20]), bytes([192, 0, 2]), bytes.fromhex("20010db80020"))
_BORDER, _CORE = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")

PCAP = struct.Struct("<IHHiIII")
RECORD = struct.Struct("<IIII")


class Label(NamedTuple):
    """What a detector should tell of a capture; with `expected` false, what it may tell and need not."""

    detector: str
    subject: str
    expected: bool
    evidence: tuple[tuple[str, str], ...]  # name and value that the finding's evidence should have


def packed(address: str) -> bytes:
    """The 4 or 16 octets of an address."""
    return ip_address(address).packed


def text(address: bytes) -> str:
    """The canonical text of an address of 4 or 16 octets."""
    return str(ip_address(address))


def at_home(address: bytes) -> bool:
    """The address is one of home's."""
    return address.startswith(_INSIDE)


class Tape:
    """Collects frames in any order of time; `write` puts them in order.

    The capture is taken where home meets the outside: what comes in bears the border router's link-layer address,
    what goes out the inner router's; with `lan` it is taken on a segment at home, and each host has its own.
    """

    def __init__(self, seed: str, clock: Clock, *, lan: bool = False) -> None:
        self.random = random.Random(seed)
        self.labels: list[Label] = []
        self._start_us = clock.now_us()
        self._lan = lan
        self._frames: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        """How many frames there are."""
        return len(self._frames)

    def now_s(self, at_s: float) -> int:
        """The time of the packets' clock, seconds since 1970."""
        return self._start_us // 1_000_000 + int(at_s)

    def label(self, detector: str, subject: bytes | str, *, expected: bool = True, **evidence: str) -> None:
        """Note what is true: an address, a prefix as CIDR, or a registered domain."""
        words = text(subject) if isinstance(subject, bytes) else subject
        fresh = Label(detector, words, expected, tuple(sorted(evidence.items())))
        known = {(label.detector, label.subject): at for at, label in enumerate(self.labels)}
        at = known.get((detector, words))
        if at is None:
            self.labels.append(fresh)
        elif expected and not self.labels[at].expected:
            self.labels[at] = fresh

    def add(self, other: "Tape") -> None:
        """Take over another tape's frames and what is true of them."""
        self._frames += other._frames  # noqa: SLF001 - of the same class
        for label in other.labels:
            self.label(label.detector, label.subject, expected=label.expected, **dict(label.evidence))

    def times(self, start_s: float, lasts_s: float, count: int) -> Iterator[float]:
        """`count` times in order, spread evenly with some unrest, in `lasts_s` seconds from `start_s`."""
        step = lasts_s / count
        return (start_s + (number + self.random.random() * 0.9) * step for number in range(count))

    # ---- network layer

    def ip(
        self,
        at_s: float,
        src: bytes,
        dst: bytes,
        protocol: int,
        body: bytes,
        *,
        ttl: int | None = None,
        ip_id: int | None = None,
        inbound: bool | None = None,
    ) -> None:
        """An IP packet, in fragments where it is longer than Ethernet lets it be.

        inbound: it comes through the border, whatever its source says (default: its source is not home's).
        """
        if inbound is None:
            inbound = not at_home(src)
        mac = _BORDER if inbound else b"\x02\x01" + src[-4:] if self._lan else _CORE
        time_us = self._start_us + round(at_s * 1_000_000)
        if len(src) == 16:
            self._ip6(time_us, mac, src, dst, protocol, body, hops(src) if ttl is None else ttl)
            return
        number = self.random.getrandbits(16) if ip_id is None else ip_id
        head = (src, dst, protocol, hops(src) if ttl is None else ttl, number)
        if len(body) + 20 <= MTU:
            self._keep(time_us, mac, 0x0800, _ip4(*head, body, 0))
            return
        step = (MTU - 20) // 8 * 8
        for first in range(0, len(body), step):
            more = 0x2000 if first + step < len(body) else 0
            piece = _ip4(*head, body[first : first + step], first // 8 | more)
            self._keep(time_us + first // step, mac, 0x0800, piece)

    def piece(self, at_s: float, src: bytes, dst: bytes, protocol: int, body: bytes, *, first: int) -> None:
        """The last fragment of an IPv4 packet whose others never come; first: its offset, a multiple of 8."""
        mac = _CORE if at_home(src) else _BORDER
        time_us = self._start_us + round(at_s * 1_000_000)
        packet = _ip4(src, dst, protocol, hops(src), self.random.getrandbits(16), body, first // 8)
        self._keep(time_us, mac, 0x0800, packet)

    def _ip6(
        self, time_us: int, mac: bytes, src: bytes, dst: bytes, protocol: int, body: bytes, ttl: int
    ) -> None:
        if len(body) + 40 <= MTU:
            head = struct.pack(">IHBB", 0x6000_0000, len(body), protocol, ttl)
            self._keep(time_us, mac, 0x86DD, head + src + dst + body)
            return
        number, step = self.random.getrandbits(32), (MTU - 48) // 8 * 8
        for first in range(0, len(body), step):
            more = int(first + step < len(body))
            piece = struct.pack(">BBHI", protocol, 0, first | more, number) + body[first : first + step]
            head = struct.pack(">IHBB", 0x6000_0000, len(piece), 44, ttl)  # 44: fragment header
            self._keep(time_us + first // step, mac, 0x86DD, head + src + dst + piece)

    def _keep(self, time_us: int, mac: bytes, kind: int, packet: bytes) -> None:
        onward = _CORE if mac == _BORDER else _BORDER
        self._frames.append((time_us, onward + mac + kind.to_bytes(2) + packet))

    # ---- transport layer

    def udp(
        self,
        at_s: float,
        src: bytes,
        sport: int,
        dst: bytes,
        dport: int,
        payload: bytes,
        *,
        ttl: int | None = None,
        ip_id: int | None = None,
        inbound: bool | None = None,
    ) -> None:
        """A UDP datagram."""
        body = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload
        self.ip(at_s, src, dst, UDP, body, ttl=ttl, ip_id=ip_id, inbound=inbound)

    def tcp(
        self,
        at_s: float,
        src: bytes,
        sport: int,
        dst: bytes,
        dport: int,
        flags: int,
        *,
        seq: int | None = None,
        ack: int = 0,
        payload: bytes = b"",
        options: bytes = b"",
        window: int = 64_240,
        ttl: int | None = None,
        ip_id: int | None = None,
        inbound: bool | None = None,
    ) -> None:
        """A TCP segment; `options` fill whole words; `seq` None: any."""
        number = self.random.getrandbits(32) if seq is None else seq & 0xFFFF_FFFF
        offset = (5 + len(options) // 4) << 4
        head = struct.pack(">HHIIBBHHH", sport, dport, number, ack & 0xFFFF_FFFF, offset, flags, window, 0, 0)
        self.ip(at_s, src, dst, TCP, head + options + payload, ttl=ttl, ip_id=ip_id, inbound=inbound)

    def ping(self, at_s: float, src: bytes, dst: bytes, number: int, *, reply: bool = False) -> None:
        """An ICMP echo request or reply."""
        if len(src) == 16:
            self.ip(
                at_s,
                src,
                dst,
                ICMP6,
                struct.pack(">BBHHH", 129 if reply else 128, 0, 0, 7, number) + bytes(56),
            )
        else:
            self.ip(
                at_s, src, dst, ICMP, struct.pack(">BBHHH", 0 if reply else 8, 0, 0, 7, number) + bytes(56)
            )

    def unreachable(self, at_s: float, src: bytes, dst: bytes, quoted: bytes, *, code: int = 3) -> None:
        """An ICMP destination unreachable about the first octets of a packet that `dst` sent."""
        self.ip(at_s, src, dst, ICMP, struct.pack(">BBHI", 3, code, 0, 0) + quoted[:28])

    def options(self) -> bytes:
        """TCP options of a SYN as a real system sends them, with a timestamp."""
        stamp = self.random.getrandbits(32)
        return bytes.fromhex("020405b40402080a") + struct.pack(">II", stamp, 0) + bytes.fromhex("01030307")

    def talk(
        self,
        at_s: float,
        src: bytes,
        dst: bytes,
        port: int,
        sent: tuple[bytes, ...] = (b"x",),
        got: tuple[bytes, ...] = (b"y",),
        *,
        rtt_s: float = 0.02,
        sport: int | None = None,
        reset: bool = False,
    ) -> float:
        """A TCP conversation from its SYN to its FINs, request and response by turns; returns when it ended."""
        rand = self.random
        sport = rand.randrange(32_768, 61_000) if sport is None else sport
        seq, other = rand.getrandbits(32), rand.getrandbits(32)
        there = (src, sport, dst, port)
        back = (dst, port, src, sport)
        self.tcp(at_s, *there, SYN, seq=seq, options=self.options())
        self.tcp(at_s + rtt_s / 2, *back, SYN | ACK, seq=other, ack=seq + 1, options=self.options())
        at_s += rtt_s
        seq, other = seq + 1, other + 1
        self.tcp(at_s, *there, ACK, seq=seq, ack=other)
        for turn in range(max(len(sent), len(got))):
            if turn < len(sent):
                self.tcp(at_s, *there, PUSH | ACK, seq=seq, ack=other, payload=sent[turn])
                seq += len(sent[turn])
            if turn < len(got):
                for first in range(0, len(got[turn]), 1400):
                    piece = got[turn][first : first + 1400]
                    self.tcp(at_s + rtt_s / 2, *back, PUSH | ACK, seq=other, ack=seq, payload=piece)
                    other += len(piece)
                self.tcp(at_s + rtt_s, *there, ACK, seq=seq, ack=other)
            at_s += rtt_s
        if reset:
            self.tcp(at_s, *there, RST | ACK, seq=seq, ack=other)
            return at_s
        self.tcp(at_s, *there, FIN | ACK, seq=seq, ack=other)
        self.tcp(at_s + rtt_s / 2, *back, FIN | ACK, seq=other, ack=seq + 1)
        self.tcp(at_s + rtt_s, *there, ACK, seq=seq + 1, ack=other + 1)
        return at_s + rtt_s

    # ---- the file

    def write(self, path: Path) -> None:
        """Write a pcap (microseconds, Ethernet) in order of time; SystemRefusal when the disk does not let it."""
        self._frames.sort(key=lambda frame: frame[0])
        with whole(path) as file:
            file.write(PCAP.pack(0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1))
            for time_us, frame in self._frames:
                size = len(frame)
                file.write(RECORD.pack(*divmod(time_us, 1_000_000), size, size) + frame)


def hops(address: bytes) -> int:
    """The IP TTL with which packets of this address arrive: always the same, as routes are."""
    if at_home(address):
        return 63
    mixed = sum(address[-3:]) * 7 + address[-1]
    return (64, 64, 128, 255)[mixed % 4] - 6 - mixed % 13


def _ip4(src: bytes, dst: bytes, protocol: int, ttl: int, number: int, body: bytes, field: int) -> bytes:
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), number, field, ttl, protocol, 0)
    total: int = sum(struct.unpack(">10H", head + src + dst))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + (0xFFFF ^ total).to_bytes(2) + src + dst + body


def inner_ip4(src: bytes, dst: bytes, protocol: int, body: bytes, *, ip_id: int) -> bytes:
    """An IPv4 packet to be carried inside of another."""
    return _ip4(src, dst, protocol, 64, ip_id, body, 0)
