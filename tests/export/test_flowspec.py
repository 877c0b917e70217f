import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dnsonde.errors import UsageError
from dnsonde.export.flowspec import flowspec
from dnsonde.view.view import View
from tests.export.views import SECOND, START, VICTIM, amplified, attack, flow, make_view

Written = Callable[..., bytes]
NEIGHBOR = """\
neighbor 127.0.0.1 {
  router-id 127.0.0.2;
  local-address 127.0.0.2;
  local-as 64500;
  peer-as 64500;
  family {
    ipv4 flow;
    ipv6 flow;
  }
"""


def routes(text: bytes) -> set[str]:
    """The routes, as ExaBGP itself says what it has read."""
    from exabgp.configuration.configuration import Configuration
    from exabgp.environment import getenv
    from exabgp.logger import log

    log.init(getenv())
    log.silence()
    read = Configuration([NEIGHBOR + text.decode() + "}\n"], text=True)
    assert read.reload() is True, read.error
    (neighbor,) = read.neighbors.values()
    return {str(change) for change in neighbor.changes}


def lines(text: bytes) -> list[str]:
    return [line.strip() for line in text.decode().splitlines()]


def test_exabgp_reads_a_rule_for_each_vector(lake: View, written: Written) -> None:
    (rule,) = routes(written(flowspec, lake))
    assert f"destination-ipv4 {VICTIM}/32" in rule
    assert "protocol =udp" in rule
    assert "source-port =domain" in rule
    assert "packet-length >=1400" in rule


def test_exabgp_reads_ipv6_syn_floods_and_gre(written: Written) -> None:
    victim = "2001:db8::10"
    flows = [
        *(
            flow(f"2001:db8:f::{i}", victim, at_s=1, protocol=6, dst_port=80, packets=100, syn=100)
            for i in range(9)
        ),
        *(flow(f"2001:db8:f::{i}", victim, at_s=1, protocol=47, packets=100, bytes=50_000) for i in range(9)),
    ]
    found = routes(written(flowspec, make_view(findings=[attack("flood", victim)], flows=flows), rate=9600))
    assert len(found) == 2
    assert any("tcp-flags" in rule and "destination-port =http" in rule for rule in found)
    assert any("next-header =gre" in rule for rule in found)
    assert all("rate-limit:9600" in rule for rule in found)


def require_nft_reads(text: bytes, folder: Path) -> None:
    nft = shutil.which("nft", path="/usr/sbin:/usr/bin:/sbin")
    if nft is None:
        pytest.skip("nft is not installed")
    file = folder / "rules.nft"
    file.write_bytes(text)
    ran = subprocess.run([nft, "--check", "--file", str(file)], capture_output=True, text=True, check=False)
    if "Operation not permitted" in ran.stderr:
        pytest.skip("nft may not check here: it needs CAP_NET_ADMIN")
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("settings", [{}, {"rate": 10_000}])
def test_nft_reads_the_rules(settings: dict[str, Any], lake: View, written: Written, tmp_path: Path) -> None:
    flows = [flow("203.0.113.9", VICTIM, at_s=1, protocol=6, packets=9000, syn=9000)]
    view = make_view(findings=[attack()], flows=[*amplified(), *flows])
    for one in (lake, view):
        require_nft_reads(written(flowspec, one, rules="nftables", **settings), tmp_path)


@pytest.mark.parametrize("victim", [VICTIM, "2001:db8::10"])
def test_fragments_are_told_by_what_they_are_since_they_have_no_ports(
    victim: str, written: Written, tmp_path: Path
) -> None:
    sender = "203.0.113.1" if "." in victim else "2001:db8:f::1"
    pieces = flow(sender, victim, at_s=1, src_port=0, dst_port=0, packets=900, bytes=900_000, fragments=900)
    other = flow(sender, victim, at_s=-60, protocol=6, dst_port=443, packets=1000)
    view = make_view(findings=[attack("amplification", victim)], flows=[pieces, other])
    (rule,) = routes(written(flowspec, view))
    assert "fragment is-fragment" in rule
    assert "-port" not in rule
    text = written(flowspec, view, rules="nftables")
    assert b"would have hit 0.00% of 1,000" in text
    assert b"dport" not in text
    assert (b"ip frag-off & 0x1fff != 0" if "." in victim else b"frag frag-off != 0") in text
    require_nft_reads(text, tmp_path)


def test_nftables_rules_match_what_flowspec_matches(lake: View, written: Written) -> None:
    (rule,) = [
        line for line in lines(written(flowspec, lake, rules="nftables")) if line.startswith("ip daddr")
    ]
    assert rule == f"ip daddr {VICTIM}/32 meta l4proto udp udp sport 53 meta length >= 1400 counter drop"


