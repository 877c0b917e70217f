"""`dnsonde plan`: a plan to fill in, and what it would send."""

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

Type = Callable[..., subprocess.CompletedProcess[str]]

PLAN = """
[scope]
prefixes = ["127.1.0.0/24"]
port = 5300
[zone]
name = "probe.example.net"
authority = "127.0.0.53"
"""


def test_a_new_plan_is_filled_with_what_is_given(dnsonde: Type) -> None:
    said = dnsonde(
        *(
            "plan",
            "new",
            "--prefix",
            "198.18.0.0/24",
            "--prefix",
            "2001:db8::/120",
            "--contact",
            "me@example.org",
        ),
        *("--zone", "p.example.org", "--authority", "203.0.113.5", "--description", 'With "quotes" 😀\x7f'),
    )
    plan = tomllib.loads(said.stdout)
    assert plan["scope"]["prefixes"] == ["198.18.0.0/24", "2001:db8::/120"]
    assert plan["scope"]["exclude"] == []
    assert plan["identity"]["contact"] == "me@example.org"
    assert plan["identity"]["description"] == 'With "quotes" 😀\x7f'
    assert (plan["zone"]["name"], plan["zone"]["authority"]) == ("p.example.org", ["203.0.113.5"])
    assert "# networks that you may probe" in said.stdout, "comments stay"


def test_a_new_plan_without_a_zone(dnsonde: Type) -> None:
    plan = tomllib.loads(dnsonde("plan", "new", "--known", "www.example.org", "--answer", "192.0.2.1").stdout)
    assert plan["zone"] == {"known": "www.example.org", "answer": ["192.0.2.1"]}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--known", "www.example.org", "--zone", "p.example.org"), "--known does without --zone"),
        (("--known", "www.example.org", "--authority", "192.0.2.1"), "--known does without --authority"),
        (("--answer", "192.0.2.1"), "give --known too"),
    ],
)
def test_what_does_not_go_together_is_not_dropped_silently(
    options: tuple[str, ...], sentence: str, dnsonde: Type
) -> None:
    said = dnsonde("plan", "new", *options)
    assert (said.returncode, said.stdout) == (2, "")
    assert sentence in said.stderr


def test_check_says_what_would_be_sent(dnsonde: Type, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    said = dnsonde("plan", "check", "plan.toml")
    assert said.returncode == 0, said.stderr
    assert "256 (256 IPv4, 0 IPv6)" in said.stdout
    assert "768 at most" in said.stdout
    assert "at most while no host proves open" in " ".join(said.stdout.split())
    told = json.loads(dnsonde("plan", "check", "plan.toml", "--json").stdout)
    assert (told["addresses"], told["packets"]) == (256, 768)


def test_a_high_rate_is_written_out(dnsonde: Type, tmp_path: Path) -> None:
    (tmp_path / "fast.toml").write_text(PLAN + "[pace]\ntotal_pps = 2000000\n")
    said = dnsonde("plan", "check", "fast.toml").stdout
    assert "2,000,000 packets a second at most" in said
    assert "e+" not in said


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[scope", "is not TOML"),
        (PLAN.replace("127.1.0.0/24", "192.0.2.0/24"), "special-purpose"),
        (PLAN.replace("127.1.0.0/24", "127.1.0.1/24"), "127.1.0.0/24"),
        (PLAN.replace("127.1.0.0/24", "8.8.8.0/24"), "contact is missing"),
        (PLAN.replace("port", "prot"), "did you mean `port`"),
    ],
)
def test_what_the_rules_forbid_is_refused_with_a_sentence(
    text: str, sentence: str, dnsonde: Type, tmp_path: Path
) -> None:
    (tmp_path / "plan.toml").write_text(text)
    said = dnsonde("plan", "check", "plan.toml")
    assert said.returncode == 2
    assert sentence in said.stderr
    assert len(said.stderr.splitlines()) == 1


def test_no_plan_is_a_sentence(dnsonde: Type) -> None:
    said = dnsonde("probe", "nowhere.toml", "-o", "run", "--progress", "none")
    assert said.returncode == 2
    assert "there is no plan at nowhere.toml" in said.stderr
