"""Each line of the list of verdicts, from the rows that a prober and an authority would have written."""

import itertools
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

import ibis
import pyarrow as pa
import pytest

from dnsonde.probe.verdict import UNTOLD, untold, verdict
from dnsonde.table import store
from dnsonde.table.schema import ENRICHMENT, PROBE, REPLY, SIGHTING, VERDICT, Table
from dnsonde.wire.batch import address_pair

TARGET = "198.51.100.10"
CONTROL = "192.0.2.80"
UPSTREAM = "203.0.113.9"
START = 1_700_000_000_000_000

Row = dict[str, Any]
NUMBERS = itertools.count()  # of plans


def pair(role: str, address: str | None) -> Row:
    net, host = address_pair(address) if address else (None, None)
    return {f"{role}_net": net, f"{role}_host": host}


@dataclass
class Seen:
    """What was seen of one or more targets; `target` is the one that the methods speak of."""

    target: str = TARGET
    mode: str = "delegated"
    probes: list[Row] = field(default_factory=list)
    replies: list[Row] = field(default_factory=list)
    sightings: list[Row] = field(default_factory=list)

    def probe(self, attempt: int = 1, kind: str = "sweep", **more: Any) -> "Seen":
        row = {"kind": kind, "attempt": attempt, "time_us": START + attempt * 1_000_000, "qname": "x", "qtype": 1,
               "query_bytes": 60, "errno": 0, "tag": self.tag(attempt, kind)}  # fmt: skip
        self.probes.append(pair("target", self.target) | row | more)
        return self

    def tag(self, attempt: int, kind: str | None) -> int | None:
        return None if self.mode == "known" else hash((self.target, attempt, kind)) & 0xFFFF_FFFF_FFFF

    def reply(
        self, *others: str, sender: str | None = None, control: bool | None = None, **more: Any
    ) -> "Seen":
        attempt, kind = more.get("attempt", 1), more.get("kind", "sweep")
        control = bool(others) if control is None else control
        row: Row = {
            "outcome": "answered", "kind": kind, "attempt": attempt, "responder_port": 53, "rcode": 0,
            "time_us": START + attempt * 1_000_000 + 20_000, "flags": 0x8180, "question_intact": True,
            "answers": control + len(others), "records": control + len(others), "control": control,
            "egress_count": len(others), "authority_ns": 0, "response_bytes": 120,
        }  # fmt: skip
        row |= pair("target", self.target) | pair("responder", sender or self.target)
        row |= pair("answer1", others[0] if others else None)
        row |= pair("answer2", others[1] if len(others) > 1 else None)
        self.replies.append(row | more)
        return self

    def icmp(self, kind: int, code: int, offender: str) -> "Seen":
        self.reply(outcome="icmp", rcode=None, flags=None, answers=None, control=None, records=None,
                   response_bytes=0, icmp_type=kind, icmp_code=code, **pair("offender", offender))  # fmt: skip
        return self

    def sighting(self, egress: str, *, attempt: int = 1, kind: str | None = "sweep", **more: Any) -> "Seen":
        row = {
            "time_us": START + attempt * 1_000_000 + 9_000, "egress_port": 4000, "transport": "udp",
            "outcome": "answered", "id": 1,
            "run": "run00000", "kind": kind, "attempt": attempt, "tag": self.tag(attempt, kind), "qname": "x",
            "qtype": 1, "mixed_case": False, "rd": False, "cookie": False, "rcode": 0, "response_bytes": 90,
        }  # fmt: skip
        self.sightings.append(pair("target", self.target) | pair("egress", egress) | row | more)
        return self

    def another(self, target: str) -> "Seen":
        self.target = target
        return self

    def rows(self, **options: Any) -> list[Row]:
        """Judged by DuckDB; the relation is compiled and planned once for all tests, and the tables filled anew."""
        for table, filled in ((PROBE, self.probes), (REPLY, self.replies), (SIGHTING, self.sightings)):
            fill(table, filled)
        name = planned(self.mode, tuple(options.items()))
        found = duck().con.execute(f"EXECUTE {name}").fetch_arrow_table()
        assert found.column_names == [c.name for c in VERDICT.columns]
        # What the dictionary of columns forbids to be null, is not.
        found.cast(VERDICT.schema)
        rows: list[Row] = found.to_pylist()
        keys = [(r["target_net"], r["target_host"]) for r in rows]
        assert len(set(keys)) == len(keys), "one row a target"
        assert set(keys) == {(p["target_net"], p["target_host"]) for p in self.probes}
        return rows

    def judged(self, target: str | None = None, **options: Any) -> Row:
        wanted = address_pair(target or self.target)
        return next(r for r in self.rows(**options) if (r["target_net"], r["target_host"]) == wanted)

    def told(self, **options: Any) -> tuple[str, str | None, bool]:
        row = self.judged(**options)
        assert 0 < row["confidence"] <= 1
        assert row["why"].endswith(".")
        return row["class"], row["subclass"], row["open"]


