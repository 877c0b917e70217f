"""Real captures: every one read to its end or to its damage, every packet accounted for, messages as tshark counts.

`tshark_messages.tsv` holds tshark 4.0's counts of DNS messages on ports 53 and 5353 outside of ICMP, several a
segment counted as several; a capture that is not in it has none. They come from
`tshark -r FILE -Y "(dns || mdns) && !icmp && !icmpv6" -T fields -e dns.flags.response`.
"""

import csv
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from dnsonde.formats._contract import Account
from dnsonde.formats._reading import Reading

HERE = Path(__file__).parent
CAPTURES = HERE.parents[2] / "shared" / "captures"

pytestmark = pytest.mark.skipif(
    not CAPTURES.is_dir(), reason=f"the captures are not at {CAPTURES}: only generated ones were read"
)

# file: (our queries, our responses, why they differ from tshark's)
DIFFERENT = {
    "linktype/dnscap__dns.pcap.xz": (41, 41, "tshark does not read xz"),
    "malformed/sidn__sidnlabs-test-xz-compression-multiple-parts-2-packets.pcap.xz": (2, 0, "tshark does not read xz"),
    "linktype/pcpp__null_loopback.pcap": (0, 0, "an address family that is none; tshark guesses Cisco HDLC"),
    "linktype/tcpdump__arcnet-rfc1201-arp-icmp-http.pcap": (0, 0, "ARCNET, which is not read"),
    "malformed/suri__dns-incomplete.pcap": (0, 0, "TCP on port 5353 is no DNS unless the operator says so"),
}  # fmt: skip

# What a reading ends with where the file is cut or damaged: the beginning of its note.
NOTES = {
    "malformed/suri__bug-6875-01__fuzz.pcap": "damaged at octet 228",
    "malformed/suri__smtp-to-comma__10.7.29.101_49898-178.63.41.150_25.pcap": "damaged at octet 3,695",
}


def catalog() -> Iterator[dict[str, str]]:
    if CAPTURES.is_dir():
        with (CAPTURES / "CATALOG.tsv").open() as file:
            yield from csv.DictReader(file, delimiter="\t")


ROWS = {row["file"]: row for row in catalog() if "pcap" in row["file"][-12:]}


@cache
def tshark() -> dict[str, tuple[int, int]]:
    with (HERE / "tshark_messages.tsv").open() as file:
        return {
            r["file"]: (int(r["queries"]), int(r["responses"])) for r in csv.DictReader(file, delimiter="\t")
        }


@cache
def read(name: str) -> tuple[int, int, int, Account]:
    """(queries, responses, packets in flows, account)."""
    queries = responses = counted = 0
    with Reading(CAPTURES / name) as reading:
        for table, batch in reading:
            batch.validate(full=True)
            if table == "message":
                is_response = batch["response"].to_pylist()
                responses += sum(is_response)
                queries += len(is_response) - sum(is_response)
            else:
                counted += sum(batch["packets"].to_pylist())
    return queries, responses, counted, reading.account


@pytest.mark.parametrize("theme", sorted({row["theme"] for row in ROWS.values()}))
def test_every_packet_is_accounted_for(theme: str) -> None:
    """As many packets as Wireshark's capinfos counts, where it can read the file."""
    for name, row in ROWS.items():
        if row["theme"] == theme:
            *_, counted, account = read(name)
            assert account.packets == account.parsed + account.ignored.total() + account.malformed.total()
            assert counted >= account.parsed, name
            if (
                int(row["packets"]) and name != "malformed/suri__bug-6875-01__fuzz.pcap"
            ):  # it counts the unbelievable
                assert account.packets == int(row["packets"]), name


@pytest.mark.parametrize("theme", sorted({row["theme"] for row in ROWS.values()}))
def test_messages_are_as_many_as_tshark_counts(theme: str) -> None:
    for name, row in ROWS.items():
        if row["theme"] == theme:
            queries, responses, _, _ = read(name)
            want = DIFFERENT[name][:2] if name in DIFFERENT else tshark().get(name, (0, 0))
            assert (queries, responses) == want, name


def test_the_sum_of_all_is_right() -> None:
    total = sum(read(name)[3].packets for name in ROWS)
    assert total == 134_329


def test_damage_is_noted_and_nothing_else_is() -> None:
    for name in ROWS:
        found = [n for n in read(name)[3].notes if n.startswith(("damaged", "cut"))]
        assert [n[: len(NOTES.get(name, ""))] for n in found] == ([NOTES[name]] if name in NOTES else []), (
            name
        )


def test_mirai_fingerprints_are_counted_exactly() -> None:
    """The catalogue's counts of SYNs whose sequence number is the destination."""
    for name, row in ROWS.items():
        if "seq==dstIP" in row["truth"]:
            found = 0
            with Reading(CAPTURES / name) as reading:
                for table, batch in reading:
                    found += sum(batch["mirai_syn"].to_pylist()) if table == "flow" else 0
            want = int(row["truth"].split("seq==dstIP", 1)[1].split()[0].rstrip(";,"))
            if name == "malformed/ndpi__fuzz-2006-09-29-28586.pcap":
                want = 1  # a SYN of nothing but octets 0xAA, which the catalogue's reader did not decode
            assert found == want, name
