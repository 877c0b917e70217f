"""Floods as a capture records them: bytes, sizes and rates of each vector; nothing here can send one.

The marks are those of `intel/markers.toml`; reflected answers carry what such services answer (US-CERT TA14-017A).
"""

import struct
from random import Random

from dnsonde.lab import _traffic_dns as dns
from dnsonde.lab._traffic_dns import NXDOMAIN, answer, ask, txt
from dnsonde.lab._traffic_place import client, device, far, letters, nobody, outside, server
from dnsonde.lab._traffic_tape import ACK, FIN, GRE, PUSH, RST, SYN, UDP, Tape, inner_ip4, packed, text

A2S = bytes.fromhex("ffffffff54536f7572636520456e67696e65205175657279")
RAKNET = bytes.fromhex("00ffff00fefefefefdfdfdfd")
MADE_UP_OPTIONS = bytes.fromhex("020405b40101040201030308")
PORTS = {
    "syn": 443, "ack": 443, "stomp": 80, "udp_plain": 9_307, "vse": 27_015, "raknet": 19_132, "fivem": 30_120,
    "http": 80, "dns": 53, "ncp": 524, "samp": 7_777, "ts3init1": 9_987, "udp": 0, "udp_empty": 9_955,
}  # fmt: skip
NAMED = {
    "syn", "ack", "stomp", "udp_plain", "udp_service", "udp_empty", "vse", "raknet", "fivem", "gre_ip", "gre_eth",
    "http", "dns", "ncp", "fin", "rst", "icmp", "icmp_reply", "fragments", "ip_protocol",
}  # fmt: skip
BARE = {"rst": RST, "fin": FIN | ACK}


def flood(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    vector: str,
    victim: str,
    packets: int = 3_000,
    bots: int = 40,
    sources: str = "bots",
    size: int = 0,
) -> None:
    """One victim gets more than it can bear; sources: "bots" outside, "forged" ones, or devices at "home"."""
    whom = packed(victim)
    if vector in NAMED:
        tape.label("flood", whom, vector=vector)
    else:
        tape.label("flood", whom)
    if vector == "http":
        _requests(tape, start_s, lasts_s, whom, packets, bots)
        return
    if vector == "stomp":
        _stomp(tape, start_s, lasts_s, whom, packets, bots, sources)
        return
    if vector == "dns":  # names made up, at the name server itself
        tape.label("random_subdomain", "victim-zone.example")
    for number, at in enumerate(tape.times(start_s, lasts_s, packets)):
        source = _source(tape.random, sources, number % bots) if len(whom) == 4 else _nobody6(tape.random)
        _packet(tape, at, vector, source, whom, size)


def _nobody6(rand: Random) -> bytes:
    return bytes.fromhex("2001") + rand.randbytes(14)


def _source(rand: Random, sources: str, number: int) -> bytes:
    if sources == "forged":
        return nobody(rand)
    return device(number) if sources == "home" else far(70_000 + number)


def _packet(tape: Tape, at_s: float, vector: str, src: bytes, dst: bytes, size: int) -> None:
    rand = tape.random
    sport, port = rand.randrange(1_024, 65_000), PORTS.get(vector, 0)
    if vector == "udp_service":
        sport = rand.choice((53, 123, 1_900))
    if vector == "syn":
        tape.tcp(at_s, src, sport, dst, port, SYN, options=MADE_UP_OPTIONS)
    elif vector == "ack":
        tape.tcp(
            at_s, src, sport, dst, port, ACK, ack=rand.getrandbits(32), payload=rand.randbytes(size or 512)
        )
    elif vector in BARE:
        tape.tcp(at_s, src, sport, dst, 443, BARE[vector], ack=rand.getrandbits(32))
    elif vector in {"icmp", "icmp_reply"}:
        tape.ping(at_s, src, dst, sport, reply=vector == "icmp_reply")
    elif vector == "fragments":
        tape.piece(at_s, src, dst, UDP, rand.randbytes(size or 1_400), first=1_480)
    elif vector == "ip_protocol":
        tape.ip(at_s, src, dst, 140 + rand.randrange(100), rand.randbytes(size or 64))
    elif vector in {"gre_ip", "gre_eth"}:
        _gre(tape, at_s, src, dst, ethernet=vector == "gre_eth")
    elif vector == "dns":
        asked = ask(tape, at_s, src, dst, f"{letters(rand, 12)}.victim-zone.example", port=sport, edns=0)
        if rand.random() < 0.5:
            answer(tape, at_s + 0.001, asked, rcode=NXDOMAIN, aa=True, ra=False)
    else:
        tape.udp(at_s, src, sport, dst, port or rand.randrange(1, 65_536), datagram(rand, vector, size))