def arrow(table: Table, rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema([pa.field(f.name, f.type) for f in table.schema]))


@cache
def duck() -> Any:
    database = ibis.duckdb.from_connection(store.database(threads=1))
    # A plan that is kept must not go by the rows that were there when it was made.
    database.con.execute("SET disabled_optimizers = 'statistics_propagation,compressed_materialization'")
    for table in (PROBE, REPLY, SIGHTING, ENRICHMENT):
        database.create_table(table.name, arrow(table, []))
    return database


@cache
def filler() -> Any:
    """By itself, as a view that comes and goes on its own connection would have each plan made anew."""
    return duck().con.cursor()


def fill(table: Table, rows: list[Row]) -> None:
    """These rows, and no other."""
    filler().register("rows_now", arrow(table, rows))
    filler().execute(f"DELETE FROM {table.name}")  # noqa: S608 - our own names
    filler().execute(f"INSERT INTO {table.name} SELECT * FROM rows_now")  # noqa: S608 - our own names


def relation(mode: str, **options: Any) -> ibis.Table:
    tables = [duck().table(t.name) for t in (PROBE, REPLY, SIGHTING)]
    return verdict(*tables, zone_mode="known" if mode == "known" else "delegated", **options)


@cache
def planned(mode: str, options: tuple[tuple[str, Any], ...]) -> str:
    """The name under which DuckDB keeps the plan."""
    name = f"verdict_{next(NUMBERS)}"
    sql = ibis.to_sql(relation(mode, **dict(options)), dialect="duckdb")
    duck().con.execute(f"PREPARE {name} AS {sql}")
    return name


def test_no_answer_at_all_is_silent() -> None:
    assert Seen().probe(1).probe(2).probe(3).told() == ("silent", None, False)


def test_right_answer_asked_by_the_target_itself_is_a_recursive_resolver() -> None:
    seen = Seen().probe().sighting(TARGET).reply(TARGET)
    row = seen.judged()
    assert (row["class"], row["open"], row["confidence"]) == ("recursive_resolver", True, 0.99)
    assert (row["egress_net"], row["egress_host"]) == address_pair(TARGET)
    assert (row["rtt_us"], row["amplification"], row["query_bytes"]) == (20_000, 2.0, 60)
    assert row["first_seen_us"] == START + 1_009_000
    assert (row["attempts"], row["replies"], row["sightings"], row["egress_count"]) == (1, 1, 1, 1)


def test_a_resolver_at_the_control_address_is_told_that_alone_and_is_a_recursive_resolver() -> None:
    seen = Seen(CONTROL).probe().sighting(CONTROL).reply(control=True)
    assert seen.told() == ("recursive_resolver", None, True)
    assert seen.judged()["egress_host"] == address_pair(CONTROL)[1]


