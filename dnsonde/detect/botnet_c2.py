"""Home hosts that talk with bots' servers."""

from collections import defaultdict
from collections.abc import Iterable
from functools import reduce
from ipaddress import ip_address
from operator import or_
from pathlib import Path
from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import CERTAIN, confidence, detector, finding
from dnsonde.detect._floods import octets_hex
from dnsonde.detect._lists import ends, listed
from dnsonde.detect._relations import (
    below,
    count_distinct,
    dns,
    sample,
    sample_addresses,
    sessions,
    together,
    under,
    window,
)
from dnsonde.detect._stages import domains as registered_domains
from dnsonde.detect._stages import stage
from dnsonde.intel.indicators import Indicator, indicators, load_indicators
from dnsonde.table.relations import attach, is_ipv4, keys, pair
from dnsonde.wire.batch import MAPPED, address_pair

HOST = ["host_net", "host_host"]
ASKED = [*keys("src", "dst"), "time_us", "qname", "registered_domain"]
CONVERSATION = ["protocol", *keys("src", "dst"), "src_port", "dst_port"]
SERVICE_PORTS = 1024  # below: who is asked there is the server
HELLO = "00000001"  # the first that a Mirai bot says
LOW_32 = 0xFFFF_FFFF
REPORT_PORT = 48101  # where it reports what it scanned
LISTED, SAID, SUFFIX = "indicator", "mirai protocol", "suffix"


