"""Messages: the kernels against their twin on damaged input, against dnspython, and by the RFCs' examples."""

import random
import runpy
import struct
from pathlib import Path
from types import SimpleNamespace

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.wire import decode, text
from dnsonde.wire._kernels import message_decode as kernel
from dnsonde.wire._kernels import text as text_kernel
from dnsonde.wire.batch import Batch, address_pair
from dnsonde.wire.codes import Status
from dnsonde.wire.message import MESSAGE, RECORD

twin = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "twins" / "message.py")))

HERE = "a.www.Example.net."
LONG = ".".join(["y" * 61] * 4) + ".c."  # 251 octets


def response(*answers: str, authority: tuple[str, ...] = (), name: str = HERE, qtype: str = "A") -> bytes:
    """A response to a question for `name`, with records in master-file form."""
    message = dns.message.make_response(dns.message.make_query(name, qtype, use_edns=0))
    message.id = 7
    for section, texts in ((message.answer, answers), (message.authority, authority)):
        for line in texts:
            owner, ttl, group, kind, rdata = line.split(" ", 4)
            section.append(dns.rrset.from_text(owner, int(ttl), group, kind, rdata))
    return message.to_wire()


def with_options(*options: dns.edns.Option, flags: int = 0) -> bytes:
    return dns.message.make_query(HERE, "TXT", use_edns=0, options=list(options), ednsflags=flags).to_wire()


SAMPLES = {
    "query": dns.message.make_query(HERE, "A").to_wire(),
    "query for the root": dns.message.make_query(".", "NS", use_edns=0).to_wire(),
    "addresses": response(f"{HERE} 30 IN A 192.0.2.1", f"{HERE} 20 IN AAAA 2001:db8::1"),
    "cname": response(f"{HERE} 300 IN CNAME b.example.org.", "B.EXAMPLE.org. 9 IN A 192.0.2.2"),
    "cname in reverse": response("c. 1 IN A 192.0.2.3", "b. 2 IN CNAME c.", f"{HERE} 3 IN CNAME b."),
    "cname loop": response(f"{HERE} 1 IN CNAME b.", f"b. 1 IN CNAME {HERE}", f"{HERE} 1 IN A 192.0.2.4"),
    "dname": response("example.net. 60 IN DNAME other.test.", "a.www.other.test. 1 IN A 192.0.2.5"),
    "dname and its cname": response(
        "example.net. 60 IN DNAME other.test.",
        f"{HERE} 60 IN CNAME a.www.other.test.",
        "a.www.other.test. 1 IN AAAA ::1",
    ),
    "referral": response(authority=("example.net. 9 IN NS ns.example.net.", "org. 9 IN NS ns.org.")),
    "negative": response(authority=("example.net. 9 IN SOA ns.example.net. who.example.net. 1 2 3 4 5",)),
    "mail": response(f"{HERE} 5 IN MX 10 mail.example.net.", f"{HERE} 5 IN PTR p.test.", qtype="MX"),
    "text": response(f'{HERE} 5 IN TXT "one" "two"', f'{HERE} 5 IN TXT "three and some more"', qtype="TXT"),
    "soa": response(f"{HERE} 5 IN SOA ns.Example.net. Who.test. 1 2 3 4 5", qtype="SOA"),
    "others": response(f"{HERE} 5 IN SRV 1 2 53 s.test.", f'{HERE} 5 IN CAA 0 issue "ca.test"'),
    "eight addresses": response(*(f"{HERE} 30 IN A 192.0.2.{k}" for k in range(8))),
    "chaos": response('version.bind. 0 CH TXT "x"', name="version.bind."),
    "options": with_options(
        dns.edns.ECSOption("192.0.2.77", 25, 3),
        dns.edns.CookieOption(b"12345678", b"abcdefgh"),
        dns.edns.NSIDOption(b"ns\x01"),
        dns.edns.EDEOption(dns.edns.EDECode.PROHIBITED, "no"),
        dns.edns.GenericOption(dns.edns.OptionType.make(65001), b"?"),
    ),
    "subnet of IPv6": with_options(dns.edns.ECSOption("2001:db8:ffff::", 44)),
    "long names": response(*(f"b.{LONG} {k} IN A 192.0.2.1" for k in range(20)), name=LONG),
    "do": with_options(flags=0x8000),
}


def one(message: bytes) -> np.void:
    row: np.void = decode.decode_messages(Batch.of([message]))[0]
    return row


def plain(row: np.void) -> dict[str, object]:
    """A row as the twin gives it."""
    names = row.dtype.names or ()
    return {k: row[k].tolist() for k in names}