@pytest.mark.parametrize(
    ("egresses", "subclass"),
    [
        ([UPSTREAM], "own_egress"),
        ([UPSTREAM, "203.0.113.77"], "egress_pool"),
        (["198.51.100.200"], "same_network"),
        (["2001:db8::5"], "other_family"),
    ],
)
def test_right_answer_asked_by_another_is_a_recursive_forwarder(egresses: list[str], subclass: str) -> None:
    seen = Seen().probe()
    for egress in egresses:
        seen.sighting(egress)
    seen.reply(egresses[0])
    assert seen.told() == ("recursive_forwarder", subclass, True)


def test_egress_that_serves_several_targets_is_shared() -> None:
    seen = Seen().probe().sighting(UPSTREAM).reply(UPSTREAM)
    seen.another("198.51.100.11").probe().sighting(UPSTREAM).reply(UPSTREAM)
    assert seen.told() == ("recursive_forwarder", "shared_egress", True)


def test_reply_from_an_alien_address_is_a_transparent_forwarder() -> None:
    seen = Seen().probe().sighting(UPSTREAM).reply(UPSTREAM, sender=UPSTREAM)
    assert seen.told() == ("transparent_forwarder", "to_resolver", True)
    row = seen.judged()
    assert (row["responder_net"], row["responder_host"]) == address_pair(UPSTREAM)
    seen = Seen().probe().sighting("203.0.113.77").reply("203.0.113.77", sender=UPSTREAM)
    assert seen.told() == ("transparent_forwarder", "to_forwarder", True)


def test_transparent_forwarder_to_a_closed_resolver_is_not_open() -> None:
    seen = Seen().probe().reply(sender=UPSTREAM, rcode=5, flags=0x8185)
    assert seen.told() == ("transparent_forwarder", "refused", False)


def test_reply_from_a_neighbour_is_multihomed() -> None:
    seen = Seen().probe().sighting(TARGET).reply(TARGET, sender="198.51.100.99")
    assert seen.told() == ("multihomed", None, True)
    seen = Seen().probe().sighting(TARGET).reply(TARGET, sender="198.51.101.99")
    assert seen.told() == ("transparent_forwarder", "to_forwarder", True), "of the next /24"


@cache
def enrichment() -> ibis.Table:
    return duck().table(ENRICHMENT.name)


def owned(*addresses: str, asn: int = 64500) -> ibis.Table:
    """The table `enrichment`, in which these are of one system."""
    fill(ENRICHMENT, [pair("address", address) | {"asn": asn} for address in addresses])
    return enrichment()


def test_reply_from_the_same_system_for_nobody_else_is_multihomed() -> None:
    seen = Seen().probe().sighting(TARGET).reply(TARGET, sender=UPSTREAM)
    assert seen.told() == ("transparent_forwarder", "to_forwarder", True)
    assert seen.told(owners=owned(TARGET, UPSTREAM)) == ("multihomed", None, True)
    assert seen.judged(owners=owned(TARGET, UPSTREAM))["confidence"] == 0.6
    assert seen.told(owners=owned(TARGET)) == ("transparent_forwarder", "to_forwarder", True)


def test_a_resolver_of_the_same_system_that_many_reach_is_no_other_address_of_theirs() -> None:
    seen = Seen().probe().sighting(UPSTREAM).reply(UPSTREAM, sender=UPSTREAM)
    seen.another("198.51.100.77").probe().sighting(UPSTREAM).reply(UPSTREAM, sender=UPSTREAM)
    owners = owned(TARGET, "198.51.100.77", UPSTREAM)
    assert seen.told(owners=owners) == ("transparent_forwarder", "to_resolver", True)


@pytest.mark.parametrize(
    ("sender", "name"), [("2001:db8:1:2::9", "multihomed"), ("2001:db8:2::9", "transparent_forwarder")]
)
def test_neighbours_of_ipv6_share_a_48(sender: str, name: str) -> None:
    target = "2001:db8:1::1"
    assert Seen(target).probe().sighting(target).reply(sender=sender, control=True).told()[0] == name