@detector(
    threat="botnet contact",
    subject_kind="address",
    title="{subject} talks with a server of {malware}",
    summary="{subject} asked for or sent to {places:place|places} known for {malware}, {count:time|times}: look at "
    "it, take it off the network, and find how it was infected.",
    references=(
        "Antonakakis et al., Understanding the Mirai Botnet, USENIX Security 2017",
        "https://github.com/jgamblin/Mirai-Source-Code (main.c, loader)",
        "dnsonde/intel/indicators.toml, each row with its source",
    ),
)
def botnet_c2(
    message: ir.Table,
    flow: ir.Table,
    *,
    intel: Annotated[str, "files of further indicators (TOML, CSV, STIX, MISP), one a line"] = "",
    valid_at_s: Annotated[
        int, "until when STIX has to hold those of `intel` valid, in seconds since 1970 UTC"
    ] = 0,
    suffix_min: Annotated[int, "lookups below an alternative top-level domain that make a finding"] = 3,
    hello_most: Annotated[int, "most payload octets of a connection that begins as Mirai's bots do"] = 512,
    gap_s: Annotated[int, "seconds without a contact that end it"] = 86_400,
) -> ir.Table:
    """A home host asks for a listed domain, sends to a listed address, or speaks as Mirai's bots do.

    Indicators are our own (`intel/indicators.toml`: Rebirth and its kin) and those of `intel`. A domain counts with all
    below it; an address counts when home begins the conversation, so that a scan by it is no contact. Without any
    list, a connection to outside whose first payload is the four octets 00000001, and little more, is Mirai's hello;
    one to TCP 48101 with data is its scan report. Names below top-level domains of OpenNIC are a hint.

    **Why it matters** The host is under somebody's command: it floods others, and sees your network from inside.

    **What looks like it** Researchers, mail filters and resolvers ask for listed names too: the subject is who asks, so
    a resolver at home stands for its clients; look at its log. A listed address may serve others by now. Few people use
    OpenNIC on purpose. A protocol of another kind may begin with 00000001, but then more follows than `hello_most`.

    **Thresholds** One contact with a listed place is a finding. `suffix_min` (3) and `hello_most` (512 octets in a
    minute: hello, identity, two octets of keep-alive each minute) are ours. `gap_s` is a day. Indicators that STIX held
    valid until before `valid_at_s` (the present, where a file is named by `--intel`) do not count.
    """
    more = [
        i for line in intel.splitlines() if line for i in load_indicators(Path(line), valid_at_s * 1_000_000)
    ]
    asked, sent = _asked(message, indicators(), more), _sent(flow, indicators(), more, hello_most)
    seen = stage(together(asked, sent, asked.columns), needed=True)
    seen = seen.mutate(bucket=window(seen.time_us, gap_s))
    buckets = seen.group_by([*HOST, "bucket"]).aggregate(
        first_us=seen.time_us.min(),
        last_us=seen.last_us.max(),
        contacts=seen.contacts.sum(),
        listed=(seen.contacts * (seen.how == LISTED).cast("int64")).sum(),
        said=(seen.contacts * (seen.how == SAID).cast("int64")).sum(),
    )
    buckets = sessions(buckets, HOST, gap_s)
    by = [*HOST, "session"]
    hosts = buckets.group_by(by).aggregate(
        first_us=buckets.first_us.min(),
        last_us=buckets.last_us.max(),
        contacts=buckets.contacts.sum(),
        listed=buckets.listed.sum(),
        said=buckets.said.sum(),
    )
    sure = hosts.listed + hosts.said > 0
    hosts = hosts.filter(sure | (hosts.contacts >= suffix_min))
    seen = attach(seen, buckets.select(*HOST, "bucket", "session"), [*HOST, "bucket"])
    seen = seen.mutate(place=seen.name.fill_null("address"))
    seen = seen.mutate(hint=(seen.how == SUFFIX).cast("int64"))
    named = seen.group_by([*by, "malware"]).aggregate(n=seen.contacts.sum(), rank=seen.hint.min())
    order = [named["rank"], ibis.desc(named.n), named.malware]
    first = ibis.row_number().over(ibis.window(group_by=by, order_by=order))
    named = named.mutate(first=first).filter(lambda t: t["first"] == 0).select(*by, "malware")
    bare = seen.filter(seen.name.isnull())
    for more in (
        named,
        count_distinct(seen, by, ["place", *keys("peer")], "places"),
        sample(seen.filter(seen.name.notnull()), by, "name", "names"),
        sample_addresses(bare, by, "peer", "server_hosts"),
        sample(seen.filter(seen.port > 0), by, "port", "ports"),
        sample(seen, by, "how", "signs"),
    ):
        hosts = attach(hosts, more, by)
    return finding(
        hosts,
        address=pair(hosts, "host"),
        severity=ibis.cases((hosts.listed > 0, 3), (hosts.said > 0, 2), else_=1),
        confidence=ibis.cases(
            (hosts.listed > 0, CERTAIN),
            (hosts.said > 0, confidence(ibis.greatest(hosts.contacts, 1), 1.0)),
            else_=confidence(hosts.contacts, suffix_min),
        ),
        first_seen=hosts.first_us,
        last_seen=hosts.last_us,
        count=hosts.contacts,
        malware=hosts.malware,
        places=hosts.places,
        names=hosts.names,
        server_hosts=hosts.server_hosts,
        ports=hosts.ports,
        signs=hosts.signs,
    )


def _asked(message: ir.Table, own: Iterable[Indicator], more: Iterable[Indicator]) -> ir.Table:
    """Lookups by home of listed names: the host, the name and what it is of. `more` may be very many."""
    domains = _families(own, "domain")
    suffixes = _families([*own, *(one for one in more if one.kind == "suffix")], "suffix")
    handed = sorted(
        {one.value: one.malware for one in sorted(more, reverse=True) if one.kind == "domain"}.items()
    )
    names = listed(handed, {"value": "string", "handed": "string"}) if handed else None
    asked = _below_any(
        message, {name for some in (domains, suffixes) for each in some.values() for name in each}, names
    )
    tests: list[tuple[ir.BooleanValue, ir.StringValue, str]] = []
    tests += [(below(asked.qname, each), ibis.literal(malware), LISTED) for malware, each in domains.items()]
    if names is not None:
        asked = attach(asked, _handed(asked, names), ["qname"])
        tests.append((asked.handed.notnull(), asked.handed, LISTED))
    tests += [(under(asked.qname, each), ibis.literal(malware), SUFFIX) for malware, each in suffixes.items()]
    text = ibis.null("string")
    asked = asked.mutate(
        malware=ibis.cases(*[(hit, malware) for hit, malware, _ in tests]) if tests else text,
        how=ibis.cases(*[(hit, how) for hit, _, how in tests]) if tests else text,
    )
    asked = asked.filter(asked.malware.notnull())
    return _rows(asked, asked.time_us, asked.time_us, ibis.literal(1), asked.qname, ibis.literal(0))


