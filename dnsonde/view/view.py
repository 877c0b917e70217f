"""A run or a lake as it stands, to be told of: its hosts, its incidents, and whose they are.

Names and texts in a view were written by strangers: who tells of it makes them harmless for whoever reads that.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from duckdb import DuckDBPyConnection

from dnsonde.lang.words import KINDS
from dnsonde.owners.owner import NOBODY, Owner
from dnsonde.report import ANSWERED, TARGET, owned
from dnsonde.table.prefix import Prefix
from dnsonde.table.readable import readable
from dnsonde.table.rows import Relation, joined, value
from dnsonde.view.nature import FORGEABLE, Nature, nature
from dnsonde.wire.batch import address_pair

SHORT = [  # columns of `finding` that an `Incident` holds itself
    "detector", "threat", "subject", "subject_kind", "severity", "confidence", "first_seen", "last_seen", "count",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Host:
    """One judged host of a run: a row of `verdict` with its addresses as text."""

    address: str
    name: str
    open: bool
    time_us: int
    row: Mapping[str, Any]
    owner: Owner

    @property
    def factor(self) -> float:
        """Its amplification; 0 where none was measured."""
        return float(self.row["amplification"] or 0.0)


@dataclass(frozen=True, slots=True)
class Incident:
    """One finding with what it means to others.

    What is long stays in the table, of which it is row `at`, and is read when it is asked for: a lake may keep very
    many, each with whole names by strangers in it.
    """

    detector: str
    threat: str
    subject: str
    kind: str
    severity: str
    confidence: float
    first_us: int
    last_us: int
    count: int
    owner: Owner
    rows: pa.Table = field(repr=False, compare=False)
    at: int

    @property
    def title(self) -> str:
        """One line."""
        return str(self.rows["title"][self.at])

    @property
    def summary(self) -> str:
        """One or two sentences."""
        return str(self.rows["summary"][self.at])

    @property
    def told(self) -> str:
        """The summary, and what must be known before somebody acts on it."""
        return f"{self.summary} {FORGEABLE}" if self.nature.forgeable else self.summary

    @property
    def description(self) -> str:
        """All of it in words, for who has no more than this."""
        return f"{self.title}. {self.told}"

    @property
    def evidence(self) -> Mapping[str, Any]:
        """What was seen, by name; read anew each time."""
        return json.loads(str(self.rows["evidence"][self.at]))  # type: ignore[no-any-return]

    @property
    def references(self) -> tuple[str, ...]:
        """Sources."""
        return tuple(json.loads(str(self.rows["references"][self.at])))

    @property
    def nature(self) -> Nature:
        """What such findings are, in the words of others."""
        return nature(self.detector)

    @property
    def key(self) -> str:
        """What tells it from all others, the same whenever it is exported.

        Floods of several kinds may begin at one host at one time.
        """
        evidence = self.evidence
        kinds = (str(evidence[kind]) for kind in KINDS if kind in evidence)
        return "|".join((self.detector, self.subject, str(self.first_us), *kinds))

    @property
    def malware(self) -> str | None:
        """The malware's name in lower case, where one is known."""
        told = self.nature.malware or self.evidence.get("malware")
        return told.lower() if isinstance(told, str) else None

    @property
    def network(self) -> Prefix | None:
        """The subject as a network; None for a domain."""
        return network(self.subject) if self.kind != "domain" else None


@dataclass(frozen=True)
class View:
    """A run or a lake as it stands.

    tables: relations of `connection` by name, those without rows too. findings: rows of `finding`, worst first. home:
    the operator's own prefixes, where known. contact: who measured, as the plan says it. port: that was probed. warn:
    where an export says what its reader must know and the format has no place for. knows_owners: `dnsonde enrich`
    learned of something whose it is. release: to be called by who looks again only later; its parts may be merged then.
    folder: that it was opened from, None of rows alone.
    """

    kind: Literal["run", "lake"]
    connection: DuckDBPyConnection
    tables: Mapping[str, Relation]
    findings: pa.Table
    home: tuple[Prefix, ...] = ()
    contact: str = ""
    port: int = 53
    warn: Callable[[str], None] = field(default=lambda _: None)
    knows_owners: bool = False
    release: Callable[[], None] = field(default=lambda: None)
    folder: Path | None = None

    def hosts(self, *, only_open: bool = True, most: int | None = None) -> Iterator[Host]:
        """Judged hosts, open ones or all that answered; the worst `most` if given, else by address.

        A lake has none.
        """
        if self.kind == "lake":
            return
        rows = self.tables["verdict"].filter("open" if only_open else ANSWERED)
        order = TARGET
        if most is not None:
            order = f"coalesce(amplification, 0) DESC, {TARGET}"
            rows = rows.order(order).limit(most)
        probed = self.measured_us()
        for batch in readable(owned(rows, self.tables["enrichment"], "target").order(order)):
            for row in batch.to_pylist():
                seen = row["first_seen_us"]
                yield Host(
                    row["target"],
                    row["class"],
                    row["open"],
                    probed if seen is None else seen,
                    row,
                    _owner(row),
                )

    def host_count(self) -> int:
        """How many open hosts there are."""
        if self.kind == "lake":
            return 0
        return len(self.tables["verdict"].filter("open"))

    def measured_us(self) -> int:
        """When the last probe was sent; 0 where none was."""
        return int(value(self.tables["probe"], "max(time_us)") or 0)

    def incidents(self) -> Sequence[Incident]:
        """The findings, worst first."""
        return self._incidents

    @cached_property
    def _incidents(self) -> tuple[Incident, ...]:
        rows = self.findings.select(SHORT).to_pylist()
        owners = self.owners(row["subject"] for row in rows if row["subject_kind"] == "address")
        return tuple(
            Incident(
                row["detector"],
                row["threat"],
                row["subject"],
                row["subject_kind"],
                row["severity"],
                row["confidence"],
                row["first_seen"],
                row["last_seen"],
                row["count"],
                owners.get(row["subject"], NOBODY),
                self.findings,
                at,
            )
            for at, row in enumerate(rows)
        )

    def owners(self, addresses: Iterable[str]) -> dict[str, Owner]:
        """Whose those addresses are, those that are known."""
        pairs = {address_pair(address): address for address in addresses}
        if not pairs or not self.knows_owners:
            return {}
        net, host = zip(*pairs, strict=True)
        wanted = self.connection.from_arrow(pa.table({"its_net": net, "its_host": host}))
        rows = readable(joined(self.tables["enrichment"], "address", wanted, "its", "one.*", "semi"))
        return {row["address"]: _owner(row) for batch in rows for row in batch.to_pylist()}

    def warn_of_more(self, most: int) -> None:
        """Warn that open hosts are left out of an export that takes `hosts_max` of them, if any are."""
        count = self.host_count()
        if count > most:
            self.warn(f"{count - most:,} open resolvers are left out: `--set hosts_max={count}` takes all")

    def is_home(self, place: Prefix) -> bool:
        """Whether an address or a prefix lies in the operator's own."""
        return any(place.version == own.version and place.subnet_of(own) for own in self.home)  # type: ignore[arg-type]


def _owner(row: Mapping[str, Any]) -> Owner:
    return Owner(row["asn"], row["as_name"], row["prefix"], row["country"], row["abuse"])


def network(text: str) -> Prefix | None:
    """An address or a prefix; None for what is neither."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
