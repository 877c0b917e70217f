"""The list of verdicts: when each fits, its variety, how sure it is, and the sentence that tells why.

The first rule that fits decides, in the order of the design, but for one thing: two different stories told
of one probe (`injected`) come first, because one of the two may be right and would hide it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ibis
from ibis.expr import types as ir

from dnsonde.probe._facts import alike, lies, same_network
from dnsonde.table.prefix import LINK_LOCAL, LOOPBACK, PRIVATE, SHARED, THIS_HOST
from dnsonde.table.relations import is_ipv4, pair

Part = Callable[[ibis.Table], Any]

INNER = (*PRIVATE, *SHARED, *LINK_LOCAL)  # that nobody outside can have

ERRNO = {
    1: "not_permitted", 13: "not_permitted", 22: "invalid_address", 90: "message_too_long",
    99: "no_source_address", 101: "network_unreachable", 105: "no_buffer", 113: "host_unreachable",
}  # fmt: skip
RCODE = {
    6: "yxdomain", 7: "yxrrset", 8: "nxrrset", 9: "notauth", 10: "notzone", 11: "dsotypeni",
    16: "badvers", 17: "badkey", 18: "badtime", 23: "badcookie",
}  # fmt: skip
ICMP4 = {  # type * 256 + code (RFC 792, RFC 1812 5.2.7.1)
    0x300: "net_unreachable", 0x301: "host_unreachable", 0x302: "protocol_unreachable",
    0x303: "port_unreachable", 0x304: "fragmentation_needed", 0x309: "admin_prohibited",
    0x30A: "admin_prohibited", 0x30D: "admin_prohibited", 0x500: "redirect", 0x501: "redirect",
    0xB00: "ttl_exceeded", 0xC00: "parameter_problem",
}  # fmt: skip
ICMP6 = {  # RFC 4443, 3
    0x100: "net_unreachable", 0x101: "admin_prohibited", 0x102: "host_unreachable", 0x103: "host_unreachable",
    0x104: "port_unreachable", 0x105: "admin_prohibited", 0x106: "admin_prohibited",
    0x200: "fragmentation_needed", 0x300: "ttl_exceeded", 0x400: "parameter_problem",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the list; each part but the name is a function of the facts, or a constant."""

    name: str
    when: Part
    subclass: Part
    confidence: Part | int  # per cent: engines read 0.95 as a decimal or as a double
    why: Part | str


def _none(_table: ibis.Table) -> ir.Value:
    return ibis.null("string")


def _named(value: ir.IntegerValue, names: dict[int, str], prefix: str) -> ir.StringValue:
    other = ibis.literal(prefix) + value.cast("string")
    return ibis.cases(*((value == number, name) for number, name in names.items()), else_=other)


def _text(number: ir.IntegerValue) -> ir.StringValue:
    return number.cast("string")


def _count(number: ir.IntegerValue, one: str, many: str) -> ir.StringValue:
    return (number == 1).ifelse(ibis.literal(f"1 {one}"), _text(number) + f" {many}")


def _is(*meanings: str) -> Part:
    return lambda t: t.meaning.isin(meanings)


def _from_elsewhere(t: ibis.Table) -> ir.BooleanValue:
    return (t.dns_replies > 0) & (t.from_target == 0)


def _what_came(t: ibis.Table) -> ir.StringValue:
    """For a reply that is not the right answer: what it was."""
    return ibis.cases(
        (t.meaning == "wrong", "manipulated"),
        (t.meaning == "other_rcode", _named(t.rcode, RCODE, "rcode_")),
        else_=t.meaning,
    )


def _forged_address(t: ibis.Table) -> ir.StringValue:
    return ibis.cases(
        (t.answer_net.isnull(), "alias"),
        (lies(t, "answer", THIS_HOST), "null_address"),
        (alike(t, "answer", "target") | alike(t, "answer", "responder"), "own_address"),
        (lies(t, "answer", LOOPBACK), "loopback"),
        (lies(t, "answer", INNER), "private"),
        (t.one_address, "one_address"),
        (t.control, "added"),
        else_="rewritten",
    )


FORGED_WORDS = {
    "alias": "records without any address",
    "null_address": "a null address",
    "own_address": "its own address",
    "loopback": "a loopback address",
    "private": "a private address",
    "one_address": "the address that other hosts give as well",
    "added": "an address that nobody put there, beside ours",
    "rewritten": "an address that is neither the asker's nor ours",
}


def _forged_words(t: ibis.Table) -> ir.StringValue:
    kind = _forged_address(t)
    return ibis.cases(*((kind == name, words) for name, words in FORGED_WORDS.items()))


