"""Floods by their bytes, and what only looks like them."""

from typing import Any

import pytest

from dnsonde.detect.amplification import amplification
from dnsonde.detect.carpet_flood import carpet_flood
from dnsonde.detect.flood import flood
from dnsonde.table.relations import turned
from tests.detect.rows import Row, apart, flow, found

VICTIM = "192.0.2.7"
A2S = bytes.fromhex("ffffffff54536f7572636520456e67696e6520517565727900")
RAKNET = b"\1" + bytes(8) + bytes.fromhex("00ffff00fefefefefdfdfdfd3af21b38")
ASKS = bytes.fromhex("beef01000001000000000000") + b"\5ab12c\7example\3net"
FIVEM = bytes.fromhex("ffffffff676574696e666f2078797a")


def crowd(
    rows: int,
    *,
    step_s: float = 0.001,
    begin_s: float = 0,
    sources: int = 200,
    dst: str = VICTIM,
    **more: Any,
) -> list[Row]:
    """So many flow rows to one address, of `more`'s kind."""
    return [
        flow(f"203.0.113.{n % sources}", dst, time_s=begin_s + n * step_s, src_port=40_000 + n, **more)
        for n in range(rows)
    ]


def served(port: int, rows: int, sources: int, **more: Any) -> list[Row]:
    """So many flow rows of datagrams from a service's port, in five seconds."""
    one: dict[str, Any] = {"protocol": 17, "payload": b"\xa5" * 32, **more}
    return [
        row | {"src_port": port, "dst_port": 40_000 + n}
        for n, row in enumerate(crowd(rows, step_s=5 / rows, sources=sources, **one))
    ]


def back(rows: list[Row], packets: int = 1) -> list[Row]:
    """What goes the other way between the same ports."""
    way = turned("net", "host", "port")
    return [{**row, **{name: row[other] for name, other in way.items()}, "packets": packets} for row in rows]


VECTORS: list[tuple[str, dict[str, Any]]] = [
    ("syn", {"syn": 1, "dst_port": 443}),
    ("ack", {"ack": 1, "bytes": 552, "payload_bytes": 512, "payload": b"\x8f" * 32}),
    ("flags", {"fin": 1}),
    ("fin", {"fin": 1, "ack": 1}),
    ("rst", {"rst": 1}),
    ("stomp", {"syn": 1, "ack": 9, "packets": 10, "payload_bytes": 700, "length_min": 40}),
    ("vse", {"protocol": 17, "dst_port": 27015, "payload": A2S}),
    ("raknet", {"protocol": 17, "dst_port": 19132, "payload": RAKNET}),
    ("fivem", {"protocol": 17, "dst_port": 30120, "payload": FIVEM}),
    (
        "udp_plain",
        {"protocol": 17, "dst_port": 4444, "packets": 20, "bytes": 26_800, "payload": b"x" * 32},
    ),
    ("dns", {"protocol": 17, "dst_port": 53, "packets": 3, "bytes": 180, "payload": ASKS}),
    ("icmp", {"protocol": 1, "dst_port": 0}),
    ("icmp_reply", {"protocol": 1, "dst_port": 0}),
    ("icmp", {"protocol": 58, "dst_port": 0, "fragments": 1}),
    ("fragments", {"protocol": 17, "dst_port": 0, "fragments": 1, "packets": 10, "bytes": 15_000}),
    ("ip_protocol", {"protocol": 253, "dst_port": 0, "packets": 10, "bytes": 15_000}),
]


@pytest.fixture(scope="module")
def told() -> list[list[Row]]:
    """What is found in a crowd of each of VECTORS."""
    cases = []
    for vector, more in VECTORS:
        flows = crowd(1200, **more)
        if vector in {"icmp", "icmp_reply", "fragments", "ip_protocol"}:
            flows = [row | {"src_port": 8 if vector == "icmp" else 0} for row in flows]
        cases.append(flows)
    return apart(flood, *cases)


