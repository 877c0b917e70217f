"""Detectors as SQL for DuckDB, kept: to make it of relations takes half a second each, to run it mostly less.

The SQL reads the views `seen_message` and `seen_flow`, so it depends on the code and on the settings only. What is made
with the defaults is kept, with the words for what it finds, so that neither detectors nor Ibis are imported to run it;
it changes with the sources of detectors and the libraries.
"""

import base64
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from dnsonde.findings.about import PACKAGE, SOURCES
from dnsonde.findings.queries import Query
from dnsonde.table.kept import can_keep, is_kept, keep, kept

if TYPE_CHECKING:
    from dnsonde.detect._contract import Detector

Settings = tuple[tuple[str, Any], ...]


@cache
def query_of(name: str, settings: Settings = ()) -> Query:
    """The query of the detector of that name, whose settings may be texts; UsageError for what it cannot be set to."""
    kept = None if settings else _kept(name)
    if kept is not None:
        return kept
    # It makes SQL of relations, and brings Ibis along.
    from dnsonde.findings.to_sql import to_sql  # noqa: PLC0415 - the slow way, seldom gone

    query = to_sql(detector_of(name), dict(settings))
    if not settings:
        _keep(query)
    return query


def is_prepared(name: str) -> bool:
    """Whether the query of a detector as it comes is kept, and need not be made."""
    return is_kept(_named(name), SOURCES)


def unprepared(names: Iterable[str]) -> dict[str, Callable[[], object]]:
    """Of these detectors as they come, those whose queries are not kept: by name, what makes and keeps each.

    None of them where nothing can be kept: what another process makes would then be lost.
    """
    if not can_keep():
        return {}
    return {name: partial(_prepare, name) for name in names if not is_prepared(name)}


def _prepare(name: str) -> None:
    query_of(name)  # which is kept, and need not travel back from another process


def detector_of(name: str) -> "Detector":
    """The detector of that name, with all that it imports."""
    one: Detector = getattr(import_module(f"{PACKAGE}.{name}"), name)
    return one


def _kept(name: str) -> Query | None:
    said = kept(_named(name), SOURCES)
    if said is not None:
        with suppress(ValueError, pa.ArrowException):  # damaged, or of another shape
            return msgspec.json.decode(said, type=Query, dec_hook=_schema_of)
    return None


def _named(name: str) -> str:
    return f"query_{name}"


def _schema_of(_kind: type, octets: str) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(octets)))


def _octets_of(schema: pa.Schema) -> bytes:
    return bytes(schema.serialize())


def _keep(query: Query) -> None:
    keep(_named(query.wording.name), SOURCES, msgspec.json.encode(query, enc_hook=_octets_of).decode())
