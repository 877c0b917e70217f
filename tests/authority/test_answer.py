"""What the authority says, asked over loopback with dnspython."""

import socket
from dataclasses import replace
from pathlib import Path

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import dns.update
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.authority.answer import Policy, filler
from dnsonde.wire.name import Kind
from tests.authority.conftest import PATIENCE_S, RUN, ZONE, Client, probe_name, served

CONTROL4, CONTROL6 = ZONE.control


def answers(response: dns.message.Message) -> list[str]:
    return [rdata.to_text() for rrset in response.answer for rdata in rrset]


def is_negative(response: dns.message.Message) -> bool:
    """No answer, and the SOA of the zone in the authority section (RFC 2308, 2)."""
    (rrset,) = response.authority
    return (
        not response.answer and rrset.rdtype == dns.rdatatype.SOA and rrset.name.to_text() == f"{ZONE.name}."
    )


@pytest.mark.parametrize("tcp", [False, True])
def test_a_probe_name_has_the_asker_and_the_control(client: Client, tcp: bool) -> None:
    assert answers(client.ask(probe_name(), tcp=tcp)) == ["127.0.0.1", CONTROL4]
    assert answers(client.ask(probe_name(), "AAAA", at="::1", tcp=tcp)) == ["::1", CONTROL6]


def test_the_other_family_has_the_control_only(client: Client) -> None:
    assert answers(client.ask(probe_name(), "AAAA")) == [CONTROL6]
    assert answers(client.ask(probe_name(), "A", at="::1")) == [CONTROL4]


@pytest.mark.parametrize(
    ("at", "asker", "qtype", "records"),
    [
        ("127.0.0.1", "127.0.0.1", "A", 1),
        ("127.0.0.1", "127.0.0.2", "A", 2),
        ("127.0.0.1", "127.0.0.1", "AAAA", 1),
        ("::1", "::1", "AAAA", 1),
    ],
)
def test_who_asks_from_the_control_address_is_told_it_once(
    tmp_path: Path, at: str, asker: str, qtype: str, records: int
) -> None:
    """RFC 2181, 5: no two records of a set are the same. By the octets, as dnspython takes the same for one."""
    family = socket.AF_INET6 if ":" in at else socket.AF_INET
    own = replace(ZONE, control=("127.0.0.1", "::1"))
    with served(tmp_path, zone=own) as client, socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE_S)
        sock.bind((asker, 0))
        sock.sendto(dns.message.make_query(probe_name(), qtype).to_wire(), (at, client.port))
        response = sock.recv(512)
    assert int.from_bytes(response[6:8]) == records
    assert len(answers(dns.message.from_wire(response))) == records


def test_an_ipv6_target_fits(client: Client) -> None:
    assert answers(client.ask(probe_name(target="2001:db8::1"))) == ["127.0.0.1", CONTROL4]


def test_the_answer_is_authoritative_and_offers_no_recursion(client: Client) -> None:
    response = client.ask(probe_name())
    assert response.flags & dns.flags.AA
    assert response.flags & dns.flags.RD, "RD comes back as it was"
    assert not response.flags & (dns.flags.RA | dns.flags.AD | dns.flags.TC)
    assert {rrset.ttl for rrset in response.answer} == {ZONE.ttl_s}


def test_the_case_of_the_question_comes_back(client: Client) -> None:
    mixed = "".join(c.upper() if k % 3 else c for k, c in enumerate(probe_name()))
    query = dns.message.make_query(mixed, "A")
    response = client.send(query)
    assert response.question[0].name.to_text() == f"{mixed}."
    assert answers(response) == ["127.0.0.1", CONTROL4]


def test_txt_tells_what_was_seen(client: Client) -> None:
    query = dns.message.make_query(
        probe_name(), "TXT", use_edns=0, payload=1400, options=[dns.edns.ECSOption("192.0.2.0", 24)]
    )
    told = client.send(query).answer[0][0].strings
    assert told[0] == b"egress=127.0.0.1"
    assert {
        b"transport=udp",
        b"id=%d" % query.id,
        b"rd=1",
        b"edns=1400",
        b"do=0",
        b"ecs=192.0.2.0/24",
    } <= set(told)
    assert b"transport=tcp" in client.ask(f"whoami.{ZONE.name}", "TXT", tcp=True).answer[0][0].strings
    assert b"egress=0:0:0:0:0:0:0:1" in client.ask(probe_name(), "TXT", at="::1").answer[0][0].strings


