"""`dnsonde export`: a run or a lake in the formats that others read."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnsonde.cli import _look, _options, _progress
from dnsonde.registry import names

if TYPE_CHECKING:
    from types import FunctionType

    from dnsonde.cli._progress import Watch
    from dnsonde.view.view import View

FORMATS = [name.replace("_", "-") for name in names("dnsonde.export")]


def _list(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    """Tell of each format what it writes and what can be set, and end."""
    if not wanted or ctx.resilient_parsing:
        return
    import inspect

    from rich.padding import Padding
    from rich.text import Text

    from dnsonde.cli._terminal import console
    from dnsonde.settings import parameters
    from dnsonde.write import forms

    out = console()
    for name, form in forms().items():
        out.print(Text(name, style="bold"))
        told = [" ".join(part.split()) for part in (inspect.getdoc(form) or "").split("\n\n")]
        told += [f"--set {one.name}={one.default}  {one.meaning}" for one in parameters(form)]
        for text in told:
            out.print(Padding(Text(text), (0, 0, 0, 4)))
        out.print()
    ctx.exit()


@click.command()
@click.argument("folder", metavar="RUN|LAKE", type=click.Path(path_type=Path))
@click.option("--format", "name", type=click.Choice(FORMATS), required=True, help="What to write.")
@_options.output
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set something of the format.")
@click.option("--table", metavar="NAME", help="Of csv, json, jsonl, parquet, table: the table.  [default: verdict of a "
              "run, finding of a lake]")  # fmt: skip
@_options.home
@click.option(
    "--mail",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Of xarf: also write each report as a mail (.eml) to its abuse contact. Nothing is sent.",
)
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list,
    help="Say what the formats write and what can be set.",
)  # fmt: skip
@_look.fresh
@_progress.option
def export(
    folder: Path,
    name: str,
    output: Path | None,
    settings: tuple[str, ...],
    table: str | None,
    homes: tuple[str, ...],
    mail: Path | None,
    mode: str,
    *,
    fresh: bool,
) -> None:
    """Write a run or a lake in a format that others read.

    Of a run, hosts are written; of a lake, what was found in it. `dnsonde export --list` tells of each format what it
    is and what can be set; whose the addresses are comes from `dnsonde enrich`.
    """
    from dnsonde.settings import checked, parameters
    from dnsonde.write import form_of, takes_view, write_view

    form = form_of(name)
    _options.require_file(name, output)
    _options.require_other(output, folder)
    if mail is not None and name != "xarf":
        raise click.UsageError("--mail goes with --format xarf.")
    chosen = checked(f"the format {name}", parameters(form), _settings(settings))
    if takes_view(form) and table is not None:
        raise click.UsageError(f"{name} is of a whole run or lake, not of one --table.")
    with _progress.watch(mode, _progress.reading) as watcher:
        looks = takes_view(form) or table in {None, "finding"}
        view = _view(folder, homes, watcher, looks=looks, fresh=fresh)
        if takes_view(form):
            write_view(form, view, output or sys.stdout.buffer, chosen)
        else:
            _write_rows(form, view, table, output)
        if mail is not None:
            _write_mails(view, chosen, mail, watcher)


def _view(folder: Path, homes: tuple[str, ...], watcher: "Watch", *, looks: bool, fresh: bool) -> "View":
    """The run or lake, a lake with the findings that it keeps or that are looked for now."""
    from dnsonde.table.lake import is_lake
    from dnsonde.table.prefix import prefixes
    from dnsonde.view.open import open_view

    home = prefixes(homes)
    findings = None
    if looks and is_lake(folder):
        found = _look.of_lake(folder, homes, watcher, fresh=fresh)
        findings, home = found.findings, found.home
        if found.guessed is not None:
            told = ", ".join(map(str, home)) or "nothing"
            are = "are" if len(home) > 1 else "is"
            watcher.say(f"No --home was given: {told} {are} taken for home, since {found.guessed.why}.")
    return open_view(folder, findings, home, lambda sentence: watcher.say(f"Note: {sentence}."))


def _write_rows(form: "FunctionType", view: "View", table: str | None, output: Path | None) -> None:
    from dnsonde.table.finding import written
    from dnsonde.view.open import table_rows
    from dnsonde.whole import target

    chosen = table or ("verdict" if view.kind == "run" else "finding")
    rows = written(view.findings) if chosen == "finding" else table_rows(view, chosen)
    with target(output or sys.stdout.buffer) as out:
        form(rows, out)


def _write_mails(view: "View", chosen: dict[str, Any], folder: Path, watcher: "Watch") -> None:
    from dataclasses import replace

    from dnsonde.cli._terminal import counted
    from dnsonde.export.xarf import reports
    from dnsonde.mail import write_mails

    of_whom = {"org": "", "contact": ""} | chosen
    told = replace(view, warn=lambda _: None)  # it was said when they were written
    written, left = write_mails(reports(told, **of_whom), folder)
    watcher.say(f"{counted(written, 'mail is', 'mails are')} in {folder}; nothing was sent.")
    if left:
        lacking = counted(left, "report has", "reports have")
        watcher.say(f"{lacking} no abuse contact: `dnsonde enrich` learns it from an RDAP or IRR cache.")


def _settings(texts: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (equals and key):
            raise click.UsageError(f"--set takes NAME=VALUE, not {text!r}.")
        found[key] = value
    return found
