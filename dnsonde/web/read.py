"""`/read/KEY`: what was read into a lake, and what became of each packet of it."""

import json

from starlette.responses import Response

from dnsonde.table.rows import records
from dnsonde.web._page import Visit, page

ROWS = 50
SORTS = (
    "bytes",
    "path",
    "format",
    "packets",
    "parsed",
    "ignored",
    "malformed",
    "messages",
    "first_us",
    "last_us",
)


@page("/read/{key:path}")
def read(visit: Visit) -> Response:
    """A page of files."""
    entry = visit.site.entry(visit.key, "lake")
    opened = visit.site.open(entry)
    sort, number = visit.choice("sort", SORTS), visit.number("page")
    down = bool(visit.text("down")) or not visit.text("sort")
    with visit.site.asking(opened) as view:
        account = view.tables["account"].order(f"{sort} {'DESC' if down else 'ASC'}, path, file")
        rows = records(account.limit(ROWS, offset=(number - 1) * ROWS))
    for row in rows:
        row["reasons"] = sorted(json.loads(row["reasons"]).items(), key=lambda pair: -pair[1])
    total = visit.site.standing(entry).counts.get("account", 0)
    return visit.show(
        "read.html",
        title=visit.words("how.read"),
        entry=entry,
        rows=rows,
        sort=sort,
        down=down,
        sorts=SORTS,
        number=number,
        pages=-(-total // ROWS),
        total=total,
        size=ROWS,
    )
