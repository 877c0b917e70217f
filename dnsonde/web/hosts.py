"""`/hosts/KEY`: the hosts of a run as a table to filter, sort and page through, of whatever length."""

from starlette.responses import Response

from dnsonde import hosts as lists
from dnsonde.hosts import SHOWN, SORTS, Wanted
from dnsonde.report import CLASSES
from dnsonde.web._page import Visit, page

HEADS = {  # what a column is called in the catalogue, and whether it is numbers
    "target": ("host", False), "class": ("class", False), "open": ("open", False),
    "amplification": ("amplification", True), "egress": ("egress", False), "responder": ("answered_by", False),
    "rtt_us": ("rtt", True), "why": ("why", False),
}  # fmt: skip


@page("/hosts/{key:path}")
def hosts(visit: Visit) -> Response:
    """A page of hosts."""
    entry = visit.site.entry(visit.key, "run")
    opened = visit.site.open(entry)
    wanted = Wanted(
        show=visit.choice("show", SHOWN),
        classes=visit.many("class"),
        prefixes=visit.many("prefix"),
        text=visit.text("text"),
        sort=visit.choice("sort", list(SORTS)),
        descending=bool(visit.text("down")),
        after=visit.mark("after"),
        before=visit.mark("before"),
        last=bool(visit.text("last")),
    )

    def number(of: Wanted) -> int:
        filters = (of.show, of.classes, of.prefixes, of.text)
        return visit.site.remembered(
            opened, ("count", filters), lambda view: lists.count(view.tables["verdict"], of)
        )

    found = number(wanted)
    with visit.site.asking(opened) as view:
        listed = lists.page(view.tables["verdict"], wanted, found)
        owners = view.owners(row["target"] for row in listed.rows)
    return visit.show(
        "hosts.html",
        title=visit.words("web.hosts.title"),
        entry=entry,
        wanted=wanted,
        listed=listed,
        last=listed.first + len(listed.rows) - 1,
        owners=owners,
        heads=HEADS,
        shown=SHOWN,
        classes=list(CLASSES),
        total=number(Wanted(show="all")),
    )
