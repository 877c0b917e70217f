"""What a network does all day, and above all what looks like a threat and is none."""

import struct

from dnsonde.lab import _traffic_dns as dns
from dnsonde.lab._traffic_dns import NXDOMAIN, a, answer, ask, lookup, mx, txt
from dnsonde.lab._traffic_place import (
    AUTHORITY,
    MAIL,
    MONITOR,
    RESOLVER,
    RESOLVER6,
    SCANNER,
    SHOP,
    WEB,
    WORDS,
    client,
    client6,
    device,
    far,
    letters,
    outside,
    outside6,
    server,
    site,
)
from dnsonde.lab._traffic_tape import ACK, PUSH, RST, SYN, Tape, packed

MDNS, MDNS6, SSDP = packed("224.0.0.251"), packed("ff02::fb"), packed("239.255.255.250")


def web(tape: Tape, *, start_s: float, lasts_s: float, clients: int = 12, visits: int = 40) -> None:
    """People look at web sites: a lookup at our resolver, then TLS with the site."""
    rand = tape.random
    for at in tape.times(start_s, lasts_s, visits):
        who, name = rand.randrange(clients), site(rand)
        number = sum(name.encode()) * 17
        lookup(tape, at, client(who), RESOLVER, name, dns.A, [a(far(number))])
        lookup(tape, at + 0.001, client(who), RESOLVER, name, dns.AAAA)
        hello, page = (
            b"\x16\x03\x01\x02\x00" + rand.randbytes(512),
            rand.randbytes(rand.randrange(2_000, 9_000)),
        )
        tape.talk(at + 0.03, client(who), far(number), 443, (hello, rand.randbytes(300)), (page, page))


def resolver(tape: Tape, *, start_s: float, lasts_s: float, names: int = 40) -> None:
    """Our resolver asks authorities outside: referrals, answers, types and families as they come."""
    rand = tape.random
    for at in tape.times(start_s, lasts_s, names):
        name, number = site(rand, 2_000), rand.randrange(3_000)
        if rand.random() < 0.2:
            asked = ask(tape, at, RESOLVER6, outside6(number), name, dns.AAAA, rd=False)
            answer(tape, at + 0.03, asked, [a(outside6(number + 1))], aa=True, ra=False)
            continue
        lookup(tape, at, RESOLVER, outside(number), name, rd=False, ra=False, referral=True)
        kind = rand.choice((dns.A, dns.A, dns.AAAA, dns.MX, dns.TXT, dns.DS))
        records = {
            dns.A: [a(far(number))],
            dns.MX: [mx("mail.example")],
            dns.TXT: [txt(b"v=spf1 mx -all")],
        }
        lookup(
            tape, at + 0.03, RESOLVER, far(number * 7), name, kind, records.get(kind, []),
            rd=False, ra=False, aa=True,
        )  # fmt: skip


def ntp(tape: Tape, *, start_s: float, lasts_s: float, exchanges: int = 10) -> None:
    """Hosts ask for the time (RFC 5905: client mode 3, server mode 4, 48 octets)."""
    for number, at in enumerate(tape.times(start_s, lasts_s, exchanges)):
        who, whom = client(number), outside(number % 4 + 60)
        tape.udp(at, who, 123, whom, 123, b"\x23" + bytes(47))
        tape.udp(at + 0.02, whom, 123, who, 123, b"\x24\x02\x03\xe9" + tape.random.randbytes(44))


def time_server(tape: Tape, *, start_s: float, lasts_s: float, clients: int = 300) -> None:
    """We are in the NTP pool: strangers ask us for the time."""
    for number, at in enumerate(tape.times(start_s, lasts_s, clients)):
        port = tape.random.randrange(1_024, 65_000)
        tape.udp(at, far(number), port, server(90), 123, b"\x23" + bytes(47))
        tape.udp(at + 0.0001, server(90), 123, far(number), port, b"\x24\x02\x03\xe9" + bytes(44))


def neighbours(tape: Tape, *, start_s: float, lasts_s: float, hosts: int = 8) -> None:
    """Multicast DNS and SSDP, by which devices at home find each other."""
    for number, at in enumerate(tape.times(start_s, lasts_s, hosts)):
        body = struct.pack(">HHHHHH", 0, 0, 1, 0, 0, 0) + dns.wire_name("_ipp._tcp.local") + b"\0\x0c\0\x01"
        tape.udp(at, client(number), 5353, MDNS, 5353, body, ttl=255, inbound=False)
        tape.udp(at + 0.1, client6(number), 5353, MDNS6, 5353, body, ttl=255, inbound=False)
        seek = b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\n\r\n'
        tape.udp(at + 0.2, client(number), 50_000 + number, SSDP, 1900, seek, ttl=2, inbound=False)


