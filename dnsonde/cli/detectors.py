"""`dnsonde detectors`: what is looked for."""

import click


@click.command()
def detectors() -> None:
    """List the detectors, and what each finds."""
    from rich.table import Table
    from rich.text import Text

    from dnsonde.cli._terminal import console
    from dnsonde.detect._about import about

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("detector", no_wrap=True)
    table.add_column("about", no_wrap=True)
    table.add_column("finds")
    for name, one in about().items():
        table.add_row(name, one.subject_kind, Text(one.explanation.partition("\n")[0]))
    out = console()
    out.print(table)
    out.print("\nMore: dnsonde explain NAME")
