"""Sources that look for services: one port at many addresses, or many ports at one."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import confidence, detector, finding
from dnsonde.detect._floods import USUAL_PROTOCOLS, told
from dnsonde.detect._relations import count_distinct, sample, sessions, window
from dnsonde.detect._stages import sources, stage
from dnsonde.table.relations import attach, keys, pair, turned

SRC = keys("src")
DST = keys("dst")
COLUMNS = [
    *SRC, "src_home", *DST, "dst_home", "kind", "port", "bucket", "start_us", "end_us", "packets", "talked", "mute",
    "strange", "one",
]  # fmt: skip
ECHO = ((1, 8), (1, 13), (1, 17), (58, 128))  # ICMP and ICMPv6 echo requests, and ICMP's for time and mask
LOOKUPS = (53, 123, 443)  # UDP services that a host asks of many others
IP = 255  # `kind` of what looks for IP protocols; its `port` is the protocol
TINY = 40  # octets of IP and TCP headers, at the least
WEB = (80, 443)  # what programs ask for over IPv6 first, also where it leads nowhere (RFC 8305)
PINGS = 4  # to an address, as `ping` of Windows sends: with more it is looked after
CHECKS = 15  # more SYNs of ours than that to each address are checks of its health: a scan sends one, and repeats it
TRACEROUTE = (33434, 33534)  # a port a packet (traceroute(8))
# Where file sharing and coins look for peers by the dozen, of which many are gone: eDonkey, Gnutella, BitTorrent,
# Bitcoin, Ethereum (IANA's registry of ports, and the programs' defaults).
PEERS = (4662, 6346, 6347, 6348, *range(6881, 6890), 8333, 30303, 51413)


@detector(
    threat="service scan",
    subject_kind="address",
    title="{subject} scans for services ({technique})",
    summary="{subject} sent {count} probes without a conversation to {addresses:address|addresses}{ports:? (ports of "
    "one: % at most)}: see that what it looks for is meant to be reached; a source of yours may be infected.",
    references=(
        "Zeek, policy/misc/scan, https://docs.zeek.org/en/v4.0.9/scripts/policy/misc/scan.zeek.html",
        "CESNET NEMEA vportscan_detector and hoststats, https://github.com/CESNET/NEMEA-Detectors",
        "MITRE ATT&CK T1046 Network Service Discovery, T1595.001 Scanning IP Blocks",
    ),
)
def service_scan(
    flow: ir.Table,
    *,
    addresses_min: Annotated[int, "addresses on one TCP or UDP port that make a horizontal scan"] = 25,
    echo_min: Annotated[int, "addresses that were pinged which make a sweep"] = 16,
    ports_min: Annotated[int, "TCP ports of one address that make a vertical scan"] = 15,
    udp_ports_min: Annotated[int, "the same of UDP, where nothing tells an answer"] = 50,
    protocols_min: Annotated[int, "IP protocols that nothing uses, of one address, that make a scan"] = 50,
    flags_min: Annotated[int, "ports probed with impossible TCP flags that make a scan"] = 3,
    packets_max: Annotated[int, "most packets of a probe to one port of one address, in one flow row"] = 4,
    gap_s: Annotated[int, "seconds without a probe that end a scan"] = 21_600,
) -> ir.Table:
    """A source looks for services: one port at many addresses, many ports or IP protocols at one, a sweep of pings.

    A TCP probe is a SYN after which no data went from the source to that port: refused, unanswered, or answered and
    dropped. SYNs with Mirai's mark belong to `mirai_scan` and are not counted again. Segments with none of SYN, ACK
    and RST (NULL, FIN and XMAS scans), which no TCP sends first, or with the flags in another fragment, count too,
    and so do ACKs of no conversation, with or without FIN, by which a filter is felt, from one port of the source
    to many ports of an address or to many addresses.

    **Why it matters** It is the step before the break-in. From home to outside it is mostly an infected host.

    **What looks like it** Web clients reach many addresses on one port too, and talk with them: the addresses talked
    with must be fewer than the others. A monitor (ping, SNMP) asks the same addresses again and again, and so does a
    balancer of loads that checks the health of its servers, of which there are few, by half-open connections. File
    sharing and game clients fail to reach many peers, each on a port of its own; where they share a port they are
    indistinguishable, so UDP from home to many addresses outside is left alone, as are DNS, traceroute, NTP and
    QUIC (but for strangers who ask many addresses of home), and the usual TCP ports of file sharing and coins. A
    browser whose IPv6 leads nowhere asks for web pages over it all the same, and nobody answers it there.
    Vulnerability scanners of your own show as scans from home to home, which is information only; those from
    outside go on the allow-list. The source of packets without a conversation can be forged, for you to blame or
    block somebody: ask before you do.

    **Thresholds** `addresses_min` (25) and `ports_min` (15) are those of Zeek's scan policy, `packets_max` (4) and
    `udp_ports_min` (50) NEMEA's. A port of one address that got nothing but SYNs counts however many they were. A sweep
    of `echo_min` (16) addresses is a /28. `flags_min` (3) is low, since such segments are never sent by chance.
    `protocols_min` (50) is ours: nmap asks for all 256, a flood of several protocols has fewer. `gap_s` is six hours,
    so that slow scans are one: a real one took 72 hours for 7,307 addresses.
    """
    least = min(addresses_min, echo_min, ports_min, udp_ports_min, protocols_min, flags_min)
    often = sources(flow, rows=least)
    some = flow.semi_join(often.filter(often.rows >= least), SRC)
    rows = _rows(some, packets_max, gap_s, addresses_min, ports_min)
    pairs = stage(_pairs(rows))
    pairs = stage(pairs.semi_join(_active(pairs, least), SRC), needed=True)
    pairs = stage(_unanswered(pairs, flow))
    buckets = pairs.group_by([*SRC, "bucket"]).aggregate(
        first_us=pairs.first_us.min(), last_us=pairs.last_us.max()
    )
    buckets = stage(sessions(buckets, SRC, gap_s))
    pairs = attach(pairs, buckets.select(*SRC, "bucket", "session"), [*SRC, "bucket"])
    by = [*SRC, "session"]
    # The same port of the same address in several buckets is one.
    spots = pairs.group_by([*by, "src_home", *DST, "dst_home", "protocol", "port"]).aggregate(
        first_us=pairs.first_us.min(),
        last_us=pairs.last_us.max(),
        packets=pairs.packets.sum(),
        probes=pairs.probes.sum(),
        odd=pairs.odd.sum(),
        talked=pairs.talked.max(),
        mute=pairs.mute.min(),
        one=pairs.one.min(),
    )
    spots = stage(spots.mutate(silent=((spots.talked == 0) & (spots.probes > 0)).cast("int64")))
    wide = _wide(spots, by, addresses_min, echo_min)
    deep = _deep(spots, by, {6: ports_min, 17: udp_ports_min, IP: protocols_min}, flags_min)
    both = stage(wide.union(deep), needed=True)
    scans = both.group_by([*by, "src_home"]).aggregate(
        first_us=both.first_us.min(),
        last_us=both.last_us.max(),
        probes=both.probes.max(),
        addresses=both.addresses.max(),
        ports=both.ports.max(),
        ratio=both.ratio.max(),
        wide=both.wide.max(),
        deep=both.deep.max(),
        odd=both.odd.max(),
        protocol=(both.probes * 256 + both.protocol).max() % 256,  # of the most probes
        inside=both.inside.min(),
    )
    quiet = (spots.silent == 1) | (spots.mute == 1)
    seen = spots.filter(quiet & (spots.port >= 0)).semi_join(both, [*by, "protocol"])
    seen = seen.mutate(scanned_ports=lambda t: t.port)
    scans = attach(scans, sample(seen, by, "scanned_ports", "scanned_ports"), by)
    within = scans.src_home & (scans.inside == 1)
    return finding(
        scans,
        address=pair(scans, "src"),
        severity=ibis.cases((within, 0), (scans.src_home, 2), else_=1),
        confidence=confidence(scans.ratio, 1.0),
        first_seen=scans.first_us,
        last_seen=scans.last_us,
        count=scans.probes,
        technique=ibis.cases(
            ((scans.wide == 1) & (scans.deep == 1), "horizontal and vertical"),
            ((scans.wide == 1) & (scans.protocol == 1), "ping sweep"),
            (scans.wide == 1, "horizontal"),
            ((scans.deep == 1) & (scans.protocol == IP), "ip protocols"),
            (scans.deep == 1, "vertical"),
            else_="odd flags",
        ),
        protocol=ibis.cases(
            (scans.protocol == 1, "icmp"),
            (scans.protocol == 6, "tcp"),
            (scans.protocol == IP, "ip"),
            else_="udp",
        ),
        addresses=scans.addresses,
        ports=(scans.protocol == 1).ifelse(ibis.null("int64"), scans.ports),
        scanned_ports=scans.scanned_ports,
    )


def _rows(flow: ir.Table, packets_max: int, gap_s: int, addresses_min: int, ports_min: int) -> ir.Table:
    """Flows that can be of a scan; port -1: ICMP, whose versions are one `kind`, 1."""
    flow = flow.mutate(bucket=window(flow.start_us, gap_s))
    tcp = flow.protocol == 6
    # An answer comes from a service's port, which is mostly the lower one.
    low = (flow.dst_port < flow.src_port) & (flow.dst_port > 0)
    # Who asks many addresses of home for the time looks for it; for names, it is `dns_sweep`'s.
    lookup = flow.dst_port.isin(LOOKUPS) & ~((flow.dst_port != 53) & flow.dst_home & ~flow.src_home)
    udp = (flow.protocol == 17) & ~lookup & ~flow.dst_port.between(*TRACEROUTE) & low
    echo = ibis.or_(*[(flow.protocol == kind) & (flow.src_port == echo) for kind, echo in ECHO])
    few = flow.packets <= packets_max
    odd = tcp & (flow.syn == 0) & (flow.synack == 0) & (flow.ack == 0) & (flow.rst == 0) & few & told(flow)
    # A first fragment without TCP's flags hides them (RFC 1858, 3).
    tiny = (flow.fragments == 0) | (flow.length_max < TINY)
    odd = odd & (flow.payload_bytes == 0) & tiny & (flow.dst_port > 0)
    # A log names FIN without saying whether ACK was with it: then it may be the late end of a conversation, which a
    # server sends to its client's high port, and a client to few ports of one server.
    odd = odd & (flow.ttl_min.notnull() | low)
    lone = (flow.syn == 0) & (flow.synack == 0) & (flow.rst == 0) & (flow.ack > 0)
    stray = tcp & lone & low & few & (flow.payload_bytes == 0) & flow.ttl_min.notnull()
    asked = tcp & (flow.syn > 0) & (flow.synack == 0) & (flow.mirai_syn == 0)
    asked = asked & ~(flow.src_home & ~flow.dst_home & flow.dst_port.isin(PEERS))
    other = ~flow.protocol.isin(USUAL_PROTOCOLS) & few & (flow.fragments == 0)
    rows = flow.filter(asked | odd | stray | other | (udp & few) | (echo & few))
    strays = stage(flow.filter(stray).select(*SRC, *DST, "src_port", "dst_port", "bucket").distinct())
    # A client has a port for each connection.
    for by, what, name, least in (
        ([*SRC, "src_port", "dst_port", "bucket"], DST, "swept", addresses_min),
        ([*SRC, "src_port", *DST, "bucket"], ["dst_port"], "felt", ports_min),
    ):
        many = count_distinct(strays, by, what, name)
        rows = attach(rows, many.filter(many[name] >= least), by)
    # Peers, idle connections and late ends look like these at many addresses, and at many ports of one nothing does.
    late = (rows.protocol == 6) & (rows.syn == 0) & ((rows.ack > 0) | rows.ttl_min.isnull())
    rows = rows.mutate(late=late & rows.swept.isnull())
    # Of a conversation that began before the capture, of which it has one packet, each port is another connection's.
    rows = rows.filter(~rows.late | rows.felt.notnull() | rows.ttl_min.isnull())
    talked = (rows.protocol == 6) & ((rows.payload_bytes > 0) | (rows.packets > packets_max))
    strange = (rows.protocol == 6) & (rows.syn == 0) & (rows.ack == 0) & rows.ttl_min.notnull()
    icmp = rows.protocol.isin([kind for kind, _ in ECHO])
    alien = ~rows.protocol.isin(USUAL_PROTOCOLS)
    one = rows.late | alien | ((rows.protocol == 17) & rows.src_home & ~rows.dst_home)
    return rows.mutate(
        kind=ibis.cases((icmp, 1), (alien, IP), else_=rows.protocol).cast("int64"),
        port=ibis.cases((icmp, -1), (alien, rows.protocol), else_=rows.dst_port).cast("int64"),
        talked=talked.cast("int64"),
        mute=((rows.protocol == 6) & (rows.syn > 0) & (rows.ack == 0)).cast("int64"),
        strange=strange.cast("int64"),
        one=one.cast("int64"),
        # The handshake's third segment, and the resets of a system whose tool sends SYNs by itself, are no probes.
        packets=(rows.syn > 0).ifelse(rows.syn, rows.packets),
    ).select(*COLUMNS)


def _pairs(rows: ir.Table) -> ir.Table:
    """One row a source, port, destination and bucket of time."""
    return (
        rows.group_by([*SRC, "src_home", *DST, "dst_home", "kind", "port", "bucket"])
        .aggregate(
            protocol=rows.kind.min(),
            first_us=rows.start_us.min(),
            last_us=rows.end_us.max(),
            packets=rows.packets.sum(),
            probes=rows.packets.sum(where=rows.talked == 0),
            odd=rows.strange.sum(),
            talked=rows.talked.max(),
            mute=rows.mute.min(),
            one=rows.one.min(),
        )
        .mutate(probes=lambda t: t.probes.fill_null(0))
        .drop("kind")
    )


def _unanswered(pairs: ir.Table, flow: ir.Table) -> ir.Table:
    """Ports of UDP that sent something to the source are talked with: it answers them, or they it."""
    udp = flow.filter(flow.protocol == 17)
    port = udp.src_port.cast("int64")
    said = udp.select(**turned("net", "host"), protocol=udp.protocol.cast("int64"), port=port)
    by = [*SRC, *DST, "protocol", "port"]
    said = said.semi_join(pairs, by).distinct().mutate(said=ibis.literal(1, "int64"))
    pairs = attach(pairs, said, by)
    return pairs.mutate(talked=ibis.greatest(pairs.talked, pairs.said.fill_null(0))).drop("said")


def _active(rows: ir.Table, least: int) -> ir.Table:
    """Sources with as many rows at all."""
    some = rows.group_by(SRC).aggregate(rows=rows.count())
    return some.filter(some.rows >= least).select(*SRC)


def _wide(spots: ir.Table, by: list[str], addresses_min: int, echo_min: int) -> ir.Table:
    """One port at many addresses, few packets each."""
    held = [*by, "src_home", "protocol", "port"]
    # Whoever asks an address again and again does not look for it; strangers do that with TCP, for days.
    again = ibis.ifelse(spots.protocol == 6, CHECKS, PINGS)
    fresh = ((spots.protocol == 6) & ~spots.src_home) | (spots.probes <= again)
    spots = spots.filter((spots.one == 0) & fresh)
    quiet = spots.silent == 1
    some = spots.group_by(held).aggregate(
        first_us=spots.first_us.min(where=quiet),
        last_us=spots.last_us.max(where=quiet),
        probes=spots.probes.sum(where=quiet),
        addresses=spots.silent.sum(),
        talked=spots.talked.sum(),
        inside=spots.dst_home.cast("int64").min(where=quiet),
        reached=((spots.mute == 0) | (spots.dst_net == 0)).cast("int64").max(),
    )
    lost = (
        some.src_home & (some.inside == 0) & some.port.isin(WEB) & (some.reached == 0) & (some.protocol == 6)
    )
    some = some.filter(~lost).drop("reached")
    ping = some.port == -1
    least = ping.ifelse(echo_min, addresses_min)
    some = some.filter((some.addresses >= least) & (some.addresses > some.talked))
    some = some.mutate(ratio=some.addresses / ibis.ifelse(some.port == -1, echo_min, addresses_min))
    return _kind(some.mutate(ports=_int(1), wide=_int(1), deep=_int(0), odd=_int(0)), by)


def _deep(spots: ir.Table, by: list[str], ports_min: dict[int, int], flags_min: int) -> ir.Table:
    """Many ports (by `kind`) at one address; or some, with flags that no TCP sends."""
    # A port that got nothing but SYNs has not answered, however often it was asked.
    mute = spots.mute == 1
    some = spots.filter(spots.port >= 0).mutate(
        silent=mute.ifelse(1, spots.silent),
        talked=mute.ifelse(0, spots.talked),
        probes=mute.ifelse(spots.packets, spots.probes),
    )
    quiet = some.silent == 1
    some = some.group_by([*by, "src_home", "protocol", *DST]).aggregate(
        first_us=some.first_us.min(where=quiet),
        last_us=some.last_us.max(where=quiet),
        probes=some.probes.sum(where=quiet),
        ports=some.silent.sum(),
        odds=(some.odd > 0).sum(),
        talked=some.talked.sum(),
        inside=some.dst_home.cast("int64").min(),
    )
    least = ibis.cases(*[(some.protocol == kind, count) for kind, count in ports_min.items()])
    # Who looks after a server's ports asks them again and again.
    fresh = ~some.src_home | (some.probes <= CHECKS * some.ports)
    deep = (some.ports >= least) & (some.ports > some.talked) & fresh
    some = some.mutate(least=least, deep=deep.cast("int64")).filter(deep | (some.odds >= flags_min))
    some = some.mutate(ratio=ibis.greatest(some.ports / some.least, some.odds / flags_min)).drop("least")
    one = some.group_by([*by, "src_home", "protocol"]).aggregate(targets=some.count())
    some = some.mutate(wide=_int(0), odd=(some.odds >= flags_min).cast("int64"))
    some = attach(some, one, [*by, "src_home", "protocol"])
    return _kind(some.mutate(addresses=some.targets.cast("int64")), by)


def _kind(some: ir.Table, by: list[str]) -> ir.Table:
    """The scans of one source that are of one kind and protocol, as one row."""
    most = {name: some[name].cast("int64").max() for name in ("addresses", "ports", "wide", "deep", "odd")}
    return some.group_by([*by, "src_home", "protocol"]).aggregate(
        first_us=some.first_us.min(),
        last_us=some.last_us.max(),
        probes=some.probes.sum().cast("int64"),
        ratio=some.ratio.max(),
        inside=some.inside.min(),
        **most,
    )


def _int(value: int) -> ir.IntegerScalar:
    return ibis.literal(value, "int64")