@pytest.mark.parametrize("steps", [1, 9, 10, 15])
def test_a_chain_goes_down_step_by_step(client: Client, steps: int) -> None:
    name, seen = probe_name(Kind.CHAIN, steps), 0
    while (found := client.ask(name).answer[0]).rdtype == dns.rdatatype.CNAME:
        name, seen = found[0].target.to_text(), seen + 1
    assert seen == steps
    assert [r.to_text() for r in found] == ["127.0.0.1", CONTROL4]
    assert name == f"{probe_name(Kind.CHAIN, 0)}."


def test_a_chain_keeps_the_case_of_what_was_asked(client: Client) -> None:
    asked = probe_name(Kind.CHAIN, 10, target="2001:db8::1").upper()
    (target,) = answers(client.ask(asked))
    assert target.lower() == f"{probe_name(Kind.CHAIN, 9, target='2001:db8::1')}."


@pytest.mark.parametrize("qtype", ["A", "AAAA", "TXT", "NS", "ANY", "MX"])
def test_the_nx_branch_does_not_exist(client: Client, qtype: str) -> None:
    response = client.ask(probe_name(Kind.NXDOMAIN), qtype)
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert is_negative(response)
    assert response.flags & dns.flags.AA


@pytest.mark.parametrize("size", [200, 512, 1232, 4096, 9999])
@pytest.mark.parametrize("edns", [-1, 0])
def test_a_txt_makes_the_message_as_large_as_asked(client: Client, size: int, edns: int) -> None:
    response = client.ask(probe_name(Kind.SIZE, size), "TXT", tcp=True, use_edns=edns)
    assert len(response.to_wire(max_size=65535)) == size
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"8 octets")
    response = client.ask(probe_name(Kind.SIZE, size), "TXT", tcp=True, use_edns=0, options=[cookie])
    assert len(response.to_wire(max_size=65535)) == size


def test_a_txt_too_small_to_be_is_as_small_as_can_be(client: Client) -> None:
    assert answers(client.ask(probe_name(Kind.SIZE, 0), "TXT")) == ['""']


@given(st.integers(1, 9999))
def test_filler_is_txt_rdata_of_that_size(octets: int) -> None:
    rdata, at = filler(octets).tobytes(), 0
    while at < len(rdata):
        at += 1 + rdata[at]
    assert at == len(rdata) == octets


@pytest.mark.parametrize("name", [RUN, f"nx.{RUN}", f"s0512.{RUN}", f"c3.{RUN}"])
@pytest.mark.parametrize("qtype", ["A", "NS", "TXT"])
def test_an_empty_non_terminal_is_nodata(client: Client, name: str, qtype: str) -> None:
    """RFC 8020 and RFC 9156: a minimising resolver must not hear that there is nothing below."""
    response = client.ask(f"{name}.{ZONE.name}", qtype)
    assert response.rcode() == dns.rcode.NOERROR
    assert is_negative(response)


@pytest.mark.parametrize("name", ["unknown", f"x.{RUN}", f"zz.nx.{RUN}", "a.whoami", "www.ns1"])
def test_other_names_do_not_exist(client: Client, name: str) -> None:
    response = client.ask(f"{name}.{ZONE.name}")
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert is_negative(response)


@pytest.mark.parametrize("qtype", ["NS", "MX", "SOA", "DS", "TYPE65280"])
def test_a_type_that_is_not_there_is_nodata(client: Client, qtype: str) -> None:
    response = client.ask(probe_name(), qtype)
    assert response.rcode() == dns.rcode.NOERROR
    assert is_negative(response)


def test_the_soa_of_a_negative_answer_lasts_as_long_as_it_says(client: Client) -> None:
    """RFC 2308, 3 and 5: the lesser of the SOA's TTL and its MINIMUM."""
    (soa,) = client.ask(probe_name(Kind.NXDOMAIN)).authority
    assert soa.ttl == min(ZONE.ttl_s, ZONE.negative_ttl_s) == soa[0].minimum
    assert soa[0].mname.to_text() == f"ns1.{ZONE.name}."
    assert soa[0].rname.to_text() == "noc.example.net."


