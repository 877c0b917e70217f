"""What resolving hosts make of messages, held against dnspython."""

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.lab import rewrite
from dnsonde.lab.behavior import Trait

WIDTH = 4224
LABEL = st.text("abcXYZ019-_", min_size=1, max_size=20)
NAME = st.lists(LABEL, min_size=2, max_size=6).map(".".join)
NAMES = st.lists(NAME, min_size=1, max_size=5)


def laid_out(wires: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Messages as rows, what lies behind each filled with rubbish, and their lengths."""
    rows = np.full((len(wires), WIDTH), 0xA5, np.uint8)
    for row, wire in zip(rows, wires, strict=True):
        row[: len(wire)] = np.frombuffer(wire, np.uint8)
    return rows, np.array([len(w) for w in wires], np.int32)


def question_end(query: dns.message.Message) -> int:
    return 12 + len(query.question[0].name.to_digestable()) + 4


def requests(names: list[str], *, edns: bool = False, flags: int = dns.flags.RD) -> list[dns.message.Message]:
    made: list[dns.message.Message] = []
    for number, name in enumerate(names):
        query = dns.message.make_query(name, "A", use_edns=0 if edns else -1, payload=1232, id=1000 + number)
        query.flags = flags
        made.append(query)
    return made


@given(NAMES, st.integers(0, 0xFFFF))
def test_queries_are_the_hosts_own(names: list[str], habits: int) -> None:
    asked = requests(names)
    rows, _ = laid_out([q.to_wire() for q in asked])
    end = np.array([question_end(q) for q in asked])
    n = len(names)
    traits = np.array([(habits * (k + 1)) & 0xFFFF for k in range(n)])
    out, noise = (
        np.full((n, WIDTH), 0x5A, np.uint8),
        np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15),
    )
    ids = np.arange(n) + 60_000
    length = rewrite.queries(out, rows, end, ids, traits, np.full(n, 0x7F0A0B0C), noise)
    for k in range(n):
        query = dns.message.from_wire(out[k, : length[k]].tobytes())
        assert query.id == ids[k]
        assert query.flags == 0
        assert query.question[0].name == asked[k].question[0].name
        assert query.question[0].rdtype == dns.rdatatype.A
        if not traits[k] & Trait.MIXED_CASE:
            assert str(query.question[0].name) == str(asked[k].question[0].name)
        if not traits[k] & Trait.EDNS:
            assert query.edns == -1
            continue
        assert query.payload == (4096 if traits[k] & Trait.EDNS_LARGE else 1232)
        subnets = [o.to_text() for o in query.options]
        assert subnets == (["ECS 127.10.11.0/24 scope/0"] if traits[k] & Trait.ECS else [])


def test_mixed_case_changes_letters_alone() -> None:
    query = requests(["a" * 40 + ".EXAMPLE-0._x"])[0]
    rows, _ = laid_out([query.to_wire()] * 64)
    end = np.full(64, question_end(query))
    noise = np.random.default_rng(3).integers(0, 1 << 63, 64, np.uint64)
    mixed = rewrite.mix_case(rows, end, noise)
    differ = mixed ^ rows
    assert set(np.unique(differ)) == {0, 0x20}
    assert len({m.tobytes() for m in mixed}) == 64
    assert not differ[:, end[0] - 4 :].any()


@given(NAMES)
def test_a_minimised_question_is_the_parents(names: list[str]) -> None:
    asked = [dns.message.make_query(name, "TXT") for name in names]
    rows, _ = laid_out([q.to_wire() for q in asked])
    questions, end = rewrite.minimised(rows, np.array([question_end(q) for q in asked]))
    for k, query in enumerate(asked):
        wire = questions[k, 12 : end[k]].tobytes()
        assert wire[:-4] == query.question[0].name.parent().to_wire()
        assert wire[-4:] == b"\0\1\0\1"


def answered(query: dns.message.Message, records: int, *, edns: bool, truncated: bool = False) -> bytes:
    """What an authority would say, its question in upper case as a resolver with 0x20 might have asked."""
    loud = dns.message.make_query(
        dns.name.from_text(str(query.question[0].name).upper()), "A", use_edns=0 if edns else -1, id=7
    )
    response = dns.message.make_response(loud)
    response.flags = dns.flags.QR | dns.flags.AA | (dns.flags.TC if truncated else 0)
    if records:
        texts = [f"192.0.2.{k}" for k in range(records)]
        response.answer.append(dns.rrset.from_text(loud.question[0].name, 10, "IN", "A", *texts))
    return response.to_wire(max_size=65535)


@given(NAMES, st.integers(0, 60), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_a_response_is_the_answer_in_the_clients_terms(
    names: list[str], records: int, edns: bool, upstream: bool, ra: bool, rd: bool
) -> None:
    asked = requests(names, edns=edns, flags=dns.flags.RD | dns.flags.CD if rd else 0)
    rows, _ = laid_out([q.to_wire() for q in asked])
    answers, length = laid_out([answered(q, records, edns=upstream, truncated=rd) for q in asked])
    n = len(asked)
    end = np.array([question_end(q) for q in asked])
    size = np.full(n, 1232 if edns else 0)
    out = np.full((n, WIDTH), 0x5A, np.uint8)
    told = rewrite.responses(out, answers, length, rows, end, edns_size=size, ra=np.full(n, ra))
    for k, query in enumerate(asked):
        wire = out[k, : told[k]].tobytes()
        response = dns.message.from_wire(wire)
        assert query.is_response(response)
        assert wire[12 : end[k]] == query.to_wire()[12 : end[k]]
        assert bool(response.flags & dns.flags.RA) == ra
        assert bool(response.flags & dns.flags.RD) == rd
        assert bool(response.flags & dns.flags.CD) == rd
        assert not response.flags & dns.flags.AA
        assert (response.edns == 0) == (edns and upstream)
        whole = int(length[k]) - (11 if upstream and not edns else 0)
        cut = whole > (1232 if edns else 512)
        assert bool(response.flags & dns.flags.TC) == (cut or rd)
        assert sum(len(r) for r in response.answer) == (0 if cut else records)
        assert len(wire) <= (1232 if edns else 512)


def test_rows_too_wide_for_the_buffer_are_truncated_not_overrun() -> None:
    query = requests(["wide.example"], edns=True)[0]
    rows, _ = laid_out([query.to_wire()])
    wire = answered(query, 255, edns=True)
    answers = np.frombuffer(wire, np.uint8)[None, :]
    out = np.zeros((1, 600), np.uint8)
    end = np.array([question_end(query)])
    told = rewrite.responses(
        out, answers, np.array([len(wire)]), rows, end, edns_size=np.array([550]), ra=np.array([True])
    )
    response = dns.message.from_wire(out[0, : told[0]].tobytes())
    assert response.flags & dns.flags.TC


def test_questions_are_compared_up_to_their_ends() -> None:
    names = ["a.example", "bb.example", "ccc.example"]
    asked = requests(names)
    rows, _ = laid_out([q.to_wire() for q in asked])
    end = np.array([question_end(q) for q in asked])
    other = rows.copy()
    other[:, end.max() :] = 1
    other[0, end[0] :] = 2
    assert rewrite.same_questions(rows, other, end).tolist() == [True, True, True]
    other[1, end[1] - 1] ^= 1
    other[2, 12] ^= 0x20
    assert rewrite.same_questions(rows, other, end).tolist() == [True, False, False]
