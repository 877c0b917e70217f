"""What hosts say on their own account, read by dnspython."""

import dns.flags
import dns.message
import dns.rcode
import numpy as np
import pytest

from dnsonde.lab.behavior import HOST, Act, Trait
from dnsonde.lab.reply import Composer
from dnsonde.wire.batch import Batch
from dnsonde.wire.decode import decode_messages

CONTROL = (bytes([192, 0, 2, 80]), bytes(15) + b"\1")
NAME = "7f0000011aaaaaaaaaaaa.00000001.probe.example.net."


def said(
    act: Act, rtype: str = "A", *, traits: int = Trait.RA | Trait.EDNS, edns: bool = True
) -> dns.message.Message:
    query = dns.message.make_query(NAME, rtype, use_edns=0 if edns else -1)
    # Company of another kind on both sides: specifications must not get mixed up.
    acts = np.array([Act.CACHED, act, Act.REFERRAL], np.uint8)
    requests = Batch.of([query.to_wire()] * 3)
    host = np.zeros(3, HOST)
    host["traits"], host["lie"], host["egress"] = traits, 0xF0000001, 0x7F010203
    out, length = np.zeros((3, 600), np.uint8), np.zeros(3, np.int32)
    Composer(CONTROL).write(requests, decode_messages(requests), acts, host, out, length)
    response = dns.message.from_wire(out[1, : length[1]].tobytes(), one_rr_per_rrset=True)
    assert query.is_response(response)
    return response


def texts(response: dns.message.Message) -> list[str]:
    return [str(r[0]) for r in response.answer]


@pytest.mark.parametrize("name", ["FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "NOTAUTH"])
def test_a_refusal_has_its_code_and_nothing_else(name: str) -> None:
    response = said(Act[name])
    assert dns.rcode.to_text(response.rcode()) == name
    assert not response.answer
    assert not response.authority


def test_lies_and_truths() -> None:
    assert texts(said(Act.LIE)) == ["240.0.0.1"]
    assert texts(said(Act.LIE_BESIDE)) == ["240.0.0.1", "192.0.2.80"]
    assert texts(said(Act.CACHED)) == ["127.1.2.3", "192.0.2.80"]
    assert texts(said(Act.CACHED, "AAAA")) == ["::1"]
    assert texts(said(Act.LIE, "AAAA")) == []
    assert texts(said(Act.LIE, "TXT")) == []
    assert texts(said(Act.EMPTY)) == []
    assert texts(said(Act.ALIAS)) == ["blocked.invalid."]


def test_a_referral_names_the_root_and_nothing_else() -> None:
    response = said(Act.REFERRAL)
    assert [(str(r.name), str(r[0])) for r in response.authority] == [
        (".", "a.root-servers.net."),
        (".", "b.root-servers.net."),
    ]
    assert not response.answer


def test_truncation_is_a_flag() -> None:
    response = said(Act.TRUNCATED)
    assert response.flags & dns.flags.TC
    assert not response.answer


@pytest.mark.parametrize("has", [True, False])
def test_flags_and_edns_are_the_hosts_habit(has: bool) -> None:
    response = said(Act.LIE, traits=Trait.RA | Trait.EDNS if has else 0)
    assert bool(response.flags & dns.flags.RA) == has
    assert (response.edns == 0) == has
    assert said(Act.LIE, edns=False).edns == -1
