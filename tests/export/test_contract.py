"""What every export is, and how a setting, a view and a file are handled."""

import inspect
import io
import math
from ipaddress import ip_network
from types import FunctionType

import pytest

from dnsonde.cli.export import FORMATS
from dnsonde.clock import LAST_US, rfc3339
from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.extra import library
from dnsonde.settings import parameters
from dnsonde.view.nature import NATURES, UNKNOWN, nature
from dnsonde.view.view import View, network
from dnsonde.write import form_of, forms, takes_view
from tests.export.views import OWNER

VIEWS = {
    "blocklist", "ddos-fingerprint", "ecs", "flowspec", "intelmq", "misp", "ocsf", "rpz", "shadowserver", "stix",
    "xarf",
}  # fmt: skip


def test_every_format_that_was_promised_is_there() -> None:
    known = forms()
    assert {name for name, form in known.items() if takes_view(form)} >= VIEWS
    assert {"csv", "jsonl", "parquet", "table"} <= set(known)
    assert sorted(FORMATS) == sorted(known)
    assert all(form_of(name) is form for name, form in known.items())


@pytest.mark.parametrize("form", forms().values(), ids=forms().keys())
def test_an_export_says_what_it_takes_and_what_it_is(form: FunctionType) -> None:
    first, second, *settings = inspect.signature(form).parameters.values()
    assert (first.name, second.name) in {("rows", "out"), ("view", "out")}
    assert inspect.getdoc(form)
    assert all(one.kind is one.KEYWORD_ONLY and one.default is not one.empty for one in settings)
    for one in parameters(form):
        assert one.meaning
        assert isinstance(one.default, one.type)


@pytest.mark.parametrize(("name", "kind", "setting", "value"), [
    ("stix", "run", "hosts_max", -1),
    ("misp", "run", "hosts_max", 10**30),
    ("xarf", "run", "sources_max", -1),
    ("flowspec", "lake", "rate", -1),
    ("blocklist", "lake", "confidence", math.nan),
    ("blocklist", "lake", "confidence", 1.1),
])  # fmt: skip
def test_settings_out_of_bounds_are_refused_with_a_sentence(
    name: str, kind: str, setting: str, value: float, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(
        UsageError, match=f"{setting} is a number from 0 to .*, not {value}".replace("+", r"\+")
    ):
        form_of(name)(request.getfixturevalue(kind), io.BytesIO(), **{setting: value})


def test_times_beyond_any_calendar_do_no_harm() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert rfc3339(-1) == rfc3339(0)
    assert rfc3339(2**63 - 1) == rfc3339(LAST_US) == "9999-12-31T23:59:59.999999Z"


def test_owners_are_those_that_are_known(lake: View) -> None:
    owners = lake.owners(["203.0.113.66", "203.0.113.67", "2001:db8::1"])
    assert {address: owner.abuse for address, owner in owners.items()} == {"203.0.113.66": OWNER["abuse"]}


def test_home_holds_what_lies_in_it(lake: View) -> None:
    assert lake.is_home(ip_network("192.0.2.66"))
    assert not lake.is_home(ip_network("192.0.0.0/16"))
    assert not lake.is_home(ip_network("2001:db8::1"))
    assert network("no address") is None


def test_of_a_detector_that_is_not_listed_nothing_is_claimed() -> None:
    assert nature("of tomorrow") is UNKNOWN
    assert UNKNOWN.role == "other"
    assert all(one.report is None for one in NATURES.values() if one.role in {"campaign", "other"})


def test_a_library_that_is_missing_is_named() -> None:
    with pytest.raises(SystemRefusal, match="library no_such_library, which is not installed"):
        library("no_such_library", "x")
