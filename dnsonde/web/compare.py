"""`/compare`: what changed between two runs."""

from typing import Any

from starlette.responses import Response

from dnsonde import look, report
from dnsonde.export._page import Para, Section
from dnsonde.export._page_run import CHANGED, Before, change_blocks
from dnsonde.web._page import Visit, page

ROWS = 50
CHANGES = ("", *report.CHANGES)


@page("/compare")
def compare(visit: Visit) -> Response:
    """Counts, prefixes and hosts that are another way in the later run."""
    words, site = visit.words, visit.site
    every = sorted(entry.key for entry in site.shelf().entries.values() if entry.kind == "run")
    before, after = visit.text("before"), visit.text("after")
    change, number = visit.choice("change", CHANGES), visit.number("page")
    told: dict[str, Any] = {"sections": (), "rows": [], "total": 0}
    if before and after:
        old, new = site.open(site.entry(before, "run")), site.open(site.entry(after, "run"))
        found = site.remembered(
            new,
            ("compare", before, old.stamp),
            lambda _view: look.difference(old.entry.folder, new.entry.folder, most=CHANGED),
        )
        notes = [
            Para(f"{opened.entry.key}: {said}", "note")
            for opened in (old, new)
            if (said := look.unfinished(opened.entry.folder, words))
        ]
        blocks = change_blocks(Before(before, found.counts, found.groups), words)
        told["sections"] = (Section("changes", words("changes.title"), (*notes, *blocks)),)
        told["total"] = found.counts[change] if change else found.total
        with site.asking(new):  # one question at a time, to this relation too
            hosts = found.hosts.filter(f"change = '{change}'") if change else found.hosts
            rows = hosts.order(report.TARGET).limit(ROWS, offset=(number - 1) * ROWS)
            told["rows"] = report.readable(rows).read_all().to_pylist()
    return visit.show(
        "compare.html",
        title=words("web.compare.title"),
        every=every,
        before=before,
        after=after,
        change=change,
        changes=CHANGES,
        number=number,
        pages=-(-told["total"] // ROWS),
        size=ROWS,
        **told,
    )
