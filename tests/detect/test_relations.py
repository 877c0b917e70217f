"""The relations that detectors share, against plain Python."""

import random
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import ibis
import pyarrow as pa
import pytest

from dnsonde.detect import _relations as r
from dnsonde.errors import UsageError
from dnsonde.findings.engines import Lists
from dnsonde.table.prefix import inside, prefixes
from dnsonde.table.relations import inside as inside_one
from dnsonde.table.relations import pair
from dnsonde.table.sides import Seen, below
from dnsonde.table.store import database
from dnsonde.wire.batch import address_pair, address_text
from tests.detect import rows

NUMBERS = random.Random(3)
ADDRESSES = [
    *(
        "0.0.0.0",
        "255.255.255.255",
        "192.0.2.255",
        "192.0.3.0",
        "128.0.0.1",
        "::",
        "::1",
        "ffff::",
        "8000::1",
    ),
    *("2001:db8::1", "2001:db8:0:1::9", "2001:db7:ffff::", "7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    *(str(IPv4Address(NUMBERS.getrandbits(32))) for _ in range(40)),
    *(str(IPv6Address(NUMBERS.getrandbits(128))) for _ in range(40)),
]


def addresses(**roles: list[str]) -> ibis.Table:
    columns = {}
    for role, texts in roles.items():
        pairs = [address_pair(text) for text in texts]
        columns[f"{role}_net"] = pa.array([p[0] for p in pairs], pa.int64())
        columns[f"{role}_host"] = pa.array([p[1] for p in pairs], pa.int64())
    return ibis.memtable(pa.table(columns))


@pytest.mark.parametrize(
    "prefix",
    ["0.0.0.0/0", "128.0.0.0/1", "192.0.2.0/24", "192.0.2.255/32", "::/0", "::/8", "::/64", "8000::/1", "2001:db8::/32",
     "2001:db8::/64", "2001:db8::/65", "ffff::/128", "7fff:ffff:ffff:ffff:8000::/65"],
)  # fmt: skip
def test_inside_is_what_ipaddress_says(prefix: str) -> None:
    table = addresses(a=ADDRESSES)
    got = table.mutate(x=inside_one(*pair(table, "a"), prefixes([prefix]))).x.to_pyarrow().to_pylist()
    network = ip_network(prefix)
    assert got == [ip_address(a) in network for a in ADDRESSES]
    connection = database()
    connection.register("given", table.to_pyarrow())
    said = connection.execute(f"FROM given SELECT {inside('a', prefixes([prefix]))}").fetchall()
    assert [one for (one,) in said] == got


def test_inside_many_is_inside_one_of_them() -> None:
    draw = random.Random(5)
    texts = [f"{draw.choice(ADDRESSES)}" for _ in range(400)]
    within = prefixes(f"{text}/{draw.randrange(1, 129 if ':' in text else 33)}" for text in texts)
    connection = database()
    connection.register("given", addresses(a=ADDRESSES).to_pyarrow())
    for some in (within[:1], within[:7], within[7:60], within):
        sql = inside("a", some)
        said = [one for (one,) in connection.execute(f"FROM given SELECT {sql}").fetchall()]
        assert said == [any(ip_address(a) in n for n in some) for a in ADDRESSES]
    lists = prefixes(f"20.{n >> 8}.{n & 255}.0/24" for n in range(5000))
    assert inside("a", lists).count(" IN ") == 1


def test_no_home_is_nowhere_and_a_bad_prefix_is_refused() -> None:
    table = addresses(a=ADDRESSES)
    assert not any(table.mutate(x=inside_one(*pair(table, "a"), ())).x.to_pyarrow().to_pylist())
    with pytest.raises(UsageError, match="is no prefix"):
        prefixes(["192.0.2.0/33"])
    assert database().execute(f"SELECT {inside('a', ())}").fetchone() == (False,)


def test_a_prefix_that_is_given_twice_counts_once() -> None:
    twice = prefixes(["192.0.2.0/24", "2001:db8::/32", "192.0.2.7/24", "2001:db8::/32"])
    assert twice == prefixes(["192.0.2.0/24", "2001:db8::/32"])


def test_below_is_the_domain_and_what_ends_in_a_dot_and_it() -> None:
    names = ("example.net", "a.example.net", "anexample.net", "net", "a_b.org", "x.a_b.org", "xa-b.org", "")
    connection = database()
    connection.register("given", pa.table({"qname": names}))
    told = connection.execute(f"FROM given SELECT {below('qname', ['Example.NET.', 'a_b.org'])}").fetchall()
    assert [name for name, (yes,) in zip(names, told, strict=True) if yes] == [
        "example.net", "a.example.net", "a_b.org", "x.a_b.org",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="is no domain"):
        below("qname", ["x' OR TRUE"])


def test_below_many_is_below_one_of_them() -> None:
    draw = random.Random(7)
    names = [
        ".".join(draw.choice(("a", "bb", "example", "x")) for _ in range(draw.randrange(1, 5)))
        for _ in range(200)
    ]
    zones = [name for name in names if name.count(".") > 1][:40]
    wanted = [any(name == zone or name.endswith(f".{zone}") for zone in zones) for name in names]
    connection = database()
    connection.register("given", pa.table({"qname": names}))
    said = connection.execute(f"FROM given SELECT {below('qname', zones)}").fetchall()
    table = ibis.memtable(pa.table({"qname": names}))
    told = table.select(x=r.below(table.qname, zones), y=r.under(table.qname, zones)).to_pyarrow()
    assert [one for (one,) in said] == told["x"].to_pylist() == wanted
    assert told["y"].to_pylist() == [any(n.endswith(f".{zone}") for zone in zones) for n in names]


def test_who_is_allowed_is_not_seen_and_who_is_home_is_told() -> None:
    asked = [
        rows.query("192.0.2.1", "198.51.100.1", "a.example.net"),
        rows.query("192.0.2.7", "203.0.113.9", "b.example.org"),
        rows.query("203.0.113.9", "192.0.2.1", "c.example.org"),
    ]
    connection = database()
    connection.register("message", rows._messages(asked))
    home = prefixes(["192.0.2.0/24"])
    seen = Seen(home, prefixes(["192.0.2.7"]), ["example.net"])
    got = connection.execute(f"FROM ({seen.sql('message')}) SELECT qname, src_home, dst_home, embedded_home")
    assert got.fetchall() == [("c.example.org", False, True, False)]
    assert len(connection.execute(Seen(home).sql("message")).fetchall()) == 3


def test_long_lists_become_tables_and_leave_out_the_same() -> None:
    asked = [rows.query(f"192.0.2.{n}", "198.51.100.1", f"n{n:03}.a.example.org") for n in range(200)]
    connection = database()
    connection.register("message", rows._messages(asked))
    made: dict[str, int] = {}

    def make(name: str, listed: pa.Table) -> None:
        made[name] = listed.num_rows
        connection.from_arrow(listed).create(name)

    seen = Seen(
        (), prefixes(f"192.0.2.{n}" for n in range(3, 150)), [f"n{n:03}.a.example.org" for n in range(120)]
    )
    lists = Lists(make)
    short, long = (
        connection.execute(f"FROM ({sql}) SELECT qname ORDER BY ALL").fetchall()
        for sql in (seen.sql("message"), seen.sql("message", lists))
    )
    assert long == short == sorted((f"n{n:03}.a.example.org",) for n in range(150, 200))
    assert sorted(made.values()) == [120, 120, 147], (
        "names whole and what is below them; of source and destination once"
    )
    assert "192.0.2" not in (sql := seen.sql("message", lists))
    assert len(sql) < 2000


def test_home_prefix_is_the_24_or_the_48() -> None:
    table = addresses(a=ADDRESSES)
    (net, host), bits = r.home_prefix(*pair(table, "a"))
    rows = table.select(net=net, host=host, bits=bits).to_pyarrow().to_pylist()
    for text, row in zip(ADDRESSES, rows, strict=True):
        wanted = ip_network(f"{text}/{24 if ip_address(text).version == 4 else 48}", strict=False)
        assert f"{address_text(row['net'], row['host'])}/{row['bits']}" == str(wanted)


def test_adjacent_is_another_address_of_the_30_or_the_48() -> None:
    pairs = [
        ("192.0.2.4", "192.0.2.7", True), ("192.0.2.4", "192.0.2.5", True), ("192.0.2.4", "192.0.2.4", False),
        ("192.0.2.3", "192.0.2.4", False), ("2001:db8:1::1", "2001:db8:1:ffff::2", True),
        ("2001:db8:1::1", "2001:db8:2::1", False), ("2001:db8::1", "192.0.2.1", False),
        ("8000::1", "1::1", False), ("::1", "192.0.2.1", False),
    ]  # fmt: skip
    table = addresses(a=[p[0] for p in pairs], b=[p[1] for p in pairs])
    got = table.mutate(x=r.adjacent(pair(table, "a"), pair(table, "b"))).x.to_pyarrow().to_pylist()
    assert got == [p[2] for p in pairs]


def test_sessions_break_where_nothing_happened_for_longer_than_the_gap() -> None:
    rows = [("a", 0, 50), ("a", 10, 12), ("a", 60, 61), ("a", 72, 80), ("b", 200, 200), ("b", 210, 300)]
    table = ibis.memtable(
        pa.table({
            "k": [row[0] for row in rows],
            "first_us": [row[1] * r.SECOND for row in rows],
            "last_us": [row[2] * r.SECOND for row in rows],
        })
    )  # fmt: skip
    got = r.sessions(table, ["k"], 10).order_by("k", "first_us").to_pyarrow()
    assert got["session"].to_pylist() == [0, 0, 0, 1, 0, 0]
    assert set(got.column_names) == {"k", "first_us", "last_us", "session"}


@pytest.mark.parametrize(
    ("halves", "wanted"),
    [
        ({1: 50, 2: 50}, {0: 0, 1: 0}),  # a burst that the edge cuts
        ({0: 30, 1: 60, 2: 40}, {0: 0, 1: 0}),
        ({1: 80, 2: 80, 3: 80}, {1: 1}),  # one that goes on: what is less than `least` is none
        ({0: 60, 1: 60, 2: 60, 3: 60}, {0: 0, 1: 1}),
        ({1: 50, 4: 50}, {}),  # nothing in the window between
        ({1: 99}, {}),
        ({1: 60, 2: 60, 3: 60, 4: 60}, {1: 1}),
        ({1: 100, 2: 10, 3: 10, 4: 100}, {0: 0, 1: 0, 2: 2}),  # the middle one can be part of one only
    ],
)
def test_windows_are_one_where_an_edge_cut_a_burst(halves: dict[int, int], wanted: dict[int, int]) -> None:
    rows = [("k", half, packets) for half, packets in halves.items()] + [("other", 3, 5)]
    table = ibis.memtable(
        pa.table(dict(zip(("k", "half", "packets"), map(list, zip(*rows, strict=True)), strict=True)))
    )
    got = r.windows(table, ["k"], 100).to_pyarrow().to_pylist()
    assert {row["window"]: row["begin"] for row in got} == wanted
    assert {row["k"] for row in got} <= {"k"}


@pytest.mark.parametrize("column", ["text", "number"])
def test_of_millions_of_values_the_same_sample_is_taken_without_sorting_them(column: str) -> None:
    chance = random.Random(5)
    given = [
        *(("many", chance.randrange(10_000)) for _ in range(30_000)),
        *(("few", n) for n in (7, 7, 3)),
        *(("one", None), (None, 5)),
    ]
    table = ibis.memtable(
        pa.table(
            {
                "k": [k for k, _ in given],
                "text": [None if n is None else f"n{n}" for _, n in given],
                "number": pa.array([n for _, n in given], pa.int64()),
            }
        )
    )
    for most in (1, 3, r.SHARES + 1):
        wanted = r.sample(table, ["k"], column, "some", most).order_by("k").to_pyarrow().to_pylist()
        told = r.sample_of_many(table, ["k"], column, "some", most).order_by("k").to_pyarrow().to_pylist()
        assert told == wanted
        assert len(told) == 3


def test_samples_and_counts_do_not_depend_on_the_order_of_rows() -> None:
    values = [("x", 5), ("x", 3), ("x", 5), ("x", None), ("y", 7), ("x", 1), ("y", 8)]
    for given in (values, values[::-1]):
        table = ibis.memtable(
            pa.table({"k": [v[0] for v in given], "v": pa.array([v[1] for v in given], pa.int64())})
        )
        shown = r.sample(table, ["k"], "v", "some", most=2).order_by("k").to_pyarrow().to_pylist()
        assert shown == [{"k": "x", "some": [1, 3]}, {"k": "y", "some": [7, 8]}]
        often = r.commonest(table, ["k"], "v", "top").order_by("k").to_pyarrow().to_pylist()
        assert often == [{"k": "x", "top": 5}, {"k": "y", "top": 7}]
        many = r.count_distinct(table, ["k"], ["v"], "n").order_by("k").to_pyarrow().to_pylist()
        assert many == [{"k": "x", "n": 3}, {"k": "y", "n": 2}]


def test_a_zone_holds_itself_and_what_is_below() -> None:
    names = ["example.com", "a.example.com", "badexample.com", "example.com.org"]
    table = ibis.memtable(pa.table({"q": names}))
    got = table.mutate(x=r.below(table.q, ["Example.com."])).x.to_pyarrow().to_pylist()
    assert got == [True, True, False, False]
