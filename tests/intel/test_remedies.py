"""What to do is known for what is found, and the configurations are what their software takes."""

import shutil
import subprocess
from pathlib import Path

import pytest

from dnsonde.intel.remedies import Remedy, remedies
from dnsonde.report import CLASSES

CHECKS = {
    "bind": ("named-checkconf", "{file}"),
    "unbound": ("unbound-checkconf", "{file}"),
    "dnsmasq": ("dnsmasq", "--test", "-C", "{file}"),
}
OPEN = list(CLASSES)[: list(CLASSES).index("answered_without_us") + 1]
CHECKED = [(m.name, r) for m in remedies().measure for r in m.remedy if r.software in CHECKS]


def test_every_open_class_has_something_to_do() -> None:
    assert [name for name in OPEN if remedies().of_class(name) is None] == []


def test_every_measure_is_about_what_there_is() -> None:
    names = {s.name for s in remedies().software}
    for measure in remedies().measure:
        assert set(measure.classes) <= set(CLASSES)
        assert measure.classes or measure.detectors
        assert {r.software for r in measure.remedy} <= names
        assert len({r.software for r in measure.remedy}) == len(measure.remedy)
        assert all(r.source and r.config.strip() for r in measure.remedy)


def test_closing_recursion_is_told_for_all_software() -> None:
    measure = remedies().of_class("recursive_resolver")
    assert measure is not None
    assert [r.software for r in measure.remedy] == [s.name for s in remedies().software]


@pytest.mark.servers
@pytest.mark.parametrize(("name", "remedy"), CHECKED, ids=[f"{n}-{r.software}" for n, r in CHECKED])
def test_the_software_takes_it(name: str, remedy: Remedy, tmp_path: Path) -> None:
    command = CHECKS[remedy.software]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    key, zone, config = tmp_path / "root.key", tmp_path / "rpz.zone", tmp_path / "config"
    key.write_text(". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n")
    zone.write_text("$TTL 60\n@ SOA localhost. root.localhost. 1 60 60 60 60\n@ NS localhost.\n")
    text = remedy.config.replace("/var/lib/unbound/root.key", str(key))
    config.write_text(text.replace("/etc/unbound/rpz.local.zone", str(zone)))
    ran = subprocess.run(
        [part.format(file=config) for part in command], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"{name}: {ran.stdout}{ran.stderr}"