def monitoring(tape: Tape, *, start_s: float, lasts_s: float, hosts: int = 15, every_s: float = 10.0) -> None:
    """A monitor pings hosts, polls SNMP, and looks whether services answer, again and again."""
    rounds = max(1, int(lasts_s / every_s))
    for number in range(rounds):
        for host in range(hosts):
            at = start_s + number * every_s + host * 0.05
            tape.ping(at, MONITOR, server(host), number)
            tape.ping(at + 0.001, server(host), MONITOR, number, reply=True)
            sport = 40_000 + number % 1_000
            tape.udp(
                at + 0.01,
                MONITOR,
                sport,
                server(host),
                161,
                bytes.fromhex("302902010104067075626c6963") + bytes(30),
            )
            tape.udp(
                at + 0.012,
                server(host),
                161,
                MONITOR,
                sport,
                bytes.fromhex("302902010104067075626c6963") + bytes(60),
            )
        lookup(tape, start_s + number * every_s, MONITOR, RESOLVER, "www.example.com", dns.A, [a(far(1))])


def health_checks(
    tape: Tape, *, start_s: float, lasts_s: float, hosts: int = 6, every_s: float = 2.0
) -> None:
    """A load balancer outside opens a connection to each of a few servers and drops it at once."""
    balancer = outside(33)
    for number in range(max(1, int(lasts_s / every_s))):
        for host in range(hosts):
            at, sport = start_s + number * every_s + host * 0.01, 30_000 + number * 8 + host
            tape.tcp(at, balancer, sport, server(host), 443, SYN, seq=number, options=tape.options())
            tape.tcp(at + 0.001, server(host), 443, balancer, sport, SYN | ACK, seq=9, ack=number + 1)
            tape.tcp(at + 0.002, balancer, sport, server(host), 443, RST, seq=number + 1)


def mail_blocklists(tape: Tape, *, start_s: float, lasts_s: float, mails: int = 400) -> None:
    """A mail server looks up each sender: reversed addresses in blocklists and PTR, most of them without an answer."""
    rand = tape.random
    for at in tape.times(start_s, lasts_s, mails):
        sender = far(rand.randrange(100_000))
        turned = ".".join(str(octet) for octet in reversed(sender))
        pointer = (dns.PTR, 3600, dns.wire_name(f"host-{'-'.join(str(o) for o in sender)}.isp.example"))
        lookup(tape, at, MAIL, RESOLVER, f"{turned}.in-addr.arpa", dns.PTR, [pointer])
        for zone in ("zen.blocklist.example", "bl.spamlist.example", "dnsbl.third.example"):
            listed = rand.random() < 0.2
            records = [a("127.0.0.2")] if listed else []
            for asker, whom in ((MAIL, RESOLVER), (RESOLVER, outside(len(zone)))):
                lookup(
                    tape, at + 0.01, asker, whom, f"{turned}.{zone}", dns.A, records,
                    rcode=0 if listed else NXDOMAIN, aa=asker == RESOLVER, ra=asker == MAIL, rd=asker == MAIL,
                )  # fmt: skip


def domain_lists(tape: Tape, *, start_s: float, lasts_s: float, mails: int = 500) -> None:
    """A mail filter looks up the domains of links in a list of bad ones; hardly any is listed."""
    rand = tape.random
    for at in tape.times(start_s, lasts_s, mails):
        name = ".".join(
            [
                *([WORDS[rand.randrange(24)]] * rand.randrange(3)),
                f"{letters(rand, rand.randrange(4, 14))}.com",
            ]
        )
        lookup(tape, at, MAIL, RESOLVER, f"{name}.dbl.blocklist.example", rcode=NXDOMAIN)


def names_of_hosts(tape: Tape, *, start_s: float, lasts_s: float, hosts: int = 150) -> None:
    """Names of cloud and customers' hosts embed their address and lead to it, ours too."""
    rand = tape.random
    for number, at in enumerate(tape.times(start_s, lasts_s, hosts)):
        whose = far(rand.randrange(100_000)) if number % 3 else client(number)
        dashed = "-".join(str(octet) for octet in whose)
        name = rand.choice(
            (
                f"ec2-{dashed}.compute.cloud.example",
                f"ip{dashed}.dyn.isp.example",
                f"{whose.hex()}.edge.cdn.example",
            )
        )
        lookup(tape, at, client(number % 30), RESOLVER, name, dns.A, [a(whose, 86_400)])
        lookup(
            tape, at + 0.002, RESOLVER, outside(70), name, dns.A, [a(whose, 86_400)], rd=False, ra=False, aa=True
        )  # fmt: skip