def _forwarder_kind(t: ibis.Table) -> ir.StringValue:
    return ibis.cases(
        (t.rewritten_nx > 0, "nxdomain_rewritten"),
        # A resolver of two families asks us by the other one: then it only looks like a forwarder.
        (t.kin_egress == 0, "other_family"),
        (t.egress_count > 1, "egress_pool"),
        (t.near_egress > 0, "same_network"),
        (t.egress_targets > 1, "shared_egress"),
        else_="own_egress",
    )


def _rewrites(t: ibis.Table) -> ir.StringValue:
    return (t.rewritten_nx > 0).ifelse(
        ibis.literal("; it gave an address for a name that does not exist"), ibis.literal("")
    )


def _after_asking(t: ibis.Table) -> ir.StringValue:
    return (t.sightings > 0).ifelse(ibis.literal("after_asking"), ibis.null("string"))


def _although(t: ibis.Table) -> ir.StringValue:
    return ibis.cases(
        (t.sightings > 0, ", although it had our authority asked"),
        (t.delegated, "; our authority was not asked"),
        else_="",
    )


def _edns_alone(t: ibis.Table) -> ir.BooleanValue:
    """All that it replied was a complaint, and only later, asked without EDNS, did it have our authority asked."""
    return (t.complains & (t.first_asked > t.last_complaint)).fill_null(False)


def _refusal(name: str, words: str) -> Rule:
    return Rule(name, _is(name), _after_asking, 95, lambda t: ibis.literal(words) + _although(t) + ".")


def _icmp_name(t: ibis.Table) -> ir.StringValue:
    number = t.icmp_type.cast("int64") * 256 + t.icmp_code.cast("int64")
    return is_ipv4(*pair(t, "target")).ifelse(_named(number, ICMP4, "icmp_"), _named(number, ICMP6, "icmp_"))


def _denied(t: ibis.Table) -> ir.BooleanValue:
    return t.meaning.isin(["nxdomain", "empty"])


def _filter_kind(t: ibis.Table) -> ir.StringValue:
    inner = lies(t, "egress", (*LOOPBACK, *INNER))
    return ibis.cases(
        ((t.answered_us == 0) & (t.meaning == "nxdomain"), "nxdomain_unasked"),
        (t.answered_us == 0, "empty_unasked"),
        (t.meaning == "nxdomain", "nxdomain"),
        (inner, "rebinding"),
        else_="empty",
    )


_NOT_SENT = Rule(
    "not_sent",
    lambda t: (t.attempts == 0) & (t.replies == 0) & (t.sightings == 0),
    lambda t: _named(t.errno, ERRNO, "errno_"),
    100,
    lambda t: ibis.literal("The system would not send to it: ") + _named(t.errno, ERRNO, "errno_") + ".",
)
_INJECTED = Rule(
    "injected",
    lambda t: t.conflict > 0,
    lambda t: ibis.cases(
        (t.conflict_right == 0, "never_right"), (t.conflict_early > 0, "before_answer"), else_="after_answer"
    ),
    95,
    lambda t: ibis.cases(
        (t.conflict_right == 0, "One probe brought different replies, none of them right."),
        else_="One probe brought different replies, one of them right: somebody on the way answers too.",
    ),
)
_NO_REPLY = Rule(
    "resolves_no_reply",
    lambda t: ((t.dns_replies == 0) | _edns_alone(t)) & (t.sweep_sightings > 0),
    lambda t: (t.meaning == "icmp").ifelse(_icmp_name(t), ibis.null("string")),
    lambda t: (t.sweep_sightings > 1).ifelse(90, 70),
    lambda t: (
        ibis.literal("Our authority was asked for it (")
        + _count(t.sightings, "query", "queries")
        + "), but no reply came back"
        + _edns_alone(t).ifelse(ibis.literal(", except that it does not know EDNS."), ibis.literal("."))
    ),
)
_SILENT = Rule(
    "silent",
    lambda _t: ibis.literal(True),
    _none,
    lambda t: ibis.cases((t.attempts >= 3, 90), (t.attempts == 2, 80), else_=60),
    lambda t: ibis.literal("No answer to ") + _count(t.attempts, "probe", "probes") + ".",
)
_MANIPULATED = Rule(
    "manipulated",
    _is("wrong"),
    _forged_address,
    lambda t: ibis.cases((t.control & ~t.one_address, 70), (t.answered_us > 0, 95), else_=90),
    lambda t: ibis.literal("It answered with ") + _forged_words(t) + _although(t) + ".",
)
_ICMP = Rule(
    "icmp",
    _is("icmp"),
    _icmp_name,
    lambda t: alike(t, "offender", "target").fill_null(False).ifelse(95, 80),
    lambda t: (
        ibis.literal("ICMP said ")
        + _icmp_name(t)
        + alike(t, "offender", "target")
        .fill_null(False)
        .ifelse(ibis.literal(", from the host itself."), ibis.literal(", from a router on the way."))
    ),
)
_LATER: tuple[Rule, ...] = (
    Rule(
        "filtering",
        lambda t: _denied(t) & ((t.answered_us > 0) | ((t.flags & 0x0080) != 0)),
        _filter_kind,
        lambda t: (t.answered_us > 0).ifelse(90, 60),
        lambda t: (
            ibis.literal("It said ")
            + (t.meaning == "nxdomain").ifelse(
                ibis.literal("NXDOMAIN"), ibis.literal("that there is no data")
            )
            + ibis.cases(
                (t.answered_us > 0, ", although our authority had answered."),
                (t.delegated, ", offering recursion but without asking our authority."),
                else_=", offering recursion.",
            )
        ),
    ),
    Rule(
        "authoritative_only",
        lambda t: _denied(t) | (t.meaning == "referral"),
        lambda t: t.meaning,
        lambda t: (t.meaning == "referral").ifelse(90, 70),
        lambda t: (t.meaning == "referral").ifelse(
            ibis.literal("It did not resolve but referred to other name servers."),
            ibis.literal("It answered from its own data, offers no recursion and asked nobody."),
        ),
    ),
    Rule(
        "truncated",
        _is("truncated"),
        _after_asking,
        70,
        lambda t: ibis.literal("It only said to come back by TCP") + _although(t) + ".",
    ),
    _refusal("refused", "It refused (REFUSED)"),
    _refusal("notimp", "It does not do this (NOTIMP)"),
    _refusal("formerr", "It did not understand the query (FORMERR)"),
    Rule(
        "other_rcode",
        _is("other_rcode"),
        lambda t: _named(t.rcode, RCODE, "rcode_"),
        90,
        lambda t: ibis.literal("It answered ") + _named(t.rcode, RCODE, "rcode_") + _although(t) + ".",
    ),
    _refusal("servfail", "It failed (SERVFAIL)"),
    Rule("echo", _is("echo"), _none, 95, "It sent the question back as a question (QR clear)."),
    _ICMP,
    _SILENT,
)