def datagram(rand: Random, vector: str, size: int) -> bytes:
    """The UDP payload of one vector."""
    if vector == "vse":
        return A2S + b"\0" + rand.randbytes(size or 180)
    if vector == "raknet":
        return b"\x01" + rand.randbytes(8) + RAKNET + bytes.fromhex("3af21b3847738019") + rand.randbytes(12)
    if vector == "fivem":
        return (
            b"\xff\xff\xff\xffgetinfo xyz"[: rand.choice((15, 15, 14))]
            if size
            else b"\xff\xff\xff\xffgetinfo xyz"
        )
    if vector == "ncp":
        return rand.randbytes(22) + bytes.fromhex("e0c005808102f1eaf54f") + rand.randbytes(111)
    if vector == "samp":
        return b"SAMP" + rand.randbytes(6) + b"i"
    if vector == "ts3init1":
        return b"TS3INIT1\0e\0\0\x88" + rand.randbytes(21)
    if vector == "udp_empty":
        return b""
    if vector == "udp_plain":
        return rand.randbytes(1_312)
    return rand.randbytes(size or 512)


def _gre(tape: Tape, at_s: float, src: bytes, dst: bytes, *, ethernet: bool) -> None:
    rand = tape.random
    number = rand.getrandbits(16)
    body = struct.pack(">HHHH", rand.getrandbits(16), rand.getrandbits(16), 520, 0) + rand.randbytes(512)
    inner = inner_ip4(nobody(rand), dst, 17, body, ip_id=~(number - 1_000) & 0xFFFF)
    if ethernet:
        inner = rand.randbytes(6) + rand.randbytes(6) + b"\x08\0" + inner
    kind = 0x6558 if ethernet else 0x0800
    tape.ip(at_s, src, dst, GRE, struct.pack(">HH", 0, kind) + inner, ip_id=number)


