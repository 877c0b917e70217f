"""Packets: the kernel against its twin on damaged input, against dpkt, and by the RFCs' examples."""

import random
import subprocess
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import dpkt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.wire import packet
from dnsonde.wire._kernels import packet as kernel
from dnsonde.wire.batch import Batch, address_pair, address_text
from dnsonde.wire.codes import PacketStatus as S
from dnsonde.wire.packet import Link


def load_twin() -> ModuleType:
    spec = util.spec_from_file_location("packet_twin", Path(__file__).parent / "twins" / "packet.py")
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    sys.modules["packet_twin"] = module
    spec.loader.exec_module(module)
    return module


twin = load_twin()

A, B = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
A6, B6 = bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("20010db80000000000000000000000ff")
MACS = bytes.fromhex("020000000002") + bytes.fromhex("020000000001")
SYN_OPTIONS = bytes.fromhex("020405b40402080a000000010000000001030307")


def udp(payload: bytes, sport: int = 40000, dport: int = 53) -> bytes:
    head = sport.to_bytes(2, "big") + dport.to_bytes(2, "big") + (8 + len(payload)).to_bytes(2, "big")
    return head + b"\0\0" + payload


def tcp(
    payload: bytes = b"", *, flags: int = 2, seq: int = 7, options: bytes = b"", dport: int = 53
) -> bytes:
    offset = (20 + len(options)) // 4
    head = (40001).to_bytes(2, "big") + dport.to_bytes(2, "big") + seq.to_bytes(4, "big") + bytes(4)
    return head + bytes([offset << 4, flags]) + (1024).to_bytes(2, "big") + bytes(4) + options + payload


def ip4(body: bytes, protocol: int = 17, *, field: int = 0, id_: int = 99, total: int | None = None) -> bytes:
    total = 20 + len(body) if total is None else total
    head = b"\x45\0" + total.to_bytes(2, "big") + id_.to_bytes(2, "big") + field.to_bytes(2, "big")
    return head + bytes([61, protocol]) + b"\0\0" + A + B + body


def ip6(body: bytes, protocol: int = 17) -> bytes:
    return b"\x60\0\0\0" + len(body).to_bytes(2, "big") + bytes([protocol, 58]) + A6 + B6 + body


def ether(body: bytes, kind: int = 0x0800) -> bytes:
    return MACS + kind.to_bytes(2, "big") + body


