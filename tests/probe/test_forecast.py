"""What a plan would send, in figures that can be checked by hand."""

from collections import Counter
from ipaddress import ip_network
from pathlib import Path

import pytest

from dnsonde.clock import VirtualClock
from dnsonde.errors import PlanError
from dnsonde.probe import forecast
from dnsonde.probe.forecast import PlanReport, probing_txt
from dnsonde.probe.plan import Plan, read_plan
from dnsonde.probe.rounds import rounds
from dnsonde.wire.name import ProbeNames

BASE = """
[identity]
contact = "noc@campus.edu"
description = "a test"
url = "https://probing.campus.edu/about"
[zone]
name = "probes.campus.edu"
authority = "9.9.9.9"
"""


def plan(scope: str, more: str = "", base: str = BASE) -> Plan:
    return read_plan(f"{base}[scope]\n{scope}\n{more}", Path())


def check(of: Plan) -> PlanReport:
    return forecast.check(of, VirtualClock())


def test_figures_of_a_slash_22() -> None:
    report = check(
        plan('prefixes = "20.0.0.0/22"', "[pace]\ntotal_pps = 100\nprefix_pps = 2\n[probe]\nattempts = 3")
    )
    assert (report.addresses, report.ipv4, report.ipv6) == (1024, 1024, 0)
    assert (report.packets, report.packets_per_open) == (3072, 3)
    assert (report.prefixes, report.prefix_addresses) == (4, 256)
    # Four prefixes at 2 a second: their ceilings decide, 256 * 3 / 2 s, and three time-outs of 3 s.
    assert report.duration_s == pytest.approx(384 + 9)
    # Were all open, three questions more to each, and once more to wait.
    assert report.duration_open_s == pytest.approx(768 + 12)
    assert report.prefix_pps_typical == 2
    assert report.prefix_pps_max == 2
    # IP and UDP 28, DNS 12 + 4 + 11, the name 1 + 21 + 6 + 1 + 8 + 19.
    assert report.packet_bytes == 28 + 27 + 56
    # Four prefixes at 2 a second, whatever the total would allow.
    assert (report.total_pps, report.most_pps) == (100, 8)
    assert report.bytes_per_s == 8 * report.packet_bytes
    assert report.warnings == ()


@pytest.mark.parametrize("characterise", ["true", "false"])
def test_the_prober_sends_as_many_rounds_as_are_told(characterise: str) -> None:
    found = plan('prefixes = "20.0.0.0/24"', f"[probe]\nattempts = 2\ncharacterise = {characterise}")
    report = check(found)
    assert report.packets_per_open == len(rounds(found)) - 2
    names = ProbeNames(found.zone.name)
    tails = [len(names.tail("0" * 8, asked.kind, asked.step)) for asked in rounds(found)]
    assert report.packet_bytes == 28 + 27 + 22 + max(tails)


def test_fewer_probes_under_way_take_longer() -> None:
    report = check(plan('prefixes = "20.0.0.0/16"', "[pace]\nunder_way = 100\n[probe]\nattempts = 1"))
    assert report.duration_s == pytest.approx(65_536 * 3 / 75 + 3)


def test_a_wide_scope_is_thin_towards_each_prefix() -> None:
    report = check(plan('prefixes = "20.0.0.0/8"'))
    assert report.prefixes == 65_536
    assert report.prefix_pps_typical == pytest.approx(1000 * 256 / 2**24)
    assert report.duration_s == pytest.approx(3 * 2**24 / 1000 + 9)


@pytest.mark.parametrize(
    ("prefixes", "prefix4", "expected"),
    [
        ('"20.0.0.255", "20.0.1.0"', 24, (2, 1)),
        ('"20.0.0.128/25", "20.0.1.0/25", "20.0.7.7"', 24, (3, 128)),
        ('"20.0.0.0/26", "20.0.0.128/26"', 24, (1, 128)),
        ('"20.0.0.192/26", "20.0.1.0/24", "20.0.2.0/25"', 24, (3, 256)),
        ('"20.0.0.0/22"', 32, (1024, 1)),
        ('"20.0.0.0/22"', 16, (1, 1024)),
    ],
)
def test_prefixes_are_counted(prefixes: str, prefix4: int, expected: tuple[int, int]) -> None:
    report = check(plan(f"prefixes = [{prefixes}]", f"[pace]\nprefix4 = {prefix4}"))
    assert (report.prefixes, report.prefix_addresses) == expected


def test_ipv6_prefixes_are_counted_too() -> None:
    report = check(plan('prefixes = ["2a00::/120", "2a00:0:0:1::/120", "2a00:0:1::/121", "20.0.0.1"]'))
    assert (report.ipv4, report.ipv6) == (1, 640)
    assert (report.prefixes, report.prefix_addresses) == (3, 512)
    assert report.packet_bytes == 48 + 27 + 74 + 6


