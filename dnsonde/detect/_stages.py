"""Stages of a relation: what is worth computing once, before the rest.

A detector that looks at every row asks a cheap question first (which domains have so many names at all?), and looks
closer at the few that remain. It marks the first answer by `stage(...)`, and with `needed` says that without a row of
it there is nothing to find. A relation is the same with its stages and without; who runs it may compute the stages one
after the other, share those that several detectors begin with, and stop where a needed one is empty.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import ibis.expr.types as ir

from dnsonde.detect._relations import about_address, dns, halves, numbered
from dnsonde.intel.load import markers

HOUR_S = 3600
NAMES_LEAST = 40  # messages below a domain from which on its names are counted
SOURCE_ROWS, SOURCE_PACKETS = 3, 25  # of a source that is looked at
FAILED = (2, 3)  # SERVFAIL, NXDOMAIN
LONG = 16  # octets of a long label
# CNAME, NULL, MX, TXT, KEY, SRV, PRIVATE (iodine 65399), ANY and unassigned: types whose answers carry data.
CARRIERS = (5, 10, 15, 16, 25, 33, 99, 255, 65399)

Note = Callable[[ir.Table, bool], ir.Table]

_NOTED: ContextVar[Note | None] = ContextVar("noted", default=None)


def stage(table: ir.Table, *, needed: bool = False) -> ir.Table:
    """The same rows, which are worth computing once; `needed`: without them the detector finds nothing."""
    note = _NOTED.get()
    return table if note is None else note(table, needed)


@contextmanager
def noting(note: Note) -> Iterator[None]:
    """While a relation is built, each stage is what `note(table, needed)` makes of it."""
    before = _NOTED.set(note)
    try:
        yield
    finally:
        _NOTED.reset(before)


class _Empty(Exception):  # noqa: N818 - no error: it ends the building of a relation
    """A needed stage has no row."""


def by_stages(
    relation: Callable[[], ir.Table], keep: Callable[[ir.Table], ir.Table], kept: dict[Any, ir.Table]
) -> ir.Table | None:
    """What `relation` builds, upon stages that are computed by `keep` as it goes; None: a needed one was empty.

    kept: stages that are computed, to be shared by whatever asks for the same.
    """

    def note(table: ir.Table, needed: bool) -> ir.Table:
        computed = kept.get(table.op())
        if computed is None:
            computed = kept[table.op()] = keep(table)
        if needed and not computed.limit(1).to_pyarrow().num_rows:
            raise _Empty
        return computed

    try:
        with noting(note):
            return relation()
    except _Empty:
        return None


def needs(table: ir.Table) -> None:
    """Without a row here the detector finds nothing, though it does not read it."""
    stage(table, needed=True)


def rare_types() -> list[int]:
    """Types that nothing but a tunnel asks for."""
    return sorted({kind for known in markers().tunnel for kind in known.types})


def domains(message: ir.Table) -> ir.Table:
    """A row a registered domain: what its messages are, as far as that is told without a look at names.

    below, octets: messages about names below it that are about no address, and the octets left of it, of the longest
    `octets_max`, and those of them for CARRIERS and for `rare_types`; templates: messages whose name embeds something;
    `answer_*`: the least and the greatest halves of addresses that answers lead to. Detectors that ask for it share it.
    """
    m = dns(message)
    plain = (m.sub_hash != 0) & ~about_address(m)
    each = m.group_by("registered_domain").aggregate(
        below=plain.cast("int64").sum(),
        octets=plain.ifelse(m.sub_bytes, 0).cast("int64").sum(),
        octets_max=m.sub_bytes.max(),
        carriers=(plain & m.qtype.isin(CARRIERS)).cast("int64").sum(),
        rare=(plain & m.qtype.isin(rare_types())).cast("int64").sum(),
        templates=m.template.count(),
        answer_net_least=m.answer_net.min(),
        answer_net_most=m.answer_net.max(),
        answer_host_least=m.answer_host.min(),
        answer_host_most=m.answer_host.max(),
    )
    return stage(each)


def sources(flow: ir.Table, *, rows: int = SOURCE_ROWS, packets: int = SOURCE_PACKETS) -> ir.Table:
    """A row a source address with at least so many `rows` of flow, or `packets`; what sends less is left out, shared.

    A flood's forged sources are millions, of a packet each. `rows` and `packets` count as SOURCE_ROWS and
    SOURCE_PACKETS where they are more.
    """
    each = flow.group_by(["src_net", "src_host"]).aggregate(rows=flow.count(), packets=flow.packets.sum())
    return stage(
        each.filter((each.rows >= min(rows, SOURCE_ROWS)) | (each.packets >= min(packets, SOURCE_PACKETS)))
    )


def sides(message: ir.Table) -> ir.Table:
    """How many queries and responses go which way between home and outside: at most eight rows, shared."""
    m = dns(message)
    return stage(m.group_by(["response", "src_home", "dst_home"]).aggregate(rows=m.count()))


def busy(message: ir.Table, least: int) -> ir.Table:
    """The rows of `domains` with at least so many messages below, and a `number` for each.

    `least` counts as NAMES_LEAST where it is more, so that this can be shared. Texts are dear to group by, numbers are
    not.
    """
    each = domains(message)
    each = each.filter(each.registered_domain.notnull() & (each.below >= min(least, NAMES_LEAST)))
    return stage(numbered(each, ["registered_domain"]))


def names(message: ir.Table, window_s: int, least: int) -> ir.Table:
    """A row a `number` of `busy`, half window and name below it (`sub_hash`) that is about no address, shared.

    A name may stand in several rows of one `half`, as windows of other detectors are shorter. rows, queries, answered:
    messages, those that ask, and answers that do not fail; label_max: octets of its longest label; octets left of the
    domain.
    """
    share_s = math.gcd(window_s, HOUR_S)
    m = dns(message)
    m = m.filter((m.sub_hash != 0) & ~about_address(m))
    m = m.inner_join(busy(message, least).select("registered_domain", "number"), "registered_domain")
    m = m.select(
        "number",
        "sub_hash",
        "sub_bytes",
        "label_max",
        short_half=halves(m.time_us, share_s),
        query=(~m.response).cast("int64"),
        answered=(m.response & ~m.rcode.isin(FAILED)).fill_null(False).cast("int64"),
    )
    each = m.group_by(["number", "short_half", "sub_hash"]).aggregate(
        rows=m.count(),
        queries=m["query"].sum(),
        answered=m.answered.sum(),
        label_max=m.label_max.max(),
        octets=m.sub_bytes.max().cast("int64"),
    )
    each = stage(each)
    return each.mutate(half=(each.short_half // (window_s // share_s)).cast("int64")).drop("short_half")
