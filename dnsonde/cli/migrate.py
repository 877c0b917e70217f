"""`dnsonde migrate`: bring an older lake or run to the version that this dnsonde reads."""

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="RUN|LAKE", type=click.Path(path_type=Path))
def migrate(folder: Path) -> None:
    """Bring an older version's run or lake to this one.

    Needed only where another command says so. Files are rewritten in their place, one after the other; stopped half
    way, the same command goes on. An older dnsonde does not read it any more: keep a copy if you need one.
    """
    from dnsonde.cli._terminal import counted
    from dnsonde.table.migrate import migrate as bring

    rewritten = bring(folder)
    done = f": {counted(rewritten, 'file', 'files')} rewritten." if rewritten else " is of this version."
    click.echo(f"{folder}{done}")
