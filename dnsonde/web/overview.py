"""`/`: every run and every lake in the folder, the latest first."""

from starlette.responses import Response

from dnsonde.web import _live
from dnsonde.web._page import Visit, page
from dnsonde.web._site import ROWS


@page("/")
def overview(visit: Visit) -> Response:
    """What there is, when it is from, what it found, and how it stands."""
    shelf = visit.site.shelf()
    number = visit.number("page")
    shown = visit.site.latest(number)
    listed = [(entry, visit.site.standing(entry)) for entry in shown]
    words = visit.words
    runs = [pair for pair in listed if pair[0].kind == "run"]
    return visit.show(
        "overview.html",
        title=words("web.overview.title"),
        runs=runs,
        lakes=[pair for pair in listed if pair[0].kind == "lake"],
        alone=[pair for pair in listed if pair[0].kind == "sightings"],
        every_run=sorted(entry.key for entry in shelf.entries.values() if entry.kind == "run"),
        newest=visit.site.judged(shown)[-2:],  # what one most likely wants to compare
        number=number,
        pages=-(-len(shelf.entries) // ROWS),
        total=len(shelf.entries),
        left_out=shelf.left_out,
        folder=visit.site.folder,
        again=_live.again(visit.site, shown),
    )
