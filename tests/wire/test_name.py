"""Names as text and as wire against dnspython, and our own against their twin."""

import random
import runpy
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from types import SimpleNamespace

import dns.exception
import dns.name
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.wire import decode, encode, name
from dnsonde.wire._kernels import probe_name, siphash
from dnsonde.wire.batch import Batch, address_array
from dnsonde.wire.name import Kind, NameStatus, ProbeNames, parse_name, run_number, run_text, show_name

twin = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "twins" / "probe.py")))

KEY = bytes(range(16))
RUN = "0129abuv"
ZONE = "Probe.Example.net"
NAMES = ProbeNames(ZONE)
LABELS = (b"probe", b"example", b"net")

# The first and last of the vectors in the paper's reference code: key 00..0f, input 00, 01, ...
VECTORS = {0: 0x726FDB47DD0E0E31, 1: 0x74F839C593DC67FD, 15: 0xA129CA6149BE45E5}

label = st.binary(min_size=1, max_size=63)
labels = st.lists(label, max_size=5).filter(lambda parts: sum(len(p) + 1 for p in parts) < 255)


def unmapped(address: IPv4Address | IPv6Address) -> bool:
    return address.version == 4 or address.ipv4_mapped is None


addresses = st.ip_addresses().filter(unmapped)


def wire_of(parts: tuple[bytes, ...]) -> bytes:
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def query_for(parts: tuple[bytes, ...]) -> bytes:
    return bytes.fromhex("0001 0100 0001 0000 0000 0000") + wire_of(parts) + b"\0\1\0\1"


def compare(parts: tuple[bytes, ...]) -> int:
    """The kernel says what the twin says of this name; the status."""
    batch = Batch.of([query_for(parts)])
    row = NAMES.parse(batch, decode.decode_messages(batch))[0]
    told = {field: row[field].tolist() for field in row.dtype.names or ()}
    text = b"".join(parts)
    assert told.pop("mixed_case") == (text != text.lower() and text != text.upper())
    assert told == twin.parse(parts, LABELS)
    return int(row["status"])


def near_names(seed: int, count: int) -> list[tuple[bytes, ...]]:
    """Names of ours, and what comes of changing them a little."""
    rng = random.Random(seed)
    out = []
    for _ in range(count):
        digits = "".join(rng.choices("0123456789abcdef", k=rng.choice([21, 45])))
        parts = [digits.encode(), rng.choice([b"nx", b"s0512", b"s512", b"c3", b"cf"]), RUN.encode(), *LABELS]
        parts = parts[rng.choice([0, 0, 0, 1, 2, 3, 3]) :]
        for _ in range(rng.choice([0, 0, 1, 2])):
            del parts[rng.randrange(len(parts))]
            if not parts:
                break
        for _ in range(rng.choice([0, 0, 1, 2])):
            at = rng.randrange(len(parts)) if parts else 0
            match rng.randrange(6):
                case 0:
                    parts.insert(at, rng.choice([b"ns1", b"www", b"_", b"nx", b"c0", b"x", b"s1", b"a.b"]))
                case 1 if parts:
                    parts[at] = parts[at].upper()
                case 2 if parts:
                    octets = bytearray(parts[at])
                    octets[rng.randrange(len(octets))] = rng.choice(b"0aAgGvVwzZ@[`{/:._\0\xe0")
                    parts[at] = bytes(octets)
                case 3 if parts:
                    parts[at] = parts[at][1:] or b"0"
                case 4 if parts:
                    parts[at] = (parts[at] + b"0")[:63]
                case _ if parts:
                    parts[at] = b"0" * 20 + b"ffff" + parts[at][:21]
        out.append(tuple(parts))
    return out


def test_siphash_has_the_vectors_of_its_paper() -> None:
    for size, value in VECTORS.items():
        assert name.siphash(KEY, bytes(range(size))) == value


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=300))
def test_siphash_is_its_twin(key: bytes, data: bytes) -> None:
    assert name.siphash(key, data) == twin.siphash(key, data)


