"""What a detector's relation finds, as rows of `finding`, in words.

It needs no Ibis: who runs SQL that is kept does not wait for that.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from dnsonde.choices import SEVERITIES
from dnsonde.lang.words import Values, words
from dnsonde.table.schema import FINDING
from dnsonde.table.texts import JSON
from dnsonde.wire.batch import address_text

BATCH_ROWS = 8192

SubjectKind = Literal["address", "prefix", "domain"]

# What every detector's relation has; all other columns are evidence.
COLUMNS = ("subject", "subject_net", "subject_host", "subject_bits", "severity", "confidence",
           "first_seen", "last_seen", "count")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wording:
    """What the findings of a detector say.

    title, summary: templates filled from the evidence and `{subject}`, `{count}`; references: where the rule is from.
    """

    name: str
    threat: str
    subject_kind: SubjectKind
    title: str
    summary: str
    references: tuple[str, ...]


def findings(wording: Wording, rows: pa.Table) -> pa.Table:
    """Executed rows of a detector's relation as the `finding` table."""
    # A telescope has as many findings as there are bots: as Python's objects they are large.
    batches = rows.to_batches(max_chunksize=BATCH_ROWS)
    told = [pa.Table.from_pylist(_told(wording, batch), FINDING.schema) for batch in batches]
    return pa.concat_tables([FINDING.schema.empty_table(), *told])


def _told(wording: Wording, rows: pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows of `finding`, as plain values."""
    out: list[dict[str, Any]] = []
    references = json.dumps(wording.references)
    for row in rows.to_pylist():
        subject = _subject(row)
        evidence = _evidence(row)
        facts = Values({**evidence, "subject": subject, "count": row["count"]}, words(), missing="unknown")
        out.append(
            {
                "detector": wording.name,
                "threat": wording.threat,
                "subject": subject,
                "subject_kind": wording.subject_kind,
                "severity": SEVERITIES[row["severity"]],
                "confidence": round(row["confidence"], 3),
                "first_seen": row["first_seen"],
                "last_seen": row["last_seen"],
                "count": row["count"],
                "title": wording.title.format_map(facts),
                "summary": wording.summary.format_map(facts),
                "evidence": json.dumps(evidence, ensure_ascii=True, sort_keys=True),
                "references": references,
            }
        )
    return out


def _subject(row: Mapping[str, Any]) -> str:
    if row["subject"] is not None:
        return str(row["subject"])
    address = address_text(row["subject_net"], row["subject_host"])
    return address if row["subject_bits"] is None else f"{address}/{row['subject_bits']}"


def _evidence(row: Mapping[str, Any]) -> dict[str, Any]:
    evidence: dict[str, Any] = {}
    for name, value in row.items():
        if name in COLUMNS or value is None:
            continue
        if name.endswith("_net") and f"{name[:-4]}_host" in row:
            evidence[name[:-4]] = address_text(value, row[f"{name[:-4]}_host"])
        elif name.endswith("_hosts") and isinstance(value, list):
            evidence[name[:-6]] = [address_text(int(both[:16], 16), int(both[16:], 16)) for both in value]
        elif not (name.endswith("_host") and f"{name[:-5]}_net" in row):
            evidence[name] = round(value, 4) if isinstance(value, float) else value
    return evidence


def written(found: pa.Table) -> pa.RecordBatchReader:
    """Rows of `finding` as every format writes them: times RFC 3339 in UTC, evidence and references as JSON."""
    columns: dict[str, pa.Array] = {}
    fields = []
    for one in found.schema:
        column = found[one.name]
        if one.name in {"first_seen", "last_seen"}:
            column = _rfc3339(column)
        about = JSON if one.name in {"evidence", "references"} else None
        columns[one.name] = column
        fields.append(pa.field(one.name, column.type, metadata=about))
    schema = pa.schema(fields)
    return pa.Table.from_arrays(list(columns.values()), schema=schema).to_reader()


def _rfc3339(times: pa.ChunkedArray) -> pa.ChunkedArray:
    stamps = pc.strftime(times.cast(pa.timestamp("us")), format="%Y-%m-%dT%H:%M:%S")
    return pc.binary_join_element_wise(stamps, "Z", "")
