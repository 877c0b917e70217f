"""The lab on real sockets: who asks, who answers from where, and what is counted."""

import socket
from types import SimpleNamespace as Labs

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import numpy as np
import pytest

from dnsonde.clock import SystemClock
from dnsonde.errors import SystemRefusal
from dnsonde.lab.behavior import KIND_NAMES
from dnsonde.lab.scenario import Link, Network
from dnsonde.lab.world import World
from dnsonde.wire.batch import address_array
from dnsonde.wire.encode import probe_text
from dnsonde.wire.name import Kind, ProbeNames

KEY, RUN = bytes(16), "00000001"


def question(
    host: str, kind: Kind = Kind.SWEEP, step: int = 0, rtype: str = "A", attempt: int = 1
) -> dns.message.Message:
    names = ProbeNames("probe.example.net")
    name = probe_text(names, address_array([host]), attempt, kind, step, KEY, RUN)[0][0].as_py()
    return dns.message.make_query(name, rtype, use_edns=0, payload=4096)


def test_a_resolver_asks_from_its_address_and_answers_with_it(labs: Labs) -> None:
    with labs.stepped(labs.of_one_kind("resolver")) as lab:
        query = question(lab.host(9))
        lab.send(query.to_wire(), 9)
        ((peer, wire),) = lab.settle()
        response = dns.message.from_wire(wire)
        assert peer == lab.host(9)
        assert query.is_response(response)
        assert [str(a) for a in response.answer[0]] == [lab.host(9), "192.0.2.80"]
        assert response.flags & dns.flags.RA
        assert not response.flags & dns.flags.AA
        assert lab.world.totals()["asks"] == lab.world.totals()["answers"] == 1


def test_answers_of_all_kinds_are_relayed(labs: Labs) -> None:
    with labs.stepped(labs.of_one_kind("forwarder", traits={"edns": 1.0, "edns_large": 1.0})) as lab:
        lab.send(question(lab.host(3), Kind.NXDOMAIN).to_wire(), 3)
        nxdomain = dns.message.from_wire(lab.settle()[0][1])
        assert nxdomain.rcode() == dns.rcode.NXDOMAIN
        assert nxdomain.authority
        lab.send(question(lab.host(3), Kind.SIZE, 2000, "TXT").to_wire(), 3)
        assert len(lab.settle()[0][1]) == 2000
        query = question(lab.host(3), Kind.CHAIN, 5)
        lab.send(query.to_wire(), 3)
        chain = dns.message.from_wire(lab.settle()[0][1], one_rr_per_rrset=True)
        assert [dns.rdatatype.to_text(r.rdtype) for r in chain.answer] == ["CNAME"] * 5 + ["A"] * 2
        assert str(chain.answer[0].name) == str(query.question[0].name)
        assert chain.answer[5].name == chain.answer[4][0].target


@pytest.mark.parametrize("habit", ["edns", "mixed_case", "minimise", "ecs", "dual", "cache"])
def test_habits_change_what_the_authority_hears_not_what_the_client_gets(labs: Labs, habit: str) -> None:
    with labs.stepped(labs.of_one_kind("resolver", traits={"edns": 1.0, habit: 1.0})) as lab:
        query = question(lab.host(1))
        lab.send(query.to_wire(), 1)
        response = dns.message.from_wire(lab.settle()[0][1])
        lab.settle(0)
        assert query.is_response(response)
        assert str(response.question[0].name) == str(query.question[0].name)
        assert [str(a) for a in response.answer[0]] == [lab.host(1), "192.0.2.80"]
        assert lab.world.totals()["asks"] == (2 if habit in {"minimise", "dual"} else 1)


def test_a_host_without_edns_complains_of_it_and_answers_without(labs: Labs) -> None:
    """RFC 6891, 7: FORMERR, without an OPT record."""
    with labs.stepped(labs.of_one_kind("no_edns", traits={"edns": 1.0})) as lab:
        query = question(lab.host(1))
        lab.send(query.to_wire(), 1)
        response = dns.message.from_wire(lab.settle()[0][1])
        assert (response.rcode(), response.edns, lab.world.totals()["asks"]) == (dns.rcode.FORMERR, -1, 0)
        query.use_edns(False)
        lab.send(query.to_wire(), 1)
        response = dns.message.from_wire(lab.settle()[0][1])
        assert [str(a) for a in response.answer[0]] == [lab.host(1), "192.0.2.80"]


