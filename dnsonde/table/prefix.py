"""Prefixes, and SQL that says whether an address lies in one: by masks, or by the ends of its halves.

DuckDB and Spark read it alike. Nothing here imports Ibis: that takes longer than to look through a small file.
"""

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from dnsonde.errors import UsageError
from dnsonde.wire.batch import address_pair

Prefix = IPv4Network | IPv6Network
MAPPED = ip_network("::ffff:0:0/96")  # as which IPv4 is kept
_MAPPED = int(MAPPED.network_address)
_ALL = (1 << 64) - 1
ANYTHING = (-(1 << 63), (1 << 63) - 1)  # the ends of a half that may be any


def prefixes(texts: Iterable[str | Prefix]) -> tuple[Prefix, ...]:
    """Prefixes of texts like 192.0.2.0/24, 2001:db8::/32 or one address, each once; UsageError for what is none."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            raise UsageError(f"{text!r} is no prefix; write it like 192.0.2.0/24 or 2001:db8::/48") from None
    return tuple(dict.fromkeys(found))


# By IANA's registries of special-purpose addresses.
THIS_HOST = prefixes(("0.0.0.0/8", "::"))  # RFC 791, RFC 4291
LOOPBACK = prefixes(("127.0.0.0/8", "::1"))  # RFC 1122, RFC 4291
PRIVATE = prefixes(("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))  # RFC 1918, RFC 4193
SHARED = prefixes(("100.64.0.0/10",))  # RFC 6598
LINK_LOCAL = prefixes(("169.254.0.0/16", "fe80::/10"))  # RFC 3927, RFC 4291
MULTICAST = prefixes(("224.0.0.0/4", "ff00::/8"))  # RFC 1112, RFC 4291
RESERVED = prefixes(("240.0.0.0/4",))  # RFC 1112; broadcast is in it
NO_HOST = (*THIS_HOST, *LOOPBACK, *LINK_LOCAL, *MULTICAST, *RESERVED)  # of no host that others can reach


def is_about_mapped(prefix: Prefix) -> bool:
    """Whether IPv4 lies in an IPv6 prefix as it is kept: it is not meant by it."""
    off = 128 - prefix.prefixlen
    return prefix.version == 6 and off > 32 and int(prefix.network_address) >> off == _MAPPED >> off


# ---- by masks


class Half(NamedTuple):
    """One half of an address (`net` or `host`), and what it is under a mask; int64 both, a mask of -1 is none."""

    name: str
    mask: int
    value: int


def halves_of(prefix: Prefix) -> list[Half]:
    """What an address of the prefix has in common with all others, by half; nothing where that is nothing."""
    bits = prefix.prefixlen + (96 if prefix.version == 4 else 0)
    mask = ((1 << bits) - 1) << (128 - bits)
    net, host = address_pair(prefix.network_address)
    parts = (("net", mask >> 64, net), ("host", mask & _ALL, host))
    return [
        Half(name, part - (1 << 64) if part >> 63 else part, value) for name, part, value in parts if part
    ]


Values = Sequence[int] | Sequence[str]
Among = Callable[[str, Values], str]
"""SQL: a column is one of those values, of which there is at least one."""


def among(column: str, values: Values) -> str:
    """As `Among`, with the values written out, which takes an engine long to read where they are very many."""
    told = [_number(value) if isinstance(value, int) else f"'{value}'" for value in values]
    return f"{column} = {told[0]}" if len(told) == 1 else f"{column} IN ({', '.join(told)})"


def inside(role: str, within: Sequence[Prefix], among: Among = among) -> str:
    """SQL: the address in columns `<role>_net` and `<role>_host` lies in one of the prefixes.

    Prefixes that differ in their last half alone are one look into a list: a provider has thousands. What is written as
    IPv6 never reaches IPv4.
    """
    alike: dict[tuple[str, ...], list[int]] = {}
    for prefix in within:
        above = [f"NOT {inside(role, (MAPPED,))}"] if is_about_mapped(prefix) else []
        halves = halves_of(prefix) or [Half("net", 0, 0)]
        *first, last = ((_masked(role, half), half.value) for half in halves)
        equal = (f"{column} = {_number(value)}" for column, value in first)
        alike.setdefault((*above, *equal, last[0]), []).append(last[1])
    tests = [" AND ".join((*first, among(column, values))) for (*first, column), values in alike.items()]
    return f"({' OR '.join(f'({test})' for test in tests)})" if tests else "FALSE"


def _masked(role: str, half: Half) -> str:
    column = f"{role}_{half.name}"
    return column if half.mask == -1 else f"({column} & {_number(half.mask)})"


def _number(value: int) -> str:
    # The least of all int64 is no number with a sign before it.
    return f"CAST('{value}' AS BIGINT)"


# ---- by ends


def ends(prefix: Prefix) -> dict[str, tuple[int, int]]:
    """The least and the greatest `net` and `host` that an address of the prefix has.

    A prefix fixes the top bit of the half that it cuts, so that signed numbers are in order too.
    """
    first, last = address_pair(prefix.network_address), address_pair(prefix.broadcast_address)
    halves = {"net": (first[0], last[0]), "host": (first[1], last[1])}
    return {name: ANYTHING if half == (0, -1) else half for name, half in halves.items()}


def within(role: str, prefix: Prefix) -> str:
    """SQL: as `inside` of one prefix, in a way by which parts of a table that have no such address are passed over."""
    tests = []
    for name, (first, last) in reversed(ends(prefix).items()):
        column = f"{role}_{name}"
        if first == last:
            tests.append(f"{column} = {first}")
        elif (first, last) != ANYTHING:
            tests.append(f"{column} BETWEEN {first} AND {last}")
    if is_about_mapped(prefix):
        tests.append(f"NOT {within(role, ip_network('0.0.0.0/0'))}")
    return f"({' AND '.join(tests)})" if tests else "TRUE"
