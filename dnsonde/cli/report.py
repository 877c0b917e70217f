"""`dnsonde report`: a run, a lake, or both, to be read by people."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnsonde.cli import _look, _options, _progress
from dnsonde.escape import terminal

if TYPE_CHECKING:
    from dnsonde.cli._progress import Watch
    from dnsonde.page.parts import Part

FORMATS = ("html", "markdown", "pdf", "png")
BY_NAME = {".md": "markdown", ".markdown": "markdown", ".pdf": "pdf", ".png": "png"}


@click.command()
@click.argument("folders", metavar="RUN|LAKE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@_options.output
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="What to write.  [default: by the file's ending, else html]",
)
@click.option(
    "--since", type=click.Path(path_type=Path), metavar="RUN", help="Tell what changed since that run."
)
@click.option("--lang", metavar="CODE", default="en", show_default=True, help="Language: en or ja.")
@_options.home
@_look.fresh
@_progress.option
def report(
    folders: tuple[Path, ...],
    output: Path | None,
    form: str | None,
    since: Path | None,
    lang: str,
    homes: tuple[str, ...],
    mode: str,
    *,
    fresh: bool,
) -> None:
    """Write a report of a run, of a lake, or of one of each.

    One file with charts, the hosts to fix first, what was found and what to do about it, as configuration. The HTML
    fetches nothing and runs nothing. PDF and PNG need `pip install 'dnsonde[pdf]'`.

    \b
    dnsonde report runs/november -o report.html
    dnsonde report runs/november -o report.pdf --lang ja
    dnsonde report runs/november lake -o report.html --since runs/october
    """
    from dnsonde.export.markdown import write_markdown
    from dnsonde.lang.words import words
    from dnsonde.page.html import write_html
    from dnsonde.page.paper import write_pdf, write_png
    from dnsonde.page.parts import page
    from dnsonde.whole import target

    texts = words(lang)
    lakes = _checked(folders, since)
    chosen = form or BY_NAME.get(output.suffix.lower() if output else "", "html")
    _options.require_file(chosen, output)
    _options.require_other(output, *folders, *([since] if since else []))
    write = {"html": write_html, "markdown": write_markdown, "pdf": write_pdf, "png": write_png}[chosen]
    with _progress.watch(mode, _progress.reading) as watcher:
        parts = [
            _lake(f, homes, watcher, fresh=fresh) if lakes[f] else _run(f, since, homes) for f in folders
        ]
        with target(output or sys.stdout.buffer) as out:
            write(page(parts, texts), out)
    if output is not None:
        click.echo(f"Report: {terminal(str(output), keep='')}", err=True)


def _checked(folders: tuple[Path, ...], since: Path | None) -> dict[Path, bool]:
    """Which of the folders are lakes; UsageError where there is more than one of a kind."""
    from dnsonde.table.lake import is_lake

    lakes = {folder: is_lake(folder) for folder in folders}
    number = sum(lakes.values())
    if number > 1 or len(folders) - number > 1:
        raise click.UsageError("a report is of one run, of one lake, or of one of each.")
    if since is not None and number == len(folders):
        raise click.UsageError("--since compares runs: name the run that is to be reported, too.")
    return lakes


def _run(folder: Path, since: Path | None, homes: tuple[str, ...]) -> "Part":
    from dnsonde import look
    from dnsonde.table.prefix import prefixes

    return look.part(folder, since=since, home=prefixes(homes))


def _lake(folder: Path, homes: tuple[str, ...], watcher: "Watch", *, fresh: bool) -> "Part":
    """A lake, with its findings: those it keeps, or those that are looked for now."""
    from dnsonde.page.lake import Watching
    from dnsonde.page.parts import Part
    from dnsonde.view.open import open_view

    found = _look.of_lake(folder, homes, watcher, fresh=fresh)
    guessed = found.guessed.why if found.guessed else ""
    told = Watching(str(folder), tuple(map(str, found.home)), guessed, found.blind)
    return Part(open_view(folder, found.findings, found.home), told)
