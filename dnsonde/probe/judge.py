"""Judge a whole run: verdicts for any number of targets, slice by slice, in memory that does not grow with them.

The relation `verdict` is kept as SQL (`table.kept`): to make it takes longer than to judge a small run.
"""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dnsonde.errors import RunError, SystemRefusal
from dnsonde.escape import typed
from dnsonde.probe.state import is_measured, load
from dnsonde.table.kept import can_keep, is_kept, keep, kept
from dnsonde.table.schema import ENRICHMENT, PROBE, REPLY, SIGHTING, VERDICT
from dnsonde.table.store import Writer, create_views, database, open_folder, row_count

if TYPE_CHECKING:
    from dnsonde.probe.verdict import ZoneMode

MEMORY_MIB = 1024
SLICE_ROWS = 1 << 20  # probes in one slice, about
BATCH_ROWS = 122_880
SOURCES = ("probe", "table")  # what the SQL is made by
APART_MIN_US = 60_000_000  # what two clocks may differ by without a word; resolving takes seconds
# How many rows a table has to have: where there are some, as the run's state counts them, and by its verdicts.
HAD = (
    (PROBE, "sent", "sum(greatest(attempts, 1))"),
    (REPLY, "answered", "sum(replies)"),
    (SIGHTING, "", "sum(sightings)"),
)
# The first sighting of each probe that was answered rightly lies between probe and reply, or the clocks are apart. Only
# those: whoever replays names of hosts that never replied does not set our clock.
APART = """
WITH answered AS (
  SELECT DISTINCT target_net, target_host FROM reply
  WHERE outcome = 'answered' AND kind = 'sweep' AND rcode = 0 AND answers > 0 AND control LIMIT 10000
), sent AS (
  SELECT target_net, target_host, attempt, tag, time_us AS sent_us FROM probe
  SEMI JOIN answered USING (target_net, target_host) WHERE kind = 'sweep'
), seen AS (
  SELECT target_net, target_host, attempt, tag, min(time_us) AS seen_us FROM sighting
  SEMI JOIN answered USING (target_net, target_host) WHERE kind = 'sweep' AND outcome <> 'dropped' GROUP BY ALL
)
SELECT CAST(coalesce(round(median(seen_us - sent_us) / 1e6), 0) AS BIGINT) * 1000000
FROM sent JOIN seen USING (target_net, target_host, attempt, tag)
"""


def require_judged(folder: Path, otherwise: str) -> None:
    """RunError where a run has no verdicts: that it is being measured, or else what `otherwise` says."""
    if is_judged(folder):
        return
    if is_measured(folder):
        raise RunError(
            f"{folder} is being measured and has no verdicts yet: wait until that is done; "
            f"`dnsonde show {typed(folder)}` says how far it is"
        )
    raise RunError(otherwise)


def is_judged(folder: Path) -> bool:
    """Whether a run has verdicts, or is done and needs none: a shard may have no address."""
    if row_count(folder, VERDICT):
        return True
    state = load(folder)
    return state is not None and state.complete and not row_count(folder, PROBE)


def write_verdicts(
    folder: Path,
    *,
    zone_mode: "ZoneMode" = "delegated",
    memory_limit_mib: int = MEMORY_MIB,
    slice_rows: int = SLICE_ROWS,
    on_clocks: Callable[[int], None] | None = None,
) -> int:
    """Put the verdicts of the run in `folder` in place of those that it had; return how many targets there are.

    Where the authority's clock and ours are more than `APART_MIN_US` apart, its sightings are judged as if it had ours,
    and `on_clocks` is told how many microseconds it is ahead (below zero: behind).
    RunError for a run that cannot be read, SystemRefusal for a disk that cannot be written.
    """
    folder = Path(folder)
    require_rows(folder)
    scratch = folder / "verdict.new"
    shutil.rmtree(scratch, ignore_errors=True)
    slices = 1
    while slices * slice_rows < row_count(folder, PROBE):
        slices *= 2
    first, select = _sql(zone_mode, owned=row_count(folder, ENRICHMENT) > 0, sliced=slices > 1)
    with (
        database(memory_limit_mib=memory_limit_mib, spill=scratch / "spill") as connection,
        Writer(VERDICT, scratch) as writer,
    ):
        create_views(
            folder, connection, {table.name: "TRUE" for table in (PROBE, REPLY, SIGHTING, ENRICHMENT)}
        )
        ((ahead,),) = connection.execute(APART).fetchall()
        if abs(ahead) <= APART_MIN_US:
            ahead = 0
        elif on_clocks is not None:
            on_clocks(ahead)
        timed = f"* REPLACE (time_us - {ahead} AS time_us)"
        connection.table(SIGHTING.name).project(timed).create_view("timed_sighting")
        for statement in first:
            connection.execute(statement)
        for number in range(slices):
            for name in ("probe", "reply", "timed_sighting"):
                some = connection.table(name).filter(_slice(number, slices))
                some.create_view(f"some_{name.removeprefix('timed_')}")
            # In the order of targets: who looks for an address, or pages by it, then reads little of each slice.
            for batch in connection.execute(select).fetch_record_batch(BATCH_ROWS):
                writer.append({name: batch.column(name) for name in batch.schema.names})
    _put_in_place(folder, scratch)
    return writer.written


def require_rows(folder: Path) -> None:
    """RunError where rows are missing that the run has had: a copy of a part of it, which would be judged wrongly."""
    state = load(folder)
    verdict = open_folder(folder, tables=[VERDICT])[VERDICT.name]
    judged = verdict.aggregate(
        ", ".join(f"CAST(coalesce({sum_}, 0) AS BIGINT)" for _, _, sum_ in HAD)
    ).fetchone()
    for (table, counted, _), had in zip(HAD, judged or (), strict=True):
        there = row_count(folder, table)
        # Within the first round what is counted may not have been written.
        lost = state is not None and state.round > 0 and state.counts.get(counted, 0) > 0 and not there
        if lost or there < had:
            raise RunError(
                f"{folder / table.name} lacks rows that the run has had: copy it whole from where the run was made"
            )


def to_prepare() -> dict[str, Callable[[], object]]:
    """What is made once for all small runs in a zone of one's own, and can be made beside other work, by name."""
    if not can_keep() or is_kept(_named("delegated"), SOURCES):
        return {}
    return {"verdict": _prepare}


def _prepare() -> None:
    _sql("delegated", owned=False, sliced=False)


def _slice(number: int, slices: int) -> str:
    """SQL: this row is of every `slices`-th target; addresses in a row fall into different slices."""
    return "TRUE" if slices == 1 else f"xor(target_host, target_net) & {slices - 1} = {number}"


@cache
def _sql(zone_mode: "ZoneMode", *, owned: bool, sliced: bool) -> tuple[list[str], str]:
    """See `judging_sql`."""
    name = _named(zone_mode, owned=owned, sliced=sliced)
    found = kept(name, SOURCES)
    if found is not None:
        with suppress(ValueError):
            return msgspec.json.decode(found, type=tuple[list[str], str])
    # It makes SQL of relations, and brings Ibis along.
    from dnsonde.probe._judging import judging_sql  # noqa: PLC0415 - the slow way, seldom gone

    made = judging_sql(zone_mode, owned=owned, sliced=sliced)
    keep(name, SOURCES, json.dumps(made))
    return made


def _named(zone_mode: "ZoneMode", *, owned: bool = False, sliced: bool = False) -> str:
    return "_".join(["verdict", zone_mode, *["owned"] * owned, *["sliced"] * sliced])


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
