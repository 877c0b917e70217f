"""What was found in a lake, for every command that tells of it: kept, or looked for now."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dnsonde.cli._progress import Watch
    from dnsonde.watch import Found

fresh = click.option("--fresh", is_flag=True, help="Look again, though the lake keeps findings.")


def of_lake(folder: Path, homes: tuple[str, ...], watcher: "Watch", *, fresh: bool) -> "Found":
    """A lake's findings: those it keeps, or those that are looked for now, and then kept."""
    from dnsonde import watch
    from dnsonde.clock import SystemClock, to_the_second
    from dnsonde.compile import compile_once
    from dnsonde.table.prefix import prefixes

    asked = watch.Asked(home=prefixes(homes))
    compile_once(watcher.say, (), watch.to_prepare(asked))
    found = watch.detect([str(folder)], asked, SystemClock(), watcher.tell, fresh=fresh)
    if found.kept:
        watcher.say(f"Findings of {to_the_second(found.looked_us)} UTC; nothing has changed since.")
    return found
