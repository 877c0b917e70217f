"""Known campaigns as relations: which one a name belongs to."""

from functools import reduce

import ibis
import ibis.expr.types as ir

from dnsonde.detect._relations import below
from dnsonde.intel.load import Campaign, campaigns


def known_domains() -> list[str]:
    """All that a known campaign's registered domain can be: the cheap test to begin with."""
    every: frozenset[str] = reduce(frozenset.union, (campaign.suffixes for campaign in campaigns()))
    return sorted(every)


def campaign_of(qname: ir.StringValue, *, inbound: ir.BooleanValue | bool) -> ir.StringValue:
    """Name of the campaign that asks such names, or null; fixed names count only where `inbound` is true."""
    tests = [(_asks(campaign, qname, inbound), campaign.name) for campaign in campaigns()]
    return ibis.cases(*tests, else_=ibis.null("string"))


def _asks(campaign: Campaign, qname: ir.StringValue, inbound: ir.BooleanValue | bool) -> ir.BooleanValue:
    # The zone itself may be a web site that somebody at home looks at.
    theirs = below(qname, campaign.zones) & (~qname.isin(campaign.zones) | inbound)
    return theirs | (qname.isin(campaign.names) & inbound)


def one_word(campaign: ir.StringValue, attribute: str) -> ir.StringValue:
    """`operator` or `intent` of the campaign of that name; null for none."""
    tests = [(campaign == known.name, getattr(known, attribute)) for known in campaigns()]
    return ibis.cases(*tests, else_=ibis.null("string"))
