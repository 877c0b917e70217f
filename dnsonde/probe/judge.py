"""Judge a whole run: verdicts for any number of targets, slice by slice, in memory that does not grow with them."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ibis

from dnsonde.errors import SystemRefusal
from dnsonde.probe.verdict import (
    TARGET,
    ZoneMode,
    answer_crowds,
    egress_crowds,
    responder_crowds,
    verdict,
)
from dnsonde.table.schema import ENRICHMENT, PROBE, VERDICT
from dnsonde.table.store import Writer, connect, open_folder, row_count

MEMORY_MIB = 1024
SLICE_ROWS = 1 << 20  # probes in one slice, about


def write_verdicts(
    folder: Path,
    *,
    zone_mode: ZoneMode = "delegated",
    sightings: Sequence[Path] = (),
    memory_limit_mib: int = MEMORY_MIB,
    slice_rows: int = SLICE_ROWS,
    on_slice: Callable[[int, int], None] | None = None,
    **options: Any,
) -> int:
    """Put the verdicts of the run in `folder` in place of those that it had; return how many targets there are.

    sightings: folders of authorities that ran elsewhere, joined to the run's own. `on_slice` is told how many slices of
    how many are done. `options` go to `verdict`. RunError for a run that cannot be read, SystemRefusal for a disk that
    cannot be written.
    """
    folder = Path(folder)
    scratch = folder / "verdict.new"
    shutil.rmtree(scratch, ignore_errors=True)
    slices = 1
    while slices * slice_rows < row_count(folder, PROBE):
        slices *= 2
    connection = connect(memory_limit_mib=memory_limit_mib, spill=scratch / "spill")
    tables = open_folder(folder, connection)
    seen = [tables["sighting"], *(open_folder(other, connection)["sighting"] for other in sightings)]
    probe, reply = tables["probe"], tables["reply"]
    sighting = ibis.union(*seen) if len(seen) > 1 else seen[0]
    crowds: dict[str, Any] = {}
    if row_count(folder, ENRICHMENT):
        crowds["owners"] = tables[ENRICHMENT.name]
    if slices > 1:
        # What many targets have in common cannot be seen from within a slice.
        crowds["egress_crowd"] = connection.create_table(
            "egress_crowd", egress_crowds(probe, sighting), temp=True
        )
        if "owners" in crowds:
            crowds["responder_crowd"] = connection.create_table(
                "responder_crowd", responder_crowds(reply), temp=True
            )
        crowds["answer_crowd"] = connection.create_table("answer_crowd", answer_crowds(reply), temp=True)
    with Writer(VERDICT, scratch) as writer:
        for number in range(slices):
            probes, replies, queries = (_slice(table, number, slices) for table in (probe, reply, sighting))
            judged = verdict(probes, replies, queries, zone_mode=zone_mode, **crowds, **options)
            # Who looks for an address, or pages by it, then reads little of each slice.
            for batch in judged.order_by(TARGET).to_pyarrow_batches(chunk_size=122_880):
                writer.append({name: batch.column(name) for name in batch.schema.names})
            if on_slice is not None:
                on_slice(number + 1, slices)
    connection.disconnect()
    _put_in_place(folder, scratch)
    return writer.written


def _slice(table: ibis.Table, number: int, slices: int) -> ibis.Table:
    """The rows of every `slices`-th target; addresses in a row fall into different slices."""
    if slices == 1:
        return table
    mixed = table.target_host ^ table.target_net
    return table.filter((mixed & (slices - 1)) == number)


def _put_in_place(folder: Path, scratch: Path) -> None:
    """Swap the new parts for the old; a process killed in between leaves none, and they are computed again."""
    old, place = scratch / "old", folder / VERDICT.name
    try:
        if place.exists():
            place.rename(old)
        (scratch / VERDICT.name).rename(place)
        shutil.rmtree(scratch)
    except OSError as error:
        raise SystemRefusal(
            f"cannot put the verdicts into {place} ({error.strerror}): repair that"
        ) from error
