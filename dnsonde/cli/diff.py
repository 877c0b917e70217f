"""`dnsonde diff`: what changed between two runs."""

from pathlib import Path

import click

from dnsonde.choices import CHANGES
from dnsonde.cli import _groups, _options
from dnsonde.cli.show import FORMATS, LIMIT, run_export

COLUMNS = ("target", "change", "class_before", "class_after", "egress", "why")


@click.command()
@click.argument("before", metavar="RUN_A", type=click.Path(path_type=Path))
@click.argument("after", metavar="RUN_B", type=click.Path(path_type=Path))
@click.option("--list", "listed", is_flag=True, help="List every host that changed.")
@click.option(
    "--prefix", "prefixes", multiple=True, metavar="PREFIX", help="Only hosts in it; may be repeated."
)
@click.option("--format", "name", type=click.Choice(FORMATS), help="List the hosts, in this format.")
@_options.output
@click.option("--limit", type=click.IntRange(min=0), help=f"Rows of a table, 0 for all.  [default: {LIMIT}]")
@_groups.by_option
@click.option(
    "--fail-on",
    type=click.Choice(CHANGES),
    multiple=True,
    help="End with exit code 1 when there is such a change.",
)
def diff(
    before: Path,
    after: Path,
    prefixes: tuple[str, ...],
    name: str | None,
    output: Path | None,
    limit: int | None,
    by: str,
    fail_on: tuple[str, ...],
    *,
    listed: bool,
) -> int:
    """Tell what changed between two runs.

    Newly open, closed, and of another class, by prefix; or by system or country, where `dnsonde enrich` learned them.

    \b
    opened           resolves for strangers now, did not before
    closed           resolved for strangers before, does not now
    changed          another class, as open as it was
    appeared, gone   open, and asked in one of the two runs only
    """
    from dnsonde import look
    from dnsonde.cli import _summary
    from dnsonde.cli._terminal import console, ending
    from dnsonde.escape import typed
    from dnsonde.report import TARGET

    _options.require_other(output, before, after)
    shown = LIMIT if limit is None else limit or None
    found = look.difference(before, after, prefixes, by, shown)
    for folder in (before, after):
        said = look.unfinished(folder)
        _summary.unfinished(said and f"{folder}: {said}", folder, console(stderr=True))
    code = int(any(found.counts[change] for change in fail_on))
    with ending(code):
        if listed or name or output:
            run_export(found.hosts.order(TARGET), name or "table", output, COLUMNS, limit)
            return code
        out = console()
        if not found.total:
            out.print("Nothing changed.")
        else:
            out.print(", ".join(f"{found.counts[c]:,} {c}" for c in CHANGES if found.counts[c]) + ".")
            out.print(_groups.table(found.groups, by, CHANGES))
            out.print(f"Next: dnsonde diff {typed(before)} {typed(after)} --list", soft_wrap=True)
    return code