@pytest.mark.parametrize("number", range(len(VECTORS)), ids=[vector for vector, _ in VECTORS])
def test_the_vector_is_told_by_bytes(number: int, told: list[list[Row]]) -> None:
    vector, more = VECTORS[number]
    (row,) = told[number]
    assert (row["subject"], row["evidence"]["vector"]) == (VICTIM, vector)
    assert row["severity"] in {"high", "critical"}
    assert row["count"] == 1200 * more.get("packets", 1)
    assert row["evidence"]["sources"] == 200


@pytest.mark.parametrize(("inside", "vector"), [("0800", "gre_ip"), ("6558", "gre_eth")])
def test_mirais_gre_is_told_by_its_id(inside: str, vector: str) -> None:
    ids = {"ip_id": 5000, "inner_id": ~(5000 - 1000) & 0xFFFF, "inner_protocol": 17}
    gre: dict[str, Any] = {"protocol": 47, "payload": bytes.fromhex(f"0000{inside}"), "packets": 400, **ids}
    bot = flow("203.0.113.9", VICTIM, lasts_s=1, **gre)
    (row,), other = apart(flood, [bot], [bot | {"inner_id": 7}])
    assert (row["evidence"]["vector"], row["evidence"]["mirai_marks"]) == (vector, 1)
    assert other == []


def test_datagrams_of_the_very_length_that_mirai_sends_are_told_at_a_lower_rate() -> None:
    one: dict[str, Any] = {"protocol": 17, "dst_port": 9307, "payload": b"x" * 32}
    (row,), *others = apart(
        flood,
        crowd(1200, bytes=1340, payload_bytes=1312, **one),
        crowd(1200, bytes=1344, payload_bytes=1316, **one),
        crowd(900, bytes=1340, payload_bytes=1312, **one),
    )
    assert (row["evidence"]["vector"], row["evidence"]["mirai_marks"]) == ("udp_plain", 1200)
    assert others == [[], []]


def test_a_burst_of_a_fifth_of_a_second_is_found_and_a_trickle_is_not() -> None:
    one: dict[str, Any] = {"syn": 1, "dst_port": 443, "sources": 1}
    (row,), less, trickle = apart(
        flood,
        crowd(200, **one),
        crowd(99, **one),
        crowd(3000, step_s=0.02, options=5, length_max=60, **one),
    )
    assert row["last_seen"] - row["first_seen"] == 199_000
    assert less == []
    assert trickle == []


def test_what_trickles_on_does_not_hide_a_burst() -> None:
    """Ten seconds of 200 a second, then one a second, as a bot of NDSec-1 sent them."""
    burst = crowd(2000, step_s=0.005, syn=1)
    trickle = crowd(50, step_s=1.0, syn=1)
    even = crowd(2050, step_s=0.0285, syn=1, options=5, length_max=60)
    # A row of a minute is even too, whatever slice it begins in.
    one: dict[str, Any] = {"syn": 2000, "packets": 2000, "options": 5, "length_max": 60}
    minute = [flow("203.0.113.9", VICTIM, lasts_s=58, **one)]
    (row,), *others = apart(flood, burst + trickle, even, minute)
    assert row["evidence"]["packets_s"] == pytest.approx(200, rel=0.02)
    assert others == [[], []]


def test_connections_over_which_nothing_is_said_are_a_flood_by_the_hundred() -> None:
    empty: dict[str, Any] = {"syn": 1, "ack": 5, "packets": 6, "payload_bytes": 0, "dst_port": 80}
    attack = crowd(2000, step_s=0.005, sources=1, **empty)
    checks = crowd(60, step_s=1.0, sources=1, **empty)
    visitors = crowd(2000, step_s=0.005, sources=200, **empty)  # ten each, as browsers connect in advance
    used = crowd(1000, step_s=0.01, sources=1, **(empty | {"payload_bytes": 300}))
    log = crowd(2000, step_s=0.005, sources=1, **(empty | {"ttl_min": None, "ttl_max": None}))
    (row,), *others = apart(flood, attack, checks, visitors, attack + used, log)
    assert (row["evidence"]["vector"], row["evidence"]["sources"]) == ("connect", 1)
    assert others == [[], [], [], []]


