"""The use cases of Watch: what home is taken for, what an allow-list covers, and what becomes of odd input."""

import errno
from ipaddress import ip_network
from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
import pytest

from dnsonde import take, watch
from dnsonde.clock import VirtualClock
from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.findings.about import detector_names
from dnsonde.findings.allow import Allowed, load_allowed
from dnsonde.findings.compiled import detector_of, query_of
from dnsonde.findings.engines import OnDuckDB
from dnsonde.findings.home import Guess, guess
from dnsonde.table import kept
from dnsonde.table import lake as lakes
from dnsonde.table.finding import written
from dnsonde.table.prefix import prefixes
from dnsonde.table.schema import FINDING, FLOW, MESSAGE
from dnsonde.table.sides import Seen, below
from dnsonde.table.store import database
from dnsonde.watch import Asked, to_prepare
from dnsonde.wire.batch import address_pair

HEAD = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")


def nothing(_: take.Progress) -> None:
    """Take no note of the progress."""


def flows(*given: tuple[str, int, str, int], **more: int) -> duckdb.DuckDBPyConnection:
    """Tables with such flows: (source, port, destination, port), and `more` columns alike in all."""
    blank: dict[str, object] = {}
    for column in FLOW.columns:
        if not column.null:
            blank[column.name] = (
                b"" if column.type == pa.binary() else "" if column.type == pa.string() else 0
            )
    rows = []
    for src, src_port, dst, dst_port in given:
        row = blank | {"src_port": src_port, "dst_port": dst_port} | more
        for role, text in (("src", src), ("dst", dst)):
            row[f"{role}_net"], row[f"{role}_host"] = address_pair(text)
        rows.append(row)
    connection = database()
    for table, content in ((FLOW, rows), (MESSAGE, [])):
        connection.register(table.name, pa.Table.from_pylist(content, table.schema.remove_metadata()))
    return connection


def guessed(*given: tuple[str, int, str, int]) -> tuple[list[str], Guess]:
    looker = OnDuckDB(flows(*given))
    found = guess(looker.ask, looker.kept)
    return [str(p) for p in found.prefixes], found


def test_private_addresses_that_meet_public_ones_are_home() -> None:
    names, found = guessed(
        *((f"192.168.{n}.5", 40000, f"198.51.{n}.7", 443) for n in range(5)),
        ("10.0.0.1", 40000, "203.0.113.9", 53),
    )
    assert names == ["10.0.0.0/8", "192.168.0.0/16"]
    assert found.private


def test_a_client_and_the_resolver_of_its_organisation_are_home_both() -> None:
    """Else the resolver would be open to a stranger: its own client."""
    names, found = guessed(
        ("172.32.84.5", 40000, "172.32.80.9", 53), ("192.168.1.1", 137, "172.32.84.5", 137)
    )
    assert names == ["172.32.80.0/24", "172.32.84.0/24", "192.168.0.0/16"]
    assert (found.share, found.other) == (1.0, None)
    names, found = guessed(("172.32.84.5", 40000, "172.33.80.9", 53))
    assert (names, str(found.other)) == (["172.32.84.0/24"], "172.33.80.0/24")


def test_who_meets_everybody_is_home() -> None:
    inbound = [(f"198.51.{n}.7", 40000, "192.0.2.1", 53) for n in range(30)]
    outbound = [("203.0.113.5", 40000, f"100.64.{n}.7", 443) for n in range(20)]
    names, found = guessed(*inbound, *outbound)
    assert names == ["192.0.2.0/24", "203.0.113.0/24"]
    assert found.share == 1.0
    assert "100 % of 50 conversations" in found.why


def test_a_swept_network_is_home_and_not_the_one_that_sweeps() -> None:
    names, found = guessed(*(("198.51.100.7", 40000, f"192.0.2.{n}", 53) for n in range(1, 200)))
    assert names == ["192.0.2.0/24"]
    assert str(found.other) == "198.51.100.0/24"


def test_networks_swept_one_after_the_other_with_hardly_an_answer_are_home() -> None:
    """As at a border, or in a telescope, where whoever sweeps has more conversations than any /24."""
    sweepers = [("198.51.100.7", f"192.0.{n}.{n}") for n in range(64, 128)]
    sweepers += [("203.0.113.9", f"192.0.{n}.1") for n in range(100, 120)]
    answer = ("192.0.64.64", 53, "198.51.100.7", 40000)
    names, found = guessed(*((src, 40000, dst, 53) for src, dst in sweepers), answer)
    assert (names, str(found.other)) == (["192.0.64.0/18"], "198.51.100.0/24")
    assert "who wrote to one network after the other there was hardly answered" in found.why


