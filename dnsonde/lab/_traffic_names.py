"""Threats that DNS messages show: probers, tunnels, forged answers, floods of names; each says what is true of it."""

import base64
from datetime import UTC, datetime

from dnsonde.lab import _traffic_dns as dns
from dnsonde.lab._traffic_dns import NXDOMAIN, REFUSED, SERVFAIL, a, again, answer, ask, lookup, mx, txt
from dnsonde.lab._traffic_place import (
    AUTHORITY,
    RESOLVER,
    WORDS,
    client,
    device,
    far,
    letters,
    nobody,
    outside,
    outside6,
    server,
    site,
)
from dnsonde.lab._traffic_tape import Tape, packed

SWEEP = (
    25  # home addresses that one source must ask to be called a sweep (Mirai paper); fewer than 20 are none
)
TIERS = {  # a prober's style: (registered domain, campaign that it is known as)
    "secshow-c": ("secshow.net", "secshow"),
    "secshow-h": ("secshow.net", "secshow"),
    "secshow-bailiwick": ("secshow.net", "secshow"),
    "secshow-dnssec": ("secdns.site", "secshow"),
    "odns": ("dnsscan.top", "odns"),
    "asert": ("asertdnsresearch.com", "asert"),
    "openresolve": ("openresolve.rs", "openresolve"),
}


def probing(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    style: str,
    domain: str = "",
    targets: int = 40,
    resolving: int = 4,
    refusing: int = 8,
    seen: str = "target",
    source: int = 1,
    forged: bool = False,
    zmap: bool = False,
) -> None:
    """Somebody asks home addresses for names that carry the address or the time.

    seen: at the "target", at the "resolver" that the targets relay to, or "both". forged: each query has another
    source. The first `resolving` targets resolve for him, the next `refusing` say no, the others nothing.
    """
    known, campaign = TIERS.get(style, (domain, "unknown"))
    tape.label("probing_campaign", known, campaign=campaign)
    six = style == "hex32"
    whose = outside6(source) if six else outside(source)
    if seen != "resolver" and not forged and targets >= SWEEP:
        tape.label("dns_sweep", whose)
    for number, at in enumerate(tape.times(start_s, lasts_s, targets)):
        target = packed(f"2001:db8:20:{number + 1:x}::53") if six else device(number * 3)
        asker = nobody(tape.random) if forged else whose
        name = probe_name(style, tape, at, number, asker, target, domain)
        if seen != "resolver":
            if number < resolving:
                tape.label("open_resolver", target)
            asked = ask(tape, at, asker, target, name, edns=0, ip_id=54_321 if zmap else None)
            if number < resolving:
                answer(tape, at + 0.2, asked, [a(outside(source), 3600)], edns=0)
            elif number < resolving + refusing:
                answer(tape, at + 0.002, asked, rcode=REFUSED, edns=0, ra=number % 2 == 0)
        if seen == "resolver" or (seen == "both" and number < resolving):
            lookup(
                tape, at + 0.01, RESOLVER, outside(source + 1), name, dns.A, [a(outside(source), 3600)],
                rd=False, ra=False, aa=True, after_s=0.15,
            )  # fmt: skip