@given(st.binary(min_size=16, max_size=16), addresses, st.integers(1, 15), st.sampled_from(Kind))
def test_tag_is_a_siphash_of_what_it_covers(
    key: bytes, target: IPv4Address | IPv6Address, attempt: int, kind: Kind
) -> None:
    told = NAMES.tags(key, RUN, address_array([target]), attempt, kind)
    assert told.tolist() == [twin.tag(key, RUN, target, attempt, kind)]


def test_names_like_ours_are_parsed_as_the_twin_does() -> None:
    seen = {compare(parts) for parts in near_names(1, 4000)}
    assert seen == {int(s) for s in NameStatus}, "every status is reached"


@given(labels)
def test_any_name_is_parsed_as_the_twin_does(parts: list[bytes]) -> None:
    if sum(len(p) + 1 for p in (*parts, *LABELS)) < 255:
        compare((*parts, *LABELS))
    compare(tuple(parts))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("probe.example.net", NameStatus.APEX),
        ("PROBE.example.NET", NameStatus.APEX),
        ("xprobe.example.net", NameStatus.FOREIGN),
        ("example.net", NameStatus.FOREIGN),
        (".", NameStatus.FOREIGN),
        (f"{RUN}.probe.example.net", NameStatus.EMPTY),
        (f"nx.{RUN}.probe.example.net", NameStatus.EMPTY),
        (f"s512.{RUN}.probe.example.net", NameStatus.EMPTY),
        (f"c3.{RUN}.probe.example.net", NameStatus.EMPTY),
        (f"_.{RUN}.probe.example.net", NameStatus.UNKNOWN),
        (f"7f0000010{'0' * 12}.{RUN}.probe.example.net", NameStatus.UNKNOWN),  # attempt 0
        (f"7f0000011{'0' * 12}.{RUN}.probe.example.net", NameStatus.PROBE),
        (f"x.7f0000011{'0' * 12}.{RUN}.probe.example.net", NameStatus.UNKNOWN),
        ("www.probe.example.net", NameStatus.UNKNOWN),
        ("mail.probe.example.net", NameStatus.UNKNOWN),
    ],
)
def test_each_name_of_the_zone_has_its_status(text: str, status: NameStatus) -> None:
    assert compare(tuple(dns.name.from_text(text).labels[:-1])) == status


def test_a_message_without_a_question_is_foreign() -> None:
    batch = Batch.of([bytes(12), b"", query_for(LABELS)[:16]])
    assert NAMES.parse(batch, decode.decode_messages(batch))["status"].tolist() == [NameStatus.FOREIGN] * 3


def test_a_changed_name_does_not_verify() -> None:
    """Whoever does not know the key cannot write a name that we believe, nor turn one into another."""
    targets = address_array(["192.0.2.1", "2001:db8::1"])
    out, length = np.zeros((2, 200), np.uint8), np.zeros(2, np.int32)
    encode.encode_probes(NAMES, out, length, targets, [1, 15], Kind.SWEEP, 0, 1, KEY, RUN, 0)

    def verified(key: bytes = KEY, run: str = RUN) -> list[bool]:
        batch = Batch.rows(out, length)
        told: list[bool] = NAMES.verify(NAMES.parse(batch, decode.decode_messages(batch)), key, run).tolist()
        return told

    assert verified() == [True, True]
    assert verified(key=bytes(16)) == [False, False]
    assert verified(run="0129abuu") == [False, False]
    for column in range(13, 13 + 21):
        kept = out.copy()
        out[:, column] = np.where(out[:, column] == ord("1"), ord("2"), ord("1"))
        assert verified() == [False, False]
        out[:] = kept
    out[:, 13 : 13 + 21] &= 0xDF | np.where(out[:, 13 : 13 + 21] < 65, 0x20, 0).astype(np.uint8)
    assert verified() == [True, True], "in upper case it is the same name (0x20)"


@given(st.integers(0, (1 << 40) - 1))
def test_a_run_is_eight_digits(number: int) -> None:
    assert run_number(run_text(number)) == run_number(run_text(number).upper()) == number


@pytest.mark.parametrize("text", ["", "0129abu", "0129abuvv", "0129abuw", "0129abu-"])
def test_what_is_no_run_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a run is 8 digits"):
        run_number(text)


