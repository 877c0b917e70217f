"""Which prefixes look like home in some traffic, when nobody says.

**The rule.** A conversation is a pair of prefixes, /24 or /48, of which addresses wrote to each other (multicast,
broadcast, loopback and link-local ones aside). A tap at a network's border sees conversations of that network only, so:

1. Where at least a quarter of the conversations have one private end (RFC 1918, RFC 4193), the private ranges seen
   are home.
2. Otherwise, where at least half are of prefixes that write and hardly hear, each to many prefixes of a /16 or /32, or
   of several, and to nobody else, what those write to is home, as far as it was seen: an infected host at home scans
   all over the Internet, and is not alone there.
3. The prefix with the most conversations of those that are left is home, then the next one, and so on, until 90 % of
   all have an end at home, or the next one has less than 5 % of all. Between such with as many, and such with fewer
   than eight, the one comes first that has none with what is home already, then the one of which eight addresses are
   seen, then the one whose addresses ask more than they are asked. Of such with fewer than eight, the next one is home
   as well where both lie in one /16: a client and the resolver of its organisation, which in IPv6 has a /48.
4. Where less than half have an end in what was found, nothing is.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from ipaddress import ip_network

import pyarrow as pa

from dnsonde.lang.words import per_cent
from dnsonde.table.prefix import (
    MAPPED,
    NO_HOST,
    PRIVATE,
    Prefix,
    inside,
)
from dnsonde.wire.batch import address_text

SHARE_PRIVATE = 0.25
SHARE_ENOUGH = 0.9
SHARE_LEAST = 0.05
SHARE_MEANT = 0.5
MOST = 16
SWEPT = 16  # prefixes that make who writes to them one that sweeps
DEAF = 10  # addresses written to, for each that answers
MANY = 8  # conversations, and addresses, that make a prefix look like a network seen from its border
SERVICE_PORTS = 1024  # below: who is asked there is the server


@dataclass(frozen=True, slots=True)
class Guess:
    """Prefixes that look like home, of how many conversations they have an end, and a prefix as likely as they.

    swept: they are home since they were written to, one after the other, and hardly answered.
    """

    prefixes: tuple[Prefix, ...]
    share: float
    conversations: int
    private: bool = False
    other: Prefix | None = None
    swept: bool = False

    @property
    def why(self) -> str:
        """The reason, in a sentence."""
        if not self.conversations:
            return "there are no conversations between networks in it"
        if not self.prefixes:
            return f"no prefixes have an end in half of its {self.conversations:,} conversations"
        kind = "private addresses, and " if self.private else ""
        also = f"; {self.other} may be home as well" if self.other else ""
        silent = (
            ", and who wrote to one network after the other there was hardly answered" if self.swept else ""
        )
        return f"{kind}{per_cent(self.share)} of {self.conversations:,} conversations have an end there{silent}{also}"


Ask = Callable[[str], pa.Table]
"""Rows of a SELECT over `message` and `flow`."""
Keep = Callable[[str], AbstractContextManager[str]]
"""The name of a table with the rows of a SELECT, for a while."""


def guess(ask: Ask, keep: Keep) -> Guess:
    """Apply the rule to `message` and `flow`; this executes."""
    with keep(_conversations()) as ends:
        conversations = _Conversations(ask, ends)
        total = conversations.count()
        if not total:
            return Guess((), 0.0, 0)
        if conversations.count("private = 1") >= SHARE_PRIVATE * total:
            private = [p for p in PRIVATE if conversations.count(inside("a", (p,)))]
            return _greedy(conversations, total, private)
        swept = conversations.swept()
        if swept.conversations >= SHARE_MEANT * total:
            found = _greedy(conversations, total, swept.prefixes)
            return replace(found, private=False, other=swept.other, swept=True)
        return _greedy(conversations, total, ())


class _Conversations:
    """A table of conversations, each in it twice, and what is asked of it."""

    def __init__(self, ask: Ask, name: str) -> None:
        self._ask = ask
        self._name = name

    def count(self, where: str = "TRUE") -> int:
        """How many there are of which that is true, from one side or both."""
        (row,) = self._ask(f"SELECT count(*) AS n FROM {self._name} WHERE {where}").to_pylist()
        return (int(row["n"]) + 1) // 2

    def next(self, chosen: Sequence[Prefix]) -> list[dict[str, int]]:
        """The two prefixes that come first, of those that are left."""
        rows = self._ask(f"""
            WITH met AS (SELECT DISTINCT a_net, a_host, 1 AS met FROM {self._name} WHERE {inside("b", chosen)}),
            each_prefix AS (
              SELECT a_net, a_host, count(*) AS n, max(hosts) AS hosts, sum(asks) AS asks
              FROM {self._name} WHERE {_without(chosen)} GROUP BY a_net, a_host
            )
            SELECT p.a_net, p.a_host, n, hosts, asks
            FROM each_prefix AS p LEFT JOIN met ON p.a_net = met.a_net AND p.a_host = met.a_host
            ORDER BY CASE WHEN n >= {MANY} THEN n ELSE 0 END DESC, coalesce(met, 0),
              CASE WHEN hosts >= {MANY} THEN 1 ELSE 0 END DESC, asks DESC, hosts DESC, n DESC, p.a_net, p.a_host
            LIMIT 2
        """)
        return [{name: int(value) for name, value in row.items()} for row in rows.to_pylist()]

    def swept(self) -> Guess:
        """The prefixes that those who sweep write to, of how many conversations, and the first of who sweeps."""
        rows = self._ask(f"""
            WITH wide AS (SELECT *, {_cut("a", "wide_a", 16, 32)}, {_cut("b", "wide_b", 16, 32)} FROM {self._name}),
            written AS (
              SELECT a_net, a_host, wide_b_net, wide_b_host, count(*) AS n, sum(wrote) AS wrote, sum(heard) AS heard,
                max(CASE WHEN wide_a_net = wide_b_net AND wide_a_host = wide_b_host THEN 1 ELSE 0 END) AS near,
                min(b_net) AS low_net, min(b_host) AS low_host, max(b_net) AS high_net, max(b_host) AS high_host
              FROM wide GROUP BY a_net, a_host, wide_b_net, wide_b_host
            ),
            sweeping AS (
              SELECT a_net, a_host FROM written GROUP BY a_net, a_host
              HAVING sum(n) >= {SWEPT} AND min(n) >= {MANY} AND sum(wrote) >= {DEAF} * sum(heard) AND max(near) = 0
            )
            SELECT min(low_net) AS low_net, min(low_host) AS low_host, max(high_net) AS high_net,
              max(high_host) AS high_host, sum(n) AS n, min(written.a_net) AS a_net, min(written.a_host) AS a_host
            FROM written JOIN sweeping ON written.a_net = sweeping.a_net AND written.a_host = sweeping.a_host
            GROUP BY wide_b_net, wide_b_host ORDER BY n DESC, low_net, low_host LIMIT {MOST}
        """).to_pylist()
        total = sum(int(row["n"]) for row in rows)
        return Guess(
            tuple(_covering(row) for row in rows), 0.0, total, other=_prefix(rows[0]) if rows else None
        )


def _greedy(conversations: _Conversations, total: int, seen: Sequence[Prefix]) -> Guess:
    chosen = list(seen)
    other = None
    left = _without(chosen)
    covered = total - conversations.count(left)
    while len(chosen) < MOST and covered < SHARE_ENOUGH * total:
        found = conversations.next(chosen)
        if not found or (chosen and found[0]["n"] < SHARE_LEAST * total):
            break
        if not chosen and len(found) == 2 and max(one["n"] for one in found) < MANY:
            other = _prefix(found[1])
        chosen.append(_prefix(found[0]))
        if len(found) == 2 and found[0]["n"] < MANY and _neighbours(*map(_prefix, found)):
            chosen.append(_prefix(found[1]))
        left = _without(chosen)
        covered = total - conversations.count(left)
    share = covered / total
    if share < SHARE_MEANT:
        return Guess((), share, total)
    if other in chosen:
        other = None
    return Guess(tuple(sorted(chosen, key=lambda p: (p.version, p))), share, total, bool(seen), other)


def _without(chosen: Sequence[Prefix]) -> str:
    return f"NOT ({inside('a', chosen)} OR {inside('b', chosen)})"


def _conversations() -> str:
    """Conversations of prefixes, from both sides.

    Each with a's addresses, of how many pairs of addresses a's asked (or was answered), whether one end alone is
    private, and how many pairs of a's addresses wrote to b's, and heard of them.
    """
    ends = "a_net, a_host, b_net, b_host"
    return f"""
        WITH ways AS ({_ways("flow")} UNION ALL {_ways("message")}),
        merged AS (
          SELECT {ends}, max(asks) AS asks, max(answers) AS answers,
            CASE WHEN {inside("a", PRIVATE)} <> {inside("b", PRIVATE)} THEN 1 ELSE 0 END AS private
          FROM ways GROUP BY {ends}
        ),
        sided AS (
          SELECT {ends}, asks, private, 0 AS heard FROM merged
          UNION ALL SELECT b_net, b_host, a_net, a_host, answers, private, 1 AS heard FROM merged
        ),
        cuts AS (SELECT *, {_cut("a", "p", 24, 48)}, {_cut("b", "q", 24, 48)} FROM sided),
        apart AS (SELECT * FROM cuts WHERE p_net <> q_net OR p_host <> q_host),
        -- Addresses of the prefix in all its conversations: with more of them it is more likely seen whole.
        crowds AS (
          SELECT p_net, p_host, count(*) AS hosts
          FROM (SELECT DISTINCT p_net, p_host, a_net, a_host FROM apart) AS each_address GROUP BY p_net, p_host
        ),
        pairs AS (
          SELECT p_net, p_host, q_net, q_host, sum(asks) AS asks, max(private) AS private, sum(heard) AS heard,
            sum(1 - heard) AS wrote
          FROM apart GROUP BY p_net, p_host, q_net, q_host
        )
        SELECT pairs.p_net AS a_net, pairs.p_host AS a_host, q_net AS b_net, q_host AS b_host, asks, private, heard,
          wrote, hosts
        FROM pairs JOIN crowds ON pairs.p_net = crowds.p_net AND pairs.p_host = crowds.p_host
    """


def _ways(table: str) -> str:
    """Pairs of addresses in one direction, each once: `asks` where that goes to a service, `answers` where from one."""
    return f"""
        SELECT src_net AS a_net, src_host AS a_host, dst_net AS b_net, dst_host AS b_host,
          max(CASE WHEN dst_port < {SERVICE_PORTS} AND src_port >= {SERVICE_PORTS} THEN 1 ELSE 0 END) AS asks,
          max(CASE WHEN src_port < {SERVICE_PORTS} AND dst_port >= {SERVICE_PORTS} THEN 1 ELSE 0 END) AS answers
        FROM {table} WHERE NOT {inside("src", NO_HOST)} AND NOT {inside("dst", NO_HOST)}
        GROUP BY src_net, src_host, dst_net, dst_host
    """


def _cut(role: str, name: str, four_bits: int, six_bits: int) -> str:
    """The prefix of so many bits that the address in `role` lies in."""
    four = inside(role, (MAPPED,))
    return (
        f"CASE WHEN {four} THEN 0 ELSE {role}_net & {-1 << 64 - six_bits} END AS {name}_net, "
        f"CASE WHEN {four} THEN {role}_host & {-1 << 32 - four_bits} ELSE 0 END AS {name}_host"
    )


def _prefix(row: dict[str, int]) -> Prefix:
    net, host = row["a_net"], row["a_host"]
    bits = 24 if net == 0 and host >> 32 == 0xFFFF else 48
    return ip_network(f"{address_text(net, host)}/{bits}")


def _neighbours(one: Prefix, other: Prefix) -> bool:
    """Whether both lie in one /16 of IPv4."""
    return one.version == 4 == other.version and other.network_address in one.supernet(new_prefix=16)


def _covering(row: dict[str, int]) -> Prefix:
    """The longest prefix that holds all from the lowest /24 or /48 to the highest."""
    low, high = (
        _prefix({"a_net": row[f"{end}_net"], "a_host": row[f"{end}_host"]}) for end in ("low", "high")
    )
    while high.network_address not in low:
        low = low.supernet()
    return low