Q = b"question-of-some-octets"
INNER = ip4(udp(Q))
SAMPLES: dict[str, tuple[int, bytes]] = {
    "ethernet": (1, ether(INNER)),
    "padded": (1, ether(INNER) + bytes(9)),
    "ipv6": (1, ether(ip6(udp(Q)), 0x86DD)),
    "802.1Q": (1, ether(b"\x00\x0b\x08\x00" + INNER, 0x8100)),
    "QinQ": (1, ether(b"\x00\x0b\x81\x00\x00\x0c\x08\x00" + INNER, 0x88A8)),
    "MPLS": (1, ether(b"\x00\x01\x00\xff\x00\x02\x01\xff" + INNER, 0x8847)),
    "MPLS pseudo-wire": (1, ether(b"\x00\x02\x01\xff" + bytes(4) + ether(INNER), 0x8847)),
    "PPPoE": (1, ether(b"\x11\0\0\x01\0\x40\0\x21" + INNER, 0x8864)),
    "LLC SNAP": (1, ether(b"\xaa\xaa\x03\0\0\0\x08\0" + INNER, 60)),
    "raw": (101, INNER),
    "raw IPv6": (229, ip6(udp(Q))),
    "cooked": (113, b"\0\0\0\x01\0\x06" + MACS[6:] + b"\0\0\x08\0" + INNER),
    "cooked 2": (276, b"\x08\0\0\0" + bytes(4) + b"\0\x01\0\x06" + MACS[6:] + b"\0\0" + INNER),
    "null": (0, b"\x02\0\0\0" + INNER),
    "loop": (108, b"\0\0\0\x1e" + ip6(udp(Q))),
    "PPP": (9, b"\xff\x03\x00\x21" + INNER),
    "C-HDLC": (104, b"\x0f\0\x08\0" + INNER),
    "frame relay": (107, b"\x18\x41\x03\xcc" + INNER),
    "802.11": (
        105,
        b"\x88\x01\0\0" + MACS + MACS[:6] + b"\0\0" + b"\0\0" + b"\xaa\xaa\x03\0\0\0\x08\0" + INNER,
    ),
    "radiotap": (
        127,
        b"\0\0\x12\0\x03\0\0\0" + bytes(8) + b"\x20\0"
        + b"\x08\x02\0\0" + MACS + MACS[:6] + b"\0\0" + b"\xaa\xaa\x03\0\0\0\x08\0" + INNER,
    ),
    "PPI": (192, b"\0\0\x0c\0" + b"\x01\0\0\0" + bytes(4) + ether(INNER)),
    "PKTAP": (258, b"\x10\0\0\0" + bytes(4) + b"\x65\0\0\0" + bytes(4) + INNER),
    "PKTAP of old": (149, b"\x10\0\0\0\x01\0\0\0\x65\0\0\0" + bytes(4) + INNER),
    "FDDI": (10, b"\x57" + MACS + b"\xaa\xaa\x03\0\0\0\x08\0" + INNER),
    "NFLOG": (
        239,
        b"\x02\0\0\0" + b"\x05\0\x0a\0x\0\0\0" + (4 + len(INNER)).to_bytes(2, "little") + b"\x09\0" + INNER,
    ),
    "GRE": (101, ip4(b"\x30\0\x08\0" + bytes(8) + INNER, 47)),
    "GRE Ethernet": (101, ip4(b"\0\0\x65\x58" + ether(INNER), 47)),
    "GRE PPTP": (101, ip4(b"\x30\x81\x88\x0b" + bytes(12) + b"\xff\x03\0\x21" + INNER, 47)),
    "ERSPAN 2": (101, ip4(b"\x10\0\x88\xbe" + bytes(12) + ether(INNER), 47)),
    "ERSPAN 3": (101, ip4(b"\x10\0\x22\xeb" + bytes(4) + bytes(11) + b"\x01" + bytes(8) + ether(INNER), 47)),
    "IP in IP": (101, ip4(INNER, 4)),
    "6in4": (101, ip4(ip6(udp(Q)), 41)),
    "6in6in6": (101, ip6(ip6(ip6(udp(Q)), 41), 41)),
    "VXLAN": (1, ether(ip4(udp(b"\x08" + bytes(7) + ether(INNER), dport=4789)))),
    "VXLAN with a group": (1, ether(ip4(udp(b"\x88\0\0\x07" + bytes(4) + ether(INNER), dport=4789)))),
    "VXLAN GPE": (1, ether(ip4(udp(b"\x0c\0\0\x01" + bytes(4) + INNER, dport=4790)))),
    "VXLAN GPE Ethernet": (1, ether(ip4(udp(b"\x0c\0\0\x03" + bytes(4) + ether(INNER), dport=4789)))),
    "GENEVE": (101, ip4(udp(b"\x01\0\x65\x58" + bytes(8) + ether(INNER), dport=6081))),
    "GTP-U": (101, ip4(udp(b"\x34\xff\0\0" + bytes(4) + b"\0\0\0\x85" + b"\x01\0\0\0" + INNER, dport=2152))),
    "GTP-U downwards": (101, ip4(udp(b"\x30\xff\0\0" + bytes(4) + INNER, sport=2152, dport=1024))),
    "GRE in UDP": (101, ip4(udp(b"\0\0\x08\0" + INNER, dport=4754))),
    "Teredo": (101, ip4(udp(b"\0\0" + bytes(6) + ip6(udp(Q)), dport=3544))),
    "EtherIP": (101, ip4(b"\x30\0" + ether(INNER), 97)),
    "extensions": (
        101,
        ip6(b"\x3c\0" + bytes(6) + b"\x33\x01" + bytes(14) + b"\x11\x01" + bytes(10) + udp(Q), 0),
    ),
    "syn": (101, ip4(tcp(options=SYN_OPTIONS), 6)),
    "tcp": (101, ip4(tcp(Q, flags=0x18), 6)),
    "icmp": (101, ip4(b"\x03\x03\0\0\0\0\0\0" + INNER, 1)),
    "sctp": (101, ip4(udp(Q)[:4] + bytes(8) + Q, 132)),
    "first fragment": (101, ip4(udp(Q + b"1"), field=0x2000)),
    "later fragment": (101, ip4(Q, field=4)),
    "ipv6 fragment": (101, ip6(b"\x11\0\0\x01\0\0\0\x09" + udp(Q + b"1"), 44)),
    "arp": (1, ether(bytes(28), 0x0806)),
    "too deep": (101, ip4(ip4(ip4(ip4(ip4(INNER, 4), 4), 4), 4), 4)),
}  # fmt: skip


def decode(link: int, data: bytes) -> np.void:
    row: np.void = packet.decode_packets(Batch.of([data]), link)[0]
    return row


@pytest.mark.parametrize(
    "name",
    [
        n
        for n, (_, d) in SAMPLES.items()
        if d.endswith(Q) and "fragment" not in n and n not in ("too deep", "icmp")
    ],
)
def test_finds_the_payload_of_the_innermost_packet(name: str) -> None:
    link, data = SAMPLES[name]
    row = decode(link, data)
    assert row["status"] == S.PARSED
    assert row["inner_status"] == 0
    start = row["payload_start"]
    assert data[start : start + row["payload_length"]] == Q


