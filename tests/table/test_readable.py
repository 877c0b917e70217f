"""Rows as people read them."""

from ipaddress import ip_address
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.table.readable import address_column
from dnsonde.wire.batch import address_pair


@given(st.lists(st.none() | st.ip_addresses(), max_size=12))
def test_address_columns_read_as_the_standard_library_writes_them(addresses: list[Any]) -> None:
    pairs = [(None, None) if a is None else address_pair(a) for a in addresses]
    net, host = (pa.array([p[i] for p in pairs], pa.int64()) for i in (0, 1))
    got = address_column(net, host).to_pylist()
    assert [None if g is None else int(ip_address(g)) for g in got] == [
        None
        if a is None
        else int(ip_address(f"{a.ipv4_mapped}"))
        if getattr(a, "ipv4_mapped", None)
        else int(a)
        for a in addresses
    ]
