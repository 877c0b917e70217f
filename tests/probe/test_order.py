from ipaddress import ip_address, ip_network

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsonde.probe.order import MOST, Order, Ranges, Scope
from dnsonde.wire.batch import address_array, address_text

KEY = b"0123456789abcdef"


def ranges(*texts: str) -> Ranges:
    return Ranges.of_networks(ip_network(t) for t in texts)


def addresses(scope: Scope) -> list[str]:
    return [address_text(int(a["net"]), int(a["host"])) for a in scope.at(np.arange(scope.size))]


@st.composite
def networks(draw: st.DrawFn) -> str:
    """Networks close together, so that they touch, nest and overlap."""
    if draw(st.booleans()):
        bits = draw(st.integers(24, 32))
        base = (198 << 24) + draw(st.integers(0, 1023))
        return f"{ip_address(base >> 32 - bits << 32 - bits)}/{bits}"
    bits = draw(st.integers(120, 128))
    base = (0x2001_0DB8_0000_0001 << 64) + draw(st.integers(-512, 511))  # both sides of a carry
    return f"{ip_address(base >> 128 - bits << 128 - bits)}/{bits}"


def members(texts: list[str]) -> set[str]:
    return {str(a) for t in texts for a in ip_network(t)}


@given(st.lists(networks(), max_size=8), st.lists(networks(), max_size=8))
def test_a_scope_is_what_the_networks_say_minus_what_is_taken_out(
    wanted: list[str], taken: list[str]
) -> None:
    expected = members(wanted) - members(taken)
    scope = Scope(ranges(*wanted).without(ranges(*taken)))
    found = addresses(scope)
    assert len(found) == len(expected) == scope.size
    assert set(found) == expected
    everything = address_array(sorted(members(wanted) | members(taken)))
    inside = scope.contains(everything)
    assert [bool(i) for i in inside] == [
        address_text(int(a["net"]), int(a["host"])) in expected for a in everything
    ]
    index = scope.index(address_array(found))
    assert index.tolist() == list(range(scope.size))


@pytest.mark.parametrize(
    ("wanted", "taken", "expected"),
    [
        (["ff00::/8"], [], [("ff00::", "ff" * 16)]),
        (["ffff::/16", "fffe::/16"], ["ffff:ffff::/32"], [("fffe::", "ffff:fffe" + ":ffff" * 6)]),
        (["::/0"], ["8000::/1"], [("::", "7fff" + ":ffff" * 7)]),
        (["::/0"], ["::/1"], [("8000::", "ff" * 16)]),
        (["::/3", "2000::/3"], ["::1"], [("::", "::"), ("::2", "3fff" + ":ffff" * 7)]),
        (
            ["::/2"],
            ["::2000:0:0:0/128"],
            [("::", "::1fff:ffff:ffff:ffff"), ("::2000:0:0:1", "3fff" + ":ffff" * 7)],
        ),
    ],
)
def test_ranges_at_the_edges_of_ipv6(
    wanted: list[str], taken: list[str], expected: list[tuple[str, str]]
) -> None:
    found = ranges(*wanted).without(ranges(*taken))
    ends = [
        (
            str(ip_address((int(n) << 64 | int(h)).to_bytes(16, "big"))),
            (int(ln) << 64 | int(lh)).to_bytes(16, "big"),
        )
        for n, h, ln, lh in zip(found.net, found.host, found.last_net, found.last_host, strict=True)
    ]
    assert ends == [(a, bytes.fromhex(b) if len(b) == 32 else ip_address(b).packed) for a, b in expected]
    assert found.count() == sum(int.from_bytes(b, "big") - int(ip_address(a)) + 1 for a, b in ends)
    assert found.within(found).all()


def test_positions_follow_the_numbers_of_the_addresses() -> None:
    scope = Scope(ranges("2001:db8::/127", "198.51.100.2/31", "192.0.2.9/32"))
    assert addresses(scope) == ["192.0.2.9", "198.51.100.2", "198.51.100.3", "2001:db8::", "2001:db8::1"]


def test_the_last_of_a_large_range_is_found() -> None:
    scope = Scope(ranges("2001:db8::/67", "2001:db9::/67"))
    assert scope.size == 2**62
    last = scope.at(np.array([2**61 - 1, 2**61, 2**62 - 1]))
    found = [address_text(int(a["net"]), int(a["host"])) for a in last]
    assert found == ["2001:db8::1fff:ffff:ffff:ffff", "2001:db9::", "2001:db9::1fff:ffff:ffff:ffff"]
    assert scope.index(last).tolist() == [2**61 - 1, 2**61, 2**62 - 1]


