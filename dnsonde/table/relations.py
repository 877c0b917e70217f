"""Addresses and joins as relations, for whoever asks in Ibis: as portable as integers and masks are."""

from collections.abc import Sequence
from functools import reduce
from operator import and_, or_

import ibis
import ibis.expr.types as ir

from dnsonde.table.prefix import MAPPED as MAPPED_PREFIX
from dnsonde.table.prefix import Prefix, halves_of, is_about_mapped
from dnsonde.wire.batch import MAPPED

Pair = tuple[ir.IntegerValue, ir.IntegerValue]


def pair(table: ir.Table, role: str) -> Pair:
    """The two halves of the address in `role`."""
    return table[f"{role}_net"], table[f"{role}_host"]


def keys(*roles: str) -> list[str]:
    """The column names of addresses, for `group_by`."""
    return [f"{role}_{half}" for role in roles for half in ("net", "host")]


def turned(*parts: str) -> dict[str, str]:
    """For `select` or `rename`: `src` and `dst` in each other's place, in columns that end with these parts."""
    return {f"{a}_{part}": f"{b}_{part}" for a, b in (("src", "dst"), ("dst", "src")) for part in parts}


def same(one: Pair, other: Pair) -> ir.BooleanValue:
    """Two addresses are one."""
    return (one[0] == other[0]) & (one[1] == other[1])


def is_ipv4(net: ir.IntegerValue, host: ir.IntegerValue) -> ir.BooleanValue:
    """The address is an IPv4-mapped one."""
    return (net == 0) & (host >= MAPPED) & (host <= MAPPED | 0xFFFF_FFFF)


def inside(net: ir.IntegerValue, host: ir.IntegerValue, within: Sequence[Prefix]) -> ir.BooleanValue:
    """The address lies in one of the prefixes; `table.prefix.inside` says the same in SQL."""
    columns = {"net": net, "host": host}
    tests = []
    for prefix in within:
        parts = [_under(columns[half.name], half.mask) == _int64(half.value) for half in halves_of(prefix)]
        if is_about_mapped(prefix):
            parts.append(~inside(net, host, (MAPPED_PREFIX,)))
        tests.append(reduce(and_, parts))
    return reduce(or_, tests) if tests else ibis.literal(False)


def _under(half: ir.IntegerValue, mask: int) -> ir.IntegerValue:
    return half if mask == -1 else half & _int64(mask)


def _int64(value: int) -> ir.IntegerScalar:
    return ibis.literal(value, "int64")


def attach(left: ir.Table, right: ir.Table, on: Sequence[str]) -> ir.Table:
    """Left join on columns of the same name, which stay once."""
    joined = left.left_join(right, [left[key] == right[key] for key in on], rname="{name}__more")
    return joined.drop(*(f"{key}__more" for key in on))
