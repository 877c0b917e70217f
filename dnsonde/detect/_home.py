"""Which prefixes look like home in some traffic, when nobody says.

**The rule.** A conversation is a pair of prefixes, /24 or /48, of which addresses wrote to each other (multicast,
broadcast, loopback and link-local ones aside). A tap at a network's border sees conversations of that network only, so:

1. Where at least half of the conversations have one private end (RFC 1918, RFC 4193), the private ranges seen are home.
2. Else the prefix with the most conversations is home, then the one with the most of those that are left, and so on,
   until 90 % have an end at home, or the next one has less than 5 % of all. The prefix with more addresses
   comes first where two have as many, then the one that asks more often than it is asked.
3. Where less than half have an end in what was found, nothing is.
"""

from collections.abc import Mapping
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
SHARE_PRIVATE = 0.5
SHARE_ENOUGH = 0.9
SHARE_LEAST = 0.05
SHARE_MEANT = 0.5
MOST = 16
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
    ends = ends.group_by(["a_net", "a_host", "b_net", "b_host"]).aggregate(asks=ends.asks.max())
    ends = ends.mutate(private=inside(*pair(ends, "a"), PRIVATE) != inside(*pair(ends, "b"), PRIVATE))
    ends = _both_ways(ends).cache()
    with ends:
        total, private = _one(
            ends.aggregate(n=ends.count() // 2, private=ends.private.cast("int64").sum() // 2)
        )
        if not total:
            return Guess((), 0.0, 0)
        if private / total >= SHARE_PRIVATE:
            seen = tuple(
                p for p in PRIVATE if _one(ends.aggregate(n=inside(*pair(ends, "a"), (p,)).sum()))[0]
            )
            return Guess(seen, private / total, total, private=True)
        return _greedy(ends, total)


def _greedy(ends: ir.Table, total: int) -> Guess:
    chosen: list[Prefix] = []
    other = None
    covered = 0
    while len(chosen) < MOST and covered < SHARE_ENOUGH * total:
        left = ends
        if chosen:
            left = left.filter(~inside(*pair(left, "a"), chosen) & ~inside(*pair(left, "b"), chosen))
        found = (
            left.group_by(["a_net", "a_host"])
            .aggregate(n=left.count(), hosts=left.hosts.max(), asks=left.asks.sum())
            .order_by([ibis.desc("n"), ibis.desc("hosts"), ibis.desc("asks"), "a_net", "a_host"])
            .limit(2)
            .to_pyarrow()
            .to_pylist()
        )
        if not found or (chosen and found[0]["n"] < SHARE_LEAST * total):
            break
        if not chosen and len(found) == 2 and found[0]["n"] == found[1]["n"]:
            other = _prefix(found[1])
        chosen.append(_prefix(found[0]))
        covered += found[0]["n"]
    share = covered / total
    if share < SHARE_MEANT:
        return Guess((), share, total)
    return Guess(tuple(sorted(chosen, key=lambda p: (p.version, p))), share, total, other=other)


def _ends(table: ir.Table) -> ir.Table:
    """Pairs of addresses in one direction, each once: `asks` where that goes to a service."""
    hosts = table.filter(~inside(*pair(table, "src"), NO_HOST) & ~inside(*pair(table, "dst"), NO_HOST))
    asks = (hosts.dst_port < SERVICE_PORTS) & (hosts.src_port >= SERVICE_PORTS)
    return hosts.group_by(
        a_net=hosts.src_net, a_host=hosts.src_host, b_net=hosts.dst_net, b_host=hosts.dst_host
    ).aggregate(asks=asks.fill_null(False).cast("int64").max())


def _both_ways(ends: ir.Table) -> ir.Table:
    """Conversations of prefixes, from both sides.

    Each with a's addresses, whether a asked, and whether one end alone is private.
    """
    names = ("a_net", "a_host", "b_net", "b_host")
    back = ends.select(
        a_net=ends.b_net, a_host=ends.b_host, b_net=ends.a_net, b_host=ends.a_host, asks=ibis.literal(0, "int64"),
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
