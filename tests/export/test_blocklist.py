from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network

import dns.name
import pytest

from dnsonde.errors import UsageError
from dnsonde.export.blocklist import blocklist
from dnsonde.view.view import View
from tests.export.views import HOSTILE, finding, make_view

Written = Callable[..., bytes]


def entries(text: bytes) -> list[str]:
    """What a firewall's loader keeps: each line up to the `#`."""
    return [entry for line in text.decode().splitlines() if (entry := line.partition("#")[0].strip())]


def test_scanners_and_campaigns_are_in_it(lake: View, written: Written) -> None:
    found = entries(written(blocklist, lake))
    assert {"203.0.113.66", "203.0.113.67", "2001:db8:f::1", "secshow.net"} <= set(found)


def test_we_ourselves_victims_reflectors_and_researchers_are_not(lake: View, written: Written) -> None:
    found = set(entries(written(blocklist, lake)))
    ours = {"192.0.2.66", "192.0.2.1", "192.0.2.10", "192.0.2.0/24"}
    assert not found & (ours | {"198.51.100.1", "openresolverproject.org", "victim.example", "203.0.113.68"})


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "0.0.0.0", "10.1.2.3", "192.168.1.1", "169.254.1.1", "224.0.0.5", "255.255.255.255", "::", "::1",
     "fe80::1", "fd00::1", "ff02::1"],
)  # fmt: skip
def test_an_address_that_nobody_outside_has_is_not(address: str, written: Written) -> None:
    view = make_view(findings=[finding("mirai_scan", a, "address") for a in (address, "203.0.113.1")])
    assert entries(written(blocklist, view)) == ["203.0.113.1"]


def test_who_does_not_know_what_is_home_is_told(written: Written) -> None:
    said: list[str] = []
    view = make_view(findings=[finding("mirai_scan", "203.0.113.1", "address")])
    written(blocklist, replace(view, home=(), warn=said.append))
    written(blocklist, replace(view, home=(), warn=said.append), kind="domain")
    written(blocklist, replace(view, warn=said.append))
    assert ["which addresses are yours" in sentence for sentence in said] == [True]


def test_every_entry_is_an_address_a_prefix_or_a_name(lake: View, written: Written) -> None:
    for entry in entries(written(blocklist, lake, kind="address")):
        ip_network(entry)
    for entry in entries(written(blocklist, lake, kind="domain")):
        assert len(dns.name.from_text(entry).labels) > 2


def test_what_is_less_sure_or_less_bad_is_left_out(written: Written) -> None:
    view = make_view(
        findings=[
            finding("mirai_scan", "203.0.113.1", "address", confidence=0.6),
            finding("mirai_scan", "203.0.113.2", "address", severity="info"),
        ]
    )
    assert entries(written(blocklist, view)) == []
    assert entries(written(blocklist, view, confidence=0.5)) == ["203.0.113.1"]
    assert entries(written(blocklist, view, severity="info")) == ["203.0.113.2"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_title_stays_on_its_line(name: str, written: Written) -> None:
    view = make_view(findings=[finding("mirai_scan", "203.0.113.1", "address", title=name)])
    assert entries(written(blocklist, view)) == ["203.0.113.1"]


@pytest.mark.parametrize("settings", [{"kind": "port"}, {"severity": "awful"}])
def test_settings_that_cannot_be_meant(settings: dict[str, str], lake: View, written: Written) -> None:
    with pytest.raises(UsageError):
        written(blocklist, lake, **settings)


@pytest.mark.parametrize(
    ("subject", "kind", "owner"),
    [
        ("8.8.8.8", "address", "Google Public DNS"),
        ("2620:fe::fe", "address", "Quad9"),
        ("193.0.14.129", "address", "root servers"),
        ("9.9.9.0/24", "prefix", "Quad9"),
    ],
)
def test_a_name_server_that_very_many_depend_on_is_not_whoever_forged_its_address(
    subject: str, kind: str, owner: str, written: Written
) -> None:
    found = [finding("dns_sweep", "203.0.113.1", "address"), finding("dns_sweep", subject, kind)]
    said: list[str] = []
    view = make_view(findings=found, warn=said.append)
    assert entries(written(blocklist, view)) == ["203.0.113.1"]
    assert any(f"{subject} ({owner})" in sentence for sentence in said)
