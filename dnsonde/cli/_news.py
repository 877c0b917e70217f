"""`dnsonde detect LAKE --new`: what was not told before, and a note that now it was."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnsonde.cli import _findings

if TYPE_CHECKING:
    from dnsonde.clock import Clock
    from dnsonde.watch import Found


def tell(
    found: "Found",
    form: str,
    output: Path | None,
    limit: int,
    lake: Path,
    clock: "Clock",
    fail_on: str | None,
) -> int:
    """Write what is news of a lake's findings, then note it as told; the exit code, by those over `limit` too.

    What a table has no room for is not told, and comes next time.
    """
    import pyarrow as pa

    from dnsonde.errors import SystemRefusal
    from dnsonde.findings import again
    from dnsonde.findings.about import about

    detectors = about()
    rows = found.findings.to_pylist()
    fresh = again.news(again.told(lake), rows, detectors)
    numbers = [number for number, new in enumerate(fresh) if new]
    news = replace(found, findings=found.findings.filter(pa.array(fresh, pa.bool_())))
    known = len(rows) - len(numbers)
    code = _findings.tell(news, form, output, limit, lake, fail_on=fail_on, known=known)
    left = set(numbers[limit:] if form == "table" and limit else ())
    try:
        again.note(lake, [row for n, row in enumerate(rows) if n not in left], detectors, clock.now_us())
    except SystemRefusal as error:
        click.echo(f"What was told cannot be noted, so it is new again next time: {error}", err=True)
    return code