def compare(message: bytes) -> None:
    """The kernels say what the twin says: all of a good message, its header and question of a damaged one."""
    batch = Batch.of([message])
    messages = decode.decode_messages(batch)
    told = plain(messages[0])
    records: list[tuple[object, ...]] = []
    want = twin.decode(message, records)
    if want["status"] in {Status.OK, Status.TRAILING}:
        assert told == want
    else:
        names = MESSAGE.names or ()
        head = {*names[: names.index("question_end") + 1]} - {"rcode"}
        assert {k: told[k] for k in head} == {k: want[k] for k in head}
    rows = decode.decode_records(batch, messages)
    assert rows.tolist() == ([(0, *r) for r in records] if want["status"] == Status.OK else [])
    for lower in (False, True):
        told = text.name_text(batch, messages, lower=lower)[0].as_py()
        assert told == shown(message, lower) if want["qname_length"] else told == ""


def shown(message: bytes, lower: bool) -> str:
    name = dns.name.Name([*twin.read_name(message, 12)[0], b""])
    if lower:
        name = dns.name.Name([label.lower() for label in name.labels])
    return name.to_text(omit_final_dot=len(name.labels) > 1)


def damaged(seed: int, rounds: int) -> list[bytes]:
    """The samples with octets changed, cut out, doubled and moved, and cut short."""
    rng = random.Random(seed)
    out = []
    for message in SAMPLES.values():
        for _ in range(rounds):
            octets = bytearray(message)
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(len(octets))
                match rng.randrange(6):
                    case 0:
                        octets[at] = rng.choice([0, 1, 0x3F, 0x40, 0x80, 0xC0, 0xFF, rng.randrange(256)])
                    case 1:
                        octets[at] ^= 1 << rng.randrange(8)
                    case 2 if len(octets) > 14:
                        del octets[at : at + rng.randint(1, 3)]
                    case 3:
                        octets[at:at] = octets[at : at + rng.randint(1, 20)]
                    case 4:
                        octets[at : at + 2] = bytes([0xC0, rng.randrange(len(octets) + 2) & 255])
                    case _ if len(octets) > 14:
                        del octets[at:]
                octets = octets or bytearray(1)
            out.append(bytes(octets))
    return out


@pytest.mark.parametrize("name", SAMPLES)
def test_whole_messages_decode_as_the_twin_reads_them(name: str) -> None:
    assert one(SAMPLES[name])["status"] == Status.OK
    compare(SAMPLES[name])


def test_damaged_messages_decode_as_the_twin_reads_them() -> None:
    seen = set()
    for message in damaged(1, 150):
        compare(message)
        seen.add(int(one(message)["status"]))
    assert seen == {int(s) for s in Status}, "the damage reaches every status"


@given(st.binary(max_size=300))
def test_any_octets_decode_as_the_twin_reads_them(message: bytes) -> None:
    compare(message)


def test_a_message_does_not_read_its_neighbour() -> None:
    good = SAMPLES["cname"]
    batch = Batch.of([good[:-3], good, good[:20], good])
    messages = decode.decode_messages(batch)
    assert messages["status"].tolist() == [Status.TRUNCATED, 0, Status.TRUNCATED, 0]
    assert decode.decode_records(batch, messages)["message"].tolist() == [1, 1, 1, 3, 3, 3]


@pytest.mark.parametrize("name", SAMPLES)
def test_dnspython_agrees(name: str) -> None:
    wire = SAMPLES[name]
    row = one(wire)
    message = dns.message.from_wire(wire, one_rr_per_rrset=True)
    question = message.question[0]
    assert (row["id"], row["rcode"]) == (message.id, message.rcode())
    assert (row["flags"] & 0x7FF0, row["opcode"]) == (message.flags & 0x7FF0, message.opcode())
    assert (row["qtype"], row["qclass"]) == (question.rdtype, question.rdclass)
    assert text.name_text(Batch.of([wire]), np.array([row]))[0].as_py() == question.name.to_text(
        omit_final_dot=question.name != dns.name.root
    )
    assert row["edns_version"] == message.edns
    if message.edns >= 0:
        assert (row["edns_size"], row["edns_flags"]) == (message.payload, message.ednsflags)
    batch = Batch.of([wire])
    records = decode.decode_records(batch, decode.decode_messages(batch))
    records = records[records["type"] != dns.rdatatype.OPT]
    sections = (message.answer, message.authority, message.additional)
    expected = [(k, r) for k, section in enumerate(sections, 1) for r in section]
    assert len(records) == len(expected)
    for record, (section, rrset) in zip(records, expected, strict=True):
        assert (record["section"], record["type"], record["class"]) == (section, rrset.rdtype, rrset.rdclass)
        owner, _ = dns.name.from_wire(wire, int(record["name_start"]))
        assert (owner, record["ttl"]) == (rrset.name, rrset.ttl)
        start = int(record["rdata_start"])
        parsed = dns.rdata.from_wire(
            rrset.rdclass, rrset.rdtype, wire, start, int(record["rdata_length"]), origin=None
        )
        assert parsed == rrset[0]


