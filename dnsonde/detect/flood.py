"""Floods at one address, by what their packets are."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import confidence, detector, finding, severity
from dnsonde.detect._floods import (
    CARPET_ADDRESSES,
    CARPET_PACKETS,
    CARPET_S,
    CONNECT,
    DST,
    EMPTY,
    ERRORS,
    MARKED,
    REFLECTED,
    SERVED,
    TALK,
    WINDOW_S,
    amounts,
    answers,
    arrivals,
    arrived,
    kinds,
    peak,
    seen,
    sent_from,
    unasked,
    unexplained,
    unreflected,
)
from dnsonde.detect._relations import (
    count_distinct,
    home_prefix,
    network,
    sample,
    sample_addresses,
    sessions,
    windows,
)
from dnsonde.detect._stages import stage
from dnsonde.table.relations import attach, is_ipv4, keys, pair

STOMPED = 5  # connections
LIMITED = 100  # errors of one source for one victim; who sends errors limits their rate
AGAIN = 2  # SYNs of a client in a minute
NEARLY_ALL = 0.9
TRIES = 6  # SYNs in a minute of a connection that nobody answers: after 0, 1, 3, 7, 15, 31 s (RFC 6298)
COLUMNS = [
    *DST, "vector", "window", *keys("src"), "network", "protocol", "port", "origin", "ports", "source_ports",
    "options", "ttl_min", "length_max", "bare", "start_us", "end_us", "packets", "bytes", "mark", "src_home",
    "dst_home", "file",
]  # fmt: skip
ORIGINS = 1000  # ports that SYNs without options come from: a scanner has few, and systems send options


@detector(
    threat="flood",
    subject_kind="address",
    title="{vector} flood at {subject}",
    summary="{subject} got {count} packets of kind {vector} from {sources:address|addresses}, {packets_s} a second: "
    "filter what matches upstream{ports:? (ports %)}{source_ports:?, sent from ports %}; sources of yours that take "
    "part are infected.",
    references=(
        "FastNetMon and Akvorado default thresholds",
        "Nokia Deepfield, DDoS wire markers, 2026",
        "https://github.com/jgamblin/Mirai-Source-Code (attack_*.c)",
        "TDC SOC, BlackNurse Denial of Service Attack, 2016; RFC 1812 4.3.2.8 and RFC 4443 2.4 (errors are limited)",
    ),
)
def flood(
    flow: ir.Table,
    *,
    syn_s: Annotated[
        int, "SYNs a second that no handshake follows, packets of another TCP trick, or empty connections"
    ] = 100,
    ack_s: Annotated[int, "ACKs a second that belong to no connection"] = 500,
    marked_s: Annotated[int, "packets a second that carry a game's query, or have another known mark"] = 100,
    icmp_s: Annotated[int, "ICMP messages a second; errors only of few sources"] = 500,
    requests_min: Annotated[int, "HTTP connections in a minute, at 50 or more a source"] = 1000,
    crafted_min: Annotated[
        int, "SYNs in a minute that have no options, which every system sends, or half of them as fast"
    ] = 500,
    empty_min: Annotated[
        int, "UDP datagrams without payload in a minute of one source to one port, or half of them as fast"
    ] = 500,
    dns_s: Annotated[int, "DNS queries a second that stay without an answer"] = 2000,
    udp_s: Annotated[int, "other UDP or GRE packets a second that stay without an answer"] = 10_000,
    udp_mbit: Annotated[float, "the same as megabits a second"] = 100.0,
    crowd_min: Annotated[int, "sources that send hardly anything each, of which `ack_s` is enough"] = 200,
    protocols_min: Annotated[int, "unusual IP protocols that make any rate above `syn_s` a flood"] = 10,
    answers_max: Annotated[float, "most answers of the victim for each packet, where answers tell"] = 0.2,
    gap_s: Annotated[int, "seconds without a flood that end it"] = 300,
) -> ir.Table:
    """An address gets very many packets of one kind, which belong to no conversation.

    `evidence.vector` says which kind, by bytes: syn, ack, stomp (a SYN without options, then data), connect (handshakes
    after which nothing is said), flags (neither SYN nor ACK, or both with FIN), fin, rst, http, udp_plain, udp_service
    (from a port that services reflect from), udp_empty (without payload), dns, vse, raknet, fivem, samp, ts3init1, ncp,
    ldap, icmp, icmp_error, icmp_reply, gre_ip, gre_eth, ip_protocol (protocols that nothing uses), fragments (of which
    the first, with its ports, never came). Rates are over the time that the packets really took, so that an attack of a
    fifth of a second is seen as one, or over the busiest ten seconds of a minute, so that what trickles on does not
    hide it. What services reflect is `amplification`'s, and so are its fragments and errors.

    **Why it matters** The address, and what shares its link, is out of reach. From home it is a bot's work.

    **What looks like it** Flash crowds complete their handshakes and come with few connections each: a flood of SYNs
    has as many of them as there are connections, at six SYNs each. Proxies and load balancers make very many to the
    servers behind them: HTTP from home to home is left out. Speed tests, calls, games, VPN and QUIC go both ways, or
    stay in few connections: `ack` counts connections of three packets at most. Clients of one network whose service is
    out of reach send a SYN or two each, as their systems write them: all sources in one /16 (IPv6: /32), and no layout
    of options in more than half. A port scan spreads over ports, one of IP protocols over protocols: there, only SYNs
    without options from a thousand ports count, as no scanner sends them. A log of flows without TCP flags is never
    taken for a flood of segments that have none, and where an exporter samples, it must have seen twenty packets. Pings
    are answered, and echo replies asked for, by the second: replies and errors must find an address that says nothing,
    and errors must come a hundred from each source, which systems do not send to one that sent so much. GRE between two
    routers has neither Mirai's mark nor ten sources. A resolver, a client of time servers and a download by QUIC get
    as much from services' ports, but something goes back between the same two ports, and that is left out; so are DNS
    responses, times and ports of conversations where nothing of what the address sends was captured, and the latter in
    logs. A one-way UDP stream of one source (iperf, video) is told from a bot's by nothing but who wants it: it is at
    most medium; video has 1,316 octets a datagram, Mirai's plain UDP 1,312, which is a mark where a thousand come.

    **Thresholds** `udp_s` (10,000) is half of FastNetMon's and `udp_mbit` (100) Akvorado's for many sources.
    `syn_s` (100), `ack_s` (500), `marked_s` (100), `icmp_s` (500), `dns_s` (2,000), `requests_min` (1,000),
    `crafted_min` (500), `empty_min` (500), `answers_max` (0.2), `crowd_min` (200), `protocols_min` (10) are ours: real
    captured floods begin at 280 SYNs a second, those of courses at ten, by a tool that sends no options (hping3): at
    most medium. The same tool's datagrams are empty, at most medium below `udp_s` and `udp_mbit`; what is no flood had
    at most 96 of them. Such captures are short, and windows cut them: half of `crafted_min` or `empty_min` is enough at
    the pace of all. Such slow SYNs at many addresses of a home prefix are one `carpet_flood`. `gap_s` is five minutes.
    """
    least = min(syn_s, marked_s, icmp_s)
    places = stage(windows(arrivals(flow), DST, least), needed=True)
    rows = kinds(arrived(flow, places))
    each = stage(amounts(rows))
    beside = _beside(each)
    # Of services' ports few packets are no flood, and most were asked for.
    much = (_bulk(each, udp_s, udp_mbit) >= 1) | ((each.flows >= crowd_min) & (peak(each, 0.1) >= ack_s))
    each = each.filter((each.vector != TALK) & (each.packets >= least))
    each = stage(each.filter((each.vector != REFLECTED) | much), needed=True)
    by = [*DST, "vector", "window"]
    sent = sent_from(flow, places.semi_join(each.select(*DST, begin=each.window), [*DST, "begin"]))
    few = stage(_closer(rows.semi_join(each, by), each, sent))
    served = amounts(few.filter(few.vector.isin([SERVED, EMPTY])))
    each = stage(each.filter(~each.vector.isin([REFLECTED, EMPTY])).union(served), needed=True)
    each = attach(each, answers(sent), [*DST, "window"])
    each = attach(each, beside, [*DST, "window"])
    each = each.mutate(
        **{name: each[name].fill_null(0) for name in ("answers", "talks", "used", "reflected")}
    )
    each = _counted(each, few, by)
    each = stage(
        each.filter(each.sources.notnull()).mutate(slow=peak(each, 1.0), packets_s=peak(each, 0.1)),
        needed=True,
    )

    slow = each.slow
    deaf = each.answers <= each.packets * answers_max
    spread = (each.packets >= 10 * each.port_count) | (each.sources >= 50)
    gre = each.vector.isin(["gre_ip", "gre_eth"])
    exact = (each.vector == "udp_plain") & (each.marks * 2 >= each.flows)
    bulk = _bulk(each, udp_s, udp_mbit)
    many = (each.packets >= 1000) & deaf
    # Nobody asks an address so little from so many places, and gets no answer.
    crowd = (each.sources >= crowd_min) & (each.packets <= 4 * each.sources)
    plain = ibis.ifelse(crowd, ibis.greatest(bulk, slow / ack_s), bulk)
    # A fragment's first part has ports, and TCP that is reflected SYN-ACKs beside the resets.
    whole = each.reflected * 10 < each.packets
    mixed = (each.protocols >= protocols_min) & (each.packets >= 10 * each.protocols)
    odd = mixed.ifelse(slow / syn_s, bulk)
    crafted = (each.vector == "syn") & spread & (each.bare * 2 >= each.flows) & (each.flows >= each.talks)
    crafted = crafted & (each.flows * 2 >= each.packets)  # each from a port of its own
    scattered = (each.vector == "syn") & (each.origins >= ORIGINS) & (each.bare * 2 >= each.flows)
    clients = (each.networks == 1) & (each.packets <= AGAIN * each.sources) & ~each.alike
    # Nobody makes so many connections and has nothing to say.
    empty = spread & (each.flows >= 50 * each.sources) & (each.flows >= 3 * each.used)
    # Of a flood from few ports a row has very many; a STOMP's are data of one connection.
    tries = ibis.ifelse(each.vector == "stomp", each.flows, ibis.greatest(each.flows, each.packets // TRIES))
    firm = many.ifelse(plain, 0.0)
    # How many times the threshold it is; 0 where the vector's own condition fails.
    ratio = ibis.cases(
        # One connection, or two, in which somebody sends much are uploads.
        ((each.vector == "stomp") & (each.flows < STOMPED), 0.0),
        ((each.vector == "syn") & clients, 0.0),
        (crafted, ibis.greatest(slow / syn_s, _paced(each, each.packets, crafted_min))),
        (scattered & ~spread & (tries >= each.talks), slow / ack_s),
        (each.vector.isin(["syn", "stomp"]) & spread & (tries >= each.talks), slow / syn_s),
        (each.vector.isin(["syn", "stomp"]), 0.0),
        (each.vector == "flags", ibis.ifelse(spread & deaf & (tries >= each.talks), slow / syn_s, 0.0)),
        (
            each.vector.isin(["ack", "fin"]),
            ibis.ifelse(many & (each.flows * 2 >= each.packets), slow / ack_s, 0.0),
        ),
        (each.vector == "rst", ibis.ifelse(many & whole & (each.sources >= 10), slow / ack_s, 0.0)),
        (each.vector == "http", ibis.ifelse(each.flows >= 50 * each.sources, each.flows / requests_min, 0.0)),
        (each.vector.isin([*MARKED, "ldap"]), slow / marked_s),
        (each.vector == CONNECT, ibis.ifelse(empty, slow * each.flows / each.packets / syn_s, 0.0)),
        (each.vector == "icmp", slow / icmp_s),
        (
            each.vector == ERRORS,
            ibis.ifelse(many & (each.packets >= LIMITED * each.sources), slow / icmp_s, 0.0),
        ),
        (each.vector == "icmp_reply", ibis.ifelse(many, slow / icmp_s, 0.0)),
        (each.vector == "dns", ibis.ifelse(many, slow / dns_s, 0.0)),
        (each.vector == "ip_protocol", ibis.ifelse(deaf, odd, 0.0)),
        (gre & (each.marks * 2 >= each.flows), slow / syn_s),
        (gre & (each.sources < 10), 0.0),
        (exact, ibis.ifelse(many, ibis.greatest(bulk, slow / marked_s), 0.0)),
        (each.vector == "fragments", ibis.ifelse(many & whole, plain, 0.0)),
        (each.vector == EMPTY, ibis.greatest(firm, _paced(each, each.most, empty_min))),
        else_=firm,
    )
    each = each.mutate(ratio=ratio, firm=firm, mbit_s=_megabits(each)).filter(lambda t: t.ratio >= 1.0)
    each = stage(each, needed=True)
    each = stage(_alone(each, syn_s), needed=True)
    each = stage(seen(each, few, flow, by), needed=True)
    held = [*DST, "vector"]
    each = stage(sessions(each, held, gap_s))
    few = attach(few.semi_join(each, by), each.select(*by, "session"), by)
    held = [*held, "session"]
    attacks = each.group_by([*held, "dst_home"]).aggregate(
        first_us=each.first_us.min(),
        last_us=each.last_us.max(),
        packets=each.packets.sum(),
        octets=each.octets.sum(),
        marks=each.marks.sum(),
        ours=each.ours.max(),
        ratio=each.ratio.max(),
        firm=each.firm.max(),
        packets_s=each.packets_s.max(),
        mbit_s=each.mbit_s.max(),
    )
    for more in (
        count_distinct(few, held, keys("src"), "sources"),
        sample(few, held, "ports", "ports"),
        sample(few, held, "source_ports", "source_ports"),
        sample_addresses(few, held, "src", "source_hosts"),
    ):
        attacks = attach(attacks, more, held)
    touched = attacks.dst_home | (attacks.ours == 1)
    lone = attacks.vector.isin(["udp_plain", SERVED, EMPTY]) & (attacks.sources == 1)
    weak = (attacks.vector == "syn") & (attacks.packets_s < syn_s)
    weak = weak | ((attacks.vector == EMPTY) & (attacks.firm < 1.0))
    huge = ((attacks.packets_s >= 100_000) | (attacks.mbit_s >= 1000)) & (attacks.packets >= 1000)
    return finding(
        attacks,
        address=pair(attacks, "dst"),
        severity=ibis.ifelse(
            lone | weak, 2, severity(2, touched.cast("int64") + (touched & huge).cast("int64"), 1, 2)
        ),
        confidence=confidence(attacks.ratio, 1.0),
        first_seen=attacks.first_us,
        last_seen=attacks.last_us,
        count=attacks.packets,
        vector=attacks.vector,
        packets_s=attacks.packets_s,
        mbit_s=attacks.mbit_s,
        bytes=attacks.octets,
        sources=attacks.sources,
        source_hosts=attacks.source_hosts,
        ports=attacks.ports,
        source_ports=attacks.source_ports,
        mirai_marks=(attacks.marks > 0).ifelse(attacks.marks, ibis.null("int64")),
    )


def _beside(each: ir.Table) -> ir.Table:
    """What else each address got in a window that is no flood, for comparison."""
    beside = each.filter(each.vector.isin([TALK, CONNECT, REFLECTED]))
    return beside.group_by([*DST, "window"]).aggregate(
        talks=beside.flows.sum(where=beside.vector.isin([TALK, CONNECT])),
        used=beside.flows.sum(where=beside.vector == TALK),
        reflected=beside.packets.sum(where=beside.vector == REFLECTED),
    )


def _closer(rows: ir.Table, each: ir.Table, sent: ir.Table) -> ir.Table:
    """What a closer look needs of the `rows` of `each`; of services' ports only what is of vector `udp_service`.

    bare: SYNs without TCP options.
    """
    # A log tells no options, and a snap length may end before them: then headers are longer.
    header = is_ipv4(*pair(rows, "dst")).ifelse(40, 60)
    bare = (rows.options == 0) & rows.ttl_min.notnull() & (rows.length_max <= header)
    # Fragments have no ports, and ICMP's are its codes.
    ported = rows.protocol.isin([6, 17]) & (rows.vector != "fragments")
    rows = rows.mutate(
        network=network(rows.src_net, rows.src_host),
        port=rows.dst_port.cast("int64"),
        origin=rows.src_port.cast("int64"),
        ports=ported.ifelse(rows.dst_port.cast("int64"), ibis.null("int64")),
        source_ports=(rows.vector == REFLECTED).ifelse(rows.src_port.cast("int64"), ibis.null("int64")),
        bare=bare.fill_null(False).cast("int64"),
    )
    rows = unreflected(unasked(rows, each, sent))
    rows = rows.filter((rows.vector != REFLECTED) | unexplained(rows))
    return rows.mutate(vector=(rows.vector == REFLECTED).ifelse(SERVED, rows.vector)).select(*COLUMNS)


def _counted(each: ir.Table, few: ir.Table, by: list[str]) -> ir.Table:
    """With how many different sources, ports and so on there are in `few`, by `by`."""
    for name, what in (
        ("sources", keys("src")),
        ("port_count", ["port"]),
        ("protocols", ["protocol"]),
        ("networks", ["network"]),
        ("origins", ["origin"]),
    ):
        each = attach(each, count_distinct(few, by, what, name), by)
    each = attach(each, _layouts(few, by), by)
    empty = few.filter(few.vector == EMPTY)
    ways = empty.group_by([*by, *keys("src"), "port"]).aggregate(packets=empty.packets.sum())
    return attach(each, ways.group_by(by).aggregate(most=ways.packets.max()), by)


def _megabits(each: ir.Table) -> ir.FloatingValue:
    """Megabits a second, as `peak` has packets."""
    return peak(each, 0.1) * (each.octets * 8 / 1_000_000) / each.packets


def _bulk(each: ir.Table, udp_s: int, udp_mbit: float) -> ir.FloatingValue:
    """How many times the limits for what fills a link."""
    return ibis.greatest(peak(each, 0.1) / udp_s, _megabits(each) / udp_mbit)


def _paced(each: ir.Table, packets: ir.IntegerValue, least: int) -> ir.FloatingValue:
    """How many times `least` a minute these `packets` of a window are, or half of them and more at the pace of all."""
    a_minute = each.slow * WINDOW_S * packets / each.packets
    return ibis.greatest(packets / least, (packets * 2 >= least).ifelse(a_minute / least, 0.0))


def _alone(each: ir.Table, syn_s: int) -> ir.Table:
    """Without slow SYNs from outside at many addresses of one home prefix, which are one `carpet_flood`."""
    (net, host), bits = home_prefix(*pair(each, "dst"))
    each = each.mutate(prefix_net=net, prefix_host=host, bits=bits)
    slow = each.filter((each.vector == "syn") & (each.packets_s < syn_s) & each.dst_home & (each.ours == 0))
    by = ["prefix_net", "prefix_host", "bits", "vector", "window"]
    spans = slow.group_by(by).aggregate(
        addresses=slow.count(),
        packets=slow.packets.sum(),
        packets_s=slow.packets_s.sum(),
        said=slow.answers.sum(),
        ports=slow.port_count.sum(),
        sources=slow.sources.max(),
    )
    spread = (spans.packets >= 10 * spans.ports) | (spans.sources >= 50)
    spans = spans.filter(
        (spans.addresses >= CARPET_ADDRESSES)
        & (spans.packets >= CARPET_PACKETS)
        & (spans.packets_s >= CARPET_S)
        & (spans.said * 5 <= spans.packets)
        & spread
    )
    carpet = slow.semi_join(spans, by).select(*DST, "vector", "window")
    return each.anti_join(carpet, [*DST, "vector", "window"])


def _layouts(few: ir.Table, by: list[str]) -> ir.Table:
    """How many flows have no TCP options, `bare`, and whether one layout of them is that of more than half, `alike`.

    Of a log lengths are all that is known, and layouts may be of one length: there it must be nearly all.
    """
    logged = few.ttl_min.isnull()
    rows = few.mutate(
        logged=logged.cast("int64"),
        layout=logged.ifelse(few.length_max.cast("int64"), few.options.cast("int64")),
    )
    each = rows.group_by([*by, "logged", "layout"]).aggregate(flows=rows.count(), bare=rows.bare.sum())
    sums = each.group_by(by).aggregate(
        most=each.flows.max(), flows=each.flows.sum(), bare=each.bare.sum(), logged=each.logged.max()
    )
    share = (sums.logged == 1).ifelse(NEARLY_ALL, 0.5)
    return sums.select(*by, "bare", alike=sums.most > sums.flows * share)
