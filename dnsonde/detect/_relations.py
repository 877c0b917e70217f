"""What detectors have in common, as relations: sides, roles, windows, sessions, samples.

All of it is portable SQL by way of Ibis: masks and epoch arithmetic on integers, no engine's own functions. Ties are
broken by value, never by the order of rows, so that every engine tells the same.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import and_, or_

import ibis
import ibis.expr.types as ir

from dnsonde.table.relations import Pair, attach, is_ipv4, keys, same
from dnsonde.table.sides import by_length
from dnsonde.wire.batch import MAPPED

DIGITS = "0123456789"
SECOND = 1_000_000  # microseconds
ABOUT_MAX = 80  # octets left of the domain of a name about an address: an IPv6 one by nibbles takes 64
SAMPLE = 10  # values that a finding shows of many
SHARES = 256  # that many values are divided into

# ---- names


def below(qname: ir.StringValue, zones: Iterable[str]) -> ir.BooleanValue:
    """The name is one of the zones, or below one."""
    tidy = sorted({zone.lower().strip(".") for zone in zones})
    return qname.isin(tidy) | under(qname, tidy) if tidy else ibis.literal(False)


def under(name: ir.StringValue, zones: Iterable[str]) -> ir.BooleanValue:
    """The name ends with a dot and one of the zones, of which there may be very many."""
    tests = [
        name.right(size + 1).isin([f".{zone}" for zone in alike]) for size, alike in by_length(zones).items()
    ]
    return reduce(or_, tests) if tests else ibis.literal(False)


# ---- addresses


def home_prefix(net: ir.IntegerValue, host: ir.IntegerValue) -> tuple[Pair, ir.IntegerValue]:
    """The /24 or /48 that the address lies in, and how many bits that has: subject of what a prefix is about."""
    four = is_ipv4(net, host)
    zero = ibis.literal(0, "int64")
    cut = (
        four.ifelse(zero, net & ibis.literal(-(1 << 16), "int64")),
        four.ifelse(host & ibis.literal(-(1 << 8), "int64"), zero),
    )
    return cut, four.ifelse(24, 48).cast("int64")


def adjacent(one: Pair, other: Pair) -> ir.BooleanValue:
    """Two addresses that differ, of one /30, or for IPv6 of one /48."""
    four = is_ipv4(*one) & is_ipv4(*other)
    near4 = (one[1] ^ other[1]) < 4
    near6 = ~is_ipv4(*one) & ~is_ipv4(*other) & ((one[0] ^ other[0]) >= 0) & ((one[0] ^ other[0]) < 1 << 16)
    return ~same(one, other) & four.ifelse(near4, near6)


def network(net: ir.IntegerValue, host: ir.IntegerValue) -> ir.IntegerValue:
    """One number for the /16 (IPv4) or /32 (IPv6) that the address lies in: for how far addresses scatter."""
    return (
        is_ipv4(net, host)
        .ifelse((host - MAPPED).cast("int64") // (1 << 16), (net >> 32) + (1 << 40))
        .cast("int64")
    )


# ---- messages by role


def dns(message: ir.Table) -> ir.Table:
    """Standard messages of unicast DNS with one question that is whole; after it they may be cut or malformed.

    A capture with a snap length keeps a response's header and question, but not its answers. Without those responses
    every name would stay without an answer.
    """
    m = message
    return m.filter((m.transport != "mdns") & (m.opcode == 0) & (m.qdcount == 1) & m.qtype.notnull())


def queries(message: ir.Table) -> ir.Table:
    """Those that ask."""
    return dns(message).filter(lambda t: ~t.response)


def responses(message: ir.Table) -> ir.Table:
    """Those that answer."""
    return dns(message).filter(lambda t: t.response)


def parties(message: ir.Table, back: ir.BooleanValue | None = None) -> ir.Table:
    """Add `client_*` and `server_*` (net, host, port, home): who asks and who is asked, whichever way a message goes.

    back: whether it goes to who asked; responses, if nothing is said. What the name embeds was judged by the packet's
    direction: `carries` is the same by role: client, server, neighbour or other.
    """
    back = message.response if back is None else back
    roles: dict[str, ir.Value] = {}
    for part in ("net", "host", "port", "home"):
        source, destination = message[f"src_{part}"], message[f"dst_{part}"]
        roles[f"client_{part}"] = back.ifelse(destination, source)
        roles[f"server_{part}"] = back.ifelse(source, destination)
    if "embedded_relation" in message.columns:
        relation = message.embedded_relation
        roles["carries"] = ibis.cases(
            (relation == "source", back.ifelse("server", "client")),
            (relation == "destination", back.ifelse("client", "server")),
            else_=relation,
        )
    return message.mutate(**roles)


def about_address(message: ir.Table) -> ir.BooleanValue:
    """Whether a name is about an address that it embeds, as names of probes, of DNSBL and of dialled-in hosts are.

    Not whatever is longer than such names are, nor a word of eight hex digits, which may be any: else who adds an
    address to his names would hide them.
    """
    word = (message.embedded_kind == "hex8") & (message.embedded_relation == "other")
    return (message.embedded_kind.notnull() & (message.sub_bytes <= ABOUT_MAX) & ~word).fill_null(False)


def asked_template(message: ir.Table) -> ir.StringValue:
    """The template as the query has it: in a response source and destination are the other way round."""
    turned = (
        message.template.replace("{source}", "{asked}")
        .replace("{destination}", "{source}")
        .replace("{asked}", "{destination}")
    )
    return message.response.ifelse(turned, message.template)


# ---- shapes


@ibis.udf.scalar.builtin(name="split_part")  # type: ignore[untyped-decorator]
def _split_part(value: str, dot: str, place: int) -> str:  # type: ignore[empty-body]
    """`split_part`, which both engines have and understand alike; no pattern."""


def label_of(name: ir.StringValue, place: int) -> ir.StringValue:
    """The label at a place from 1, or an empty text."""
    label: ir.StringValue = _split_part(name, ".", place)
    return label


def window(time_us: ir.IntegerValue, seconds: int) -> ir.IntegerValue:
    """Number of the window that a time falls in."""
    return (time_us // (seconds * SECOND)).cast("int64")


def halves(time_us: ir.IntegerValue, seconds: int) -> ir.IntegerValue:
    """Number of the half window that a time falls in; see `overlapping`."""
    return (time_us * 2 // (seconds * SECOND)).cast("int64")


def overlapping(table: ir.Table) -> ir.Table:
    """Every row of a `half` in both `window`s that it is part of, so that nothing is cut at an edge.

    Window n is halves n and n + 1: whatever lasts half a window lies whole in one of them. Give it aggregated rows,
    it doubles them.
    """
    return table.mutate(window=table.half).union(table.mutate(window=table.half - 1))


def both_halves(windows: ir.Table, *others: str) -> ir.Table:
    """The `half`s of each `window`, with the columns `others`, each once."""
    halved = [windows.select(*others, half=windows.window + late) for late in (0, 1)]
    return halved[0].union(halved[1], distinct=True)


def windows(halves: ir.Table, by: Sequence[str], least: int) -> ir.Table:
    """The windows in which `by` has `least` packets or more, and the first of those that are one, `begin`.

    halves: `packets` of each `half`, in any number of rows. Two windows are one where an edge cut what happened: where
    their halves beside the edge have three quarters of both.
    """
    # Of so many packets one half of a window, or one beside the edge, has so large a part.
    near = halves.filter(halves.packets * 8 >= least * 3)
    near = ibis.union(
        *[near.select(*by, window=near.half // 2 + beside) for beside in (-1, 0, 1)], distinct=True
    )
    late = (halves.half % 2).cast("int64")
    each = halves.mutate(window=halves.half // 2, late=late * halves.packets).semi_join(near, [*by, "window"])
    each = each.group_by([*by, "window"]).aggregate(packets=each.packets.sum(), late=each.late.sum())
    order = ibis.window(group_by=list(by), order_by="window")
    before = {name: each[name].lag().over(order) for name in ("window", "packets", "late")}
    inner = before["late"] + each.packets - each.late
    cut = (each.window - before["window"] == 1) & (inner * 4 >= (before["packets"] + each.packets) * 3)
    each = each.mutate(cut=cut.fill_null(False))
    first = ~each.cut.lag().over(order).fill_null(False)
    each = each.mutate(begin=each.window - (each.cut & first).cast("int64"))
    sums = each.group_by([*by, "begin"]).aggregate(packets=each.packets.sum())
    enough = sums.filter(sums.packets >= least)
    return each.semi_join(enough, [*by, "begin"]).select(*by, "window", "begin")


def placed(rows: ir.Table, places: ir.Table, by: Sequence[str]) -> ir.Table:
    """The rows of such windows, each with the first of its own as its `window`."""
    rows = rows.inner_join(places, [*by, "window"])
    return rows.drop("window").rename(window="begin")


def together(one: ir.Table, other: ir.Table, columns: Sequence[str]) -> ir.Table:
    """Rows of both, of these columns; what may be null in one of them may be null."""
    loose = [
        part.select(**{name: part[name].cast(part[name].type().copy(nullable=True)) for name in columns})
        for part in (one, other)
    ]
    return loose[0].union(loose[1])


def numbered(table: ir.Table, by: Sequence[str]) -> ir.Table:
    """Add `number`: rows counted in the order of `by`, which tells each from all others."""
    return table.mutate(
        number=ibis.row_number().over(ibis.window(order_by=[table[key] for key in by])).cast("int64")
    )


def sessions(table: ir.Table, by: Sequence[str], gap_s: int) -> ir.Table:
    """Add `session`: rows of one `by` belong together until nothing happened for longer than `gap_s`.

    Rows have `first_us` and `last_us`. Give it aggregated rows: it orders all of them.
    """
    order = [table.first_us, table.last_us]
    before = ibis.window(group_by=list(by), order_by=order, preceding=(None, 1))
    reached = table.last_us.max().over(before)
    fresh = (table.first_us - reached > gap_s * SECOND).fill_null(False).cast("int64")
    marked = table.mutate(fresh=fresh)
    upto = ibis.window(
        group_by=list(by), order_by=[marked.first_us, marked.last_us], preceding=None, following=0
    )
    return marked.mutate(session=marked.fresh.sum().over(upto).cast("int64")).drop("fresh")


def count_distinct(table: ir.Table, by: Sequence[str], what: Sequence[str], name: str) -> ir.Table:
    """How many different `what` (columns, none null) there are for each `by`, in column `name`."""
    known = reduce(and_, [table[column].notnull() for column in what])
    few = table.filter(known).select(*by, *what).distinct()
    return few.group_by(list(by)).aggregate(**{name: few.count()})


def sample(table: ir.Table, by: Sequence[str], column: str, name: str, most: int = SAMPLE) -> ir.Table:
    """The least `most` different values of `column` for each `by`, in order, in the array `name`."""
    few = table.filter(table[column].notnull()).select(*by, column).distinct()
    place = ibis.row_number().over(ibis.window(group_by=list(by), order_by=few[column]))
    first = few.mutate(place=place).filter(lambda t: t.place < most)
    return first.group_by(list(by)).aggregate(**{name: first[column].collect().sort()})


@ibis.udf.scalar.builtin(name="hex")  # type: ignore[untyped-decorator]
def number_hex(value: int) -> str:  # type: ignore[empty-body]
    """A number as upper-case hexadecimal digits, negative ones as 16: `hex`, which both engines understand alike."""


def sample_of_many(
    table: ir.Table, by: Sequence[str], column: str, name: str, most: int = SAMPLE
) -> ir.Table:
    """The same as `sample`, where there may be millions of values, without sorting them.

    Values fall into shares; of the least of each share the one at place `most` bounds those asked for.
    """
    held = table.filter(table[column].notnull())
    shares = held.mutate(share=held[column].hash() % SHARES)
    least = shares.group_by([*by, "share"]).aggregate(bound=shares[column].min())
    place = ibis.row_number().over(ibis.window(group_by=list(by), order_by=least.bound))
    bounds = least.mutate(place=place).filter(lambda t: t.place == most - 1).select(*by, "bound")
    held = attach(held.select(*by, column), bounds, by)
    few = held.filter(held.bound.isnull() | (held[column] <= held.bound)).drop("bound")
    return sample(few, by, column, name, most)


def sample_addresses(table: ir.Table, by: Sequence[str], role: str, name: str) -> ir.Table:
    """As `sample`, of the addresses of a role: in 32 hexadecimal digits, which `finding` rows show as addresses."""
    net, host = keys(role)
    few = table.filter(table[host].notnull()).select(*by, net, host).distinct()
    place = ibis.row_number().over(ibis.window(group_by=list(by), order_by=[few[net], few[host]]))
    first = few.mutate(place=place).filter(lambda t: t.place < SAMPLE)
    text = number_hex(first[net]).lpad(16, "0").concat(number_hex(first[host]).lpad(16, "0"))
    return first.group_by(list(by)).aggregate(**{name: text.collect().sort()})


def commonest(table: ir.Table, by: Sequence[str], column: str, name: str) -> ir.Table:
    """The value of `column` that most rows of each `by` have; the least of them where several do."""
    held = table.filter(table[column].notnull())
    counted = held.group_by([*by, column]).aggregate(rows=held.count())
    order = [ibis.desc(counted.rows), counted[column]]
    place = ibis.row_number().over(ibis.window(group_by=list(by), order_by=order))
    return counted.mutate(place=place).filter(lambda t: t.place == 0).select(*by, **{name: counted[column]})
