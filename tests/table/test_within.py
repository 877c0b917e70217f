"""An address is looked for by its text, in SQL; the oracle is the standard library."""

from ipaddress import ip_address, ip_network

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.table.within import create_within
from dnsonde.wire.batch import address_pair

ADDRESSES = [
    "0.0.0.0", "127.255.255.255", "128.0.0.0", "192.0.2.1", "192.0.3.0", "255.255.255.255", "::", "::1",
    "2001:db8::1", "2001:db8:0:1::", "2001:db8:0:1:8000::", "7fff:ffff::", "8000::", "ff02::fb",
]  # fmt: skip
prefixes = st.one_of(st.ip_addresses(), st.sampled_from(ADDRESSES)).flatmap(
    lambda address: st.integers(0, ip_address(address).max_prefixlen).map(lambda bits: f"{address}/{bits}")
)


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    create_within(made)
    made.execute("CREATE TABLE sent (src_net BIGINT, src_host BIGINT)")
    made.executemany("INSERT INTO sent VALUES (?, ?)", [address_pair(one) for one in ADDRESSES])
    return made


def found(connection: duckdb.DuckDBPyConnection, prefix: str) -> set[tuple[int, int]]:
    return set(connection.execute("FROM sent WHERE within(src_net, src_host, ?)", [prefix]).fetchall())


@given(prefix=prefixes)
def test_an_address_is_found_by_each_prefix_that_it_lies_in(
    connection: duckdb.DuckDBPyConnection, prefix: str
) -> None:
    network = ip_network(prefix, strict=False)
    assert found(connection, prefix) == {address_pair(one) for one in ADDRESSES if ip_address(one) in network}


def test_an_address_alone_and_spaces_are_understood(connection: duckdb.DuckDBPyConnection) -> None:
    assert found(connection, " 192.0.2.1 ") == {address_pair("192.0.2.1")}
    assert found(connection, "2001:DB8::0:1") == {address_pair("2001:db8::1")}


def test_a_prefix_in_the_query_is_read_once_and_skips_rows(connection: duckdb.DuckDBPyConnection) -> None:
    plan = connection.execute("EXPLAIN FROM sent WHERE within(src_net, src_host, '192.0.2.0/24')").fetchall()[
        0
    ][1]
    assert "ends_of" not in plan
    assert "Filters" in plan


@pytest.mark.parametrize("text", ["example", "", "192.0.2.0/33", "192.0.2", "x" * 10_000])
def test_what_is_no_prefix_is_said(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    with pytest.raises(duckdb.InvalidInputException, match="is neither an address nor a prefix"):
        found(connection, text)
