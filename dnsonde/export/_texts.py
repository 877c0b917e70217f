"""Texts that are JSON already: a field says so, and the formats that can nest them do."""

import json
from typing import Any

import pyarrow as pa

JSON = {"dnsonde.json": "1"}


def nested(schema: pa.Schema) -> list[str]:
    """Names of the columns whose texts are JSON."""
    return [field.name for field in schema if (field.metadata or {}).get(b"dnsonde.json")]


def nest(row: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The row with the values of those texts in their place."""
    return row | {name: json.loads(row[name]) for name in names if row[name] is not None} if names else row
