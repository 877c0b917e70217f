"""The choice of answers: the kernel against its twin on damaged questions. tests/authority has what it means."""

import random
import subprocess
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import dns.edns
import dns.message
import numpy as np
import pytest

from dnsonde.wire import choose
from dnsonde.wire._arrays import frozen
from dnsonde.wire._kernels import reply_choose as kernel
from dnsonde.wire.batch import Batch, address_pair
from dnsonde.wire.choose import ASKS, EGRESS, FIXED, SHAPE, STATUSES, Tables, choose_replies
from dnsonde.wire.datagram import DATAGRAM
from dnsonde.wire.decode import decode_messages
from dnsonde.wire.message import REPLY_SPEC
from dnsonde.wire.name import ProbeNames, parse_name

ZONE = ProbeNames("z.example")
CLOSED = {7, 4000}


def load_twin() -> ModuleType:
    spec = util.spec_from_file_location("choose_twin", Path(__file__).parent / "twins" / "choose.py")
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    sys.modules["choose_twin"] = module
    spec.loader.exec_module(module)
    return module


twin = load_twin()


def some_tables(seed: int) -> Tables:
    """Tables with no sense in them, so that each entry can be told from the others."""
    chance = np.random.default_rng(seed)
    shapes = np.zeros(40, SHAPE)
    for field in ("rcode", "flags", "first", "per_row", "per_offset", "count", "ede", "rare"):
        shapes[field] = chance.integers(0, 2 if field == "rare" else 16, 40)
    names = [parse_name(name) for name in ("version.bind", "whoami.z.example", "a.b.z.example")]
    starts = np.cumsum([0, *map(len, names)])
    fixed = np.zeros(3, FIXED)
    for row, start, name, qclass in zip(fixed, starts[:3], names, (3, 1, 1), strict=True):
        row["start"], row["octets"], row["qclass"] = start, len(name), qclass
        row["shapes"] = chance.integers(8, 40, ASKS)
    return Tables(
        asks=chance.integers(0, ASKS, 1 << 16).astype(np.uint8),
        keys=chance.integers(6, 40, STATUSES * 4 * ASKS * 2).astype(np.uint8),
        shapes=shapes,
        fixed=fixed,
        wire=np.frombuffer(b"".join(names), np.uint8),
        zone=len(ZONE.wire),
    )


NAMES = [
    f"c000020110123456789ab.{kind}abcdefgh.z.example" for kind in ("", "nx.", "s0100.", "s4096.", "c0.", "c5.")
] + ["z.example", "abcdefgh.z.example", "other.z.example", "ns1.z.example", "WhoAmI.z.example", "A.b.Z.example",
     "version.bind", "VERSION.bind", "elsewhere.example", "."]  # fmt: skip


def question(chance: random.Random) -> bytes:
    """A question: often whole, often a little damaged, at times noise."""
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(40))
    edns = chance.choice([-1, -1, 0, 0, 1])
    options: list[dns.edns.Option] = []
    if edns >= 0 and chance.random() < 0.5:
        length = chance.choice([3, 8, 12, 16, 24, 40, 41])
        options = [dns.edns.GenericOption(dns.edns.OptionType.COOKIE, chance.randbytes(length))]
    if edns >= 0 and chance.random() < 0.3:
        options.append(dns.edns.NSIDOption(chance.randbytes(chance.choice([0, 0, 5]))))
    query = dns.message.make_query(
        chance.choice(NAMES),
        chance.choice(["A", "AAAA", "TXT", "NS", "ANY", "MX"]),
        chance.choice(["IN", "IN", "IN", "CH", "HS"]),
        use_edns=edns,
        payload=chance.choice([0, 512, 1232, 4096, 65535]),
        options=options or None,
    )
    wire = bytearray(query.to_wire())
    if chance.random() < 0.3:
        wire[chance.randrange(2, len(wire))] = chance.choice([0, 1, 2, 0x80, chance.randrange(256)])
    return bytes(wire[: chance.randrange(len(wire))] if chance.random() < 0.05 else wire)


