"""Scenarios say what they get wrong."""

from pathlib import Path

import pytest

from dnsonde.errors import LabError, UsageError
from dnsonde.lab.behavior import Behavior
from dnsonde.lab.scenario import load_scenario, names


@pytest.mark.parametrize("name", names())
def test_scenarios_that_come_along_can_be_loaded(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.title
    Behavior(scenario)


def test_the_names_are_the_files() -> None:
    assert {"bench", "default", "loss", "tiny"} <= set(names())


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'nowhere'.*default"):
        load_scenario("nowhere")


GOOD = 'title = "t"\nprefix = "127.9.0.0/24"\n[shares]\nresolver = 0.5\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    scenario = load_scenario(written(tmp_path, GOOD))
    assert (scenario.first, scenario.size) == (0x7F090000, 256)
    assert scenario.network.probe.clear


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("127.9.0.0/24", "10.0.0.0/24"), "loopback only"),
        (("127.9.0.0/24", "127.9.0.1/24"), "host bits"),
        (("127.9.0.0/24", "127.200.0.0/16"), "within the prefix"),
        (("127.9.0.0/24", "::1/128"), "no IPv4 prefix"),
        (("0.5", "1.5"), "1.5|<= 1"),
        (("0.5", "0.5\nforwarder = 0.6"), "add up to 1.1"),
        (("title", "titel"), "titel"),
        (("[shares]", "[shares"), "scenario"),
        (("[shares]", 'pool = "127.200.0.0/25"\n[shares]'), "too small"),
        (("[shares]", "port = 0\n[shares]"), "port"),
        (
            ("[shares]", '[authority]\naddress = "nonsense"\n[shares]'),
            "address 'nonsense' is no address within",
        ),
        (("[shares]", '[authority]\naddress = "192.0.2.53"\n[shares]'), "no address within 127.0.0.0/8"),
        (("[shares]", '[authority]\ncontrol = ["x", "y"]\n[shares]'), "control 'x' is no IPv4 address"),
        (("[shares]", '[authority]\ncontrol = ["192.0.2.1", "192.0.2.2"]\n[shares]'), "is no IPv6 address"),
        (("[shares]", '[authority]\nzone = "a..b"\n[shares]'), "zone cannot be: 'a..b': a label has"),
        (("[shares]", f'[authority]\nzone = "{"a.b." * 60}"\n[shares]'), "octets, for the labels below it"),
        (("[shares]", '[authority]\nzone = "."\n[shares]'), "zone is empty"),
        (("[shares]", "[network.probe]\nloss = 2.0\n[shares]"), "loss"),
    ],
)
def test_what_cannot_be_is_a_sentence(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    with pytest.raises(LabError, match=sentence):
        load_scenario(written(tmp_path, GOOD.replace(*change)))
