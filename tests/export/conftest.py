"""A run and a lake to export, and how to write and read them."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from dnsonde.view.view import View
from tests.export.views import (
    HOSTILE,
    OWNER,
    SECOND,
    START,
    VICTIM,
    Row,
    amplified,
    attack,
    finding,
    flow,
    host,
    make_view,
    message,
)


@pytest.fixture
def run() -> View:
    """A run: two resolvers, one of them with lies, one that answers nobody, one silent."""
    return make_view(
        "run",
        hosts=[
            host("192.0.2.1", egress="192.0.2.1", responder="192.0.2.1"),
            host("192.0.2.2", "manipulated", amplification=1.0, first_seen_us=None),
            host("192.0.2.3", "refused", open=False, rcode=5),
            host("192.0.2.4", "silent", open=False, rcode=None, first_seen_us=None),
            host("2001:db8::5", "recursive_forwarder", egress="198.51.100.9", amplification=None),
        ],
        owners={"192.0.2.1": OWNER},
        contact="mailto:noc@example.net",
    )


SCANNED = {"protocol": "tcp", "scanned_ports": [22, 23]}


@pytest.fixture
def lake() -> View:
    """A lake: every kind of finding, one attack with its traffic, and campaigns with hostile names."""
    return make_view(
        findings=[
            attack(),
            finding("probing_campaign", "secshow.net", "domain", evidence={"intent": "covert", "campaign": "secshow"}),
            finding("probing_campaign", "openresolverproject.org", "domain", evidence={"intent": "research"}),
            finding("random_subdomain", "victim.example", "domain", evidence={"names": 9}),
            finding("adjacent_spoofing", "192.0.2.0/24", "prefix", evidence={"targets": 3, "examples": ["192.0.2.7"]}),
            finding("open_resolver", "192.0.2.1", "address", evidence={"clients": 3}),
            finding("mirai_scan", "203.0.113.66", "address", severity="high", evidence={"probes": 4711}),
            finding("mirai_scan", "192.0.2.66", "address", severity="high"),
            finding("service_scan", "2001:db8:f::1", "address", evidence=SCANNED),
            finding("telnet_bruteforce", "203.0.113.67", "address"),
            finding("not_known_yet", "203.0.113.68", "address"),
            *(finding("dns_tunnel", name, "domain", evidence={"examples": [name]}) for name in HOSTILE),
        ],
        flows=[
            *amplified(),
            flow("203.0.113.67", "192.0.2.5", dst_port=23, protocol=6, src_port=51515),
        ],
        messages=[message("198.51.100.1", VICTIM, HOSTILE[0], time_us=START + SECOND)],
        owners={"203.0.113.66": OWNER, "198.51.100.1": OWNER},
        contact="noc@example.net",
    )  # fmt: skip


@pytest.fixture
def written() -> Callable[..., bytes]:
    """Write a view in a format, and check that nothing in it steers a terminal or a reader."""

    def write(form: Callable[..., None], view: View, **settings: Any) -> bytes:
        out = io.BytesIO()
        form(view, out, **settings)
        text = out.getvalue()
        assert text.isascii()
        assert not set(text) & {*range(9), *range(11, 32), 127}
        return text

    return write


@pytest.fixture
def documents(written: Callable[..., bytes]) -> Callable[..., list[Row]]:
    """Write a view in a format of JSON lines, and read it back."""

    def read(form: Callable[..., None], view: View, **settings: Any) -> list[Row]:
        return [json.loads(line) for line in written(form, view, **settings).splitlines()]

    return read
