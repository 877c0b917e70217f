"""The report as one HTML file."""

from typing import Annotated, BinaryIO

from dnsonde.lang.words import DEFAULT, words
from dnsonde.page.html import write_html
from dnsonde.page.parts import alone
from dnsonde.view.view import View


def html(
    view: View, out: BinaryIO, *, lang: Annotated[str, "language of the texts: en, ja"] = DEFAULT
) -> None:
    """The report about a run or a lake, one HTML file that fetches nothing and runs nothing.

    `dnsonde report` makes it too, of a run and a lake together, with what changed since another run.
    """
    write_html(alone(view, words(lang)), out)
