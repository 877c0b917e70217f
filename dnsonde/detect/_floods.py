"""What the detectors of floods share: which flow rows can be of a flood, of which kind, and how much there is.

Names of kinds in malware are often wrong: bytes, flags and lengths decide.
"""

from collections import defaultdict
from functools import reduce
from operator import or_

import ibis
import ibis.expr.types as ir

from dnsonde.detect._relations import SECOND, halves, placed, window
from dnsonde.detect._stages import stage
from dnsonde.intel.load import amplifiers, markers
from dnsonde.table.relations import attach, keys, turned

DST = keys("dst")
WINDOW_S = 60  # of a flow row
SEEN = 20  # packets of a sample that a rate may be reckoned of
LOG_RECORDS = 100  # of a log of flows, that tell whether it is a sample
HARDLY = 0.01  # of its flows may have fewer packets: those of one exporter of many that does not sample
SLICE_S = 10  # of a window: what comes before or after an attack must not thin it
REFLECTORS = 10  # from which on `amplification` tells what comes from ports of conversations
# From which on a flood is spread over a prefix: see `carpet_flood`.
CARPET_S, CARPET_PACKETS, CARPET_ADDRESSES = 500, 2500, 16
HTTP = ("47455420", "504F5354", "48454144")  # "GET ", "POST", "HEAD"
GAMES = {"samp": "53414D50", "ts3init1": "545333494E495431"}  # "SAMP", "TS3INIT1"
MARKED = ("vse", "raknet", "fivem", "ncp", "samp", "ts3init1")
TALK, REFLECTED = "talk", "reflected"  # vectors that are no flood
SERVED, EMPTY = "udp_service", "udp_empty"  # from a port that services reflect from, or without payload
CONNECT = "connect"  # a connection that was made, and over which its source sent nothing
CONNECT_PACKETS = 10
EMPTY_LENGTH = 48  # of an IPv6 and a UDP header: in what is longer and tells no payload, there may be one
ERRORS = "icmp_error"
ETHERNET_IN_GRE = "6558"
IPV4, MULTICAST6 = 0xFFFF_0000_0000, -(1 << 56)  # ::ffff:0:0 as a host's half, ff00::/8 as a network's
ECHOED = ((1, 0), (58, 129))  # protocol and type of an echo reply
ICMP_ERRORS = {1: (3, 4, 5, 11, 12), 58: (1, 2, 3, 4)}  # they answer what somebody sent
# What networks carry between two hosts by the second: tunnels, IPsec, routing, SCTP.
USUAL_PROTOCOLS = (1, 4, 6, 17, 41, 47, 50, 51, 58, 88, 89, 97, 103, 108, 112, 115, 132, 137)


@ibis.udf.scalar.builtin(name="hex")  # type: ignore[untyped-decorator]
def octets_hex(value: bytes) -> str:  # type: ignore[empty-body]
    """Octets as upper-case hexadecimal digits: `hex`, which both engines have and understand alike."""


def unicast(net: ir.IntegerValue, host: ir.IntegerValue) -> ir.BooleanValue:
    """Neither multicast nor broadcast; what is reserved (240.0.0.0/4) is a host's, in anonymised captures."""
    return ~_is_group(net, host, (224, 239))


def replied(net: ir.IntegerValue, host: ir.IntegerValue) -> ir.BooleanValue:
    """What services reply to: no broadcast, and none of the groups that they speak to by themselves (RFC 5771).

    NTP, mDNS and CoAP have theirs in 224.0.0.0/8, SSDP and WS-Discovery in 239.0.0.0/8, and streams in 232.0.0.0/8.
    What would be another group is a host's, in anonymised captures.
    """
    return ~_is_group(net, host, (224, 224), (232, 232), (239, 239))


def _is_group(net: ir.IntegerValue, host: ir.IntegerValue, *blocks: tuple[int, int]) -> ir.BooleanValue:
    """Of IPv4 in one of the blocks, by their first octets, or broadcast; of IPv6 multicast."""
    within = [host.between(IPV4 | a << 24, IPV4 | b << 24 | 0xFF_FFFF) for a, b in (*blocks, (255, 255))]
    return ((net == 0) & reduce(or_, within)) | ((net >= MULTICAST6) & (net < 0))


