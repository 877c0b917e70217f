"""Floods at one address, by what their packets are."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import confidence, detector, finding, severity
from dnsonde.detect._floods import DST, MARKED, amounts, answers, kinds, rate
from dnsonde.detect._relations import attach, count_distinct, keys, pair, sample, sessions


@detector(
    threat="flood",
    subject_kind="address",
    title="{vector} flood at {subject}",
    summary="{subject} got {count} packets of a {vector} flood from {sources} addresses, {packets_s} a second: filter "
    "what matches upstream (ports {ports}); sources of yours that take part are infected.",
    references=(
        "FastNetMon and Akvorado default thresholds",
        "Nokia Deepfield, DDoS wire markers, 2026",
        "https://github.com/jgamblin/Mirai-Source-Code (attack_*.c)",
    ),
)
def flood(
    flow: ir.Table,
    *,
    syn_s: Annotated[int, "SYNs a second that no handshake follows, or packets of another TCP trick"] = 100,
    ack_s: Annotated[int, "ACKs a second that belong to no connection"] = 500,
    marked_s: Annotated[int, "packets a second that carry a game's query, or have another known mark"] = 100,
    icmp_s: Annotated[int, "echo requests a second"] = 500,
    requests_min: Annotated[int, "HTTP connections in a minute, at 50 or more a source"] = 1000,
    dns_s: Annotated[int, "DNS queries a second that stay without an answer"] = 2000,
    udp_s: Annotated[int, "other UDP or GRE packets a second that stay without an answer"] = 10_000,
    udp_mbit: Annotated[float, "the same as megabits a second"] = 100.0,
    answers_max: Annotated[float, "most answers of the victim for each packet, where answers tell"] = 0.2,
    gap_s: Annotated[int, "seconds without a flood that end it"] = 300,
) -> ir.Table:
    """An address gets very many packets of one kind, which belong to no conversation.

    `evidence.vector` says which kind, by bytes: syn, ack, stomp (a SYN without options, then data), flags (neither SYN
    nor ACK), http, udp_plain, dns, vse, raknet, fivem, samp, ts3init1, ncp, ldap, icmp, gre_ip, gre_eth. Rates are over
    the time that the packets really took, so that an attack of a fifth of a second is seen as one. What services
    reflect is `amplification`'s.

    **Why it matters** The address, and what shares its link, is out of reach. From home it is a bot's work.

    **What looks like it** Flash crowds complete their handshakes and come with few connections each. Speed tests,
    calls, games, VPN and QUIC go both ways, or stay in few connections: `ack` counts connections of three packets at
    most. A port scan spreads over ports. GRE between two routers has neither Mirai's mark nor ten sources. A one-way
    UDP stream of one source (iperf, video) is told from a bot's by nothing but who wants it: it is at most medium;
    video has 1,316 octets a datagram, Mirai's plain UDP 1,312, which is a mark where a thousand come.

    **Thresholds** `udp_s` (10,000) is half of FastNetMon's and `udp_mbit` (100) Akvorado's for many sources. `syn_s`
    (100), `ack_s` (500), `marked_s` (100), `icmp_s` (500), `dns_s` (2,000), `requests_min` (1,000), `answers_max` (0.2)
    are ours: real captured floods begin at 280 SYNs a second. `gap_s` is five minutes.
    """
    rows = kinds(flow)
    each = amounts(rows)
    each = each.filter(each.vector != "talk").filter(lambda t: t.packets >= min(syn_s, marked_s, icmp_s))
    each = attach(each, answers(flow), [*DST, "window"])
    talk = rows.filter(rows.vector == "talk").semi_join(each, DST)
    talk = talk.group_by([*DST, "window"]).aggregate(talks=talk.count())
    each = attach(each, talk, [*DST, "window"])
    each = each.mutate(answers=each.answers.fill_null(0), talks=each.talks.fill_null(0))
    by = [*DST, "vector", "window"]
    few = rows.semi_join(each, by)
    few = few.mutate(port=few.dst_port.cast("int64"))
    each = attach(each, count_distinct(few, by, keys("src"), "sources"), by)
    each = attach(each, count_distinct(few, by, ["port"], "port_count"), by)
    each = each.filter(each.sources.notnull())

    slow = rate(each.packets, each, 1.0)
    fast = rate(each.packets, each, 0.1)
    megabits = rate(each.octets * 8 / 1_000_000, each, 0.1)
    deaf = each.answers <= each.packets * answers_max
    tcp = each.vector.isin(["syn", "stomp", "flags"])
    spread = (each.packets >= 10 * each.port_count) | (each.sources >= 50)
    gre = each.vector.isin(["gre_ip", "gre_eth"])
    exact = (each.vector == "udp_plain") & (each.marks * 2 >= each.flows)
    bulk = ibis.greatest(fast / udp_s, megabits / udp_mbit)
    many = (each.packets >= 1000) & deaf
    # How many times the threshold it is; 0 where the vector's own condition fails.
    ratio = ibis.cases(
        (tcp, ibis.ifelse(spread & (each.flows >= each.talks), slow / syn_s, 0.0)),
        (each.vector == "ack", ibis.ifelse(many & (each.flows * 2 >= each.packets), slow / ack_s, 0.0)),
        (each.vector == "http", ibis.ifelse(each.flows >= 50 * each.sources, each.flows / requests_min, 0.0)),
        (each.vector.isin([*MARKED, "ldap"]), slow / marked_s),
        (each.vector == "icmp", slow / icmp_s),
        (each.vector == "dns", ibis.ifelse(many, slow / dns_s, 0.0)),
        (gre & (each.marks * 2 >= each.flows), slow / syn_s),
        (gre & (each.sources < 10), 0.0),
        (exact, ibis.ifelse(many, ibis.greatest(bulk, slow / marked_s), 0.0)),
        else_=ibis.ifelse(many, bulk, 0.0),
    )
    each = each.mutate(ratio=ratio, packets_s=fast, mbit_s=megabits).filter(lambda t: t.ratio >= 1.0)
    held = [*DST, "vector"]
    each = sessions(each, held, gap_s)
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
        packets_s=each.packets_s.max(),
        mbit_s=each.mbit_s.max(),
    )
    for more in (
        count_distinct(few, held, keys("src"), "sources"),
        sample(few, held, "port", "ports"),
        sample(few, held, "src_host", "source_hosts"),
    ):
        attacks = attach(attacks, more, held)
    touched = attacks.dst_home | (attacks.ours == 1)
    lone = (attacks.vector == "udp_plain") & (attacks.sources == 1)
    large = ((attacks.packets_s >= 100_000) | (attacks.mbit_s >= 1000)) & (attacks.packets >= 1000)
    return finding(
        attacks,
        address=pair(attacks, "dst"),
        severity=ibis.ifelse(
            lone, 2, severity(2, touched.cast("int64") + (touched & large).cast("int64"), 1, 2)
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
        mirai_marks=(attacks.marks > 0).ifelse(attacks.marks, ibis.null("int64")),
    )