def test_high_ipv6_addresses_are_compared_bit_by_bit() -> None:
    # Network halves that are negative as int64, and equal once rounded to a double.
    target, sender = "fdff:ffff:ffff:ffff::1", "fdff:ffff:fffe:ffff::1"
    assert Seen(target).probe().sighting(target).reply(sender=sender, control=True).told()[0] != "multihomed"


def test_host_that_replies_itself_too_is_no_transparent_forwarder() -> None:
    seen = Seen().probe().sighting(TARGET).reply(TARGET).reply(TARGET, sender=UPSTREAM)
    assert seen.told()[0] == "recursive_resolver"


def test_query_at_the_authority_without_a_reply() -> None:
    seen = Seen().probe().sighting(UPSTREAM)
    assert seen.told() == ("resolves_no_reply", None, True)


IN_TIME, LATE = START + 3600_000_000, START + 7200_000_000


def test_names_replayed_by_an_eavesdropper_prove_nothing_of_a_silent_host() -> None:
    seen = Seen().probe().sighting(UPSTREAM, time_us=LATE)
    assert seen.told() == ("silent", None, False)
    row = seen.judged()
    assert (row["sightings"], row["egress_count"], row["egress_host"]) == (0, 0, None)
    assert Seen().probe().sighting(UPSTREAM, time_us=IN_TIME).told() == ("resolves_no_reply", None, True)


def test_names_replayed_by_an_eavesdropper_prove_nothing_of_a_host_that_refused() -> None:
    seen = Seen().probe().sighting(UPSTREAM, time_us=LATE).reply(rcode=5, flags=0x8185)
    assert seen.told() == ("refused", None, False)
    seen = Seen().probe().sighting(UPSTREAM, time_us=IN_TIME).reply(rcode=5, flags=0x8185)
    assert seen.told() == ("refused", "after_asking", True)


def test_names_replayed_by_an_eavesdropper_are_no_egress_of_an_open_host() -> None:
    seen = Seen().probe().sighting(TARGET).reply(TARGET).sighting(UPSTREAM, time_us=LATE)
    assert seen.told() == ("recursive_resolver", None, True)
    assert (
        Seen().probe().reply("203.0.113.77").sighting(UPSTREAM, time_us=LATE).told()[0]
        == "answered_without_us"
    )


def test_right_answer_that_we_never_gave() -> None:
    assert Seen().probe().reply(UPSTREAM).told() == ("answered_without_us", "egress_told", True)
    assert Seen().probe().reply(control=True).told() == ("answered_without_us", "control_only", True)


@pytest.mark.parametrize(
    ("address", "subclass"),
    [
        ("10.1.2.3", "private"),
        ("172.31.255.255", "private"),
        ("192.168.0.1", "private"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        ("fe80::1", "private"),
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "null_address"),
        ("::", "null_address"),
        (TARGET, "own_address"),
        ("172.32.0.1", "rewritten"),
        ("203.0.113.200", "rewritten"),
    ],
)
def test_wrong_data_is_manipulated_by_kind_of_address(address: str, subclass: str) -> None:
    seen = Seen().probe().reply(address, control=False)
    assert seen.told() == ("manipulated", subclass, False)
    row = seen.judged()
    assert (row["answer_net"], row["answer_host"]) == address_pair(address)
    # Had it asked us first, recursion is proven.
    assert seen.sighting(UPSTREAM).told() == ("manipulated", subclass, True)


def test_one_wrong_address_from_many_hosts_is_one_address() -> None:
    seen = Seen()
    for count, subclass in ((1, "rewritten"), (2, "rewritten"), (3, "one_address")):
        seen.another(f"198.51.100.{count}").probe().reply("203.0.113.200", control=False)
        assert {(r["class"], r["subclass"]) for r in seen.rows()} == {("manipulated", subclass)}


