"""A report on paper: the HTML laid out in pages by WeasyPrint, drawn by PDFium where pictures are wanted."""

import io
import warnings
from typing import TYPE_CHECKING, Any, BinaryIO

from dnsonde.errors import UsageError
from dnsonde.extra import library
from dnsonde.page.content import Page
from dnsonde.page.html import write_html

if TYPE_CHECKING:
    from PIL.Image import Image

EXTRA = "pdf"
PANGO = "on Debian, `apt-get install libpango-1.0-0 libpangoft2-1.0-0`"
DOTS = 96  # an inch of a picture
PAGES = 60  # of a picture, at most: more is taller than others' software reads


def write_pdf(page: Page, out: BinaryIO, form: str = "pdf") -> None:
    """Write a page as PDF, with its sections as bookmarks. SystemRefusal where a library is missing."""
    weasyprint = library("weasyprint", form, EXTRA, PANGO)
    whole = io.BytesIO()
    write_html(page, whole)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries, about themselves
        document = weasyprint.HTML(string=whole.getvalue().decode(), url_fetcher=_nothing, base_url=None)
        document.write_pdf(out, pdf_tags=True)


def write_png(page: Page, out: BinaryIO) -> None:
    """Write a page as one PNG, its sheets one below the other. UsageError for a report that is too long for that."""
    pdfium = library("pypdfium2", "png", EXTRA)
    images = library("PIL.Image", "png", EXTRA)
    whole = io.BytesIO()
    write_pdf(page, whole, "png")
    document = pdfium.PdfDocument(whole.getvalue())
    try:
        number = len(document)
        if number > PAGES:
            raise UsageError(
                f"the report has {number} pages, and a picture room for {PAGES}: use --format pdf, or html"
            )
        sheets = [document[at].render(scale=DOTS / 72).to_pil() for at in range(number)]
    finally:
        document.close()
    _below_each_other(sheets, images).save(out, "PNG", optimize=True)


def _below_each_other(sheets: "list[Image]", images: Any) -> "Image":
    width = max(sheet.width for sheet in sheets)
    whole: Image = images.new("RGB", (width, sum(sheet.height for sheet in sheets)), "white")
    at = 0
    for sheet in sheets:
        whole.paste(sheet, (0, at))
        at += sheet.height
    return whole.quantize(64)  # charts and letters: a quarter of the octets


def _nothing(url: str, *_more: Any, **_settings: Any) -> dict[str, Any]:
    """Whatever a stranger's text would have fetched."""
    raise ValueError(f"nothing is fetched: {url}")
