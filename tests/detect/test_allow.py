"""Allow-lists, short and long: what they cover, in SQL and of findings."""

from ipaddress import ip_address, ip_network
from pathlib import Path

import duckdb
import pytest

from dnsonde.detect._allow import MOST, Allowed, load_allowed
from dnsonde.detect._sides import inside, prefixes
from dnsonde.errors import UsageError
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


def test_a_list_that_is_too_long_is_told_before_the_work(tmp_path: Path) -> None:
    path = tmp_path / "allowed.txt"
    neighbours = [f"10.0.{n // 256}.{n % 256}" for n in range(MOST + 10)]
    path.write_text("\n".join(neighbours))
    assert ip_network("10.0.0.0/19") in load_allowed(path).prefixes
    path.write_text("\n".join(f"10.{n // 128}.{n % 128 * 2}.1" for n in range(MOST + 10)))
    with pytest.raises(UsageError, match=r"10,010 entries or more.*name prefixes"):
        load_allowed(path)
