"""The zone's facts."""

import pytest

from dnsonde.authority.zone import Zone
from dnsonde.wire.name import parse_name


def test_servers_pair_the_families() -> None:
    zone = Zone("z.example", ("192.0.2.1", "2001:db8::1", "192.0.2.2"), ())
    assert zone.servers == (
        (bytes([192, 0, 2, 1]), bytes.fromhex("20010db8000000000000000000000001")),
        (bytes([192, 0, 2, 2]), b""),
    )
    assert zone.control4 == zone.control6 == b""


def test_there_are_at_most_nine_servers() -> None:
    assert len(Zone("z.example", tuple(f"192.0.2.{n}" for n in range(20)), ()).servers) == 9


@pytest.mark.parametrize(
    ("contact", "mailbox"),
    [
        ("noc@example.net", "noc.example.net"),
        ("mailto:first.last@example.net", r"first\.last.example.net"),
        ("https://example.net/contact", None),
        ("", None),
        ("x" * 64 + "@example.net", None),
        ("noc@", None),
        ("noc@exämple.net", None),
    ],
)
def test_a_contact_becomes_a_mailbox_where_it_is_one(contact: str, mailbox: str | None) -> None:
    """RFC 1035, 8: a dot in the local part is escaped."""
    assert Zone("z.example", (), (), contact=contact).mailbox == (parse_name(mailbox) if mailbox else None)


def test_the_notice_fits_character_strings() -> None:
    zone = Zone("z.example", (), (), description="ä" * 400, contact="noc@example.net")
    assert all(0 < len(s) < 256 for s in zone.notice)
    assert Zone("z.example", (), ()).notice == (b"DNS measurement",)
    assert (
        Zone("z.example", (), (), url="https://a.example/x/y")
        .notice[0]
        .endswith(b"=https://a.example/.well-known/probing.txt")
    )
