"""`/run/KEY`: what a prober sees of a network, as the report tells it; and how a run that is under way stands."""

from starlette.responses import Response

from dnsonde import look
from dnsonde.page.content import Section
from dnsonde.page.parts import page as whole
from dnsonde.probe import state as states
from dnsonde.web import _live
from dnsonde.web._page import Visit, page


@page("/run/{key:path}")
def run(visit: Visit) -> Response:
    """The run's summary with its charts, and what to do."""
    entry = visit.site.entry(visit.key, "run")
    stands = visit.site.standing(entry)
    sections: tuple[Section, ...] = ()
    judged = (
        stands.state != "damaged"
        and bool(stands.counts.get("verdict"))
        and (entry.folder / states.PLAN).is_file()
    )
    if judged:
        opened = visit.site.open(entry)
        sections = visit.site.remembered(
            opened,
            ("report", visit.words.code),
            lambda view: whole([look.part_of(entry.folder, view, name=entry.key)], visit.words).sections,
        )
    return visit.show(
        "run.html",
        title=entry.key,
        entry=entry,
        stands=stands,
        judged=judged,
        sections=sections,
        lines=_live.lines(visit.site, entry, visit.words),
        share=_live.share(stands),
        again=_live.again(visit.site, [entry]),
    )