def probe_name(
    style: str, tape: Tape, at_s: float, number: int, asker: bytes, target: bytes, domain: str
) -> str:
    """The name that a prober of that style asks one target for."""
    now = tape.now_s(at_s)
    when = datetime.fromtimestamp(now, UTC)
    dashes, own = "-".join(str(o) for o in target), "-".join(str(o) for o in asker)
    dots = ".".join(str(o) for o in target)
    return {
        "secshow-c": f"{asker.hex()}-{number}.c.secshow.net",
        "secshow-h": f"{number}-{own}-{dashes}.h.secshow.net",
        "secshow-bailiwick": f"{when:%Y%m%d%H%M%S}.bailiwick.secshow.net",
        "secshow-dnssec": f"0-{target.hex()}-{when:%Y%m%d}1-ans-dnssec.l-test.secdns.site",
        "odns": f"{int.from_bytes(target)}.round{when:%Y-%m-%d}.odns.m.dnsscan.top",
        "asert": f"{now * 1_000_000:016x}.{number:04x}.{dashes}.asertdnsresearch.com",
        "openresolve": f"{dots}.{now}.main.research.openresolve.rs",
        "hex8": f"{target.hex()}.{letters(tape.random, 6)}.{domain}",
        "hex32": f"{target.hex()}.{domain}",
        "dashed": f"{dashes}.{now}.{domain}",
        "padded": f"{'-'.join(f'{o:03}' for o in target)}.p.{domain}",
        "decimal": f"{int.from_bytes(target)}.r7.{domain}",
        "reversed": f"q-{'-'.join(str(o) for o in reversed(target))}.{domain}",
        "time": f"{now}{int(at_s * 1000) % 1000:03}.t.{domain}",
    }[style]


def random_answers(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    domain: str,
    queries: int = 120,
    names: int = 0,
    seen: str = "resolver",
    public: bool = False,
) -> None:
    """An authority gives another scattered address each time, for a day; `names`: of so many only, asked again.

    public: none of them is one that no host can have.
    """
    tape.label("random_answers", domain)
    rand = tape.random
    few = [f"{letters(rand, 7)}.{domain}" for _ in range(names)]
    for at in tape.times(start_s, lasts_s, queries):
        name = rand.choice(few) if few else f"{letters(rand, 7)}.{domain}"
        anywhere = bytes([rand.randrange(11, 224) if public else rand.randrange(256), *rand.randbytes(3)])
        if seen == "resolver":
            lookup(
                tape,
                at,
                RESOLVER,
                outside(9),
                name,
                dns.A,
                [a(anywhere, 86_400)],
                rd=False,
                ra=False,
                aa=True,
            )
        else:
            lookup(tape, at, client(rand.randrange(9)), RESOLVER, name, dns.A, [a(anywhere, 86_400)])


def neighbours_forged(
    tape: Tape, *, start_s: float, lasts_s: float, prefixes: tuple[str, ...] | list[str], each: int = 5
) -> None:
    """Queries come through the border whose sources are next to their targets (DASA)."""
    rand = tape.random
    count = len(prefixes) * each
    for number, at in enumerate(tape.times(start_s, lasts_s, count)):
        prefix = prefixes[number % len(prefixes)]
        tape.label("adjacent_spoofing", prefix)
        base = packed(prefix.partition("/")[0])
        target = base[:-1] + bytes([rand.randrange(4, 250)])
        beside = rand.randrange(1, 4)
        neighbour = target[:-1] + bytes([target[-1] ^ beside])
        ask(
            tape, at, neighbour, target, f"{letters(rand, 8)}.net-check.example", edns=0, inbound=True, ttl=47
        )


def sweep(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    targets: int = 60,
    source: int = 11,
    name: str = "www.example.com",
    chaos: bool = False,
    zmap: bool = False,
    refusing: float = 0.3,
    resolving: int = 0,
    campaign: str = "",
) -> None:
    """One source asks many home addresses for one name."""
    tape.label("dns_sweep", outside(source))
    if campaign:
        tape.label("probing_campaign", ".".join(name.split(".")[-2:]), campaign=campaign)
    rand = tape.random
    for number, at in enumerate(tape.times(start_s, lasts_s, targets)):
        target = device(number) if number % 2 else server(number)
        asked = ask(
            tape, at, outside(source), target, name, dns.TXT if chaos else dns.A,
            qclass=dns.CHAOS if chaos else dns.IN, edns=0, ip_id=54_321 if zmap else None, port=53_000,
        )  # fmt: skip
        if number < resolving:
            tape.label("open_resolver", target)
            answer(tape, at + 0.03, asked, [a(outside(77))], edns=0)
        elif rand.random() < refusing:
            answer(tape, at + 0.001, asked, rcode=REFUSED, edns=0)


