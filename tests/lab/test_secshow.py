"""The lab's prober with SecShow's names: names that the detector's list knows, loopback alone, and nothing else."""

import re
from pathlib import Path

import numpy as np
import pytest

from dnsonde.clock import VirtualClock
from dnsonde.errors import LabError, PlanError
from dnsonde.intel.load import campaigns
from dnsonde.lab.secshow import KEY, PROBER, RUN, SecShowNames, secshow
from dnsonde.probe.plan import read_plan
from dnsonde.wire.batch import Batch, address_array
from dnsonde.wire.codes import Type
from dnsonde.wire.decode import decode_messages
from dnsonde.wire.encode import encode_probes, probe_text
from dnsonde.wire.message import MESSAGE
from dnsonde.wire.name import NameStatus, run_number

NAMES = SecShowNames()
PLAN = """
[scope]
prefixes = ["{prefix}"]
port = 5300
{more}
[zone]
name = "h.secshow.net"
authority = "127.0.0.53"
[probe]
attempts = {attempts}
characterise = false
"""


def parsed(*names: bytes) -> np.ndarray:
    header = b"\0\1\1\0\0\1" + bytes(6)
    batch = Batch.of(
        [header + b"".join(bytes([len(p)]) + p for p in name.split(b".")) + b"\0\0\1\0\1" for name in names]
    )
    return NAMES.parse(batch, decode_messages(batch, np.zeros(len(names), MESSAGE)))


def test_its_names_are_those_that_were_seen() -> None:
    (known,) = [c for c in campaigns() if c.name == "secshow"]
    text = probe_text(NAMES, address_array(["127.1.0.9"]), 1, 0, 0, KEY, RUN)[0][0].as_py()
    assert text == "1-127-0-0-66-127-1-0-9.h.secshow.net"
    assert any(re.search(pattern, text) for pattern in known.names_like)
    assert PROBER in text.replace("-", ".")


def test_what_is_sent_is_read_back() -> None:
    targets = address_array(["127.1.0.9", "127.255.254.253"])
    out, length = np.zeros((2, 512), np.uint8), np.zeros(2, np.int32)
    encode_probes(NAMES, out, length, targets, 1, 0, 0, Type.A, KEY, RUN, 1232)
    batch = Batch.rows(out, length)
    messages = decode_messages(batch)
    rows = NAMES.parse(batch, messages)
    assert (messages["edns_size"] == 1232).all()
    assert (rows["status"] == NameStatus.PROBE).all()
    assert (rows["target"] == targets).all()
    assert NAMES.verify(rows, KEY, RUN).all()
    assert (rows["run"] == run_number(RUN)).all()


def test_other_names_are_none_of_its_own() -> None:
    rows = parsed(
        b"1-127-0-0-66-127-1-0-9.H.SecShow.net", b"h.secshow.net", b"secshow.net", b"xh.secshow.net",
        b"1-127-0-0-66-127-1-0-256.h.secshow.net", b"1-127-0-0-66-127-1-0.h.secshow.net",
        b"a.1-127-0-0-66-127-1-0-9.h.secshow.net", b"\xff\0.h.secshow.net",
    )  # fmt: skip
    assert [NameStatus(s).name for s in rows["status"]] == [
        "PROBE", "APEX", "FOREIGN", "FOREIGN", "UNKNOWN", "UNKNOWN", "UNKNOWN", "UNKNOWN",
    ]  # fmt: skip
    assert rows["mixed_case"].tolist()[:2] == [True, False]


def test_there_is_no_name_for_ipv6() -> None:
    with pytest.raises(ValueError, match="IPv4 only"):
        NAMES.spelt(address_array(["2001:db8::1"]))


@pytest.mark.parametrize(
    ("prefix", "attempts", "more", "why"),
    [
        ("192.0.2.0/24", 1, "", PlanError),
        ("10.0.0.0/24", 1, "private = true", LabError),
        ("127.1.0.0/24", 2, "", LabError),
    ],
)
def test_it_asks_nobody_but_the_lab(
    prefix: str, attempts: int, more: str, why: type[Exception], tmp_path: Path
) -> None:
    identity = '[identity]\ncontact = "a@example.net"\ndescription = "x"\n'
    text = identity + PLAN.format(prefix=prefix, attempts=attempts, more=more)
    authority = "127.0.0.53" if prefix.startswith("127") else "10.0.0.53"
    plan = read_plan(text.replace("127.0.0.53", authority), tmp_path, "plan")
    with pytest.raises(why):
        secshow(plan, tmp_path / "run", VirtualClock())
    assert not (tmp_path / "run").exists()


def test_its_socket_is_bound_to_the_loopback_device(tmp_path: Path) -> None:
    plan = read_plan(PLAN.format(prefix="127.1.0.0/24", attempts=1, more=""), tmp_path, "plan")
    prober = secshow(plan, tmp_path / "run", VirtualClock())
    assert prober._device == "lo"
