"""Whose an address is: every kind of file, what is narrower wins, and hostile content stays out."""

import gzip
import json
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from dnsonde.enrich import enrich
from dnsonde.errors import RunError, SystemRefusal, UsageError
from dnsonde.formats._owners import NOTHING, Entry, Facts, Prefixes, open_source
from dnsonde.report import readable
from dnsonde.table import store
from dnsonde.table.schema import ENRICHMENT, VERDICT
from dnsonde.table.store import Writer
from dnsonde.wire.batch import address_pair

RDAP = {
    "objectClassName": "ip network", "handle": "NET-1", "startAddress": "192.0.2.0", "endAddress": "192.0.2.255",
    "country": "AT", "entities": [
        {"roles": ["registrant"], "vcardArray": ["vcard", [["email", {}, "text", "boss@example.net"]]], "entities": [
            {"roles": ["abuse"], "vcardArray": ["vcard", [["fn", {}, "text", "Abuse"],
                                                          ["email", {}, "text", "abuse@example.net"]]]},
        ]},
    ],
}  # fmt: skip
Mmdb = Callable[..., Path]


def ask(path: Path, address: str) -> Facts:
    (source,) = open_source(path)
    return source.find(ip_address(address))[1]


def file(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.fixture
def mmdb(tmp_path: Path) -> Mmdb:
    def make(name: str, records: dict[str, Any], version: int = 6) -> Path:
        writer = MMDBWriter(ip_version=version, ipv4_compatible=version == 6, database_type="Test")
        for prefix, record in records.items():
            writer.insert_network(IPSet([prefix]), record)
        path = tmp_path / name
        writer.to_db_file(str(path))
        return path

    return make


# -- kinds of files ---------------------------------------------------------------------------------------


def test_maxmind_tells_systems_and_countries(mmdb: Mmdb) -> None:
    systems = mmdb("asn.mmdb", {
        "192.0.2.0/24": {"autonomous_system_number": 64500, "autonomous_system_organization": "Example"},
        "2001:db8::/32": {"autonomous_system_number": 64501},
    })  # fmt: skip
    assert ask(systems, "192.0.2.77") == Facts(asn=64500, as_name="Example")
    assert ask(systems, "2001:db8::1") == Facts(asn=64501)
    assert ask(systems, "198.51.100.1") == NOTHING
    countries = mmdb("country.mmdb", {
        "192.0.2.0/25": {"country": {"iso_code": "AT"}}, "192.0.2.128/25": {"registered_country": {"iso_code": "JP"}},
    })  # fmt: skip
    assert [ask(countries, a).country for a in ("192.0.2.1", "192.0.2.200")] == ["AT", "JP"]


def test_ipinfo_writes_it_otherwise(mmdb: Mmdb) -> None:
    lite = mmdb("lite.mmdb", {"192.0.2.0/24": {
        "asn": "AS64500", "as_name": "Example", "as_domain": "example.net", "country": "Austria", "country_code": "AT",
    }})  # fmt: skip
    assert ask(lite, "192.0.2.1") == Facts(asn=64500, as_name="Example", country="AT")


def test_a_database_says_how_far_its_answer_reaches(mmdb: Mmdb) -> None:
    (source,) = open_source(mmdb("asn.mmdb", {"192.0.2.0/25": {"asn": 64500}}))
    assert source.find(ip_address("192.0.2.5"))[0] == int(ip_address("192.0.2.127"))


def test_a_database_for_ipv4_knows_no_ipv6(mmdb: Mmdb) -> None:
    old = mmdb("old.mmdb", {"192.0.2.0/24": {"asn": 64500}}, version=4)
    assert ask(old, "192.0.2.1").asn == 64500
    assert ask(old, "2001:db8::1") == NOTHING


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
    assert ask(path, "192.0.2.9") == Facts(asn=64500, prefix="192.0.2.0/24")
    packed = file(tmp_path, "prefixes.gz", gzip.compress(path.read_bytes()))
    assert ask(packed, "192.0.2.9").asn == 64500


def test_the_narrower_prefix_tells(tmp_path: Path) -> None:
    path = file(
        tmp_path, "p.txt", "10.0.0.0 8 1\n10.1.0.0 16 2\n10.1.1.0 24 3\n10.1.2.0 24 4\n2001:db8:: 32 6\n"
    )
    asked = {"10.0.0.1": 1, "10.1.0.1": 2, "10.1.1.1": 3, "10.1.2.255": 4, "10.1.3.0": 2, "10.2.0.0": 1}
    assert {address: ask(path, address).asn for address in asked} == asked
    assert ask(path, "9.255.255.255") == ask(path, "11.0.0.0") == ask(path, "2001:db9::") == NOTHING
    assert ask(path, "2001:db8::1").asn == 6


def test_rdap_answers_tell_the_abuse_contact(tmp_path: Path) -> None:
    wanted = Facts(prefix="192.0.2.0/24", country="AT", abuse="abuse@example.net")
    assert ask(file(tmp_path, "one.json", json.dumps(RDAP)), "192.0.2.1") == wanted
    assert ask(file(tmp_path, "all.json", json.dumps([RDAP, {"x": 1}])), "192.0.2.1") == wanted
    assert (
        ask(file(tmp_path, "lines.jsonl", f"{json.dumps(RDAP)}\n{json.dumps(RDAP)}\n"), "192.0.2.1") == wanted
    )


def test_a_folder_is_a_cache(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    file(tmp_path / "cache", "a.json", json.dumps(RDAP))
    file(tmp_path / "cache", "b.txt", "192.0.2.0/25 64500\n")
    assert ask(tmp_path / "cache", "192.0.2.1") == Facts(
        64500, None, "192.0.2.0/25", "AT", "abuse@example.net"
    )


def test_a_folder_may_have_databases_in_it_and_files_that_tell_nothing(mmdb: Mmdb, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    file(folder, "LICENSE.txt", "Do as you please.\n")
    file(folder, "z.txt", "192.0.2.0/24 64500\n")
    for name, record in (("asn", {"asn": 64501, "as_name": "Example"}), ("country", {"country": "AT"})):
        mmdb(f"files/{name}.mmdb", {"192.0.2.0/24": record})
    facts = NOTHING
    for source in open_source(folder):
        facts = facts.or_else(source.find(ip_address("192.0.2.1"))[1])
    assert facts == Facts(64500, "Example", "192.0.2.0/24", "AT")
    file(folder, "cut.gz", b"\x1f\x8bdamaged")
    with pytest.raises(UsageError, match=r"cut\.gz is a damaged gzip file"):
        open_source(folder)


def test_a_registry_tells_who_holds_a_range(tmp_path: Path) -> None:
    holder = "inetnum: 192.0.2.0 - 192.0.2.191\ncountry: at\nabuse-mailbox: abuse@example.net\n"
    facts = ask(file(tmp_path, "irr.db", f"{holder}\nroute: 192.0.2.0/24\norigin: AS1\n"), "192.0.2.1")
    assert facts == Facts(asn=1, prefix="192.0.2.0/24", country="AT", abuse="abuse@example.net")


# -- hostile and damaged files ----------------------------------------------------------------------------


def test_what_strangers_wrote_is_checked(tmp_path: Path) -> None:
    hostile = {
        "prefix": "192.0.2.0/24", "asn": "AS99999999999", "as_name": "\x1b[31m\u202e" + "x" * 999, "country": "<b>",
        "abuse": "a@example.net\nBcc: all@example.net",
    }  # fmt: skip
    facts = ask(file(tmp_path, "x.json", json.dumps(hostile)), "192.0.2.1")
    assert (facts.asn, facts.country, facts.abuse) == (None, None, None)
    assert facts.as_name
    assert facts.as_name.startswith(r"\x1b[31m\u202e")
    assert len(facts.as_name) == 200


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


def test_a_damaged_database_ends_no_process(mmdb: Mmdb) -> None:
    path = mmdb("asn.mmdb", {f"192.0.{n}.0/24": {"asn": 64500 + n, "as_name": "Example"} for n in range(40)})
    whole, draw, refused = path.read_bytes(), Random(1), []
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            for number in range(0, 40, 5):
                ask(path, f"192.0.{number}.7")
        except UsageError as error:
            refused.append(str(error))
    assert 0 < len(refused) < 150
    assert all(str(path) in said for said in refused)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemRefusal, match=r"no\.mmdb"):
        open_source(tmp_path / "no.mmdb")


RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted), min_size=1, max_size=12)


