"""`dnsonde formats`: what can be read."""

import click


@click.command()
def formats() -> None:
    """List the formats that can be read."""
    from dnsonde.cli._terminal import console, show_list
    from dnsonde.formats import _reading

    out = console()
    told = ((name, ", ".join(one.tables), one.title) for name, one in _reading.formats().items())
    show_list(out, ("format", "tables", "what it is"), told)
    out.print(
        "\nEach may be compressed: gzip, zstd, xz, lz4 or bzip2. A file's format is told by its content."
    )
