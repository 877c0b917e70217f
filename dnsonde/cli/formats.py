"""`dnsonde formats`: what can be read."""

import click


@click.command()
def formats() -> None:
    """List the formats that can be read."""
    from rich.table import Table

    from dnsonde import take
    from dnsonde.cli._terminal import console

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("format", "tables", "what it is"):
        table.add_column(name, no_wrap=name != "what it is")
    for name, one in take.formats().items():
        table.add_row(name, ", ".join(one.tables), one.title)
    out = console()
    out.print(table)
    out.print(
        "\nEach may be compressed: gzip, zstd, xz, lz4 or bzip2. A file's format is told by its content."
    )