def test_a_swept_network_is_home_beside_what_else_is_there() -> None:
    swept = [("2001:db8:ffff::7", 40000, f"2001:db9:{n:x}::1", 53) for n in range(0x100, 0x140)]
    other = [("192.0.2.1", 40000, f"{n}.198.51.7", 443) for n in range(20, 40)]
    assert guessed(*swept, *other)[0] == ["192.0.2.0/24", "2001:db9:100::/42"]


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(
            [(f"192.0.{n}.1", 53, "198.51.100.7", 40000) for n in range(64, 71)], id="it is answered"
        ),
        pytest.param(
            [("198.51.100.7", 40000, f"{n}.0.2.1", 23) for n in range(20, 40)], id="it scans everywhere"
        ),
        pytest.param([("198.51.100.7", 40000, "198.51.7.1", 23)], id="it scans its neighbours"),
        pytest.param([("203.0.113.5", 40000, "198.51.100.53", 53)], id="a neighbour is asked"),
    ],
)
def test_who_sweeps_is_home_itself_where(more: list[tuple[str, int, str, int]]) -> None:
    swept = [("198.51.100.7", 40000, f"192.0.{n}.1", 53) for n in range(64, 128)]
    assert guessed(*swept, *more)[0] == ["198.51.100.0/24"]


def test_who_has_met_home_already_comes_after_who_has_not() -> None:
    """A scanner of two networks at home, and another stranger that was asked by a third one."""
    swept = [("203.0.113.9", 40000, f"192.0.{n}.{host}", 80) for n in (2, 3) for host in range(1, 100)]
    names, _ = guessed(*swept, ("203.0.113.9", 40000, "192.0.9.1", 80))
    assert names == ["192.0.2.0/24", "192.0.3.0/24", "192.0.9.0/24"]


def test_of_two_who_talk_the_one_that_asks_is_home_though_the_other_may_be() -> None:
    names, found = guessed(("203.0.113.5", 40000, "192.0.2.53", 53), ("192.0.2.53", 53, "203.0.113.5", 40000))
    assert names == ["203.0.113.0/24"]
    assert "192.0.2.0/24 may be home as well" in found.why


def test_who_is_answered_has_asked() -> None:
    names, _ = guessed(("192.0.2.53", 53, "203.0.113.5", 40000))
    assert names == ["203.0.113.0/24"]


def test_of_two_networks_that_meet_the_one_whose_hosts_ask_more_is_home() -> None:
    asks = [(f"192.0.2.{n}", 40000, f"198.51.100.{n}", 443) for n in range(1, 30)]
    others = [(f"198.51.100.{n}", 40000, f"192.0.2.{n}", 22) for n in range(40, 43)]
    names, found = guessed(*asks, *others)
    assert (names, str(found.other)) == (["192.0.2.0/24"], "198.51.100.0/24")


def test_ipv6_is_guessed_by_48() -> None:
    names, _ = guessed(*((f"2001:db8:{n:x}::1", 40000, "2001:db8:ffff:1::53", 53) for n in range(20)))
    assert names == ["2001:db8:ffff::/48"]


def test_where_nobody_stands_out_nothing_is_guessed() -> None:
    names, found = guessed(*((f"198.51.{n}.7", 40000, f"203.0.{n}.7", 40000) for n in range(50)))
    assert names == []
    assert "no prefixes have an end in half of its 50 conversations" in found.why


def test_multicast_and_the_like_are_no_conversation() -> None:
    names, found = guessed(
        ("192.0.2.1", 5353, "224.0.0.251", 5353),
        ("0.0.0.0", 68, "255.255.255.255", 67),
        ("fe80::1", 1, "ff02::1", 1),
        ("127.0.0.1", 40000, "127.0.0.53", 53),
    )
    assert (names, found.conversations) == ([], 0)
    assert "no conversations between networks" in found.why


def test_an_allow_list_covers_what_is_within_it() -> None:
    allowed = Allowed(prefixes(("192.0.2.0/24", "2001:db8::/32")), ("example.net",))
    for subject in ("192.0.2.1", "192.0.2.128/25", "2001:db8::5", "example.net", "a.example.net"):
        assert allowed.covers(subject)
    for subject in ("192.0.3.1", "192.0.0.0/16", "2001:db9::5", "anexample.net", "net"):
        assert not allowed.covers(subject)