def test_a_rule_that_hits_no_legitimate_traffic_says_so(written: Written) -> None:
    web = [flow("203.0.113.1", VICTIM, at_s=-60, protocol=6, dst_port=443, packets=1000)]
    told: list[str] = []
    view = make_view(findings=[attack()], flows=[*amplified(), *web], warn=told.append)
    assert "# The rule would have hit 0.00% of 1,000 legitimate packets to that destination." in lines(
        written(flowspec, view)
    )
    assert told == []


@pytest.mark.parametrize(("harmed", "warned"), [(10, False), (11, True)])
def test_a_rule_that_hits_more_than_one_percent_has_a_warning(
    harmed: int, warned: bool, written: Written
) -> None:
    before = {"at_s": -60, "lasts_s": 1}
    flows = [
        *amplified(),
        flow("203.0.113.1", VICTIM, protocol=6, dst_port=443, packets=1000 - harmed, **before),
        flow(
            "203.0.113.53", VICTIM, src_port=53, dst_port=40000, packets=harmed, bytes=1400 * harmed, **before
        ),
    ]
    told: list[str] = []
    text = written(flowspec, make_view(findings=[attack()], flows=flows, warn=told.append))
    assert (b"WARNING: more than 1%" in text) is warned
    assert bool(told) is warned


def test_answers_that_the_victim_asked_for_are_legitimate_even_then(written: Written) -> None:
    flows = [
        *amplified(),
        flow(VICTIM, "203.0.113.53", at_s=1, src_port=3333, dst_port=53),
        flow("203.0.113.53", VICTIM, at_s=1, src_port=53, dst_port=3333, packets=4, bytes=5600),
    ]
    text = written(flowspec, make_view(findings=[attack()], flows=flows))
    assert b"would have hit 100.00% of 4 legitimate packets" in text


def test_against_nothing_nothing_is_claimed(lake: View, written: Written) -> None:
    assert b"was held against nothing" in written(flowspec, lake)


def test_two_attacks_on_one_host_are_not_each_others_victims(written: Written) -> None:
    late = [
        f | {"start_us": f["start_us"] + 600 * SECOND, "end_us": f["end_us"] + 600 * SECOND}
        for f in amplified()
    ]
    second = attack(first_seen=START + 600 * SECOND, last_seen=START + 602 * SECOND)
    text = written(flowspec, make_view(findings=[attack(), second], flows=[*amplified(), *late]))
    assert text.count(b"was held against nothing") == 2


def test_an_attack_that_two_detectors_found_has_its_rules_once(written: Written) -> None:
    text = written(flowspec, make_view(findings=[attack(), attack("flood")], flows=amplified()))
    assert len(routes(text)) == text.count(b"route ") == 1
    assert f"# {VICTIM}/32: amplification, critical".encode() in text
    assert f"# {VICTIM}/32: flood, critical".encode() in text


@pytest.mark.parametrize("settings", [{"rules": "iptables"}, {"rate": -1}])
def test_settings_that_cannot_be_meant(settings: dict[str, Any], lake: View, written: Written) -> None:
    with pytest.raises(UsageError):
        written(flowspec, lake, **settings)


def test_a_run_has_no_attacks(run: View, written: Written) -> None:
    with pytest.raises(UsageError, match="give a lake"):
        written(flowspec, run)


def test_a_rule_that_takes_a_whole_protocol_says_so(written: Written) -> None:
    flows = [
        flow(f"203.0.113.{i}", VICTIM, at_s=1, src_port=2000 + i, dst_port=4000 + i, packets=10)
        for i in range(60, 99)
    ]
    told: list[str] = []
    text = written(flowspec, make_view(findings=[attack("flood")], flows=flows, warn=told.append))
    assert b"WARNING: it takes everything of that protocol" in text
    assert told == [f"the rule for {VICTIM}/32 takes everything of udp from it"]


@pytest.mark.parametrize(("number", "name"), [(1, "icmp"), (47, "gre"), (58, "icmpv6"), (99, "protocol 99")])
def test_a_rule_of_a_protocol_without_ports_says_so_too(number: int, name: str, written: Written) -> None:
    flows = [flow("203.0.113.1", VICTIM, at_s=1, protocol=number, src_port=0, dst_port=0, packets=900)]
    told: list[str] = []
    text = written(flowspec, make_view(findings=[attack("flood")], flows=flows, warn=told.append))
    assert b"WARNING: it takes everything of that protocol" in text
    assert told == [f"the rule for {VICTIM}/32 takes everything of {name} from it"]
