"""What a caching resolver remembers, and for how long."""

import dns.message
import dns.name
import dns.rcode
import dns.rrset
import numpy as np

from dnsonde.lab.cache import LIFE_US, OCTETS_MAX, Cache
from dnsonde.wire.name import parse_name

NAME = "www.example.net."


def row(wire: bytes, width: int = 1400) -> np.ndarray:
    rows = np.full((1, width), 0xA5, np.uint8)
    rows[0, : len(wire)] = np.frombuffer(wire, np.uint8)
    return rows


def end() -> np.ndarray:
    return np.array([12 + len(parse_name(NAME)) + 4])


def who(number: int) -> np.ndarray:
    return np.array([number], np.uint32)


def query(name: str = NAME, rtype: str = "A") -> np.ndarray:
    return row(dns.message.make_query(dns.name.from_text(name), rtype).to_wire(), 320)


def answer(rcode: int = 0, records: int = 1, flags: int = 0) -> bytes:
    made = dns.message.make_response(dns.message.make_query(NAME, "A", use_edns=0))
    made.set_rcode(dns.rcode.Rcode.make(rcode))
    made.flags |= flags
    made.answer.append(dns.rrset.from_text(NAME, 10, "IN", "A", *[f"192.0.2.{k}" for k in range(records)]))
    return made.to_wire(max_size=4096)


def keep(cache: Cache, wire: bytes, now_us: int = 0) -> None:
    cache.keep(who(1), query(), end(), row(wire), np.array([len(wire)], np.int32), now_us)


def test_it_answers_whoever_asks_the_same_in_any_case() -> None:
    cache = Cache()
    keep(cache, answer())
    for name in (NAME, NAME.upper()):
        hit, answers, length = cache.find(who(1), query(name), end(), 0)
        assert hit.tolist() == [0]
        known = dns.message.from_wire(answers[0, : length[0]].tobytes())
        assert [str(r) for r in known.answer[0]] == ["192.0.2.0"]


def test_another_resolver_name_or_type_is_not_known() -> None:
    cache = Cache()
    keep(cache, answer())
    assert len(cache.find(who(2), query(), end(), 0)[0]) == 0
    assert len(cache.find(who(1), query("wwx.example.net."), end(), 0)[0]) == 0
    assert len(cache.find(who(1), query(rtype="AAAA"), end(), 0)[0]) == 0


def test_ttls_grow_old_and_end() -> None:
    cache = Cache()
    keep(cache, answer(records=3), now_us=5_000_000)
    _, answers, length = cache.find(who(1), query(), end(), 8_900_000)
    aged = dns.message.from_wire(answers[0, : length[0]].tobytes())
    assert aged.answer[0].ttl == 7
    assert len(aged.answer[0]) == 3
    assert aged.edns == 0
    again = cache.find(who(1), query(), end(), 8_900_000)[1]
    assert (again == answers).all(), "what is kept does not age by being asked"
    assert len(cache.find(who(1), query(), end(), 5_000_000 + LIFE_US)[0]) == 0


def test_errors_and_truncated_or_large_answers_are_not_kept() -> None:
    for wire in (answer(rcode=2), answer(flags=dns.flags.TC), answer(records=40)):
        cache = Cache()
        keep(cache, wire)
        assert len(cache.find(who(1), query(), end(), 0)[0]) == 0
    assert len(answer(records=40)) > OCTETS_MAX
    cache = Cache()
    keep(cache, answer(rcode=3))
    assert len(cache.find(who(1), query(), end(), 0)[0]) == 1
