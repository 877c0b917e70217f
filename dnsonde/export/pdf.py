"""The report as PDF."""

from typing import Annotated, BinaryIO

from dnsonde.export._contract import View
from dnsonde.export._page_print import write_pdf
from dnsonde.export._page_whole import alone
from dnsonde.lang.words import DEFAULT, words


def pdf(
    view: View, out: BinaryIO, *, lang: Annotated[str, "language of the texts: en, ja"] = DEFAULT
) -> None:
    """The report about a run or a lake as PDF, in pages to print and to file, with bookmarks and tags.

    Needs the extra `dnsonde[pdf]`.
    """
    write_pdf(alone(view, words(lang)), out)
