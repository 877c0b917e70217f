"""What came back, row by row: the kernels against their twin on damaged replies. tests/probe has what it means."""

import random
import subprocess
import sys
from importlib import util
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from types import ModuleType
from typing import Any

import dns.message
import dns.rrset
import numpy as np
import pytest

from dnsonde.wire._kernels import replied as kernel
from dnsonde.wire.batch import Batch, address_array, address_pair
from dnsonde.wire.codes import Type
from dnsonde.wire.datagram import DATAGRAM
from dnsonde.wire.decode import decode_messages
from dnsonde.wire.encode import encode_probes
from dnsonde.wire.name import ProbeNames, parse_name, run_number
from dnsonde.wire.replied import REPLIED, Outcome, Reader, learn

KEY, RUN = bytes(range(16)), "0123abcv"
NAMES = ProbeNames("z.example")
KNOWN = parse_name("www.example.net")
FIRST = ["192.0.2.0", "198.51.100.7", "2001:db8::10"]
SIZES = [16, 1, 4]
TARGETS = [
    *(f"192.0.2.{k}" for k in range(16)),
    "198.51.100.7",
    *(f"2001:db8::1{k}" for k in range(4)),
]
CONTROL = ["203.0.113.80", "2001:db8:5::80"]


def load_twin(name: str) -> ModuleType:
    spec = util.spec_from_file_location(f"{name}_twin", Path(__file__).parent / "twins" / f"{name}.py")
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    sys.modules[f"{name}_twin"] = module
    spec.loader.exec_module(module)
    return module


twin, names_twin = load_twin("replied"), load_twin("probe")


def reader(known: bytes = b"") -> Reader:
    start = np.cumsum([0, *SIZES])
    control = address_array(CONTROL)
    return Reader(NAMES, KEY, RUN, start, address_array(FIRST), control, qtype=Type.A, known=known)


def query(chance: random.Random, key: bytes = KEY, run: str = RUN) -> bytes:
    out, length = np.zeros((1, 512), np.uint8), np.zeros(1, np.int32)
    target = address_array([chance.choice([*TARGETS, *TARGETS, "192.0.2.200", "2001:db8::99"])])
    kind = chance.choice([0, 0, 0, 1, 2, 3])
    qtype, size = chance.choice([Type.A, Type.A, Type.TXT]), chance.choice([0, 1232])
    encode_probes(NAMES, out, length, target, chance.randrange(1, 4), kind, 3, qtype, key, run, size)
    return out[0, : length[0]].tobytes()


def reply(chance: random.Random, known: bool) -> bytes:
    """A reply as a prober might get it: most are right, some are another's, some are damaged."""
    if chance.random() < 0.04:
        return chance.randbytes(chance.randrange(60))
    wire = query(chance)
    if chance.random() < 0.2:
        wire = chance.choice([query(chance, bytes(16)), query(chance, run="vvvvvvvv"), query(chance)])
    asked = dns.message.from_wire(wire)
    if known:
        host = chance.choice(TARGETS)
        secret = names_twin.tag(KEY, RUN, _address(host), chance.randrange(1, 4), 0)
        name = chance.choice(["www.example.net", "WWW.example.NET", "www.example.org"])
        asked = dns.message.make_query(name, "A", use_edns=chance.choice([-1, 0]))
        asked.id = chance.choice([(secret ^ secret >> 16 ^ secret >> 32) & 0xFFFF, chance.randrange(1 << 16)])
    message = dns.message.make_response(asked, recursion_available=True)
    message.set_rcode(dns.rcode.Rcode.make(chance.choice([0, 0, 0, 1, 2, 3, 4, 5])))
    owner = message.question[0].name
    for _ in range(chance.choice([0, 0, 1, 2, 2, 3, 6])):
        address = chance.choice([*CONTROL, CONTROL[0], "10.0.0.1", "198.51.100.7", "2001:db8::5"])
        kind = "AAAA" if ":" in address else "A"
        message.answer.append(dns.rrset.from_text(owner, chance.randrange(100), "IN", kind, address))
    if chance.random() < 0.2:
        message.authority.append(dns.rrset.from_text(".", 5, "IN", "NS", "a.example.", "b.example."))
    octets = bytearray(message.to_wire())
    if chance.random() < 0.1:
        octets = octets[:2] + b"\x81\x81" + bytes(8)  # a header and no question
    if chance.random() < 0.3:
        octets[chance.randrange(len(octets))] = chance.randrange(256)
    if chance.random() < 0.1:
        octets = octets.swapcase()
    return bytes(octets[: chance.randrange(len(octets))] if chance.random() < 0.05 else octets)


def _address(text: str) -> IPv4Address | IPv6Address:
    return IPv6Address(text) if ":" in text else IPv4Address(text)


