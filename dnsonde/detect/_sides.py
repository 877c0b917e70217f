"""Prefixes, and which side of them an address is on, in SQL that DuckDB and Spark read alike.

Nothing here imports Ibis: that takes longer than to look through a small file.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from dnsonde.errors import UsageError
from dnsonde.table.part import TIME
from dnsonde.wire.batch import address_pair

Prefix = IPv4Network | IPv6Network

NAME = re.compile(r"[a-z0-9_.-]+")  # as the allow-list lets names through
_ALL = (1 << 64) - 1


class Half(NamedTuple):
    """One half of an address (`net` or `host`), and what it is under a mask; int64 both, a mask of -1 is none."""

    name: str
    mask: int
    value: int


def prefixes(texts: Iterable[str | Prefix]) -> tuple[Prefix, ...]:
    """Prefixes of texts like 192.0.2.0/24, 2001:db8::/32 or one address; UsageError for what is none."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            raise UsageError(f"{text!r} is no prefix; write it like 192.0.2.0/24 or 2001:db8::/48") from None
    return tuple(found)


def halves_of(prefix: Prefix) -> list[Half]:
    """What an address of the prefix has in common with all others, by half; nothing where that is nothing."""
    bits = prefix.prefixlen + (96 if prefix.version == 4 else 0)
    mask = ((1 << bits) - 1) << (128 - bits)
    net, host = address_pair(prefix.network_address)
    parts = (("net", mask >> 64, net), ("host", mask & _ALL, host))
    return [
        Half(name, part - (1 << 64) if part >> 63 else part, value) for name, part, value in parts if part
    ]


MAPPED = ip_network("::ffff:0:0/96")
_MAPPED = int(MAPPED.network_address)


def is_about_mapped(prefix: Prefix) -> bool:
    """Whether IPv4 lies in an IPv6 prefix as it is kept: it is not meant by it."""
    off = 128 - prefix.prefixlen
    return prefix.version == 6 and off > 32 and int(prefix.network_address) >> off == _MAPPED >> off


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


def below(column: str, zones: Iterable[str], among: Among = among) -> str:
    """SQL: the name is one of the zones, or below one; ValueError for what no allow-list lets through."""
    tidy = sorted({zone.lower().strip(".") for zone in zones})
    for zone in tidy:
        if not NAME.fullmatch(zone):
            raise ValueError(f"{zone!r} is no domain")
    if not tidy:
        return "FALSE"
    tests = [among(column, tidy)]
    for size, alike in by_length(tidy).items():
        tests.append(among(f"right({column}, {size + 1})", [f".{zone}" for zone in alike]))
    return f"({' OR '.join(tests)})"


def by_length(texts: Iterable[str]) -> dict[int, list[str]]:
    """Texts by how long they are: the ends of names of one length are looked for in one list."""
    found: dict[int, list[str]] = {}
    for text in texts:
        found.setdefault(len(text), []).append(text)
    return found


@dataclass(frozen=True, slots=True)
class Seen:
    """From whose side the tables are seen: with the home's prefixes, and without what is allowed.

    Rows from or to an allowed prefix are left out, and messages that ask for an allowed domain or a name below it.
    """

    home: Sequence[Prefix]
    allow_prefixes: Sequence[Prefix] = ()
    allow_domains: Sequence[str] = ()

    def sql(self, table: str, among: Among = among) -> str:
        """`message` or `flow` as detectors read it: with `src_home`, `dst_home`, and for messages `embedded_home`.

        among: how a column is held against what is allowed.
        """
        sides = [f"{inside(role, self.home)} AS {role}_home" for role in ("src", "dst")]
        left = [inside(role, self.allow_prefixes, among) for role in ("src", "dst")]
        if table == "message":
            # Nothing embedded is not home.
            sides.append(f"coalesce({inside('embedded', self.home)}, FALSE) AS embedded_home")
            left.append(below("qname", self.allow_domains, among))
        return f"SELECT *, {', '.join(sides)} FROM {table} WHERE NOT ({' OR '.join(left)})"


def between(table: str, since_us: int | None, until_us: int | None) -> str:
    """SQL: a condition on the table's time, half open."""
    limits = [
        f"{TIME[table]} {comparison} {limit}"
        for comparison, limit in ((">=", since_us), ("<", until_us))
        if limit is not None
    ]
    return " AND ".join(limits) or "TRUE"
