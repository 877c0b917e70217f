"""What tools write, by which they are told where rates and counts do not, and what looks like it. Files only.

hping3, nmap, BlackNurse (TDC SOC, 2016), iodine, dnscat2, dns2tcp and DNSExfiltrator: only what a capture shows.
"""

import base64
import struct

from dnsonde.lab import _traffic_dns as dns
from dnsonde.lab._traffic_dns import a, answer, ask, lookup, mx, txt
from dnsonde.lab._traffic_floods import Nowhen
from dnsonde.lab._traffic_place import MONITOR, RESOLVER, client, device, far, letters, outside, server, site
from dnsonde.lab._traffic_tape import ACK, FIN, ICMP, PUSH, RST, SYN, UDP, Tape, inner_ip4, packed

EVERY_FLAG = FIN | SYN | RST | ACK
VECTORS = {
    "crafted": "syn",
    "scattered": "syn",
    "errors": "icmp_error",
    "flags": "flags",
    "no_flags": "flags",
}
LAYOUTS = (  # TCP options as three systems send them: Linux, Windows, Apple
    bytes.fromhex("020405b40402080a00000001000000000103030701010101"),
    bytes.fromhex("020405b40103030801010402"),
    bytes.fromhex("020405b4010303060101080a000000010000000004020000"),
)
ROUTING = (
    (89, "224.0.0.5"),
    (103, "224.0.0.13"),
    (112, "224.0.0.18"),
    (88, "224.0.0.10"),
)  # OSPF, PIM, VRRP, EIGRP
LEARNING = "aabbccddeeffgghhiijjkkllmmnnooppqqrrssttuuvvwwxxyyzz"  # iodine: which octets pass


# ---- floods and scans


def crafted_flood(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    how: str,
    victim: str,
    packets: int = 2_000,
    bots: int = 1,
) -> None:
    """Packets that no system sends.

    how: crafted (SYNs without options, each from the next port), scattered (the same at ever other ports), errors
    (ICMP port unreachable by the thousand), flags (all of them) or no_flags.
    """
    whom, rand = packed(victim), tape.random
    tape.label("flood", whom, vector=VECTORS[how])
    quoted = inner_ip4(whom, outside(9), UDP, struct.pack(">HHHH", 4_000, 161, 60, 0), ip_id=1)
    for number, at in enumerate(tape.times(start_s, lasts_s, packets)):
        source, sport = far(80_000 + number % bots), 2_000 + number // bots % 60_000
        if how == "scattered":
            tape.label("service_scan", source, expected=False)  # it has tried every port
            tape.tcp(at, source, rand.randrange(1_024, 65_000), whom, rand.randrange(1, 65_536), SYN)
        elif how == "crafted":
            tape.tcp(at, source, sport, whom, 80, SYN, window=512)
        elif how == "errors":
            tape.unreachable(at, source, whom, quoted)
        else:
            tape.tcp(at, source, sport, whom, 80, EVERY_FLAG if how == "flags" else 0, window=512)


def nmap(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    how: str,
    source: int = 320,
    targets: int = 60,
) -> None:
    """Scans without a port to ask for; how: protocols (all 256 of one address), or acks (is there a filter?)."""
    whose, rand = outside(source), tape.random
    tape.label("service_scan", whose)
    if how == "protocols":
        numbers = rand.sample(range(256), 256)
        for at, number in zip(tape.times(start_s, lasts_s, len(numbers)), numbers, strict=True):
            tape.ip(at, whose, server(77), number, b"")
        return
    sport, seq = rand.randrange(32_768, 61_000), rand.getrandbits(32)
    for number, at in enumerate(tape.times(start_s, lasts_s, targets)):
        whom = device(number)
        tape.tcp(at, whose, sport, whom, 80, ACK, seq=seq, ack=seq, window=1_024)
        if number % 3:
            tape.tcp(at + 1e-4, whom, 80, whose, sport, RST, seq=seq, window=0)


def short_answers(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    victim: str,
    servers: int = 400,
    answers: int = 1_200,
    speaks: bool = True,
) -> None:
    """Resolvers by the hundred answer one question in the victim's name: small answers, which amplify nothing.

    speaks: the victim says something at the time, so that what it asks for would be seen.
    """
    whom = packed(victim)
    tape.label("amplification", whom, protocol="dns")
    if speaks:
        tape.talk(start_s, whom, far(3), 443)
    for number, at in enumerate(tape.times(start_s, lasts_s, answers)):
        unseen = Tape(f"{number}", Nowhen())
        asked = ask(unseen, at, whom, far(90_000 + number % servers), "short.example", port=4_444, edns=0)
        answer(tape, at, asked, [a("203.0.113.9")], edns=0)


