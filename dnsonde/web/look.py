"""`/look/KEY`, by POST: look for threats in a lake now, and keep what is found in it."""

import re

from starlette.responses import RedirectResponse, Response

from dnsonde.table.prefix import prefixes
from dnsonde.web._page import Visit, link, page


@page("/look/{key:path}", "POST")
def look(visit: Visit) -> Response:
    """Begin, and lead back to the lake, which tells how far it is."""
    entry = visit.site.entry(visit.key, "lake")
    home = (
        prefixes(re.split(r"[\s,;]+", text))
        if (text := visit.form.get("home", "").strip(" ,;"))
        else visit.site.home
    )
    visit.site.looks.start(entry.key, entry.folder, home)
    return RedirectResponse(link("lake", entry.key), 303)
