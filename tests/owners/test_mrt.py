"""Routing tables in MRT (RFC 6396, RFC 8050), put together here octet by octet."""

import bz2
import gzip
import io
import struct
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.errors import UsageError
from dnsonde.owners.mrt import entries, is_mrt
from dnsonde.owners.owner import Owner
from dnsonde.owners.source import open_source

SEQUENCE, SET = 2, 1
ORIGIN_IGP = bytes.fromhex("40010100")
PEERS = struct.pack(">IH", 0xC0000201, 0) + struct.pack(">H", 0)


def record(kind: int, subtype: int, body: bytes) -> bytes:
    return struct.pack(">IHHI", 1_700_000_000, kind, subtype, len(body)) + body


def as_path(*segments: tuple[int, list[int]], width: int = 4, extended: bool = False) -> bytes:
    """ORIGIN, then AS_PATH (RFC 4271, 4.3)."""
    value = b"".join(
        bytes([kind, len(systems)]) + b"".join(n.to_bytes(width, "big") for n in systems)
        for kind, systems in segments
    )
    head = struct.pack(">BBH", 0x50, 2, len(value)) if extended else bytes([0x40, 2, len(value)])
    return ORIGIN_IGP + head + value


def rib(prefix: str, *paths: bytes, number: int | None = None) -> bytes:
    """RFC 6396, 4.3.2; with the number of each path RFC 8050, 4."""
    place = ip_network(prefix)
    octets = place.network_address.packed[: (place.prefixlen + 7) // 8]
    body = struct.pack(">IB", 7, place.prefixlen) + octets + struct.pack(">H", len(paths))
    for path in paths:
        body += struct.pack(">HI", 0, 0) + (b"" if number is None else struct.pack(">I", number))
        body += struct.pack(">H", len(path)) + path
    subtype = (2 if place.version == 4 else 4) + (0 if number is None else 6)
    return record(13, subtype, body)


def old(prefix: str, path: bytes) -> bytes:
    """RFC 6396, 4.2."""
    place = ip_network(prefix)
    peer = bytes(len(place.network_address.packed))
    body = (
        struct.pack(">HH", 0, 1) + place.network_address.packed + struct.pack(">BBI", place.prefixlen, 1, 0)
    )
    body += peer + struct.pack(">H", 64999) + struct.pack(">H", len(path)) + path
    return record(12, 1 if place.version == 4 else 2, body)


def read(*records: bytes) -> dict[str, int]:
    return {str(e.owner.prefix): int(e.owner.asn or 0) for e in entries(io.BytesIO(b"".join(records)))}


@pytest.mark.parametrize(
    "prefix", ["192.0.2.0/24", "192.0.0.0/17", "2001:db8::/32", "2001:db8::1/128", "128.0.0.0/1"]
)
def test_the_last_system_of_the_path_originates_the_prefix(prefix: str) -> None:
    path = as_path((SEQUENCE, [64999, 64998, 4_200_000_000]))
    assert read(record(13, 1, PEERS), rib(prefix, path)) == {prefix: 4_200_000_000}
    assert read(rib(prefix, path, number=3)) == {prefix: 4_200_000_000}
    assert read(old(prefix, as_path((SEQUENCE, [64999, 64500]), width=2))) == {prefix: 64500}


def test_sets_long_attributes_and_paths_without_systems() -> None:
    assert read(rib("192.0.2.0/24", as_path((SEQUENCE, [64999]), (SET, [64500, 64501])))) == {
        "192.0.2.0/24": 64500
    }
    assert read(rib("192.0.2.0/24", as_path((SEQUENCE, [64500]), extended=True))) == {"192.0.2.0/24": 64500}
    nobody = as_path()  # the collector's own, or a peer's
    assert read(rib("192.0.2.0/24", nobody, as_path((SEQUENCE, [64500])))) == {"192.0.2.0/24": 64500}
    assert read(rib("192.0.2.0/24", nobody)) == {}
    assert read(rib("0.0.0.0/0", as_path((SEQUENCE, [64500])))) == {}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_a_table_tells_whose_an_address_is(pack: type[bytes], tmp_path: Path) -> None:
    path = tmp_path / "bview"
    wide, narrow = as_path((SEQUENCE, [64999, 64500])), as_path((SEQUENCE, [64501]))
    path.write_bytes(pack(record(13, 1, PEERS) + rib("10.0.0.0/8", wide) + rib("10.1.0.0/16", narrow)))
    (source,) = open_source(path)
    assert source.find(ip_address("10.1.2.3"))[1] == Owner(asn=64501, prefix="10.1.0.0/16")
    assert source.find(ip_address("10.2.2.3"))[1] == Owner(asn=64500, prefix="10.0.0.0/8")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (record(13, 1, PEERS), "no routing table in it"),
        (record(16, 4, bytes(20)), "no routing table in it"),
        (record(13, 1, PEERS) + rib("10.0.0.0/8", as_path((SEQUENCE, [1])))[:-3], "ends within a record"),
        (record(13, 2, b"\0\0\0\0\x08"), "shorter than it says"),
        (record(13, 1, PEERS) + struct.pack(">IHHI", 0, 13, 2, 1 << 31), "a record of"),
    ],
)
def test_what_is_damaged_is_told(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "bview"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        open_source(path)


@given(st.binary(max_size=60), st.sampled_from([(12, 1), (12, 2), (13, 2), (13, 4), (13, 8), (13, 10)]))
def test_no_octets_do_more_than_be_refused(body: bytes, kind: tuple[int, int]) -> None:
    try:
        read(record(*kind, body))
    except ValueError as error:
        assert "record" in str(error)  # noqa: PT017 - it need not raise


def test_text_is_no_mrt() -> None:
    assert not is_mrt(b"192.0.2.0\t24\t64500\n")
    assert not is_mrt(b"short")
