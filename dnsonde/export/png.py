"""The report as a picture."""

from typing import Annotated, BinaryIO

from dnsonde.lang.words import DEFAULT, words
from dnsonde.page.paper import write_png
from dnsonde.page.parts import alone
from dnsonde.view.view import View


def png(
    view: View, out: BinaryIO, *, lang: Annotated[str, "language of the texts: en, ja"] = DEFAULT
) -> None:
    """The report about a run or a lake as one PNG picture, its pages one below the other.

    Needs the extra `dnsonde[pdf]`.
    """
    write_png(alone(view, words(lang)), out)
