"""Names that carry the probed address or the time: SecShow, others, unknown ones; and look-alikes."""

from dnsonde.detect.probing_campaign import probing_campaign
from dnsonde.intel.load import campaigns
from tests.detect.rows import NXDOMAIN, REFUSED, START, TXT, Row, found, query, response

PROBER = "203.0.113.9"
RESOLVER = "192.0.2.53"
SEEN_S = START // 1_000_000


def probes(count: int, name: str = "{dashed}-{n}.probe.example", *, source: str = PROBER) -> list[Row]:
    asked = []
    for n in range(count):
        target = f"192.0.2.{n + 10}"
        parts = {"n": n, "dashed": target.replace(".", "-"), "hex": f"c00002{n + 10:02x}", "s": SEEN_S + n}
        asked.append(query(source, target, name.format(**parts), time_s=n))
    return asked


def test_an_unknown_campaign_embeds_the_addresses_it_asks() -> None:
    asked = probes(5)
    answers = [response(asked[0], "198.18.7.7"), response(asked[1], rcode=REFUSED)]
    (row,) = found(probing_campaign, asked + answers)
    assert (row["subject"], row["subject_kind"]) == ("probe.example", "domain")
    assert (row["severity"], row["confidence"], row["count"]) == ("medium", 0.5, 5)
    assert (row["first_seen"], row["last_seen"]) == (START, START + 4_000_000)
    evidence = row["evidence"]
    assert evidence["campaign"] == "unknown"
    assert evidence["template"] == "{destination}-{n}.probe.example"
    assert (evidence["targets"], evidence["answered"], evidence["resolved"]) == (5, 2, 1)
    assert (evidence["refused"], evidence["names"], evidence["forged_neighbours"]) == (1, 5, 0)
    assert evidence["target_examples"] == [f"192.0.2.{n}" for n in range(10, 15)]
    assert evidence["answer_examples"] == ["198.18.7.7"]
    assert evidence["source_examples"] == [PROBER]


def test_one_target_fewer_is_no_campaign() -> None:
    assert found(probing_campaign, probes(4)) == []
    assert len(found(probing_campaign, probes(4), targets_min=4)) == 1


def test_without_an_answer_the_prober_only_looked_for_a_way_in() -> None:
    (row,) = found(probing_campaign, probes(8, "{hex}.x.probe.example"))
    assert row["severity"] == "low"
    assert row["evidence"]["template"] == "{destination}.x.probe.example"


def test_forged_neighbours_are_told() -> None:
    asked = [
        query(f"192.0.2.{n}", f"192.0.2.{n + 1}", f"192-0-2-{n}.p.probe.example", time_s=n)
        for n in range(4, 64, 4)
    ]
    (row,) = found(probing_campaign, asked)
    assert row["evidence"]["forged_neighbours"] == len(asked)
    assert row["evidence"]["sources"] == 0


def test_a_known_campaign_needs_one_message_wherever_it_is_seen() -> None:
    known = {name: campaign for campaign in campaigns() for name in campaign.examples}
    for source, destination in ((PROBER, "192.0.2.7"), (RESOLVER, "203.0.113.53")):
        rows = found(probing_campaign, [query(source, destination, name) for name in known])
        assert len(rows) == len({".".join(name.split(".")[-2:]) for name in known})
        for row in rows:
            (campaign,) = {c.name: c for name, c in known.items() if name.endswith(row["subject"])}.values()
            assert row["evidence"]["campaign"] == campaign.name
            assert row["severity"] == ("low" if campaign.intent == "covert" else "info")
            assert row["confidence"] == 0.99


def test_secshow_with_both_addresses_in_the_name() -> None:
    asked = query("192.0.2.8", "192.0.2.9", "1-192-0-2-8-192-0-2-9.h.secshow.net")
    (row,) = found(probing_campaign, [asked, response(asked, "93.184.216.34", ttl_min=86400)])
    assert row["subject"] == "secshow.net"
    assert row["severity"] == "medium"
    assert row["evidence"]["template"] == "{n}-{source}-{destination}.h.secshow.net"
    assert row["evidence"]["forged_neighbours"] == 1