@pytest.mark.parametrize("prefix", ["2001:db8::/64", "2001:db8::/32", "::/0"])
def test_more_than_can_be_ordered_is_a_value_error(prefix: str) -> None:
    with pytest.raises(ValueError, match="more than"):
        Scope(ranges(prefix))


def test_positions_outside_are_refused() -> None:
    scope = Scope(ranges("192.0.2.0/30"))
    for wrong in (-1, 4):
        with pytest.raises(IndexError):
            scope.at(np.array([wrong]))
        with pytest.raises(IndexError):
            Order(4, KEY).at(np.array([wrong]))


def test_the_empty_scope_contains_nothing() -> None:
    scope = Scope(ranges())
    assert scope.size == 0
    assert scope.index(address_array(["192.0.2.1"])).tolist() == [-1]


@settings(max_examples=60)
@given(st.integers(1, 5000), st.binary(min_size=16, max_size=16), st.integers(1, 7))
def test_the_shards_cover_everything_once(total: int, key: bytes, shards: int) -> None:
    found = []
    for number in range(1, shards + 1):
        order = Order(total, key, (number, shards))
        part = order.at(np.arange(order.size))
        assert order.position(part).tolist() == list(range(order.size))
        found.append(part)
    assert np.array_equal(np.sort(np.concatenate(found)), np.arange(total))


@pytest.mark.parametrize("total", range(1, 70))
def test_every_small_size_is_permuted(total: int) -> None:
    assert sorted(Order(total, KEY).at(np.arange(total)).tolist()) == list(range(total))


@given(st.integers(5000, MOST), st.binary(min_size=16, max_size=16))
def test_large_orders_are_undone_by_their_inverse(total: int, key: bytes) -> None:
    order = Order(total, key)
    sample = np.random.default_rng(total % 2**32).integers(0, total, 200)
    there = order.at(sample)
    assert there.min() >= 0
    assert there.max() < total
    assert np.array_equal(order.position(there), sample)


def test_an_index_of_another_shard_or_from_outside_has_no_position() -> None:
    mine, other = Order(100, KEY, (1, 2)), Order(100, KEY, (2, 2))
    assert (mine.position(other.at(np.arange(other.size))) == -1).all()
    assert mine.position(np.array([-1, 100])).tolist() == [-1, -1]


def test_another_key_is_another_order() -> None:
    here, there = (Order(10_000, k).at(np.arange(10_000)) for k in (KEY, KEY[::-1]))
    assert (here == there).sum() < 20  # one on average for two random permutations


def test_an_order_of_one_million_is_the_one_it_always_was() -> None:
    """A run continues under a later version only if the order of its key never changes."""
    assert Order(1_000_000, KEY).at(np.arange(4)).tolist() == [280882, 132283, 161607, 396041]


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_no_network_sees_a_burst(bits: int) -> None:
    """Among any 256 successive addresses of a /8, /12 or /16, a /24 has about what chance gives it."""
    scope = Scope(ranges(f"{ip_network((10 << 24, bits))}"))
    order = Order(scope.size, KEY)
    prefixes = scope.size >> 8
    window = 256
    counts = scope.at(order.at(np.arange(40 * window)))["host"].reshape(40, window) >> 8
    # Pairs in one /24 within a window: binomial with mean n(n-1)/2/prefixes; six standard deviations.
    pairs = (
        sum(int((np.bincount(np.unique(row, return_inverse=True)[1]) ** 2).sum()) - window for row in counts)
        / 2
    )
    mean = 40 * window * (window - 1) / 2 / prefixes
    assert pairs <= mean + 6 * mean**0.5 + 1


@pytest.mark.parametrize("total", [256, 65_536, 100_000])
def test_successive_differences_show_no_structure(total: int) -> None:
    """Differences of successive indices, modulo the total, fall evenly into 16 classes (chi-squared, 15 d.f.)."""
    index = Order(total, KEY).at(np.arange(total))
    classes = np.bincount((np.diff(index) % total) * 16 // total, minlength=16)
    expected = (total - 1) / 16
    assert ((classes - expected) ** 2 / expected).sum() < 60  # p < 1e-6
