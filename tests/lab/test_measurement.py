"""The measurement from end to end: a lab whose truth is known, probed, joined and judged.

What is right under loss: a host's replies can be lost three times. Then it is `silent`, or, if our authority was
asked, `resolves_no_reply`, which is what its evidence says. Both count as missing: nothing false was said of a host
that was heard. An injected host tells two stories; if one is lost, the other is believed, so a plain resolver or a
manipulating host is what the evidence says. Of a host without EDNS, its complaint may be all that is heard. Everything
else would be wrong, and does not happen.
"""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace as Labs

import pytest

from dnsonde import run
from dnsonde.clock import SystemClock
from dnsonde.lab.scenario import Scenario
from dnsonde.lab.truth import TRUTH
from dnsonde.probe.plan import read_plan
from dnsonde.probe.prober import Prober
from dnsonde.table.rows import joined, records
from dnsonde.table.schema import VERDICT
from dnsonde.table.store import open_folder

UNSURE = 1e-9  # how often a figure may lie outside of its bounds by chance


@dataclass(frozen=True)
class Judged:
    """One host: what it does, what it is, and what we said of it."""

    behavior: str
    truth: tuple[str, str | None, bool]
    said: tuple[str, str | None, bool]
    egress_right: bool


def measure(
    labs: Labs, scenario: Scenario, folder: Path, timeout_s: float, *, characterise: bool
) -> list[Judged]:
    """Serve, probe, join and judge."""
    place = scenario.authority
    plan = f"""
[scope]
prefixes = ["{scenario.prefix}"]
port = {scenario.port}
[zone]
name = "{place.zone}"
authority = "{place.address}"
authority_port = {place.port}
control = {list(place.control)}
[pace]
total_pps = 40000
[probe]
timeout_s = {timeout_s}
attempts = 3
characterise = {str(characterise).lower()}
"""
    folder.mkdir(exist_ok=True)
    (folder / "plan.toml").write_text(plan)
    with labs.served(scenario, folder):
        assert Prober(read_plan(plan, folder), folder, clock=SystemClock(), device="lo").run().complete
    run.judge(folder)
    tables = open_folder(folder, tables=[VERDICT, TRUTH])
    each = "one.*, other.class AS said, other.subclass AS said_sub, other.open AS said_open, other.egress_host AS seen"
    both = joined(tables["truth"], "target", tables["verdict"], "target", each)
    return [
        Judged(
            r["behavior"],
            (r["class"], r["subclass"], r["open"]),
            (r["said"], r["said_sub"], r["said_open"]),
            r["egress_host"] is None
            or (r["seen"] is not None and 0 <= r["seen"] - r["egress_host"] < r["egress_count"]),
        )
        for r in records(both)
    ]


def mistakes(hosts: list[Judged]) -> Counter[object]:
    """Hosts of which anything was said that is not so: class, variety (where the truth knows it), open, egress."""
    return Counter(
        (h.behavior, h.truth, h.said, h.egress_right)
        for h in hosts
        if h.said[0] != h.truth[0]
        or (h.truth[1] is not None and h.said[1] != h.truth[1])
        or h.said[2] != h.truth[2]
        or not h.egress_right
    )


def test_every_kind_of_host_is_told_apart(tmp_path: Path, labs: Labs) -> None:
    scenario = labs.on_free_ports("tiny", slow_delay_ms=(100.0, 500.0), rate_limit_ms=400.0)
    hosts = measure(labs, scenario, tmp_path / "run", 0.9, characterise=True)
    assert len(hosts) == 256
    assert len({h.truth[0] for h in hosts}) >= 19
    assert mistakes(hosts) == Counter()