def test_dnspython_reads_what_we_call_good() -> None:
    """Of the damaged ones too, but for rdata of types that we keep opaque and pointers that we follow no more."""
    both = 0
    for message in damaged(3, 60):
        row = one(message)
        try:
            dns.message.from_wire(message, ignore_trailing=False)
        except (dns.exception.DNSException, ValueError):
            continue
        if row["opcode"] == 0 and row["status"] != Status.OK:
            assert row["status"] in {Status.BAD_POINTER, Status.BAD_RDATA}, (message, row)
        both += row["status"] == Status.OK
    assert both > 100


def test_a_pointer_has_fourteen_bits() -> None:
    """Over TCP a name may stand where no pointer leads (RFC 1035, 4.1.4): what seems to lead there is another name."""

    def owned(kind: int, data: bytes) -> bytes:
        return b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data

    begin = b"\1q\7example\0\0\1\0\1" + owned(2, b"\1b\7example\0")  # NS, a name as long as the CNAME's
    place = 12 + len(begin) - 11
    # Octets of TXT, so that the CNAME's target stands 0x4000 behind that name.
    left, count = 0x4000 - 11 - 12, 3
    while left:
        size = left - 13 if left < 263 else min(250, left - 13 - 14)
        begin += owned(16, bytes([size]) + b"t" * size)
        left, count = left - 13 - size, count + 1
    begin += owned(5, b"\1a\7example\0")
    address = struct.pack(">HHHIH", 0xC000 | place, 1, 1, 60, 4) + bytes([198, 18, 9, 9])
    message = struct.pack(">6H", 1, 0x8400, 1, count, 0, 0) + begin + address
    assert message[place + 0x4000 :].startswith(b"\1a\7example\0")
    assert decode.decode_messages(Batch.of([message]))["address_count"][0] == 0
    compare(message)


def test_addresses_at_the_asked_name_follow_the_chain() -> None:
    def found(name: str) -> list[tuple[int, int]]:
        row = one(SAMPLES[name])
        return list(zip(row["address_net"].tolist(), row["address_host"].tolist(), strict=True))[
            : row["address_count"]
        ]

    assert found("addresses") == [address_pair("192.0.2.1"), address_pair("2001:db8::1")]
    assert found("cname") == [address_pair("192.0.2.2")]
    assert found("cname in reverse") == [address_pair("192.0.2.3")]
    assert found("cname loop") == [address_pair("192.0.2.4")]
    assert found("dname") == [address_pair("192.0.2.5")]
    assert found("dname and its cname") == [address_pair("::1")]
    assert one(SAMPLES["eight addresses"])["address_count"] == 8
    assert found("referral") == []


def test_addresses_of_other_names_do_not_count() -> None:
    row = one(response("other.test. 1 IN A 192.0.2.9", "b.a.www.example.net. 1 IN A 192.0.2.9"))
    assert (row["address_count"], row["ancount"]) == (0, 2)


def test_a_dname_does_not_apply_to_its_own_name() -> None:
    """RFC 6672, 2.3."""
    row = one(response(f"{HERE} 1 IN DNAME other.test.", "other.test. 1 IN A 192.0.2.9"))
    assert row["address_count"] == 0


def test_a_dname_that_makes_the_name_too_long_is_not_followed() -> None:
    """RFC 6672, 2.2."""
    long = ".".join(["x" * 60] * 4) + "."
    row = one(response(f"example.net. 1 IN DNAME {long}", f"{HERE} 1 IN A 192.0.2.9"))
    assert (row["status"], row["address_count"]) == (Status.OK, 1)


def test_a_long_chain_ends() -> None:
    links = [f"n{k}. 1 IN CNAME n{k + 1}." for k in range(30)]
    row = one(response(f"{HERE} 1 IN CNAME n0.", *links, "n30. 1 IN A 192.0.2.9"))
    assert (row["status"], row["address_count"], row["cname_count"]) == (Status.OK, 0, 16)


