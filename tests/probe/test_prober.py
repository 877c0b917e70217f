"""The prober against hosts on loopback: who is asked, how often, what is kept, and what survives."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.message
import numpy as np
import pytest

from dnsonde.clock import SystemClock
from dnsonde.errors import RunError, SystemRefusal
from dnsonde.net.udp import Udp
from dnsonde.probe import prober, state
from dnsonde.probe.forecast import check
from dnsonde.probe.plan import read_plan
from dnsonde.probe.prober import ProbeProgress, Prober
from dnsonde.wire.batch import address_pair
from dnsonde.wire.name import RUN_DIGITS
from tests.probe.running import asked, made, refused, run, table

CONTROL = "192.0.2.80"


def test_every_target_is_asked_once_and_every_reply_kept(
    respond: Any, make_plan: Any, tmp_path: Path
) -> None:
    responder = respond(refused)
    seen: list[ProbeProgress] = []
    done = Prober(make_plan(responder.port), tmp_path / "run", device="lo", clock=SystemClock()).run(
        seen.append
    )
    assert (done.complete, done.sent, done.answered, done.replies) == (True, 256, 256, 256)
    assert (done.forged, done.malformed, done.mismatched, done.errors, done.dropped) == (0, 0, 0, 0, 0)
    assert done.time_left_s == 0
    probes, replies = table(tmp_path / "run", "probe"), table(tmp_path / "run", "reply")
    assert set(asked(probes)) == {(f"127.9.0.{k}", "sweep", 1) for k in range(256)}
    assert set(asked(probes).values()) == set(asked(replies).values()) == {1}
    assert {r["qname"].split(".")[0] for r in probes} == set(responder.asked)
    assert {(r["errno"], r["qtype"]) for r in probes} == {(0, 1)}
    assert all(len(query) == probes[0]["query_bytes"] for query in responder.queries)
    tags = {r["qname"][9:21]: r["tag"] for r in probes}
    assert all(int(text, 16) == tag for text, tag in tags.items())


def test_the_time_left_shrinks_while_nothing_but_waiting_is_left(
    respond: Any, make_plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prober, "REPORT_US", 20_000)
    responder = respond(lambda *_: [])
    seen: list[ProbeProgress] = []
    Prober(make_plan(responder.port, attempts=2), tmp_path / "run", device="lo", clock=SystemClock()).run(
        seen.append
    )
    for attempt in (1, 2):
        waiting = [p.time_left_s for p in seen if p.kind == "sweep" and p.attempt == attempt and p.share == 1]
        assert len(waiting) > 2
        assert all(left is not None for left in waiting)
        assert waiting == sorted(waiting, key=lambda left: -(left or 0))
    assert seen[-1].time_left_s == 0


def test_a_slow_pace_is_told_as_it_is_from_the_first_probe(
    respond: Any, make_plan: Any, tmp_path: Path
) -> None:
    responder = respond(refused)
    seen: list[ProbeProgress] = []
    slow = Prober(
        make_plan(responder.port, "127.9.0.0/27", pace="total_pps = 2"),
        tmp_path / "run",
        device="lo",
        clock=SystemClock(),
    )

    def told(now: ProbeProgress) -> None:
        seen.append(now)
        if now.sent == 3:
            slow.stop()

    slow.run(told)
    sending = [p for p in seen if p.sent]
    assert sending
    assert all(p.share == p.sent / 32 for p in sending)
    assert all(1 < p.rate <= 2 for p in sending)
    assert all(p.time_left_s >= (32 - p.sent) / 2 for p in sending)


def test_complete_run_sends_nothing_more(respond: Any, make_plan: Any, tmp_path: Path) -> None:
    responder = respond(refused)
    plan = make_plan(responder.port)
    first = run(plan, tmp_path / "run")
    again = run(plan, tmp_path / "run")
    assert (again.complete, again.sent, again.answered) == (True, first.sent, first.answered)
    assert set(responder.asked.values()) == {1}


def test_only_the_unanswered_are_asked_again(respond: Any, make_plan: Any, tmp_path: Path) -> None:
    def odd(query: bytes, last: int) -> list[bytes]:
        if last % 4 == 1:
            return [query[:2] + b"\x81\x82" + query[4:]]  # SERVFAIL is no answer to be content with
        return refused(query, last) if last % 2 else []

    responder = respond(odd)
    done = run(make_plan(responder.port, attempts=3), tmp_path / "run")
    assert (done.complete, done.sent, done.answered) == (True, 64 + 192 * 3, 64)
    for target, count in responder.targets().items():
        assert count == (1 if int(target, 16) % 4 == 3 else 3)
    assert asked(table(tmp_path / "run", "probe")).keys() >= {("127.9.0.0", "sweep", k) for k in (1, 2, 3)}


def test_who_does_not_know_edns_is_asked_without(respond: Any, make_plan: Any, tmp_path: Path) -> None:
    def old(query: bytes, last: int) -> list[bytes]:
        with_edns = query[11] == 1
        return (
            [made(query, rcode=1)]
            if with_edns and last < 128
            else [made(query, CONTROL)]
            if last < 200
            else []
        )

    responder = respond(old)
    done = run(make_plan(responder.port, attempts=2, timeout_s=1.0), tmp_path / "run")
    assert done.recursive == 200
    sizes = {r["attempt"]: r["query_bytes"] for r in table(tmp_path / "run", "probe")}
    assert sizes[2] == sizes[1] - 11
    plain = [q for q in responder.queries if q[11] == 0]
    assert len(plain) == 256 - 72, "what was not answered at all is asked without EDNS at last, too"


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_complaint_about_edns_that_comes_late_is_no_verdict(
    respond: Any, make_plan: Any, tmp_path: Path, lost: int
) -> None:
    """Whose first or second complaint is lost is asked without EDNS all the same, in every round (RFC 6891, 6.2.2)."""
    came: Counter[int] = Counter()

    def old(query: bytes, last: int) -> list[bytes]:
        came[last] += 1
        if came[last] <= lost:
            return []
        return [made(query, rcode=1)] if query[11] == 1 else [made(query, CONTROL)]

    responder = respond(old)
    done = run(make_plan(responder.port, attempts=3, timeout_s=1.0, characterise=True), tmp_path / "run")
    assert (done.complete, done.recursive) == (True, 256)
    attempts = {r["attempt"] for r in table(tmp_path / "run", "probe") if r["kind"] == "sweep"}
    assert attempts == ({1, 2, 3} if lost else {1, 2})
    # Who never complained is asked for large answers with it.
    assert len([q for q in responder.queries if q[11] == 1]) == 256 * (lost + 1 if lost < 2 else 2 + 3)


@pytest.mark.parametrize(("edns_size", "offered"), [(0, {None}), (512, {512, 4096})])
def test_a_plan_without_edns_sends_none_in_any_round(
    edns_size: int, offered: set[int | None], respond: Any, make_plan: Any, tmp_path: Path
) -> None:
    responder = respond(lambda query, _last: [made(query, CONTROL)])
    plan = make_plan(responder.port, "127.9.0.0/30", characterise=True, edns_size=edns_size)
    assert run(plan, tmp_path / "run").sent == 16
    asked_with = [dns.message.from_wire(query) for query in responder.queries]
    assert {query.payload if query.edns == 0 else None for query in asked_with} == offered
    assert max(map(len, responder.queries)) + 28 == check(plan, SystemClock()).packet_bytes


def test_only_hosts_that_gave_the_right_answer_are_characterised(
    respond: Any, make_plan: Any, tmp_path: Path
) -> None:
    def some(query: bytes, last: int) -> list[bytes]:
        return [made(query, CONTROL, "127.9.0.1")] if last < 10 else [made(query, "10.0.0.1")]

    responder = respond(some)
    done = run(make_plan(responder.port, characterise=True, timeout_s=1.0), tmp_path / "run")
    assert (done.complete, done.recursive, done.sent) == (True, 10, 256 + 30)
    rows = Counter((r["kind"], r["qtype"]) for r in table(tmp_path / "run", "probe"))
    assert rows == {("sweep", 1): 256, ("nxdomain", 1): 10, ("size", 16): 10, ("chain", 1): 10}
    second = Counter(q[34 + 1 : 34 + 1 + q[34]] for q in responder.queries)
    assert (second[b"nx"], second[b"s4000"], second[b"c3"]) == (10, 10, 10)


def test_rounds_that_do_not_wait_for_each_other_keep_to_the_limit_under_way_together(
    respond: Any, make_plan: Any, tmp_path: Path
) -> None:
    limit, timeout_s = 16, 0.5

    def sweep_alone(query: bytes, _last: int) -> list[bytes]:
        return [made(query, CONTROL)] if query[34] == RUN_DIGITS else []

    responder = respond(sweep_alone)
    pace = f"total_pps = 2000\nunder_way = {limit}"
    plan = make_plan(
        responder.port, "127.9.0.0/27", pace=pace, characterise=True, attempts=1, timeout_s=timeout_s
    )
    assert run(plan, tmp_path / "run").recursive == 32
    times_us = sorted(r["time_us"] for r in table(tmp_path / "run", "probe") if r["kind"] != "sweep")
    assert len(times_us) == 3 * 32
    close = [later - before for before, later in zip(times_us, times_us[limit:], strict=False)]
    assert min(close) >= timeout_s * 0.9e6, "one more than the limit goes only when the first is over"


def test_duplicate_and_late_replies_are_kept(respond: Any, make_plan: Any, tmp_path: Path) -> None:
    held: list[bytes] = []

    def twice(query: bytes, last: int) -> list[bytes]:
        if last == 7 and not held:
            held.append(query)  # answered only with the second attempt
            return []
        return refused(query, last) * 2 + [r for q in held for r in refused(q, 7)] * (last == 7)

    responder = respond(twice)
    done = run(make_plan(responder.port, attempts=2), tmp_path / "run")
    assert done.replies == 2 * 256 + 1
    late = [r for r in table(tmp_path / "run", "reply") if r["target_host"] & 0xFF == 7]
    assert sorted(r["attempt"] for r in late) == [1, 2, 2]


def test_flood_of_forgeries_and_garbage_is_counted_not_believed(
    respond: Any, make_plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prober, "STRAY_ROWS", 100)
    garbage = np.random.default_rng(1).integers(0, 256, 11, np.uint8).tobytes()
    foreign = made(dns.message.make_query("www.example.com", "A").to_wire(), "10.6.6.6")

    def flood(query: bytes, last: int) -> list[bytes]:
        forged = bytearray(refused(query, last)[0])
        forged[22] = ord("0") if forged[22] != ord("0") else ord("1")  # a digit of the tag
        return (
            [bytes(forged)] * 5 + [garbage] * 5 + [foreign] * 5 + (refused(query, last) if last % 2 else [])
        )

    responder = respond(flood)
    done = run(make_plan(responder.port, timeout_s=3.0), tmp_path / "run")
    assert (done.forged, done.malformed, done.mismatched) == (1280, 1280, 1280)
    assert (done.complete, done.sent, done.answered, done.replies) == (True, 256, 128, 128)
    rows = Counter(r["outcome"] for r in table(tmp_path / "run", "reply"))
    assert rows == {"answered": 128, "forged": 100, "malformed": 100, "mismatched": 100}


def test_one_reply_repeated_without_end_does_not_fill_the_disk(
    respond: Any, make_plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prober, "REPEATS", 2)
    monkeypatch.setattr(prober, "BATCH", 1)
    responder = respond(lambda query, last: refused(query, last) * 100)
    done = run(make_plan(responder.port, "127.9.0.0/28", timeout_s=1.0), tmp_path / "run", batch=8)
    assert (done.replies, done.answered) == (1600, 16)
    assert len(table(tmp_path / "run", "reply")) < 200


def test_stopped_run_says_so_and_continues_without_asking_twice(
    respond: Any, make_plan: Any, tmp_path: Path
) -> None:
    responder = respond(refused)
    plan = make_plan(responder.port, pace="total_pps = 2000", timeout_s=0.3)
    first = Prober(plan, tmp_path / "run", device="lo", clock=SystemClock())
    asked_to: list[ProbeProgress] = []

    def stop(now: ProbeProgress) -> None:
        if now.sent and not asked_to:  # a second time would not wait for replies
            asked_to.append(now)
            first.stop()

    stopped = first.run(stop)
    found = state.load(tmp_path / "run")
    assert found is not None
    assert not stopped.complete
    assert not found.complete
    assert len(table(tmp_path / "run", "probe")) == stopped.sent
    done = run(plan, tmp_path / "run")
    assert (done.complete, done.sent, done.answered) == (True, 256, 256)
    assert set(responder.asked.values()) == {1}
    assert len(responder.asked) == 256


def test_replies_and_probes_have_rows_only_once_the_authority_has_its_own(
    respond: Any, make_plan: Any, tmp_path: Path
) -> None:
    responder = respond(refused)
    plan = make_plan(responder.port, timeout_s=0.3)
    folder = tmp_path / "run"

    def fail() -> None:
        assert not table(folder, "reply")
        assert not table(folder, "probe")
        raise SystemRefusal("the authority's disk is full")

    with pytest.raises(SystemRefusal, match="authority's disk"):
        Prober(plan, folder, device="lo", clock=SystemClock()).run(keep=fail)
    assert not len(table(folder, "probe"))
    kept: list[int] = []
    done = Prober(plan, folder, device="lo", clock=SystemClock()).run(
        keep=lambda: kept.append(len(table(folder, "probe")))
    )
    assert kept[0] == 0
    assert done.complete
    assert set(responder.asked.values()) == {2}, "none was done with before"


KILLED = """
import sys
from pathlib import Path
from dnsonde.probe.plan import load_plan
from dnsonde.clock import SystemClock
from dnsonde.probe.prober import Prober
plan, folder = load_plan(Path(sys.argv[1])), Path(sys.argv[2])
Prober(plan, folder, clock=SystemClock(), device="lo", checkpoint_rows=200, batch=64).run()
"""


@contextmanager
def killed(plan: Path, folder: Path) -> Iterator[None]:
    """A process at work on a run while inside, and killed in the middle of it."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(plan), str(folder)])
    try:
        yield
        assert process.poll() is None, "it ended before it was killed"
    finally:
        process.kill()
        process.wait()


