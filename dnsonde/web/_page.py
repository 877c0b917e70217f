"""A page is one file of this folder: a function from a visit to an answer, under a path; being here is being shown."""

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from dnsonde.clock import to_the_second
from dnsonde.errors import DnsondeError, PlanError, RunError, SystemRefusal, UsageError, unexpected
from dnsonde.escape import terminal, typed
from dnsonde.lang.words import DEFAULT, Words, languages, words
from dnsonde.page.charts import svg
from dnsonde.page.content import Chart, Page, Section
from dnsonde.page.html import environment, page_style
from dnsonde.web._site import NotThereError, Site

PACKAGE = "dnsonde.web"
BODY_OCTETS = 4096
CHARS = 300  # of one value in a link
LANGUAGE = "dnsonde-lang"
STATUS = {PlanError: 409, UsageError: 400, RunError: 409, SystemRefusal: 503}

Value = str | int | bool | Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Visit:
    """One request: what was asked, in which language, and whether its sender may write."""

    site: Site
    request: Request
    words: Words
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def may_write(self) -> bool:
        """Whether the token was shown."""
        return bool(self.request.scope["state"]["may_write"])

    @property
    def key(self) -> str:
        """The run or lake in the address."""
        return str(self.request.path_params["key"])

    def text(self, name: str, default: str = "") -> str:
        """One value of the query; UsageError where it is too long to be meant."""
        value = self.request.query_params.get(name, default)
        if len(value) > CHARS:
            raise UsageError(f"{name} is longer than {CHARS} characters")
        return value

    def mark(self, name: str) -> str:
        """A place in a long table; whoever reads it checks it."""
        return self.request.query_params.get(name, "")

    def choice(self, name: str, known: Sequence[str]) -> str:
        """One value of the query out of those that there are, the first of them where none is given."""
        value = self.text(name, known[0])
        if value not in known:
            raise UsageError(f"{name} is one of {', '.join(filter(None, known))}, not {value!r}")
        return value

    def many(self, name: str) -> tuple[str, ...]:
        """All values of that name in the query."""
        return tuple(v for v in self.request.query_params.getlist(name) if v)[:32]

    def number(self, name: str, default: int = 1) -> int:
        """A whole number above 0."""
        text = self.text(name) or str(default)
        if not text.isdecimal() or not 0 < int(text) < 10**9:
            raise UsageError(f"{name} is a whole number above 0, not {text!r}")
        return int(text)

    def show(self, template: str, *, title: str, status: int = 200, **values: Any) -> Response:
        """A page of ours, in the visitor's language; charts in it are numbered."""
        seen: list[Chart] = []

        def numbered(chart: Chart) -> Markup:
            seen.append(chart)
            return svg(chart, len(seen))

        labels = {name: self.words(f"page.{name}") for name in ("contents", "table", "source")}
        sections: tuple[Section, ...] = tuple(values.setdefault("sections", ()))
        text = environment(PACKAGE).get_template(template).render(
            page=Page(self.words.code, title, "", sections, labels), words=self.words, link=link, svg=numbered,
            visit=self, moment=to_the_second, version=version("dnsonde"), digest=digest(), languages=named_languages(),
            here=self._here(), typed=typed, **values,
        )  # fmt: skip
        answer = HTMLResponse(text, status)
        answer.headers["Content-Language"] = self.words.code
        answer.headers["Vary"] = "Accept-Language, Cookie"
        chosen = self.request.query_params.get("lang")
        if chosen in languages():
            answer.set_cookie(LANGUAGE, chosen, samesite="strict", httponly=True, max_age=31_536_000)
        return answer

    def _here(self) -> Callable[..., str]:
        """The same page with other values in its query; None takes one out."""
        given = [(n, v) for n, v in self.request.query_params.multi_items() if n not in {"lang", "token"}]
        # Two slashes first would name another host.
        path = "/" + quote(self.request.scope["path"].lstrip("/"), safe="/")

        def here(**changes: Value) -> str:
            kept = [(n, v) for n, v in given if n not in changes]
            return _address(path, [*kept, *_pairs(changes)])

        return here