def test_referrals_count_only_at_or_above_the_name() -> None:
    assert one(SAMPLES["referral"])["authority_ns"] == 1
    row = one(response(authority=(". 1 IN NS a.test.", f"b.{HERE} 1 IN NS a.test.", "net. 1 IN NS a.test.")))
    assert row["authority_ns"] == 2


def test_answer_hash_knows_no_order_no_case_and_no_compression() -> None:
    first = response(f"{HERE} 1 IN A 192.0.2.1", f"{HERE} 1 IN CNAME q.www.example.net.")
    other = response(f"{HERE} 9 IN CNAME Q.WWW.example.NET.", f"{HERE} 1 IN A 192.0.2.1")
    third = response(f"{HERE} 9 IN CNAME Q.WWW.example.NET.", f"{HERE} 1 IN A 192.0.2.2")
    hashes = [one(m)["answer_hash"] for m in (first, other, third, SAMPLES["query"])]
    assert hashes[0] == hashes[1] != hashes[2]
    assert hashes[3] == 0


def test_ttl_with_its_top_bit_is_none() -> None:
    """RFC 2181, 8."""
    wire = bytearray(response(f"{HERE} 300 IN A 192.0.2.1"))
    at = wire.index((300).to_bytes(4, "big"))
    assert one(bytes(wire))["ttl_min"] == 300
    wire[at] = 0x80
    assert one(bytes(wire))["ttl_min"] == 0


def test_edns_options_are_read() -> None:
    row = one(SAMPLES["options"])
    assert (row["ecs_family"], row["ecs_source"], row["ecs_scope"]) == (1, 25, 3)
    assert tuple(row["ecs"].tolist()) == address_pair("192.0.2.0")
    assert row["ede"] == 18
    wire = SAMPLES["options"]
    assert wire[row["cookie_start"] :][: row["cookie_length"]] == b"12345678abcdefgh"
    nsid = text.octet_text(Batch.of([wire]), np.array([row["nsid_start"]]), np.array([row["nsid_length"]]))
    assert nsid.to_pylist() == ["ns\\001"]
    assert one(SAMPLES["do"])["edns_flags"] == 0x8000


def test_extended_rcode_is_twelve_bits() -> None:
    """RFC 6891, 6.1.3."""
    message = dns.message.make_response(dns.message.make_query(HERE, "A", use_edns=0))
    message.set_rcode(dns.rcode.BADVERS)
    assert one(message.to_wire())["rcode"] == 16


@pytest.mark.parametrize(
    ("tail", "status"),
    [
        ("00 0029 04d0 00000000 0000  00 0029 04d0 00000000 0000", Status.BAD_EDNS),
        ("01 61 00 0029 04d0 00000000 0000", Status.BAD_EDNS),
        ("00 0029 04d0 00000000 0003 000a00", Status.BAD_EDNS),
        ("00 0029 04d0 00000000 0004 000a 0001", Status.BAD_EDNS),
        ("00 0029 04d0 00010000 0004 000a 0001", Status.OK),  # version 1 may look otherwise
    ],
)
def test_broken_edns_is_malformed(tail: str, status: Status) -> None:
    """RFC 6891, 6.1.1."""
    octets = bytes.fromhex(tail)
    count = 2 if octets.count(b"\0\x29") == 2 else 1
    wire = bytes.fromhex("0001 0100 0001 0000 0000") + bytes([0, count]) + b"\1a\0\0\1\0\1" + octets
    assert one(wire)["status"] == status


