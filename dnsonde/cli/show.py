"""`dnsonde show`: look at a run, or at what was found in a lake."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnsonde.cli import _options
from dnsonde.cli._groups import CHOICES

if TYPE_CHECKING:
    from dnsonde.table.rows import Relation

FORMATS = ("table", "jsonl", "csv", "parquet")
COLUMNS = (
    "target",
    "class",
    "subclass",
    "egress",
    "responder",
    "amplification",
    "why",
)  # that a screen has room for
OWNER = ("asn", "country")  # shown where `dnsonde enrich` learned them
LIMIT = 50


@click.command()
@click.argument("folder", metavar="RUN|LAKE", type=click.Path(path_type=Path))
@click.option(
    "--class", "classes", multiple=True, metavar="CLASS", help="Only hosts of this class; may be repeated."
)
@click.option(
    "--prefix", "prefixes", multiple=True, metavar="PREFIX", help="Only hosts in it; may be repeated."
)
@click.option("--open", "only_open", is_flag=True, help="Only hosts that resolve for strangers.")
@click.option("--format", "name", type=click.Choice(FORMATS), help="List the hosts, in this format.")
@_options.output
@click.option("--limit", type=click.IntRange(min=0), help=f"Rows of a table, 0 for all.  [default: {LIMIT}]")
@click.option("--by", type=CHOICES, help="Count hosts, or a lake's findings, by prefix, asn or country.")
def show(
    folder: Path,
    classes: tuple[str, ...],
    prefixes: tuple[str, ...],
    name: str | None,
    output: Path | None,
    limit: int | None,
    by: str | None,
    *,
    only_open: bool,
) -> None:
    """Show a run's summary or hosts, or a lake's findings.

    With a class, a prefix, --open or a format the hosts are listed, one a row, with the sentence that says why, and
    whose they are where `dnsonde enrich` learned it. With --by they are counted, and so are a lake's findings, by whose
    their subject is.
    """
    from dnsonde.table.lake import is_lake

    _options.require_other(output, folder)
    if by and (name or output):
        raise click.UsageError("--by counts, and --format and -o list one by one: leave one of them out.")
    if is_lake(folder):
        if classes or prefixes or only_open:
            raise click.UsageError("--class, --prefix and --open choose hosts of a run, and this is a lake.")
        _lake(folder, name or "table", output, limit, by)
        return
    from dnsonde import look, report
    from dnsonde.cli import _groups, _summary
    from dnsonde.cli._terminal import console
    from dnsonde.view.open import with_owners

    if not (classes or prefixes or name or only_open or by or output):
        measured, truth = look.at(folder)
        out = console()
        _summary.show(measured, out, truth)
        return
    tables = look.judged(folder)
    _summary.unfinished(look.unfinished(folder), folder, console(stderr=True))
    chosen = report.select(tables["verdict"], classes, prefixes)
    if only_open:
        chosen = chosen.filter("open")
    if by:
        most = LIMIT if limit is None else limit or None
        counted = look.groups(folder, chosen, tables["enrichment"], by, most)
        names = ("hosts", "answered", "open", "strongest")
        console().print(_groups.table(counted, by, names))
        return
    if not len(chosen) and not output:
        console(stderr=True).print("No host of this run is as you asked.")
    chosen = with_owners(chosen, tables)
    known = tuple(column for column in OWNER if column in chosen.columns)
    run_export(chosen, name or "table", output, (COLUMNS[0], *known, *COLUMNS[1:]), limit)


def _lake(folder: Path, name: str, output: Path | None, limit: int | None, by: str | None) -> None:
    """The findings that a lake keeps, one by one or counted."""
    from dnsonde import watch
    from dnsonde.cli import _findings, _groups
    from dnsonde.cli._terminal import console
    from dnsonde.errors import RunError
    from dnsonde.escape import typed

    _options.require_file(name, output)
    found = watch.kept(folder)
    if found is None:
        raise RunError(
            f"nobody has looked for threats in {folder} as it is now: `dnsonde detect {typed(folder)}` does, and keeps "
            "them"
        )
    most = LIMIT if limit is None else limit
    if by is None:
        _findings.tell(found, name, output, most, folder)
        return
    from dnsonde.view.open import open_view
    from dnsonde.view.whose import SERIOUS, groups, require_owners

    require_owners(by, folder)
    counted = groups(open_view(folder, found.findings).incidents(), by)
    console().print(_groups.table(counted[: most or None], by, ("subjects", "findings", *SERIOUS)))


def run_export(
    relation: "Relation", name: str, output: Path | None, columns: tuple[str, ...], limit: int | None
) -> None:
    """Write a relation's rows in a format, to a file or to stdout; a table has only `columns`."""
    from dnsonde import look

    _options.require_file(name, output)
    most = LIMIT if limit is None and name == "table" and output is None else limit
    left = look.export(
        relation, name, output or sys.stdout.buffer, columns if name == "table" else (), most or None
    )
    if left:
        click.echo(f"... and {left:,} more: --limit 0 shows all, --format csv -o FILE keeps them.", err=True)
