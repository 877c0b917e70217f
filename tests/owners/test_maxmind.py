"""MaxMind DB of several makers, whole and damaged."""

from ipaddress import ip_address
from pathlib import Path
from random import Random

import pytest

from dnsonde.errors import UsageError
from dnsonde.owners.owner import NOBODY, Owner
from dnsonde.owners.source import open_source
from tests.owners.asking import ask, database, file


def test_maxmind_tells_systems_and_countries(tmp_path: Path) -> None:
    systems = database(tmp_path / "asn.mmdb", {
        "192.0.2.0/24": {"autonomous_system_number": 64500, "autonomous_system_organization": "Example"},
        "2001:db8::/32": {"autonomous_system_number": 64501},
    })  # fmt: skip
    assert ask(systems, "192.0.2.77") == Owner(asn=64500, as_name="Example")
    assert ask(systems, "2001:db8::1") == Owner(asn=64501)
    assert ask(systems, "198.51.100.1") == NOBODY
    countries = database(tmp_path / "country.mmdb", {
        "192.0.2.0/25": {"country": {"iso_code": "AT"}}, "192.0.2.128/25": {"registered_country": {"iso_code": "JP"}},
    })  # fmt: skip
    assert [ask(countries, a).country for a in ("192.0.2.1", "192.0.2.200")] == ["AT", "JP"]


def test_ipinfo_writes_it_otherwise(tmp_path: Path) -> None:
    lite = database(tmp_path / "lite.mmdb", {"192.0.2.0/24": {
        "asn": "AS64500", "as_name": "Example", "as_domain": "example.net", "country": "Austria", "country_code": "AT",
    }})  # fmt: skip
    assert ask(lite, "192.0.2.1") == Owner(asn=64500, as_name="Example", country="AT")


def test_a_database_says_how_far_its_answer_reaches(tmp_path: Path) -> None:
    (source,) = open_source(database(tmp_path / "asn.mmdb", {"192.0.2.0/25": {"asn": 64500}}))
    assert source.find(ip_address("192.0.2.5"))[0] == int(ip_address("192.0.2.127"))


def test_a_database_for_ipv4_knows_no_ipv6(tmp_path: Path) -> None:
    old = database(tmp_path / "old.mmdb", {"192.0.2.0/24": {"asn": 64500}}, version=4)
    assert ask(old, "192.0.2.1").asn == 64500
    assert ask(old, "2001:db8::1") == NOBODY


def test_a_folder_may_have_databases_in_it_and_files_that_tell_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    file(folder, "LICENSE.txt", "Do as you please.\n")
    file(folder, "z.txt", "192.0.2.0/24 64500\n")
    for name, record in (("asn", {"asn": 64501, "as_name": "Example"}), ("country", {"country": "AT"})):
        database(tmp_path / f"files/{name}.mmdb", {"192.0.2.0/24": record})
    owner = NOBODY
    for source in open_source(folder):
        owner = owner.or_else(source.find(ip_address("192.0.2.1"))[1])
    assert owner == Owner(64500, "Example", "192.0.2.0/24", "AT")
    file(folder, "cut.gz", b"\x1f\x8bdamaged")
    with pytest.raises(UsageError, match=r"cut\.gz is a damaged gzip file"):
        open_source(folder)


def test_a_damaged_database_ends_no_process(tmp_path: Path) -> None:
    path = database(
        tmp_path / "asn.mmdb",
        {f"192.0.{n}.0/24": {"asn": 64500 + n, "as_name": "Example"} for n in range(40)},
    )
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
