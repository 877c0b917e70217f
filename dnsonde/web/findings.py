"""`/findings/KEY`: what was found in a lake, to filter and to sort."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from dnsonde.choices import SEVERITIES
from dnsonde.page.lake import lasted, said
from dnsonde.view.view import Incident
from dnsonde.web._findings import key_of
from dnsonde.web._page import Visit, page

ROWS = 50
SORTS: dict[str, Callable[[Incident], Any]] = {
    "severity": lambda i: SEVERITIES.index(i.severity),
    "detector": lambda i: i.detector,
    "subject": lambda i: i.subject,
    "since": lambda i: i.first_us,
    "for": lambda i: i.last_us - i.first_us,
    "count": lambda i: i.count,
    "sure": lambda i: i.confidence,
}
NUMBERS = ("for", "count", "sure")
WORST_FIRST = ("severity", *NUMBERS)


@page("/findings/{key:path}")
def findings(visit: Visit) -> Response:
    """A page of findings, worst first unless something else is asked for."""
    entry = visit.site.entry(visit.key, "lake")
    opened = visit.site.open(entry)
    every = visit.site.remembered(opened, "incidents", lambda view: view.incidents())
    severity = visit.choice("severity", ["", *SEVERITIES])
    detector = visit.choice("detector", ["", *sorted({i.detector for i in every})])
    text = visit.text("text").strip()
    chosen = [
        i
        for i in every
        if severity in {"", i.severity}
        and detector in {"", i.detector}
        and (not text or text.lower() in f"{i.subject} {i.title} {i.summary}".lower())
    ]
    sort = visit.choice("sort", list(SORTS))
    down = bool(visit.text("down")) or not visit.text("sort")
    if visit.text("sort"):
        chosen.sort(key=SORTS[sort], reverse=down)
    number = visit.number("page")
    return visit.show(
        "findings.html",
        title=visit.words("web.findings.title"),
        entry=entry,
        found=opened.found,
        every=len(every),
        chosen=len(chosen),
        rows=[(key_of(i), i, said(i, visit.words)) for i in chosen[(number - 1) * ROWS : number * ROWS]],
        severity=severity,
        detector=detector,
        text=text,
        sort=sort,
        down=down,
        sorts=list(SORTS),
        numbers=NUMBERS,
        worst_first=WORST_FIRST,
        severities=SEVERITIES[::-1],
        detectors=Counter(i.detector for i in every),
        lasted=lasted,
        number=number,
        pages=-(-len(chosen) // ROWS),
        size=ROWS,
    )