def test_several_minutes_are_one_flood() -> None:
    (row,) = found(flood, flows=crowd(60_000 // 20, step_s=0.1, syn=20, packets=20, dst_port=80))
    assert row["count"] == 60_000
    assert (row["last_seen"] - row["first_seen"]) // 1_000_000 == 299


def test_between_strangers_it_is_less_and_from_home_it_is_as_bad() -> None:
    bots = [
        flow("192.0.2.9", "203.0.113.250", time_s=n / 1000, src_port=40_000 + n, syn=1) for n in range(300)
    ]
    (away,), (home,) = apart(flood, crowd(300, syn=1, dst="203.0.113.250"), bots)
    assert away["severity"] == "medium"
    assert home["severity"] == "high"


@pytest.mark.parametrize("payload", [b"", b"XXXXXXXXXXXXXXXXXXXX"], ids=["nothing", "garbage"])
def test_a_crowd_that_sends_port_53_what_is_no_query_is_a_flood_of_datagrams(payload: bytes) -> None:
    """RFC 1035, 4.1.1: a query has one question. Of queries so many a second are a busy server's."""
    one: dict[str, Any] = {"protocol": 17, "dst_port": 53, "sources": 255}
    junk = crowd(1000, payload=payload, payload_bytes=len(payload), **one)
    asks = crowd(1000, payload=ASKS, payload_bytes=30, **one)
    cut = crowd(1000, payload=b"", payload_bytes=30, **one)
    (row,), *others = apart(flood, junk, asks, cut)
    assert (row["evidence"]["vector"], row["count"]) == ("udp_plain" if payload else "udp_empty", 1000)
    assert others == [[], []]


def test_a_victim_that_answers_by_icmp_errors_has_said_nothing() -> None:
    datagrams: dict[str, Any] = {"protocol": 17, "dst_port": 4444, "payload": b"x" * 20, "payload_bytes": 20}
    flows = crowd(1000, sources=255, **datagrams)
    back: dict[str, Any] = {"protocol": 1, "src_port": 3, "dst_port": 3}
    errors = [flow(VICTIM, f"203.0.113.{n % 255}", time_s=n / 1000, **back) for n in range(1000)]
    replies = [row | {"src_port": 0, "dst_port": 0} for row in errors]
    (row,), answered = apart(flood, flows + errors, flows + replies)
    assert (row["evidence"]["vector"], row["count"]) == ("udp_plain", 1000)
    assert answered == []


def test_resets_by_which_the_source_takes_its_syns_back_are_not_counted() -> None:
    """As its own system sends them where a tool writes the SYNs by itself (hping3, nmap)."""
    (row,) = found(flood, flows=crowd(1000, syn=1, packets=2, rst=1, bytes=80))
    assert (row["count"], row["evidence"]["bytes"]) == (1000, 40_000)
    assert row["evidence"]["packets_s"] == pytest.approx(1000, rel=0.01)


def test_slow_syns_at_many_addresses_of_home_are_a_carpet_floods() -> None:
    bare: dict[str, Any] = {"step_s": 0.02, "sources": 1, "syn": 1, "dst_port": 80, "length_max": 40}
    flows = [row for n in range(20) for row in crowd(600, dst=f"192.0.2.{n}", **bare)]
    (row,) = found(carpet_flood, flows=flows)
    assert (row["subject"], row["count"]) == ("192.0.2.0/24", 12_000)
    carpeted, few = apart(flood, flows, [row for row in flows if row["dst_host"] & 0xFF < 10])
    assert carpeted == []
    assert len(few) == 10


def test_a_flood_from_few_ports_is_not_hidden_by_ordinary_use() -> None:
    """A row of flow is a port: SYNs are compared with connections, six for each, as systems try again."""
    few: dict[str, Any] = {"sources": 100, "packets": 500, "dst_port": 443, "lasts_s": 10.0}
    used = crowd(300, step_s=0.03, syn=1, ack=6, packets=8, payload_bytes=600, options=5, dst_port=443)
    again = crowd(299, step_s=0.03, syn=6, packets=6, options=5, length_max=60, dst_port=443)
    (row,), (other,), overloaded = apart(
        flood,
        [*crowd(100, syn=500, **few), *used],
        [*crowd(100, fin=500, **few), *used],
        [*again, *used],
    )
    assert (row["evidence"]["vector"], row["severity"], row["count"]) == ("syn", "high", 50_000)
    assert (other["evidence"]["vector"], other["count"]) == ("flags", 50_000)
    assert overloaded == []


def test_a_flash_crowd_and_a_port_scan_are_not_it() -> None:
    crowded = crowd(3000, syn=1, ack=8, packets=10, payload_bytes=900, payload=b"GET / HTTP/1.1", dst_port=80)
    scan = [flow("203.0.113.9", VICTIM, time_s=n / 500, dst_port=n + 1, syn=1) for n in range(1000)]
    assert apart(flood, crowded, scan) == [[], []]


def test_http_from_few_sources_is_one() -> None:
    get: dict[str, Any] = {"syn": 1, "ack": 4, "packets": 6, "payload": b"GET /?x HTTP/1.1", "dst_port": 80}
    (row,), fewer = apart(flood, crowd(1500, sources=10, **get), crowd(900, sources=10, **get))
    assert row["evidence"]["vector"] == "http"
    assert fewer == []


GET: dict[str, Any] = {"syn": 1, "ack": 4, "packets": 6, "payload": b"GET /?x HTTP/1.1", "dst_port": 80}
ECHO: dict[str, Any] = {"protocol": 1, "dst_port": 0}


@pytest.mark.parametrize(
    ("vector", "rows", "lasts_s", "more"),
    [("http", 1500, 40, GET | {"sources": 10}), ("syn", 150, 1, {"syn": 1, "dst_port": 443}), ("icmp", 600, 1, ECHO)],
)  # fmt: skip
def test_what_the_turn_of_a_minute_cuts_is_one_flood(
    vector: str, rows: int, lasts_s: float, more: dict[str, Any]
) -> None:
    """START is forty seconds before a minute."""
    begins = [40 - lasts_s * share for share in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)]
    cut = apart(flood, *(crowd(rows, step_s=lasts_s / rows, begin_s=begin, **more) for begin in begins))
    told = [[(row["evidence"]["vector"], row["count"], row["severity"]) for row in one] for one in cut]
    assert told == [[(vector, rows * more.get("packets", 1), "high")]] * len(begins)


def test_a_minute_on_either_side_is_two_minutes() -> None:
    """Requests that come at a steady pace are not more because two minutes are looked at."""
    assert found(flood, flows=crowd(1900, step_s=120 / 1900, begin_s=-20, sources=10, **GET)) == []


def test_speed_tests_calls_and_tunnels_go_both_ways() -> None:
    both = [
        flow(*ends, protocol=17, src_port=4000, dst_port=5000, packets=200_000, bytes=240_000_000, lasts_s=10)
        for ends in (("203.0.113.9", VICTIM), (VICTIM, "203.0.113.9"))
    ]
    download = [
        flow("203.0.113.9", VICTIM, src_port=443, ack=90_000, packets=90_000, bytes=130_000_000, lasts_s=8)
    ]
    *others, (lone,) = apart(flood, both, download, both[:1])
    assert others == [[], []]
    assert lone["severity"] == "medium"


def test_many_unusual_protocols_are_a_flood_at_a_low_rate_and_one_of_them_is_not() -> None:
    def odd(kinds: int) -> list[Row]:
        return [
            row | {"protocol": 140 + n % kinds, "src_port": 0} for n, row in enumerate(crowd(200, dst_port=0))
        ]

    (row,), fewer = apart(flood, odd(10), odd(9))
    assert (row["evidence"]["vector"], row["count"]) == ("ip_protocol", 200)
    assert fewer == []


def test_datagrams_of_a_crowd_need_no_high_rate() -> None:
    one: dict[str, Any] = {"protocol": 17, "dst_port": 4444, "bytes": 60}
    asked = crowd(1000, sources=250, **one)
    said = [flow(VICTIM, "203.0.113.9", src_port=4444, protocol=17, packets=300, bytes=18_000)]
    (row,), *others = apart(flood, asked, crowd(1000, sources=199, **one), [*asked, *said])
    assert (row["evidence"]["vector"], row["evidence"]["sources"]) == ("udp_plain", 250)
    assert others == [[], []]


HEARD = flow(VICTIM, "198.18.0.1", protocol=17, dst_port=9999)
MANY = {"packets": 100, "bytes": 9200, "payload_bytes": 6400}
LARGE = {"packets": 30_000, "bytes": 36_840_000, "payload_bytes": 36_000_000, "lasts_s": 5.0}


def test_a_services_port_does_not_hide_a_flood() -> None:
    """20,000 datagrams a second of what no service says, or 190 Mbit/s of three sources that nothing went to."""
    cases = [
        served(53, 1000, 200, **MANY),
        [*served(53, 1000, 200, **MANY), HEARD],
        served(123, 1000, 200, **MANY),
        served(1900, 1000, 2, **MANY),
        [*served(443, 3, 3, **LARGE), HEARD],
    ]
    for case, told in zip(cases, apart(flood, *cases), strict=True):
        (row,) = told
        assert (row["evidence"]["vector"], row["severity"]) == ("udp_service", "high")
        assert row["evidence"]["source_ports"] == [case[0]["src_port"]]
        assert f"sent from ports {case[0]['src_port']};" in row["summary"]
        assert row["count"] == sum(one["packets"] for one in case if one is not HEARD)
    assert found(amplification, flows=cases[0]) == []


def test_what_services_say_to_those_who_ask_is_no_flood() -> None:
    """A resolver's 20,000 answers a second, a download by QUIC with few packets back, and what one side of each has."""
    answer = {"payload": b"\xbe\xef\x81\x80\0\1\0\1\0\0\0\0" + ASKS[12:]}
    answers = served(53, 1000, 200, **(MANY | answer))
    clocks = served(123, 1000, 200, **(MANY | {"payload_bytes": 4800}))
    download = served(443, 3, 3, **LARGE)
    log: dict[str, Any] = {"ttl_min": None, "ttl_max": None}
    others = apart(
        flood,
        [*answers, *back(answers, 100)],
        [*answers, *back(answers)],
        answers,
        [*clocks, *back(clocks, 100)],
        clocks,
        [*download, *back(download, 1500)],
        [*download, *back(download, 6000)],
        download,
        [*(row | log for row in download), HEARD | log],
        [*served(1900, 1000, 200, **MANY), *back(served(1900, 1000, 200, **MANY))],
    )
    assert others == [[]] * 10


def test_of_many_asked_for_the_unasked_alone_are_counted() -> None:
    download = served(443, 3, 3, **LARGE)
    attack = [row | {"dst_port": 80} for row in served(53, 1000, 200, **MANY)]
    (row,) = found(flood, flows=[*download, *back(download, 600), *attack])
    assert (row["count"], row["evidence"]["sources"], row["evidence"]["ports"]) == (100_000, 200, [80])


def test_what_amplification_tells_is_no_flood_too() -> None:
    large = served(123, 1000, 200, **(MANY | {"payload_bytes": 46_800, "bytes": 49_600}))
    talking = [*served(443, 1000, 200, **(MANY | {"payload_bytes": 46_800, "bytes": 49_600})), HEARD]
    for reflected in (large, talking):
        assert len(found(amplification, flows=reflected)) == 1
        assert found(flood, flows=reflected) == []
    some = [row | {"packets": 1, "payload_bytes": 468} for row in large[:200]]
    attack = [*served(53, 1000, 200, **MANY), *some]
    (row,) = found(amplification, flows=attack)
    assert (row["evidence"]["protocol"], row["count"]) == ("ntp", 200)
    (row,) = found(flood, flows=attack)  # what is a five-hundredth of it does not explain it
    assert row["evidence"]["vector"] == "udp_service"


def test_errors_among_what_is_reflected_are_no_flood_of_their_own() -> None:
    """Of what 200 agents send six parts in seven have 30 octets: they do not know the community (SNMP)."""
    short: dict[str, Any] = {"packets": 20, "bytes": 1160, "payload_bytes": 600}
    errors = served(161, 3400, 200, **short)
    told = served(161, 600, 200, **(short | {"bytes": 28_160, "payload_bytes": 27_600}))
    alone, *others = apart(flood, errors, [*errors, *told])
    assert [row["evidence"]["vector"] for row in alone] == ["udp_service"]
    assert others == [[]]
    (row,) = found(amplification, flows=[*errors, *told])
    assert (row["evidence"]["protocol"], row["count"]) == ("snmp", 80_000)


def test_large_answers_that_were_asked_for_hide_no_flood_from_their_port() -> None:
    attack = [row | {"dst_port": 80} for row in served(53, 1000, 200, **MANY)]
    answers = served(53, 1000, 200, packets=1000, bytes=1_228_000, payload_bytes=1_200_000)
    (row,) = found(flood, flows=[*attack, *answers, *back(answers)])
    assert (row["evidence"]["vector"], row["count"]) == ("udp_service", 100_000)


def test_what_is_reflected_explains_fragments_and_resets() -> None:
    piece: dict[str, Any] = {"protocol": 17, "dst_port": 0, "fragments": 50, "packets": 50, "bytes": 75_000}
    pieces = [row | {"src_port": 0} for row in crowd(300, **piece)]
    first = [flow("203.0.113.9", VICTIM, protocol=17, src_port=53, packets=2000, bytes=2_000_000)]
    resets = [*crowd(1200, rst=1), flow("203.0.113.9", VICTIM, synack=200, packets=200)]
    alone, *others = apart(flood, pieces, [*pieces, *first], resets)
    assert len(alone) == 1
    assert others == [[], []]


def test_an_upload_and_a_log_without_flags_are_not_it() -> None:
    upload: dict[str, Any] = {
        "syn": 1,
        "ack": 5000,
        "packets": 5001,
        "payload_bytes": 7_000_000,
        "length_min": 40,
    }
    log: dict[str, Any] = {"packets": 111, "bytes": 80_000, "ttl_min": None, "ttl_max": None}
    uploaded = flow("203.0.113.9", VICTIM, lasts_s=1, bytes=7_200_000, **upload)
    assert apart(flood, [uploaded], [flow("203.0.113.9", VICTIM, **log)]) == [[], []]


def test_a_proxy_at_home_and_its_servers_are_not_it() -> None:
    """A balancer of loads makes a connection for each request, and for each check of health."""
    get: dict[str, Any] = {
        "syn": 1,
        "ack": 4,
        "packets": 6,
        "payload": b"GET /health HTTP/1.1",
        "dst_port": 80,
    }
    checks = [flow("192.0.2.9", "198.51.100.7", time_s=n / 30, src_port=9000 + n, **get) for n in range(1800)]
    away = [row | {"src_host": row["src_host"] + (11 << 8)} for row in checks]
    within, from_away = apart(flood, checks, away)
    assert within == []
    assert len(from_away) == 1


def test_options_that_were_not_captured_make_no_stomp() -> None:
    """A snap length of 64 octets ends within the options of a SYN."""
    visit: dict[str, Any] = {"syn": 1, "ack": 7, "packets": 8, "payload_bytes": 700, "length_min": 40}
    cut, whole = apart(
        flood, crowd(1200, bytes=8 * 40 + 700 + 20, **visit), crowd(1200, bytes=8 * 40 + 700, **visit)
    )
    assert cut == []
    assert len(whole) == 1


def test_a_resolver_that_everybody_asks_answers() -> None:
    """A flash crowd at a name server: as many queries as a flood has, with an answer for each."""
    asks = crowd(1200, protocol=17, dst_port=53, packets=3, bytes=180)
    assert found(flood, flows=[*asks, *back(asks)]) == []


def test_errors_are_limited_but_by_who_means_harm() -> None:
    """BlackNurse: a few sources, unreachables by the thousand; who scans gets few from each, and has asked for them."""
    error: dict[str, Any] = {"protocol": 1, "dst_port": 3, "packets": 100, "bytes": 5600}
    flows = [row | {"src_port": 3} for row in crowd(20, step_s=0.05, sources=4, **error)]
    many = [row | {"src_port": 3} for row in crowd(2000, **(error | {"packets": 1}))]
    scan = [flow(VICTIM, "203.0.113.9", lasts_s=1, protocol=17, packets=2000, bytes=200_000, dst_port=9)]
    (row,), *others = apart(flood, flows, many, [*flows, *scan])
    assert (row["evidence"]["vector"], row["evidence"]["sources"]) == ("icmp_error", 4)
    assert "ports" not in row["evidence"]
    assert others == [[], []]


def test_clients_whose_service_is_out_of_reach_are_not_it() -> None:
    """A SYN or two of each, all from one network, in the layouts of several systems."""
    clients = [
        flow(
            f"2001:db9:0:{n:x}::1",
            VICTIM,
            time_s=n / 500,
            src_port=40_000 + n,
            syn=1,
            dst_port=443,
            options=n % 4 + 1,
        )
        for n in range(400)
    ]
    alike = [row | {"options": 7} for row in clients]
    scattered = [row | {"src_net": n << 40} for n, row in enumerate(clients, 1)]
    assert [len(told) for told in apart(flood, clients, alike, scattered)] == [0, 1, 1]
    # Of a log lengths tell, which two of three layouts may have in common.
    logged = [row | {"options": 0, "ttl_min": None, "ttl_max": None} for row in clients]
    lengths = [row | {"length_max": 64 if n % 3 else 52} for n, row in enumerate(logged)]
    tool = [row | {"length_max": 40} for row in logged]
    assert [len(told) for told in apart(flood, lengths, tool)] == [0, 1]


def test_syns_to_ever_other_ports_from_ever_other_ports_are_one() -> None:
    """The SYN floods of CIC-DDoS2019; a scanner sends from few ports, a system with options."""
    flows = [
        flow("203.0.113.9", VICTIM, time_s=n / 5000, src_port=10_000 + n, dst_port=7 * n % 60_000 + 1, syn=1)
        for n in range(3000)
    ]
    (row,), *others = apart(
        flood,
        flows,
        [row | {"src_port": 50_000 + n % 2} for n, row in enumerate(flows)],
        [row | {"options": 5, "length_max": 60} for row in flows],
        [row | {"ttl_min": None, "ttl_max": None} for row in flows],
    )
    assert (row["evidence"]["vector"], row["evidence"]["sources"]) == ("syn", 1)
    assert others == [[], [], []]


def test_flags_that_no_segment_has_together_are_one() -> None:
    (row,) = found(flood, flows=crowd(300, synack=1, fin=1, rst=1, dst_port=80))
    assert row["evidence"]["vector"] == "flags"


def test_the_words_fit_the_numbers() -> None:
    piece: dict[str, Any] = {"protocol": 17, "dst_port": 0, "fragments": 10, "packets": 10, "bytes": 15_000}
    pieces = [row | {"src_port": 0} for row in crowd(1200, **piece)]
    (one,), (row,) = apart(flood, crowd(300, sources=1, syn=1, dst_port=80), pieces)
    assert "from 1 address, " in one["summary"]
    assert "upstream (ports 80);" in one["summary"]
    assert "from 200 addresses, " in row["summary"]
    assert "upstream;" in row["summary"]


def test_syns_that_no_system_sends_are_told_at_a_low_rate() -> None:
    """hping3 --fast: ten a second, without options."""
    crafted = crowd(600, step_s=0.08, sources=1, syn=1, dst_port=80)
    cut = [
        row | {"start_us": row["start_us"] + 36_000_000, "end_us": row["end_us"] + 36_000_000}
        for row in crafted
    ]
    slow = crowd(450, step_s=0.13, sources=1, syn=1, dst_port=80)
    checks = [row | {"options": 5, "length_max": 60} for row in crafted]
    (row,), (other,), *others = apart(flood, crafted, cut[:550], crafted[:249], slow, checks)
    assert (row["severity"], row["evidence"]["vector"]) == ("medium", "syn")
    assert other["severity"] == "medium"
    assert others == [[], [], []]


def test_datagrams_without_payload_are_told_at_a_low_rate() -> None:
    """hping3 --udp sends nothing else, also where it is answered; who keeps a way open from both sides is none."""
    one: dict[str, Any] = {"protocol": 17, "dst_port": 9955, "bytes": 28, "step_s": 0.06, "sources": 1}
    slow = crowd(600, **one)
    service = [
        row | {"src_port": 53, "dst_port": 53}
        for row in crowd(1, **(one | {"packets": 4000, "lasts_s": 1.0}))
    ]
    fast = crowd(1200, **(one | {"packets": 20, "step_s": 0.001, "bytes": 560, "sources": 200}))
    (row,), (half,), (other,), (large,), (said,), *others = apart(
        flood,
        slow,
        slow[:250],
        service,
        fast,
        [*slow, *(one | {"payload_bytes": 32, "bytes": 60} for one in back(slow))],
        slow[:249],
        [row | {"payload_bytes": 1, "bytes": 29} for row in slow],
        [*slow, *back(slow)],
        [row | {"dst_port": 1000 + n} for n, row in enumerate(slow)],
        crowd(498, **(one | {"sources": 2})),
        [row | {"ttl_min": None, "ttl_max": None} for row in slow],
    )
    assert (row["evidence"]["vector"], row["severity"], row["count"]) == ("udp_empty", "medium", 600)
    assert half["count"] == 250, "at the pace of 500 a minute"
    assert (other["evidence"]["vector"], other["severity"], other["count"]) == ("udp_empty", "medium", 4000)
    assert (said["subject"], said["severity"], said["count"]) == (VICTIM, "medium", 600)
    assert (large["evidence"]["vector"], large["severity"], large["count"]) == ("udp_empty", "high", 24_000)
    assert others == [[]] * 6


@pytest.mark.parametrize("detector", [flood, amplification])
def test_a_few_packets_of_a_sample_are_no_rate(detector: Any) -> None:
    """An exporter that sees one packet in three thousand counts three thousand for it, and another that sees all."""
    one: dict[str, Any] = {"protocol": 17, "ttl_min": None, "ttl_max": None}
    kind = {"dst_port": 389} if detector is flood else {"dst_port": 40_000}
    rows = [
        flow(
            "203.0.113.9",
            f"192.0.2.{n % 250}",
            src_port=389,
            packets=3000,
            bytes=4_200_000,
            payload_bytes=4_000_000,
            **kind,
            **one,
        )
        for n in range(500)
    ]
    rows += [flow("203.0.113.9", "198.51.100.1", src_port=40_000, dst_port=443, packets=2, **one)] * 4
    assert found(detector, flows=rows) == []
    rows += [
        flow(
            f"203.0.113.{n}",
            VICTIM,
            time_s=n / 2,
            src_port=389,
            packets=3000,
            bytes=4_200_000,
            payload_bytes=4_000_000,
            **kind,
            **one,
        )
        for n in range(30)
    ]
    (row,) = found(detector, flows=rows)
    assert row["subject"] == VICTIM
