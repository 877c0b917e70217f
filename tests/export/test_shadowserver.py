import csv
import io
from collections.abc import Callable

import pytest

from dnsonde.errors import UsageError
from dnsonde.export.shadowserver import shadowserver
from dnsonde.view.view import View

# https://www.shadowserver.org/what-we-do/network-reporting/dns-open-resolvers-report/
HEADER = (
    '"timestamp","severity","ip","protocol","port","hostname","tag","dns_version","asn","geo","region","city",'
    '"min_amplification","naics","hostname_source","sector"'
)
Written = Callable[..., bytes]


def rows(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


def test_the_header_is_theirs(run: View, written: Written) -> None:
    assert written(shadowserver, run).decode().splitlines()[0] == HEADER


def test_a_row_is_an_open_host_as_they_would_tell_it(run: View, written: Written) -> None:
    found = {row["ip"]: row for row in rows(written(shadowserver, run))}
    assert set(found) == {"192.0.2.1", "192.0.2.2", "2001:db8::5"}
    assert found["192.0.2.1"] == dict.fromkeys(found["192.0.2.1"], "") | {
        "timestamp": "2023-11-14 22:13:20", "severity": "medium", "ip": "192.0.2.1", "protocol": "udp", "port": "53",
        "tag": "openresolver", "asn": "64500", "geo": "AT", "min_amplification": "4.6190",
    }  # fmt: skip
    assert found["192.0.2.2"]["tag"] == "openresolver;bogusresolver"
    assert found["2001:db8::5"]["min_amplification"] == "0.0000"


def test_a_lake_has_no_hosts_to_tell_of(lake: View, written: Written) -> None:
    with pytest.raises(UsageError, match="give a run"):
        written(shadowserver, lake)
