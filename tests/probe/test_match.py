"""Attribution: whose reply is it, and what does it say. Responses are built by dnspython."""

from ipaddress import ip_address, ip_network
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from dnsonde.probe.match import (
    Matcher,
    Secret,
    reply_columns,
)
from dnsonde.probe.order import Ranges, Scope
from dnsonde.probe.rounds import KINDS
from dnsonde.table._block import Block
from dnsonde.table.schema import REPLY
from dnsonde.wire.batch import Batch, address_array, address_pair
from dnsonde.wire.codes import Type
from dnsonde.wire.datagram import DATAGRAM, ICMP_ERROR
from dnsonde.wire.encode import encode_fixed, encode_probes
from dnsonde.wire.name import Kind, ProbeNames, parse_name, probe_ids
from dnsonde.wire.replied import NO_KIND, REPLIED, Outcome, learn

ZONE = "probe.example.net"
SECRET = Secret(bytes(range(16)), "0123abcv")
CONTROL = "192.0.2.80"
EGRESS = "203.0.113.9"
TARGET = "198.51.100.10"
TARGET6 = "2001:db8::10"
NAMES = ProbeNames(ZONE)


def scope() -> Scope:
    return Scope(Ranges.of_networks([ip_network("198.51.100.0/24"), ip_network("2001:db8::/120")]))


def matcher(known: str = "") -> Matcher:
    wire = parse_name(known).lower() if known else b""
    names = ProbeNames("known.invalid") if known else NAMES
    return Matcher(names, SECRET, scope(), address_array([CONTROL]), qtype=Type.A, known=wire)


def query(
    target: str = TARGET, attempt: int = 1, kind: Kind = Kind.SWEEP, secret: Secret = SECRET, **more: Any
) -> bytes:
    out, length = np.zeros((1, 512), np.uint8), np.zeros(1, np.int32)
    step, qtype = more.get("step", 0), more.get("qtype", Type.A)
    names = more.get("names", NAMES)
    encode_probes(
        names, out, length, address_array([target]), attempt, kind, step, qtype, secret.key, secret.run, 1232
    )
    return out[0, : length[0]].tobytes()


def response(asked: bytes, *addresses: str, rcode: int = 0, **more: Any) -> bytes:
    message = dns.message.make_response(dns.message.from_wire(asked), recursion_available=True)
    message.set_rcode(dns.rcode.Rcode.make(rcode))
    name = message.question[0].name
    for address in addresses:
        kind = "A" if ip_address(address).version == 4 else "AAAA"
        message.answer.append(dns.rrset.from_text(name, more.get("ttl", 30), "IN", kind, address))
    for server in more.get("servers", ()):
        message.authority.append(dns.rrset.from_text(".", 30, "IN", "NS", server))
    if more.get("tc"):
        message.flags |= dns.flags.TC
    return message.to_wire()


def datagrams(*senders: str) -> NDArray[np.void]:
    rows = np.zeros(len(senders), DATAGRAM)
    for row, sender in zip(rows, senders, strict=True):
        row["net"], row["host"] = address_pair(sender)
    rows["port"], rows["ttl"], rows["time_us"], rows["full_length"] = 53, 60, 1_700_000_000_000_000, 99
    return rows


def replied(payload: bytes, sender: str = TARGET, *, attempt: int = 3, known: str = "") -> np.void:
    rows = matcher(known).replies(Batch.of([payload]), datagrams(sender), attempt=attempt)
    assert rows.dtype == REPLIED
    row: np.void = rows[0]
    return row


def target_of(row: np.void) -> tuple[int, int]:
    return int(row["target"]["net"]), int(row["target"]["host"])