def rotation(tape: Tape, *, start_s: float, lasts_s: float, queries: int = 300, pool: int = 24) -> None:
    """A CDN gives another few of its addresses each time, with a short TTL."""
    rand = tape.random
    for at in tape.times(start_s, lasts_s, queries):
        name = f"{rand.choice(('img', 'js', 'video'))}.cdn-{rand.randrange(3)}.example"
        records = [a(far(16 * rand.randrange(pool)), 20) for _ in range(3)]
        lookup(tape, at, RESOLVER, outside(80), name, dns.A, records, rd=False, ra=False, aa=True)


def dnssec(tape: Tape, *, start_s: float, lasts_s: float, queries: int = 200) -> None:
    """A validating resolver gets keys and signatures: large answers, fragments, and truncation with TCP after it."""
    rand = tape.random
    for at in tape.times(start_s, lasts_s, queries):
        name, whom = f"{rand.choice(WORDS)}.example", outside(rand.randrange(30))
        kind = rand.choice((dns.DNSKEY, dns.DS, dns.A, dns.TXT))
        asked = ask(tape, at, RESOLVER, whom, name, kind, rd=False, edns=4096)
        size = {dns.DNSKEY: 1_800, dns.A: 700, dns.TXT: 1_100}.get(kind, 300)
        data = [a(far(3))] if kind == dns.A else []
        records = [*data, (dns.DNSKEY if kind == dns.DNSKEY else 46, 3600, rand.randbytes(size))]
        answer(tape, at + 0.02, asked, records, aa=True, ra=False, edns=4096)


def antivirus(tape: Tape, *, start_s: float, lasts_s: float, lookups: int = 400) -> None:
    """Antivirus and telemetry put hashes, times and host names into names, and get an answer."""
    rand = tape.random
    for at in tape.times(start_s, lasts_s, lookups):
        who, kind = client(rand.randrange(60)), rand.randrange(4)
        if kind == 0:
            name = f"0.0.0.0.1.0.0.4e.{letters(rand, 26)}.avts.antivirus.example"
            lookup(tape, at, who, RESOLVER, name, dns.A, [a(f"127.{rand.randrange(256)}.0.1")])
        elif kind == 1:
            name = f"{rand.randbytes(20).hex()}.malware.hash.teamlist.example"
            lookup(tape, at, who, RESOLVER, name, dns.A, rcode=NXDOMAIN if rand.random() < 0.5 else 0,
                   records=[] if rand.random() < 0.5 else [a("127.0.0.2")])  # fmt: skip
        elif kind == 2:
            name = f"{tape.now_s(at)}-{letters(rand, 8)}.metrics.telemetry.example"
            lookup(tape, at, who, RESOLVER, name, dns.A, [a(far(99))])
        else:
            name = f"p4-{letters(rand, 12)}-{letters(rand, 16)}-if-v6exp3-v4.metric.search.example"
            lookup(tape, at, who, RESOLVER, name, dns.A, [a(far(98))])


def search_suffix(tape: Tape, *, start_s: float, lasts_s: float, queries: int = 900) -> None:
    """Stubs append the company's suffix to every name first: a storm of NXDOMAIN below it."""
    rand = tape.random
    for at in tape.times(start_s, lasts_s, queries):
        name = rand.choice((
            f"{site(rand, 4_000)}.corp.example", f"{letters(rand, 8, LOWER)}.corp.example",
            f"wpad.{rand.choice(WORDS)}.corp.example", f"api.{site(rand, 4_000)}.corp.example",
        ))  # fmt: skip
        lookup(tape, at, client(rand.randrange(80)), RESOLVER, name, rcode=NXDOMAIN)


def typed_names(tape: Tape, *, start_s: float, lasts_s: float, queries: int = 60) -> None:
    """Browsers ask for three random names to see whether somebody answers for what does not exist."""
    rand = tape.random
    for at in tape.times(start_s, lasts_s, queries):
        for number in range(3):
            lookup(
                tape,
                at + number / 1000,
                client(rand.randrange(40)),
                RESOLVER,
                letters(rand, 10, LOWER),
                rcode=NXDOMAIN,
            )


