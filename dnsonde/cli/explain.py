"""`dnsonde explain`: how a detector works, and what to do about what it finds."""

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

PART = re.compile(r"\*\*(.+?)\*\* *(.*)", re.DOTALL)  # of a docstring: what it is about, and its text


@click.command()
@click.argument("name", metavar="DETECTOR")
def explain(name: str) -> None:
    """Explain a detector.

    What it finds and why it matters, what looks like it and is not, what to do about it, its parameters and where its
    rule is from.
    """
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from dnsonde.cli._terminal import console
    from dnsonde.findings.about import about, require_detectors

    require_detectors((name,))
    one = about()[name]
    out = console()
    article = "an" if one.subject_kind == "address" else "a"
    out.print(Text(f"{name}: {one.threat}, about {article} {one.subject_kind}", style="bold"))
    out.print()
    for paragraph in one.explanation.split("\n\n"):
        text = " ".join(paragraph.split())
        part = PART.fullmatch(text)
        if part is None:
            out.print(Text(text))
        else:
            out.print(Text(part[1], style="bold"))
            out.print(Padding(Text(part[2]), (0, 0, 0, 2)))
        out.print()
    _advise(name, out)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("parameter", no_wrap=True)
    table.add_column("default", justify="right", no_wrap=True)
    table.add_column("what it means")
    for parameter in one.parameters:
        default = str(parameter.default) if parameter.default != "" else "-"
        table.add_row(parameter.name, default, Text(parameter.meaning))
    if one.parameters:
        out.print(table)
        out.print(
            f"\nSet one: dnsonde detect FILES --set {name}.{one.parameters[0].name}=VALUE\n", soft_wrap=True
        )
    out.print(Text("References", style="bold"))
    for reference in one.references:
        out.print(Padding(Text(reference), (0, 0, 0, 2)))


def _advise(name: str, out: "Console") -> None:
    """What to do, by one software; of the firewall, if it has a part in it, since everybody has one."""
    from rich.padding import Padding
    from rich.text import Text

    from dnsonde.intel.remedies import remedies
    from dnsonde.lang.words import DEFAULT, words

    known, texts = remedies(), words(DEFAULT)
    measure = known.of_detector(name)
    if measure is None:
        return
    out.print(Text("What to do", style="bold"))
    title, why = (texts(f"measure.{measure.name}.{part}") for part in ("title", "why"))
    out.print(Padding(Text(f"{title}. {why}"), (0, 0, 0, 2)))
    shown = next((r for r in measure.remedy if r.software == "firewall"), measure.remedy[0])
    software = known.title(shown.software)
    out.print(Padding(Text(f"{software.title}, {software.place}:"), (1, 0, 0, 2)))
    for line in shown.config.strip().splitlines():
        out.print(Text(f"    {line}"), soft_wrap=True)
    others = ", ".join(known.title(r.software).title for r in measure.remedy if r is not shown)
    if others:
        out.print(Padding(Text(f"A report (dnsonde report LAKE) has it for {others}, too."), (1, 0, 0, 2)))
    out.print()