def recursion(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    host: int = 0,
    clients: int = 5,
    queries: int = 20,
    six: bool = False,
) -> None:
    """A host of ours resolves for strangers."""
    whose = packed(f"2001:db8:20:77::{host + 1:x}") if six else server(host)
    tape.label("open_resolver", whose)
    for number, at in enumerate(tape.times(start_s, lasts_s, queries)):
        stranger = outside6(number % clients) if six else outside(400 + number % clients)
        kind = dns.AAAA if six else dns.A
        lookup(
            tape,
            at,
            stranger,
            whose,
            site(tape.random),
            kind,
            [a(outside6(3)) if six else a(far(3))],
            after_s=0.05,
        )


def relays(
    tape: Tape, *, start_s: float, lasts_s: float, host: int = 0, queries: int = 10, answers: bool = False
) -> None:
    """A device of ours passes strangers' queries on under their address; `answers`: they come by here as well."""
    whose, upstream = device(900 + host), outside(499)
    tape.label("transparent_forwarder", whose)
    for number, at in enumerate(tape.times(start_s, lasts_s, queries)):
        stranger = outside(420 + number % 4)
        asked = ask(tape, at, stranger, whose, site(tape.random), ttl=51)
        again(tape, at + 0.004, asked, server=upstream, ttl=50, inbound=False)
        if answers:
            answer(tape, at + 0.03, asked, [a(far(8))], server=upstream, inbound=True)


def injection(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    domain: str,
    questions: int = 12,
    forgeries: int = 2,
    seen: str = "resolver",
) -> None:
    """Somebody on the path answers first, with a lie and another IP TTL; the true answer comes after it."""
    tape.label("answer_injection", domain)
    rand = tape.random
    whose, whom = (RESOLVER, outside(30)) if seen == "resolver" else (client(3), outside(31))
    own = seen == "resolver"
    lies = [bytes([rand.randrange(11, 223), *rand.randbytes(3)]) for _ in range(6)]
    for number, at in enumerate(tape.times(start_s, lasts_s, questions)):
        # What the server says of others shows how far away it is.
        lookup(
            tape,
            at,
            whose,
            whom,
            f"{rand.choice(WORDS)}.fine.example",
            dns.A,
            [a(far(5))],
            rd=not own,
            aa=own,
        )
        asked = ask(tape, at + 0.3, whose, whom, f"{('www', 'm', 'api')[number % 3]}.{domain}", rd=not own)
        for turn in range(forgeries):
            odd = (38, 97, 201, 221)[(number + turn) % 4]
            answer(
                tape, at + 0.304 + turn / 1000, asked, [a(lies[(number + turn) % 6], 160)], ttl=odd, edns=0
            )
        answer(tape, at + 0.45, asked, [a(far(6), 3600)], aa=own)


def mx_questions(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    domains: tuple[str, ...] | list[str],
    queries: int = 40,
    seen: str = "target",
    hosts: int = 4,
) -> None:
    """MX queries for random short labels below old short domains, as Muddling Meerkat asks them."""
    rand = tape.random
    for number, at in enumerate(tape.times(start_s, lasts_s, queries)):
        domain = domains[number % len(domains)]
        tape.label("mx_probing", domain)
        name = f"{letters(rand, rand.randrange(3, 7))}.{domain}"
        if seen == "target":
            asked = ask(tape, at, outside(200 + number % 9), server(number % hosts), name, dns.MX, edns=0)
            if number % 3 == 0:
                answer(tape, at + 0.01, asked, rcode=REFUSED, edns=0)
        else:
            asked = ask(tape, at, RESOLVER, outside(210), name, dns.MX, rd=False)
            false = mx(f"{letters(rand, 5)}.{domain}") if number % 4 == 0 else None
            answer(tape, at + 0.04, asked, [false] if false else [], rcode=0 if false else NXDOMAIN, aa=True)