def test_a_cache_answers_the_second_question_alone(labs: Labs) -> None:
    with labs.stepped(labs.of_one_kind("resolver", traits={"cache": 1.0})) as lab:
        for _ in range(2):
            query = question(lab.host(1))
            lab.send(query.to_wire(), 1)
            assert query.is_response(dns.message.from_wire(lab.settle()[0][1]))
        lab.send(question(lab.host(1), attempt=2).to_wire(), 1)
        assert lab.settle()
        totals = lab.world.totals()
        assert (totals["asks"], totals["cached"]) == (2, 1)


def test_a_transparent_forwarders_reply_comes_from_the_pool(labs: Labs) -> None:
    with labs.stepped(labs.of_one_kind("transparent")) as lab:
        lab.send(question(lab.host(1)).to_wire(), 1)
        assert lab.settle()[0][0].startswith("127.200.0.")


def test_a_lossy_host_hears_a_later_attempt(labs: Labs) -> None:
    with labs.stepped(labs.of_one_kind("lossy")) as lab:
        lab.send(question(lab.host(1), attempt=1).to_wire(), 1)
        assert lab.settle(0) == []
        lab.send(question(lab.host(1), attempt=3).to_wire(), 1)
        assert len(lab.settle()) == 1


def test_a_rate_limited_host_answers_once_in_its_time(labs: Labs) -> None:
    with labs.stepped(labs.of_one_kind("rate_limited", rate_limit_ms=10_000.0)) as lab:
        for number in (1, 1, 2):
            lab.send(question(lab.host(number), attempt=1).to_wire(), number)
        assert sorted(peer for peer, _ in lab.settle(2)) == [lab.host(1), lab.host(2)]
        assert lab.world.totals()["limited"] == 1


def test_an_injected_lie_comes_before_the_answer(labs: Labs) -> None:
    with labs.stepped(labs.of_one_kind("injected", host_delay_ms=(5.0, 5.0))) as lab:
        lab.send(question(lab.host(1)).to_wire(), 1)
        (_, lie), (_, answer) = lab.settle(2)
        assert str(dns.message.from_wire(lie).answer[0][0]) != lab.host(1)
        assert str(dns.message.from_wire(answer).answer[0][0]) == lab.host(1)


def test_an_echo_is_the_datagram_itself(labs: Labs) -> None:
    with labs.stepped(labs.of_one_kind("echo")) as lab:
        wire = question(lab.host(1)).to_wire()
        lab.send(wire, 1)
        assert lab.settle() == [(lab.host(1), wire)]


def test_without_an_authority_a_resolver_gives_up_with_servfail(labs: Labs) -> None:
    scenario = labs.of_one_kind("resolver", upstream_timeout_ms=60.0, upstream_tries=2)
    with labs.stepped(scenario, authority=False) as lab:
        query = question(lab.host(1))
        lab.send(query.to_wire(), 1)
        response = dns.message.from_wire(lab.settle()[0][1])
        assert query.is_response(response)
        assert response.rcode() == dns.rcode.SERVFAIL
        totals = lab.world.totals()
        assert (totals["asks"], totals["retries"], totals["given_up"]) == (2, 1, 1)


def test_a_chain_survives_loss_on_its_way(labs: Labs) -> None:
    network = Network(ask=Link(loss=0.2))
    scenario = labs.of_one_kind("resolver", network=network, upstream_timeout_ms=30.0, upstream_tries=8)
    with labs.stepped(scenario) as lab:
        for number in range(20):
            lab.send(question(lab.host(number), Kind.CHAIN, 6).to_wire(), number)
        for _, wire in lab.settle(20):
            whole = dns.message.from_wire(wire, one_rr_per_rrset=True)
            assert [dns.rdatatype.to_text(r.rdtype) for r in whole.answer] == ["CNAME"] * 6 + ["A"] * 2
        assert lab.world.totals()["retries"] > 5