def test_records_without_an_address_are_an_alias() -> None:
    assert Seen().probe().reply(answers=0, records=1).told() == ("manipulated", "alias", False)


def test_address_put_beside_ours_is_manipulation() -> None:
    seen = Seen().probe().sighting(UPSTREAM).reply(UPSTREAM, "203.0.113.200", control=True)
    assert seen.told() == ("manipulated", "added", True)
    row = seen.judged()
    assert (row["answer_net"], row["answer_host"]) == address_pair("203.0.113.200")


def test_any_part_of_our_answer_is_right() -> None:
    egress_only = Seen().probe().sighting(UPSTREAM).reply(UPSTREAM, control=False)
    control_only = Seen().probe().sighting(UPSTREAM).reply(control=True)
    merged = Seen().probe().sighting(UPSTREAM).sighting("203.0.113.8").reply(UPSTREAM, "203.0.113.8")
    assert {s.told()[0] for s in (egress_only, control_only, merged)} == {"recursive_forwarder"}


def test_two_stories_of_one_probe_are_injection() -> None:
    late, early = START + 1_030_000, START + 1_001_000
    seen = Seen().probe().sighting(UPSTREAM).reply(UPSTREAM)
    assert seen.told()[0] == "recursive_forwarder"
    seen.reply("203.0.113.200", control=False, time_us=early)
    assert seen.told() == ("injected", "before_answer", True)
    seen.replies[-1]["time_us"] = late
    assert seen.told() == ("injected", "after_answer", True)
    lies = Seen().probe().reply("203.0.113.200", control=False).reply("203.0.113.201", control=False)
    assert lies.told() == ("injected", "never_right", False)
    denied = Seen().probe().sighting(UPSTREAM).reply(UPSTREAM).reply(rcode=3, time_us=early)
    assert denied.told() == ("injected", "before_answer", True)


def test_duplicates_in_another_order_are_no_injection() -> None:
    lie = ("203.0.113.200", "203.0.113.201")
    seen = Seen().probe().reply(*lie, control=False).reply(*reversed(lie), control=False)
    assert seen.told()[0] == "manipulated"


def test_stories_of_two_attempts_are_no_injection() -> None:
    seen = Seen().probe(1).probe(2).sighting(UPSTREAM, attempt=2)
    seen.reply(rcode=2, attempt=1).reply(UPSTREAM, attempt=2)
    assert seen.told()[0] == "recursive_forwarder"


@pytest.mark.parametrize(
    ("egress", "rcode", "subclass"),
    [(UPSTREAM, 3, "nxdomain"), (UPSTREAM, 0, "empty"), ("10.0.0.1", 0, "rebinding")],
)
def test_denial_though_the_authority_answered_is_filtering(egress: str, rcode: int, subclass: str) -> None:
    assert Seen().probe().sighting(egress).reply(rcode=rcode).told() == ("filtering", subclass, True)


def test_denial_without_asking_is_a_filter_only_where_recursion_is_offered() -> None:
    assert Seen().probe().reply(rcode=3).told() == ("filtering", "nxdomain_unasked", False)
    assert Seen().probe().reply(rcode=3, flags=0x8500).told() == ("authoritative_only", "nxdomain", False)
    assert Seen().probe().reply(flags=0x8100).told() == ("authoritative_only", "empty", False)


@pytest.mark.parametrize(
    ("rcode", "name"),
    [(1, "formerr"), (2, "servfail"), (4, "notimp"), (5, "refused")],
)
def test_rcodes_as_such_and_never_open_for_ra_alone(rcode: int, name: str) -> None:
    seen = Seen().probe().reply(rcode=rcode, flags=0x8180 | rcode)
    assert seen.told() == (name, None, False)
    assert (seen.judged()["ra"], seen.judged()["rcode"]) == (True, rcode)
    assert seen.sighting(UPSTREAM).told() == (name, "after_asking", True)


