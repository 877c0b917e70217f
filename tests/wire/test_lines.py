"""Addresses and prefixes one a line: the kernel against its twin, which is the standard library."""

import random
import runpy
import subprocess
import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dnsonde.wire import lines
from dnsonde.wire._kernels import lines as kernel
from dnsonde.wire.codes import LineStatus

twin = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "twins" / "lines.py")))

SAMPLES = """192.0.2.1|192.0.2.0/24|0.0.0.0/0|255.255.255.255/32|192.0.2.1/24|192.0.2.1/33|192.0.2|192.0.2.1.1
192.0.2.256|192.0.02.1|192.0.2.1/|192.0.2.1/024|/24|1.2.3.4 5.6.7.8|::|::/0|::1|1::|2001:db8::/32|2001:db8::1/32
1:2:3:4:5:6:7:8|1:2:3:4:5:6:7|1:2:3:4:5:6:7:8:9|1::2::3|:::|:1:2:3:4:5:6:7|1:2:3:4:5:6:7:|1:2:3:4:5:6:7::
::2:3:4:5:6:7:8|::1:2:3:4:5:6:7:8|12345::|::ffff:192.0.2.1|1:2:3:4:5:6:192.0.2.1|1:2:3:4:5:6:7:192.0.2.1
::192.0.2|1::192.0.2.1:1|fe80::1%lo|FFFF:abcd:EF01::/48|::/129|2001:db8:0:0:8000::/65|2001:db8:0:0:8000::/64|g::""".replace(
    "\n", "|"
).split("|")


def check(data: bytes) -> None:
    rows = lines.parse_lines(data)
    expected = [twin.read(line) for line in data.split(b"\n")]
    if data.endswith(b"\n") or not data:
        expected.pop()
    assert len(rows) == len(expected)
    for row, (status, value, bits), line in zip(rows, expected, data.split(b"\n"), strict=False):
        assert row["status"] == status, line
        if status in {LineStatus.FINE, LineStatus.HOST_BITS}:
            found = (int(row["net"]) % 2**64) << 64 | int(row["host"]) % 2**64
            assert (found, row["bits"]) == (value, bits), line


@pytest.mark.parametrize("sample", SAMPLES)
def test_samples_equal_the_twin(sample: str) -> None:
    check(sample.encode())


def test_blanks_comments_and_line_ends() -> None:
    data = b"\n  192.0.2.1\t# mine\r\n# none\n\r\n\t2001:db8::/32\r\n#"
    check(data)
    assert lines.parse_lines(data)["status"].tolist() == [0, 1, 0, 0, 1, 0]


addresses = st.one_of(
    st.integers(0, 2**32 - 1).map(lambda n: str(IPv4Address(n))),
    st.integers(0, 2**128 - 1).map(lambda n: str(IPv6Address(n))),
    st.integers(0, 2**128 - 1).map(lambda n: IPv6Address(n).exploded),
    # Few groups that are not zero: `::` at every place.
    st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF]), min_size=8, max_size=8).map(
        lambda g: str(IPv6Address(sum(v << 16 * k for k, v in enumerate(g))))
    ),
)
entries = st.one_of(addresses, st.tuples(addresses, st.integers(0, 140)).map(lambda t: f"{t[0]}/{t[1]}"))


@given(st.lists(entries, max_size=10))
def test_what_is_well_written_equals_the_twin(texts: list[str]) -> None:
    check("\n".join(texts).encode())


@given(st.text("0123456789abcdefABF:./# \n\r\t-%g", max_size=60))
@example("")
@example("\n")
def test_what_is_badly_written_equals_the_twin(text: str) -> None:
    check(text.encode())


@given(st.binary(max_size=100))
def test_any_octets_equal_the_twin(data: bytes) -> None:
    check(data)


def mutate(count: int) -> None:
    """Damage samples: flip, cut, double and swap octets."""
    rng = random.Random(4291)
    for _ in range(count):
        data = bytearray(" ".join(rng.sample(SAMPLES, 1)).encode())
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data) + 1)
            choice = rng.randrange(3)
            if choice == 0:
                data.insert(at, rng.choice(b"0123456789abf:./#"))
            elif data and choice == 1:
                del data[at % len(data)]
            elif data:
                data[at % len(data)] = rng.choice(b"0123456789abf:./")
        check(bytes(data))


def test_mutated_samples_equal_the_twin() -> None:
    mutate(3000)


def test_no_index_leaves_its_array(tmp_path: Path, checked: dict[str, str]) -> None:
    """The same mutations, compiled with bounds checks."""
    code = f"import runpy; runpy.run_path({__file__!r})['mutate'](3000)"
    subprocess.run([sys.executable, "-c", code], check=True, env=checked, cwd=tmp_path, timeout=300)


def test_one_signature() -> None:
    lines.warm()
    lines.parse_lines(np.frombuffer(b"192.0.2.1\n", np.uint8)[:4])
    assert len(kernel.parse_lines.signatures) == 1