# ---- tunnels of few names


def few_names(
    tape: Tape, *, start_s: float, lasts_s: float, tool: str, domain: str, queries: int = 16
) -> None:
    """A session that says little; tool: iodine_rest, iodine_start, dns2tcp, dnscat2, filled (DNSExfiltrator) or pieces.

    pieces: those of a file, numbered, in names for A.
    """
    tape.label("dns_tunnel", domain)
    for number, at in enumerate(tape.times(start_s, lasts_s, queries)):
        name, kind, record = _few(tape, tool, number)
        if kind in {dns.CNAME, dns.MX}:
            below = f"{tape.random.randbytes(9).hex()}.{domain}"
            record = mx(below, 60) if kind == dns.MX else (dns.CNAME, 60, dns.wire_name(below))
        lookup(tape, at, client(44), RESOLVER, f"{name}.{domain}", kind, [record], after_s=0.05)


def _few(tape: Tape, tool: str, number: int) -> tuple[str, int, dns.Record]:
    rand = tape.random
    if tool == "iodine_rest":  # pings alone
        return f"p{letters(rand, 7)}", dns.NULL, (dns.NULL, 0, rand.randbytes(2))
    if tool == "iodine_start":
        return f"z{letters(rand, 3)}{LEARNING}", dns.TXT, txt(LEARNING.encode())
    if tool == "dns2tcp":
        word = "=auth" if number == 0 else "=connect" if number == 1 else letters(rand, 6)
        return f"{base64.b64encode(rand.randbytes(18)).decode()}.{word}", dns.TXT, txt(rand.randbytes(6))
    if tool == "dnscat2":
        return rand.randbytes(9).hex(), (dns.TXT, dns.CNAME, dns.MX)[number % 3], txt(rand.randbytes(9))
    if tool == "pieces":
        data = base64.b32encode(rand.randbytes(31)).decode().rstrip("=").lower()
        return f"{data}.{number + 1:03}.1w0iy8", dns.A, a("127.0.0.1", 1)
    data = base64.b32encode(rand.randbytes(110)).decode().rstrip("=")
    return f"{number}.{data[:60]}.{data[60:120]}.{data[120:]}", dns.TXT, txt(b"OK")


# ---- what looks like it


def errors_at_us(tape: Tape, *, start_s: float, lasts_s: float, errors: int = 1_500) -> None:
    """Routers and hosts by the dozen tell a host of ours that what it wrote to is gone: a few each, in a burst."""
    quoted = inner_ip4(RESOLVER, far(5), UDP, struct.pack(">HHHH", 5_000, 53, 60, 0), ip_id=1)
    for number, at in enumerate(tape.times(start_s, lasts_s, errors)):
        whose = far(60_000 + number % 60)
        tape.unreachable(at, whose, RESOLVER, quoted, code=number % 4)
        if number % 8 == 0:  # a traceroute
            tape.ip(at, whose, MONITOR, ICMP, struct.pack(">BBHI", 11, 0, 0, 0) + quoted[:28])


