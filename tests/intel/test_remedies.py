"""What to do is known for what is found, and the configurations are what their software takes."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dnsonde.intel.remedies import Remedy, remedies
from dnsonde.report import CLASSES

CHECKS = {
    "bind": ("named-checkconf", "{file}"),
    "unbound": ("unbound-checkconf", "{file}"),
    "dnsmasq": ("dnsmasq", "--test", "-C", "{file}"),
    "firewall": ("nft", "--check", "--file", "{file}"),
}
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# Settings as the documentation of Knot Resolver 6 has them (doc/user/config-*.rst); Debian's is older.
KNOT = {
    "views": {"subnets", "answer"}, "network": {"edns-buffer-size"}, "rate-limiting": {"rate-limit"},
    "forward": {"subtree", "servers"}, "local-data": {"rpz"},
}  # fmt: skip
# Settings of PowerDNS Recursor 5, by what they are called in the older one that Debian has; the last is Lua there.
PDNS = {
    ("incoming", "allow_from"): "allow-from", ("incoming", "udp_truncation_threshold"): "udp-truncation-threshold",
    ("recursor", "any_to_tcp"): "any-to-tcp", ("dnssec", "validation"): "dnssec",
    ("outgoing", "dot_to_port_853"): "dot-to-port-853",
    ("dnssec", "aggressive_nsec_cache_size"): "aggressive-nsec-cache-size", ("recursor", "rpzs"): "",
}  # fmt: skip
OPEN = [name for name in CLASSES if name not in {"not_sent", "silent"}]  # whoever replies may resolve as well
CHECKED = [(m.name, r) for m in remedies().measure for r in m.remedy if r.software in CHECKS]


def test_every_open_class_has_something_to_do() -> None:
    assert [name for name in OPEN if remedies().of_host(name, is_open=True) is None] == []


def test_every_measure_is_about_what_there_is() -> None:
    names = {s.name for s in remedies().software}
    for measure in remedies().measure:
        assert set(measure.classes) <= set(CLASSES)
        assert measure.classes or measure.detectors
        assert {r.software for r in measure.remedy} <= names
        assert len({r.software for r in measure.remedy}) == len(measure.remedy)
        assert all(r.source and r.config.strip() for r in measure.remedy)


def test_closing_recursion_is_told_for_all_software() -> None:
    measure = remedies().of_host("recursive_resolver", is_open=True)
    assert measure is not None
    assert [r.software for r in measure.remedy] == [s.name for s in remedies().software]


@pytest.mark.servers
@pytest.mark.parametrize(("name", "remedy"), CHECKED, ids=[f"{n}-{r.software}" for n, r in CHECKED])
def test_the_software_takes_it(name: str, remedy: Remedy, tmp_path: Path) -> None:
    command = CHECKS[remedy.software]
    if shutil.which(command[0], path=PATH) is None:
        pytest.skip(f"{command[0]} is not installed")
    key, zone, config = tmp_path / "root.key", tmp_path / "rpz.zone", tmp_path / "config"
    key.write_text(". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n")
    zone.write_text("$TTL 60\n@ SOA localhost. root.localhost. 1 60 60 60 60\n@ NS localhost.\n")
    text = remedy.config.replace("/var/lib/unbound/root.key", str(key))
    config.write_text(text.replace("/etc/unbound/rpz.local.zone", str(zone)))
    ran = subprocess.run(
        [part.format(file=config) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": PATH},
    )
    if "Operation not permitted" in ran.stderr:
        pytest.skip("nft may not check here: it needs CAP_NET_ADMIN")
    assert ran.returncode == 0, f"{name}: {ran.stdout}{ran.stderr}"


def of_software(name: str) -> list[tuple[str, dict[str, Any]]]:
    """The configurations of a software that writes YAML, by measure."""
    return [
        (m.name, YAML(typ="safe").load(r.config))
        for m in remedies().measure
        for r in m.remedy
        if r.software == name
    ]


@pytest.mark.parametrize(("name", "config"), of_software("knot"))
def test_knot_resolver_documents_it(name: str, config: dict[str, Any]) -> None:
    for section, content in config.items():
        for part in content if isinstance(content, list) else [content]:
            assert set(part) <= KNOT[section], f"{name}: {section}"


@pytest.mark.servers
@pytest.mark.parametrize(("name", "config"), of_software("powerdns"))
def test_powerdns_recursor_takes_it(name: str, config: dict[str, Any], tmp_path: Path) -> None:
    settings = [
        (PDNS[section, key], value) for section, part in config.items() for key, value in part.items()
    ]
    if shutil.which("pdns_recursor", path=PATH) is None:
        pytest.skip("pdns_recursor is not installed")
    lines = [f"{key}={_old(value)}" for key, value in settings if key]
    (tmp_path / "recursor.conf").write_text("\n".join([*lines, f"socket-dir={tmp_path}\n"]))
    ran = subprocess.run(
        ["/usr/sbin/pdns_recursor", f"--config-dir={tmp_path}", "--config=check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, f"{name}: {ran.stdout}{ran.stderr}"


def test_an_unknown_setting_would_be_seen(tmp_path: Path) -> None:
    if shutil.which("pdns_recursor", path=PATH) is None:
        pytest.skip("pdns_recursor is not installed")
    (tmp_path / "recursor.conf").write_text("no-such-setting=1\n")
    command = ["/usr/sbin/pdns_recursor", f"--config-dir={tmp_path}", "--config=check"]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def _old(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def test_who_is_not_open_is_not_told_to_close() -> None:
    told = {is_open: remedies().of_host("manipulated", is_open=is_open) for is_open in (True, False)}
    assert [one and one.name for one in told.values()] == ["close_recursion", "trust_path"]
    assert remedies().of_host("filtering", is_open=False) is None
