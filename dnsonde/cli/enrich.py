"""`dnsonde enrich`: whose the addresses of a run or a lake are."""

from pathlib import Path

import click

WORDS = {
    "asn": "autonomous system",
    "as_name": "its name",
    "prefix": "prefix",
    "country": "country",
    "abuse": "abuse contact",
}


@click.command()
@click.argument("folder", metavar="RUN|LAKE", type=click.Path(path_type=Path))
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
def enrich(folder: Path, files: tuple[Path, ...]) -> None:
    """Learn whose the addresses are, from files that you have.

    Nothing is fetched. A file may be a MaxMind DB (.mmdb, of MaxMind, IPinfo and others), a routing table (MRT, as RIPE
    RIS and Route Views dump it), prefixes and systems as text (CAIDA's pfx2as, lines of PREFIX ASN, `bgpdump -m`), RPSL
    of a routing registry, or JSON (RDAP answers, or objects with prefix, asn, as_name, country, abuse), plain or packed
    by gzip or bzip2; or a folder of these, in which other files are passed over. The first file that knows a thing
    tells it; of the prefixes in a folder the narrowest does, and of equal ones the first file's.

    Whatever groups by address (`show`, `diff`, `report`, `export`) then tells it too, and `dnsonde join RUN` judges
    again: a reply from another address of the same system may be the same host's. Again with newer files replaces what
    was learned.
    """
    from dnsonde import enrich as learning
    from dnsonde.cli._terminal import console
    from dnsonde.escape import typed

    out = console()
    learned = learning.enrich(folder, files)
    out.print(f"{learned.addresses:,} addresses of {folder}, of them known:")
    for name, count in learned.known.items():
        share = count / learned.addresses if learned.addresses else 0.0
        out.print(f"  {WORDS[name]:18} {count:>11,}  {share:4.0%}")
    by = next((name for name in ("asn", "country") if learned.known[name]), "prefix")
    out.print(f"Next: dnsonde show {typed(folder)} --by {by}", soft_wrap=True)