def test_the_apex(client: Client) -> None:
    assert client.ask(ZONE.name, "SOA").answer[0][0].serial == ZONE.serial
    response = client.ask(ZONE.name, "NS")
    assert answers(response) == [f"ns1.{ZONE.name}."]
    glue = {(r.name.to_text(), rdata.to_text()) for r in response.additional for rdata in r}
    assert glue == {(f"ns1.{ZONE.name}.", "127.0.0.1"), (f"ns1.{ZONE.name}.", "::1")}
    assert answers(client.ask(f"NS1.{ZONE.name}", "AAAA")) == ["::1"]
    assert is_negative(client.ask(ZONE.name, "A"))


@pytest.mark.parametrize("name", [ZONE.name, f"probing.{ZONE.name}"])
def test_who_measures_can_be_found_out(client: Client, name: str) -> None:
    """RFC 9511 in spirit: whoever wonders about our queries finds a contact by asking for it."""
    told = client.ask(name, "TXT", tcp=True).answer[0][0].strings
    assert told == (
        b"Open-resolver survey",
        b"contact=noc@example.net",
        b"probing=https://probing.example.net/.well-known/probing.txt",
    )


@pytest.mark.parametrize("name", ["www.example.com", ".", "net", "xprobe.example.net", "example.net"])
def test_outside_the_zone_is_refused(client: Client, name: str) -> None:
    response = client.ask(name)
    assert response.rcode() == dns.rcode.REFUSED
    assert not response.flags & dns.flags.AA
    assert [*response.answer, *response.authority, *response.additional] == []


@pytest.mark.parametrize("qtype", ["AXFR", "IXFR", "TSIG", "MAILB"])
@pytest.mark.parametrize("tcp", [False, True])
def test_transfers_and_meta_types_are_refused(client: Client, qtype: str, tcp: bool) -> None:
    query = dns.message.make_query(ZONE.name, "A")
    query.question[0].rdtype = dns.rdatatype.from_text(qtype)
    wire = query.to_wire()
    assert wire[-4:-2] == query.question[0].rdtype.to_bytes(2, "big")
    response = client.send(query, tcp=tcp)
    assert response.rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("name", [ZONE.name, probe_name(), f"ns1.{ZONE.name}"])
def test_any_is_answered_with_one_small_record(client: Client, name: str) -> None:
    """RFC 8482, 4.2."""
    assert answers(client.ask(name, "ANY")) == ['"RFC8482" ""']


@pytest.mark.parametrize(
    "name", ["version.bind", "VERSION.BIND", "version.server", "hostname.bind", "id.server"]
)
def test_chaos_names_are_answered(client: Client, name: str) -> None:
    (told,) = answers(client.ask(name, "TXT", rdclass="CH"))
    assert told.startswith('"dnsonde ')


@pytest.mark.parametrize(
    ("name", "rdclass"),
    [("other.bind", "CH"), (probe_name(), "CH"), (probe_name(), "ANY"), (probe_name(), "HS")],
)
def test_other_classes_are_refused(client: Client, name: str, rdclass: str) -> None:
    assert client.ask(name, "TXT", rdclass=rdclass).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("opcode", [dns.opcode.STATUS, dns.opcode.NOTIFY, 3, 15])
def test_other_opcodes_are_not_implemented(client: Client, opcode: int) -> None:
    wire = bytearray(dns.message.make_query(probe_name(), "A").to_wire())
    wire[2] |= opcode << 3
    got = client.raw(bytes(wire))
    assert got is not None
    assert got[:2] == wire[:2]
    assert got[2] & 0xF8 == 0x80 | opcode << 3
    assert got[3] & 15 == dns.rcode.NOTIMP


def test_update_is_not_implemented(client: Client) -> None:
    update = dns.update.UpdateMessage(ZONE.name)
    update.add("x", 10, "A", "192.0.2.1")
    assert client.send(update).rcode() == dns.rcode.NOTIMP


