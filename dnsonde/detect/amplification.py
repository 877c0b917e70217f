"""Traffic that services reflect at a victim, and amplify."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import confidence, detector, finding, severity
from dnsonde.detect._floods import DST, busiest, peak, rate, replied, seen
from dnsonde.detect._relations import (
    count_distinct,
    halves,
    placed,
    responses,
    sample,
    sample_addresses,
    sessions,
    window,
    windows,
)
from dnsonde.detect._stages import stage
from dnsonde.intel.load import amplifiers
from dnsonde.table.relations import attach, keys, pair, turned

SRC = keys("src")
SNMP = "snmp"
ANY = 255  # the type
TCP = "tcp"  # SYN-ACKs
FEW = 5  # packets of a reflector to a port; a download's are many
MANY = 100  # reflectors that answer one and the same question
RESERVED, EPHEMERAL = 1024, 32_768  # ports below are services', from there on clients' (Linux)


@detector(
    threat="reflection attack",
    subject_kind="address",
    title="{protocol} is reflected at {subject}",
    summary="{reflectors:address|addresses} sent {count} packets ({bytes} octets) of {protocol} to {subject} that it "
    "did not ask for, or that somebody asked for in its name: filter the source port upstream, close reflectors at "
    "home.",
    references=(
        "US-CERT TA14-017A, UDP-Based Amplification Attacks",
        "Krämer et al., AmpPot, RAID 2015; Kopp et al., DDoS Never Dies?, PAM 2021",
        "CESNET NEMEA amplification_detection, https://github.com/CESNET/NEMEA-Detectors",
        "Kührer et al., Hell of a Handshake: Abusing TCP for Reflective Amplification DDoS Attacks, WOOT 2014",
    ),
)
def amplification(
    message: ir.Table,
    flow: ir.Table,
    *,
    packets_min: Annotated[int, "response packets to the victim in a window that make a finding"] = 100,
    unasked_min: Annotated[
        float, "share of them that nobody asked for, from which on they need no further sign"
    ] = 0.5,
    factor_min: Annotated[
        float, "least octets of responses for one of requests, where requests are seen"
    ] = 5.0,
    asked_s: Annotated[
        int, "least packets a second, where all that is seen was asked for in the victim's name"
    ] = 10,
    repeats_min: Annotated[float, "least DNS responses to the victim for each question"] = 5.0,
    asked_repeats_min: Annotated[float, "the same where requests for them are seen"] = 20.0,
    reflectors_min: Annotated[
        int, "reflectors, where the port also carries conversations, or TCP reflects"
    ] = 10,
    again_min: Annotated[int, "SYN-ACKs of one connection that nobody asked for, instead of reflectors"] = 10,
    sudden_s: Annotated[
        int, "packets a second on such ports, where nothing that the victim sends was captured"
    ] = 100,
    window_s: Annotated[int, "seconds of a window"] = 600,
    gap_s: Annotated[int, "seconds without an attack that end it"] = 900,
) -> ir.Table:
    """Responses of services that amplify go to an address that did not ask for them.

    `intel/amplifiers.toml` says which ports reflect. Seen from the victim, responses come that nobody asked for; from
    the reflector and between, requests in the victim's name are there too, much smaller than the responses. Fragments
    carry no ports: those that a reflector sends to the same victim are counted with its protocol. `evidence.factor` is
    measured where requests were seen, `nominal_factor` is the published one. SYN-ACKs that many addresses send to one
    that sent no SYN, or few send again and again for the same ports, are protocol tcp.

    **Why it matters** The victim's link fills up. Reflectors at home are weapons of others, and pay for the traffic.

    **What looks like it** A resolver of a network that validates DNSSEC gets large answers, but to questions that
    all differ (`repeats_min`), as does a client of time servers, whose answers are small. A monitoring station asks
    by SNMP within home, which is left out, or walks from outside, by requests of many lengths; one that checks
    names asks the same ones again, but slowly (`asked_s`). Game servers, VPN gateways and QUIC send much from ports
    that also reflect: there, only unasked responses of many reflectors count, and where a capture has one
    direction, only such as come fast and few from each. A crawler's SYN-ACKs are asked for. Answers too short to
    amplify count where a hundred servers give them, unasked, to the same few questions, and what the victim sends
    was captured or they come fast. Of a log that samples, twenty packets must have been seen.

    **Thresholds** `packets_min` (100 in `window_s`, 600) is AmpPot's; `factor_min` (5) is NEMEA's; `gap_s` (900) is
    that of Cambridge's honeypots. `unasked_min` (0.5), `asked_s` (10), `repeats_min` (5), `asked_repeats_min` (20),
    `reflectors_min` (10), `sudden_s` (100) and `again_min` (10: TCP itself sends a SYN-ACK five or six times) are ours.
    """
    known = amplifiers()
    ports = {port: service for service in known for port in service.ports}
    rows = flow.filter(replied(*pair(flow, "dst")) & ~(flow.src_home & flow.dst_home))
    rows = rows.mutate(half=halves(rows.start_us, window_s), window=window(rows.start_us, window_s))
    named = ibis.cases(*[(rows.src_port == port, service.protocol) for port, service in ports.items()])
    shaken = (
        (rows.protocol == 6) & (rows.synack > 0) & (rows.syn == 0) & (rows.packets <= rows.synack + rows.rst)
    )
    from_port = (rows.protocol == 17) & rows.src_port.isin(sorted(ports))
    # Between two such ports (DNS to DNS, NTP to NTP) the way is told by what is larger; see factor_min.
    sent = rows.filter((from_port & (rows.dst_port != 0)) | shaken)
    sent = sent.mutate(service=ibis.ifelse(sent.protocol == 6, TCP, named))
    by = [*DST, "service", "window"]
    rough = stage(sent.group_by([*DST, "service", "half"]).aggregate(packets=sent.packets.sum()))
    # Fragments may be most of it: a tenth is enough for a further look.
    least = max(1, packets_min // 10)
    places = stage(windows(rough, DST, least), needed=True)
    rough = placed(rough.mutate(window=rough.half // 2), places, DST)
    rough = rough.group_by(by).aggregate(packets=rough.packets.sum())
    sent = stage(placed(sent, places, DST).semi_join(rough.filter(rough.packets >= least), by))
    asked = _asked(rows, places, sent)
    way = [*SRC, *DST, "src_port", "dst_port", "protocol", "window"]
    each = attach(sent, asked, way)
    client = (each.src_port >= EPHEMERAL) & (each.dst_port < RESERVED)
    each = each.filter(~(client & each.requests.notnull()))
    unasked = each.requests.isnull()
    each = each.mutate(unasked=unasked.ifelse(each.packets, 0), requests=each.requests.fill_null(0))
    each = stage(each.mutate(request_payload=each.request_payload.fill_null(0)), needed=True)
    hits = each.group_by([*by, "dst_home"]).aggregate(
        first_us=each.start_us.min(),
        last_us=each.end_us.max(),
        packets=each.packets.sum(),
        octets=each.bytes.sum(),
        payload=each.payload_bytes.sum(),
        unasked=each.unasked.sum(),
        request_payload=each.request_payload.sum(),
        request_lengths=each.request_longest.max() - each.request_shortest.min(),
        ours=each.src_home.cast("int64").max(),
    )
    hits = attach(hits, _fragments(placed(rows, places, DST), each), by)
    hits = hits.mutate(
        whole=hits.packets,
        fragments=hits.fragments.fill_null(0),
        packets=hits.packets + hits.fragments.fill_null(0),
        octets=hits.octets + hits.fragment_octets.fill_null(0),
        payload=hits.payload + hits.fragment_octets.fill_null(0),
        last_us=ibis.greatest(hits.last_us, hits.fragment_us.fill_null(hits.last_us)),
    )
    hits = stage(hits.filter(hits.packets >= packets_min), needed=True)
    hits = attach(hits, count_distinct(each, by, SRC, "reflectors"), by)
    hits = attach(hits, count_distinct(each, by, [*SRC, "src_port", "dst_port"], "ways"), by)
    hits = attach(hits, _heard(rows, places, hits), [*DST, "window"])
    hits = stage(hits)
    hits = attach(hits, _questions(message, window_s, places, hits), [*DST, "window"])
    hits = stage(attach(hits, busiest(each, by), by))

    def of(value: str, rows: ir.Table = hits) -> ir.NumericValue:
        return ibis.cases(*[(rows.service == s.protocol, float(getattr(s, value))) for s in known], else_=0.0)

    blind = hits.unasked >= hits.whole * unasked_min
    grown = (hits.request_payload > 0) & (hits.payload >= hits.request_payload * factor_min)
    # Ports of conversations, and SYN-ACKs, prove nothing by size; many strangers at once do.
    strict = (of("session") > 0) | (hits.service == TCP)
    again = (hits.service == TCP) & (hits.packets >= hits.ways * again_min)
    crowd = (hits.reflectors >= reflectors_min) | again
    # An address of which nothing was captured may have asked: then many must send little, and fast.
    sudden = (hits.packets <= FEW * hits.ways) & (rate(hits.packets, hits, 1.0) >= sudden_s)
    session = (of("session") > 0) & (hits.heard.notnull() | sudden)
    # Who is answered may have asked, as a monitor does: slowly, or by a walk whose requests differ.
    walk = (hits.service == SNMP) & (hits.request_lengths > 0)
    forged = grown & ~walk & (peak(hits, 1.0) >= asked_s)
    large = hits.payload >= hits.packets * of("payload_min")
    repeats = ibis.ifelse(blind, repeats_min, asked_repeats_min)
    same = (hits.service != "dns") | hits.questions.isnull() | (hits.answers >= hits.questions * repeats)
    # Who asks for all there is, again and again, wants what is largest, and may get little (RFC 8482).
    large = large | ((hits.service == "dns") & forged & (hits.anys * 2 > hits.answers).fill_null(False))
    # A client's own port may be one of these: a lone stranger who sends much from it is no reflector.
    alone = ibis.ifelse(of("ephemeral") > 0, blind & crowd, blind)
    sign = ibis.ifelse(strict, blind & crowd & (session | (hits.service == TCP)), alone | forged)
    # So many servers answer nobody who did not ask them, however short.
    short = (hits.service == "dns") & hits.questions.notnull() & blind
    short = short & (hits.reflectors >= MANY) & (hits.heard.notnull() | sudden)
    hits = stage(hits.filter(sign & same & (large | short | (hits.service == TCP))), needed=True)
    hits = stage(seen(hits, each, flow, by), needed=True)
    hits = hits.mutate(packets_s=rate(hits.packets, hits, 0.1), mbit_s=rate(hits.octets * 8 / 1e6, hits, 0.1))
    hits = stage(sessions(hits, [*DST, "service"], gap_s))
    held = [*DST, "service", "session"]
    each = attach(each.semi_join(hits, by), hits.select(*by, "session"), by)
    attacks = hits.group_by([*held, "dst_home"]).aggregate(
        first_us=hits.first_us.min(),
        last_us=hits.last_us.max(),
        packets=hits.packets.sum(),
        octets=hits.octets.sum(),
        payload=hits.payload.sum(),
        fragments=hits.fragments.sum(),
        request_payload=hits.request_payload.sum(),
        ours=hits.ours.max(),
        packets_s=hits.packets_s.max(),
        mbit_s=hits.mbit_s.max(),
    )
    each = each.mutate(hit_port=each.dst_port.cast("int64"), reflector_port=each.src_port.cast("int64"))
    for more in (
        count_distinct(each, held, SRC, "reflectors"),
        sample_addresses(each, held, "src", "reflector_hosts"),
        sample(each, held, "reflector_port", "source_ports"),
        sample(each, held, "hit_port", "target_ports"),
    ):
        attacks = attach(attacks, more, held)
    nominal = of("factor", attacks)
    touched = attacks.dst_home | (attacks.ours == 1)
    huge = ((attacks.packets_s >= 100_000) | (attacks.mbit_s >= 1000)) & (attacks.packets >= 1000)
    measured = (attacks.request_payload > 0).ifelse(
        attacks.payload / attacks.request_payload, ibis.null("float64")
    )
    return finding(
        attacks,
        address=pair(attacks, "dst"),
        severity=severity(2, touched.cast("int64") + (touched & huge).cast("int64"), 1, 2),
        confidence=confidence(attacks.packets, packets_min),
        first_seen=attacks.first_us,
        last_seen=attacks.last_us,
        count=attacks.packets,
        protocol=attacks.service,
        factor=measured,
        nominal_factor=(nominal > 0).ifelse(nominal, ibis.null("float64")),
        reflectors=attacks.reflectors,
        reflector_hosts=attacks.reflector_hosts,
        bytes=attacks.octets,
        fragments=attacks.fragments,
        packets_s=attacks.packets_s,
        mbit_s=attacks.mbit_s,
        source_ports=attacks.source_ports,
        target_ports=attacks.target_ports,
        seen_from=ibis.cases((attacks.dst_home, "victim"), (attacks.ours == 1, "reflector"), else_="between"),
    )


def _asked(rows: ir.Table, places: ir.Table, sent: ir.Table) -> ir.Table:
    """What the victims (or whoever used their names) sent to the reflectors, turned round to match the responses."""
    back = placed(rows.rename(turned("net", "host", "port")), places, DST)
    asks = (back.protocol != 6) | (back.syn > 0)
    way = [*SRC, *DST, "src_port", "dst_port", "protocol", "window"]
    back = back.filter(asks).semi_join(sent.select(*way).distinct(), way)
    return back.group_by(way).aggregate(
        requests=back.packets.sum(),
        request_payload=back.payload_bytes.sum(),
        request_shortest=back.length_min.min(),
        request_longest=back.length_max.max(),
    )


def _heard(rows: ir.Table, places: ir.Table, hits: ir.Table) -> ir.Table:
    """The victims that sent anything, with 1 in `heard`: what they ask for was captured, too."""
    sent = rows.select(dst_net=rows.src_net, dst_host=rows.src_host, window=rows.window)
    sent = placed(sent, places, DST)
    return sent.semi_join(hits, [*DST, "window"]).distinct().mutate(heard=ibis.literal(1, "int64"))


def _fragments(rows: ir.Table, each: ir.Table) -> ir.Table:
    """Fragments without ports that reflectors sent to their victims, by the protocol they reflect.

    A reflector of several protocols counts for the first of them by name.
    """
    way = [*SRC, *DST, "window"]
    pieces = rows.filter((rows.protocol == 17) & (rows.src_port == 0) & (rows.dst_port == 0))
    udp = each.filter(each.protocol == 17)
    pairs = udp.group_by(way).aggregate(service=udp.service.min())
    pieces = pieces.inner_join(pairs, way)
    return pieces.group_by([*DST, "service", "window"]).aggregate(
        fragments=pieces.packets.sum(), fragment_octets=pieces.bytes.sum(), fragment_us=pieces.end_us.max()
    )


def _questions(message: ir.Table, window_s: int, places: ir.Table, hits: ir.Table) -> ir.Table:
    """How many DNS responses each victim got, to how many different questions, and to those for ANY."""
    by = [*DST, "window"]
    got = responses(message)
    got = placed(got.mutate(window=window(got.time_us, window_s)), places, DST)
    got = got.semi_join(hits.filter(hits.service == "dns"), by)
    each = got.group_by([*by, "qname", "qtype"]).aggregate(answers=got.count())
    return each.group_by(by).aggregate(
        questions=each.count(),
        answers=each.answers.sum(),
        anys=(each.qtype == ANY).ifelse(each.answers, 0).sum(),
    )
