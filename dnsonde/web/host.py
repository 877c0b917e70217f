"""`/host/ADDRESS/KEY`: one host: its verdict and why, what was sent and what came back, and what to do."""

from starlette.responses import Response

from dnsonde import hosts
from dnsonde.intel.remedies import remedies
from dnsonde.page.parts import advice
from dnsonde.web._page import Visit, page
from dnsonde.web._site import NotThereError

COLUMNS = {  # that are shown, by table
    "probe": ("time_us", "kind", "attempt", "qname", "query_bytes", "errno"),
    "reply": ("time_us", "outcome", "kind", "attempt", "responder", "responder_port", "rcode", "answer1", "answer2",
              "control", "response_bytes", "ip_ttl", "offender"),
    "sighting": ("time_us", "egress", "egress_port", "kind", "attempt", "qname", "transport", "ecs", "edns_do",
                 "rcode"),
}  # fmt: skip
NUMBERS = ("attempt", "query_bytes", "response_bytes", "ip_ttl")  # among them, that count or measure


@page("/host/{address}/{key:path}")
def host(visit: Visit) -> Response:
    """Everything that a run knows about one address."""
    entry = visit.site.entry(visit.key, "run")
    address = visit.request.path_params["address"]
    opened = visit.site.open(entry)
    with visit.site.asking(opened) as view:
        found = hosts.one(view.tables, address)
        if found is None:
            raise NotThereError
        owner = view.owners([found.verdict["target"]]).get(found.verdict["target"])
    name, words = found.verdict["class"], visit.words
    measure = remedies().of_host(name, is_open=found.verdict["open"])
    return visit.show(
        "host.html",
        title=found.verdict["target"],
        entry=entry,
        found=found,
        verdict=found.verdict,
        owner=owner,
        meaning=words.named("meaning", name),
        todo=advice(measure, [words.named("class", name)], words) if measure else None,
        columns=COLUMNS,
        numbers=NUMBERS,
        kept=hosts.KEPT,
    )