def test_edns_is_answered_with_edns(client: Client) -> None:
    """RFC 6891, 6.1.1 and 7; DO is copied (RFC 3225, 3)."""
    response = client.ask(probe_name(), use_edns=0, want_dnssec=True)
    assert (response.edns, response.payload) == (0, Policy().udp_octets)
    assert response.ednsflags & dns.flags.DO
    assert client.ask(probe_name(), use_edns=-1).edns == -1


def test_a_later_edns_version_is_badvers(client: Client) -> None:
    """RFC 6891, 6.1.3: the highest version we know comes back."""
    response = client.ask(probe_name(), use_edns=7)
    assert response.rcode() == dns.rcode.BADVERS
    assert response.edns == 0
    assert not response.answer


QUERY = dns.message.make_query(probe_name(), "A", id=0x1234).to_wire()


@pytest.mark.parametrize(
    "damaged",
    [
        QUERY[:-1],
        QUERY + b"\0",
        QUERY[:12],
        QUERY[:12] + b"\xc0\x0c\0\1\0\1",
        QUERY[:12] + b"\x40abc\0\0\1\0\1",
        QUERY[:4] + b"\0\2" + QUERY[6:] + QUERY[12:],
        QUERY[:4] + b"\0\0" + QUERY[6:12],
        QUERY[:10] + b"\0\2" + QUERY[12:] + 2 * b"\0\0\x29\4\xd0\0\0\0\0\0\0",
        QUERY[:10] + b"\0\1" + QUERY[12:] + b"\0\0\x29\4\xd0\0\0\0\0\0\7\0\x0a\0\3abc",
    ],
    ids=[
        "cut",
        "trailing",
        "header",
        "pointer",
        "label",
        "questions",
        "no-question",
        "two-opt",
        "odd-cookie",
    ],
)
def test_what_cannot_be_read_is_formerr(client: Client, damaged: bytes) -> None:
    got = client.raw(damaged)
    assert got is not None
    assert got[:2] == QUERY[:2]
    assert got[2] & 0x80
    assert got[3] & 15 == dns.rcode.FORMERR
    assert len(got) <= 3 * len(damaged)
    dns.message.from_wire(got)


@pytest.mark.parametrize("length", range(12))
def test_less_than_a_header_gets_nothing(client: Client, length: int) -> None:
    assert client.raw(QUERY[:length]) is None


def test_a_response_gets_nothing(client: Client) -> None:
    """Two servers that answer each other's answers never stop."""
    assert client.raw(QUERY[:2] + b"\x81" + QUERY[3:]) is None
    assert client.raw(QUERY[:2] + b"\xff" + QUERY[3:13]) is None


def cookie(response: dns.message.Message) -> bytes:
    (option,) = (option for option in response.options if option.otype == dns.edns.OptionType.COOKIE)
    return bytes(option.to_wire())


def ask_with(client: Client, data: bytes, name: str, qtype: str = "TXT") -> dns.message.Message:
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, data)
    response: dns.message.Message = client.ask(name, qtype, use_edns=0, options=[option])
    return response


def test_a_cookie_lifts_the_bound_on_amplification(client: Client) -> None:
    """RFC 7873, 5.2: answered without, and fully answered with, the server cookie that came back."""
    name = probe_name(Kind.SIZE, 1000)
    first = ask_with(client, b"my own 8", name)
    assert first.flags & dns.flags.TC
    whole = cookie(first)
    assert len(whole) == 24
    assert whole[:8] == b"my own 8"
    second = ask_with(client, whole, name)
    assert len(second.to_wire()) == 1000
    assert b"cookie=verified" in ask_with(client, whole, probe_name()).answer[0][0].strings


def test_a_cookie_is_for_one_asker(client: Client) -> None:
    name = probe_name(Kind.SIZE, 1000)
    whole = cookie(ask_with(client, b"my own 8", name))
    for wrong in (b"my own 9" + whole[8:], whole[:-1] + bytes([whole[-1] ^ 1]), whole + b"x", whole[:20]):
        again = ask_with(client, wrong, name)
        assert again.flags & dns.flags.TC
        assert cookie(again)[:8] == wrong[:8], "a stale cookie is replaced"
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, whole)
    assert client.ask(name, "TXT", at="::1", use_edns=0, options=[option]).flags & dns.flags.TC


