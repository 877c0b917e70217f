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


def test_of_equal_prefixes_the_first_tells_and_the_next_what_it_does_not_know(tmp_path: Path) -> None:
    wide = '{"prefix": "192.0.2.0/23", "asn": 1, "country": "JP", "abuse": "wide@example.net"}'
    narrow = '{"prefix": "192.0.2.0/24", "asn": 2}', '{"prefix": "192.0.2.0/24", "asn": 3, "country": "DE"}'
    for written in ((*narrow, wide), (wide, *narrow)):
        found = ask(file(tmp_path, "a.json", f"[{', '.join(written)}]"), "192.0.2.1")
        assert (found.asn, found.country, found.abuse) == (2, "DE", "wide@example.net")
    routes = "route: 192.0.2.0/24\norigin: AS4\n\nroute: 192.0.2.0/24\norigin: AS5\n"
    assert ask(file(tmp_path, "b.db", routes), "192.0.2.1").asn == 4
    assert ask(tmp_path, "192.0.2.1").asn == 2  # the folder: a.json before b.db


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
