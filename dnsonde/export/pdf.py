"""The report as PDF."""

from typing import Annotated, BinaryIO

from dnsonde.lang.words import DEFAULT, words
from dnsonde.page.paper import write_pdf
from dnsonde.page.parts import alone
from dnsonde.view.view import View


def pdf(
    view: View, out: BinaryIO, *, lang: Annotated[str, "language of the texts: en, ja"] = DEFAULT
) -> None:
    """The report about a run or a lake as PDF, in pages to print and to file, with bookmarks and tags.

    Needs the extra `dnsonde[pdf]`.
    """
    write_pdf(alone(view, words(lang)), out)