def test_a_cookie_can_be_fetched_without_a_question(client: Client) -> None:
    """RFC 7873, 5.4."""
    got = client.raw(b"\x12\x34" + bytes(8) + b"\0\1\0\0\x29\4\xd0\0\0\0\0\0\x0c\0\x0a\0\x08my own 8")
    assert got is not None
    response = dns.message.from_wire(got)
    assert response.rcode() == dns.rcode.NOERROR
    assert len(cookie(response)) == 24


NSID: dns.edns.Option = dns.edns.NSIDOption(b"")


def errors(response: dns.message.Message) -> list[int]:
    """The extended errors' codes; none may have a text."""
    found = [option for option in response.options if option.otype == dns.edns.OptionType.EDE]
    assert all(option.text is None for option in found)
    return [int(option.code) for option in found]


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("name", [probe_name(), probe_name(Kind.NXDOMAIN), "www.example.com", ZONE.name])
def test_who_asks_for_nsid_gets_it(client: Client, name: str, tcp: bool) -> None:
    """RFC 5001, 2.2: who does not ask must not get it."""
    response = client.ask(name, use_edns=0, options=[NSID], tcp=tcp)
    assert dns.edns.NSIDOption(ZONE.nsid.encode()) in response.options
    response = client.ask(name, use_edns=0, tcp=tcp)
    assert dns.edns.OptionType.NSID not in {option.otype for option in response.options}
    assert client.ask(name, tcp=tcp).edns == -1


def test_a_zone_without_nsid_tells_none(tmp_path: Path) -> None:
    with served(tmp_path, zone=replace(ZONE, nsid="")) as client:
        response = client.ask(probe_name(), use_edns=0, options=[NSID])
    assert (response.options, answers(response)) == ((), ["127.0.0.1", CONTROL4])


@pytest.mark.parametrize(
    ("name", "qtype", "rdclass", "codes"),
    [
        ("www.example.com", "A", "IN", [20]),
        ("www.example.com", "AXFR", "IN", [20]),
        ("example.net", "ANY", "IN", [20]),
        (probe_name(), "TXT", "HS", [20]),
        ("other.bind", "TXT", "CH", [20]),
        ("version.bind", "A", "CH", [21]),
        (ZONE.name, "AXFR", "IN", [21]),
        (probe_name(), "IXFR", "IN", [21]),
        (f"ns1.{ZONE.name}", "MAILB", "IN", [21]),
        (ZONE.name, "ANY", "IN", [21]),
        (probe_name(), "ANY", "IN", [21]),
        (probe_name(), "A", "IN", []),
        (f"x.{ZONE.name}", "A", "IN", []),
        ("version.bind", "TXT", "CH", []),
    ],
)
def test_an_extended_error_says_why(
    client: Client, name: str, qtype: str, rdclass: str, codes: list[int]
) -> None:
    """RFC 8914, 4.21 and 4.22; only for those who speak EDNS."""
    for edns in (0, -1):
        query = dns.message.make_query(name, "A", rdclass, use_edns=edns)
        query.question[0].rdtype = dns.rdatatype.from_text(qtype)
        response = client.send(query)
        assert errors(response) == (codes if edns == 0 else [])
        assert not response.flags & dns.flags.TC


def test_extended_errors_of_codes(client: Client) -> None:
    update = dns.update.UpdateMessage(ZONE.name)
    update.use_edns(0)
    response = client.send(update)
    assert (response.rcode(), errors(response)) == (dns.rcode.NOTIMP, [21])
    response = client.ask("www.example.com", use_edns=7)
    assert (response.rcode(), errors(response)) == (dns.rcode.BADVERS, [])


def test_nsid_counts_towards_the_size_that_was_asked_for(client: Client) -> None:
    for step in (100, 1000):
        query = dns.message.make_query(probe_name(Kind.SIZE, step), "TXT", use_edns=0, options=[NSID])
        response = client.send(query, tcp=True)
        assert (len(response.to_wire()), response.options) == (
            max(step, 98), (dns.edns.NSIDOption(ZONE.nsid.encode()),) if step == 1000 else (),
        )  # fmt: skip


