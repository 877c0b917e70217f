"""A report as one HTML file: it fetches nothing, runs nothing, and its styles are the only ones its policy lets in."""

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import BinaryIO

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dnsonde.escape import terminal
from dnsonde.page.charts import svg
from dnsonde.page.content import Chart, Page

PACKAGE = "dnsonde.page"
PIECE = 16
LONG = re.compile(r"\S{32,}")


def write_html(page: Page, out: BinaryIO) -> None:
    """Write a page. What steers text (bidirectional overrides among it) shows as its number; all else is escaped."""
    style = page_style()
    digest = b64encode(sha256(style.encode()).digest()).decode()
    numbers: list[Chart] = []

    def numbered(chart: Chart) -> Markup:
        numbers.append(chart)
        return svg(chart, len(numbers))

    ours = Markup(style)  # noqa: S704 - a file of this package
    template = environment().get_template("page.html")
    pieces = template.stream(page=page, style=ours, digest=digest, svg=numbered)
    pieces.enable_buffering(64)
    out.writelines(piece.encode("utf-8", "replace") for piece in pieces)


@cache
def environment(package: str = PACKAGE) -> Environment:
    """Templates of a package, and those of this one: everything that they put out is made harmless, then escaped."""
    places = [PackageLoader(name, "") for name in dict.fromkeys((package, PACKAGE))]
    made = Environment(
        autoescape=True, finalize=_harmless, undefined=StrictUndefined, loader=ChoiceLoader(places)
    )
    made.filters["breakable"] = breakable
    return made


def _harmless(value: object) -> object:
    return terminal(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def breakable(value: object) -> object:
    """Text in which a browser may break words that no column has room for: one would push the others off the page."""
    text = _harmless(value)
    if not isinstance(text, str) or isinstance(text, Markup) or not LONG.search(text):
        return text
    # Escaped piece by piece: a reference is never broken.
    words = LONG.sub(lambda word: "\n".join(re.findall(f".{{1,{PIECE}}}", word[0])), text.replace("\n", " "))
    return Markup("<wbr>").join(words.split("\n"))


def page_style() -> str:
    """The styles of a page."""
    return files(PACKAGE).joinpath("page.css").read_text(encoding="utf-8").strip()
