"""Sources that try passwords over Telnet."""

from typing import Annotated

import ibis
import ibis.expr.types as ir

from dnsonde.detect._contract import confidence, detector, finding
from dnsonde.detect._relations import count_distinct, sample, sessions, window
from dnsonde.detect._stages import stage
from dnsonde.table.relations import attach, keys, pair

SRC = keys("src")
CONNECTION = [*SRC, *keys("dst"), "src_port", "dst_port"]


@detector(
    threat="password guessing",
    subject_kind="address",
    title="{subject} tries Telnet passwords",
    summary="{subject} made {count} Telnet connections of a login attempt's size to {destinations:address|addresses}: "
    "close Telnet to the outside, change default passwords; a source of yours is likely infected.",
    references=(
        "CESNET NEMEA brute_force_detector, https://github.com/CESNET/NEMEA-Detectors",
        "Antonakakis et al., Understanding the Mirai Botnet, USENIX Security 2017",
    ),
)
def telnet_bruteforce(
    flow: ir.Table,
    *,
    attempts_min: Annotated[int, "connections of a login attempt's size that make a finding"] = 30,
    share_min: Annotated[float, "least share of them among the source's Telnet conversations"] = 0.6,
    packets_min: Annotated[int, "least packets of an attempt, to the server"] = 9,
    packets_max: Annotated[int, "most packets of an attempt, to the server"] = 50,
    bytes_min: Annotated[int, "least IP octets of an attempt, to the server"] = 450,
    bytes_max: Annotated[int, "most IP octets of an attempt, to the server"] = 3000,
    gap_s: Annotated[int, "seconds without an attempt that end a series"] = 3600,
) -> ir.Table:
    """A source makes many Telnet connections (TCP 23, 2323), each of a login attempt's size.

    A failed login is always about as long: negotiation, a name, a password, a refusal.

    **Why it matters** It is how Mirai and its kin get into routers, cameras and recorders; one success is a new bot.

    **What looks like it** An administrator's session is longer and there are few of them. A port scan and a
    connection that is refused are shorter than an attempt. Monitoring that logs in to your devices by Telnet has this
    very shape: put it on the allow-list, or rather, retire Telnet.

    **Thresholds** From NEMEA: `packets_min` to `packets_max` (9 to 50) packets and `bytes_min` to `bytes_max` (450
    to 3000) octets to the server, in `attempts_min` (30) of 50 conversations, which is `share_min` (0.6). `gap_s` is an
    hour.
    """
    telnet = flow.filter((flow.protocol == 6) & flow.dst_port.isin([23, 2323]))
    each = telnet.group_by([*CONNECTION, "src_home"]).aggregate(
        first_us=telnet.start_us.min(),
        last_us=telnet.end_us.max(),
        packets=telnet.packets.sum(),
        octets=telnet.bytes.sum(),
        data=(telnet.payload_bytes + telnet.push).sum(),  # logs know one of the two
    )
    # Scans and refusals say nothing about what the source does when it is let in.
    each = stage(each.filter(each.data > 0), needed=True)
    sized = each.packets.between(packets_min, packets_max) & each.octets.between(bytes_min, bytes_max)
    each = each.mutate(attempt=sized.cast("int64"), hour=window(each.first_us, gap_s))
    hours = each.group_by([*SRC, "src_home", "hour"]).aggregate(
        first_us=each.first_us.min(),
        last_us=each.last_us.max(),
        conversations=each.count(),
        attempts=each.attempt.sum(),
    )
    hours = stage(sessions(hours, SRC, gap_s))
    by = [*SRC, "session"]
    series = hours.group_by([*by, "src_home"]).aggregate(
        first_us=hours.first_us.min(),
        last_us=hours.last_us.max(),
        conversations=hours.conversations.sum(),
        attempts=hours.attempts.sum(),
    )
    series = series.filter(
        (series.attempts >= attempts_min) & (series.attempts >= series.conversations * share_min)
    )
    series = stage(series, needed=True)
    tried = attach(each.filter(each.attempt == 1), hours.select(*SRC, "hour", "session"), [*SRC, "hour"])
    tried = tried.mutate(port=tried.dst_port.cast("int64"))
    for more in (
        count_distinct(tried, by, keys("dst"), "destinations"),
        sample(tried, by, "port", "ports"),
    ):
        series = attach(series, more, by)
    return finding(
        series,
        address=pair(series, "src"),
        severity=ibis.ifelse(series.src_home, 3, 2),
        confidence=confidence(series.attempts, attempts_min),
        first_seen=series.first_us,
        last_seen=series.last_us,
        count=series.attempts,
        destinations=series.destinations,
        conversations=series.conversations,
        ports=series.ports,
    )
