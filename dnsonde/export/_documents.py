"""JSON documents into a file: ASCII only, so that no name steers who reads it; names that stay the same."""

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from dnsonde.choices import SEVERITIES

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://dnsonde.invalid/export")
LEVELS = {name: number for number, name in enumerate(SEVERITIES, 1)}  # 1 to 5


def lines(documents: Iterable[Mapping[str, Any]], out: BinaryIO) -> None:
    """One JSON object a line."""
    encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode
    for document in documents:
        out.write(encode(document).encode("ascii") + b"\n")


def document(value: Mapping[str, Any], out: BinaryIO) -> None:
    """One JSON object, indented for people."""
    out.write(json.dumps(value, ensure_ascii=True, allow_nan=False, indent=2).encode("ascii") + b"\n")


def stable_uuid(*parts: object) -> str:
    """A UUID that is the same for the same parts: what is exported twice is known again (RFC 9562, version 5)."""
    return str(uuid.uuid5(NAMESPACE, "|".join(map(str, parts))))


def known(**values: Any) -> dict[str, Any]:
    """Those values that there are."""
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}
