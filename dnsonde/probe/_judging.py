"""The SQL that `judge` runs: the slow half, which brings Ibis along."""

from typing import Any

import ibis

from dnsonde.probe.verdict import TARGET, ZoneMode, answer_crowds, egress_crowds, responder_crowds, verdict
from dnsonde.table.as_sql import as_sql, named
from dnsonde.table.schema import ENRICHMENT, PROBE, REPLY, SIGHTING

CROWDS = ("egress_crowd", "answer_crowd", "responder_crowd")


def verdict_sql(zone_mode: ZoneMode, *, owned: bool, sliced: bool) -> str:
    """Verdicts in the order of their targets, of the tables `some_probe`, `some_reply` and `some_sighting`.

    owned: `enrichment` has a row; sliced: those are not all there is, and there are tables of CROWDS.
    """
    tables = [named(table, f"some_{table.name}") for table in (PROBE, REPLY, SIGHTING)]
    more: dict[str, Any] = {}
    if owned:
        more["owners"] = named(ENRICHMENT, ENRICHMENT.name)
    if sliced:
        crowd = dict.fromkeys(("net", "host", "targets"), "int64")
        more |= {name: ibis.table(crowd, name=name) for name in CROWDS}
    return as_sql(verdict(*tables, zone_mode=zone_mode, **more).order_by(TARGET))


def crowd_sql(name: str) -> str:
    """One of CROWDS: what many targets have in common, which cannot be seen from within a slice."""
    probe, reply, sighting = (named(table, table.name) for table in (PROBE, REPLY, SIGHTING))
    if name == "egress_crowd":
        return as_sql(egress_crowds(probe, sighting))
    return as_sql(answer_crowds(reply) if name == "answer_crowd" else responder_crowds(reply))