def _requests(tape: Tape, start_s: float, lasts_s: float, whom: bytes, packets: int, bots: int) -> None:
    """Each bot opens connection after connection and asks for pages without end."""
    count = max(bots, packets // 24)
    for number, at in enumerate(tape.times(start_s, lasts_s, count)):
        asks = tuple(
            f"GET /?{letters(tape.random, 8)} HTTP/1.1\r\nHost: {text(whom)}\r\nConnection: keep-alive\r\n\r\n".encode()
            for _ in range(6)
        )
        page = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
        tape.talk(at, far(70_000 + number % bots), whom, 80, asks, (page,) * 6, rtt_s=0.004, reset=True)


def _stomp(
    tape: Tape, start_s: float, lasts_s: float, whom: bytes, packets: int, bots: int, sources: str
) -> None:
    """Each bot opens one true connection with a bare SYN, and throws data at it that nobody asked for."""
    rand = tape.random
    seqs = [rand.getrandbits(32) for _ in range(bots)]
    for number in range(bots):
        at, src, sport = start_s + number * 1e-4, _source(rand, sources, number), 20_000 + number
        tape.tcp(at, src, sport, whom, 80, SYN, seq=seqs[number])
        tape.tcp(at + 0.002, whom, 80, src, sport, SYN | ACK, seq=7, ack=seqs[number] + 1)
    for number, at in enumerate(tape.times(start_s + 0.01, lasts_s - 0.01, packets)):
        bot = number % bots
        seqs[bot] += 768
        tape.tcp(
            at, _source(rand, sources, bot), 20_000 + bot, whom, 80, ACK | PUSH,
            seq=seqs[bot], ack=8, payload=rand.randbytes(768),
        )  # fmt: skip


# ---- reflection

SEEK = b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nST: ssdp:all\r\n\r\n'
SEARCH = bytes.fromhex("3025020101 6320 0400 0a0100 0a0100 020100 020100 010100 870b") + b"objectclass0\0"
BULK = bytes.fromhex(
    "3026020101 0406 7075626c6963 a519 020101 020100 020200ff 300d 300b 0607 2b060102010105 0500"
)
QUESTIONS = {  # service: (port, what is asked)
    "ntp": (123, bytes.fromhex("1700032a") + bytes(4)),
    "ssdp": (1900, SEEK),
    "cldap": (389, SEARCH),
    "memcached": (11_211, bytes.fromhex("0000000000010000") + b"stats\r\n"),
    "snmp": (161, BULK),
    "chargen": (19, b"\0"),
}


def _reflected(rand: Random, protocol: str) -> list[bytes]:
    """What a service answers to one question: one datagram or several."""
    if protocol == "ntp":
        return [bytes.fromhex("d700032a00060048") + rand.randbytes(432) for _ in range(6)]
    if protocol == "ssdp":
        head = b"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: upnp:rootdevice\r\nUSN: uuid:"
        return [head + rand.randbytes(100).hex().encode() for _ in range(5)]
    if protocol == "cldap":
        return [bytes.fromhex("308400000bb4020101") + rand.randbytes(2_950)]
    if protocol == "memcached":
        return [
            rand.randbytes(2) + struct.pack(">HHH", n, 6, 0) + b"STAT " + rand.randbytes(1_380)
            for n in range(6)
        ]
    if protocol == "snmp":
        return [bytes.fromhex("308205dc0201010406") + b"public" + bytes.fromhex("a2") + rand.randbytes(1_700)]
    return [bytes(32 + (n + k) % 95 for k in range(74) for n in range(14))]


def reflection(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    protocol: str,
    victim: str,
    seen: str = "victim",
    reflectors: int = 12,
    questions: int = 300,
    ours: bool = False,
) -> None:
    """Forged questions in a victim's name, and the large answers that it gets.

    seen: at home's "reflector"s (both directions), at the "victim" (answers only), or "between" (both, neither end
    is home). ours: the reflectors are name servers that answer for their own zone, so nobody's open resolvers.
    """
    rand, whom = tape.random, packed(victim)
    tape.label("amplification", whom, protocol=protocol)
    tape.label("flood", whom, expected=False)  # by volume it may be one too
    sport = rand.randrange(1_024, 65_000)
    for number, at in enumerate(tape.times(start_s, lasts_s, questions)):
        place = number % reflectors
        source = server(30 + place) if seen == "reflector" else outside(60 + place)
        if protocol == "dns":
            if seen == "reflector" and not ours:
                tape.label("open_resolver", source)
            _reflected_dns(tape, at, whom, source, sport, asked_too=seen != "victim", ours=ours)
            continue
        port, question = QUESTIONS[protocol]
        if seen != "victim":
            tape.udp(at, whom, sport, source, port, question, inbound=True, ttl=240)
        for turn, body in enumerate(_reflected(rand, protocol)):
            tape.udp(at + 0.001 + turn * 1e-5, source, port, whom, sport, body)


def _reflected_dns(
    tape: Tape, at_s: float, whom: bytes, source: bytes, sport: int, *, asked_too: bool, ours: bool
) -> None:
    name = "big-zone.example"
    scratch = tape if asked_too else Tape(str(at_s), Nowhen())
    asked = ask(scratch, at_s, whom, source, name, dns.ANY, port=sport, edns=4096, inbound=True, ttl=240)
    records = [txt(tape.random.randbytes(1_900)), (dns.DNSKEY, 3600, tape.random.randbytes(1_100))]
    answer(tape, at_s + 0.001, asked, records, aa=ours, ra=not ours, edns=4096)


class Nowhen:
    """A clock for a tape that nobody looks at."""

    def now_us(self) -> int:
        return 0

    def monotonic_us(self) -> int:
        return 0

    def sleep_us(self, duration_us: int) -> None:
        del duration_us


# ---- spread thin, and scattered back


def carpet(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    prefix: str,
    addresses: int = 200,
    packets: int = 4_000,
    vector: str = "udp_plain",
    sources: str = "forged",
) -> None:
    """A flood whose packets go to many addresses of a prefix, a few to each."""
    tape.label("carpet_flood", prefix)
    base = packed(prefix.partition("/")[0])
    for number, at in enumerate(tape.times(start_s, lasts_s, packets)):
        whom = base[:-1] + bytes([1 + (number * 7) % addresses])
        source = _source(tape.random, sources, number % 60)
        if vector == "dns_answers":
            _reflected_dns(tape, at, whom, outside(number % 90), 4_444, asked_too=False, ours=False)
        else:
            _packet(tape, at, vector, source, whom, 0)


def scattered_back(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    victim: int,
    packets: int = 200,
    how: str = "synack",
    port: int = 443,
) -> None:
    """A victim outside answers a flood whose forged sources happen to be ours; how: synack, rst or icmp."""
    whose, rand = outside(victim), tape.random
    tape.label("backscatter", whose)
    for number, at in enumerate(tape.times(start_s, lasts_s, packets)):
        lucky = device(rand.randrange(20_000)) if number % 4 else client(rand.randrange(2_000))
        high = rand.randrange(1_024, 65_000)
        if how == "icmp":
            quoted = inner_ip4(lucky, whose, 17, struct.pack(">HHHH", high, port, 520, 0), ip_id=number)
            tape.unreachable(at, whose, lucky, quoted)
        else:
            flags = SYN | ACK if how == "synack" else RST | ACK
            tape.tcp(
                at,
                whose,
                port,
                lucky,
                high,
                flags,
                ack=rand.getrandbits(32),
                window=0 if how == "rst" else 29_200,
            )