Make = Callable[[Visit], Response]


def page(path: str, *methods: str) -> Callable[[Make], Route]:
    """Show what a function makes under that path, when it is asked for by GET or by what `methods` names."""

    def wrap(make: Make) -> Route:
        async def endpoint(request: Request) -> Response:
            form = await _form(request) if request.method == "POST" else {}
            if form is None:
                return sorry(request, 413, "long")
            return await run_in_threadpool(_answer, make, request, form)

        return Route(path, endpoint, methods=list(methods or ("GET",)), name=make.__name__)

    return wrap


def _answer(make: Make, request: Request, form: Mapping[str, str]) -> Response:
    """What the page says, or the sentence why it cannot."""
    try:
        return make(Visit(request.app.state.site, request, language(request), form))
    except NotThereError:
        return sorry(request, 404, "lost")
    except DnsondeError as error:
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
        return sorry(request, status, said=str(error))
    except Exception as error:  # noqa: BLE001 - a face shows no traceback; this is the last one to catch
        if os.environ.get("DNSONDE_TRACEBACK"):
            traceback.print_exc()
        sentence = unexpected(error)
        print(f"dnsonde: {terminal(sentence)}", file=sys.stderr)
        return sorry(request, 500, said=sentence)


def sorry(request: Request, status: int, why: str = "", said: str = "") -> Response:
    """A page that says why not: `why` is what the sentence is called in the catalogue, `said` the sentence itself."""
    texts = language(request)
    visit = Visit(request.app.state.site, request, texts)
    said = said or texts(f"web.sorry.{why}")
    return visit.show(
        "sorry.html", title=texts("web.sorry.title"), status=status, said=said, enters=why == "enter"
    )


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a form, None where there is more than anybody means."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_OCTETS:
            return None
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=20)
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items()}


def language(request: Request) -> Words:
    """The visitor's language: the one asked for, the one chosen before, what the browser wants, or English."""
    asked = [request.query_params.get("lang", ""), request.cookies.get(LANGUAGE, "")]
    wanted = []
    for part in request.headers.get("accept-language", "")[:200].split(","):
        # Blanks may stand around each part (RFC 9110, 5.6.6).
        name, _, quality = "".join(part.split()).partition(";q=")
        try:
            wanted.append((-float(quality or 1), name.split("-")[0].lower()))
        except ValueError:
            continue
    known = languages()
    for code in [*asked, *(name for _, name in sorted(wanted, key=lambda w: w[0]))]:
        if code in known:
            return words(code)
    return words(DEFAULT)


@cache
def named_languages() -> list[tuple[str, str]]:
    """Every language by its code, in its own words."""
    return [(code, words(code)("language.name")) for code in languages()]


def link(page_name: str, *parts: str, **query: Value) -> str:
    """The address of a page; the parts of its path, a key of several folders being one, and its query."""
    path = "/" + "/".join(quote(part, safe="/") for part in (page_name, *parts) if part)
    return _address(path, _pairs(query))


def _pairs(query: Mapping[str, Value]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        if isinstance(value, str | int):
            if value or value == 0:
                pairs.append((name, str(value)))
        else:
            pairs += [(name, one) for one in value or ()]
    return pairs


def _address(path: str, pairs: Sequence[tuple[str, str]]) -> str:
    return f"{path}?{urlencode(pairs)}" if pairs else path


@cache
def style() -> str:
    """The styles of all pages: the report's, then ours."""
    return page_style() + "\n" + asset("style.css")


@cache
def asset(name: str) -> str:
    """A file of this folder."""
    return files(PACKAGE).joinpath(name).read_text(encoding="utf-8")


@cache
def digest() -> str:
    """A digest of styles and script: another one, another address, so that browsers may keep them."""
    return sha256((style() + asset("live.js")).encode()).hexdigest()[:12]
