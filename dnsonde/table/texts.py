"""Values as texts and as JSON. Texts that are JSON already: a field says so, and formats that can nest them do."""

import json
from math import isfinite
from typing import Any

import pyarrow as pa

JSON = {"dnsonde.json": "1"}


def nested(schema: pa.Schema) -> list[str]:
    """Names of the columns whose texts are JSON."""
    return [field.name for field in schema if (field.metadata or {}).get(b"dnsonde.json")]


def nest(row: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The row with the values of those texts in their place."""
    return row | {name: json.loads(row[name]) for name in names if row[name] is not None} if names else row


def said(value: object) -> str:
    """What JSON has no word for, as a text: octets, which may be a stranger's and steer who reads them, in hex."""
    return value.hex() if isinstance(value, bytes) else str(value)


def finite(value: Any) -> Any:
    """The value, lists and all, with null for NaN and infinity: JSON has no word for them, and null is the nearest."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value