def test_padding_after_the_packet_is_not_payload() -> None:
    assert decode(*SAMPLES["padded"])["payload_length"] == len(Q)


def test_a_tunnel_keeps_the_outer_facts() -> None:
    row = decode(101, ip4(b"\0\0\x08\0" + ip4(udp(Q), id_=5), 47, id_=1234))
    assert (row["outer_protocol"], row["outer_id"], row["ip_id"], row["depth"]) == (47, 1234, 5, 1)
    assert address_text(int(row["outer_dst_net"]), int(row["outer_dst_host"])) == "198.51.100.7"


def test_a_mirrors_envelope_leaves_no_outer_facts() -> None:
    row = decode(*SAMPLES["ERSPAN 2"])
    assert (row["depth"], row["outer_protocol"], row["protocol"]) == (1, 0, 17)


def test_a_damaged_inside_leaves_the_tunnel_itself() -> None:
    row = decode(101, ip4(b"\0\0\x08\0" + INNER[:12], 47))
    assert (row["status"], row["inner_status"], row["protocol"], row["depth"]) == (0, S.SHORT_IP, 47, 0)
    assert row["outer_protocol"] == 0


def test_tunnels_are_followed_to_a_set_depth() -> None:
    row = packet.decode_packets(Batch.of([SAMPLES["6in6in6"][1]]), 101, deepest=1)[0]
    assert (row["depth"], row["protocol"]) == (1, 41)
    assert decode(*SAMPLES["too deep"])["depth"] == packet.DEEPEST


def test_fragments_are_marked() -> None:
    first, later, six = (decode(*SAMPLES[n]) for n in ("first fragment", "later fragment", "ipv6 fragment"))
    assert (first["fragment"], first["more"], first["fragment_offset"], first["dst_port"]) == (1, 1, 0, 53)
    assert (later["fragment"], later["more"], later["fragment_offset"], later["dst_port"]) == (1, 0, 32, 0)
    assert (six["fragment"], six["more"], six["ip_id"], six["dst_port"]) == (1, 1, 9, 53)


def test_tcp_facts() -> None:
    row = decode(*SAMPLES["syn"])
    assert (row["seq"], row["tcp_flags"], row["window"], row["dst_port"]) == (7, 2, 1024, 53)
    assert row["options"] == packet.options_hash(SYN_OPTIONS) != 0


def test_options_hash_leaves_out_the_timestamps() -> None:
    other = SYN_OPTIONS.replace(bytes.fromhex("080a00000001"), bytes.fromhex("080a12345678"))
    assert packet.options_hash(other) == packet.options_hash(SYN_OPTIONS)
    assert packet.options_hash(SYN_OPTIONS[:-1] + b"\x08") != packet.options_hash(SYN_OPTIONS)
    assert packet.options_hash(b"") == 0


@given(st.binary(max_size=40))
def test_options_hash_equals_its_twin(options: bytes) -> None:
    assert packet.options_hash(options) == twin.options_hash(options)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (ether(b"")[:13], S.SHORT_LINK),
        (ether(INNER, 0x86DD), S.BAD_VERSION),
        (ether(INNER[:19]), S.SHORT_IP),
        (ether(b"\x44" + INNER[1:]), S.SHORT_IP),
        (ether(ip4(udp(Q), total=19)), S.BAD_LENGTH),
        (ether(ip6(b"\x11\x09" + bytes(6), 0), 0x86DD), S.BAD_EXTENSION),
        (ether(ip4(udp(Q)[:7])), S.SHORT_TRANSPORT),
        (ether(ip4(udp(Q)[:4] + b"\0\x07\0\0" + Q)), S.BAD_TRANSPORT),
        (ether(ip4(tcp()[:12] + b"\x40" + tcp()[13:], 6)), S.BAD_TRANSPORT),
        (ether(ip4(Q, field=0x2000)), S.BAD_FRAGMENT),
        (ether(ip4(bytes(24), field=0x1FFF)), S.BAD_FRAGMENT),
        (ether(bytes(28), 0x0806), S.NOT_IP),
    ],
)
def test_statuses(data: bytes, status: S) -> None:
    assert decode(1, data)["status"] == status


def test_a_first_fragment_may_end_within_the_header_of_tcp() -> None:
    """RFC 1858, 3: the tiny fragment, which hides the flags; 8 octets are the least."""
    row = decode(1, ether(ip4(tcp()[:8], 6, field=0x2000)))
    assert (row["status"], row["tcp_flags"], row["payload_length"]) == (S.PARSED, 0, 0)
    whole = decode(1, ether(ip4(tcp(), 6)))
    assert all(row[name] == whole[name] for name in ("src_port", "dst_port", "seq"))
    assert decode(1, ether(ip4(tcp()[:8], 6)))["status"] == S.SHORT_TRANSPORT


