"""Bots and scanners as a capture records them: who looks for what, who tries passwords, who calls whom."""

from dnsonde.lab import _traffic_dns as dns
from dnsonde.lab._traffic_dns import a, answer, lookup
from dnsonde.lab._traffic_place import RESOLVER, client, device, far, outside, server
from dnsonde.lab._traffic_tape import ACK, FIN, PUSH, RST, SYN, Tape, packed

UDP_PROBES = {
    161: bytes.fromhex(
        "302902010104067075626c6963a01c02044c33a756020100020100300e300c06082b060102010105000500"
    ),
    1900: b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\n\r\n',
    5060: b"OPTIONS sip:nm SIP/2.0\r\n\r\n",
}


def mirai(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    targets: int = 80,
    source: int = 101,
    at_home: bool = False,
    ports: tuple[int, ...] | list[int] = (23, 2323),
) -> None:
    """SYNs whose sequence number is the destination address, most to the first port; `at_home`: the bot is ours."""
    whose, rand = device(source) if at_home else outside(source), tape.random
    tape.label("mirai_scan", whose)
    for number, at in enumerate(tape.times(start_s, lasts_s, targets)):
        whom = far(rand.randrange(100_000)) if at_home else _any_home(number)
        port = ports[0] if rand.random() < 0.9 else ports[-1]
        sport = rand.randrange(1_024, 65_000)
        tape.tcp(
            at, whose, sport, whom, port, SYN, seq=int.from_bytes(whom), window=rand.getrandbits(16), ttl=57
        )
        if number % 5 == 0:
            tape.tcp(at + 0.02, whom, port, whose, sport, RST | ACK, ack=int.from_bytes(whom) + 1, window=0)


def scan(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    how: str = "masscan",
    targets: int = 120,
    source: int = 120,
    port: int = 445,
    at_home: bool = False,
) -> None:
    """A scan without Mirai's mark; how: masscan, zmap, connect, udp, ping, vertical, xmas or null."""
    whose, rand = device(source) if at_home else outside(source), tape.random
    tape.label("service_scan", whose)
    for number, at in enumerate(tape.times(start_s, lasts_s, targets)):
        whom = far(number) if at_home else _any_home(number)
        sport = rand.randrange(32_768, 61_000)
        if how == "ping":
            tape.ping(at, whose, whom, number)
        elif how == "udp":
            tape.udp(at, whose, sport, whom, port, UDP_PROBES[port], ttl=241)
        elif how == "vertical":
            tape.tcp(at, whose, 55_555, server(3), number * 7 + 1, SYN, options=tape.options())
            if number % 10:
                tape.tcp(at + 1e-4, server(3), number * 7 + 1, whose, 55_555, RST | ACK)
        elif how in {"xmas", "null"}:
            tape.tcp(at, whose, 55_556, server(4), number + 20, FIN | PUSH | 32 if how == "xmas" else 0)
        elif how == "connect":
            tape.tcp(at, whose, sport, whom, port, SYN, seq=number, options=tape.options())
            if number % 6 == 0:  # it is there: noted, and dropped
                tape.tcp(
                    at + 0.001, whom, port, whose, sport, SYN | ACK, ack=number + 1, options=tape.options()
                )
                tape.tcp(at + 0.03, whose, sport, whom, port, ACK, seq=number + 1)
                tape.tcp(at + 0.031, whose, sport, whom, port, RST | ACK, seq=number + 1)
            else:
                tape.tcp(at + 0.001, whom, port, whose, sport, RST | ACK, ack=number + 1, window=0)
        else:
            zmap = how == "zmap"
            tape.tcp(
                at, whose, sport, whom, port, SYN, window=65_535 if zmap else 1_024,
                ttl=242, ip_id=54_321 if zmap else None,
            )  # fmt: skip
            if number % 7 == 0:
                tape.tcp(at + 0.001, whom, port, whose, sport, RST | ACK, window=0)


def _any_home(number: int) -> bytes:
    return server(number) if number % 3 == 0 else device(number)


def guessing(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    attempts: int = 45,
    source: int = 140,
    targets: int = 30,
    at_home: bool = False,
) -> None:
    """Login after login over Telnet: negotiation, a name, a password, a refusal."""
    whose, rand = device(source) if at_home else outside(source), tape.random
    tape.label("telnet_bruteforce", whose)
    for number, at in enumerate(tape.times(start_s, lasts_s, attempts)):
        whom = far(number % targets + 900) if at_home else device(number % targets)
        name, word = rand.choice(
            ((b"root", b"xc3511"), (b"admin", b"admin"), (b"root", b"vizxv"), (b"guest", b"12345"))
        )
        sent = (
            bytes.fromhex("fffd03fffb18fffb1f"),
            bytes.fromhex("fffa1f00500018fff0"),
            name + b"\r\n",
            word + b"\r\n",
            b"sh\r\n",
        )
        got = (
            bytes.fromhex("fffd18fffd20fffd23"),
            b"\r\nlogin: ",
            b"Password: ",
            b"\r\nLogin incorrect\r\n",
            b"login: ",
        )
        tape.talk(at, whose, whom, 23 if number % 10 else 2323, sent, got, rtt_s=0.06, reset=number % 2 == 0)


def command(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    host: int = 150,
    how: str = "name",
    indicator: str = "",
    port: int = 0,
) -> None:
    """A host of ours calls its master; how: it asks for the "name", or connects to the "address", or both in turn.

    A hello of 00 00 00 01, then 00 00 every minute, as Mirai's bots say it.
    """
    whose = client(host)
    tape.label("botnet_c2", whose)
    address = packed(indicator) if how == "address" else outside(477)
    if how != "address":
        lookup(tape, start_s, whose, RESOLVER, indicator, dns.A, [a(address, 60)])
        # The resolver asks on the host's behalf: to tell so of it is no mistake, and no help.
        tape.label("botnet_c2", RESOLVER, expected=False)
        lookup(
            tape,
            start_s + 0.001,
            RESOLVER,
            outside(40),
            indicator,
            dns.A,
            [a(address, 60)],
            rd=False,
            ra=False,
            aa=True,
        )
    if how != "name":
        turns = max(1, int(lasts_s // 60))
        said = (bytes.fromhex("00000001"), *[b"\0\0"] * turns)
        at, sport, seq, other = start_s + 0.1, 41_000 + host, 1_000, 5_000
        tape.tcp(at, whose, sport, address, port, SYN, seq=seq, options=tape.options())
        tape.tcp(
            at + 0.05, address, port, whose, sport, SYN | ACK, seq=other, ack=seq + 1, options=tape.options()
        )
        tape.tcp(at + 0.1, whose, sport, address, port, ACK, seq=seq + 1, ack=other + 1)
        for turn, words in enumerate(said):
            when = at + 0.2 + turn * min(60.0, lasts_s / len(said))
            tape.tcp(when, whose, sport, address, port, PUSH | ACK, seq=seq + 1, ack=other + 1, payload=words)
            tape.tcp(
                when + 0.05, address, port, whose, sport, PUSH | ACK, seq=other + 1, ack=seq, payload=b"\0\0"
            )
            seq, other = seq + len(words), other + 2


def unanswered_name(tape: Tape, *, start_s: float, lasts_s: float, host: int = 160, indicator: str) -> None:
    """A host of ours asks for its master's name again and again, and there is none any more."""
    tape.label("botnet_c2", client(host))
    for at in tape.times(start_s, lasts_s, 4):
        asked = dns.ask(tape, at, client(host), RESOLVER, indicator)
        answer(tape, at + 0.02, asked, rcode=dns.NXDOMAIN)
