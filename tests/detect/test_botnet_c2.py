"""Contact with bots' servers, and what only looks like it."""

from pathlib import Path
from typing import Any

from dnsonde.detect.botnet_c2 import botnet_c2
from dnsonde.findings.to_sql import to_sql
from tests.detect.rows import flow, found, query

HOST, RESOLVER = "192.0.2.9", "192.0.2.53"


def test_a_lookup_of_a_listed_name_is_contact() -> None:
    messages = [
        query(HOST, RESOLVER, name, time_s=n) for n, name in enumerate(("rebirthltd.com", "x.y.rebirth.st"))
    ]
    (row,) = found(botnet_c2, messages)
    assert (row["subject"], row["severity"], row["count"]) == (HOST, "high", 2)
    evidence = row["evidence"]
    assert (evidence["malware"], evidence["places"], evidence["signs"]) == ("Rebirth", 2, ["indicator"])
    assert evidence["names"] == ["rebirthltd.com", "x.y.rebirth.st"]


def test_sending_to_a_listed_address_is_contact_and_being_scanned_by_it_is_not() -> None:
    (row,) = found(botnet_c2, flows=[flow(HOST, "87.246.7.194", syn=1, dst_port=26721)])
    assert (row["subject"], row["evidence"]["server"], row["evidence"]["ports"]) == (
        HOST,
        ["87.246.7.194"],
        [26721],
    )
    scanned = [
        flow("87.246.7.194", HOST, syn=1, dst_port=23),
        flow(HOST, "87.246.7.194", synack=1, src_port=23, dst_port=4000),
        flow(HOST, "87.246.7.194", rst=1, src_port=23, dst_port=4001),
    ]
    assert found(botnet_c2, flows=scanned) == []


def test_who_is_listed_makes_nobody_a_bot_by_asking() -> None:
    """A query under a forged address is enough for an answer to it; a page that is fetched may take two windows."""
    bad, minute = "87.246.7.194", 60
    udp: dict[str, Any] = {"protocol": 17}
    asked = flow(bad, HOST, src_port=4000, dst_port=5353, time_s=1, **udp)
    answered = flow(HOST, bad, src_port=5353, dst_port=4000, time_s=2, **udp)
    assert found(botnet_c2, flows=[asked, answered]) == []
    assert found(botnet_c2, flows=[flow(HOST, bad, src_port=53, dst_port=4000, **udp)]) == []
    fetched = [
        flow(bad, HOST, src_port=5000, dst_port=8080, syn=1, time_s=1),
        flow(HOST, bad, src_port=8080, dst_port=5000, synack=1, time_s=2),
        flow(HOST, bad, src_port=8080, dst_port=5000, time_s=minute),
    ]
    assert found(botnet_c2, flows=fetched) == []
    assert found(botnet_c2, flows=[flow(HOST, bad, src_port=80, dst_port=5000)]) == []


def test_a_server_that_asks_back_hides_no_contact() -> None:
    bad = "87.246.7.194"
    back = flow(bad, HOST, src_port=1312, dst_port=40000, syn=1, time_s=2)
    began = flow(HOST, bad, src_port=40000, dst_port=1312, syn=1, time_s=1)
    assert len(found(botnet_c2, flows=[began, back])) == 1
    assert len(found(botnet_c2, flows=[{**began, "syn": 0}, {**back, "syn": 0}])) == 1, (
        "its beginning was not seen"
    )


def test_mirais_hello_and_report_need_no_list() -> None:
    hello: dict[str, Any] = {"payload": b"\0\0\0\1", "payload_bytes": 30, "packets": 9, "syn": 1}
    (row,) = found(botnet_c2, flows=[flow(HOST, "203.0.113.9", dst_port=1312, **hello)])
    assert (row["severity"], row["evidence"]["malware"]) == ("medium", "Mirai")
    assert row["evidence"]["signs"] == ["mirai protocol"]
    (row,) = found(
        botnet_c2, flows=[flow(HOST, "203.0.113.9", dst_port=48101, syn=1, payload_bytes=20, payload=b"x")]
    )
    assert row["evidence"]["ports"] == [48101]
    more = hello | {"payload_bytes": 513}
    assert found(botnet_c2, flows=[flow(HOST, "203.0.113.9", dst_port=1312, **more)]) == []
    assert found(botnet_c2, flows=[flow(HOST, "198.51.100.9", dst_port=1312, **hello)]) == []


def test_names_below_opennic_are_a_hint() -> None:
    lookups = [query(HOST, RESOLVER, f"n{n}.geek", time_s=n) for n in range(3)]
    (row,) = found(botnet_c2, lookups)
    assert (row["severity"], row["confidence"]) == ("low", 0.5)  # at the threshold, as the rule says
    assert found(botnet_c2, lookups[:2]) == []