@given(RANGES)
def test_flat_ranges_say_what_a_search_would(ranges: list[list[int]]) -> None:
    # Each range nested or apart, as prefixes are; the narrowest that holds an address tells.
    nested: list[tuple[int, int]] = []
    for first, last in ranges:
        if (first, last) not in nested and all(
            last < f or first > e or (first >= f and last <= e) or (first <= f and last >= e)
            for f, e in nested
        ):
            nested.append((first, last))
    flat = Prefixes(
        [Entry(ip_address(f), ip_address(e), Facts(asn=n + 1)) for n, (f, e) in enumerate(nested)]
    )
    for number in range(64):
        holding = [(e - f, n + 1) for n, (f, e) in enumerate(nested) if f <= number <= e]
        last, facts = flat.find(ip_address(number))
        assert facts.asn == (min(holding)[1] if holding else None)
        assert last >= number
        assert flat.find(ip_address(last))[1] == facts


# -- a run ------------------------------------------------------------------------------------------------


def run_of(folder: Path, *hosts: tuple[str, str, str | None]) -> Path:
    blank = {c.name: "" if c.type == pa.string() else 0 for c in VERDICT.columns if not c.null}
    rows = []
    for target, name, egress in hosts:
        pairs = {"target": address_pair(target), "egress": address_pair(egress) if egress else (None, None)}
        ends = {
            f"{role}_{half}": pair[i]
            for role, pair in pairs.items()
            for i, half in enumerate(("net", "host"))
        }
        rows.append({**blank, **ends, "class": name, "open": False})
    with Writer(VERDICT, folder) as writer:
        writer.append({f.name: pa.array([row.get(f.name) for row in rows], f.type) for f in VERDICT.schema})
    return folder


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    rows = readable(store.open_folder(folder)["enrichment"]).read_all().to_pylist()
    return {row.pop("address"): row for row in rows}


