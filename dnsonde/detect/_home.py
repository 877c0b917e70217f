"""Which prefixes look like home in some traffic, when nobody says.

**The rule.** A conversation is a pair of prefixes, /24 or /48, of which addresses wrote to each other (multicast,
broadcast, loopback and link-local ones aside). A tap at a network's border sees conversations of that network only, so:

1. Where at least a quarter of the conversations have one private end (RFC 1918, RFC 4193), the private ranges seen
   are home.
2. The prefix with the most conversations of those that are left is home, then the next one, and so on, until 90 % of
   all have an end at home, or the next one has less than 5 % of all. Between such with as many, and such with fewer
   than eight, the one comes first of which eight addresses are seen, then the one that asks rather than is asked.
3. Where less than half have an end in what was found, nothing is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

import ibis
import ibis.expr.types as ir

from dnsonde.detect._relations import Pair, Prefix, home_prefix, inside, pair, prefixes
from dnsonde.wire.batch import address_text

PRIVATE = prefixes(("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
NO_HOST = prefixes(
    ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8")
)
SHARE_PRIVATE = 0.25
SHARE_ENOUGH = 0.9
SHARE_LEAST = 0.05
SHARE_MEANT = 0.5
MOST = 16
MANY = 8  # conversations, and addresses, that make a prefix look like a network seen from its border
SERVICE_PORTS = 1024  # below: who is asked there is the server


@dataclass(frozen=True, slots=True)
class Guess:
    """Prefixes that look like home, of how many conversations they have an end, and a prefix as likely as they."""

    prefixes: tuple[Prefix, ...]
    share: float
    conversations: int
    private: bool = False
    other: Prefix | None = None

    @property
    def why(self) -> str:
        """The reason, in a sentence."""
        if not self.conversations:
            return "there are no conversations between hosts in it"
        if not self.prefixes:
            return f"no prefixes have an end in half of its {self.conversations:,} conversations"
        kind = "private addresses, and " if self.private else ""
        also = f"; {self.other} may be home as well" if self.other else ""
        return f"{kind}{self.share:.0%} of {self.conversations:,} conversations have an end there{also}"


def guess(tables: Mapping[str, ir.Table]) -> Guess:
    """Apply the rule to `message` and `flow`; this executes."""
    ends = _ends(tables["flow"]).union(_ends(tables["message"]))
    ends = ends.group_by(["a_net", "a_host", "b_net", "b_host"]).aggregate(
        asks=ends.asks.max(), answers=ends.answers.max()
    )
    ends = ends.mutate(private=inside(*pair(ends, "a"), PRIVATE) != inside(*pair(ends, "b"), PRIVATE))
    ends = _both_ways(ends).cache()
    with ends:
        total, private = _one(
            ends.aggregate(n=ends.count() // 2, private=ends.private.cast("int64").sum() // 2)
        )
        if not total:
            return Guess((), 0.0, 0)
        seen: list[Prefix] = []
        if private >= SHARE_PRIVATE * total:
            seen = [p for p in PRIVATE if _one(ends.aggregate(n=inside(*pair(ends, "a"), (p,)).sum()))[0]]
        return _greedy(ends, total, seen)


def _greedy(ends: ir.Table, total: int, seen: Sequence[Prefix]) -> Guess:
    chosen = list(seen)
    other = None
    left = _without(ends, chosen)
    covered = total - _one(left.aggregate(n=left.count() // 2))[0]
    while len(chosen) < MOST and covered < SHARE_ENOUGH * total:
        found = _next(left)
        if not found or (chosen and found[0]["n"] < SHARE_LEAST * total):
            break
        if not chosen and len(found) == 2 and max(one["n"] for one in found) < MANY:
            other = _prefix(found[1])
        chosen.append(_prefix(found[0]))
        covered += found[0]["n"]
        left = _without(ends, chosen)
    share = covered / total
    if share < SHARE_MEANT:
        return Guess((), share, total)
    if other in chosen:
        other = None
    return Guess(tuple(sorted(chosen, key=lambda p: (p.version, p))), share, total, bool(seen), other)


def _without(ends: ir.Table, chosen: Sequence[Prefix]) -> ir.Table:
    return ends.filter(~inside(*pair(ends, "a"), chosen) & ~inside(*pair(ends, "b"), chosen))


def _next(left: ir.Table) -> list[dict[str, int]]:
    """The two prefixes that come first."""
    each = left.group_by(["a_net", "a_host"]).aggregate(
        n=left.count(), hosts=left.hosts.max(), asks=left.asks.sum()
    )
    many = (each.n >= MANY).ifelse(each.n, 0)
    order = [ibis.desc(key) for key in (many, each.hosts >= MANY, each.asks, each.hosts, each.n)]
    rows: list[dict[str, int]] = (
        each.order_by([*order, each.a_net, each.a_host]).limit(2).to_pyarrow().to_pylist()
    )
    return rows


def _ends(table: ir.Table) -> ir.Table:
    """Pairs of addresses in one direction, each once: `asks` where that goes to a service, `answers` where from one."""
    hosts = table.filter(~inside(*pair(table, "src"), NO_HOST) & ~inside(*pair(table, "dst"), NO_HOST))
    asks = (hosts.dst_port < SERVICE_PORTS) & (hosts.src_port >= SERVICE_PORTS)
    answers = (hosts.src_port < SERVICE_PORTS) & (hosts.dst_port >= SERVICE_PORTS)
    return hosts.group_by(
        a_net=hosts.src_net, a_host=hosts.src_host, b_net=hosts.dst_net, b_host=hosts.dst_host
    ).aggregate(
        asks=asks.fill_null(False).cast("int64").max(), answers=answers.fill_null(False).cast("int64").max()
    )


def _both_ways(ends: ir.Table) -> ir.Table:
    """Conversations of prefixes, from both sides.

    Each with a's addresses, whether a asked (or was answered), and whether one end alone is private.
    """
    names = ("a_net", "a_host", "b_net", "b_host")
    back = ends.select(
        a_net=ends.b_net, a_host=ends.b_host, b_net=ends.a_net, b_host=ends.a_host, asks=ends.answers,
        private=ends.private,
    )  # fmt: skip
    both = ends.select(*names, "asks", "private").union(back)
    (a_net, a_host), (b_net, b_host) = _cut(pair(both, "a")), _cut(pair(both, "b"))
    both = both.mutate(p_net=a_net, p_host=a_host, q_net=b_net, q_host=b_host)
    both = both.filter((both.p_net != both.q_net) | (both.p_host != both.q_host))
    # Addresses of the prefix in all its conversations; one with more of them is more likely a network we see whole.
    each = both.select("p_net", "p_host", "a_net", "a_host").distinct()
    hosts = each.group_by(["p_net", "p_host"]).aggregate(hosts=each.count())
    pairs = both.group_by(["p_net", "p_host", "q_net", "q_host"]).aggregate(
        asks=both.asks.max(), private=both.private.max()
    )
    joined = pairs.left_join(hosts, ["p_net", "p_host"])
    return joined.select(
        a_net=joined.p_net, a_host=joined.p_host, b_net=joined.q_net, b_host=joined.q_host, asks=joined.asks,
        private=joined.private, hosts=joined.hosts,
    )  # fmt: skip


def _cut(address: Pair) -> Pair:
    return home_prefix(*address)[0]


def _prefix(row: dict[str, int]) -> Prefix:
    net, host = row["a_net"], row["a_host"]
    bits = 24 if net == 0 and host >> 32 == 0xFFFF else 48
    return ip_network(f"{address_text(net, host)}/{bits}")


def _one(table: ir.Table) -> list[int]:
    (row,) = table.to_pyarrow().to_pylist()
    return [int(value or 0) for value in row.values()]
