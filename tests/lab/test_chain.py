"""Chains of aliases, put together as a resolver would tell them (RFC 1034, 4.3.2; RFC 1035, 4.1.4)."""

from itertools import pairwise

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.lab import chain
from dnsonde.lab.pending import PARTIAL_MAX
from dnsonde.wire.name import parse_name

WIDTH = 1400


def row(wire: bytes) -> tuple[np.ndarray, np.ndarray]:
    rows = np.full((1, WIDTH), 0xA5, np.uint8)
    rows[0, : len(wire)] = np.frombuffer(wire, np.uint8)
    return rows, np.array([len(wire)])


def response(name: str, rcode: int = 0) -> dns.message.Message:
    made = dns.message.make_response(dns.message.make_query(name, "A"))
    made.set_rcode(dns.rcode.Rcode.make(rcode))
    return made


def alias(name: str, target: str) -> bytes:
    made = response(name)
    made.answer.append(dns.rrset.from_text(name, 10, "IN", "CNAME", target))
    return made.to_wire()


def end_of(name: str) -> np.ndarray:
    return np.array([12 + len(parse_name(name)) + 4])


@given(st.integers(1, 15), st.booleans(), st.sampled_from(["A", "NXDOMAIN", "NODATA"]))
def test_the_chain_comes_out_whole(steps: int, far: bool, last: str) -> None:
    zone = "run00001.probe.example.net."
    # Where the targets lie outside of the zone, no pointer into the question can shorten them.
    names = [f"t.c{k:x}.{zone if k == steps or not far else zone.upper()}" for k in range(steps, -1, -1)]
    partial = np.zeros((1, PARTIAL_MAX), np.uint8)
    length, count, owner, first_end = np.zeros(1, np.int64), 0, np.array([0xC00C]), end_of(names[0])
    for asked, target in pairwise(names):
        answers, octets = row(alias(asked, target))
        assert chain.is_alias(answers, octets, end_of(asked)).all()
        questions, end, size = chain.targets(answers, end_of(asked))
        assert questions[0, 12 : end[0] - 4].tobytes().lower() == parse_name(target).lower()
        length, owner, fits = chain.collect(partial, length, owner, answers, end_of(asked), size, first_end)
        assert fits.all()
        count += 1
    final = response(names[-1], rcode=dns.rcode.NXDOMAIN if last == "NXDOMAIN" else 0)
    if last == "A":
        final.answer.append(dns.rrset.from_text(names[-1], 10, "IN", "A", "192.0.2.1", "192.0.2.2"))
    else:
        final.authority.append(dns.rrset.from_text(zone, 10, "IN", "SOA", f"ns.{zone} x.{zone} 1 2 3 4 5"))
    answers, octets = row(final.to_wire())
    assert not chain.is_alias(answers, octets, end_of(names[-1])).any()
    rows, total = chain.join(answers, octets, end_of(names[-1]), partial, length, np.array([count]), owner)
    # The client's own question, at which all pointers aim.
    rows[0, 12 : first_end[0] - 4] = np.frombuffer(parse_name(names[0]), np.uint8)
    whole = dns.message.from_wire(rows[0, : total[0]].tobytes(), one_rr_per_rrset=True)
    told = [(str(r.name).lower(), dns.rdatatype.to_text(r.rdtype), str(r[0]).lower()) for r in whole.answer]
    wanted = [(a.lower(), "CNAME", b.lower()) for a, b in pairwise(names)]
    if last == "A":
        wanted += [(names[-1].lower(), "A", f"192.0.2.{k}") for k in (1, 2)]
    assert told == wanted
    assert [str(r.name) for r in whole.authority] == ([] if last == "A" else [zone])


def test_what_only_looks_like_an_alias_is_none() -> None:
    name = "t.example."
    for made in (response(name), response(name, rcode=2)):
        answers, octets = row(made.to_wire())
        assert not chain.is_alias(answers, octets, end_of(name)).any()
    both = response(name)
    both.answer += [
        dns.rrset.from_text(name, 10, "IN", "CNAME", "u.example."),
        dns.rrset.from_text("u.example.", 10, "IN", "A", "192.0.2.1"),
    ]
    answers, octets = row(both.to_wire())
    assert not chain.is_alias(answers, octets, end_of(name)).any()
    cut = alias(name, "u.example.")[:-8]
    answers, octets = row(cut)
    assert not chain.is_alias(answers, octets, end_of(name)).any()


def test_a_chain_too_long_to_keep_is_refused() -> None:
    name, target = "t.example.", ".".join(["x" * 60] * 4) + "."
    answers, _ = row(alias(name, target))
    end = end_of(name)
    _, _, size = chain.targets(answers, end)
    partial = np.zeros((1, PARTIAL_MAX), np.uint8)
    before = partial.copy()
    length = np.array([PARTIAL_MAX - 100])
    _, _, fits = chain.collect(partial, length, np.array([0xC00C]), answers, end, size, end)
    assert not fits.any()
    assert (partial == before).all()