def test_hosts_and_those_behind_them_are_looked_up(tmp_path: Path) -> None:
    run = run_of(
        tmp_path / "run",
        ("192.0.2.1", "recursive_forwarder", "198.51.100.1"),
        ("192.0.2.2", "silent", None),
        ("2001:db8::1", "refused", None),
        ("203.0.113.1", "refused", None),
    )
    files = [
        file(tmp_path, "p.txt", "192.0.2.0 24 64500\n198.51.100.0 24 64501\n2001:db8:: 32 64502\n"),
        file(tmp_path, "r.json", json.dumps(RDAP)),
    ]
    learned = enrich(run, files)
    assert learned.addresses == 4
    assert learned.known == {"asn": 3, "as_name": 0, "prefix": 3, "country": 1, "abuse": 1}
    found = rows_of(run)
    assert found.keys() == {"192.0.2.1", "198.51.100.1", "2001:db8::1"}
    assert found["192.0.2.1"] == {
        "asn": 64500, "as_name": None, "prefix": "192.0.2.0/24", "country": "AT", "abuse": "abuse@example.net"
    }  # fmt: skip
    (part,) = (run / ENRICHMENT.name).iterdir()
    assert pq.read_schema(part).metadata[b"dnsonde.table"] == b"enrichment"


def test_the_first_file_that_knows_tells_and_newer_files_replace(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", ("192.0.2.1", "refused", None))
    one, other = (file(tmp_path, f"{n}.txt", f"192.0.2.0 24 {n}\n") for n in (1, 2))
    enrich(run, [one, other])
    assert rows_of(run)["192.0.2.1"]["asn"] == 1
    enrich(run, [other])
    assert rows_of(run)["192.0.2.1"]["asn"] == 2
    assert {p.name for p in run.iterdir()} == {"verdict", "enrichment"}


def test_two_at_once_do_not_disturb_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(tmp_path / "run", ("192.0.2.1", "refused", None))
    one, other = (file(tmp_path, f"{n}.txt", f"192.0.2.0 24 {n}\n") for n in (1, 2))
    save = store.save

    def save_later(*arguments: Any) -> Path:
        monkeypatch.setattr(store, "save", save)
        enrich(run, [other])
        return save(*arguments)

    monkeypatch.setattr(store, "save", save_later)
    assert enrich(run, [one]).known["asn"] == 1
    assert rows_of(run)["192.0.2.1"]["asn"] == 1


def test_nowhere_to_write_is_said(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", ("192.0.2.1", "refused", None))
    file(run, ENRICHMENT.name, "in the way")
    with pytest.raises(SystemRefusal, match="enrichment"):
        enrich(run, [file(tmp_path, "p.txt", "192.0.2.0 24 1\n")])


def test_files_that_know_nobody_are_told_of_and_take_nothing_away(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", ("192.0.2.1", "refused", None))
    enrich(run, [file(tmp_path, "good.txt", "192.0.2.0 24 64500\n")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty has no file in it"):
        enrich(run, [tmp_path / "empty"])
    file(tmp_path / "empty", "README", "nothing in it\n")
    with pytest.raises(UsageError, match="empty has no file in it"):
        enrich(run, [tmp_path / "empty"])
    with pytest.raises(RunError, match="know none of the 1 addresses"):
        enrich(run, [file(tmp_path, "p.txt", "10.0.0.0 8 1\n")])
    assert rows_of(run)["192.0.2.1"]["asn"] == 64500


def test_nothing_to_look_up_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="neither a lake nor a run"):
        enrich(tmp_path / "empty", [file(tmp_path, "p.txt", "10.0.0.0 8 1\n")])
    with pytest.raises(UsageError, match="name at least one file"):
        enrich(tmp_path / "empty", [])
