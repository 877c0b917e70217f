"""One outside address that asks many home addresses."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._campaigns import campaign_of
from dnsonde.detect._contract import confidence, detector, finding, severity
from dnsonde.detect._relations import SECOND, commonest, dns, parties, sample, sessions, window
from dnsonde.detect._stages import needs, sides, stage
from dnsonde.intel.load import markers
from dnsonde.table.relations import attach, keys, pair

CLIENT, SERVER = keys("client"), keys("server")
EVENT = [*CLIENT, "session"]
CHAOS = 3
COLUMNS = [
    *CLIENT, *SERVER, "bin", "time_us", "qname", "qtype", "qclass", "rd", "ra", "aa", "response", "rcode", "ancount",
    "ip_id",
]  # fmt: skip


@detector(
    threat="dns scan",
    subject_kind="address",
    title="{subject} asked {targets} home addresses for DNS",
    summary="{subject} sent {count:query|queries} to {targets:home address|home addresses}; {answered} answered, "
    "{resolved} of them with recursion. Compare the ones that answered with what you mean to offer.",
    references=(
        "https://github.com/CESNET/NEMEA (hoststatsnemea and haddrscan: 50 addresses, idle 5 minutes)",
        "Antonakakis et al., Understanding the Mirai Botnet, USENIX Security 2017 (25 destinations)",
        "Durumeric et al., ZMap: Fast Internet-wide Scanning, USENIX Security 2013",
    ),
)
def dns_sweep(
    message: ir.Table,
    *,
    targets_min: Annotated[int, "home addresses that one source must have asked"] = 20,
    gap_s: Annotated[int, "silence after which a sweep is another one"] = 3600,
) -> ir.Table:
    """One outside address asks many home addresses.

    An address counts as asked when the query desired recursion, was of class CHAOS (version.bind), or was answered
    without authority. Queries that a target answered with authority are a resolver's everyday work and do not
    count.

    **Why it matters** It is how open resolvers are found: by those who warn you, and by those who use them.

    **What looks like it** A big resolver asks many of your authoritative servers: without RD, and they answer with
    AA. Your own vulnerability scanner is inside, or on the allow-list. Addresses inside are not looked at. The source
    of UDP can be forged, for you to blame or block somebody: ask before you do.

    **Thresholds** `targets_min` (20) lies under the published 25 (Mirai) and 50 (NEMEA) for any port, since nobody
    has twenty resolvers of yours configured; `gap_s` (3600) joins slow sweeps.
    """
    needs(
        sides(message).filter(lambda t: t.response.ifelse(t.src_home & ~t.dst_home, t.dst_home & ~t.src_home))
    )
    asked = parties(dns(message)).filter(lambda t: t.server_home & ~t.client_home)
    asked = asked.mutate(bin=window(asked.time_us, gap_s)).select(*COLUMNS)
    # Of forged sources each sends little.
    often = asked.group_by(CLIENT).aggregate(messages=asked.count())
    often = stage(often.filter(often.messages >= targets_min).select(*CLIENT), needed=True)
    asked = asked.semi_join(often, CLIENT)
    recursive = asked.rd | (asked.qclass == CHAOS)
    each = asked.group_by([*CLIENT, *SERVER, "bin"]).aggregate(
        first_us=asked.time_us.min(),
        last_us=asked.time_us.max(),
        queries=(~asked.response).sum(),
        responses=asked.response.sum(),
        authoritative=(asked.response & asked.aa).sum(),
        resolved=(asked.response & ~asked.aa & asked.ra & (asked.rcode == 0) & (asked.ancount > 0)).sum(),
        recursive=(~asked.response & recursive).sum(),
        stamped=(~asked.response & (asked.ip_id == markers().tool_ip_id("zmap"))).sum(),
    )
    each = stage(each.filter((each.authoritative == 0) & ((each.recursive > 0) | (each.responses > 0))))
    each = sessions(each, CLIENT, gap_s)
    target = each.group_by([*EVENT, *SERVER]).aggregate(
        first_us=each.first_us.min(),
        last_us=each.last_us.max(),
        messages=ibis.greatest(each.queries.sum(), each.responses.sum()),
        answered=(each.responses.sum() > 0).cast("int64"),
        resolved=(each.resolved.sum() > 0).cast("int64"),
        stamped=each.stamped.sum(),
    )
    sweep = target.group_by(EVENT).aggregate(
        first_us=target.first_us.min(),
        last_us=target.last_us.max(),
        messages=target.messages.sum(),
        targets=target.count(),
        answered=target.answered.sum(),
        resolved=target.resolved.sum(),
        stamped=target.stamped.sum(),
    )
    sweep = stage(sweep.filter(sweep.targets >= targets_min), needed=True)

    asked = asked.semi_join(sweep, CLIENT)
    asked = asked.mutate(campaign=campaign_of(asked.qname, inbound=True))
    for more in (
        sample(asked, CLIENT, "qname", "names"),
        commonest(asked, CLIENT, "qtype", "qtype"),
        commonest(asked, CLIENT, "campaign", "campaign"),
    ):
        sweep = attach(sweep, more, CLIENT)
    lasted = (sweep.last_us - sweep.first_us).cast("float64") / SECOND
    return finding(
        sweep,
        address=pair(sweep, "client"),
        severity=severity(0, sweep.answered, 1),
        confidence=confidence(sweep.targets, targets_min),
        first_seen=sweep.first_us,
        last_seen=sweep.last_us,
        count=sweep.messages,
        targets=sweep.targets,
        answered=sweep.answered,
        resolved=sweep.resolved,
        names=sweep.names,
        qtype=sweep.qtype,
        campaign=sweep.campaign,
        queries_per_s=(lasted > 0).ifelse(sweep.messages / lasted, ibis.null("float64")),
        tool=(sweep.stamped * 2 > sweep.messages).ifelse(ibis.literal("zmap"), ibis.null("string")),
    )
