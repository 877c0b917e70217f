"""What is true of a capture stays true when it was taken otherwise: variants of the catalogue's (0011, 0012)."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dpkt
import pytest

from dnsonde import watch
from dnsonde.clock import SystemClock
from dnsonde.table.prefix import prefixes

CAPTURES = Path(__file__).resolve().parents[2] / "shared/captures"
ETHERNET, RAW, COOKED = 1, 101, 113
MIDNIGHT = 1_700_006_400_000_000  # 2023-11-15, where windows of a minute, an hour and a day meet

pytestmark = pytest.mark.skipif(
    not CAPTURES.is_dir(), reason="the captures lie in ../shared, which is not here"
)

Frames = list[tuple[int, bytes, int]]  # microseconds since 1970, octets captured, octets on the wire


def frames(name: str) -> Frames:
    """The Ethernet frames of a capture of the catalogue, in order of time."""
    with (CAPTURES / name).open("rb") as file:
        reader = dpkt.pcap.UniversalReader(file)
        return sorted((round(at * 1_000_000), bytes(frame), len(frame)) for at, frame in reader)


def written(path: Path, packets: Frames, linktype: int = ETHERNET) -> Path:
    records = [
        struct.pack("<IIII", *divmod(at, 1_000_000), len(frame), whole) + frame
        for at, frame, whole in packets
    ]
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, linktype)
    path.write_bytes(head + b"".join(records))
    return path


def detect(*paths: Path, home: str = "", only: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    asked = watch.Asked(home=prefixes(home.split()), detectors=only)
    found = watch.detect([str(path) for path in paths], asked, SystemClock(), lambda _: None)
    rows: list[dict[str, Any]] = found.findings.to_pylist()
    return rows


def with_tag(packets: Frames) -> Frames:
    return [(at, f[:12] + b"\x88\xa8\0\x0a\x81\0\0\x14" + f[12:], n + 8) for at, f, n in packets]


def cut(octets: int) -> Callable[[Frames], Frames]:
    return lambda packets: [(at, frame[:octets], whole) for at, frame, whole in packets]


def across_midnight(packets: Frames) -> Frames:
    middle = (packets[0][0] + packets[-1][0]) // 2
    return [(at - middle + MIDNIGHT, frame, whole) for at, frame, whole in packets]


def from_zero(packets: Frames) -> Frames:
    return [(at - packets[0][0], frame, whole) for at, frame, whole in packets]


def without_addresses(packets: Frames) -> Frames:
    return [(at, bytes(12) + frame[12:], whole) for at, frame, whole in packets]


def twice(packets: Frames) -> Frames:
    return [(at + late, frame, whole) for at, frame, whole in packets for late in (0, 9)]


def sampled(packets: Frames) -> Frames:
    return packets[::2]


def at_once(packets: Frames) -> Frames:
    return [(packets[0][0], frame, whole) for _, frame, whole in packets]


def disordered(packets: Frames) -> Frames:
    return [packet for at in range(0, len(packets), 7) for packet in reversed(packets[at : at + 7])]


FLOOD = ("amp-flood/suri__tcp-session-syn-flood-drop-precedence.pcap", "flood", "198.51.100.5")
REFLECTED = ("amp-flood/stopddos__amp.UDP.bacnet.IOT.37810.pcapng", "amplification", "10.10.10.1")
SCAN = ("scan/ndpi__synscan.pcap", "service_scan", "172.16.0.8")
TUNNEL = ("tunnel/suri__bug-1158.pcap", "dns_tunnel", "tunnel.com")
STILL = [
    *((FLOOD, how) for how in (with_tag, cut(64), across_midnight, from_zero, sampled, at_once)),
    *((REFLECTED, how) for how in (cut(96), across_midnight, sampled)),
    *((SCAN, how) for how in (cut(60), without_addresses, twice, disordered)),
    *((TUNNEL, how) for how in (cut(160), across_midnight, twice, from_zero)),
]


@pytest.mark.parametrize(("true", "how"), STILL)
def test_what_is_there_is_found_however_it_was_captured(
    tmp_path: Path, true: tuple[str, str, str], how: Callable[[Frames], Frames]
) -> None:
    name, detector, subject = true
    found = detect(written(tmp_path / "x.pcap", how(frames(name))), only=(detector,))
    assert {one["subject"] for one in found} == {subject}
    assert {one["severity"] for one in found} & {"medium", "high"}
    assert len(found) == (2 if true is REFLECTED else 1)  # BACnet's and Dahua's


@pytest.mark.parametrize(("linktype", "kept"), [(RAW, 14), (COOKED, 12)])
def test_no_link_layer_is_needed(tmp_path: Path, linktype: int, kept: int) -> None:
    head = b"" if linktype == RAW else b"\0\0\0\1\0\6\2\0\0\0\0\1\0\0"
    bare = [(at, head + frame[kept:], len(head) + whole - kept) for at, frame, whole in frames(FLOOD[0])]
    (row,) = detect(written(tmp_path / "x.pcap", bare, linktype), only=("flood",))
    assert row["subject"] == FLOOD[2]


def test_a_capture_in_two_files_is_one(tmp_path: Path) -> None:
    packets = frames(TUNNEL[0])
    halves = [written(tmp_path / "1", packets[:80]), written(tmp_path / "2", packets[80:])]
    (row,) = detect(*halves, only=("dns_tunnel",))
    assert row["subject"] == TUNNEL[2]


@pytest.mark.parametrize("home", ["198.51.100.0/24", "192.0.2.0/24", "203.0.113.0/24"])
def test_from_whatever_side_it_is_seen_the_victim_is_the_same(home: str) -> None:
    (row,) = detect(CAPTURES / FLOOD[0], home=home, only=("flood",))
    assert (row["subject"], row["severity"]) == (FLOOD[2], "medium" if home == "203.0.113.0/24" else "high")


def everything_clean() -> Frames:
    """The Ethernet captures of clean traffic, side by side from one moment on."""
    packets: Frames = []
    for path in sorted([*CAPTURES.glob("clean-dns/*.pcap"), *CAPTURES.glob("clean-other/*.pcap")]):
        with path.open("rb") as file:
            if dpkt.pcap.UniversalReader(file).datalink() != ETHERNET:
                continue
        own = frames(f"{path.parent.name}/{path.name}")
        packets += [(at - own[0][0] + MIDNIGHT, frame, whole) for at, frame, whole in own]
    return sorted(packet for packet in packets if packet[0] < MIDNIGHT + 600_000_000)


def ten_times(packets: Frames) -> Frames:
    span = packets[-1][0] - packets[0][0] + 1_000_000
    return [(at + n * span, frame, whole) for n in range(10) for at, frame, whole in packets]


def to_home(packets: Frames) -> Frames:
    """What comes in alone: the destination is private."""
    return [packet for packet in packets if packet[1][30:31] == b"\x0a" or packet[1][30:32] == b"\xc0\xa8"]


@pytest.mark.parametrize(
    "how", [with_tag, cut(64), cut(96), without_addresses, twice, sampled, at_once, ten_times, to_home]
)
def test_clean_traffic_is_clean_however_it_was_captured(
    tmp_path: Path, how: Callable[[Frames], Frames]
) -> None:
    found = detect(written(tmp_path / "x.pcap", how(everything_clean())))
    assert [one["title"] for one in found if one["severity"] not in {"info", "low"}] == []
