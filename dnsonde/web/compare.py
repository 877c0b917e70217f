"""`/compare`: what changed between two runs."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
from starlette.responses import Response

from dnsonde import look, report
from dnsonde.choices import CHANGES
from dnsonde.page.content import Para, Section
from dnsonde.page.run import CHANGED, Before, change_blocks
from dnsonde.table.readable import readable
from dnsonde.web._page import Visit, page
from dnsonde.web._site import in_time

ROWS = 50
CHOSEN = ("", *CHANGES)


@page("/compare")
def compare(visit: Visit) -> Response:
    """Counts, prefixes and hosts that are another way in the later run."""
    words, site = visit.words, visit.site
    every = sorted(entry.key for entry in site.shelf().entries.values() if entry.kind == "run")
    before, after = visit.text("before"), visit.text("after")
    change, number = visit.choice("change", CHOSEN), visit.number("page")
    told: dict[str, Any] = {"sections": (), "rows": [], "total": 0}
    if before and after:
        old, new = site.open(site.entry(before, "run")), site.open(site.entry(after, "run"))
        counts, groups, hosts = site.remembered(
            new, ("compare", before, old.stamp), lambda _view: _changes(old.entry.folder, new.entry.folder)
        )
        notes = [
            Para(f"{opened.entry.key}: {said}", "note")
            for opened in (old, new)
            if (said := look.unfinished(opened.entry.folder, words))
        ]
        blocks = change_blocks(Before(before, counts, groups), words)
        told["sections"] = (Section("changes", words("changes.title"), (*notes, *blocks)),)
        told["total"] = counts[change] if change else sum(counts.values())
        with site.asking(new) as view:
            changed = view.connection.from_arrow(hosts)
            rows = changed.filter(f"change = '{change}'") if change else changed
            rows = rows.order(report.TARGET).limit(ROWS, offset=(number - 1) * ROWS)
            told["rows"] = readable(rows).read_all().to_pylist()
    elif after:  # the one before it is proposed
        known = site.judged({*site.latest(1), site.entry(after, "run")})
        older = known[: known.index(after)] if after in known else known
        before = (older or [key for key in known if key != after] or [""])[-1]
    return visit.show(
        "compare.html",
        title=words("web.compare.title"),
        every=every,
        before=before,
        after=after,
        change=change,
        changes=CHOSEN,
        number=number,
        pages=-(-told["total"] // ROWS),
        size=ROWS,
        **told,
    )


def _changes(before: Path, after: Path) -> tuple[dict[str, int], list[dict[str, Any]], pa.Table]:
    """How many changed in which way, by group, and the hosts: without the engine, which takes memory and threads."""
    with closing(look.engine()) as engine, in_time(engine):
        found = look.difference(before, after, most=CHANGED, connection=engine)
        return found.counts, found.groups, found.hosts.to_arrow_table()
