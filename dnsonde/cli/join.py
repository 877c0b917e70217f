"""`dnsonde join`: add an authority's sightings to a run."""

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("sightings", metavar="FOLDER...", nargs=-1, type=click.Path(path_type=Path))
def join(folder: Path, sightings: tuple[Path, ...]) -> None:
    """Add an authority's sightings to a run.

    Sightings of other runs are left aside; joining twice changes nothing. Without a FOLDER the run is judged again
    from what it has.
    """
    from dnsonde import run
    from dnsonde.cli import _summary
    from dnsonde.cli._terminal import console
    from dnsonde.escape import terminal

    out = console()
    measured = run.join(folder, sightings, say=lambda said: out.print(terminal(said), soft_wrap=True))
    _summary.show(measured, out)