def test_killed_run_continues_and_no_target_is_lost_or_asked_twice_beyond_a_batch(
    respond: Any, plan_text: Any, tmp_path: Path
) -> None:
    responder = respond(lambda query, last: refused(query, last) if last % 3 else [])
    file, folder = tmp_path / "plan.toml", tmp_path / "run"
    pps, timeout_s, targets = 2500, 0.2, 2048
    text = plan_text(
        responder.port, "127.9.0.0/21", pace=f"total_pps = {pps}", timeout_s=timeout_s, attempts=2
    )
    file.write_text(text)
    at_risk = int(pps * timeout_s) + 4 * 200 + 2 * 64  # in the air, and in parts not written
    kills = (300, 1300, 2500)
    for kill in kills:
        with killed(file, folder):
            responder.wait_until_asked(kill)
        settled = {r["qname"].split(".")[0] for r in table(folder, "probe")}
        before = {label: responder.asked[label] for label in settled}
    subprocess.run([sys.executable, "-c", KILLED, str(file), str(folder)], check=True, timeout=60)
    found = state.load(folder)
    assert found is not None
    assert found.complete
    probes, replies = asked(table(folder, "probe")), asked(table(folder, "reply"))
    silent = sum(1 for k in range(targets) if k % 256 % 3 == 0)
    assert len([p for p in probes if p[2] == 1]) == targets, "no target is lost"
    assert len([p for p in probes if p[2] == 2]) == silent, "and only the silent ones got a second attempt"
    assert set(probes.values()) == {1}, "a probe has one row"
    assert len(replies) == targets - silent, "no reply is lost"
    assert set(replies.values()) == {1}, "and none is there of a probe that was asked again: it may differ"
    assert {label: responder.asked[label] for label in settled} == before, "what has a row is not asked again"
    assert sum(responder.asked.values()) - targets - silent <= len(kills) * at_risk


