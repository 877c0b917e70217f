"""Of ranges within ranges the narrowest tells."""

from ipaddress import ip_address
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dnsonde.owners.owner import NOBODY, Entry, Owner
from dnsonde.owners.ranges import Prefixes
from tests.owners.asking import ask, file


def test_the_narrower_prefix_tells(tmp_path: Path) -> None:
    path = file(
        tmp_path, "p.txt", "10.0.0.0 8 1\n10.1.0.0 16 2\n10.1.1.0 24 3\n10.1.2.0 24 4\n2001:db8:: 32 6\n"
    )
    asked = {"10.0.0.1": 1, "10.1.0.1": 2, "10.1.1.1": 3, "10.1.2.255": 4, "10.1.3.0": 2, "10.2.0.0": 1}
    assert {address: ask(path, address).asn for address in asked} == asked
    assert ask(path, "9.255.255.255") == ask(path, "11.0.0.0") == ask(path, "2001:db9::") == NOBODY
    assert ask(path, "2001:db8::1").asn == 6


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
        [Entry(ip_address(f), ip_address(e), Owner(asn=n + 1)) for n, (f, e) in enumerate(nested)]
    )
    for number in range(64):
        holding = [(e - f, n + 1) for n, (f, e) in enumerate(nested) if f <= number <= e]
        last, owner = flat.find(ip_address(number))
        assert owner.asn == (min(holding)[1] if holding else None)
        assert last >= number
        assert flat.find(ip_address(last))[1] == owner
