"""DNS on a port that nobody named is told, and what has DNS's header and is none is not."""

import random
import struct
from pathlib import Path

import dns.flags
import dns.message
import pytest

from dnsonde.formats._contract import Options
from dnsonde.formats._reading import Reading
from tests.formats.capture_files import A, B, ip4, pcap, tcp, udp
from tests.formats.capture_files import dns as message

TOLD = "what looks like DNS on port 5300 ({}) was not read as DNS; --port 5300 reads it"


def note(folder: Path, *packets: bytes, ports: tuple[int, ...] = (53,)) -> str | None:
    path = folder / "x.pcap"
    path.write_bytes(pcap(list(packets)))
    with Reading(path, Options(ports=ports)) as reading:
        for _ in reading:
            pass
    told: str | None = reading.account.row()["note"]
    return told


@pytest.mark.parametrize("want_dnssec", [False, True])
@pytest.mark.parametrize(
    "name", ["a.", "www.example.com", "_dns.resolver.arpa", "*.example.net", "x" * 63 + ".test"]
)
def test_a_query_and_its_response_on_another_port_are_told(
    tmp_path: Path, name: str, *, want_dnssec: bool
) -> None:
    query = dns.message.make_query(name, "AAAA", want_dnssec=want_dnssec)
    response = dns.message.make_response(query, recursion_available=True)
    response.flags |= dns.flags.AD
    there = ip4(udp(query.to_wire(), 40000, 5300))
    back = ip4(udp(response.to_wire(), 5300, 40000), src=B, dst=A)
    assert note(tmp_path, there, back) == TOLD.format("2 flows")
    assert note(tmp_path, there, back, ports=(53, 5300)) is None


def test_over_tcp_the_length_comes_first(tmp_path: Path) -> None:
    query = message("www.example.com")
    said = struct.pack(">H", len(query)) + query
    twice = [ip4(tcp(said, seq=1, sport=port, dport=5300), 6) for port in (40001, 40002)]
    assert note(tmp_path, *twice) == TOLD.format("2 flows")


def test_what_has_the_header_and_is_no_dns_is_not_told(tmp_path: Path) -> None:
    """RFC 1002, 4.2.12: a name query of NetBIOS; RFC 4795: LLMNR; and DNS of ports that are read."""
    netbios = (
        bytes.fromhex("80f0 0110 0001 0000 0000 0000 20")
        + b"EJFDEBFEEBFACACACACACACACACACAAA"
        + b"\0\0\x20\0\1"
    )
    packets = [
        ip4(udp(netbios, 137, 137)),
        ip4(udp(message("printer"), 50000, 5355)),
        ip4(udp(message("printer.local"), 5353, 5353)),
        ip4(udp(message(), 5300, 53)),
    ]
    assert note(tmp_path, *packets) is None


def test_random_payloads_are_not_told(tmp_path: Path) -> None:
    draw = random.Random(1)
    packets = [ip4(udp(draw.randbytes(draw.randrange(80)), n + 1, 5300)) for n in range(3000)]
    short = [ip4(udp(message()[:n], n + 1, 5300)) for n in range(17)]
    assert note(tmp_path, *packets, *short) is None


def test_many_ports_are_one_sentence(tmp_path: Path) -> None:
    """Whoever writes to 500 ports writes no page of them."""
    packets = [ip4(udp(message(), port, 10_000 + n)) for n in range(500) for port in (40000, 40001)]
    told = note(tmp_path, *packets, ip4(udp(message(), 40002, 10_000)))
    assert told is not None
    assert told.startswith(
        "what looks like DNS on port 10000 (3 flows), 10001 (2 flows), 10002 (2 flows) and 497 more"
    )


def test_one_question_on_each_port_is_a_scanners(tmp_path: Path) -> None:
    """nmap asks every open port for the version of its BIND."""
    assert note(tmp_path, *[ip4(udp(message("version.bind"), 40000, 10_000 + n)) for n in range(500)]) is None


def test_who_echoes_a_question_makes_no_port_of_its_clients(tmp_path: Path) -> None:
    there = [ip4(udp(message(), 40000 + n, 5300)) for n in range(200)]
    echoed = ip4(udp(message(), 5300, 40000), src=B, dst=A)
    assert note(tmp_path, *there, echoed) == TOLD.format("200 flows")


def test_a_few_among_many_messages_that_were_read_are_not_told(tmp_path: Path) -> None:
    read = [ip4(udp(message(), 40000 + n, 53)) for n in range(200)]
    # By a NAT that changes ports.
    twice = [ip4(udp(message(response=True), 696, 40000 + n), src=B, dst=A) for n in range(2)]
    assert note(tmp_path, *read, *twice) is None
    assert note(tmp_path, *read[:99], *twice) is not None