def test_65536_hosts_are_all_judged_right(tmp_path: Path, labs: Labs) -> None:
    scenario = labs.on_free_ports(
        "default", host_delay_ms=(1.0, 60.0), slow_delay_ms=(100.0, 600.0), rate_limit_ms=100.0
    )
    hosts = measure(labs, scenario, tmp_path / "run", 2.5, characterise=False)
    assert len(hosts) == 65_536
    # Only the round of names that do not exist shows who rewrites them, and it was left out.
    found = Counter(
        {k: n for k, n in mistakes(hosts).items() if k[0] != "nxdomain_rewriter"}  # type: ignore[index]
    )
    assert found == Counter()
    assert sum(h.said[0] != "silent" for h in hosts) > 5000


def tail(n: int, p: float) -> tuple[int, int]:
    """Bounds that a binomial count of `n` and `p` leaves with probability less than `UNSURE` on either side."""

    def log_probability(k: int) -> float:
        choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        return choose + k * math.log(p) + (n - k) * math.log1p(-p)

    total, low = 0.0, 0
    for k in range(n + 1):
        total += math.exp(log_probability(k))
        if total < UNSURE:
            low = k + 1
        if 1 - total < UNSURE:
            return low, k
    return low, n


def test_the_bounds_are_binomial() -> None:
    assert tail(1000, 0.5) == (405, 595)
    assert tail(100, 0.001)[0] == 0


# What is said of a host of which a part was not heard. (The variety `nxdomain_rewritten` needs one round more.)
HALF_HEARD = {"injected": {"recursive_resolver", "manipulated"}}
MISSING = {"silent", "resolves_no_reply"}


def test_loss_makes_verdicts_missing_at_its_rate_and_never_wrong(tmp_path: Path, labs: Labs) -> None:
    scenario = labs.on_free_ports("loss", slow_delay_ms=(100.0, 400.0), rate_limit_ms=300.0)
    there, back = scenario.network.probe.loss, scenario.network.reply.loss
    assert there == back == pytest.approx(0.1)
    hosts = measure(labs, scenario, tmp_path / "run", 0.8, characterise=False)
    wrong, missing, heard_in_part, puzzled = Counter[object](), 0, 0, 0
    for host in hosts:
        truth, said = host.truth[0], host.said[0]
        if said == truth:
            # What was heard in whole is right in whole; which of two injected replies came first may change.
            variety = host.truth[1] if host.behavior not in {"nxdomain_rewriter", "injected"} else None
            if variety is not None and said != "resolves_no_reply" and host.said[1] != variety:
                wrong[host] += 1
            if not host.egress_right:
                wrong[host] += 1
        elif host.behavior == "no_edns" and said in MISSING | {"formerr"}:
            puzzled += 1
        elif said == "resolves_no_reply" and host.truth[2]:
            missing += 1
            wrong[host] += not host.egress_right
        elif said == "silent":
            missing += 1
        elif said in HALF_HEARD.get(truth, set()):
            heard_in_part += 1
        else:
            wrong[host] += 1
    assert +wrong == Counter()

    # ICMP is no part of the lossy network on its way back; a host that never replies misses only its probes.
    one_way = sum(h.truth[0] in {"icmp", "resolves_no_reply"} for h in hosts)
    injected = sum(h.truth[0] == "injected" for h in hosts)
    without = sum(h.behavior == "no_edns" for h in hosts)
    two_way = sum(h.truth[0] != "silent" for h in hosts) - one_way - injected - without
    lost = 1 - (1 - there) * (1 - back)
    low, high = tail(two_way, lost**3)
    # Those apart are few: at most so many of them are missing, by the same bounds.
    spare = tail(one_way, there**3)[1] + tail(injected, (1 - (1 - there) * (1 - back * back)) ** 3)[1]
    assert low <= missing <= high + spare

    # Those without EDNS are asked without it twice, or once where their first complaint was lost.
    assert without > 20
    assert puzzled <= tail(without, (1 - lost) * lost**2 + lost * lost)[1]

    # Of an attempt that brings anything, the one or the other of two replies is missing with this probability.
    part = 2 * back * (1 - back) / (1 - back * back)
    low, high = tail(injected, part)
    assert low - 1 <= heard_in_part <= high
