"""The report on paper and as a picture, read back by PDFium: nothing is fetched, no name does anything."""

import io
import sys
from collections.abc import Callable

import pypdfium2
import pytest
from PIL import Image

from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.export.pdf import pdf
from dnsonde.lang.words import words
from dnsonde.page import paper
from dnsonde.page.content import Page, Para, Section
from dnsonde.page.paper import write_pdf, write_png
from dnsonde.page.parts import alone
from dnsonde.view.view import View

HOSTILE = '<img src="http://192.0.2.1/x.png"><script>alert(1)</script> \u202egnp.x'


def page(*texts: str) -> Page:
    labels = {key: words()(f"page.{key}") for key in ("contents", "table", "source", "made")}
    return Page("en", "A report", HOSTILE, (Section("one", "One", tuple(Para(t) for t in texts)),), labels)


def texts(octets: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(octets)
    return [document[number].get_textpage().get_text_range() for number in range(len(document))]


def written(write: Callable[..., None], *arguments: object, **settings: object) -> bytes:
    out = io.BytesIO()
    write(*arguments, out, **settings)
    return out.getvalue()


def test_a_run_is_a_pdf_with_text_and_charts(run: View) -> None:
    octets = written(pdf, run, lang="ja")
    assert octets.startswith(b"%PDF-")
    whole = "".join(texts(octets))
    assert "192.0.2.1" in whole
    assert words("ja")("run.title") in whole
    assert pypdfium2.PdfDocument(octets).get_metadata_dict()["Title"] == alone(run, words("ja")).title


def test_what_strangers_wrote_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(paper, "_nothing", lambda url, *_: fetched.append(url))
    whole = " ".join(texts(written(write_pdf, page(HOSTILE)))[0].split())
    assert '<img src="http://192.0.2.1/x.png"><script>' in whole
    assert r"\u202egnp.x" in whole
    assert fetched == []


def test_nothing_is_ever_fetched() -> None:
    with pytest.raises(ValueError, match="nothing is fetched"):
        paper._nothing("http://192.0.2.1/")


def test_a_picture_holds_the_pages_below_each_other() -> None:
    picture = Image.open(io.BytesIO(written(write_png, page(*["A sentence of some words."] * 60))))
    single = round(297 / 25.4 * 96)
    assert picture.format == "PNG"
    assert picture.width == pytest.approx(210 / 25.4 * 96, abs=2)
    assert picture.height % single < 8
    assert picture.height > single
    assert len(picture.convert("L").getcolors() or []) > 2


def test_a_report_too_long_for_a_picture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "PAGES", 0)
    with pytest.raises(UsageError, match="use --format pdf"):
        written(write_png, page("x"))


@pytest.mark.parametrize(("write", "missing"), [(write_pdf, "weasyprint"), (write_png, "pypdfium2")])
def test_a_missing_library_is_named(
    write: Callable[..., None], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SystemRefusal, match=r"pip install 'dnsonde\[pdf\]'"):
        written(write, page("x"))


def test_a_missing_pango_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> None:
        raise OSError(f"cannot load library {name}")

    monkeypatch.setattr("dnsonde.extra.import_module", load)
    with pytest.raises(SystemRefusal, match="apt-get install libpango"):
        written(write_pdf, page("x"))