def test_loss_towards_the_authority_is_met_with_retries(labs: Labs) -> None:
    network = Network(ask=Link(loss=0.3), answer=Link(loss=0.3, delay_ms=1.0))
    scenario = labs.of_one_kind("resolver", network=network, upstream_timeout_ms=30.0, upstream_tries=8)
    with labs.stepped(scenario) as lab:
        for number in range(60):
            lab.send(question(lab.host(number)).to_wire(), number)
        replies = lab.settle(60)
        assert {peer for peer, _ in replies} == {lab.host(n) for n in range(60)}
        right = sum(dns.message.from_wire(wire).rcode() == 0 for _, wire in replies)
        # Each of eight tries gets through with 0.49: all of them fail once in 200.
        assert right >= 55
        assert lab.world.totals()["retries"] > 10


def test_what_is_no_question_is_counted_and_nothing_breaks(labs: Labs) -> None:
    rng = np.random.default_rng(7)
    query = question("127.2.0.1").to_wire()
    with labs.stepped(labs.on_free_ports("tiny")) as lab:
        wires = [rng.bytes(int(n)) for n in rng.integers(0, 300, 300)]
        wires += [bytes(rng.permutation(list(query))) for _ in range(100)]
        wires += [query[:n] for n in range(len(query))]
        wires += [b"\0\0\x80" + query[3:], query[:2] + b"\x28" + query[3:], query + b"\0" * 3000]
        for number, wire in enumerate(wires):
            lab.send(wire, number % 256)
            if number % 50 == 49:
                lab.settle(0)
        lab.settle(0)
        totals = lab.world.totals()
        assert totals["probes"] == len(wires)
        assert totals["malformed"] >= len(wires) * 0.9
        kinds_that_answer = question(lab.host(0))
        for number in range(256):
            lab.send(kinds_that_answer.to_wire(), number)
        assert len(lab.settle(100)) >= 100


def test_probes_outside_the_prefix_are_nobodys(labs: Labs) -> None:
    with labs.stepped(labs.of_one_kind("resolver")) as lab:
        lab.client.sendto(question("127.77.0.1").to_wire(), ("127.77.0.1", lab.scenario.port))
        assert lab.settle(0) == []
        assert lab.world.totals()["foreign"] == 1


def test_forged_answers_are_strays(labs: Labs) -> None:
    scenario = labs.of_one_kind("resolver", upstream_timeout_ms=3000.0)
    with (
        labs.stepped(scenario, authority=False) as lab,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as authority,
    ):
        authority.bind((scenario.authority.address, scenario.authority.port))
        authority.settimeout(5)
        query = question(lab.host(1))
        lab.send(query.to_wire(), 1)
        while lab.world.totals()["asks"] == 0:
            lab.world.step(1000)
        wire, egress = authority.recvfrom(4096)
        response = dns.message.make_response(dns.message.from_wire(wire)).to_wire()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
            forger.bind(("127.66.6.6", 0))
            forger.sendto(response, egress)
        authority.sendto(bytes([response[0] ^ 1]) + response[1:], egress)
        authority.sendto(response[:20] + bytes([response[20] ^ 1]) + response[21:], egress)
        authority.sendto(response, ("127.2.0.77", egress[1]))
        authority.sendto(wire, egress)
        authority.sendto(response[:15], egress)
        assert lab.settle(0) == []
        assert lab.world.totals()["strays"] == 6
        authority.sendto(response, egress)
        authority.sendto(response, egress)
        assert len(lab.settle()) == 1
        lab.settle(0)
        assert lab.world.totals()["strays"] == 7


def test_a_port_in_use_is_a_sentence(labs: Labs) -> None:
    scenario = labs.of_one_kind("resolver")
    with labs.stepped(scenario), pytest.raises(SystemRefusal, match=str(scenario.port)):
        World(scenario, clock=SystemClock())


def test_a_lab_too_large_for_a_table_is_the_same_lab(labs: Labs) -> None:
    scenario = labs.on_free_ports("default", prefix="127.64.0.0/11", host_delay_ms=(0.0, 0.0))
    with labs.stepped(scenario) as lab:
        assert lab.world._table is None
        behavior = lab.world._behavior
        every = np.arange(scenario.first, scenario.first + 4000, dtype=np.uint32)
        resolvers = np.flatnonzero(behavior.kind(every) == KIND_NAMES.index("resolver"))[:3]
        for number in resolvers:
            lab.send(question(lab.host(int(number))).to_wire(), int(number))
        assert {peer for peer, _ in lab.settle(3)} == {lab.host(int(n)) for n in resolvers}