@pytest.mark.parametrize(
    ("question", "status"),
    [
        (b"\xc0\x0c", Status.BAD_POINTER),  # to itself
        (b"\1a\xc0\x0c", Status.BAD_POINTER),  # to its own beginning
        (b"\xc0\x0e\xc0\x0c", Status.BAD_POINTER),  # forwards
        (b"\xc0\x00", Status.BAD_POINTER),  # into the header
        (b"\x40a\0", Status.BAD_LABEL),
        (b"\x80a\0", Status.BAD_LABEL),
        (b"\x05ab", Status.TRUNCATED),
        (b"\x3f" + b"a" * 63, Status.TRUNCATED),
        ((b"\x3f" + b"a" * 63) * 4 + b"\0", Status.NAME_TOO_LONG),
        ((b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0", Status.OK),  # 255 octets
    ],
)
def test_names_that_cannot_be(question: bytes, status: Status) -> None:
    tail = b"" if status == Status.TRUNCATED else b"\0\1\0\1"
    assert one(bytes.fromhex("0001 0100 0001 0000 0000 0000") + question + tail)["status"] == status


def test_a_chain_of_pointers_costs_no_more_than_a_name() -> None:
    """Each pointer leads one back: quadratic work, were it followed to its end."""
    # An opaque record at the root holds the chain, a second one's owner enters it at its end.
    start = 12 + 1 + 10
    chain = b"\1a\0" + b"".join(
        (0xC000 | at).to_bytes(2, "big") for at in (start, *range(start + 3, start + 3 + 2 * 299, 2))
    )
    record = b"\0\x63\0\1" + bytes(4) + len(chain).to_bytes(2, "big")
    end = 0xC000 | start + len(chain) - 2
    second = end.to_bytes(2, "big") + b"\0\x63\0\1" + bytes(6)
    wire = bytes.fromhex("0001 0100 0000 0000 0000 0002") + b"\0" + record + chain + second
    assert one(wire)["status"] == Status.BAD_POINTER
    near = 0xC000 | start + 3 + 2 * 100
    wire = wire.replace(second, near.to_bytes(2, "big") + second[2:])
    assert one(wire)["status"] == Status.OK


def test_a_name_of_any_octets_is_safe_text() -> None:
    """RFC 1035, 5.1: no control octet, quote or white space reaches a terminal."""
    labels = [bytes(range(k, min(k + 63, 256))) for k in range(0, 189, 63)]
    wire = dns.message.make_query(dns.name.Name([*labels, b""]), "A").to_wire()
    told = text.name_text(Batch.of([wire]), decode.decode_messages(Batch.of([wire])))[0].as_py()
    assert told == dns.name.Name([*labels, b""]).to_text(omit_final_dot=True)
    assert told.isascii()
    assert told.isprintable()


@given(st.binary(max_size=80))
def test_octets_as_text_can_be_read_back(octets: bytes) -> None:
    told = text.octet_text(Batch.of([octets]), np.zeros(1, np.int64), np.array([len(octets)]))[0].as_py()
    assert told.isascii()
    assert told.isprintable()
    assert dns.rdata.from_text("IN", "TXT", f'"{told}"').to_wire() == bytes([len(octets)]) + octets


def test_rows_are_reused_without_a_trace() -> None:
    out = np.zeros(3, MESSAGE)
    decode.decode_messages(Batch.of([SAMPLES["options"], SAMPLES["cname"], SAMPLES["text"]]), out)
    again = decode.decode_messages(Batch.of([SAMPLES["query"], b""]), out)
    assert again.base is out
    assert plain(again[0]) == plain(one(SAMPLES["query"]))
    assert plain(again[1]) == plain(one(b""))


def test_wrong_rows_are_refused() -> None:
    batch = Batch.of([SAMPLES["cname"], SAMPLES["query"]])
    messages = decode.decode_messages(batch)
    with pytest.raises(ValueError, match="rows for"):
        decode.decode_records(batch, messages[:1])
    with pytest.raises(ValueError, match="do not belong"):
        decode.decode_records(batch, messages[::-1])
    with pytest.raises(ValueError, match="contiguous MESSAGE"):
        decode.decode_messages(batch, messages[:1])
    with pytest.raises(ValueError, match="contiguous MESSAGE"):
        decode.decode_messages(batch, np.zeros(2, RECORD))


def test_a_batch_that_points_outside_its_buffer_is_malformed() -> None:
    wire = np.frombuffer(SAMPLES["query"], np.uint8)
    batch = Batch(wire, np.array([-5, 5, 10**12, 0]), np.array([len(wire)] * 4, np.int32))
    messages = decode.decode_messages(batch)
    assert messages["status"].tolist() == [Status.SHORT_HEADER] * 3 + [Status.OK]
    assert text.name_text(batch, messages).to_pylist() == ["", "", "", HERE[:-1]]


def test_an_empty_batch_is_empty() -> None:
    batch = Batch.of([])
    messages = decode.decode_messages(batch)
    assert (len(messages), len(decode.decode_records(batch, messages))) == (0, 0)
    assert text.name_text(batch, messages).to_pylist() == []


def test_one_signature_each() -> None:
    decode.warm()
    text.warm()
    compare(SAMPLES["options"])
    strided = np.frombuffer(SAMPLES["query"] * 2, np.uint8).reshape(2, -1)
    decode.decode_messages(Batch.rows(strided.copy(), np.full(2, strided.shape[1], np.int32)))
    for function in (
        kernel.decode_messages,
        kernel.decode_records,
        text_kernel.name_text,
        text_kernel.octet_text,
        text_kernel.gather,
    ):
        assert len(function.signatures) == 1
