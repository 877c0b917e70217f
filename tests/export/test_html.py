"""The report: what it says, that it stands alone, and that no stranger's name does anything in it."""

import base64
import hashlib
import io
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from dnsonde.escape import terminal
from dnsonde.export.html import html
from dnsonde.export.markdown import markdown
from dnsonde.lang.words import words
from dnsonde.page.html import breakable, write_html
from dnsonde.page.lake import Watching
from dnsonde.page.parts import Part, alone, page
from dnsonde.page.run import Before, Measurement
from dnsonde.view.view import View
from tests.export.views import HOSTILE, finding, host, make_view, message

STEERS = {"\u202e", "\u202c", "\x1b", "\x9b"}
NEST = {
    "svg",
    "table",
    "details",
    "figure",
    "section",
    "ul",
    "main",
    "nav",
    "p",
    "pre",
    "td",
    "th",
    "tr",
    "g",
}


class Reader(HTMLParser):
    """Elements, their attributes, ids, links and text; and whether all that opens closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        if tag in NEST:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in NEST:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def made(view: View, lang: str = "en") -> str:
    out = io.BytesIO()
    html(view, out, lang=lang)
    return out.getvalue().decode()


def wrote(*parts: Part, lang: str = "en") -> str:
    out = io.BytesIO()
    write_html(page(parts, words(lang)), out)
    return out.getvalue().decode()


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("kind", ["run", "lake"])
def test_it_stands_alone_and_runs_nothing(kind: str, lang: str, request: pytest.FixtureRequest) -> None:
    text = made(request.getfixturevalue(kind), lang)
    read = Reader(text)
    assert read.open == []
    assert not set(read.tags) & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert not [name for name in read.attributes if name.startswith("on") or name == "style"]
    assert all(link.startswith("#") for link in read.links)
    assert {link[1:] for link in read.links} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))
    assert f'lang="{lang}"' in text


def test_only_its_own_style_is_let_in(run: View) -> None:
    text = made(run)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in text
    assert "url(" not in style[1]
    assert "@import" not in style[1]


@pytest.mark.parametrize("kind", ["run", "lake"])
def test_every_chart_is_told_to_those_who_do_not_see_it(kind: str, request: pytest.FixtureRequest) -> None:
    text = made(request.getfixturevalue(kind))
    charts = re.findall(r'<figure class="chart">.*?</figure>', text, re.DOTALL)
    assert charts
    for chart in charts:
        assert re.search(r'role="img" aria-labelledby="(c\d+)t \1d"', chart)
        assert re.search(r'<title id="c\d+t">[^<]+</title><desc id="c\d+d">[^<]+</desc>', chart)
        assert "<caption>" in chart


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_inert(name: str) -> None:
    evidence = {
        "template": name,
        "campaign": name,
        "targets": 3,
        "answered": 2,
        "resolved": 1,
        "vector": name,
    }
    lake = make_view(
        findings=[finding("probing_campaign", name, "domain", severity="high", evidence=evidence, title=name),
                  finding("random_subdomain", name, "domain", evidence=evidence, summary=name)],
        messages=[message("198.51.100.1", "192.0.2.1", name)],
    )  # fmt: skip
    run = make_view(
        "run", hosts=[host("192.0.2.1", why=name, egress="198.51.100.9"), host("192.0.2.2", name)]
    )
    told = Measurement(name, delegated=True, finished=True, facts=(("contact", name),))
    text = wrote(Part(run, told), Part(lake, Watching(name)))
    read = Reader(text)
    assert read.open == []
    assert "script" not in read.tags
    assert not set(text) & STEERS
    assert "<script" not in text
    out = io.BytesIO()
    markdown(lake, out)
    assert not set(out.getvalue().decode()) & STEERS
    assert b"<script" not in out.getvalue()
    assert b"&lt;script&gt;" in out.getvalue() or "script" not in name


def test_a_run_says_what_matters(run: View) -> None:
    read = Reader(made(run))
    assert "3 of 5 addresses resolve names for strangers (60.0 %)." in read.text
    assert "192.0.2.0/24" in read.text
    assert "2001:db8::/48" in read.text
    assert "allow-recursion { own; };" in read.text
    assert "198.51.100.9" in read.text


def test_a_lake_says_what_matters(lake: View) -> None:
    read = Reader(made(lake))
    assert "findings" in read.text
    assert "secshow.net" in read.text
    assert "amplification" in read.text
    for remedy in ("response-policy", "set infected4", "synth-from-dnssec"):
        assert remedy in read.text


def test_an_attack_tells_from_how_many_it_came() -> None:
    told = {"protocol": "dns", "reflectors": 4321}
    lake = make_view(findings=[finding("amplification", "192.0.2.10", "address", evidence=told)])
    table = made(lake).partition(">sources<")[2].partition("</table>")[0]
    assert ">4,321<" in table


def test_both_views_stand_side_by_side(run: View) -> None:
    lake = make_view(
        messages=[
            message("198.51.100.1", "192.0.2.1", "a.example", src_port=40000, dst_port=53, response=False)
        ],
        findings=[finding("open_resolver", "192.0.2.1", "address")],
    )
    before = Before("runs/old", {"opened": 2, "closed": 1, "changed": 0, "appeared": 0, "gone": 0}, [])
    told = Measurement("new", delegated=False, finished=False, before=before)
    read = Reader(wrote(Part(run, told), Part(lake, Watching("lake"))))
    assert "Both views side by side" in read.text
    assert "Since runs/old, 2 hosts became open and 1 was closed." in read.text
    assert "not finished" in read.text


def test_what_is_open_has_one_colour_and_nothing_else_has_it(run: View) -> None:
    groups = [{"group": "192.0.2.0/24", "opened": 2, "closed": 1, "changed": 0, "appeared": 0, "gone": 0}]
    before = Before("old", {"opened": 2, "closed": 1, "changed": 0, "appeared": 0, "gone": 0}, groups)
    text = wrote(Part(run, Measurement("new", delegated=True, finished=True, before=before)))
    legend = re.findall(
        r'height="12.0" fill="(#\w+)"></rect>(?:<path [^>]*/>)?<text[^>]*>([^<]*)</text>', text
    )
    red = dict(map(reversed, legend))["open"]
    assert {name for colour, name in legend if colour == red} == {"open", "opened"}


def test_empty_results_are_a_page_that_says_so() -> None:
    assert "No address has a verdict yet" in made(make_view("run"))
    assert "There is no traffic in this lake." in made(make_view())
    closed = make_view("run", hosts=[host("192.0.2.3", "silent", open=False)])
    assert "None of 1 addresses" in made(closed)


def test_times_that_no_calendar_has_are_no_error() -> None:
    far = finding(
        "flood", "192.0.2.1", "address", first_seen=-(2**62), last_seen=2**62, evidence={"vector": "syn"}
    )
    assert "9999" in made(make_view(findings=[far]))


def test_it_does_not_grow_with_what_is_in_it() -> None:
    long = "x" * 5000
    lake = make_view(
        findings=[
            finding("dns_tunnel", f"{n}.{long}", "domain", severity="high", title=long, summary=long,
                    evidence={f"{key}": long for key in range(60)})
            for n in range(3000)
        ]
    )  # fmt: skip
    assert len(made(lake)) < 1_000_000


def test_markdown_has_the_same_sections(run: View) -> None:
    out = io.BytesIO()
    markdown(run, out)
    text = out.getvalue().decode()
    sections = alone(run, words("en")).sections
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == [s.title for s in sections]
    assert "| 192.0.2.1 |" in text


def test_the_template_lets_nothing_out_unescaped() -> None:
    folder = Path(__file__).parents[2] / "dnsonde/page"
    assert "|safe" not in (folder / "page.html").read_text().replace(" ", "")


@given(st.text(st.sampled_from("ab<&\"' \n\u202eä"), max_size=120))
def test_a_long_word_may_be_broken_and_is_the_same_word(text: str) -> None:
    shown = str(escape(breakable(text)))
    pieces = shown.split("<wbr>")
    assert all(piece == escape(unescape(piece)) for piece in pieces)
    told = " ".join(unescape("".join(pieces)).split())
    assert told == " ".join(terminal(text).split())
    longest = max((len(unescape(word)) for piece in pieces for word in piece.split()), default=0)
    assert longest < 32
