"""Allow-lists, short and long: what they cover, in SQL and of findings."""

from ipaddress import ip_address
from pathlib import Path

import duckdb
import pytest

from dnsonde.errors import UsageError
from dnsonde.findings import allow
from dnsonde.findings.allow import Allowed, load_allowed
from dnsonde.table.prefix import inside, prefixes
from dnsonde.wire.batch import address_pair

WITHIN = prefixes(
    ["192.0.2.0/24", "198.51.100.7", "10.0.0.0/9", "2001:db8::/32", "2001:db8:1:2:8000::/65", "2001:db9::5"]
)
ASKED = [
    "192.0.2.255", "192.0.3.0", "198.51.100.7", "198.51.100.8", "10.127.0.1", "10.128.0.1", "2001:db8::1",
    "2001:db9::5", "2001:db9::6", "2001:db8:1:2:8000::1", "::",
]  # fmt: skip


@pytest.mark.parametrize("text", ASKED)
def test_sql_and_findings_are_held_against_the_same(text: str) -> None:
    net, host = address_pair(ip_address(text))
    row = f"SELECT CAST('{net}' AS BIGINT) AS src_net, CAST('{host}' AS BIGINT) AS src_host"
    told = duckdb.sql(row).filter(inside("src", WITHIN)).aggregate("count(*) = 1").fetchall()
    whole = any(
        ip_address(text) in network for network in WITHIN if network.version == ip_address(text).version
    )
    assert told == [(whole,)]
    assert Allowed(WITHIN).covers(text) == whole


def test_a_subject_is_covered_by_what_it_lies_in() -> None:
    allowed = Allowed(WITHIN, ("example.net",))
    assert allowed.covers("192.0.2.128/25")
    assert not allowed.covers("192.0.0.0/16")
    assert allowed.covers("www.example.net")
    assert allowed.covers("example.net")
    assert not allowed.covers("badexample.net")


def test_a_list_is_read_as_people_write_it(tmp_path: Path) -> None:
    path = tmp_path / "allowed.txt"
    path.write_bytes("\ufeff192.0.2.1 \r\n\r\n2001:db8::/32\t# ours\r\n*.Example.NET. \r\n".encode())
    assert load_allowed(path) == Allowed(prefixes(["192.0.2.1", "2001:db8::/32"]), ("example.net",))
    path.write_text("192.0.2.1\n", encoding="utf-16")
    with pytest.raises(UsageError, match="is UTF-16 text: save it as UTF-8"):
        load_allowed(path)


def test_a_list_that_is_too_long_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allow, "MOST", 10)
    path = tmp_path / "allowed.txt"
    path.write_text("\n".join([*(f"192.0.2.{n}" for n in range(5)), *(f"n{n}.example" for n in range(5))]))
    assert len(load_allowed(path).domains) == 5
    path.write_text(path.read_text() + "\n192.0.2.9\n")
    with pytest.raises(UsageError, match=r"more than 10 entries.*name prefixes"):
        load_allowed(path)
