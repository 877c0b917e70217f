"""Every kind of text that tells whose an address is; hostile content stays out."""

import gzip
import json
from pathlib import Path

import pytest

from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.owners.owner import Owner
from dnsonde.owners.source import open_source
from tests.owners.asking import RDAP, ask, file


@pytest.mark.parametrize(
    "line",
    [
        "192.0.2.0\t24\t64500",
        "192.0.2.0\t24\t64500_64501",
        "192.0.2.0 24 64500,64501",
        "192.0.2.0/24 64500",
        "TABLE_DUMP2|1700000000|B|203.0.113.1|64999|192.0.2.0/24|64999 64998 64500|IGP|203.0.113.1|0|0||NAG||",
        "TABLE_DUMP2|1700000000|B|203.0.113.1|64999|192.0.2.0/24|64999 64998 {64500,64501}|IGP|203.0.113.1|0|0||NAG||",
        "route: 192.0.2.0/24\ndescr: x\norigin: AS64500 # us",
    ],
)
def test_every_way_to_write_prefix_and_system(line: str, tmp_path: Path) -> None:
    path = file(tmp_path, "prefixes.txt", f"# a comment\n{line}\n; another\n")
    assert ask(path, "192.0.2.9") == Owner(asn=64500, prefix="192.0.2.0/24")
    packed = file(tmp_path, "prefixes.gz", gzip.compress(path.read_bytes()))
    assert ask(packed, "192.0.2.9").asn == 64500


def test_rdap_answers_tell_the_abuse_contact(tmp_path: Path) -> None:
    wanted = Owner(prefix="192.0.2.0/24", country="AT", abuse="abuse@example.net")
    assert ask(file(tmp_path, "one.json", json.dumps(RDAP)), "192.0.2.1") == wanted
    assert ask(file(tmp_path, "all.json", json.dumps([RDAP, {"x": 1}])), "192.0.2.1") == wanted
    assert (
        ask(file(tmp_path, "lines.jsonl", f"{json.dumps(RDAP)}\n{json.dumps(RDAP)}\n"), "192.0.2.1") == wanted
    )


def test_a_folder_is_a_cache(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    file(tmp_path / "cache", "a.json", json.dumps(RDAP))
    file(tmp_path / "cache", "b.txt", "192.0.2.0/25 64500\n")
    assert ask(tmp_path / "cache", "192.0.2.1") == Owner(
        64500, None, "192.0.2.0/25", "AT", "abuse@example.net"
    )


def test_a_registry_tells_who_holds_a_range(tmp_path: Path) -> None:
    holder = "inetnum: 192.0.2.0 - 192.0.2.191\ncountry: at\nabuse-mailbox: abuse@example.net\n"
    owner = ask(file(tmp_path, "irr.db", f"{holder}\nroute: 192.0.2.0/24\norigin: AS1\n"), "192.0.2.1")
    assert owner == Owner(asn=1, prefix="192.0.2.0/24", country="AT", abuse="abuse@example.net")


def test_what_strangers_wrote_is_checked(tmp_path: Path) -> None:
    hostile = {
        "prefix": "192.0.2.0/24", "asn": "AS99999999999", "as_name": "\x1b[31m\u202e" + "x" * 999, "country": "<b>",
        "abuse": "a@example.net\nBcc: all@example.net",
    }  # fmt: skip
    owner = ask(file(tmp_path, "x.json", json.dumps(hostile)), "192.0.2.1")
    assert (owner.asn, owner.country, owner.abuse) == (None, None, None)
    assert owner.as_name
    assert owner.as_name.startswith(r"\x1b[31m\u202e")
    assert len(owner.as_name) == 200


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing in it\n",
        b"{",
        b"[" * 100_000,
        b"1\n" + b"[" * 100_000,
        b"\x1f\x8bdamaged",
        b'{"startAddress": "x"}',
        b"\xab\xcd\xefMaxMind.com",
    ],
)
def test_a_file_of_nothing_is_refused_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x\.bin"):
        open_source(file(tmp_path, "x.bin", content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemRefusal, match=r"no\.mmdb"):
        open_source(tmp_path / "no.mmdb")