def speed_test(
    tape: Tape, *, start_s: float, lasts_s: float, packets: int = 3_000, udp: bool = False
) -> None:
    """A speed test: one host gets, then sends, as much as the line carries, with one server."""
    who, whom, rand = client(5), outside(90), tape.random
    half = rand.randbytes(1_400)
    if not udp:
        tape.talk(start_s, who, whom, 8080, (b"GET /garbage",), (b"ok",), sport=51_000)
    for number, at in enumerate(tape.times(start_s + 0.2, lasts_s - 0.3, packets)):
        down = number < packets * 0.6
        src, dst = (whom, who) if down else (who, whom)
        if udp:  # QUIC: short header
            tape.udp(at, src, 443 if down else 51_001, dst, 51_001 if down else 443, b"\x43" + half[:1_250])
        else:
            ports = (8080, 51_000) if down else (51_000, 8080)
            tape.tcp(at, src, ports[0], dst, ports[1], ACK, seq=number * 1400, ack=1, payload=half)
            if number % 2:
                tape.tcp(at + 0.0002, dst, ports[1], src, ports[0], ACK, seq=1, ack=number * 1400)


def flash_crowd(tape: Tape, *, start_s: float, lasts_s: float, visitors: int = 400) -> None:
    """Everybody comes to our shop at once, and talks: handshakes end, requests get pages."""
    rand = tape.random
    for number, at in enumerate(tape.times(start_s, lasts_s, visitors)):
        request = b"GET /sale HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0\r\n\r\n"
        page = b"HTTP/1.1 200 OK\r\n\r\n" + rand.randbytes(3_000)
        tape.talk(at, far(number), SHOP, 80, (request, request), (page, page), rtt_s=0.05)


def own_scanner(tape: Tape, *, start_s: float, lasts_s: float, hosts: int = 120) -> None:
    """Our own vulnerability scanner looks at our own hosts; that it scans may be told as information."""
    tape.label("service_scan", SCANNER, expected=False)
    for number, at in enumerate(tape.times(start_s, lasts_s, hosts)):
        for port in (22, 80, 443):
            tape.tcp(at + port / 1e5, SCANNER, 45_000, device(number), port, SYN, options=tape.options())
            tape.tcp(at + port / 1e5 + 1e-4, device(number), port, SCANNER, 45_000, RST | ACK)


def our_authority(tape: Tape, *, start_s: float, lasts_s: float, queries: int = 500) -> None:
    """Resolvers everywhere ask our name server for our zone; it answers with authority, or says no."""
    rand = tape.random
    for at in tape.times(start_s, lasts_s, queries):
        whose = far(rand.randrange(4_000))
        kind = rand.random()
        if kind < 0.7:
            name = f"{rand.choice(WORDS)}.home.example"
            lookup(tape, at, whose, AUTHORITY, name, dns.A, [a(WEB)], rd=False, ra=False, aa=True)
        elif kind < 0.85:
            lookup(tape, at, whose, AUTHORITY, "home.example", dns.DNSKEY, [(dns.DNSKEY, 3600, bytes(600))],
                   rd=False, ra=False, aa=True)  # fmt: skip
        elif kind < 0.95:
            lookup(tape, at, whose, AUTHORITY, f"{letters(rand, 6)}.home.example", rcode=NXDOMAIN,
                   rd=False, ra=False, aa=True)  # fmt: skip
        else:  # a stub that lost its way
            lookup(tape, at, whose, AUTHORITY, site(rand), rcode=dns.REFUSED, ra=False)


def games(tape: Tape, *, start_s: float, lasts_s: float, packets: int = 600) -> None:
    """Game servers of ours: genuine A2S, FiveM and RakNet queries of players, and the game's own small datagrams."""
    rand = tape.random
    seek = b"\xff\xff\xff\xffTSource Engine Query\0"
    for at in tape.times(start_s, lasts_s, packets):
        player = far(rand.randrange(20))
        port = 27_005 + player[3] % 7
        kind = rand.random()
        if kind < 0.03:
            tape.udp(at, player, port, server(70), 27_015, seek)
            tape.udp(at + 0.001, server(70), 27_015, player, port, b"\xff\xff\xff\xffI\x11" + bytes(90))
        elif kind < 0.05:
            tape.udp(at, player, port, server(71), 30_120, b"\xff\xff\xff\xffgetinfo xyz")
            tape.udp(
                at + 0.001, server(71), 30_120, player, port, b"\xff\xff\xff\xffinfoResponse\n" + bytes(200)
            )
        elif kind < 0.5:
            tape.udp(at, player, port, server(70), 27_015, rand.randbytes(rand.randrange(30, 120)))
        else:
            tape.udp(at, server(70), 27_015, player, port, rand.randbytes(rand.randrange(60, 400)))