@pytest.mark.parametrize("target", [TARGET, TARGET6])
@pytest.mark.parametrize("sender", [TARGET, "192.0.2.200", "2001:db8:5::1"])
def test_reply_belongs_to_the_target_in_its_name_whoever_sent_it(target: str, sender: str) -> None:
    row = replied(response(query(target, 2), EGRESS, CONTROL), sender)
    assert (row["outcome"], row["kind"], row["attempt"]) == (Outcome.ANSWERED, Kind.SWEEP, 2)
    assert target_of(row) == address_pair(target)
    assert row["index"] == scope().index(address_array([target]))[0]
    assert (row["responder"]["net"], row["responder"]["host"]) == address_pair(sender)
    assert row["question_intact"]


def test_what_an_answer_says() -> None:
    row = replied(response(query(), EGRESS, CONTROL, "203.0.113.10", ttl=7))
    assert (row["rcode"], row["flags"], row["answers"], row["records"]) == (0, 0x8180, 3, 3)
    assert (row["control"], row["others"], row["ttl_min"], row["ip_ttl"]) == (True, 2, 7, 60)
    assert (row["answer1"]["net"], row["answer1"]["host"]) == address_pair(EGRESS)
    assert (row["answer2"]["net"], row["answer2"]["host"]) == address_pair("203.0.113.10")
    assert row["response_bytes"] == 99
    bare = replied(response(query(), CONTROL))
    assert (bare["control"], bare["others"], bare["answer1"]["host"]) == (True, 0, 0)


@pytest.mark.parametrize("kind", list(Kind))
def test_kind_comes_from_the_name(kind: Kind) -> None:
    row = replied(response(query(kind=kind, step=3)))
    assert (row["outcome"], row["kind"]) == (Outcome.ANSWERED, kind)


def test_case_that_a_forwarder_changed_is_seen_and_does_no_harm() -> None:
    wire = response(query(), EGRESS, CONTROL)
    row = replied(wire.replace(b"example", b"eXaMpLe"))
    assert (row["outcome"], row["question_intact"]) == (Outcome.ANSWERED, False)


def test_echo_is_attributed_with_its_flags() -> None:
    row = replied(query())
    assert (row["outcome"], row["flags"] & 0x8000, row["question_intact"]) == (Outcome.ANSWERED, 0, True)


def test_wrong_tag_is_forged_and_belongs_to_nobody() -> None:
    other = Secret(bytes(16), SECRET.run)
    row = replied(response(query(secret=other), EGRESS, CONTROL))
    assert (row["outcome"], row["index"], row["kind"]) == (Outcome.FORGED, -1, NO_KIND)


@pytest.mark.parametrize(
    "asked",
    [
        query(secret=Secret(SECRET.key, "vvvvvvvv")),
        query(names=ProbeNames("other.example")),
        query(target="198.51.101.1"),
        dns.message.make_query("www.example.com", "A").to_wire(),
    ],
    ids=["another run", "another zone", "outside the scope", "a stranger's name"],
)
def test_what_we_did_not_ask_is_mismatched(asked: bytes) -> None:
    row = replied(response(asked, EGRESS, CONTROL))
    assert (row["outcome"], row["index"], row["kind"]) == (Outcome.MISMATCHED, -1, NO_KIND)


@pytest.mark.parametrize("garbage", [b"", b"\x00" * 11, b"\xff" * 40, response(query(), EGRESS)[:-3]])
def test_what_is_no_message_is_malformed(garbage: bytes) -> None:
    row = replied(garbage)
    assert (row["outcome"], row["index"], row["decoded"]) == (Outcome.MALFORMED, -1, False)


def test_reply_without_a_question_is_attributed_by_address_and_id() -> None:
    asked = query(TARGET, 2)
    header = asked[:2] + b"\x81\x81" + bytes(8)  # FORMERR, all counts 0
    row = replied(header)
    assert (row["outcome"], row["attempt"], row["rcode"], row["question_intact"]) == (
        Outcome.ANSWERED,
        2,
        1,
        False,
    )
    assert target_of(row) == address_pair(TARGET)
    assert replied(header, attempt=1)["outcome"] == Outcome.FORGED, "attempt 2 was not sent yet"
    assert replied(header, "198.51.100.11")["outcome"] == Outcome.FORGED
    assert replied(header, "192.0.2.1")["outcome"] == Outcome.MISMATCHED