@pytest.mark.parametrize("prefix6", [16, 48, 63, 64, 65, 112, 116, 120, 121, 124, 127, 128])
def test_ipv6_prefixes_of_any_length_are_counted_as_they_are(prefix6: int) -> None:
    prefixes = ["2a00::ffff:ffff:ffff:f800/117", "2a00:0:0:1::/120", "2a00:0:0:1::2:0/123", "2a00:0:0:1::3:1",
                "2a00:0:0:5::1", "2a00:0:0:5::2:1", "2a00:1::ffff:ffff:ffff:ffff", "2a00:1:0:1::/125"]  # fmt: skip
    addresses = [int(a) for text in prefixes for a in ip_network(text)]
    expected = Counter(address >> 128 - prefix6 for address in addresses)
    report = check(plan(f"prefixes = {prefixes}", f"[pace]\nprefix6 = {prefix6}\ntotal_pps = 1e6"))
    assert (report.prefixes, report.prefix_addresses) == (len(expected), max(expected.values()))
    assert report.most_pps == 5 * len(expected)


def test_shards_share_the_work() -> None:
    parts = [
        check(plan('prefixes = ["20.0.0.0/24", "20.0.1.1"]', f'[probe]\nshard = "{k}/3"')) for k in (1, 2, 3)
    ]
    assert [p.addresses for p in parts] == [86, 86, 85]
    assert {p.addresses_all for p in parts} == {257}
    assert [p.prefix_pps for p in parts] == [5 / 3] * 3
    assert any("all 3 shards together send up to 10 packets a second" in w for w in parts[0].warnings)
    lonely = check(plan('prefixes = "20.0.0.1"', '[probe]\nshard = "2/2"'))
    assert lonely.packets == 0
    assert any("has no address" in w for w in lonely.warnings)


def test_what_may_not_be_meant_is_warned_of() -> None:
    base = BASE.replace("9.9.9.9", "10.0.0.1").replace('url = "https://probing.campus.edu/about"', "")
    report = check(plan('prefixes = "20.0.0.0/16"', "[pace]\ntotal_pps = 0.01", base))
    text = "\n".join(report.warnings)
    assert "[zone] authority 10.0.0.1 is special-purpose" in text
    assert "[identity] url is missing" in text
    local = BASE.replace('authority = "9.9.9.9"', 'authority = "fe80::1"\ncontrol = "9.9.9.9"')
    near = check(plan('prefixes = "20.0.0.0/16"', base=local))
    assert any("[zone] authority fe80::1 is special-purpose" in w for w in near.warnings)
    assert "days" in text


def test_a_zone_that_answers_a_with_nothing_is_refused() -> None:
    with pytest.raises(PlanError, match=r"control has no IPv4 address, and probes ask for A"):
        check(plan('prefixes = "20.0.0.0/16"', base=BASE.replace("9.9.9.9", "2620:fe::9")))


@pytest.mark.parametrize("contact", ["noc@example.net", "https://www.example.com:8443/about"])
def test_a_contact_of_the_template_that_nobody_filled_in_is_told(contact: str) -> None:
    base = BASE.replace("noc@campus.edu", contact)
    told = check(plan('prefixes = "20.0.0.0/28"', base=base)).warnings
    assert told == (f"[identity] contact {contact} is reserved for examples (RFC 2606): nobody reads it",)
    lab = plan('prefixes = "127.0.0.0/28"', base=base.replace("9.9.9.9", "127.0.0.1"))
    assert check(lab).warnings == ()


def test_a_known_name_says_what_it_cannot_tell() -> None:
    base = BASE.split("[zone]", maxsplit=1)[0] + '[zone]\nknown = "www.campus.edu"\nanswer = "9.9.9.80"\n'
    report = check(plan('prefixes = "20.0.0.0/24"', base=base))
    assert report.packets_per_open == 0
    assert any("[zone] known" in w for w in report.warnings)


def test_probing_txt_has_the_fields_of_rfc_9511() -> None:
    text = probing_txt(plan('prefixes = "20.0.0.0/24"'), VirtualClock(1_700_000_000_000_000))
    fields = dict(line.split(": ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    assert fields == {
        "Canonical": "https://probing.campus.edu/.well-known/probing.txt",
        "Contact": "mailto:noc@campus.edu",
        "Expires": "2024-11-13T00:00:00Z",
        "Preferred-Languages": "en",
        "Description": "a test",
    }
    assert "probes.campus.edu" in text


def test_the_lab_needs_no_probing_txt() -> None:
    lab = plan('prefixes = "127.1.0.0/16"', base='[zone]\nname = "p.test"\nauthority = "127.0.0.53"\n')
    report = check(lab)
    assert report.probing_txt == ""
    assert report.warnings == ()