@pytest.mark.parametrize("rcode", [1, 4, 16])
def test_a_complaint_of_edns_tells_less_than_what_comes_without_it(rcode: int) -> None:
    """RFC 6891, 6.1.3 and 7: FORMERR, NOTIMP or BADVERS may be of EDNS, and the last attempt has none."""
    seen = Seen().probe().reply(rcode=rcode).probe(attempt=2)
    complained = seen.told()
    assert complained[2] is False
    assert seen.reply(rcode=5, attempt=2).told() == ("refused", None, False)
    seen = Seen().probe().reply(rcode=rcode).probe(attempt=2).sighting(UPSTREAM, attempt=2)
    assert seen.told() == ("resolves_no_reply", None, True)
    assert seen.judged()["why"].endswith("but no reply came back, except that it does not know EDNS.")
    assert seen.reply(UPSTREAM, attempt=2).told()[0] == "recursive_forwarder"
    # Who complains of everything, and asks all the same, is what it says.
    after = (
        Seen().probe().sighting(UPSTREAM).reply(rcode=rcode).probe(attempt=2).sighting(UPSTREAM, attempt=2)
    )
    assert after.told()[0] == complained[0]


@pytest.mark.parametrize(("rcode", "subclass"), [(9, "notauth"), (16, "badvers"), (3841, "rcode_3841")])
def test_other_rcodes_by_name(rcode: int, subclass: str) -> None:
    assert Seen().probe().reply(rcode=rcode).told() == ("other_rcode", subclass, False)


def test_referral_is_authoritative_only() -> None:
    assert Seen().probe().reply(authority_ns=13, flags=0x8100).told() == (
        "authoritative_only",
        "referral",
        False,
    )


def test_question_sent_back_is_an_echo_whoever_sent_it() -> None:
    assert Seen().probe().reply(flags=0x0100).told() == ("echo", None, False)
    assert Seen().probe().reply(flags=0x0100, sender=UPSTREAM).told() == ("echo", None, False)


def test_truncated_without_data() -> None:
    assert Seen().probe().reply(flags=0x8380).told() == ("truncated", None, False)


@pytest.mark.parametrize(
    ("target", "kind", "code", "subclass"),
    [
        (TARGET, 3, 3, "port_unreachable"),
        (TARGET, 3, 1, "host_unreachable"),
        (TARGET, 3, 13, "admin_prohibited"),
        (TARGET, 11, 0, "ttl_exceeded"),
        ("2001:db8::1", 1, 4, "port_unreachable"),
        ("2001:db8::1", 3, 0, "ttl_exceeded"),
        (TARGET, 40, 2, "icmp_10242"),
    ],
)
def test_icmp_by_type_and_family(target: str, kind: int, code: int, subclass: str) -> None:
    assert Seen(target).probe().icmp(kind, code, target).told() == ("icmp", subclass, False)
    router = Seen(target).probe().icmp(kind, code, "203.0.113.254" if target == TARGET else "2001:db8:ff::1")
    assert (
        router.judged()["confidence"] < Seen(target).probe().icmp(kind, code, target).judged()["confidence"]
    )


def test_answer_outranks_the_errors_of_other_attempts() -> None:
    seen = Seen().probe(1).probe(2).probe(3).icmp(3, 1, UPSTREAM)
    assert seen.reply(rcode=2, attempt=2).told() == ("servfail", None, False)
    assert seen.reply(rcode=5, attempt=3).told() == ("refused", None, False)


def test_nxdomain_rewriting_is_told_of_the_resolver() -> None:
    seen = (
        Seen()
        .probe()
        .sighting(TARGET)
        .reply(TARGET)
        .probe(1, "nxdomain")
        .sighting(TARGET, kind="nxdomain", rcode=3)
    )
    assert seen.told() == ("recursive_resolver", None, True)
    seen.reply("203.0.113.200", kind="nxdomain", control=False)
    assert seen.told() == ("recursive_resolver", "nxdomain_rewritten", True)


