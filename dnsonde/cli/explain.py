"""`dnsonde explain`: how a detector works."""

import click


@click.command()
@click.argument("name", metavar="DETECTOR")
def explain(name: str) -> None:
    """Explain a detector.

    What it finds and why it matters, what looks like it and is not, its parameters and where its rule is from.
    """
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from dnsonde import watch
    from dnsonde.cli._terminal import console

    one = watch.detectors((name,))[name]
    out = console()
    article = "an" if one.subject_kind == "address" else "a"
    out.print(Text(f"{name}: {one.threat}, about {article} {one.subject_kind}", style="bold"))
    out.print()
    for paragraph in one.explanation.split("\n\n"):
        out.print(_prose(" ".join(paragraph.split())))
        out.print()
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


def _prose(text: str) -> object:
    """A paragraph of a docstring: `**words**` are bold."""
    from rich.text import Text

    parts = text.split("**")
    said = Text()
    for number, part in enumerate(parts):
        said.append(part, style="bold" if number % 2 else "")
    return said
