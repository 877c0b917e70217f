"""The closed loop: what the lab's prober learned and what the watch saw of it, on real sockets and a real capture."""

from pathlib import Path

import dpkt
import pytest

from dnsonde import run, take
from dnsonde.clock import SystemClock
from dnsonde.loop import Loop, loop
from dnsonde.page.both import agreement
from dnsonde.table.lake import Lake
from dnsonde.view.open import open_view


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    def ignore(_: object) -> None:
        pass

    folder = tmp_path_factory.mktemp("demo")
    scenario = run.scenario("tiny", None, None)
    return loop(scenario, folder, SystemClock(), on_progress=ignore, on_watch=ignore, say=ignore)


def test_the_watch_names_the_campaign_and_decodes_its_names(seen: Loop) -> None:
    (campaign,) = seen.campaigns
    told = campaign.evidence
    assert (campaign.subject, told["campaign"]) == ("secshow.net", "secshow")
    assert told["template"] == "{n}-{source}-{destination}.h.secshow.net"
    assert told["source_examples"] == ["127.0.0.66"]
    assert told["targets"] == 256
    assert told["answered"] >= told["resolved"] > 0


def test_both_count_the_same_hosts(seen: Loop) -> None:
    both = seen.agreement
    assert both.total("hosts") == 256
    assert both.total("open") == seen.measured.summary.open
    assert both.total("open") == both.total("resolved") + both.total("passed") + both.total("unseen")
    assert both.agreed == 256 - both.total("passed") - both.total("unseen") - both.total("closed_resolved")
    assert both.asked == 256
    by = {row.name: row for row in both.rows}
    # Who asks by himself and replies himself is seen by both; for whom another replies the border sees no answer.
    for name in ("recursive_resolver", "recursive_forwarder"):
        assert by[name].open == by[name].resolved > 0
    for name in ("transparent_forwarder", "multihomed"):
        assert by[name].resolved == 0 < by[name].open
    # A liar looks open to whoever only watches.
    assert by["manipulated"].closed_resolved > 0


def test_the_capture_holds_what_crossed_the_border_and_nothing_left_the_machine(seen: Loop) -> None:
    with seen.capture.open("rb") as file:
        packets = [dpkt.ip.IP(octets) for _, octets in dpkt.pcap.Reader(file)]
    assert len(packets) == seen.packets
    assert {p.src[0] for p in packets} | {p.dst[0] for p in packets} == {127}
    lab = bytes([127, 2, 0])
    assert all(lab in {p.src[:3], p.dst[:3]} for p in packets)
    asked = [p for p in packets if p.src == bytes([127, 0, 0, 66])]
    assert len({p.dst for p in asked}) == seen.measured.probes == 256
    (account,) = Lake(seen.lake).accounts()
    assert (account["parsed"], account["messages"]) == (len(packets), len(packets))


def test_the_report_opens_with_both_views(seen: Loop) -> None:
    page = seen.report.read_text()
    first = page.index("<h2")
    assert page.index("Both views side by side", first) < page.index("In short", first)
    for text in (
        "What the prober learned",
        "How we saw it come",
        "Do the two agree?",
        "secshow.net",
        "127.0.0.66",
    ):
        assert text in page
    assert f"agree on {seen.agreement.agreed} of 256" in page


def test_a_lake_of_other_traffic_says_nothing_of_the_run(seen: Loop, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", create=True)
    both = agreement(open_view(seen.measured.folder), open_view(lake.folder))
    assert (both.asked, both.answered, both.total("resolved")) == (0, 0, 0)
    assert both.total("unseen") == both.total("open")


def test_dns_on_another_port_is_read_when_it_is_named(seen: Loop, tmp_path: Path) -> None:
    taken = take.ingest([str(seen.capture)], tmp_path / "lake", SystemClock(), lambda _: None)
    assert taken.accounts[0]["messages"] == 0
