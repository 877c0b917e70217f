"""The SQL that `judge` runs: the slow half, which brings Ibis along."""

from typing import Any

import ibis

from dnsonde.probe._facts import TARGET
from dnsonde.probe.verdict import ZoneMode, answer_crowds, egress_crowds, responder_crowds, verdict
from dnsonde.table.as_sql import as_sql, named
from dnsonde.table.schema import ENRICHMENT, PROBE, REPLY, SIGHTING

CROWD = {"net": "int64", "host": "int64", "targets": "int64"}


def judging_sql(zone_mode: ZoneMode, *, owned: bool, sliced: bool) -> tuple[list[str], str]:
    """Statements to run first, and the SELECT of verdicts in the order of their targets.

    It reads `some_probe`, `some_reply` and `some_sighting`. owned: `enrichment` has a row. sliced: those are not all
    there is; what many targets have in common cannot be seen from within a slice, and is taken first of whole tables,
    the sightings as `timed_sighting`.
    """
    more: dict[str, Any] = {"owners": named(ENRICHMENT, ENRICHMENT.name)} if owned else {}
    first = []
    if sliced:
        probe, reply, sighting = (
            named(PROBE, "probe"),
            named(REPLY, "reply"),
            named(SIGHTING, "timed_sighting"),
        )
        crowds = {"egress_crowd": egress_crowds(probe, sighting), "answer_crowd": answer_crowds(reply)}
        if owned:
            crowds["responder_crowd"] = responder_crowds(reply)
        first = [f"CREATE TEMP TABLE {name} AS {as_sql(crowd)}" for name, crowd in crowds.items()]
        more |= {name: ibis.table(CROWD, name=name) for name in crowds}
    tables = [named(table, f"some_{table.name}") for table in (PROBE, REPLY, SIGHTING)]
    return first, as_sql(verdict(*tables, zone_mode=zone_mode, **more).order_by(TARGET))
