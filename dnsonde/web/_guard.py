"""Who may ask: the Host header, the token, the origin, the size; and the headers that every answer has.

A browser on this machine asks whatever page it shows what to fetch, so loopback alone protects nothing: names that lead
to us from elsewhere (DNS rebinding) are refused, and what writes wants the token and our own origin.
"""

import hmac
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

QUERY_OCTETS = 4096
SAFE = ("GET", "HEAD")
OPEN = ("/enter", "/static/")  # what shows nothing of the folder
LOOPBACK_NAMES = ("localhost",)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

Refuse = Callable[[Request, int, str], Response]  # status, and what the sentence is called in the catalogue


class Guard:
    """Stands before all pages.

    token: the right one. guarded: reading wants it too. names: hosts that we are called by, beside literal addresses,
    which no rebinding can use. refuse: makes the page that says no.
    """

    def __init__(
        self, app: ASGIApp, *, token: str, guarded: bool, names: Iterable[str], refuse: Refuse
    ) -> None:
        self._app, self._token, self._guarded, self._refuse = app, token, guarded, refuse
        self._names = frozenset(name.lower().rstrip(".") for name in (*names, *LOOPBACK_NAMES))
        self._pass = hmac.new(token.encode(), b"dnsonde web", "sha256").hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._answer(scope)
        await (answer or self._app)(scope, receive, with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        """What is answered in the page's stead; None lets the request through."""
        request = Request(scope)
        headers, method = request.headers, scope["method"]
        scope.setdefault("state", {})["may_write"] = False
        if not self._is_ours(headers.getlist("host")):
            return self._refuse(request, 421, "host")
        if len(scope["query_string"]) > QUERY_OCTETS:
            return self._refuse(request, 414, "long")
        known = self._knows(request, headers)
        scope["state"]["may_write"] = known
        if method in SAFE:
            given = request.query_params.get("token")
            if given is not None:
                return self._enter(request, given)
        elif not self._same_origin(request, headers):
            return self._refuse(request, 403, "origin")
        elif not known and scope["path"] != "/enter":
            return self._refuse(request, 403, "token")
        if self._guarded and not known and not scope["path"].startswith(OPEN):
            return self._refuse(request, 401, "enter")
        return None

    def welcome(self, request: Request, to: str) -> Response:
        """Send on whoever has shown the token, and know them from now on."""
        answer = RedirectResponse(to, 303)
        answer.set_cookie(
            self._cookie(request),
            self._pass,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    def is_right(self, token: str) -> bool:
        """Whether that is the token; how long it takes tells nothing."""
        return hmac.compare_digest(token.encode(), self._token.encode())

    def _enter(self, request: Request, token: str) -> Response:
        if not self.is_right(token):
            return self._refuse(request, 403, "wrong_token")
        rest = [(n, v) for n, v in parse_qsl(request.url.query) if n != "token"]
        path = "/" + request.scope["raw_path"].decode("ascii", "replace").lstrip("/")
        return self.welcome(request, path + ("?" + urlencode(rest) if rest else ""))

    def _knows(self, request: Request, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.is_right(token.strip())
        shown = request.cookies.get(self._cookie(request), "")
        return hmac.compare_digest(shown.encode(), self._pass.encode())

    def _is_ours(self, hosts: list[str]) -> bool:
        if len(hosts) != 1:
            return False
        name, bracket, port = hosts[0].rpartition(":")
        if not bracket or not port.isdecimal():
            name = hosts[0]
        if name.startswith("[") and name.endswith("]"):
            name = name[1:-1]
        try:
            ip_address(name)
        except ValueError:
            return name.lower().rstrip(".") in self._names
        return True

    def _same_origin(self, request: Request, headers: Headers) -> bool:
        """Whether our own page asks, as the browser says; who is no browser shows the token itself."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is None and origin is None:
            return headers.get("authorization") is not None
        ours = f"{request.url.scheme}://{headers.get('host', '')}"
        return site in {None, "same-origin"} and origin in {None, ours}

    @staticmethod
    def _cookie(request: Request) -> str:
        """Cookies do not know ports: two servers on one machine shall not take each other's."""
        return f"dnsonde-{(request.scope.get('server') or ('', 0))[1]}"