def compare(seed: int, count: int) -> set[int]:
    """All rows of some replies, and what they teach; the outcomes that came up."""
    chance = random.Random(seed)
    known = KNOWN if seed % 4 == 3 else b""
    quoted = seed % 4 == 2
    payloads = [query(chance) if quoted else reply(chance, bool(known)) for _ in range(count)]
    if quoted:
        payloads = [p[: chance.choice([len(p), 8, 2, 1, 0])] for p in payloads]
    peers = np.zeros(count, DATAGRAM)
    senders = [address_pair(chance.choice([*TARGETS, "192.0.2.201"])) for _ in payloads]
    for peer, pair in zip(peers, senders, strict=True):
        peer["net"], peer["host"] = pair
    peers["port"], peers["ttl"], peers["full_length"] = 53, 61, 77
    peers["time_us"][1::2] = 5
    batch = Batch.of(payloads)
    rows = reader(known).read(batch, peers, attempts=3, now_us=9, quoted=quoted)
    messages = decode_messages(batch)
    names = NAMES.parse(batch, messages)
    for k, (payload, row) in enumerate(zip(payloads, rows, strict=True)):
        wanted = twin.read(
            payload, as_dict(messages[k]), as_dict(names[k]), senders[k],
            targets=[address_pair(t) for t in TARGETS], control=[address_pair(c) for c in CONTROL],
            tag=lambda *about: names_twin.tag(KEY, RUN, *about), run=run_number(RUN), qtype=int(Type.A),
            attempts=3, known=known, quoted=quoted,
        )  # fmt: skip
        found = as_dict(row)
        assert {name: found[name] for name in wanted} == wanted, payload.hex()
        assert (found["responder"], found["responder_port"], found["ip_ttl"]) == (senders[k], 53, 61)
        assert (found["response_bytes"], found["time_us"]) == (77, 5 if k % 2 else 9)
    if quoted:
        rows["icmp_type"] = [chance.choice([1, 3, 11]) for _ in payloads]
        rows["icmp_code"] = [chance.randrange(14) for _ in payloads]
    compare_lessons(rows)
    return set(rows["outcome"].tolist())


def compare_lessons(rows: np.ndarray[tuple[int], np.dtype[np.void]]) -> None:
    bits = [np.zeros(8, np.uint8) for _ in range(4)]
    fresh = learn(rows, bits[0], bits[1], bits[2], bits[3], 0, 2, last=3)
    wanted: list[set[int]] = [set(), set(), set(), set()]
    for row in map(as_dict, rows):
        if row["index"] >= 0:
            told = (*twin.lesson(row, last=3), (row["kind"], row["attempt"]) == (0, 2))
            for place in (place for place, yes in zip(wanted, told, strict=True) if yes):
                place.add(row["index"])
    found = [set(np.flatnonzero(np.unpackbits(b, bitorder="little")).tolist()) for b in bits]
    assert found == wanted
    assert [fresh.answered, fresh.recursive, fresh.plain, fresh.heard] == list(map(len, wanted))
    assert fresh.outcomes == np.bincount(rows["outcome"], minlength=5).tolist()
    again = learn(rows, bits[0], bits[1], bits[2], bits[3], 0, 2, last=3)
    assert (again.answered, again.recursive, again.plain, again.heard) == (0, 0, 0, 0)


def as_dict(row: np.void) -> dict[str, Any]:
    assert row.dtype.names
    return dict(zip(row.dtype.names, (_plain(row[name]) for name in row.dtype.names), strict=True))


def _plain(value: Any) -> Any:
    if isinstance(value, np.void):
        return tuple(value.tolist())
    return value.tolist()


def test_rows_say_what_the_twin_says() -> None:
    seen: set[int] = set()
    for seed in range(24):
        seen |= compare(seed, 60)
    assert seen == set(Outcome), "each outcome has to come up"


def test_kernels_are_compiled_once() -> None:
    compare(1, 5)
    compare(2, 5)
    compare(3, 5)
    assert len(kernel.read.signatures) == len(kernel.learn.signatures) == 1


def test_rows_that_do_not_fit_are_refused() -> None:
    batch, peers = Batch.of([b"?"]), np.zeros(1, DATAGRAM)
    with pytest.raises(ValueError, match="0 peers"):
        reader().read(batch, peers[:0], attempts=1, now_us=0)
    with pytest.raises(ValueError, match="0 rows"):
        reader().read(batch, peers, attempts=1, now_us=0, out=np.zeros(0, REPLIED))
    rows, bits = np.zeros(1, REPLIED), np.zeros(1, np.uint8)
    rows["index"] = 8
    with pytest.raises(ValueError, match="target 8 for 8 bits"):
        learn(rows, bits, bits, bits, last=1)


def test_no_octet_outside_is_touched(checked: dict[str, str]) -> None:
    """The same comparison with numba's bounds checking on, in a process and a cache of its own."""
    code = (
        "import sys\nfrom importlib.util import module_from_spec, spec_from_file_location\n"
        "spec = spec_from_file_location('case', sys.argv[1])\nmodule = module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\nfor seed in range(16): module.compare(seed, 30)\n"
    )
    subprocess.run([sys.executable, "-c", code, __file__], check=True, env=checked, timeout=300)