def seen(each: ir.Table, rows: ir.Table, flow: ir.Table, by: list[str]) -> ir.Table:
    """Those of `each` (by `by`) of whose `rows` enough packets were seen.

    An exporter that samples counts thousands for each packet that it saw, and two of them within a second are no rate.
    How many it counts for one, what it logs of all its flows tells: hardly any has fewer.
    """
    logged = flow.filter(flow.ttl_min.isnull())
    # Few, whatever the log's length.
    sizes = logged.group_by(["file", "packets"]).aggregate(records=logged.count())
    upto = ibis.window(group_by="file", order_by="packets", preceding=None, following=0)
    sizes = sizes.mutate(upto=sizes.records.sum().over(upto), total=sizes.records.sum().over(group_by="file"))
    grains = sizes.filter((sizes.upto >= HARDLY * sizes.total) & (sizes.total >= LOG_RECORDS))
    grains = grains.group_by("file").aggregate(grain=grains.packets.min())
    grains = stage(grains.filter(grains.grain > 1))
    rows = rows.semi_join(each, by)
    files = rows.group_by([*by, "file"]).aggregate(packets=rows.packets.sum(), rows=rows.count())
    files = attach(files, grains, ["file"])
    files = files.mutate(grain=files.grain.fill_null(1))
    files = files.mutate(seen=ibis.greatest(files.packets // files.grain, files.rows))
    sums = files.group_by(by).aggregate(seen=files.seen.sum(), grain=files.grain.max())
    return each.semi_join(sums.filter((sums.grain == 1) | (sums.seen >= SEEN)), by)


def talking() -> list[int]:
    """Ports of services that also carry conversations."""
    return sorted({port for service in amplifiers() if service.session for port in service.ports})


def large(flow: ir.Table) -> ir.BooleanValue:
    """The datagrams are as large as what the service of their port reflects."""
    least: dict[int, list[int]] = defaultdict(list)
    for service in amplifiers():
        least[service.payload_min].extend(service.ports)
    tests = [
        flow.src_port.isin(sorted(ports)) & (flow.payload_bytes >= flow.packets * octets)
        for octets, ports in least.items()
    ]
    return reduce(or_, tests).fill_null(False)


def told(flow: ir.Table) -> ir.BooleanValue:
    """The row's TCP flags are known: it was made of packets, or says FIN. Logs may tell none at all."""
    return (flow.fin > 0) | flow.ttl_min.notnull()


def arrivals(flow: ir.Table) -> ir.Table:
    """Packets that each address got in each half of a window, of whatever kind: what most have few of. Shared."""
    rows = flow.mutate(half=halves(flow.start_us, WINDOW_S))
    return stage(rows.group_by([*DST, "half"]).aggregate(packets=rows.packets.sum()))


def arrived(flow: ir.Table, places: ir.Table) -> ir.Table:
    """The rows that are of such arrivals, as `windows` has places for them."""
    return placed(flow.mutate(window=window(flow.start_us, WINDOW_S)), places, DST)


def sent_from(flow: ir.Table, places: ir.Table) -> ir.Table:
    """What the addresses of such places sent at the same time."""
    places = places.rename(src_net="dst_net", src_host="dst_host")
    return placed(flow.mutate(window=window(flow.start_us, WINDOW_S)), places, keys("src"))


def kinds(flow: ir.Table, reflected_as: str | None = None) -> ir.Table:
    """The rows that can be of a flood, with its kind in `vector` and the marks of Mirai's GRE and plain UDP in `mark`.

    flow: as `arrived` gives it. Rows of vector `talk` are TCP connections that were made, and those of `reflected` what
    services may have reflected, for comparison: these and fragments are of the vector `reflected_as`, where that is
    told, and empty datagrams are then none of their own.
    """
    f = flow.mutate(begin=octets_hex(flow.payload))
    bare = (f.syn > 0) & (f.ack == 0) & (f.synack == 0)
    stomp = (f.syn > 0) & (f.options == 0) & (f.ack >= 5) & (f.payload_bytes > 0) & (f.length_min == 40)
    # Options may be there and not captured: then headers are longer than 40 octets.
    stomp = stomp & (f.bytes - f.payload_bytes <= 40 * f.packets)
    http = reduce(or_, [f.begin.startswith(word) for word in HTTP])
    alone = (f.syn == 0) & (f.synack == 0) & (f.packets <= 3)
    shaken = (f.synack > 0) & (f.syn == 0) & (f.packets <= f.synack + f.rst)
    loose = alone & (f.rst == 0) & (f.ack > 0)
    none = (f.syn == 0) & (f.synack == 0) & (f.ack == 0) & (f.rst == 0) & (f.fragments == 0)
    none = none & told(f)
    # SYN, ACK and FIN in every packet: no TCP says that.
    none = none | ((f.synack >= f.packets) & (f.fin >= f.packets))
    empty = (
        (f.syn > 0) & (f.ack > 0) & (f.synack == 0) & (f.payload_bytes == 0) & (f.packets <= CONNECT_PACKETS)
    )
    empty = empty & f.ttl_min.notnull()  # logs may not tell the payload
    reflected = f.src_port.isin(sorted({port for service in amplifiers() for port in service.ports}))
    pieces = (f.src_port == 0) & (f.dst_port == 0)
    hollow = (f.payload_bytes == 0) & (f.fragments == 0) & f.ttl_min.notnull() & ~pieces
    hollow = hollow & (f.length_max <= EMPTY_LENGTH)
    gre = (f.begin.substr(4, 4) == ETHERNET_IN_GRE).ifelse("gre_eth", "gre_ip")
    tcp = ibis.cases(
        (http, "http"),
        (stomp, "stomp"),
        (bare, "syn"),
        (pieces, "fragments"),
        (none, "flags"),
        (loose & (f.fin >= f.packets), "fin"),
        (loose, "ack"),
        (alone & (f.rst >= f.packets), "rst"),
        (shaken, ibis.literal(None if reflected_as else REFLECTED, "string")),
        (empty, CONNECT),
        ((f.syn > 0), TALK),
    )
    udp = ibis.cases(
        *[(test, name) for name, test in _by_payload(f)],
        ((f.dst_port == 53) & _queries(f), "dns"),
        (f.dst_port == 389, "ldap"),
        *([] if reflected_as else [(hollow, EMPTY)]),
        (pieces, reflected_as or "fragments"),
        (reflected, reflected_as or REFLECTED),
        else_="udp_plain",
    )
    said = [(f.protocol == kind) & ~f.src_port.isin(errors) for kind, errors in ICMP_ERRORS.items()]
    echoed = [(f.protocol == kind) & (f.src_port == number) & (f.fragments == 0) for kind, number in ECHOED]
    vector = ibis.cases(
        (f.protocol == 6, tcp),
        (f.protocol == 17, udp),
        (f.protocol == 47, gre),
        (reduce(or_, echoed), "icmp_reply"),
        (reduce(or_, said), "icmp"),
        (_errors(f), ibis.literal(None if reflected_as else ERRORS, "string")),
        (~f.protocol.isin(USUAL_PROTOCOLS), "ip_protocol"),
    )
    twisted = (f.inner_id + f.ip_id - 1000 + 1).cast("int64") & 0xFFFF
    mark = (((f.protocol == 47) & (twisted == 0)).fill_null(False) | _plain(f)).cast("int64")
    rows = f.mutate(vector=vector, mark=mark).drop("begin")
    # A system whose tool sends SYNs by itself resets what they are answered with: that is no SYN.
    counted = (rows.vector == "syn") & (rows.syn < rows.packets)
    rows = rows.mutate(
        packets=counted.ifelse(rows.syn, rows.packets),
        bytes=counted.ifelse(rows.bytes * rows.syn // rows.packets, rows.bytes),
    )
    # Nobody pings a group by the hundred but for what it reflects (smurf).
    single = unicast(rows.dst_net, rows.dst_host) | (rows.vector == "icmp")
    # A balancer of loads or a proxy at home makes a connection to its servers for every request, or to look after them.
    within = (rows.vector == "http") & rows.src_home & rows.dst_home
    return rows.filter(rows.vector.notnull() & single & ~within)


def _by_payload(flow: ir.Table) -> list[tuple[str, ir.BooleanValue]]:
    """Kinds that `intel/markers.toml` knows by their first octets, and games by their words."""
    tests = [(name, flow.begin.startswith(word)) for name, word in GAMES.items()]
    for known in markers().vector:
        if known.protocol == "udp" and known.payload and known.name in MARKED:
            parts = [flow.begin.substr(2 * o.at, len(o.hex)) == o.hex.upper() for o in known.payload]
            tests.append((known.name, reduce(lambda a, b: a & b, parts)))
    return tests


def _errors(flow: ir.Table) -> ir.BooleanValue:
    """ICMP errors."""
    return reduce(
        or_, [(flow.protocol == kind) & flow.src_port.isin(errors) for kind, errors in ICMP_ERRORS.items()]
    )


def _queries(flow: ir.Table) -> ir.BooleanValue:
    """The first datagram asks one question, or what it says is not known (RFC 1035 4.1.1)."""
    untold = (flow.begin == "") & ((flow.payload_bytes > 0) | flow.ttl_min.isnull())
    return untold | (flow.begin.substr(8, 4) == "0001")


def unexplained(flow: ir.Table) -> ir.BooleanValue:
    """Datagrams from a service's port may be a flood by themselves: not what the service says, or may reflect.

    Of a conversation a log may have one direction, and of a sample mostly has. What is as large as reflections are is
    `amplification`'s to judge, but from ports of conversations and of clients, where it takes many strangers.
    """
    logged = flow.ttl_min.isnull() & flow.src_port.isin(talking())
    return (flow.protocol == 17) & ~logged & ~(large(flow) & ~flow.src_port.isin(_shared())) & ~_speech(flow)


def unreflected(rows: ir.Table) -> ir.Table:
    """The rows without those of a service's port that are, all in all, as large as what it reflects (`amplification`).

    What is short among them are a service's errors. From ports that clients use too it takes REFLECTORS.
    """
    by = [*DST, "vector", "window", "src_port"]
    sums = rows.filter(rows.vector == REFLECTED)
    sums = sums.group_by([*by, *keys("src")]).aggregate(
        packets=sums.packets.sum(), payload_bytes=sums.payload_bytes.sum()
    )
    sums = sums.group_by(by).aggregate(
        packets=sums.packets.sum(), payload_bytes=sums.payload_bytes.sum(), sources=sums.count()
    )
    strange = ~sums.src_port.isin(_shared()) | (sums.sources >= REFLECTORS)
    return rows.anti_join(sums.filter(large(sums) & strange), by)


def _shared() -> list[int]:
    """Ports of services that clients use as well, or that carry conversations."""
    return sorted({port for one in amplifiers() if one.session or one.ephemeral for port in one.ports})


def _speech(flow: ir.Table) -> ir.BooleanValue:
    """From the ports of DNS and NTP what servers say there, or what it is is not known (RFC 1035 4.1.1, RFC 5905 7.3).

    A response repeats one question or none; a time has 48 octets, and with a signature 20 or 24 more.
    """
    begin = octets_hex(flow.payload)
    reply = (begin.substr(4, 1) >= "8") & begin.substr(8, 4).isin(["0000", "0001"])
    time = reduce(or_, [flow.payload_bytes == flow.packets * octets for octets in (48, 68, 72)])
    unknown = (begin == "") | flow.ttl_min.isnull()
    return ((flow.src_port == 53) & (reply | unknown)) | ((flow.src_port == 123) & (time | unknown))


def _plain(flow: ir.Table) -> ir.BooleanValue:
    """Every datagram has the very length that Mirai's plain UDP flood sends."""
    lengths = [v.payload_min for v in markers().vector if v.name == "udp_plain" and v.payload_min is not None]
    same = (flow.protocol == 17) & (flow.length_min == flow.length_max)
    tests = [same & (flow.payload_bytes == flow.packets * length) for length in lengths]
    return reduce(or_, tests, ibis.literal(False)).fill_null(False)


def amounts(rows: ir.Table) -> ir.Table:
    """How much of each vector every address got in each window; `peak`: packets of its busiest slice.

    A row's packets are taken as even over its time.
    """
    by = [*DST, "dst_home", "vector", "window"]
    rows = _sliced(rows)
    slices = rows.group_by([*by, "slice"]).aggregate(
        first_us=rows.start_us.min(),
        last_us=rows.end_us.max(),
        packets=rows.packets.sum(),
        octets=rows.bytes.sum(),
        flows=rows.count(),
        marks=rows.mark.sum(),
        ours=rows.src_home.cast("int64").max(),
        peak=rows.share.sum(),
    )
    sums = {name: slices[name].sum().cast("int64") for name in ("packets", "octets", "flows", "marks")}
    return slices.group_by(by).aggregate(
        first_us=slices.first_us.min(),
        last_us=slices.last_us.max(),
        ours=slices.ours.max(),
        peak=slices.peak.max().cast("int64"),
        **sums,
    )


def _sliced(rows: ir.Table) -> ir.Table:
    """With the `slice` that a row begins in, and its `share`: packets in one slice."""
    within = SLICE_S * SECOND
    return rows.mutate(
        slice=window(rows.start_us, SLICE_S),
        share=rows.packets * within // ibis.greatest(rows.end_us - rows.start_us, within),
    )


def busiest(rows: ir.Table, by: list[str]) -> ir.Table:
    """`peak` of each `by`: packets of its busiest slice."""
    rows = _sliced(rows)
    slices = rows.group_by([*by, "slice"]).aggregate(packets=rows.share.sum())
    return slices.group_by(by).aggregate(peak=slices.packets.max().cast("int64"))


def answers(sent: ir.Table) -> ir.Table:
    """Packets that each address sent (`sent_from`) in each window, resets and ICMP errors apart.

    That is what a victim does not do for a flood's sake.
    """
    some = sent.filter(~_errors(sent))
    told = some.group_by([*keys("src"), "window"]).aggregate(answers=(some.packets - some.rst).sum())
    return told.rename(dst_net="src_net", dst_host="src_host")


def unasked(rows: ir.Table, each: ir.Table, sent: ir.Table) -> ir.Table:
    """The rows without datagrams that the addresses of `each` (by `vector` and window) asked for, or may have.

    Those are datagrams to whose sender, and between the same ports, something went back (for empty ones an empty one:
    both sides may keep a way open), and those from ports of conversations to an address of which nothing that it sends
    was captured. sent: what they sent, as `sent_from` gives it.
    """
    by = [*DST, "vector", "window"]
    each = each.filter(each.vector.isin([REFLECTED, EMPTY])).select(*by)
    way = turned("net", "host", "port")
    sent = sent.select("protocol", "payload_bytes", "window", **way)
    sent = sent.inner_join(each, [*DST, "window"])
    same = [*way, "vector", "window"]
    alike = (sent.vector != EMPTY) | (sent.payload_bytes == 0)
    asked = stage(sent.filter((sent.protocol == 17) & alike).select(*same).distinct())
    heard = stage(sent.select(*by).distinct().mutate(heard=ibis.literal(True)))
    rows = attach(rows.anti_join(asked, same), heard, by)
    talk = (rows.vector == REFLECTED) & rows.src_port.isin(talking())
    return rows.filter(~talk | rows.heard.notnull()).drop("heard")


def rate(count: ir.NumericValue, table: ir.Table, least_s: float) -> ir.FloatingValue:
    """So many in a second of `first_us` to `last_us`, which lasts `least_s` or more."""
    return count / ibis.greatest((table.last_us - table.first_us) / SECOND, least_s)


def peak(table: ir.Table, least_s: float) -> ir.FloatingValue:
    """Packets a second of the whole window, or of its busiest slice if that is more."""
    return ibis.greatest(rate(table.packets, table, least_s), table.peak / SLICE_S)
