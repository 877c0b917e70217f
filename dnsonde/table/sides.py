"""From whose side traffic is seen, and without whom, in SQL that DuckDB and Spark read alike.

Nothing here imports Ibis: that takes longer than to look through a small file.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dnsonde.table.part import TIME
from dnsonde.table.prefix import Among, Prefix, among, inside

NAME = re.compile(r"[a-z0-9_.-]+")  # as the allow-list lets names through


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
