"""A log as a file, and what is read of it."""

from pathlib import Path
from typing import Any

from dnsonde.formats._contract import Account, Options
from dnsonde.formats._reading import Reading
from dnsonde.wire.batch import address_text

Rows = list[dict[str, Any]]


def read(folder: Path, data: bytes | str, options: Options | None = None) -> tuple[Rows, Rows, Account]:
    """(message rows, flow rows, account)."""
    path = folder / "log"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    found: dict[str, Rows] = {"message": [], "flow": []}
    with Reading(path, options) as reading:
        for table, batch in reading:
            batch.validate(full=True)
            found[table] += batch.to_pylist()
    return found["message"], found["flow"], reading.account


def ends(row: dict[str, Any]) -> tuple[str, int, str, int]:
    src, dst = (address_text(row[f"{side}_net"], row[f"{side}_host"]) for side in ("src", "dst"))
    return src, row["src_port"], dst, row["dst_port"]