@pytest.mark.parametrize("pace", ["total_pps = 0.5", "prefix_pps = 0.5"])
def test_the_pace_is_kept_across_a_killed_process_and_the_next(
    pace: str, respond: Any, plan_text: Any, tmp_path: Path
) -> None:
    responder = respond(refused)
    file, folder = tmp_path / "plan.toml", tmp_path / "run"
    file.write_text(plan_text(responder.port, "127.9.0.0/29", pace=pace))
    with killed(file, folder):
        responder.wait_until_asked(1)
    again = Prober(read_plan(file.read_text(), tmp_path), folder, device="lo", clock=SystemClock())

    def stop(now: ProbeProgress) -> None:
        if now.sent:
            again.stop()

    again.run(stop)
    first_us, second_us = responder.times_us
    assert second_us - first_us >= 2_000_000, "one interval"


def test_known_name_is_measured_without_an_authority(respond: Any, make_plan: Any, tmp_path: Path) -> None:
    def known(query: bytes, last: int) -> list[bytes]:
        return [made(query, CONTROL if last < 50 else "10.0.0.1")] if last < 100 else []

    responder = respond(known)
    done = run(
        make_plan(responder.port, known=True, characterise=True, attempts=2, timeout_s=1.0), tmp_path / "run"
    )
    assert (done.complete, done.of, done.answered, done.recursive) == (True, 2, 100, 50)
    assert set(responder.asked) == {"www"}
    rows = table(tmp_path / "run", "probe")
    assert {(r["qname"], r["tag"]) for r in rows} == {("www.example.net", None)}
    assert len({query[:2] for query in responder.queries}) > 100, "each target has an id of its own"


