"""What the folder of a run tells a report beyond its rows: its plan, and whether it is finished."""

from pathlib import Path

from dnsonde.page.run import Measurement
from dnsonde.probe import narrow
from dnsonde.probe import state as states
from dnsonde.probe.plan import Plan
from dnsonde.table import store
from dnsonde.table.schema import PROBE, VERDICT
from dnsonde.view.open import plan_of

PREFIXES = 12  # of a plan, named in a report
FACTS = (  # about a plan, in reading order
    "run", "scope", "addresses", "zone", "known", "port", "ceiling", "prefix_ceiling", "attempts", "contact",
)  # fmt: skip


def measurement(folder: Path, name: str = "") -> Measurement:
    """A run's facts; name: how the report calls it."""
    plan = plan_of(folder)
    kept = states.load(folder)
    listed = ", ".join(plan.space.prefixes[:PREFIXES])
    facts = {
        "run": kept.run if kept else "",
        "scope": listed + (", ..." if len(plan.space.prefixes) > PREFIXES else "") or plan.space.targets,
        "zone": plan.zone.name,
        "known": plan.zone.known,
        "port": str(plan.space.port),
        "attempts": str(plan.probe.attempts),
        "contact": plan.identity.contact,
    }
    of = targets(folder, plan)
    finished = kept is None or kept.complete
    if of is not None:
        each = plan.prefix_pps
        facts |= {
            "addresses": f"{plan.scope().size:,}",
            "ceiling": f"{plan.total_pps:,.10g}/s",
            "prefix_ceiling": "" if each is None else f"{each:,.10g}/s",
        }
    return Measurement(
        name or str(folder),
        delegated=not plan.is_known,
        finished=finished,
        asked=0 if finished else asked(folder),
        targets=of,
        facts=tuple((fact, facts[fact]) for fact in FACTS if facts.get(fact)),
    )


def asked(folder: Path) -> int:
    """How many addresses of a run were asked, judged or not yet; in a copy without its probes, those judged."""
    probes = store.open_folder(folder, tables=[PROBE])["probe"]
    (once,) = probes.aggregate("count(*) FILTER (kind = 'sweep' AND attempt = 1)").fetchall()
    return max(int(once[0]), store.row_count(folder, VERDICT))


def targets(folder: Path, plan: Plan) -> int | None:
    """How many a run's plan has to ask, which is settled by it; None where only a list elsewhere tells."""
    if not narrow.settle(folder, plan):
        return None
    number, shards = plan.shard
    return len(range(number - 1, plan.scope().size, shards))
