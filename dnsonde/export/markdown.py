"""The report as Markdown, for wikis and tickets: charts become their tables."""

import re
from html import escape
from typing import Annotated, BinaryIO

from dnsonde.escape import terminal
from dnsonde.lang.words import DEFAULT, words
from dnsonde.page.content import Block, Cell, Chart, Code, Figures, Fold, Link, Page, Para, Sides, Table
from dnsonde.page.parts import alone
from dnsonde.view.view import View

SIGNS = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


def markdown(
    view: View, out: BinaryIO, *, lang: Annotated[str, "language of the texts: en, ja"] = DEFAULT
) -> None:
    """The report about a run or a lake as Markdown, with tables in place of charts."""
    write_markdown(alone(view, words(lang)), out)


def write_markdown(page: Page, out: BinaryIO) -> None:
    """Write a page; every sign that means something in Markdown or HTML is written as itself."""
    lines = [f"# {_plain(page.title)}", "", _plain(page.subtitle), ""]
    for section in page.sections:
        lines += [f"## {_plain(section.title)}", ""]
        for block in section.blocks:
            lines += _lines(block, page)
    lines += ["---", "", _plain(page.labels["made"])]
    out.write(("\n".join(lines) + "\n").encode("utf-8", "replace"))


def _lines(block: Block, page: Page) -> list[str]:
    if isinstance(block, Para):
        return [f"**{_plain(block.text)}**" if block.kind == "lead" else _plain(block.text), ""]
    if isinstance(block, Figures):
        return [*(f"- **{_plain(number)}** {_plain(label)}" for number, label in block.items), ""]
    if isinstance(block, Code):
        # Our own data, which no stranger's text is put into.
        source = f"{page.labels['source']}: {block.source}"
        return [f"#### {_plain(block.title)}", "", "```", block.text, "```", "", _plain(source), ""]
    if isinstance(block, Chart):
        return [f"**{_plain(block.title)}** {_plain(block.tells)}", "", *_table(block.table)]
    if isinstance(block, Sides):
        lines = []
        for title, blocks in (block.left, block.right):
            lines += [f"### {_plain(title)}", "", *(line for inner in blocks for line in _lines(inner, page))]
        return lines
    if isinstance(block, Fold):
        inside = [line for inner in block.blocks for line in _lines(inner, page)]
        return [f"### {_plain(block.title)}", "", *inside]
    return _table(block)


def _table(table: Table) -> list[str]:
    marks = ["---:" if letter == "r" else "---" for letter in table.align]
    return [
        f"*{_plain(table.caption)}*",
        "",
        "| " + " | ".join(map(_plain, table.head)) + " |",
        "|" + "|".join(marks) + "|",
        *("| " + " | ".join(map(_cell, row)) + " |" for row in table.rows),
        "",
    ]


def _cell(cell: Cell) -> str:
    return _plain(cell.text if isinstance(cell, Link) else cell)


def _plain(text: str) -> str:
    return SIGNS.sub(r"\\\1", escape(terminal(text, keep=""), quote=False))
