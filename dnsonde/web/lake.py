"""`/lake/KEY`: what happened in some traffic, as the report tells it; and the button that looks for threats."""

from starlette.responses import Response

from dnsonde.page.content import Section
from dnsonde.page.lake import Watching
from dnsonde.page.parts import Part
from dnsonde.page.parts import page as whole
from dnsonde.web import _live
from dnsonde.web._page import Visit, page


@page("/lake/{key:path}")
def lake(visit: Visit) -> Response:
    """The lake's summary with its charts, and what to do."""
    entry = visit.site.entry(visit.key, "lake")
    stands = visit.site.standing(entry)
    sections: tuple[Section, ...] = ()
    found = None
    if stands.state != "damaged":
        opened = visit.site.open(entry)
        found = opened.found
        home = tuple(map(str, opened.view.home))
        guessed = found.guessed.why if found and found.guessed else ""
        told = Watching(entry.key, home, guessed, found.blind if found else ())
        sections = visit.site.remembered(
            opened, ("report", visit.words.code), lambda view: whole([Part(view, told)], visit.words).sections
        )
        if found is None:  # nobody looked: nothing may be said of what was found
            sections = tuple(s for s in sections if s.id == "read")
    return visit.show(
        "lake.html",
        title=entry.key,
        entry=entry,
        stands=stands,
        found=found,
        sections=sections,
        look=visit.site.looks.of(entry.key),
        lines=_live.lines(visit.site, entry, visit.words),
        again=_live.again(visit.site, [entry]),
    )