def calls(tape: Tape, *, start_s: float, lasts_s: float, packets: int = 1_500) -> None:
    """A video call: RTP (RFC 3550) both ways, a steady stream between two addresses."""
    who, whom, rand = client(7), outside(120), tape.random
    for number, at in enumerate(tape.times(start_s, lasts_s, packets)):
        body = struct.pack(">BBHII", 0x80, 96, number, number * 3_000, 4_711)
        if number % 2:
            tape.udp(at, whom, 3_478, who, 50_004, body + rand.randbytes(rand.randrange(100, 1_100)))
        else:
            tape.udp(at, who, 50_004, whom, 3_478, body + rand.randbytes(rand.randrange(100, 1_100)))


def file_sharing(tape: Tape, *, start_s: float, lasts_s: float, peers: int = 150) -> None:
    """A BitTorrent client finds peers (BEP 5) and reaches only some; each has a port of its own."""
    who, rand = client(9), tape.random
    for number, at in enumerate(tape.times(start_s, lasts_s, peers)):
        peer, port = far(50_000 + number), rand.randrange(1_025, 65_000)
        tape.udp(
            at, who, 51_413, peer, port, b"d1:ad2:id20:" + rand.randbytes(20) + b"e1:q4:ping1:t2:aa1:y1:qe"
        )
        if number % 3 == 0:
            tape.udp(
                at + 0.08, peer, port, who, 51_413, b"d1:rd2:id20:" + rand.randbytes(20) + b"e1:t2:aa1:y1:re"
            )
            tape.talk(
                at + 0.2, who, peer, port, (b"\x13BitTorrent protocol" + bytes(48),), (rand.randbytes(4_000),)
            )
        elif number % 3 == 1:
            tape.tcp(at + 0.2, who, 40_000 + number, peer, port, SYN, options=tape.options())


def backups(tape: Tape, *, start_s: float, lasts_s: float, packets: int = 2_000) -> None:
    """A backup goes out over TLS for as long as the capture lasts, and the acknowledgements come back."""
    who, whom = server(20), outside(140)
    block = tape.random.randbytes(1_400)
    for number, at in enumerate(tape.times(start_s, lasts_s, packets)):
        tape.tcp(at, who, 52_222, whom, 443, ACK | PUSH, seq=number * 1_400, ack=77, payload=block)
        if number % 3 == 0:
            tape.tcp(at + 0.03, whom, 443, who, 52_222, ACK, seq=77, ack=number * 1_400)


def resends(tape: Tape, *, start_s: float, lasts_s: float, queries: int = 80) -> None:
    """Slow servers: questions are sent again, and both get the same answer, from the same distance."""
    rand = tape.random
    for at in tape.times(start_s, lasts_s, queries):
        name, whom = f"{rand.choice(WORDS)}.slow.example", outside(150)
        asked = ask(tape, at, RESOLVER, whom, name, rd=False)
        dns.again(tape, at + 0.4, asked)
        for after in (0.45, 0.85):
            answer(tape, at + after, asked, [a(far(len(name)))], aa=True, ra=False)


def local_names(tape: Tape, *, start_s: float, lasts_s: float, queries: int = 120) -> None:
    """Hosts of one subnet ask the name server in it, which is some hosts' next neighbour."""
    local = client(2)
    for number, at in enumerate(tape.times(start_s, lasts_s, queries)):
        lookup(
            tape,
            at,
            client(number % 8 + 3),
            local,
            f"{WORDS[number % 24]}.office.example",
            dns.A,
            [a(client(50))],
        )
        lookup(tape, at + 0.2, client(3), local, "printer.office.example", dns.A, [a(client(51))])


def devices_at_work(tape: Tape, *, start_s: float, lasts_s: float, logins: int = 4) -> None:
    """An administrator logs in to switches by Telnet: few sessions, and long ones."""
    rand = tape.random
    for number, at in enumerate(tape.times(start_s, lasts_s, logins)):
        typed = tuple(rand.randbytes(1) for _ in range(90))
        tape.talk(at, MONITOR, device(number), 23, typed, typed, rtt_s=0.01)


def probers_at_the_door(tape: Tape, *, start_s: float, lasts_s: float, hosts: int = 5) -> None:
    """A few strangers knock at a few closed ports and ask a few of our hosts for names: refused, as every day."""
    rand = tape.random
    for number, at in enumerate(tape.times(start_s, lasts_s, hosts)):
        tape.tcp(
            at, outside(300 + number), 44_444, server(number), rand.choice((22, 445, 3389)), SYN, window=1_024
        )
        lookup(tape, at + 1, outside(310 + number), server(number), site(rand), rcode=dns.REFUSED)


LOWER = "abcdefghijklmnopqrstuvwxyz"
