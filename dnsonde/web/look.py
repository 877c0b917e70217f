"""`/look/KEY`, by POST: look for threats in a lake now, and keep what is found in it."""

from starlette.responses import RedirectResponse, Response

from dnsonde.web._page import Visit, link, page


@page("/look/{key:path}", "POST")
def look(visit: Visit) -> Response:
    """Begin, and lead back to the lake, which tells how far it is."""
    entry = visit.site.entry(visit.key, "lake")
    visit.site.looks.start(entry.key, entry.folder, visit.site.home)
    return RedirectResponse(link("lake", entry.key), 303)
