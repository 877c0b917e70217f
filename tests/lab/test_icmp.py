"""ICMP errors reach the socket that asked, from the address that was asked (RFC 792; RFC 1122, 4.1.3.3)."""

import time
from types import SimpleNamespace as Labs
from typing import Any

import pytest

from dnsonde.clock import SystemClock
from dnsonde.lab.icmp import Icmp, checksum
from dnsonde.net.udp import Udp
from dnsonde.wire.batch import MAPPED, address_pair


def allowed() -> bool:
    icmp = Icmp()
    try:
        return icmp.allowed
    finally:
        icmp.close()


@pytest.mark.skipif(not allowed(), reason="needs CAP_NET_RAW")
@pytest.mark.parametrize(("kind", "code"), [("icmp_host", 1), ("icmp_port", 3), ("icmp_admin", 13)])
def test_an_error_names_its_host_and_quotes_the_probe(labs: Labs, kind: str, code: int) -> None:
    scenario = labs.of_one_kind(kind)
    query = bytes([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + b"\1a\7example\0\0\1\0\1"
    with labs.stepped(scenario) as lab, Udp("127.0.0.1", errors=True, batch=8) as udp:
        for row in range(3):
            udp.tx_data[row, : len(query)] = list(query)
            udp.tx["host"][row] = address_pair(lab.host(row))[1]
        udp.tx["port"], udp.tx["length"] = scenario.port, 0
        udp.tx["length"][:3] = len(query)
        assert udp.send(3) == 3
        found: list[tuple[Any, bytes]] = []
        end = time.monotonic() + 5
        while len(found) < 3 and time.monotonic() < end:
            lab.world.step(1000)
            errors, quoted = udp.errors()
            found += [(e.copy(), quoted[k]) for k, e in enumerate(errors)]
    assert sorted(int(e["host"]) for e, _ in found) == [MAPPED | (scenario.first + k) for k in range(3)]
    for error, quoted_octets in found:
        assert (error["type"], error["code"]) == (3, code)
        assert error["offender_host"] == error["host"]
        assert quoted_octets == query


def test_a_lab_may_be_told_to_do_without(labs: Labs) -> None:
    from dnsonde.lab.world import World

    with World(labs.of_one_kind("icmp_port"), icmp=False, clock=SystemClock()) as world:
        assert not world.icmp


def test_the_checksum_is_the_internets() -> None:
    # The example of RFC 1071, 3.
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF ^ 0xDDF2
    assert checksum(b"\1") == 0xFEFF