def test_both_families_are_asked(respond: Any, make_plan: Any, tmp_path: Path) -> None:
    four = respond(refused)
    respond(refused, address="::1", port=four.port)
    done = run(make_plan(four.port, "127.9.0.0/28 ::1/128"), tmp_path / "run")
    assert (done.sent, done.answered) == (17, 17)
    assert ("::1", "sweep", 1) in asked(table(tmp_path / "run", "reply"))


def test_closed_port_is_an_icmp_row_and_asked_once(make_plan: Any, tmp_path: Path) -> None:
    with Udp("127.0.0.1") as unused:
        port = unused.port
    done = run(make_plan(port, "127.9.0.0/29", attempts=3), tmp_path / "run")
    assert (done.sent, done.icmp, done.answered, done.errors) == (8, 8, 8, 0)
    rows = table(tmp_path / "run", "reply")
    assert {(r["outcome"], r["icmp_type"], r["icmp_code"], r["kind"], r["attempt"]) for r in rows} == {
        ("icmp", 3, 3, "sweep", 1)
    }
    assert all(r["offender_host"] == r["target_host"] == r["responder_host"] for r in rows)


class JumpingClock(SystemClock):
    """Its wall time is set back a day, and forward again, all the time."""

    def __init__(self) -> None:
        self.true_us: dict[int, int] = {}

    def now_us(self) -> int:
        true_us = super().now_us()
        told_us = true_us - (len(self.true_us) % 3) * 86_400_000_000
        self.true_us[told_us] = true_us
        return told_us


