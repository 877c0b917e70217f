"""`/enter`: where the token is typed in by whoever does not follow the printed address."""

from starlette.responses import Response

from dnsonde.web._guard import Guard
from dnsonde.web._page import Visit, page, sorry


@page("/enter", "GET", "POST")
def enter(visit: Visit) -> Response:
    """Ask for the token, or take it."""
    if visit.request.method != "POST":
        words = visit.words
        return visit.show(
            "sorry.html", title=words("web.enter.title"), said=words("web.sorry.enter"), enters=True
        )
    guard: Guard = visit.request.app.state.guard
    if not guard.is_right(visit.form.get("token", "").strip()):
        return sorry(visit.request, 403, "wrong_token")
    return guard.welcome(visit.request, "/")
