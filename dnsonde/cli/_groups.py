"""Tables by prefix, autonomous system or country."""

from typing import TYPE_CHECKING, Any

import click

from dnsonde.escape import terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

SAID = {"prefix": "prefix", "asn": "autonomous system", "country": "country"}
CHOICES = click.Choice(tuple(SAID))

by_option = click.option(
    "--by",
    type=CHOICES,
    default="prefix",
    show_default=True,
    help="Count by prefix (/24, /48), or by what `dnsonde enrich` learned: asn, country.",
)


def table(rows: "Sequence[dict[str, Any]]", by: str, names: "Sequence[str]") -> "Table":
    """Groups with their numbers, one a line; a number of nothing is a dash."""
    from rich.table import Table
    from rich.text import Text

    listed = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    listed.add_column(SAID[by], overflow="fold")
    for name in names:
        listed.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        listed.add_row(Text(terminal(row["group"], keep="")), *(_said(row[name]) for name in names))
    return listed


def _said(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}-fold"
    return f"{value:,}" if value else "-"