def test_servers_of_a_referral_are_counted() -> None:
    rows = matcher().replies(
        Batch.of(
            [response(query()), response(query(), servers=("a.example.", "b.example.")), response(query())]
        ),
        datagrams(TARGET, TARGET, TARGET),
        attempt=1,
    )
    assert rows["authority_ns"].tolist() == [0, 2, 0]


def known_query(target: str, attempt: int) -> bytes:
    out, length = np.zeros((1, 512), np.uint8), np.zeros(1, np.int32)
    tags = NAMES.tags(SECRET.key, SECRET.run, address_array([target]), attempt, Kind.SWEEP)
    encode_fixed(out, length, parse_name("www.example.net"), Type.A, probe_ids(tags), 0)
    return out[0, : length[0]].tobytes()


def test_known_name_is_attributed_by_address_and_id() -> None:
    wire = response(known_query(TARGET, 2), CONTROL)
    row = replied(wire, known="WWW.example.net")
    assert (row["outcome"], row["attempt"], row["control"], row["others"]) == (Outcome.ANSWERED, 2, True, 0)
    assert target_of(row) == address_pair(TARGET)
    assert row["question_intact"]
    assert replied(wire, "198.51.100.11", known="www.example.net")["outcome"] == Outcome.FORGED
    assert replied(wire, "192.0.2.1", known="www.example.net")["outcome"] == Outcome.MISMATCHED
    assert replied(wire, known="www.example.com")["outcome"] == Outcome.MISMATCHED
    assert replied(response(query(), CONTROL), known="www.example.net")["outcome"] == Outcome.MISMATCHED


def icmp_error(
    payload: bytes, about: str = TARGET, *, kind: int = 3, code: int = 3, known: str = ""
) -> np.void:
    rows = np.zeros(1, ICMP_ERROR)
    rows["type"], rows["code"], rows["time_us"], rows["port"] = kind, code, 1, 53
    rows["net"], rows["host"] = address_pair(about)
    rows["offender_net"], rows["offender_host"] = address_pair("192.0.2.254")
    row: np.void = matcher(known).errors(rows, Batch.of([payload]), kind=Kind.CHAIN, attempt=3)[0]
    return row


def test_icmp_error_belongs_to_the_query_that_it_quotes() -> None:
    row = icmp_error(query(TARGET, 2, Kind.NXDOMAIN))
    assert (row["outcome"], row["kind"], row["attempt"]) == (Outcome.ICMP, Kind.NXDOMAIN, 2)
    assert (row["icmp_type"], row["icmp_code"]) == (3, 3)
    assert (row["offender"]["net"], row["offender"]["host"]) == address_pair("192.0.2.254")
    assert (row["responder"]["net"], row["responder"]["host"]) == address_pair(TARGET)


def test_icmp_error_that_quotes_little_is_told_by_address_and_id() -> None:
    row = icmp_error(query(TARGET, 2)[:20])
    assert (row["outcome"], row["kind"], row["attempt"]) == (Outcome.ICMP, Kind.SWEEP, 2)
    assert target_of(row) == address_pair(TARGET)
    nothing = icmp_error(b"")
    assert (nothing["outcome"], nothing["kind"], nothing["attempt"]) == (Outcome.ICMP, Kind.CHAIN, 3)
    assert icmp_error(b"", "192.0.2.1")["outcome"] == Outcome.MISMATCHED
    assert icmp_error(b"\1\2rubbish")["outcome"] == Outcome.MISMATCHED
    assert icmp_error(known_query(TARGET, 1), known="www.example.net")["outcome"] == Outcome.ICMP


def taught(payload: bytes) -> tuple[bool, bool, bool]:
    return learnt(matcher().replies(Batch.of([payload]), datagrams(TARGET), attempt=3))


