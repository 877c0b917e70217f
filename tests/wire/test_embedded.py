"""Addresses and times inside names: whatever plain Python can write, the kernel reads back."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dnsonde.wire import embedded
from dnsonde.wire._kernels import embedded as kernel
from dnsonde.wire.batch import ADDRESS, Batch, address_array, address_text

NOW = datetime(2024, 2, 12, 19, 0, 3, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000


def find(
    name: str, source: str = "203.0.113.9", destination: str = "198.51.100.7", now_us: int = NOW_US
) -> dict[str, Any]:
    """What is found in the part of a name left of its last two labels, as text."""
    search = np.array([len(name.rsplit(".", 2)[0])], np.int32)
    batch = Batch.of([name.encode()])
    rows = embedded.embedded(
        batch, search, address_array([source]), address_array([destination]), np.array([now_us])
    )
    row = rows[0]
    return {
        "finds": [
            (
                embedded.KINDS[row["kind"][k]],
                embedded.RELATIONS[row["relation"][k]],
                address_text(int(row["net"][k]), int(row["host"][k])),
            )
            for k in range(row["count"])
        ],
        "time": (embedded.TIME_KINDS[row["time_kind"]], int(row["time_us"])),
        "template": embedded.templates(batch, search, rows)[0].as_py(),
    }


def octets(address: IPv4Address) -> list[str]:
    return str(address).split(".")


def base32(packed: bytes, *, extended: bool = False) -> str:
    encode = base64.b32hexencode if extended else base64.b32encode
    return encode(packed).decode().rstrip("=").lower()


WRITERS4: dict[str, Callable[[IPv4Address], str]] = {
    "dotted": str,
    "dashed": lambda a: "-".join(octets(a)),
    "dotted_reversed": lambda a: ".".join(reversed(octets(a))),
    "dashed_reversed": lambda a: "-".join(reversed(octets(a))),
    "hex8": lambda a: a.packed.hex(),
    "hex8_reversed": lambda a: a.packed[::-1].hex(),
    "decimal": lambda a: str(int(a)),
    "base32": lambda a: base32(a.packed),
    "base32 extended": lambda a: base32(a.packed, extended=True),
    "octets": lambda a: "-".join(["7", *octets(a)]),
    "zero padded": lambda a: "-".join(f"{int(o):03}" for o in octets(a)),
    "twelve digits": lambda a: "".join(f"{int(o):03}" for o in octets(a)),
}
WRITERS6 = {
    "hex32": lambda a: a.packed.hex(),
    "nibbles": lambda a: ".".join(a.packed.hex()),
    "dotted_reversed": lambda a: ".".join(reversed(a.packed.hex())),
    "base32": lambda a: base32(a.packed),
}

targets = st.integers(0x10000000, 0xDFFFFFFF).map(IPv4Address)


@pytest.mark.parametrize("way", WRITERS4)
@given(target=targets, before=st.sampled_from(["", "x.", "q-"]), after=st.sampled_from(["", ".r1", "-z"]))
def test_the_destination_is_found_however_it_is_written(
    way: str, target: IPv4Address, before: str, after: str
) -> None:
    name = f"{before}{WRITERS4[way](target)}{after}.probe.example"
    finds = find(name, destination=str(target))["finds"]
    assert finds[0][1:] == ("destination", str(target))


@pytest.mark.parametrize("way", WRITERS6)
@given(low=st.integers(0, (1 << 80) - 1))
def test_an_ipv6_destination_is_found_however_it_is_written(way: str, low: int) -> None:
    target = IPv6Address((0x20010DB81234 << 80) | low)
    finds = find(f"p.{WRITERS6[way](target)}.probe.example", "2001:db8:ffff::1", str(target))["finds"]
    assert finds[0][1:] == ("destination", str(target))


@given(target=targets, filler=st.text("0123456789abcdef", max_size=12))
def test_every_window_of_a_longer_hex_word_is_read(target: IPv4Address, filler: str) -> None:
    finds = find(f"{filler}{target.packed.hex()}{filler}.probe.example", destination=str(target))["finds"]
    assert ("hex8", "destination", str(target)) in finds or finds[0][1] == "destination"


@given(
    st.text("ghijklmnopqrstuvwxyz", min_size=1, max_size=20),
    st.text("ghijklmnopqrstuvwxyz", min_size=1, max_size=6),
)
def test_words_without_digits_hold_no_time_and_no_strangers_address(first: str, second: str) -> None:
    found = find(f"{first}.{second}.example.com")
    assume(not found["finds"])  # seven letters may spell the packet's own address in base 32
    assert found["time"] == ("", 0)
    assert found["template"] is None


@pytest.mark.parametrize(
    ("name", "source", "destination", "template"),
    [
        ("bc2874fb-1.c.secshow.net", "188.40.116.251", "8.8.8.8", "{source}-{n}.c.secshow.net"),
        ("20240212190003.bailiwick.secshow.net", "9.9.9.9", "8.8.8.8", "{datetime}.bailiwick.secshow.net"),
        (
            "1-103-170-192-121-103-170-192-9.h.secshow.net",
            "103.170.192.121",
            "103.170.192.9",
            "{n}-{source}-{destination}.h.secshow.net",
        ),
        (
            "154-119-131-252-103-58-216-162-36.m.secshow.net",
            "9.9.9.9",
            "8.8.8.8",
            "{n}-{address}-{address}.m.secshow.net",
        ),
        (
            "0-53ea2a3a-202401201-ans-dnssec.l-test.secdns.site",
            "9.9.9.9",
            "83.234.42.58",
            "{n}-{destination}-{date}{n}-ans-dnssec.l-test.secdns.site",
        ),
        ("08-08-08-08.x.secshow.net", "9.9.9.9", "8.8.8.8", "{destination}.x.secshow.net"),
        (
            "3232235777.round2024-02-12.odns.m.dnsscan.top",
            "9.9.9.9",
            "192.168.1.1",
            "{destination}.round{date}.odns.m.dnsscan.top",
        ),
        (
            "192.0.2.7.1707764403.main.research.openresolve.rs",
            "9.9.9.9",
            "192.0.2.7",
            "{destination}.{epoch_s}.main.research.openresolve.rs",
        ),
        (
            "0006113467bd1ac0.00ab.192-0-2-7.asertdnsresearch.com",
            "9.9.9.9",
            "192.0.2.7",
            "{epoch_hex_us}.{n}ab.{destination}.asertdnsresearch.com",
        ),
    ],
)
def test_known_probers_names_become_templates(
    name: str, source: str, destination: str, template: str
) -> None:
    # FACTS: SecShow (Infoblox, Unit 42, 2024), ODNS, openresolve.rs, ASERT.
    assert find(name, source, destination)["template"] == template


@given(
    st.sampled_from(["epoch_s", "epoch_ms", "epoch_us", "epoch_hex", "epoch_hex_us", "date", "datetime"]),
    st.integers(-20 * 86_400, 20 * 86_400),
)
def test_times_near_the_packets_are_read_in_every_form(kind: str, seconds: int) -> None:
    moment = NOW + timedelta(seconds=seconds)
    stamp = int(moment.timestamp())
    text = {
        "epoch_s": str(stamp),
        "epoch_ms": f"{stamp}123",
        "epoch_us": f"{stamp}123456",
        "epoch_hex": f"{stamp:08x}",
        "epoch_hex_us": f"{stamp * 1_000_000:016x}",
        "date": f"{moment:%Y%m%d}",
        "datetime": f"{moment:%Y%m%d%H%M%S}",
    }[kind]
    assume(not text.isdigit() or "hex" not in kind)
    read, time_us = find(f"{text}.t.probe.example")["time"]
    assert read == kind
    assert abs(time_us - stamp * 1_000_000) < (86_400_000_000 if kind == "date" else 1_000_000)


@pytest.mark.parametrize("text", ["20241301", "20240230", "99999999999999", "1000000000", "0000000000"])
def test_numbers_that_are_no_near_time_are_none(text: str) -> None:
    assert find(f"{text}.t.probe.example")["time"] == ("", 0)


def test_a_neighbour_shares_the_24() -> None:
    assert find("192-0-2-77.p.example", destination="192.0.2.1")["finds"] == [
        ("dashed", "neighbour", "192.0.2.77")
    ]


def test_source_and_destination_in_one_name_are_both_found() -> None:
    finds = find("1-192-0-2-1-198-51-100-1.h.p.example", "192.0.2.1", "198.51.100.1")["finds"]
    assert finds == [("octets", "destination", "198.51.100.1"), ("octets", "source", "192.0.2.1")]


@given(st.lists(st.binary(max_size=130), min_size=1, max_size=6), st.integers(0, 2**63 - 1))
def test_arbitrary_bytes_are_read_within_their_slice(items: list[bytes], seed: int) -> None:
    batch = Batch.of(items)
    pair = np.random.default_rng(seed).integers(-(2**62), 2**62, (2, len(items), 2))
    source, destination = (np.ascontiguousarray(p).view(ADDRESS).reshape(-1) for p in pair)
    time = np.full(len(items), NOW_US)
    rows = embedded.embedded(batch, batch.length, source, destination, time)
    assert (rows["count"] <= embedded.FINDS).all()
    for row, length in zip(rows, batch.length, strict=True):
        spans = [(row["start"][k], row["stop"][k]) for k in range(row["count"])]
        assert all(0 <= start < stop <= length for start, stop in spans)
        spans.sort()
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
    embedded.templates(batch, batch.length, rows)


@given(
    st.lists(
        st.text("0123456789abcdefghijkvyz.-_", max_size=70)
        | st.sampled_from(["c0000201", "192-0-2-1", "2024-02-12", "ae.b2.yaaaaii", "1707764403", "ya" * 16]),
        min_size=1,
        max_size=12,
    )
)
def test_a_name_that_embeds_something_may_embed_something(texts: list[str]) -> None:
    batch = Batch.of([text.encode() for text in texts])
    here = address_array(["192.0.2.1", "2001:db8::1"])[np.arange(len(texts)) % 2]
    rows = embedded.embedded(batch, batch.length, here, here, np.full(len(texts), NOW_US))
    found = (rows["count"] > 0) | (rows["time_kind"] > 0)
    assert not (found & ~embedded.may_embed(batch, batch.length)).any()


@given(st.integers(0, 2**96 - 1), st.sampled_from([base64.b32encode, base64.b32hexencode]))
def test_no_ipv6_address_in_base_32_is_passed_over(low: int, encode: Callable[[bytes], bytes]) -> None:
    """Its 128 bits fill 26 digits but for two bits, so that the last digit may be any multiple of four."""
    address = IPv6Address(0x20010DB8 << 96 | low)
    batch, here = Batch.of([encode(address.packed).rstrip(b"=").lower()]), address_array([address])
    (row,) = embedded.embedded(batch, batch.length, here, here, np.array([NOW_US]))
    assert row["count"] > 0
    assert embedded.may_embed(batch, batch.length).all()


def test_most_names_may_embed_nothing() -> None:
    names = ["www", "mail12", "ns1", "a.b.c", "img-3", "_dmarc", "static"]
    batch = Batch.of([name.encode() for name in names])
    assert not embedded.may_embed(batch, batch.length).any()


def test_each_kernel_has_one_signature() -> None:
    embedded.warm()
    assert len(kernel.may_embed.signatures) == 1
    assert len(kernel.embedded.signatures) == 1
    assert len(kernel.template.signatures) == 1


@pytest.mark.parametrize(
    ("name", "address"), [("0.0.51.198", "198.51.0.0"), ("249.3.51.198", "198.51.3.249")]
)
def test_a_stranger_that_is_an_address_only_backwards_is_read_so(name: str, address: str) -> None:
    assert find(f"{name}.bl.example.net")["finds"] == [("dotted_reversed", "other", address)]