def _handed(asked: ir.Table, names: ir.Table) -> ir.Table:
    """Names that were asked, and are listed or below one that is, with what it is of: the first of several."""
    each = ends(asked.select("qname").distinct(), "qname")
    each = each.inner_join(names, each.end == names.value)
    return stage(each.group_by(qname=each.name).aggregate(handed=each.handed.min()))


def _below_any(message: ir.Table, names: Iterable[str], more: ir.Table | None) -> ir.Table:
    """Home's queries whose registered domain does not rule out that they are for one of these names, or below one.

    A registered domain ends the name that was asked: so it ends the listed name, or ends with it.
    """
    few_names = sorted(names)
    endings = {name.split(".", cut)[-1] for name in few_names for cut in range(name.count(".") + 1)}
    every = registered_domains(message).select("registered_domain")
    rd = every.registered_domain
    few = every.filter(rd.isin(sorted(endings)) | under(rd, few_names))
    if more is not None:
        there = every.filter(rd.notnull())
        longer = ends(more, "value")
        above = there.semi_join(longer, there.registered_domain == longer.end)
        beneath = ends(there, "registered_domain")
        beneath = beneath.semi_join(more, beneath.end == more.value).select(registered_domain="name")
        few = few.union(above).union(beneath)
    few = stage(few)
    asked = dns(message).filter(lambda t: ~t.response & t.src_home)
    # A public suffix itself has no registered domain.
    bare = stage(asked.filter(asked.registered_domain.isnull()).select(*ASKED))
    return together(stage(asked.semi_join(few, "registered_domain").select(*ASKED)), bare, ASKED)


def _sent(flow: ir.Table, own: Iterable[Indicator], more: Iterable[Indicator], hello_most: int) -> ir.Table:
    """Conversations that home began with listed addresses, or as Mirai's bots do."""
    out = flow.filter(flow.src_home & ~flow.dst_home & (flow.synack == 0) & (flow.packets > flow.rst))
    out = out.filter(out.protocol.isin([6, 17]))
    out = out.mutate(begin=octets_hex(out.payload))
    groups: dict[str, list[Indicator]] = defaultdict(list)
    for one in own:
        if one.kind == "address":
            groups[one.malware].append(one)
    tests: list[tuple[ir.BooleanValue, ir.StringValue, str]] = [
        (_to_any(out, places), ibis.literal(malware), LISTED) for malware, places in sorted(groups.items())
    ]
    handed = [one for one in more if one.kind == "address"]
    if handed:
        out = attach(out, _handed_at(out, handed), [*keys("dst"), "dst_port"])
        tests.append((out.handed.notnull(), out.handed, LISTED))
    tcp = (out.protocol == 6) & (out.payload_bytes > 0)
    hello = tcp & (out.begin == HELLO) & (out.payload_bytes <= hello_most)
    report = tcp & (out.dst_port == REPORT_PORT) & (out.syn > 0)
    tests.append((hello | report, ibis.literal("Mirai"), SAID))
    out = out.mutate(
        malware=ibis.cases(*[(hit, malware) for hit, malware, _ in tests]),
        how=ibis.cases(*[(hit, how) for hit, _, how in tests]),
    )
    out = _begun(stage(out.filter(out.malware.notnull())), flow)
    return _rows(out, out.start_us, out.end_us, ibis.literal(1), ibis.null("string"), out.dst_port)