def learnt(rows: NDArray[np.void]) -> tuple[bool, bool, bool]:
    """Whether a row is conclusive, proves recursion, asks for another try without EDNS."""
    bits = [np.zeros(64, np.uint8) for _ in range(3)]
    fresh = learn(rows, bits[0], bits[1], bits[2], last=2)
    counts = [int(np.unpackbits(b).sum()) for b in bits]
    assert counts == [fresh.answered, fresh.recursive, fresh.plain]
    for count, set_bits in zip(counts, bits, strict=True):
        assert count == 0 or np.unpackbits(set_bits, bitorder="little")[rows["index"][0]]
    return counts[0] == 1, counts[1] == 1, counts[2] == 1


def test_what_replies_teach() -> None:
    assert taught(response(query(), EGRESS, CONTROL)) == (True, True, False)
    assert taught(response(query(), "10.0.0.1")) == (True, False, False)
    assert taught(response(query(), rcode=5)) == (True, False, False)
    assert taught(response(query(), rcode=2)) == (False, False, False), "SERVFAIL deserves another attempt"
    assert taught(response(query(), tc=True)) == (False, False, False), (
        "and so does an empty truncated answer"
    )
    assert taught(response(query(), EGRESS, CONTROL, tc=True)) == (True, True, False)
    assert taught(response(query(), rcode=1)) == (False, False, True), "perhaps it does not know EDNS"
    assert taught(response(query(attempt=2), rcode=1)) == (True, False, False)
    assert taught(query()) == (True, False, False)
    assert taught(response(query(kind=Kind.NXDOMAIN), EGRESS, CONTROL)) == (False, False, False)
    other = Secret(bytes(16), SECRET.run)
    assert taught(response(query(secret=other), EGRESS, CONTROL)) == (False, False, False)


@pytest.mark.parametrize(
    ("about", "kind", "code", "ends"),
    [(TARGET, 3, 3, True), (TARGET, 3, 13, True), (TARGET, 3, 1, False), (TARGET, 11, 0, False),
     (TARGET6, 1, 4, True), (TARGET6, 1, 3, False), (TARGET6, 3, 0, False)],
)  # fmt: skip
def test_only_a_final_icmp_error_ends_the_sweep(about: str, kind: int, code: int, ends: bool) -> None:
    row = icmp_error(query(about), about, kind=kind, code=code)
    assert learnt(np.array([row], REPLIED)) == (ends, False, False)


def test_rows_become_columns_of_the_table() -> None:
    payloads = [response(query(), EGRESS, CONTROL), response(query(TARGET6), CONTROL), b"?"]
    rows = matcher().replies(Batch.of(payloads), datagrams(TARGET, TARGET6, TARGET), attempt=1)
    block = Block(REPLY)
    block.add(reply_columns(rows[:2]))
    block.add(reply_columns(rows[2:]))
    icmp = np.array([icmp_error(query())], REPLIED)
    block.add(reply_columns(icmp))
    table: list[dict[str, Any]] = pa.Table.to_pylist(block.arrow())
    assert [r["outcome"] for r in table] == ["answered", "answered", "malformed", "icmp"]
    assert [r["kind"] for r in table] == ["sweep", "sweep", None, "sweep"]
    assert (table[0]["answer1_net"], table[0]["answer1_host"]) == address_pair(EGRESS)
    assert (table[0]["answer2_host"], table[1]["answer1_host"]) == (None, None)
    assert [r["edns_size"] is None for r in table] == [False, False, True, True]
    assert [r["rcode"] for r in table] == [0, 0, None, None]
    assert [r["icmp_code"] for r in table] == [None, None, None, 3]
    assert [r["target_host"] for r in table] == [address_pair(TARGET)[1], address_pair(TARGET6)[1], None,
                                                 address_pair(TARGET)[1]]  # fmt: skip
    assert set(KINDS) >= {r["kind"] for r in table if r["kind"]}