def out_of_reach(tape: Tape, *, start_s: float, lasts_s: float, clients: int = 1_500) -> None:
    """Phones of one network whose service of ours is down: a SYN or two each, as their systems write them."""
    rand = tape.random
    for number, at in enumerate(tape.times(start_s, lasts_s, clients)):
        whose = bytes([198, 19, number // 250, 1 + number % 250])
        sport, seq = rand.randrange(32_768, 61_000), rand.getrandbits(32)
        for again in range(1 + number % 2):
            tape.tcp(at + again, whose, sport, server(70), 443, SYN, seq=seq, options=LAYOUTS[number % 3])


def plain_stack(tape: Tape, *, start_s: float, lasts_s: float, polls: int = 600) -> None:
    """A controller with a small TCP, which sends no options, reads a value of ours again and again."""
    rand = tape.random
    for number, at in enumerate(tape.times(start_s, lasts_s, polls)):
        there, back = (outside(340), 4_000 + number), (server(71), 502)
        seq = rand.getrandbits(32)
        tape.tcp(at, *there, *back, SYN, seq=seq, window=1_460)
        tape.tcp(at + 0.001, *back, *there, SYN | ACK, seq=7, ack=seq + 1)
        tape.tcp(at + 0.002, *there, *back, PUSH | ACK, seq=seq + 1, ack=8, payload=bytes(12))
        tape.tcp(at + 0.003, *back, *there, PUSH | ACK, seq=8, ack=seq + 13, payload=bytes(9))
        tape.tcp(at + 0.004, *there, *back, FIN | ACK, seq=seq + 13, ack=17)
        tape.tcp(at + 0.005, *back, *there, FIN | ACK, seq=17, ack=seq + 14)


def keepalives(tape: Tape, *, start_s: float, lasts_s: float, connections: int = 90) -> None:
    """Idle connections say that they are there: of one host to many servers, and of a server to many clients."""
    rand = tape.random
    for number, at in enumerate(tape.times(start_s, lasts_s, connections)):
        sport = rand.randrange(32_768, 61_000)
        ends = ((client(8), sport, far(50_000 + number), 443), (server(72), 443, far(number), sport))
        for src, port, dst, other in ends:
            tape.tcp(at, src, port, dst, other, ACK, seq=number, ack=9)
            tape.tcp(at + 0.02, dst, other, src, port, ACK, seq=8, ack=number + 1)


def routing(tape: Tape, *, start_s: float, lasts_s: float, hellos: int = 300) -> None:
    """Routers greet each other, and two gateways have a tunnel: protocols that are neither TCP nor UDP."""
    rand = tape.random
    for number, at in enumerate(tape.times(start_s, lasts_s, hellos)):
        protocol, group = ROUTING[number % len(ROUTING)]
        tape.ip(at, client(number % 3), packed(group), protocol, rand.randbytes(44), ttl=1, inbound=False)
        tape.ip(at, outside(341), server(73), (50, 132, 4, 47)[number % 4], bytes(8) + rand.randbytes(120))


def answers_alone(tape: Tape, *, start_s: float, lasts_s: float, answers: int = 1_500) -> None:
    """A tap that sees one direction: our resolver's answers from everywhere, to questions that went another way."""
    for number, at in enumerate(tape.times(start_s, lasts_s, answers)):
        unseen = Tape(f"{number}", Nowhen())
        whom = far(40_000 + number % 300)
        asked = ask(
            unseen, at, RESOLVER, whom, f"{letters(tape.random, 3)}.{site(tape.random, 900)}", rd=False
        )
        answer(tape, at, asked, [a(far(number))], aa=True, ra=False)


def keys_and_proofs(tape: Tape, *, start_s: float, lasts_s: float, selectors: int = 12) -> None:
    """TXT and CNAME of long names, few for a domain: DKIM keys, SPF, ACME challenges, and a CDN's own names."""
    rand = tape.random
    for number, at in enumerate(tape.times(start_s, lasts_s, selectors)):
        key = base64.b64encode(rand.randbytes(270))
        asked = (
            (f"{letters(rand, 32)}._domainkey.mailer.example", dns.TXT, txt(b"v=DKIM1; k=rsa; p=" + key)),
            ("_spf.mailer.example", dns.TXT, txt(b"v=spf1 ip4:198.51.100.0/24 -all")),
            (f"{rand.randbytes(16).hex()}.acme-proofs.example", dns.TXT, txt(letters(rand, 43).encode())),
            (f"_acme-challenge.shop-{number}.store.example", dns.TXT, txt(letters(rand, 43).encode())),
            (
                f"{rand.randbytes(16).hex()}-{rand.randbytes(20).hex()}.elb.eu-west.cloud-balancer.example",
                dns.CNAME,
                (dns.CNAME, 60, dns.wire_name("edge.cloud-balancer.example")),
            ),
        )
        for place, (name, kind, record) in enumerate(asked):
            lookup(tape, at + place / 100, client(20 + number % 5), RESOLVER, name, kind, [record])


def sampled(tape: Tape, *, start_s: float, lasts_s: float, connections: int = 90) -> None:
    """A tap that keeps one packet of a thousand: of a client's downloads from a server's many ports, an ACK of each."""
    rand = tape.random
    for number, at in enumerate(tape.times(start_s, lasts_s, connections)):
        sport, port = rand.randrange(50_000, 61_000), rand.randrange(20_000, 40_000)
        tape.tcp(at, client(31), sport, outside(342), port, ACK, seq=number, ack=rand.getrandbits(32))


def shards(tape: Tape, *, start_s: float, lasts_s: float, names: int = 90) -> None:
    """Hosts with numbers for names, one after the other: tiles of a map, and pages of a crawl with an id in each."""
    rand = tape.random
    for number, at in enumerate(tape.times(start_s, lasts_s, names)):
        lookup(tape, at, client(32), RESOLVER, f"{number}.tiles.maps.example", dns.A, [a(far(number))])
        page = f"{rand.randbytes(20).hex()}.{rand.randrange(900_000)}.cache.crawl.example"
        lookup(tape, at + 0.1, client(32), RESOLVER, page, dns.A, [a(far(9))])