def test_largest_response_is_set_against_its_own_query() -> None:
    seen = Seen().probe().sighting(TARGET).reply(TARGET).probe(1, "size", query_bytes=80)
    seen.sighting(TARGET, kind="size").reply(kind="size", response_bytes=1200)
    row = seen.judged()
    assert (row["query_bytes"], row["response_bytes"], row["amplification"]) == (60, 1200, 15.0)
    assert row["class"] == "recursive_resolver"


@pytest.mark.parametrize("outcome", ["forged", "mismatched", "malformed"])
def test_rows_that_are_not_ours_never_decide(outcome: str) -> None:
    seen = Seen().probe().reply(UPSTREAM, outcome=outcome).reply("10.0.0.1", control=False, outcome=outcome)
    row = seen.judged()
    assert (row["class"], row["replies"], row["open"]) == ("silent", 0, False)


def test_sightings_need_the_tag_of_a_probe_that_was_sent() -> None:
    forged = Seen().probe().sighting(UPSTREAM, tag=12345)
    never_asked = Seen().probe().sighting(UPSTREAM, attempt=2)
    on_the_way = Seen().probe().sighting(UPSTREAM, kind=None, tag=None, **pair("target", None))
    no_query = Seen().probe().sighting(UPSTREAM, outcome="dropped")
    assert {s.told()[0] for s in (forged, never_asked, on_the_way, no_query)} == {"silent"}


def test_probe_that_could_not_leave() -> None:
    assert Seen().probe(errno=101).told() == ("not_sent", "network_unreachable", False)
    assert Seen().probe(errno=77).told() == ("not_sent", "errno_77", False)
    assert Seen().probe(1, errno=105).probe(2).told()[0] == "silent"


def test_clock_that_went_back_gives_no_round_trip_time() -> None:
    seen = Seen().probe().sighting(TARGET).reply(TARGET, time_us=START - 5_000_000)
    assert (seen.judged()["class"], seen.judged()["rtt_us"]) == ("recursive_resolver", None)


def test_known_name_tells_open_and_the_rest_as_such() -> None:
    def known() -> Seen:
        return Seen(mode="known").probe()

    assert known().reply(control=True).told() == ("open", None, True)
    assert known().reply("10.0.0.1", control=False).told() == ("manipulated", "private", False)
    assert known().reply("203.0.113.200", control=True).told() == ("manipulated", "added", False)
    assert known().reply(rcode=5).told() == ("refused", None, False)
    assert known().reply(rcode=3).told() == ("filtering", "nxdomain_unasked", False)
    assert known().told() == ("silent", None, False)
    assert known().reply(control=True).reply("10.0.0.1", control=False).told()[0] == "injected"


@pytest.mark.parametrize("rcode", [0, 2, 3, 5])
def test_with_a_known_name_no_authority_of_ours_is_blamed(rcode: int) -> None:
    assert "authority" in Seen().probe().reply(rcode=rcode).judged()["why"]
    assert "authority" not in Seen(mode="known").probe().reply(rcode=rcode).judged()["why"]


def test_what_a_known_name_cannot_tell_is_said() -> None:
    assert untold("delegated") == []
    assert untold("known") == list(UNTOLD)
    assert {name for name, _ in UNTOLD} >= {"recursive_resolver", "recursive_forwarder", "resolves_no_reply"}


@pytest.mark.parametrize("mode", ["delegated", "known"])
def test_spark_can_run_the_same_relation(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Compiling for Spark needs no Spark, but for an option that its package would have registered.
    options = SimpleNamespace(pyspark=SimpleNamespace(treat_nan_as_null=False))
    monkeypatch.setattr("ibis.backends.sql.compilers.pyspark.options", options)
    sql = str(ibis.to_sql(relation(mode), dialect="pyspark")).upper()
    assert "SPLIT" not in sql
    assert "TIME_BUCKET" not in sql