def test_further_indicators_come_from_files(tmp_path: Path) -> None:
    names, addresses = tmp_path / "a.csv", tmp_path / "b.csv"
    names.write_text("ioc,malware\nc2.bots.example.com,Katana\n")
    addresses.write_text("203.0.113.77:1312\n2001:db9::7\n")
    intel = f"{names}\n{addresses}"
    (row,) = found(botnet_c2, [query(HOST, RESOLVER, "a.c2.bots.example.com")], intel=intel)
    assert row["evidence"]["malware"] == "Katana"
    assert found(botnet_c2, [query(HOST, RESOLVER, "bots.example.com")], intel=intel) == []
    assert len(found(botnet_c2, flows=[flow(HOST, "203.0.113.77", syn=1, dst_port=1312)], intel=intel)) == 1
    assert found(botnet_c2, flows=[flow(HOST, "203.0.113.77", syn=1, dst_port=443)], intel=intel) == []
    assert (
        len(found(botnet_c2, flows=[flow("2001:db8::1", "2001:db9::7", syn=1, dst_port=443)], intel=intel))
        == 1
    )


def test_a_list_of_thousands_is_looked_through(tmp_path: Path) -> None:
    listed = tmp_path / "feed.txt"
    places = [f"c{n}.bots{n}.example" if n % 2 else f"203.{n >> 8}.{n & 255}.7:{n + 1}" for n in range(3000)]
    listed.write_text("\n".join(places))
    asked = [query(HOST, RESOLVER, "x.c2999.bots2999.example"), query(HOST, RESOLVER, "bots2999.example")]
    sent = flow(HOST, "203.11.182.7", syn=1, dst_port=2999)
    (row,) = found(botnet_c2, asked, [sent], intel=str(listed))
    assert (row["count"], row["evidence"]["places"]) == (2, 2)


def test_many_indicators_are_one_text_of_the_query(tmp_path: Path) -> None:
    """As so many literals 100,000 of them took a minute and more memory than there was."""
    names, addresses = tmp_path / "names.csv", tmp_path / "addresses.csv"
    malware = "it's; \\n \x1e \x1f"
    names.write_text("ioc,malware\n" + "".join(f"c{n}.bots.example,{malware}\n" for n in range(20_000)))
    addresses.write_text(
        "\n".join(f"203.0.{n >> 8}.{n & 255}:{p}" for n in range(1 << 12) for p in range(1, 7))
    )
    query_of = to_sql(botnet_c2, {"intel": f"{names}\n{addresses}"})
    assert sum(len(step.sql) for step in query_of.steps) + len(query_of.sql) < 1_600_000
    asked = [query(HOST, RESOLVER, "c19999.bots.example"), query(HOST, RESOLVER, "c20000.bots.example")]
    sent = [flow(HOST, "203.0.15.255", syn=1, dst_port=port) for port in (6, 7)]
    (row,) = found(botnet_c2, asked, sent, intel=f"{names}\n{addresses}")
    assert (row["count"], row["evidence"]["places"]) == (2, 2)
    assert row["evidence"]["malware"] == "it's; \\n"


def test_all_below_a_listed_name_counts_where_strangers_register_below_it_too(tmp_path: Path) -> None:
    listed = tmp_path / "feed.txt"
    listed.write_text("duckdns.org\n")  # a public suffix, of the list's private part
    (row,) = found(botnet_c2, [query(HOST, RESOLVER, "bot.duckdns.org")], intel=str(listed))
    assert row["evidence"]["names"] == ["bot.duckdns.org"]


def test_ordinary_names_and_strangers_are_not_it() -> None:
    assert (
        found(botnet_c2, [query(HOST, RESOLVER, "notrebirth.st"), query(HOST, RESOLVER, "www.geek.example")])
        == []
    )
    assert found(botnet_c2, [query("203.0.113.9", "203.0.113.53", "rebirthltd.com")]) == []


def test_a_pause_of_days_makes_two() -> None:
    messages = [query(HOST, RESOLVER, "rebirthltd.com", time_s=n * 86_400 * 3) for n in range(2)]
    assert len(found(botnet_c2, messages)) == 2


def test_a_blocklist_that_is_asked_about_a_listed_name_is_not_it() -> None:
    """Mail filters ask lists of domains whether a name is bad; a search suffix asks for it below the company's."""
    names = ["rebirthltd.com.multi.surbl.org", "rebirth.st.dbl.spamhaus.org", "rebirthltd.com.corp.example"]
    assert found(botnet_c2, [query(HOST, RESOLVER, name) for name in names * 5]) == []