def water_torture(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    domain: str,
    names: int = 1_500,
    seen: str = "client",
    fails: str = "nxdomain",
    label: int = 12,
) -> None:
    """Names that do not exist, made up one after the other; fails: nxdomain, servfail or silence.

    seen: at our resolver with its "client"s, behind the "resolver", or at our own "authority".
    """
    tape.label("random_subdomain", domain)
    rand = tape.random
    code = SERVFAIL if fails == "servfail" else NXDOMAIN
    for at in tape.times(start_s, lasts_s, names):
        name = f"{letters(rand, label)}.{domain}"
        who, whom = {
            "client": (client(rand.randrange(40)), RESOLVER),
            "resolver": (RESOLVER, outside(20)),
            "authority": (outside(rand.randrange(300)), AUTHORITY),
        }[seen]
        asked = ask(tape, at, who, whom, name, rd=seen == "client")
        if fails != "silence":
            answer(tape, at + 0.02, asked, rcode=code, aa=seen != "client", ra=seen == "client")


def tunnel(
    tape: Tape,
    *,
    start_s: float,
    lasts_s: float,
    tool: str,
    domain: str,
    queries: int = 400,
    seen: str = "client",
) -> None:
    """Data in names and answers, as iodine, dnscat2 and dns2tcp send it, or a slow drip of hex."""
    tape.label("dns_tunnel", domain)
    rand = tape.random
    who = client(44)
    for number, at in enumerate(tape.times(start_s, lasts_s, queries)):
        name, kind, records = _tunnelled(tape, tool, number, domain)
        if seen in {"client", "both"}:
            lookup(tape, at, who, RESOLVER, name, kind, records, after_s=0.05)
        if seen in {"resolver", "both"}:
            lookup(tape, at + 0.001, RESOLVER, outside(66), name, kind, records, rd=False, ra=False, aa=True)
        if seen == "direct":
            lookup(tape, at, who, outside(66), name, kind, records, after_s=0.05)
        if number % 50 == 0:
            lookup(tape, at + 0.5, who, RESOLVER, site(rand), dns.A, [a(far(4))])


def _tunnelled(tape: Tape, tool: str, number: int, domain: str) -> tuple[str, int, list[dns.Record]]:
    rand = tape.random
    if tool == "iodine":
        if number % 4 == 3:  # a ping when there is nothing to send
            return f"p{letters(rand, 6)}.{domain}", dns.NULL, [(dns.NULL, 0, rand.randbytes(2))]
        data = base64.b32encode(rand.randbytes(125)).decode().lower().rstrip("=")
        name = f"0{letters(rand, 4)}{_cut(data, 57)}.{domain}"
        return name, dns.NULL, [(dns.NULL, 0, rand.randbytes(rand.randrange(300, 1_100)))]
    if tool == "dnscat2":
        data = rand.randbytes(rand.choice((9, 9, 40, 90))).hex()
        kind = (dns.TXT, dns.CNAME, dns.MX)[number % 3]
        back = rand.randbytes(rand.choice((9, 9, 60))).hex()
        record: dns.Record = {
            dns.TXT: txt(back.encode()),
            dns.CNAME: (dns.CNAME, 60, dns.wire_name(f"{_cut(back)}.{domain}")),
            dns.MX: mx(f"{_cut(back)}.{domain}", 60),
        }[kind]
        return f"{_cut(data)}.{domain}", kind, [record]
    if tool == "dns2tcp":
        data = base64.b64encode(rand.randbytes(rand.choice((6, 60, 100)))).decode().replace("=", "")
        return (
            f"{_cut(data)}.{domain}",
            dns.TXT,
            [txt(base64.b64encode(rand.randbytes(rand.choice((6, 120)))))],
        )
    data = rand.randbytes(18).hex()  # a drip: one record of stolen data at a time
    return f"{number:04x}.{data}.{domain}", dns.A, [a("127.0.0.1", 1)]


def _cut(data: str, size: int = 60) -> str:
    return ".".join(data[first : first + size] for first in range(0, len(data), size))