def compare(seed: int, count: int) -> None:
    chance = random.Random(seed)
    tables, tcp = some_tables(seed), seed % 3 == 0
    requests = [question(chance) for _ in range(count)]
    batch = Batch.of(requests)
    messages = decode_messages(batch)
    names = ZONE.parse(batch, messages)
    peers = np.zeros(count, DATAGRAM)
    for peer in peers:
        peer["net"], peer["host"] = address_pair(
            chance.choice(["127.0.0.1", "255.1.2.3", "2001:db8::1", "fe80::ffff:ffff:1:2"])
        )
        peer["port"] = chance.choice([7, 53, 4000, 65535])
    verified = np.array([chance.random() < 0.3 for _ in range(count)])
    closed = np.zeros(1 << 16, np.bool_)
    closed[list(CLOSED)] = True
    egress = np.zeros(count * EGRESS, np.uint8)
    replies, shape, rare = choose_replies(
        batch, messages, names, peers, verified, tables=tables, closed_ports=frozen(closed, np.bool_), tcp=tcp,
        udp_octets=1232, amplification=2.5, cookies=1000, nsid=(70, 9), egress=egress,
    )  # fmt: skip
    for row, request in enumerate(requests):
        expected = twin.reply(
            request, messages[row], names[row], peers[row], tcp=tcp, verified=bool(verified[row]), row=row,
            tables=tables, closed=CLOSED, udp=1232, factor=2.5, cookies=1000, nsid=(70, 9),
        )  # fmt: skip
        fields = {field: int(replies[field][row]) for field in REPLY_SPEC.names or ()}
        assert (int(shape[row]), egress[row * EGRESS : (row + 1) * EGRESS].tobytes(), fields) == expected, (
            request.hex()
        )
    assert rare == int(tables.shapes["rare"][shape].sum())


@pytest.mark.parametrize("seed", range(12))
def test_equals_the_twin(seed: int) -> None:
    compare(seed, 300)


CODE = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
for path in sys.argv[1:]:
    spec = spec_from_file_location("case", path)
    case = module_from_spec(spec)
    spec.loader.exec_module(case)
    for seed in range(6):
        case.compare(seed, 150)
"""


def test_no_octet_outside_is_touched(checked: dict[str, str]) -> None:
    """This kernel and that of the cookies, bounds checking on; a cache of its own, as kept code does not know."""
    cases = [str(Path(__file__).with_name(f"test_{case}.py")) for case in ("choose", "cookie")]
    subprocess.run([sys.executable, "-c", CODE, *cases], check=True, env=checked, timeout=300)


def test_tables_that_point_nowhere_are_refused() -> None:
    good = some_tables(1)
    whole = {name: getattr(good, name) for name in ("asks", "keys", "shapes", "fixed", "wire", "zone")}
    for wrong in (
        {"asks": good.asks[:10]},
        {"asks": np.full(1 << 16, ASKS, np.uint8)},
        {"keys": good.keys[:-1]},
        {"shapes": good.shapes[:20]},
        {"wire": good.wire[:-1]},
    ):
        with pytest.raises(ValueError, match="tables"):
            Tables(**{**whole, **wrong})


def test_lengths_that_differ_are_refused() -> None:
    batch = Batch.of([b""])
    messages = decode_messages(batch)
    with pytest.raises(ValueError, match="for 1 requests"):
        choose_replies(
            batch, messages, ZONE.parse(batch, messages), np.zeros(2, DATAGRAM), np.zeros(1, np.bool_),
            tables=some_tables(1), closed_ports=frozen(np.zeros(1 << 16, np.bool_), np.bool_), tcp=False,
            udp_octets=512, amplification=3.0, cookies=0, nsid=(0, 0), egress=np.zeros(EGRESS, np.uint8),
        )  # fmt: skip


def test_one_signature_each() -> None:
    choose.warm()
    compare(1, 5)
    assert len(kernel.choose.signatures) == 1