def _begun(out: ir.Table, flow: ir.Table) -> ir.Table:
    """Of what home sent, what is of no conversation that the other side began: anybody may, UDP under any address.

    Where its beginning was not seen, a port below 1024 at home alone tells a server.
    """
    theirs = flow.filter(~flow.src_home & flow.dst_home & flow.protocol.isin([6, 17]))
    theirs = theirs.select(
        "protocol",
        "syn",
        "start_us",
        src_net=theirs.dst_net,
        src_host=theirs.dst_host,
        dst_net=theirs.src_net,
        dst_host=theirs.src_host,
        src_port=theirs.dst_port,
        dst_port=theirs.src_port,
    )
    theirs = theirs.semi_join(out, CONVERSATION).group_by(CONVERSATION)
    out = attach(
        out,
        theirs.aggregate(their_us=lambda t: t.start_us.min(), their_syn=lambda t: t.syn.sum()),
        CONVERSATION,
    )
    asked = (out.their_us < out.start_us) & ((out.protocol == 17) | (out.their_syn > 0))
    serves = (out.src_port < SERVICE_PORTS) & (out.dst_port >= SERVICE_PORTS) & (out.syn == 0)
    return out.filter(~(asked.fill_null(False) | serves))


def _handed_at(flow: ir.Table, handed: Iterable[Indicator]) -> ir.Table:
    """Destinations and their ports that are listed, with what they are of: the first of several."""
    first: dict[tuple[str, int], str] = {}
    for one in sorted(handed, reverse=True):
        first[one.value, one.port] = one.malware
    rows = (
        (*map(str, address_pair(ip_address(value))), str(port), of) for (value, port), of in first.items()
    )
    places = listed(rows, {"net": "int64", "host": "int64", "listed_port": "int64", "handed": "string"})
    by = [*keys("dst"), "dst_port"]
    there = flow.select(*by).distinct()
    there = there.inner_join(places, [there.dst_net == places.net, there.dst_host == places.host])
    there = there.filter((there.listed_port == 0) | (there.listed_port == there.dst_port))
    return stage(there.group_by(by).aggregate(handed=there.handed.min()))


def _rows(
    table: ir.Table,
    first: ir.Value,
    last: ir.Value,
    contacts: ir.Value,
    name: ir.Value,
    port: ir.Value,
) -> ir.Table:
    """A contact a row; `peer` is the server, or for a lookup nobody."""
    lookup = table.columns.count("qname") > 0
    # One shape on both sides, so that the types are the same.
    kept = 0 if lookup else 1
    return table.select(
        host_net=table.src_net,
        host_host=table.src_host,
        time_us=first.cast("int64"),
        last_us=last.cast("int64"),
        contacts=contacts.cast("int64"),
        name=name.cast("string"),
        peer_net=table.dst_net * kept,
        peer_host=table.dst_host * kept,
        port=port.cast("int64"),
        malware=table.malware,
        how=table.how,
    )


def _families(known: Iterable[Indicator], kind: str) -> dict[str, list[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for one in known:
        if one.kind == kind:
            found[one.malware].add(one.value)
    return {malware: sorted(values) for malware, values in sorted(found.items())}


def _to_any(flow: ir.Table, places: Iterable[Indicator]) -> ir.BooleanValue:
    """The destination is one of these, of which there may be thousands: by host half within each network half.

    An address of IPv4 and its port are one number, for lists have as many ports as addresses.
    """
    halves: dict[tuple[int, int], set[int]] = defaultdict(set)
    ported: set[int] = set()
    for one in places:
        net, host = address_pair(ip_address(one.value))
        if one.port and net == 0 and host >> 32 == MAPPED >> 32:
            ported.add((host & LOW_32) << 16 | one.port)
        else:
            halves[one.port, net].add(host)
    tests = []
    if ported:
        number = (flow.dst_host & ibis.literal(LOW_32, "int64")) * (1 << 16) + flow.dst_port.cast("int64")
        tests.append(is_ipv4(*pair(flow, "dst")) & number.isin(sorted(ported)))
    for (port, net), hosts in sorted(halves.items()):
        hit = (flow.dst_net == net) & flow.dst_host.isin(sorted(hosts))
        tests.append(hit & (flow.dst_port == port) if port else hit)
    return reduce(or_, tests)