def test_an_allow_list_is_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "allow"
    path.write_text("# scanners\n192.0.2.7\n 2001:db8::/32 # lab\n*.Example.NET.\n\n")
    assert load_allowed(path) == Allowed(
        (ip_network("192.0.2.7/32"), ip_network("2001:db8::/32")), ("example.net",)
    )


@pytest.mark.parametrize("line", ["192.0.2.256", "192.0.2.0/33", "exa mple.net", "a..b", "10.1"])
def test_a_mistake_in_an_allow_list_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "allow").write_text(f"192.0.2.1\n{line}\n")
    with pytest.raises(UsageError, match="line 2"):
        load_allowed(tmp_path / "allow")


@pytest.mark.parametrize("line", ["-", "_", "-a.example.net", "_dmarc.example.net"])
def test_what_an_allow_list_takes_can_be_left_out(tmp_path: Path, line: str) -> None:
    (tmp_path / "allow").write_text(f"{line}\n")
    assert f"= '{line}'" in below("qname", load_allowed(tmp_path / "allow").domains)


def test_an_allow_list_of_octets_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "allow").write_bytes(b"\xff\xfea\x00")
    with pytest.raises(UsageError, match="is UTF-16 text"):
        load_allowed(tmp_path / "allow")


def test_a_kept_query_gives_what_the_relation_gives() -> None:
    one = detector_of("mirai_scan")
    scan = [("192.0.2.9", 40000, f"198.51.{n}.1", 23) for n in range(30)]
    connection = flows(*scan, protocol=6, syn=1, mirai_syn=1)
    kept = query_of("mirai_scan", (("syns_min", "2"),))
    (found,) = OnDuckDB(connection).rows(
        Seen(prefixes(("192.0.2.0/24",))), [("mirai_scan", (("syns_min", "2"),))]
    )
    backend = ibis.duckdb.from_connection(connection)
    direct = one(
        {name: backend.table(f"seen_{name}") for name in ("message", "flow")}, syns_min="2"
    ).to_pyarrow()
    assert found.to_pylist() == direct.to_pylist()
    assert direct.num_rows == 1
    assert kept.home


def test_queries_can_be_made_before_looking_where_they_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "kept_folder", lambda: tmp_path)
    asked = Asked(detectors=("flood", "mirai_scan", "dns_sweep"), settings={"flood": {}})
    work = to_prepare(asked)
    assert set(work) == {"mirai_scan", "dns_sweep"}, "with settings it would be of no use to others"
    query_of.cache_clear()
    work["mirai_scan"]()
    assert set(to_prepare(asked)) == {"dns_sweep"}
    assert set(to_prepare(Asked())) == set(detector_names()) - {"mirai_scan"}
    with pytest.raises(UsageError, match="there is no detector 'water'"):
        to_prepare(Asked(detectors=("water",)))
    monkeypatch.setattr(kept, "kept_folder", lambda: None)
    assert not to_prepare(asked), "what another process makes is lost where nothing is kept"


def test_a_full_disk_under_a_temporary_lake_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.pcap").write_bytes(HEAD)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lakes, "write", full)
    with pytest.raises(SystemRefusal, match="set TMPDIR to a folder with more"):
        watch.detect([str(tmp_path / "a.pcap")], watch.Asked(), VirtualClock(), nothing)


def test_a_lake_is_not_read_into_another(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(HEAD)
    take.ingest([str(tmp_path / "a.pcap")], tmp_path / "lake", VirtualClock(), nothing)
    with pytest.raises(UsageError, match="stands alone"):
        take.ingest([str(tmp_path / "lake")], tmp_path / "other", VirtualClock(), nothing)
    with pytest.raises(UsageError, match="look into it alone"):
        watch.detect([str(tmp_path / "lake"), "x"], watch.Asked(), VirtualClock(), nothing)


def test_findings_bear_rfc3339_times() -> None:
    row = dict.fromkeys(("detector", "threat", "subject", "subject_kind", "severity", "title", "summary"), "")
    row |= {"evidence": "{}", "references": "[]"}
    times = {"first_seen": 1_700_000_000_000_001, "last_seen": 1_700_000_001_500_000}
    table = pa.Table.from_pylist([row | times | {"confidence": 0.5, "count": 1}], FINDING.schema)
    (told,) = written(table).read_all().to_pylist()
    assert told["first_seen"] == "2023-11-14T22:13:20.000001Z"
    assert told["last_seen"] == "2023-11-14T22:13:21.500000Z"