def test_jumps_of_the_wall_clock_change_nothing(respond: Any, make_plan: Any, tmp_path: Path) -> None:
    responder = respond(refused)
    plan, clock = (
        make_plan(responder.port, "127.9.0.0/26", attempts=2, pace="total_pps = 400"),
        JumpingClock(),
    )
    done = run(plan, tmp_path / "run", clock=clock)
    assert (done.complete, done.sent, done.answered) == (True, 64, 64)
    sent_us = [clock.true_us[row["time_us"]] for row in table(tmp_path / "run", "probe")]
    assert max(sent_us) - min(sent_us) >= 62e6 / 400, "the pace was kept"


def test_prefix_ceiling_puts_off_and_loses_nobody(respond: Any, make_plan: Any, tmp_path: Path) -> None:
    responder = respond(refused)
    plan = make_plan(responder.port, "127.9.0.0/27 127.9.1.0/27", pace="total_pps = 5000\nprefix_pps = 100")
    done = run(plan, tmp_path / "run")
    assert (done.sent, done.answered) == (64, 64)
    assert set(responder.asked.values()) == {1}
    for prefix in (0, 1):
        rows = table(tmp_path / "run", "probe")
        sent_us = [row["time_us"] for row in rows if row["target_host"] >> 8 & 0xFF == prefix]
        assert len(sent_us) == 32
        assert max(sent_us) - min(sent_us) >= 31e6 / 100, "the ceiling of a prefix was kept"


