"""Knowledge is complete, consistent and says where it is from."""

import re

import pytest

from dnsonde.intel.load import Amplifier, Campaign, amplifiers, campaigns, markers, relied_on


@pytest.mark.parametrize("campaign", campaigns(), ids=lambda c: c.name)
def test_a_campaign_can_be_recognised_and_has_a_source(campaign: Campaign) -> None:
    assert campaign.zones or campaign.names
    assert campaign.source
    assert campaign.operator
    for name in (*campaign.zones, *campaign.names):
        assert name == name.lower().strip(".")
    assert len(campaign.examples) == len(campaign.names_like)
    for pattern, example in zip(campaign.names_like, campaign.examples, strict=True):
        assert re.search(pattern, example)
        assert any(example.endswith(f".{zone}") for zone in campaign.zones)


def test_no_two_campaigns_claim_one_zone() -> None:
    zones = [zone for campaign in campaigns() for zone in (*campaign.zones, *campaign.names)]
    assert len(zones) == len(set(zones))


def test_suffixes_reach_from_the_zone_up_to_two_labels() -> None:
    campaign = Campaign(name="x", operator="x", intent="research", zones=("a.b.example.co",), source="x")
    assert campaign.suffixes == {"a.b.example.co", "b.example.co", "example.co"}


def test_markers_are_octets_and_have_sources() -> None:
    known = markers()
    for vector in known.vector:
        assert vector.source
        assert vector.payload or vector.ip_bytes or vector.payload_min or vector.options
        for octets in vector.payload:
            assert bytes.fromhex(octets.hex)
        if vector.options is not None:
            assert bytes.fromhex(vector.options)
    assert known.tool_ip_id("zmap") == 54321
    with pytest.raises(KeyError):
        known.tool_ip_id("masscan")
    assert "kb.com" in known.domains("mx_probing")
    assert known.domains("nobody") == ()


@pytest.mark.parametrize("service", amplifiers(), ids=lambda s: s.protocol)
def test_an_amplifier_has_a_factor_or_says_that_none_is_known(service: Amplifier) -> None:
    assert service.source
    assert service.factor >= 1 or service.unverified
    assert service.payload_min > 0
    assert service.ports == tuple(sorted(set(service.ports)))


def test_no_port_reflects_two_protocols() -> None:
    ports = [port for service in amplifiers() for port in service.ports]
    assert len(ports) == len(set(ports))


def test_servers_that_many_depend_on_are_hosts_of_the_internet_each_named_once() -> None:
    known = relied_on()
    assert all(address.is_global for address in known)
    assert len([owner for owner in known.values() if owner == "root servers"]) == 2 * 14  # b has moved
