import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import dns.name
import dns.rdatatype
import dns.zone
import pytest

from dnsonde.errors import UsageError
from dnsonde.export.rpz import rpz
from dnsonde.view.view import View
from tests.export.views import HOSTILE, finding, make_view

Written = Callable[..., bytes]
ZONE = "rpz.example.net"


def triggers(text: bytes) -> dict[str, str]:
    """Every name of the zone but its apex, and where its CNAME leads, as dnspython reads them."""
    zone = dns.zone.from_text(text.decode(), origin=ZONE, relativize=False)
    found = {}
    for name, node in zone.nodes.items():
        if name != dns.name.from_text(ZONE):
            (rdataset,) = node.rdatasets
            assert rdataset.rdtype == dns.rdatatype.CNAME
            found[name.relativize(dns.name.from_text(ZONE)).to_text()] = rdataset[0].target.to_text()
    return found


def test_campaigns_stand_with_all_below_them(lake: View, written: Written) -> None:
    found = triggers(written(rpz, lake, zone=ZONE, known=False))
    assert found["secshow.net"] == found["*.secshow.net"] == "."
    assert not {"openresolverproject.org", "victim.example", "192.0.2.10"} & set(found)


PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.mark.servers
def test_bind_and_unbound_load_it(lake: View, written: Written, tmp_path: Path) -> None:
    zone, config = tmp_path / "rpz.zone", tmp_path / "unbound.conf"
    zone.write_bytes(written(rpz, lake, zone=ZONE))
    config.write_text(
        f'server:\n  module-config: "respip validator iterator"\nrpz:\n  name: {ZONE}\n  zonefile: "{zone}"\n'
    )
    for command in (["named-checkzone", ZONE, str(zone)], ["unbound-checkconf", str(config)]):
        program = shutil.which(command[0], path=PATH)
        if program is None:
            pytest.skip(f"{command[0]} is not installed")
        ran = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_known_covert_zones_are_in_it_unless_told_otherwise(run: View, written: Written) -> None:
    found = triggers(written(rpz, run, zone=ZONE))
    assert {"secshow.net", "*.savme.xyz", "rebirthltd.com", "*.rebirth.st"} <= set(found)
    assert "openresolverproject.org" not in found
    assert triggers(written(rpz, run, zone=ZONE, known=False)) == {}


@pytest.mark.parametrize(
    ("action", "target"),
    [("nxdomain", "."), ("nodata", "*."), ("drop", "rpz-drop."), ("passthru", "rpz-passthru.")],
)
def test_the_action_is_what_the_cname_leads_to(
    action: str, target: str, lake: View, written: Written
) -> None:
    assert set(triggers(written(rpz, lake, zone=ZONE, action=action)).values()) == {target}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_at_most_itself(name: str, written: Written) -> None:
    view = make_view(findings=[finding("dns_tunnel", name, "domain")])
    found = triggers(written(rpz, view, zone=ZONE, known=False))
    try:
        meant = dns.name.from_text(name).relativize(dns.name.root) if name.isascii() else None
    except dns.exception.DNSException:
        meant = None
    assert set(found) <= ({meant.to_text(), f"*.{meant.to_text()}"} if meant else set())


def test_servers_of_bots_are_in_it_when_they_are_listed(written: Written) -> None:
    listed = {"signs": ["indicator"], "names": ["cnc.rebirth.st", "st"], "malware": "Rebirth"}
    guessed = {"signs": ["suffix"], "names": ["cnc.libre.dyn"], "malware": "unknown"}
    view = make_view(
        findings=[finding("botnet_c2", "192.0.2.6", "address", evidence=e) for e in (listed, guessed)]
    )
    assert set(triggers(written(rpz, view, zone=ZONE, known=False))) == {"cnc.rebirth.st", "*.cnc.rebirth.st"}


def test_a_top_level_domain_is_never_in_it(written: Written) -> None:
    view = make_view(findings=[finding("dns_tunnel", name, "domain") for name in ("com", ".", "")])
    assert triggers(written(rpz, view, zone=ZONE, known=False)) == {}


def test_a_name_too_long_for_the_zone_is_told_of(written: Written) -> None:
    told: list[str] = []
    view = make_view(findings=[finding("dns_tunnel", HOSTILE[-1], "domain")], warn=told.append)
    assert triggers(written(rpz, view, zone=ZONE, known=False)) == {}
    assert "give a shorter `zone`" in told[0]


@pytest.mark.parametrize("label", ["rpz-ip", "rpz-client-ip", "RPZ-NSIP", "rpz-nsdname"])
def test_a_name_that_would_be_a_trigger_of_another_kind_is_told_of(label: str, written: Written) -> None:
    told: list[str] = []
    names = (f"evil.{label}", "rpz-ip.evil.example")
    view = make_view(findings=[finding("dns_tunnel", name, "domain") for name in names], warn=told.append)
    found = triggers(written(rpz, view, zone=ZONE, known=False))
    assert set(found) == {"rpz-ip.evil.example", "*.rpz-ip.evil.example"}
    assert len(told) == 1
    assert told[0].startswith(f"evil.{label}. is left out")


@pytest.mark.parametrize("settings", [{"action": "explode"}, {"zone": "a..b"}])
def test_settings_that_cannot_be_meant(settings: dict[str, str], lake: View, written: Written) -> None:
    with pytest.raises(UsageError):
        written(rpz, lake, **settings)
