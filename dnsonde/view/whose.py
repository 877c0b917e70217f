"""Whose the subjects of findings are: by prefix, autonomous system or country, where `dnsonde enrich` learned it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from dnsonde.errors import RunError
from dnsonde.escape import typed
from dnsonde.owners.owner import Owner
from dnsonde.table.readable import UNKNOWN, group_text
from dnsonde.table.schema import ENRICHMENT
from dnsonde.table.store import row_count
from dnsonde.view.view import Incident, View

SERIOUS = ("critical", "high", "medium")
COLUMNS = {"subject_asn": pa.int64(), "subject_as_name": pa.string(), "subject_country": pa.string()}


def groups(incidents: Sequence[Incident], by: str) -> list[dict[str, Any]]:
    """Findings by group of their subject, most first: `group`, findings, subjects, and how many of each grave severity.

    Domains, and subjects of which nobody knows, are one group.
    """
    found: dict[str, dict[str, Any]] = {}
    subjects: dict[str, set[str]] = {}
    for incident in incidents:
        name = _group(incident, by)
        row = found.setdefault(name, {"group": name, "findings": 0, **dict.fromkeys(SERIOUS, 0)})
        row["findings"] += 1
        if incident.severity in SERIOUS:
            row[incident.severity] += 1
        subjects.setdefault(name, set()).add(incident.subject)
    for name, row in found.items():
        row["subjects"] = len(subjects[name])
    order = [(*(-row[s] for s in SERIOUS), -row["findings"], row["group"]) for row in found.values()]
    return [row for _, row in sorted(zip(order, found.values(), strict=True), key=lambda pair: pair[0])]


def require_owners(by: str, folder: Path) -> None:
    """RunError where something of a run or a lake is to be grouped by what nobody has learned."""
    if by != "prefix" and not row_count(folder, ENRICHMENT):
        raise RunError(
            f"whose the addresses of {folder} are is not known yet: `dnsonde enrich {typed(folder)} FILE...` "
            "learns it from files that you have"
        )


def _group(incident: Incident, by: str) -> str:
    place = incident.network
    if by != "prefix":
        owner = incident.owner
        return group_text({"asn": owner.asn, "as_name": owner.as_name, "country": owner.country}, by)
    if place is None:
        return UNKNOWN
    least = 24 if place.version == 4 else 48
    return str(place.supernet(new_prefix=least) if place.prefixlen > least else place)


def owner_text(owner: Owner) -> str:
    """Whose an address is, in a line: AS64500 Example, AT; empty where nobody knows."""
    asn = group_text({"asn": owner.asn, "as_name": owner.as_name}, "asn")
    return ", ".join(part for part in (asn if owner.asn is not None else "", owner.country or "") if part)


def owners_of(view: View) -> dict[str, Owner]:
    """Whose the subjects of a view's findings are, those that are known."""
    return {i.subject: i.owner for i in view.incidents() if i.owner != Owner()}


def with_owners(rows: pa.Table, owners: Mapping[str, Owner]) -> pa.Table:
    """Rows of `finding` with whose their subject is; unchanged where nothing is known of any."""
    if not owners:
        return rows
    told = [owners.get(subject, Owner()) for subject in rows["subject"].to_pylist()]
    values = ([o.asn for o in told], [o.as_name for o in told], [o.country for o in told])
    for (name, kind), column in zip(COLUMNS.items(), values, strict=True):
        rows = rows.append_column(name, pa.array(column, kind))
    return rows
