"""Versions of the tables: what changed from one to the next, and what to say of a folder of another one.

Who changes a column raises `schema.VERSION` and adds here how rows of the version before become rows of the new one.
`dnsonde migrate` does it (see `migrate`), and nothing does by itself: an older dnsonde could not read it again.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

from dnsonde.escape import typed
from dnsonde.table import schema

Change = Callable[[pa.Table], pa.Table]

CHANGES: dict[int, Mapping[str, Change]] = {}
"""For each older version, by table: what makes the next version's rows. A table that is not named did not change."""


def is_within_reach(version: int) -> bool:
    """Whether rows of that version can become rows of this one."""
    return all(step in CHANGES for step in range(version, schema.VERSION))


def other_version(what: str, folder: Path, version: object) -> str:
    """Why `what`, which is `folder` or in it, is not read, and what to do: a sentence."""
    known = int(str(version)) if str(version).isdecimal() else None
    said = f"{what} of version {version} of the tables, this dnsonde reads version {schema.VERSION}"
    if known is not None and known > schema.VERSION:
        return f"{said}: a newer dnsonde made it, so upgrade this one"
    if known is not None and is_within_reach(known):
        return f"{said}: `dnsonde migrate {typed(folder)}` brings it there, in its place"
    return f"{said}: use the dnsonde that made it, or ingest or measure again into a new folder"


def brought_here(table: str, version: int, rows: pa.Table) -> pa.Table:
    """Rows of an older version within reach as rows of this one."""
    for step in range(version, schema.VERSION):
        change = CHANGES[step].get(table)
        rows = rows if change is None else change(rows)
    wanted = schema.TABLES[table].schema
    return rows.select(wanted.names).cast(wanted)