def test_an_unknown_link_type_is_ignored() -> None:
    assert decode(147, INNER)["status"] == S.UNKNOWN_LINK


def test_a_header_cut_by_the_snap_length_is_no_malformed_packet() -> None:
    whole = ether(ip4(tcp(), 6))
    batch = Batch.of([whole[:40], whole[:40]])
    rows = packet.decode_packets(batch, 1, original=np.array([40, len(whole)], np.int32))
    assert rows["status"].tolist() == [S.SHORT_TRANSPORT, S.CUT]


def test_rows_that_are_used_again_keep_nothing() -> None:
    batch = Batch.of([SAMPLES["6in6in6"][1], b"", SAMPLES["syn"][1]])
    link = np.array([SAMPLES["6in6in6"][0], 1, SAMPLES["syn"][0]], np.int32)
    used = np.empty(5, packet.PACKET)
    used.view(np.uint8)[:] = 0xA5
    again = packet.decode_packets(batch, link, out=used)
    assert (again == packet.decode_packets(batch, link, out=np.zeros(3, packet.PACKET))).all()


def test_agrees_with_dpkt() -> None:
    """On all that dpkt itself understands."""
    for name in ("ethernet", "ipv6", "802.1Q", "MPLS", "syn", "tcp", "icmp"):
        link, data = SAMPLES[name]
        ip = dpkt.ethernet.Ethernet(data).data if link == 1 else dpkt.ip.IP(data)
        row = decode(link, data)
        for side, text in (("src", ip.src), ("dst", ip.dst)):
            pair = (row[f"{side}_net"], row[f"{side}_host"])
            assert pair == address_pair(dpkt.utils.inet_to_str(text))
        inside = ip.data
        assert row["protocol"] == ip.p
        if isinstance(inside, dpkt.tcp.TCP):
            facts = (inside.sport, inside.dport, inside.seq, inside.flags, inside.win)
            assert facts == tuple(row[f] for f in ("src_port", "dst_port", "seq", "tcp_flags", "window"))
        if isinstance(inside, dpkt.udp.UDP):
            assert (inside.sport, inside.dport, len(inside.data)) == (
                row["src_port"], row["dst_port"], row["payload_length"],
            )  # fmt: skip


def mutations(seed: int, count: int) -> list[tuple[int, bytes]]:
    """Samples cut short, with octets changed, inserted and removed, under right and wrong link types."""
    chance = random.Random(seed)
    samples = list(SAMPLES.values())
    found: list[tuple[int, bytes]] = list(samples)
    found += [(link, data[:size]) for link, data in samples for size in range(len(data))]
    for _ in range(count):
        link, data = chance.choice(samples)
        octets = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(octets))
            octets[at] = chance.choice(
                (0, 1, 0x40, 0x60, 255, octets[at] ^ 1 << chance.randrange(8), chance.randrange(256))
            )
        if chance.random() < 0.3:
            del octets[chance.randrange(len(octets)) :]
        found.append((chance.choice((link, link, link, *Link)), bytes(octets)))
    return found


def compare(seed: int, count: int) -> None:
    """Assert that kernel and twin say the same of every mutation, the packets wall to wall in one buffer."""
    cases = mutations(seed, count)
    rows = packet.decode_packets(Batch.of([d for _, d in cases]), np.array([n for n, _ in cases], np.int32))
    for (link, data), row in zip(cases, rows, strict=True):
        for name, value in twin.decode_packet(data, link).items():
            assert row[name] == value, (name, value, row[name], link, data.hex())


def test_equals_its_twin_on_mutated_packets() -> None:
    compare(1, 6000)


def test_never_reads_past_its_slice(checked: dict[str, str]) -> None:
    """The same with the compiler's own bounds checks, on buffers that end where the packet does."""
    code = f"""
import sys, numpy as np
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_packet as t
t.compare(2, 3000)
link = np.zeros(1, np.int32)
for number, data in t.mutations(3, 500):
    link[0] = number
    t.packet.decode_packets(t.Batch.of([data]), link)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=checked, timeout=300)


def test_one_signature_each() -> None:
    packet.warm()
    compare(4, 10)
    assert len(kernel.decode_packets.signatures) == 1
    assert len(kernel.options_hash.signatures) <= 2  # by the facade, and inlined in the packet kernel


@given(st.binary(max_size=120), st.sampled_from([int(link) for link in Link]))
def test_any_octets_get_a_status(data: bytes, link: int) -> None:
    row = decode(link, data)
    assert row["status"] in {int(s) for s in S}
    assert 0 <= row["payload_start"] + row["payload_length"] <= len(data)
