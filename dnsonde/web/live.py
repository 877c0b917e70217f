"""`/live`, `/live/KEY`: how the work stands, for the script that keeps an open page current."""

from starlette.responses import JSONResponse, Response

from dnsonde.web import _live
from dnsonde.web._page import Visit, page


@page("/live/{key:path}")
def live(visit: Visit) -> Response:
    """Texts by name, the share that is done where it is known, and what changes when the page is to be loaded anew."""
    if not visit.key:
        return JSONResponse({"again": _live.again(visit.site, visit.site.latest(visit.number("page")))})
    entry = visit.site.entry(visit.key)
    stands = visit.site.standing(entry)
    return JSONResponse(
        {
            "again": _live.again(visit.site, [entry]),
            "texts": _live.lines(visit.site, entry, visit.words),
            "share": _live.share(stands),
        }
    )