def test_a_fixed_name_counts_when_outsiders_ask_us_for_it() -> None:
    (row,) = found(probing_campaign, [query(PROBER, "192.0.2.7", "www.cybergreen.net")])
    assert row["evidence"]["campaign"] == "cybergreen"
    at_home = [
        query("192.0.2.7", RESOLVER, "www.cybergreen.net"),
        query("192.0.2.7", RESOLVER, "secshow.net"),
    ]
    assert found(probing_campaign, at_home) == []


def test_names_with_the_time_alone_need_more_targets_and_are_never_asked_twice() -> None:
    name = "{s}.t.probe.example"
    assert found(probing_campaign, probes(9, name)) == []
    (row,) = found(probing_campaign, probes(10, name))
    assert (row["confidence"], row["evidence"]["time_written"]) == (0.5, "epoch_s")
    same_name = [
        query(PROBER, f"192.0.2.{n}", f"{SEEN_S}.cache.example.com", time_s=n) for n in range(10, 40)
    ]
    assert found(probing_campaign, same_name) == []
    old = [{**m, "time_us": m["time_us"] + 90 * 86_400_000_000} for m in probes(20, name)]
    assert found(probing_campaign, old) == []


def test_our_resolvers_relay_what_was_asked_of_many_home_addresses() -> None:
    asked = [query(RESOLVER, "203.0.113.53", f"c00002{n:02x}.r1.probe.example", time_s=n) for n in range(6)]
    (row,) = found(probing_campaign, asked + [response(m, "198.18.0.9") for m in asked])
    assert (row["severity"], row["evidence"]["targets"], row["evidence"]["relays"]) == ("low", 0, 1)
    assert row["evidence"]["relay_examples"] == [RESOLVER]


def test_lookups_of_blocklists_and_reverse_names_are_none() -> None:
    listed = [query("192.0.2.25", RESOLVER, f"{n}.2.0.192.zen.spamhaus.org") for n in range(60)]
    straight = [query(RESOLVER, "203.0.113.53", f"{n}.2.0.192.zen.spamhaus.org") for n in range(60)]
    reverse = [query(PROBER, f"192.0.2.{n}", f"{n}.2.0.192.in-addr.arpa", qtype=12) for n in range(60)]
    assert (
        found(probing_campaign, listed + straight + [response(m, "127.0.0.2") for m in listed] + reverse)
        == []
    )


def test_names_of_hosts_that_embed_their_address_are_none() -> None:
    lines = [query("203.0.113.25", RESOLVER, f"ip-192-0-2-{n}.dyn.isp.example", time_s=n) for n in range(60)]
    assert found(probing_campaign, lines + [response(m, "192.0.2.1", aa=True) for m in lines]) == []
    own = [query(f"192.0.2.{n}", RESOLVER, f"ip-192-0-2-{n}.compute.internal.example") for n in range(60, 99)]
    answers = [response(m, f"192.0.2.{n}") for n, m in enumerate(own, 60)]
    assert found(probing_campaign, own + answers) == []
    cdn = [query(RESOLVER, "203.0.113.53", f"a23-45-67-{n}.deploy.akamaitechnologies.com") for n in range(60)]
    assert found(probing_campaign, cdn + [response(m, "23.45.67.8") for m in cdn]) == []


def test_telemetry_and_antivirus_names_are_none() -> None:
    beacons = [
        query("192.0.2.7", RESOLVER, f"{SEEN_S * 1000 + n}.rum.example.com", time_s=n) for n in range(60)
    ]
    hashes = [
        query("192.0.2.8", RESOLVER, f"4z9p5tjmcbnblehp4557z1d136.0-{n:08x}.avqs.mcafee.com", qtype=TXT)
        for n in range(60)
    ]
    assert found(probing_campaign, beacons + hashes + [response(m, rcode=NXDOMAIN) for m in beacons]) == []
