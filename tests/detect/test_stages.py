"""Stages are computed once, shared by who begins alike, and end a look that can find nothing."""

from collections.abc import Callable

import ibis
import ibis.expr.types as ir
import pytest

from dnsonde.detect._contract import Detector, detector, finding
from dnsonde.detect._stages import busy, names, needs, sources, stage
from dnsonde.findings.queries import Query, Stages
from dnsonde.findings.to_sql import to_sql
from dnsonde.table import store
from tests.detect import rows

Relation = Callable[..., ir.Table]


def made(relation: Relation) -> Detector:
    wrap = detector(threat="x", subject_kind="domain", title="x", summary="x", references=())
    return wrap(relation)


def of(t: ir.Table) -> ir.Table:
    return finding(
        t, domain=t.registered_domain, severity=1, confidence=0.5, first_seen=t.n, last_seen=t.n, count=t.n
    )


def counted(message: ir.Table) -> ir.Table:
    return stage(message.group_by("registered_domain").aggregate(n=message.count()))


def often(message: ir.Table) -> ir.Table:
    """Domains of two messages."""
    return of(stage(counted(message).filter(lambda t: t.n >= 2), needed=True))


def seldom(message: ir.Table) -> ir.Table:
    """Domains of one."""
    return of(counted(message).filter(lambda t: t.n < 2))


def never(message: ir.Table) -> ir.Table:
    """Divides by zero on its way, unless the need stops it."""
    needs(counted(message).filter(lambda t: t.n > 1000))
    return of(counted(message).mutate(n=lambda t: (t.n / 0).cast("int64")))


@pytest.fixture
def connection() -> ibis.BaseBackend:
    asked = [
        rows.query("192.0.2.1", "198.51.100.1", name) for name in ("a.one.org", "b.two.org", "c.two.org")
    ]
    backend = ibis.duckdb.from_connection(store.database())
    for name, table in rows.tables(asked).items():
        backend.create_table(f"seen_{name}", table)
    return backend


def kept(connection: ibis.BaseBackend) -> set[str]:
    """Tables that the connection keeps."""
    return {name for (name,) in connection.con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}


def query(relation: Relation) -> Query:
    return to_sql(made(relation), {})


def found(relation: Relation, connection: ibis.BaseBackend) -> list[str]:
    return sorted(row["subject"] for row in Stages(connection.con).rows(query(relation)).to_pylist())


def test_a_relation_is_the_same_with_its_stages_and_without(connection: ibis.BaseBackend) -> None:
    message = connection.table("seen_message")
    for relation, wanted in ((often, ["two.org"]), (seldom, ["one.org"])):
        assert [r["subject"] for r in relation(message).to_pyarrow().to_pylist()] == wanted
        assert found(relation, connection) == wanted


def test_where_a_needed_stage_is_empty_nothing_more_is_computed(connection: ibis.BaseBackend) -> None:
    asked = query(never)
    rows = Stages(connection.con).rows(asked)
    assert rows.num_rows == 0
    assert rows.schema.names == asked.schema.names
    (counts, need) = asked.steps
    assert (counts.needed, need.needed) == (False, True)


def test_who_begins_alike_shares_the_stage_until_the_last_has_run(connection: ibis.BaseBackend) -> None:
    one, other = query(often), query(seldom)
    assert one.steps[0] == other.steps[0]
    stages = Stages(connection.con)
    stages.rows(one)
    stages.drop(one, [other])
    assert one.steps[0].table in kept(connection)
    assert one.steps[1].table not in kept(connection)
    stages.rows(other)
    stages.drop(other, [])
    assert other.steps[0].table not in kept(connection)


def test_names_below_a_domain_are_counted_by_window(connection: ibis.BaseBackend) -> None:
    message = connection.table("seen_message")
    few = busy(message, 2).to_pyarrow().to_pylist()
    assert [(row["registered_domain"], row["below"], row["number"]) for row in few] == [("two.org", 2, 0)]
    told = names(message, 3600, 2).to_pyarrow().to_pylist()
    assert [(row["number"], row["rows"], row["queries"], row["answered"]) for row in told] == [
        (0, 1, 1, 0)
    ] * 2
    assert len({row["sub_hash"] for row in told}) == 2


def test_sources_that_sent_next_to_nothing_are_left_out_unless_asked_for() -> None:
    backend = ibis.duckdb.from_connection(store.database())
    sent = [("192.0.2.1", 1)] * 3 + [("192.0.2.2", 25), ("192.0.2.3", 24), ("192.0.2.4", 1)]
    flows = [
        rows.flow(source, "198.51.100.1", packets=packets, time_s=n)
        for n, (source, packets) in enumerate(sent)
    ]
    flow = backend.create_table("seen_flow", rows.tables(flows=flows)["flow"])

    def last(**least: int) -> set[int]:
        return {row["src_host"] & 0xFF for row in sources(flow, **least).to_pyarrow().to_pylist()}

    assert last() == {1, 2}
    assert last(rows=100, packets=1000) == {1, 2}, "so that all share it"
    assert last(packets=20) == {1, 2, 3}
    assert last(rows=1) == {1, 2, 3, 4}
