"""`/campaigns/KEY`: who probed, how their names are made, when, and what they learned."""

from starlette.responses import Response

from dnsonde.intel.load import Campaign
from dnsonde.intel.load import campaigns as known
from dnsonde.page.content import Section
from dnsonde.page.lake import campaign_blocks, probing, said
from dnsonde.web._findings import key_of
from dnsonde.web._page import Visit, page

SHOWN = 12  # domains, each with its own charts


@page("/campaigns/{key:path}")
def campaigns(visit: Visit) -> Response:
    """A section a domain."""
    entry = visit.site.entry(visit.key, "lake")
    opened = visit.site.open(entry)
    every = visit.site.remembered(opened, "incidents", lambda view: view.incidents())
    words = visit.words
    ours = probing(every)
    listed = []
    about = {campaign.name: campaign for campaign in known()}
    for number, incident in enumerate(ours[:SHOWN]):
        blocks = visit.site.remembered(
            opened,
            ("campaign", number, words.code),
            lambda view, one=incident: tuple(campaign_blocks(view, [one], words)),  # type: ignore[misc]
        )
        title, summary = said(incident, words)
        section = Section(f"c-{key_of(incident)}", incident.subject, blocks)
        told = _told(about.get(str(incident.evidence.get("campaign"))))
        listed.append((key_of(incident), title, summary, told, section))
    return visit.show(
        "campaigns.html",
        title=words("campaigns.title"),
        entry=entry,
        found=opened.found,
        listed=listed,
        sections=[section for *_rest, section in listed],
        number=len(ours),
        shown=SHOWN,
    )


def _told(campaign: Campaign | None) -> list[tuple[str, str]]:
    """What is known of a campaign, and from where."""
    if campaign is None:
        return []
    times = f"{campaign.since} - {campaign.until}" if campaign.since else ""
    facts = {
        "operator": campaign.operator,
        "intent": campaign.intent,
        "times": times,
        "zones": ", ".join(campaign.zones),
        "source": campaign.source,
    }
    return [(name, value) for name, value in facts.items() if value]