@pytest.mark.parametrize("factor", [1.5, 1.8, 3.0])
def test_what_the_factor_leaves_no_room_for_is_left_out(tmp_path: Path, factor: float) -> None:
    """The records stay while the longest NSID goes; with a server cookie of ours all of it is there."""
    zone = replace(ZONE, nsid="n" * 64)
    with served(tmp_path, Policy(amplification=factor, per_second=None), zone) as client:
        for name, qtype in ((probe_name(), "A"), (".", "A"), (ZONE.name, "ANY"), (ZONE.name, "MAILB")):
            for cookie_octets in (b"", b"my own 8"):
                options: list[dns.edns.Option] = [NSID]
                if cookie_octets:
                    options.append(dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie_octets))
                query = dns.message.make_query(name, "A", use_edns=0, options=options)
                query.question[0].rdtype = dns.rdatatype.from_text(qtype)
                wire = query.to_wire()
                got = client.raw(wire)
                assert got is not None
                assert len(got) <= factor * len(wire)
                response = dns.message.from_wire(got)
                told = {option.otype for option in response.options}
                fits = len(got) + 4 + 64 <= factor * len(wire)
                assert dns.edns.OptionType.NSID in told or not fits
            options[1] = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie(response))
            query.use_edns(0, options=options)
            whole = client.send(query)
            assert dns.edns.NSIDOption(b"n" * 64) in whole.options
            assert len(errors(whole)) == (qtype != "A" or name == ".")


def test_nobody_unproven_gets_more_than_the_factor(client: Client) -> None:
    names = [
        ZONE.name,
        probe_name(),
        f"x.{ZONE.name}",
        f"ns1.{ZONE.name}",
        f"probing.{ZONE.name}",
        "version.bind",
        "www.example.com",
    ]
    names += [probe_name(kind, 15 if kind == Kind.CHAIN else 4096) for kind in Kind]
    for name in names:
        for qtype in ("A", "AAAA", "TXT", "NS", "SOA", "ANY", "MX"):
            for edns, options in ((-1, None), (0, None), (0, [NSID])):
                rdclass = "CH" if name == "version.bind" else "IN"
                query = dns.message.make_query(
                    name, qtype, rdclass, use_edns=edns, payload=4096, options=options
                )
                got = client.raw(query.to_wire())
                assert got is not None
                assert len(got) <= Policy().amplification * len(query.to_wire()), (name, qtype)


def test_over_the_factor_tcp_gives_the_rest(client: Client) -> None:
    name = probe_name(Kind.SIZE, 4096)
    query = dns.message.make_query(name, "TXT")
    response, by_tcp = dns.query.udp_with_fallback(query, "127.0.0.1", port=client.port, timeout=PATIENCE_S)
    assert by_tcp
    assert len(response.to_wire(max_size=65535)) == 4096


def test_no_address_is_anybody_elses(client: Client) -> None:
    """The product's promise: the asker's address, or our own; SecShow's random ones polluted passive DNS."""
    ours = {"127.0.0.1", "::1", *ZONE.control}
    labels = ["", "ns1.", "ns2.", "www.", "probing.", "whoami.", "any.", f"{RUN}."]
    names = [label + ZONE.name for label in labels]
    names += [probe_name(kind, 3) for kind in Kind] + [probe_name(target="198.51.100.99")]
    for name in names:
        for qtype in ("A", "AAAA", "NS", "TXT", "ANY"):
            for at in ("127.0.0.1", "::1"):
                response = client.ask(name, qtype, at=at, tcp=True)
                rrsets = [*response.answer, *response.authority, *response.additional]
                found = {
                    r.address for s in rrsets for r in s if s.rdtype in {dns.rdatatype.A, dns.rdatatype.AAAA}
                }
                assert found <= ours


def test_a_policy_that_cannot_be_kept_is_refused() -> None:
    with pytest.raises(ValueError, match="amplification"):
        Policy(amplification=1.0)
    with pytest.raises(ValueError, match="udp_octets"):
        Policy(udp_octets=100)


def test_a_cached_filler_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        filler(10)[:] = np.uint8(0)