DELEGATED: tuple[Rule, ...] = (
        _NOT_SENT,
        _INJECTED,
        _NO_REPLY,
        Rule(
            "multihomed",
            lambda t: _from_elsewhere(t) & (same_network(t, "responder", "target") | t.kin),
            lambda t: (t.meaning == "right").ifelse(ibis.null("string"), _what_came(t)),
            lambda t: ((t.meaning == "right") & ~t.kin).ifelse(85, 60),
            lambda t: t.kin.ifelse(
                "The reply came from another address of the same system, which replied for nobody else.",
                "The reply came from another address of the same network.",
            ),
        ),
        Rule(
            "transparent_forwarder",
            _from_elsewhere,
            lambda t: ibis.cases(
                (t.meaning != "right", _what_came(t)), (t.responder_seen, "to_resolver"), else_="to_forwarder"
            ),
            lambda t: ibis.cases((t.meaning != "right", 80), (t.sightings > 0, 98), else_=80),
            "The reply came from another address, to which it passes queries under the client's address.",
        ),
        _MANIPULATED,
        Rule(
            "recursive_resolver",
            lambda t: (t.meaning == "right") & (t.self_egress > 0),
            lambda t: ibis.cases(
                (t.rewritten_nx > 0, "nxdomain_rewritten"),
                (t.egress_count > 1, "egress_pool"),
                else_=ibis.null("string"),
            ),
            99,
            lambda t: ibis.literal("The right answer, and our authority was asked by the same address")
            + _rewrites(t) + ".",
        ),
        Rule(
            "recursive_forwarder",
            lambda t: (t.meaning == "right") & (t.sightings > 0),
            _forwarder_kind,
            lambda t: (t.kin_egress == 0).ifelse(70, 98),
            lambda t: ibis.literal("The right answer, and our authority was asked by ")
            + _count(t.egress_count, "other address", "other addresses")
            + (t.kin_egress == 0).ifelse(
                ibis.literal(" of the other family, perhaps its own"), ibis.literal("")
            )
            + _rewrites(t) + ".",
        ),
        Rule(
            "answered_without_us",
            _is("right"),
            lambda t: (t.others > 0).ifelse(ibis.literal("egress_told"), ibis.literal("control_only")),
            lambda t: (t.others > 0).ifelse(60, 50),
            "The right answer, yet the authority's log holds no query for it: a cache, or a log not joined yet.",
        ),
        *_LATER,
    )  # fmt: skip


KNOWN: tuple[Rule, ...] = (
    _NOT_SENT,
    _INJECTED,
    Rule(
        "open",
        _is("right"),
        _none,
        90,
        "The known answer: it resolves for strangers, by what way is not told.",
    ),
    _MANIPULATED,
    *_LATER,
)
