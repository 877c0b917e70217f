"""Labelled traffic: the same octets each time, readable by others, from nobody's addresses, and to files only."""

import ast
import json
import socket
from collections.abc import Iterator
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path

import dns.message
import dpkt
import pytest

from dnsonde.clock import VirtualClock
from dnsonde.detect._contract import Detector
from dnsonde.errors import LabError, SystemRefusal, UsageError
from dnsonde.formats._reading import Reading
from dnsonde.lab import traffic
from dnsonde.lab._traffic_tape import Tape, packed
from dnsonde.lab.traffic import HOME, Traffic, load_traffic, record, scenario_names, write_truth
from dnsonde.registry import entries
from dnsonde.wire.batch import address_text

LAB = Path(traffic.__file__).parent
SOURCES = sorted([LAB / "traffic.py", LAB / "evaluate.py", *LAB.glob("_traffic_*.py")])
NETWORKING = {
    "socket", "_socket", "socketserver", "selectors", "select", "asyncio", "ssl", "http", "urllib", "ftplib", "smtplib",
    "telnetlib", "subprocess", "multiprocessing", "ctypes", "trio", "scapy", "dns", "os", "fcntl",
}  # fmt: skip

# Whose addresses a packet may bear: documentation, private, benchmarking, class E, multicast; and known botnets'.
NOBODYS = [
    ip_network(text)
    for text in (
        "10.20.0.0/16", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "198.18.0.0/15",
        "240.0.0.0/4", "224.0.0.0/4", "ff02::/16",
    )
]  # fmt: skip
INDICATORS = {"87.246.7.194", "158.94.210.71"}

SHORT = [
    "adjacent_few",
    "c2_short",
    "injection_few",
    "mirai_short",
    "probing_unknown_slow",
    "reflection_short",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("captures")


def written(folder: Path, name: str) -> Path:
    path = folder / f"{name}.pcap"
    if not path.exists():
        record(load_traffic(name), path, VirtualClock())
    return path


def frames(path: Path) -> Iterator[tuple[float, dpkt.ethernet.Ethernet]]:
    with path.open("rb") as file:
        for time_s, data in dpkt.pcap.Reader(file):
            yield time_s, dpkt.ethernet.Ethernet(data)


@cache
def labelled() -> dict[str, set[str]]:
    """Detector to the scenarios where it has something to find, without writing one."""
    found: dict[str, set[str]] = {}
    for name in scenario_names():
        scenario = load_traffic(name)
        for event in scenario.event:
            tape = Tape("", VirtualClock())
            traffic._play(tape, event, scenario.span_s)
            for label in tape.labels:
                if label.expected:
                    found.setdefault(label.detector, set()).add(name)
    return found


def test_nothing_that_could_reach_a_network_is_imported() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                ("import_module", "__import__")
            ):
                modules = ["dns"]
            for module in modules:
                assert module.split(".")[0] not in NETWORKING, f"{path.name} imports {module}"
                assert not module.startswith("dnsonde.net"), f"{path.name} imports {module}"


def test_recording_opens_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert record(load_traffic("flood_short"), tmp_path / "f.pcap", VirtualClock()).packets > 10_000


def test_the_same_scenario_makes_the_same_octets(tmp_path: Path) -> None:
    one, other, seeded = (tmp_path / name for name in ("1", "2", "3"))
    scenario = load_traffic("tunnels_short")
    record(scenario, one, VirtualClock())
    record(scenario, other, VirtualClock())
    record(
        Traffic(**{f: getattr(scenario, f) for f in scenario.__struct_fields__} | {"seed": 9}),
        seeded,
        VirtualClock(),
    )
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes() != seeded.read_bytes()


def test_times_are_the_clocks_and_in_order(folder: Path) -> None:
    times = [time_s for time_s, _ in frames(written(folder, "mirai_short"))]
    assert times == sorted(times)
    assert times[0] >= 1_700_000_000
    assert times[-1] < 1_700_000_000 + 5 + 2  # conversations end a little later


@pytest.mark.parametrize("name", SHORT)
def test_every_packet_is_read_and_none_is_malformed(folder: Path, name: str) -> None:
    reading = Reading(written(folder, name))
    for _ in reading:
        pass
    assert not reading.account.malformed
    assert not reading.account.notes
    assert reading.account.parsed == sum(1 for _ in frames(written(folder, name)))


@pytest.mark.parametrize("name", SHORT)
def test_addresses_are_nobodys(folder: Path, name: str) -> None:
    seen = set()
    for table, batch in Reading(written(folder, name)):
        if table == "flow":
            for row in batch.to_pylist():
                seen |= {address_text(row[f"{role}_net"], row[f"{role}_host"]) for role in ("src", "dst")}
    wrong = {
        a
        for a in seen - INDICATORS
        if not any(ip_address(a) in n for n in NOBODYS if n.version == ip_address(a).version)
    }
    assert wrong == set()


