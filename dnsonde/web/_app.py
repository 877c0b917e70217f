"""All pages together, behind the guard."""

from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dnsonde import registry
from dnsonde.web._guard import Guard, Refuse
from dnsonde.web._page import sorry
from dnsonde.web._site import Site


def application(site: Site, names: Iterable[str] = ()) -> Guard:
    """The pages of a site; names: hosts that it is called by, beside addresses and localhost."""
    app = Starlette(
        routes=list(registry.entries("dnsonde.web", Route).values()),
        exception_handlers={HTTPException: _refused},
    )
    app.router.redirect_slashes = False
    guard = Guard(app, token=site.token, guarded=site.guarded, names=names, refuse=_with(app))
    app.state.site, app.state.guard = site, guard
    return guard


def _with(app: Starlette) -> Refuse:
    def refuse(request: Request, status: int, why: str) -> Response:
        request.scope["app"] = app
        return sorry(request, status, why)

    return refuse


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = sorry(request, error.status_code, "method" if error.status_code == 405 else "lost")
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer
