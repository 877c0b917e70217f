"""Options that several commands have, each with one meaning."""

import os
from pathlib import Path

import click

from dnsonde.escape import terminal

BINARY = ("parquet", "pdf", "png")  # formats that are no text
OURS = ("lake.json", "state.json", "plan.toml", "scope.parquet")  # of a lake or a run, beside its tables

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


def require_other(output: Path | None, *read: str | Path) -> None:
    """Refuse to write over what is read: a file, or any below a folder; of a lake or a run what it consists of."""
    if output is None or not output.is_file():
        return
    place = Path(os.path.realpath(output))
    for one in read:
        whole = Path(os.path.realpath(one))
        part = whole in place.parents
        if part and any((whole / name).is_file() for name in OURS):  # a report may lie in there
            table = place.suffix == ".parquet" and place.parent != whole
            part = table or (place.parent == whole and place.name in OURS)
        if part or place == whole:
            raise click.UsageError(f"{terminal(str(output))} is what is read: name another file with -o.")
