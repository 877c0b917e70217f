"""Options that several commands have, each with one meaning."""

from pathlib import Path

import click

BINARY = ("parquet", "pdf", "png")  # formats that are no text

home = click.option(
    "--home",
    "homes",
    multiple=True,
    metavar="PREFIX",
    help="Your network; may be repeated. As kept in a lake, or guessed, if not given.",
)
port = click.option(
    "--port",
    "ports",
    multiple=True,
    type=click.IntRange(1, 65_535),
    metavar="PORT",
    help="DNS is spoken on this port of the files too, not only on 53; may be repeated.",
)
output = click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path),
    callback=lambda _context, _option, path: None if path == Path("-") else path,
    help="Write to this file; `-` or none is stdout.",
)


def require_file(form: str, output: Path | None) -> None:
    """Refuse to write to standard output what is no text."""
    if output is None and form in BINARY:
        raise click.UsageError(f"{form} is no text: name a file with -o.")
