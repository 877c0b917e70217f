"""Sources that scan as Mirai and its kin do."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import CERTAIN, detector, finding
from dnsonde.detect._relations import count_distinct, sample, sessions, window
from dnsonde.detect._stages import stage
from dnsonde.table.relations import attach, keys, pair, same

SRC = keys("src")
COLUMNS = [*SRC, *keys("dst"), "src_home", "day", "start_us", "end_us", "mirai_syn", "dst_port"]


@detector(
    threat="botnet scan",
    subject_kind="address",
    title="{subject} scans as Mirai does",
    summary="{subject} sent {count} SYNs whose sequence number is the address asked, to "
    "{destinations:address|addresses}: it runs Mirai or a relative of it. If it is yours, take it off the network, "
    "restart and patch it; else block it.",
    references=(
        "Antonakakis et al., Understanding the Mirai Botnet, USENIX Security 2017",
        "https://github.com/jgamblin/Mirai-Source-Code (scanner.c)",
    ),
)
def mirai_scan(
    flow: ir.Table,
    *,
    syns_min: Annotated[int, "marked SYNs of a source that make a finding"] = 1,
    campaign_min: Annotated[int, "addresses asked that make it a campaign, not a stray packet"] = 25,
    gap_s: Annotated[int, "seconds without a marked SYN that end a scan"] = 86_400,
) -> ir.Table:
    """A source sends TCP SYNs whose sequence number is the destination address, as Mirai's scanner does.

    Every marked SYN is counted, whatever its port: chance makes one in 2^32, so one is certain to be of such a
    scanner. What it means grows with the addresses asked.

    **Why it matters** A source at home is infected: it takes part in floods, and its scan will get you blocked. A
    source outside looks for your routers, cameras and recorders with default passwords.

    **What looks like it** Nothing does but by chance. Other scanners and vulnerability scanners of your own do not
    carry the mark (`service_scan` finds them); a research scanner that copies it on purpose is on no known list. The
    source of a SYN can be forged, though a bot that does so learns nothing: ask before you blame a stranger.

    **Thresholds** `syns_min` is 1, since the mark is certain. Below `campaign_min` addresses (25, the scan threshold
    of Antonakakis et al.) a source outside is information only, and one at home low. `gap_s` is a day: a bot asks one
    network seldom.
    """
    # Garbage repeats one value everywhere: nobody scans himself.
    itself = same(pair(flow, "src"), pair(flow, "dst"))
    marked = flow.filter((flow.protocol == 6) & (flow.mirai_syn > 0) & ~itself)
    marked = marked.mutate(day=window(marked.start_us, gap_s))
    marked = stage(marked.select(*COLUMNS), needed=True)
    days = marked.group_by([*SRC, "src_home", "day"]).aggregate(
        first_us=marked.start_us.min(), last_us=marked.end_us.max(), syns=marked.mirai_syn.sum()
    )
    days = stage(sessions(days, SRC, gap_s))
    marked = attach(marked, days.select(*SRC, "day", "session"), [*SRC, "day"])
    by = [*SRC, "session"]
    scans = days.group_by([*by, "src_home"]).aggregate(
        first_us=days.first_us.min(), last_us=days.last_us.max(), syns=days.syns.sum()
    )
    scans = stage(scans.filter(scans.syns >= syns_min), needed=True)
    marked = marked.mutate(port=marked.dst_port.cast("int64"))
    for more in (
        count_distinct(marked, by, keys("dst"), "destinations"),
        sample(marked, by, "port", "ports"),
    ):
        scans = attach(scans, more, by)
    campaign = scans.destinations >= campaign_min
    return finding(
        scans,
        address=pair(scans, "src"),
        severity=ibis.cases((scans.src_home & campaign, 3), (scans.src_home | campaign, 1), else_=0),
        confidence=CERTAIN,
        first_seen=scans.first_us,
        last_seen=scans.last_us,
        count=scans.syns,
        destinations=scans.destinations,
        ports=scans.ports,
    )
