"""`dnsonde web`: runs and lakes, to browse."""

from pathlib import Path

import click

from dnsonde.cli import _options

PORT = 8053


@click.command()
@click.argument("folder", metavar="[FOLDER]", default=".", type=click.Path(path_type=Path))
@click.option(
    "--listen", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Address to serve on."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes any free one."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The token.  [default: one is made, and shown]",
)
@click.option(
    "--certificate",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Serve by TLS: certificate chain, PEM.",
)
@click.option("--key", type=click.Path(path_type=Path), metavar="FILE", help="Its key, PEM.")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOST",
    help="Name by which browsers know this machine; may be repeated.",
)
@_options.home
def web(
    folder: Path,
    listen: str,
    port: int,
    token_file: Path | None,
    certificate: Path | None,
    key: Path | None,
    names: tuple[str, ...],
    homes: tuple[str, ...],
) -> None:
    """Browse all runs and lakes in a folder.

    Hosts to filter and sort, findings with their evidence and the query that found them, campaigns, what changed
    between two runs, and how work that is under way stands. Until Ctrl-C.

    Only this machine can ask, unless --listen names another address; then everybody needs the token. What writes
    (looking for threats in a lake) always does: the address that is printed carries it.
    """
    from dnsonde.clock import SystemClock
    from dnsonde.shelf import shelf
    from dnsonde.table.prefix import prefixes
    from dnsonde.web._serve import Place, readable_by_others, serve, token_of
    from dnsonde.web._site import Site

    place = Place(listen, port, names, certificate, key)
    token = token_of(token_file)
    if token_file is not None and readable_by_others(token_file):
        say(f"Note: others on this machine can read {token_file}: chmod 600 {token_file}.")
    shelf(folder)
    site = Site(folder, SystemClock(), token=token, guarded=not place.is_loopback, home=prefixes(homes))

    def ready(address: str) -> None:
        if token_file is None:
            click.echo(f"Browse: {address}?token={token}")
        else:
            click.echo(f"Browse: {address} (the token is in {token_file})")
        say("Ctrl-C ends it.")

    serve(site, place, say, ready)


def say(sentence: str) -> None:
    """Say one sentence, where it is in nobody's way."""
    click.echo(sentence, err=True)
