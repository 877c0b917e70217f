"""Messages that we write, read by dnspython and compared with plain twins."""

import random
import runpy
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from types import SimpleNamespace

import dns.edns
import dns.flags
import dns.message
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dnsonde.wire import decode, encode, text
from dnsonde.wire._kernels import message_encode as kernel
from dnsonde.wire.batch import ADDRESS, Batch, address_array
from dnsonde.wire.message import RECORD_SPEC, REPLY_SPEC
from dnsonde.wire.name import Kind, ProbeNames, parse_name, probe_ids, show_name

FOLDER = Path(__file__).parent / "twins"
probe_twin = SimpleNamespace(**runpy.run_path(str(FOLDER / "probe.py")))
twin = SimpleNamespace(**runpy.run_path(str(FOLDER / "response.py")))

KEY = bytes(range(100, 116))
RUN = "vvvv0000"
ZONE = "probe.example.net"
NAMES = ProbeNames(ZONE)


def unmapped(address: IPv4Address | IPv6Address) -> bool:
    return address.version == 4 or address.ipv4_mapped is None


addresses = st.ip_addresses().filter(unmapped)


def rows(n: int, stride: int = 512) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Buffers with something in them already, as they are in use."""
    return np.full((n, stride), 0xAA, np.uint8), np.full(n, -1, np.int32)


@given(
    st.lists(st.tuples(addresses, st.integers(1, 15)), min_size=1, max_size=5),
    st.sampled_from(
        [(Kind.SWEEP, 0), (Kind.NXDOMAIN, 0), (Kind.SIZE, 40), (Kind.SIZE, 4096), (Kind.CHAIN, 11)]
    ),
    st.sampled_from([1, 16, 28]),
    st.sampled_from([0, 512, 1232, 65535]),
)
def test_probes_are_their_twin(
    probes: list[tuple[IPv4Address | IPv6Address, int]], what: tuple[Kind, int], qtype: int, edns: int
) -> None:
    out, length = rows(len(probes))
    targets = address_array([target for target, _ in probes])
    attempts = np.array([attempt for _, attempt in probes], np.uint8)
    encode.encode_probes(NAMES, out, length, targets, attempts, *what, qtype, KEY, RUN, edns)
    expected = [probe_twin.query(ZONE, t, a, *what, qtype, KEY, RUN, edns) for t, a in probes]
    batch = Batch.rows(out, length)
    assert [batch[k] for k in range(len(probes))] == expected
    assert all((out[k, length[k] :] == 0xAA).all() for k in range(len(probes))), (
        "nothing behind it is touched"
    )


def test_dnspython_reads_a_probe() -> None:
    out, length = rows(1)
    targets = address_array(["192.0.2.1"])
    encode.encode_probes(NAMES, out, length, targets, 2, Kind.SIZE, 512, 16, KEY, RUN, 1232)
    message = dns.message.from_wire(Batch.rows(out, length)[0])
    tag = NAMES.tags(KEY, RUN, targets, 2, Kind.SIZE)
    assert message.id == probe_ids(tag)[0]
    assert (message.flags, message.opcode(), message.edns, message.payload) == (dns.flags.RD, 0, 0, 1232)
    assert message.ednsflags == 0
    assert message.question[0].to_text() == f"c00002012{tag[0]:012x}.s0512.{RUN}.{ZONE}. IN TXT"


def test_probe_text_is_the_name_that_is_asked() -> None:
    targets = address_array(["192.0.2.1", "2001:db8::1"])
    out, length = rows(2)
    encode.encode_probes(NAMES, out, length, targets, 3, Kind.CHAIN, 4, 1, KEY, RUN, 1232)
    batch = Batch.rows(out, length)
    told, tags = encode.probe_text(NAMES, targets, 3, Kind.CHAIN, 4, KEY, RUN)
    assert told.equals(text.name_text(batch, decode.decode_messages(batch)))
    assert tags.tolist() == NAMES.tags(KEY, RUN, targets, 3, Kind.CHAIN).tolist()
    escaped = ProbeNames(r"a\.b\200.example")
    (name,), _ = encode.probe_text(escaped, targets[:1], 1, Kind.SWEEP, 0, KEY, RUN)
    assert name.as_py().endswith(rf".{RUN}.a\.b\200.example")


def test_rows_that_are_too_short_are_refused() -> None:
    targets = address_array(["192.0.2.1", "::1"])
    for out, length in (rows(2, 90), rows(1)):
        with pytest.raises(ValueError, match="rows"):
            encode.encode_probes(NAMES, out, length, targets, 1, Kind.SWEEP, 0, 1, KEY, RUN, 1232)
    out, length = rows(2)
    with pytest.raises(ValueError, match="C-contiguous"):
        encode.encode_probes(NAMES, out[:, :200], length, targets, 1, Kind.SWEEP, 0, 1, KEY, RUN, 1232)
    with pytest.raises(ValueError, match="int32"):
        encode.encode_probes(NAMES, out, length.astype(np.int64), targets, 1, 0, 0, 1, KEY, RUN, 0)
    encode.encode_probes(NAMES, out, length, targets[:0], 1, Kind.SWEEP, 0, 1, KEY, RUN, 1232)
    assert (length == -1).all()


@pytest.mark.parametrize("edns", [0, 1232])
def test_fixed_queries_differ_in_their_id_only(edns: int) -> None:
    out, length = rows(3)
    encode.encode_fixed(
        out, length, parse_name("www.Example.net"), 1, np.array([0, 0x1234, 65535], np.uint16), edns
    )
    batch = Batch.rows(out, length)
    for k, number in enumerate((0, 0x1234, 65535)):
        message = dns.message.from_wire(batch[k])
        assert (message.id, message.flags) == (number, dns.flags.RD)
        assert message.question[0].to_text() == "www.Example.net. IN A"
        assert message.edns == (0 if edns else -1)
    with pytest.raises(ValueError, match="rows of"):
        encode.encode_fixed(out[:2], length, b"\0", 1, np.zeros(3, np.uint16), edns)


class Blob:
    """Octets, and specifications that point into them."""

    def __init__(self) -> None:
        self.octets = bytearray()
        self.records: list[tuple[int, ...]] = []
        self.replies: list[tuple[int, ...]] = []

    def put(self, data: bytes) -> int:
        self.octets += data
        return len(self.octets) - len(data)

    def record(
        self, section: int, rdata: bytes, kind: int = 1, name: bytes | None = None, ttl: int = 30
    ) -> None:
        start = -1 if name is None else self.put(name)
        size = 0 if name is None else len(name)
        self.records.append((section, start, size, kind, 1, ttl, self.put(rdata), len(rdata)))

    def reply(
        self,
        count: int,
        *,
        flags: int = 0x8400,
        rcode: int = 0,
        limit: int = 0,
        edns: int = 0,
        cookie: bytes = b"",
        nsid: bytes = b"",
        ede: int = -1,
        drop: int = 0,
    ) -> None:
        first = len(self.records) - count
        options = self.put(cookie), len(cookie), self.put(nsid), len(nsid), ede + 1
        self.replies.append((flags, rcode, first, count, limit, edns, 1232, *options, drop))

    def arrays(self) -> tuple[NDArray[np.void], NDArray[np.void], NDArray[np.uint8]]:
        octets = np.frombuffer(bytes(self.octets), np.uint8)
        return np.array(self.replies, REPLY_SPEC), np.array(self.records, RECORD_SPEC), octets

    def encode(self, requests: list[bytes], stride: int = 600) -> list[bytes]:
        batch = Batch.of(requests)
        out, length = rows(len(requests), stride)
        encode.encode_responses(batch, decode.decode_messages(batch), *self.arrays(), out, length)
        told = Batch.rows(out, length)
        return [told[k] for k in range(len(requests))]


QUERY = dns.message.make_query("Www.Example.NET", "A", id=0xBEEF).to_wire()
EDNS = dns.message.make_query("Www.Example.NET", "A", id=0xBEEF, use_edns=0, want_dnssec=True).to_wire()
HEADER = bytes.fromhex("beef 0100 0000 0000 0000 0000")


def test_dnspython_reads_a_response() -> None:
    blob = Blob()
    blob.record(1, bytes([192, 0, 2, 1]))
    blob.record(1, bytes([192, 0, 2, 80]))
    blob.record(2, parse_name("ns.example.net"), 2, parse_name("example.net"), 2**31)
    blob.record(3, bytes(16), 28, parse_name("ns.example.net"))
    blob.reply(4, edns=1, rcode=16, cookie=b"12345678abcdefgh", nsid=b"probe-1", ede=21)
    (wire,) = blob.encode([EDNS])
    message = dns.message.from_wire(wire, one_rr_per_rrset=True)
    assert (message.id, message.rcode(), message.flags) == (0xBEEF, 16, dns.flags.QR | dns.flags.AA)
    assert message.question[0].to_text() == "Www.Example.NET. IN A", "its case comes back (0x20)"
    assert [r.to_text() for r in message.answer] == [
        "Www.Example.NET. 30 IN A 192.0.2.1",
        "Www.Example.NET. 30 IN A 192.0.2.80",
    ]
    assert message.authority[0][0].to_text() == "ns.example.net."
    assert message.additional[0].to_text() == "ns.example.net. 30 IN AAAA ::"
    assert (message.edns, message.payload, message.ednsflags & 0xFFFF) == (0, 1232, dns.flags.DO)
    assert message.options == (
        dns.edns.CookieOption(b"12345678", b"abcdefgh"),
        dns.edns.EDEOption(dns.edns.EDECode.NOT_SUPPORTED),
        dns.edns.NSIDOption(b"probe-1"),
    )


def test_what_does_not_fit_sets_tc_and_keeps_the_opt() -> None:
    """RFC 2181, 9; RFC 6891, 7."""
    blob = Blob()
    for _ in range(2):
        blob.record(1, b"\xff" + b"x" * 255, 16)
    blob.reply(2, limit=512, edns=1)
    (wire,) = blob.encode([EDNS])
    message = dns.message.from_wire(wire)
    assert message.flags & dns.flags.TC
    assert (len(message.answer), message.edns, len(wire)) == (0, 0, len(QUERY) + 11)


@pytest.mark.parametrize(("spare", "kept"), [(0, True), (-1, False)])
def test_the_limit_is_exact(spare: int, kept: bool) -> None:
    blob = Blob()
    blob.record(1, bytes(4))
    blob.reply(1, limit=len(QUERY) + 16 + 11 + spare, edns=1)
    (wire,) = blob.encode([EDNS])
    row = decode.decode_messages(Batch.of([wire]))[0]
    assert (row["ancount"] == 1, row["flags"] & 0x0200 == 0) == (kept, kept)
    blob.replies[0] = (*blob.replies[0][:4], 0, *blob.replies[0][5:])
    (wire,) = blob.encode([EDNS], stride=len(QUERY) + 16 + 11 + spare)
    assert (decode.decode_messages(Batch.of([wire]))[0]["ancount"] == 1) == kept, "so is the row's own"


@pytest.mark.parametrize(
    ("spare", "kept", "tc"),
    [(16, ["ede", "nsid"], False), (15, ["ede"], False), (6, ["ede"], False), (5, [], True), (-27, [], True)],
)
def test_options_that_do_not_fit_are_left_out_and_records_stay(spare: int, kept: list[str], tc: bool) -> None:
    """RFC 8914, 3: the extended error goes before other data do, and TC tells that it did; NSID goes silently."""
    blob = Blob()
    blob.record(1, bytes(4))
    blob.reply(spare >= 0, limit=len(QUERY) + 16 + 11 + spare, edns=1, ede=21, nsid=b"ns-one")
    (wire,) = blob.encode([EDNS])
    message = dns.message.from_wire(wire)
    names = {dns.edns.OptionType.EDE: "ede", dns.edns.OptionType.NSID: "nsid"}
    assert [names[option.otype] for option in message.options] == kept
    assert bool(message.flags & dns.flags.TC) == tc
    assert len(message.answer) == (spare >= 0)


@given(
    st.binary(max_size=255),
    st.integers(-1, 65534),
    st.just(b"") | st.binary(min_size=16, max_size=40),
    st.integers(0, 6),
    st.integers(1, 500),
)
def test_no_answer_is_over_its_limit(nsid: bytes, ede: int, cookie: bytes, count: int, limit: int) -> None:
    """Above question, OPT and cookie, which always stay; dnspython reads what is left."""
    blob = Blob()
    for _ in range(count):
        blob.record(1, bytes(4))
    blob.reply(count, limit=limit, edns=1, cookie=cookie, nsid=nsid, ede=ede)
    (wire,) = blob.encode([EDNS])
    least = len(QUERY) + 11 + (4 + len(cookie) if cookie else 0)
    assert len(wire) <= max(limit, least)
    message = dns.message.from_wire(wire)
    told = {option.otype: option for option in message.options}
    if dns.edns.OptionType.NSID in told:
        assert told[dns.edns.OptionType.NSID] == dns.edns.NSIDOption(nsid)
    if dns.edns.OptionType.EDE in told:
        assert told[dns.edns.OptionType.EDE] == dns.edns.EDEOption(dns.edns.EDECode.make(ede))
    elif ede >= 0:
        assert message.flags & dns.flags.TC


def test_additional_data_may_be_left_out_without_tc() -> None:
    """RFC 2181, 9."""
    blob = Blob()
    blob.record(1, bytes(4))
    blob.record(3, bytes(200), 99)
    blob.record(3, bytes(4))
    blob.reply(3, limit=len(QUERY) + 16 + 16)
    (wire,) = blob.encode([QUERY])
    row = decode.decode_messages(Batch.of([wire]))[0]
    assert (row["status"], row["ancount"], row["arcount"], row["flags"] & 0x0200) == (0, 1, 1, 0)


def test_a_limit_below_the_question_keeps_the_question() -> None:
    """A stranger who offers 1 octet gets no exception."""
    blob = Blob()
    blob.record(1, bytes(4))
    blob.reply(1, limit=1, edns=1)
    (wire,) = blob.encode([EDNS])
    assert dns.message.from_wire(wire).flags & dns.flags.TC


def test_requests_without_a_question_or_header() -> None:
    blob = Blob()
    blob.reply(0, rcode=1)
    blob.reply(0, rcode=1)
    blob.reply(0, drop=1)
    told = blob.encode([HEADER, HEADER[:11], QUERY])
    assert told == [bytes.fromhex("beef 8401 0000 0000 0000 0000"), b"", b""]


@pytest.mark.parametrize("fault", ["records", "rdata", "name", "cookie", "nsid", "pointer", "stride", "root"])
def test_specifications_that_point_outside_are_refused(fault: str) -> None:
    blob = Blob()
    blob.record(1, bytes(4), name=b"\0")
    blob.reply(1, edns=1, cookie=bytes(8))
    reply, record = list(blob.replies[0]), list(blob.records[0])
    request, stride = EDNS, 600
    if fault == "records":
        reply[2] = 1
    elif fault == "rdata":
        record[6] = len(blob.octets) - 3
    elif fault == "name":
        record[1] = len(blob.octets)
    elif fault == "cookie":
        reply[7] = -1
    elif fault == "nsid":
        reply[9], reply[10] = len(blob.octets), 1
    elif fault == "pointer":
        record[1], request = -1, HEADER
    elif fault == "root":
        record[2] = 0
    else:
        stride = 40
    blob.records[0] = tuple(record)
    blob.replies = [(*reply[:-1], 1), tuple(reply)]
    with pytest.raises(ValueError, match="row 1"):
        blob.encode([request, request], stride)


def random_case(seed: int) -> tuple[Blob, list[bytes], int]:
    """A batch of requests and replies at random, many of them too large."""
    rng = random.Random(seed)
    blob = Blob()
    requests = []
    for _ in range(rng.randint(1, 4)):
        requests.append(rng.choice([QUERY, EDNS, HEADER, QUERY + b"more", EDNS[:-3], HEADER[:5], QUERY[:20]]))
        asked = decode.decode_messages(Batch.of(requests[-1:]))[0]["qname_length"] > 0
        count = rng.randint(0, 5)
        for section in sorted(rng.choices([1, 2, 3], k=count)):
            owner = rng.choice([None, b"\0", b"\2ab\0"]) if asked else b"\0"
            blob.record(
                section,
                rng.randbytes(rng.choice([0, 4, 16, 100])),
                rng.randrange(65536),
                owner,
                rng.randrange(2**32),
            )
        blob.reply(
            count,
            flags=rng.randrange(65536),
            rcode=rng.randrange(4096),
            limit=rng.choice([0, 50, 100, 200, 512, 65535]),
            edns=rng.randrange(2),
            cookie=rng.randbytes(rng.choice([0, 8, 40])),
            nsid=rng.randbytes(rng.choice([0, 1, 64, 255])),
            ede=rng.choice([-1, 0, 21, 65534]),
            drop=rng.random() < 0.1,
        )
    return blob, requests, rng.choice([150, 300, 700])


def compare(seed: int) -> None:
    blob, requests, stride = random_case(seed)
    messages = decode.decode_messages(Batch.of(requests))
    expected = [
        twin.respond(request, message, reply, blob.records, bytes(blob.octets), stride)
        for request, message, reply in zip(requests, messages, blob.replies, strict=True)
    ]
    assert blob.encode(requests, stride) == expected


def test_responses_are_their_twin() -> None:
    for seed in range(1000):
        compare(seed)


def test_arrays_must_fit_together() -> None:
    batch = Batch.of([QUERY])
    messages = decode.decode_messages(batch)
    out, length = rows(1)
    nothing = np.zeros(0, RECORD_SPEC), np.zeros(0, np.uint8)
    with pytest.raises(ValueError, match="for 1 requests"):
        encode.encode_responses(batch, messages, np.zeros(2, REPLY_SPEC), *nothing, out, length)
    with pytest.raises(ValueError, match="for 1 requests"):
        encode.encode_responses(batch, messages, np.zeros(1, REPLY_SPEC), *nothing, out[:0], length)


def test_one_signature_each() -> None:
    encode.warm()
    compare(1)
    targets = np.zeros(4, ADDRESS)[::2]
    out, length = rows(5)
    encode.encode_probes(NAMES, out[1:3], length[1:3], targets, [1, 2], Kind.SWEEP, 0, 1, KEY, RUN, 0)
    for function in (kernel.encode_probes, kernel.encode_responses):
        assert len(function.signatures) == 1


def test_names_shown_are_names_sent() -> None:
    tail = NAMES.tail(RUN, Kind.CHAIN, 10)
    assert show_name(tail) == f"ca.{RUN}.{ZONE}"
    assert ip_address("192.0.2.1").packed.hex() == "c0000201"
