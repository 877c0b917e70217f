"""Outside victims of floods whose sources were forged to be ours."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import confidence, detector, finding
from dnsonde.detect._relations import SECOND, count_distinct, sample, sessions, window
from dnsonde.detect._stages import sources, stage
from dnsonde.table.relations import attach, keys, pair, turned

SRC = keys("src")
DST = keys("dst")
COLUMNS = [*SRC, *DST, "slice", "start_us", "end_us", "packets", "tcp", "src_port"]
SLICE_S, SLICES = 10, 6  # by which a minute is moved, as corsaro does, and so many of them make one
# ICMP: echo reply, unreachable, source quench, redirect, time exceeded, parameter problem, and the replies to
# timestamp, information and mask requests; ICMPv6: unreachable, too big, time exceeded, parameter problem, echo reply.
ICMP4 = (0, 3, 4, 5, 11, 12, 14, 16, 18)
ICMP6 = (1, 2, 3, 4, 129)


@detector(
    threat="backscatter",
    subject_kind="address",
    title="{subject} is under attack by packets forged in your name",
    summary="{subject} sent {count} {kind} responses to {destinations} of your addresses, which asked for none: it is "
    "flooded with forged sources. Nothing is wrong at home; its operator may like to know.",
    references=(
        "Moore et al., Inferring Internet Denial-of-Service Activity, ACM TOCS 2006",
        "https://github.com/CAIDA/corsaro3 (RSDoS)",
    ),
)
def backscatter(
    flow: ir.Table,
    *,
    packets_min: Annotated[int, "response packets of a victim"] = 25,
    lasts_min_s: Annotated[int, "seconds that they last at least"] = 60,
    peak_min: Annotated[int, "packets in the busiest minute"] = 30,
    addresses_min: Annotated[int, "home addresses that got such responses, whatever the rate"] = 100,
    share_min: Annotated[float, "least share of such responses in all that the victim sends home"] = 0.9,
    gap_s: Annotated[int, "seconds without a response that end it"] = 300,
) -> ir.Table:
    """An address outside sends responses to home addresses that never asked it.

    Responses are SYN-ACKs, resets and ICMP answers or errors. A flood with random forged sources hits some of yours by
    chance, so that the victim's answers come here.

    **Why it matters** It tells of attacks elsewhere, with their size: 2^32 over the addresses that you have. It is no
    attack on you.

    **What looks like it** A busy server outside answers your clients by SYN-ACK too, but they asked, and it sends data
    after it: pairs of addresses where home sent anything but resets are left out, and so is who sends more than
    responses. SYN-ACKs of very many addresses to one of yours are `amplification`. Where only inbound packets are
    captured, data tells alone.

    **Thresholds** Those of Moore et al. and corsaro3: `packets_min` (25), `lasts_min_s` (60), `peak_min` (30 in a
    minute), for a telescope of a /8. Of the same flood a /23 gets two packets a minute: `addresses_min` (100) of yours
    are enough at any rate. `gap_s` is their five minutes of silence. `share_min` (0.9) and `addresses_min` are ours.
    """
    often = sources(flow, packets=packets_min)
    inward = flow.filter(~flow.src_home & flow.dst_home)
    inward = inward.semi_join(often.filter(often.packets >= packets_min), SRC)
    tcp = (inward.protocol == 6) & (inward.packets <= inward.synack + inward.rst)
    icmp = ((inward.protocol == 1) & inward.src_port.isin(ICMP4)) | (
        (inward.protocol == 58) & inward.src_port.isin(ICMP6)
    )
    inward = inward.mutate(
        answer=(tcp | icmp).cast("int64"), tcp=tcp.cast("int64"), slice=window(inward.start_us, SLICE_S)
    )
    sent = inward.group_by(SRC).aggregate(
        all=inward.packets.sum(), some=(inward.packets * inward.answer).sum()
    )
    sent = stage(
        sent.filter((sent.some >= packets_min) & (sent.some >= sent["all"] * share_min)), needed=True
    )
    given = inward.filter(inward.answer == 1).semi_join(sent, SRC)
    given = given.anti_join(_asked(flow, sent), [*SRC, *DST])
    given = stage(given.select(*COLUMNS), needed=True)
    slices = given.group_by([*SRC, "slice"]).aggregate(
        first_us=given.start_us.min(),
        last_us=given.end_us.max(),
        packets=given.packets.sum(),
        tcp=(given.packets * given.tcp).sum(),
    )
    minute = ibis.range_window(preceding=SLICES - 1, following=0, group_by=SRC, order_by="slice")
    slices = slices.mutate(minute=slices.packets.sum().over(minute).cast("int64"))
    slices = stage(sessions(slices, SRC, gap_s))
    by = [*SRC, "session"]
    attacks = slices.group_by(by).aggregate(
        first_us=slices.first_us.min(),
        last_us=slices.last_us.max(),
        packets=slices.packets.sum(),
        tcp=slices.tcp.sum(),
        peak=slices.minute.max(),
    )
    attacks = attacks.filter(
        (attacks.packets >= packets_min) & (attacks.last_us - attacks.first_us >= lasts_min_s * SECOND)
    )
    attacks = stage(attacks, needed=True)
    given = attach(given, slices.select(*SRC, "slice", "session"), [*SRC, "slice"])
    given = given.mutate(port=given.src_port.cast("int64"))
    attacks = attach(attacks, count_distinct(given, by, DST, "destinations"), by)
    attacks = attacks.filter((attacks.peak >= peak_min) | (attacks.destinations >= addresses_min))
    attacks = stage(attacks, needed=True)
    attacks = attach(attacks, sample(given.filter(given.tcp == 1), by, "port", "ports"), by)
    return finding(
        attacks,
        address=pair(attacks, "src"),
        severity=0,
        confidence=confidence(attacks.packets, packets_min),
        first_seen=attacks.first_us,
        last_seen=attacks.last_us,
        count=attacks.packets,
        kind=ibis.cases(
            (attacks.tcp == attacks.packets, "tcp"), (attacks.tcp == 0, "icmp"), else_="tcp and icmp"
        ),
        destinations=attacks.destinations,
        peak_packets_minute=attacks.peak,
        ports=attacks.ports,
    )


def _asked(flow: ir.Table, sent: ir.Table) -> ir.Table:
    """Pairs of an address in `sent` (src) and a home one (dst) that sent it anything but resets and ICMP errors."""
    flow = flow.semi_join(sent.select(dst_net="src_net", dst_host="src_host"), DST)
    out = flow.filter(flow.src_home & ~flow.dst_home & (flow.packets > flow.rst))
    errors = ((out.protocol == 1) & (out.src_port != 8)) | ((out.protocol == 58) & (out.src_port != 128))
    out = out.filter(~errors)
    return out.select(**turned("net", "host")).distinct()
