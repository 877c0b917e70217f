"""`/finding/NUMBER/KEY`: one finding: its evidence, its sources, the query that found it, and what to do."""

import re

from starlette.responses import Response

from dnsonde.findings.about import about
from dnsonde.findings.compiled import query_of
from dnsonde.intel.remedies import remedies
from dnsonde.page.lake import as_text, lasted, said
from dnsonde.page.parts import advice
from dnsonde.web._findings import key_of
from dnsonde.web._page import Visit, page
from dnsonde.web._site import NotThereError


@page("/finding/{number}/{key:path}")
def finding(visit: Visit) -> Response:
    """Everything that is known of one finding."""
    entry = visit.site.entry(visit.key, "lake")
    opened = visit.site.open(entry)
    every = visit.site.remembered(opened, "incidents", lambda view: view.incidents())
    wanted = visit.request.path_params["number"]
    incident = next((i for i in every if key_of(i) == wanted), None)
    if incident is None:
        raise NotThereError
    words = visit.words
    title, summary = said(incident, words)
    one = about().get(incident.detector)
    measure = remedies().of_detector(incident.detector)
    return visit.show(
        "finding.html",
        title=title,
        entry=entry,
        incident=incident,
        summary=summary,
        evidence=[(name, as_text(value)) for name, value in incident.evidence.items()],
        lasted=lasted(incident.last_us - incident.first_us, words),
        found=opened.found,
        detector=one,
        explanation=[marked(paragraph) for paragraph in one.explanation.split("\n\n")] if one else [],
        sql=query_of(one.name).sql if one else "",
        todo=advice(measure, [words.named("detector", incident.detector)], words) if measure else None,
    )


def marked(paragraph: str) -> list[tuple[str, str]]:
    """The pieces of a paragraph that an explanation has marked as strong or as code, and those between."""
    found = []
    for piece in re.split(r"(\*\*[^*]+\*\*|`[^`]+`)", paragraph):
        if piece.startswith("**") and len(piece) > 4:
            found.append(("strong", piece[2:-2]))
        elif piece.startswith("`") and len(piece) > 2:
            found.append(("code", piece[1:-1]))
        elif piece:
            found.append(("text", piece))
    return found
