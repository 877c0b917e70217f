"""`/static/NAME`: the styles, the script and the sign; they change with the release only."""

from starlette.responses import Response

from dnsonde.web._page import Visit, asset, page, style
from dnsonde.web._site import NotThereError

KINDS = {"style.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"}


@page("/static/{name}")
def static(visit: Visit) -> Response:
    """One of the three files."""
    name = visit.request.path_params["name"]
    if name not in KINDS:
        raise NotThereError
    text = style() if name == "style.css" else asset(name)
    return Response(text, media_type=KINDS[name], headers={"Cache-Control": "private, max-age=86400"})