def test_folder_in_use_is_refused(respond: Any, make_plan: Any, tmp_path: Path) -> None:
    with state.Lock(tmp_path / "run"), pytest.raises(RunError, match="another process"):
        run(make_plan(respond(refused).port), tmp_path / "run")


def test_folder_of_another_plan_is_refused(respond: Any, make_plan: Any, tmp_path: Path) -> None:
    port = respond(refused).port
    run(make_plan(port, "127.9.0.0/30"), tmp_path / "run")
    with pytest.raises(RunError, match="another plan"):
        run(make_plan(port, "127.9.0.0/29"), tmp_path / "run")
    slower = make_plan(port, "127.9.0.0/30", pace="total_pps = 10", timeout_s=0.1)
    assert run(slower, tmp_path / "run").complete, "pace and timeout may change"


def test_rows_without_a_state_and_damaged_states_are_refused(
    respond: Any, make_plan: Any, tmp_path: Path
) -> None:
    plan, folder = make_plan(respond(refused).port, "127.9.0.0/30"), tmp_path / "run"
    run(plan, folder)
    text = (folder / state.FILE).read_text()
    assert (folder / state.FILE).stat().st_mode & 0o077 == 0, "it holds the key"
    for damaged in (
        text[:-20],
        text.replace('"version": 1', '"version": 7'),
        text.replace('"run"', '"walk"'),
    ):
        (folder / state.FILE).write_text(damaged)
        with pytest.raises(RunError, match=r"damaged|version"):
            run(plan, folder)
    (folder / state.FILE).unlink()
    with pytest.raises(RunError, match="no state"):
        run(plan, folder)


def test_target_addresses_are_what_the_plan_names(respond: Any, make_plan: Any, tmp_path: Path) -> None:
    responder = respond(refused)
    run(make_plan(responder.port, "127.9.0.0/30 127.9.7.8/32"), tmp_path / "run")
    expected = {f"7f0900{k:02x}" for k in range(4)} | {"7f090708"}
    assert set(responder.targets()) == expected
    hosts = {(r["target_net"], r["target_host"]) for r in table(tmp_path / "run", "probe")}
    assert hosts == {address_pair(".".join(str(b) for b in bytes.fromhex(t))) for t in expected}


def test_a_shard_of_nobody_is_complete_and_asks_nobody(respond: Any, make_plan: Any, tmp_path: Path) -> None:
    responder = respond(refused)
    plan = make_plan(responder.port, prefixes="127.9.0.1", shard='"2/2"', attempts=2)
    told: list[ProbeProgress] = []
    done = Prober(plan, tmp_path / "run", device="lo", clock=SystemClock()).run(told.append)
    assert (done.complete, done.targets, done.sent) == (True, 0, 0)
    assert {one.share for one in told} == {1.0}
    assert not responder.asked
    assert run(plan, tmp_path / "run").complete
