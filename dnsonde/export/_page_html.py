"""A report as one HTML file: it fetches nothing, runs nothing, and its styles are the only ones its policy lets in."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import BinaryIO

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from dnsonde.escape import terminal
from dnsonde.export._charts import svg
from dnsonde.export._page import Chart, Page

PACKAGE = "dnsonde.export"


def write_html(page: Page, out: BinaryIO) -> None:
    """Write a page. What steers text (bidirectional overrides among it) shows as its number; all else is escaped."""
    style = _text("_page.css")
    digest = b64encode(sha256(style.encode()).digest()).decode()
    numbers: list[Chart] = []

    def numbered(chart: Chart) -> Markup:
        numbers.append(chart)
        return svg(chart, len(numbers))

    ours = Markup(style)  # noqa: S704 - a file of this package
    template = _environment().from_string(_text("_page.html"))
    pieces = template.stream(page=page, style=ours, digest=digest, svg=numbered)
    pieces.enable_buffering(64)
    out.writelines(piece.encode("utf-8", "replace") for piece in pieces)


@cache
def _environment() -> Environment:
    # Everything that a template puts out goes through `finalize`, then through the escaping.
    return Environment(autoescape=True, finalize=_harmless, undefined=StrictUndefined, trim_blocks=False)


def _harmless(value: object) -> object:
    return terminal(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _text(name: str) -> str:
    return files(PACKAGE).joinpath(name).read_text(encoding="utf-8").strip()