@given(labels)
def test_names_go_to_text_and_back_as_dnspython_does(parts: list[bytes]) -> None:
    """RFC 1035, 5.1."""
    wire = wire_of(tuple(parts))
    text = show_name(wire)
    absolute = dns.name.Name([*parts, b""])
    assert text == absolute.to_text(omit_final_dot=bool(parts))
    assert parse_name(text) == wire
    assert parse_name(absolute.to_text()) == wire


@given(st.text(alphabet="ab.\\0129", max_size=40))
def test_text_is_read_as_dnspython_reads_it(text: str) -> None:
    try:
        expected = dns.name.from_text(text).to_wire()
    except (dns.exception.DNSException, ValueError):
        with pytest.raises(ValueError, match=r"label|escape|octets|digits"):
            parse_name(text)
    else:
        assert parse_name(text) == expected


@pytest.mark.parametrize(
    "text", ["a..b", ".a", "x" * 64, ".".join(["x" * 60] * 5), "a\\", "a\\25", "a\\256", "ä"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"label|escape|octets|digits|xn--"):
        parse_name(text)


@pytest.mark.parametrize("wire", [b"", b"\1", b"\1a", b"\xc0\x0c", b"\2a\0"])
def test_what_is_no_wire_name_is_refused(wire: bytes) -> None:
    with pytest.raises(ValueError, match="name"):
        show_name(wire)


def test_a_zone_must_leave_room() -> None:
    longest = ".".join(["x" * 63] * 2 + ["y" * 63, "z"])  # 195 octets
    with pytest.raises(ValueError, match="at most 194 octets"):
        ProbeNames(longest)
    names = ProbeNames(longest[1:])
    out, length = np.zeros((1, 512), np.uint8), np.zeros(1, np.int32)
    encode.encode_probes(names, out, length, address_array(["::1"]), 1, Kind.SIZE, 4096, 16, KEY, RUN, 0)
    assert decode.decode_messages(Batch.rows(out, length))["qname_length"] == 255


def test_one_attempt_stands_for_all() -> None:
    targets = address_array(["192.0.2.1", "192.0.2.2", "2001:db8::3"])
    each = NAMES.tags(KEY, RUN, targets, np.array([2, 2, 2]), 0)
    for attempt in (2, [2], np.array(2, np.uint8)):
        assert (NAMES.tags(KEY, RUN, targets, attempt, 0) == each).all()
    with pytest.raises(ValueError, match="broadcast"):
        NAMES.tags(KEY, RUN, targets, [2, 2], 0)


def test_bad_arguments_are_refused() -> None:
    target = address_array(["192.0.2.1"])
    with pytest.raises(ValueError, match="a key has 16 octets"):
        NAMES.tags(b"short", RUN, target, 1, 0)
    for attempt in (0, 16, 256):
        with pytest.raises(ValueError, match="an attempt is 1 to 15"):
            NAMES.tags(KEY, RUN, target, attempt, 0)
    for kind, step in ((Kind.SIZE, 10000), (Kind.CHAIN, 16), (4, 0), (Kind.SIZE, -1)):
        with pytest.raises(ValueError, match="no kind"):
            NAMES.tail(RUN, kind, step)


def test_addresses_of_both_families_come_back() -> None:
    texts = ["0.0.0.0", "255.255.255.255", "::", "ffff::ffff", "8000::1", "::ffff:0:1:2", "2001:db8::1"]
    targets = address_array([ip_address(t) for t in texts])
    out, length = np.zeros((len(texts), 128), np.uint8), np.zeros(len(texts), np.int32)
    encode.encode_probes(NAMES, out, length, targets, 3, Kind.CHAIN, 9, 1, KEY, RUN, 1232)
    batch = Batch.rows(out, length)
    parsed = NAMES.parse(batch, decode.decode_messages(batch))
    assert parsed["target"].tolist() == targets.tolist()
    assert set(parsed["step"].tolist()) == {9}
    assert NAMES.verify(parsed, KEY, RUN).all()


def test_one_signature_each() -> None:
    name.warm()
    test_a_changed_name_does_not_verify()
    for function in (siphash.siphash, siphash.tags, siphash.verify, probe_name.parse):
        assert len(function.signatures) == 1
