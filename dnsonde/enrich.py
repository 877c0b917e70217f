"""Whose an address is: system, prefix, country and abuse contact, from files that the operator has. Nothing is fetched.

The first file that knows a field of an address tells it. What files can be is in `dnsonde.owners.source`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from functools import reduce
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pyarrow as pa

from dnsonde.errors import RunError, UsageError
from dnsonde.owners.owner import NOBODY, Address, Owner
from dnsonde.owners.source import Source, open_source
from dnsonde.report import ANSWERED
from dnsonde.scratch import scratch
from dnsonde.table import store
from dnsonde.table.lake import Lake, is_lake
from dnsonde.table.rows import Relation
from dnsonde.table.schema import ENRICHMENT, VERDICT
from dnsonde.wire.batch import address_text

ROWS = 50_000  # looked up at once
FIELDS = tuple(field.name for field in fields(Owner))
# Tables whose addresses are looked up, and the roles that these play there.
ROLES = {"verdict": ("target", "egress", "responder"), "message": ("src", "dst"), "flow": ("src", "dst")}


@dataclass(frozen=True, slots=True)
class Learned:
    """How many addresses there are, and of how many each field is known."""

    addresses: int
    known: Mapping[str, int]


def enrich(folder: Path, files: Sequence[Path]) -> Learned:
    """Look up every address of a run's hosts or of a lake's traffic, and write the table `enrichment` beside them.

    What an earlier call wrote is replaced, at once and whole; RunError where nothing is known. Hosts that never
    answered are not looked up. Of two calls at once the one that ends last tells.
    """
    if not files:
        raise UsageError("name at least one file: a .mmdb, a pfx2as text, or a cache of RDAP answers (JSON)")
    sources = [source for path in files for source in open_source(path)]
    if is_lake(folder):
        lake = Lake(folder)  # its parts stay for as long as it lives
        tables = lake.tables()
    else:
        tables = store.open_folder(folder)
        if not store.row_count(folder, VERDICT):
            raise RunError(
                f"{folder} is neither a lake nor a run with verdicts: there is no address to look up"
            )
    with scratch() as room:
        learned = _look_up(_addresses(tables), sources, Path(room))
        if not any(learned.known.values()):
            raise RunError(
                f"these files know none of the {learned.addresses:,} addresses of {folder}, and nothing was written: "
                "name files of the networks that these lie in"
            )
        store.save(ENRICHMENT, folder, store.open_folder(Path(room), tables=[ENRICHMENT])[ENRICHMENT.name])
    return learned


def _addresses(tables: Mapping[str, Relation]) -> Relation:
    """Every address of hosts and of traffic, once and in order."""
    hosts = tables[VERDICT.name].filter(ANSWERED)
    parts = [
        (hosts if name == VERDICT.name else tables[name]).project(f"{role}_net AS net, {role}_host AS host")
        for name, roles in ROLES.items()
        for role in roles
    ]
    return reduce(Relation.union, parts).filter("net IS NOT NULL").distinct().order("net, host")


def _look_up(wanted: Relation, sources: Sequence[Source], room: Path) -> Learned:
    total = 0
    asked = [_Asked(source) for source in sources]
    known = dict.fromkeys(FIELDS, 0)
    with store.Writer(ENRICHMENT, room) as writer:
        for batch in wanted.fetch_arrow_reader(ROWS):
            total += batch.num_rows
            pairs = zip(batch["net"].to_pylist(), batch["host"].to_pylist(), strict=True)
            rows = list(_owners(pairs, asked))
            if rows:
                columns = dict(zip(ENRICHMENT.schema.names, zip(*rows, strict=True), strict=True))
                writer.append({f.name: pa.array(columns[f.name], f.type) for f in ENRICHMENT.schema})
                for name in FIELDS:
                    known[name] += sum(value is not None for value in columns[name])
    return Learned(total, known)


def _owners(
    pairs: Iterator[tuple[int, int]], asked: Sequence["_Asked"]
) -> Iterator[tuple[int | str | None, ...]]:
    for net, host in pairs:
        address = ip_address(address_text(net, host))
        owner = NOBODY
        for one in asked:
            owner = owner.or_else(one.find(address))
        if owner != NOBODY:
            yield (net, host, *astuple(owner))


class _Asked:
    """A source that remembers its last answer: the next address is mostly of the same prefix."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._first: Address = IPv4Address(0)
        self._last = -1
        self._owner = NOBODY

    def find(self, address: IPv4Address | IPv6Address) -> Owner:
        number = int(address)
        if address.version != self._first.version or not int(self._first) <= number <= self._last:
            self._first = address
            self._last, self._owner = self._source.find(address)
        return self._owner