def test_dnspython_reads_every_message(folder: Path) -> None:
    count = 0
    for name in ("probing_unknown_slow", "tunnels_short", "open_resolvers", "injection_few"):
        for _, frame in frames(written(folder, name)):
            packet = frame.data
            if isinstance(packet.data, dpkt.udp.UDP) and 53 in (packet.data.sport, packet.data.dport):
                message = dns.message.from_wire(packet.data.data)
                assert len(message.question) == 1
                count += 1
    assert count > 1_000


def test_header_checksums_are_right(folder: Path) -> None:
    for _, frame in frames(written(folder, "c2_short")):
        if isinstance(frame.data, dpkt.ip.IP):
            head = bytes(frame.data)[:20]
            assert dpkt.in_cksum(head) == 0


def test_large_answers_come_in_fragments_that_fit_together(folder: Path) -> None:
    offered = sum(
        1
        for _, f in frames(written(folder, "reflection_short"))
        if isinstance(f.data, dpkt.ip.IP) and f.data.mf
    )
    assert offered > 500
    large = 0
    for table, batch in Reading(written(folder, "reflection_short")):
        if table == "message":
            large += sum((size or 0) > 3_000 for size in batch["dns_bytes"].to_pylist())
    assert large >= 600


def test_every_detector_has_something_to_find_in_two_captures() -> None:
    few = {name for name in entries("dnsonde.detect", Detector) if len(labelled().get(name, ())) < 2}
    assert few == set()


def test_labels_name_detectors_that_exist() -> None:
    assert set(labelled()) <= set(entries("dnsonde.detect", Detector))


def test_harmless_captures_have_nothing_to_find() -> None:
    guilty = set().union(*labelled().values())
    harmless = {name for name in scenario_names() if name.startswith("benign")}
    assert len(harmless) >= 8
    assert harmless & guilty == set()


def test_subjects_are_canonical() -> None:
    tape = Tape("", VirtualClock())
    tape.label("flood", packed("2001:DB8:0::1"))
    assert tape.labels[0].subject == "2001:db8::1"


def test_what_must_be_found_outweighs_what_may_be() -> None:
    tape = Tape("", VirtualClock())
    tape.label("flood", "192.0.2.1", expected=False)
    tape.label("flood", "192.0.2.1", vector="syn")
    tape.label("flood", "192.0.2.1", expected=False)
    assert [(label.expected, label.evidence) for label in tape.labels] == [(True, (("vector", "syn"),))]


def test_the_side_that_a_packet_came_from_shows() -> None:
    tape, inside = Tape("", VirtualClock()), packed("10.20.1.1")
    tape.udp(0.0, inside, 1, packed("198.51.100.1"), 2, b"x")
    tape.udp(0.1, packed("198.51.100.1"), 2, inside, 1, b"x")
    tape.udp(0.2, packed("10.20.1.2"), 2, inside, 1, b"x", inbound=True)
    sources = [frame[6:12].hex() for _, frame in tape._frames]
    assert sources == ["020000000002", "020000000001", "020000000001"]


def test_truth_is_written_beside(tmp_path: Path) -> None:
    capture = record(load_traffic("c2_short"), tmp_path / "c2.pcap", VirtualClock())
    write_truth(capture, tmp_path / "c2.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "c2.jsonl").read_text().splitlines()]
    assert {row["detector"] for row in rows if row["expected"]} == {"botnet_c2"}
    assert len(rows) == len(capture.labels)


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"kind": "nonsense"}, "no kind of event 'nonsense'"),
        ({"kind": "flood", "vector": "syn"}, "needs 'victim'"),
        ({"kind": "mirai", "colour": 3}, "takes no 'colour'"),
        ({"kind": "flood", "vector": "syn", "victim": "here"}, "event flood"),
        ({}, "no kind of event None"),
    ],
)
def test_an_event_that_cannot_be_is_told(tmp_path: Path, event: dict[str, object], says: str) -> None:
    with pytest.raises(LabError, match=says):
        record(Traffic("wrong", event=(event,)), tmp_path / "x.pcap", VirtualClock())


def test_unknown_and_broken_scenarios_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no traffic scenario 'nothing'"):
        load_traffic("nothing")
    broken = tmp_path / "broken.toml"
    broken.write_text("title = ")
    with pytest.raises(LabError, match=r"broken\.toml"):
        load_traffic(broken)
    broken.write_text('title = "x"\nseconds = 5\n')
    with pytest.raises(LabError, match="seconds"):
        load_traffic(broken)


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    with pytest.raises(SystemRefusal, match="cannot write"):
        record(load_traffic("benign_quiet"), tmp_path / "no" / "x.pcap", VirtualClock())


def test_home_is_what_the_scenarios_mean_by_it() -> None:
    assert all(ip_network(prefix) for prefix in HOME)
    assert len(HOME) == 3
