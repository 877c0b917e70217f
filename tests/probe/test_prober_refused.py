"""The prober on a machine that does not let it: a disk that fails, an interface that sends nothing."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dnsonde.clock import SystemClock
from dnsonde.errors import SystemRefusal
from dnsonde.net.udp import Udp
from dnsonde.probe import prober
from dnsonde.probe._recorder import Recorder
from dnsonde.probe.prober import ProbeProgress, Prober
from dnsonde.table.store import Writer
from tests.probe.running import asked, refused, run, table


def unreachable(self: Udp, count: int, start: int = 0) -> int:
    self.tx_errno[start:count] = 101
    return count - start


def test_disk_that_fails_ends_the_run_and_it_continues(
    respond: Any, make_plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    responder = respond(refused)
    plan, folder = make_plan(responder.port), tmp_path / "run"

    def full(_self: object) -> None:
        raise SystemRefusal("no room left to write")

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "flush", full)
        with pytest.raises(SystemRefusal, match="no room"):
            run(plan, folder)
    assert table(folder, "probe") == []
    assert run(plan, folder).complete
    assert len(table(folder, "probe")) == len(table(folder, "reply")) == 256


def test_disk_that_fails_while_more_waits_for_it_ends_the_run(
    respond: Any, make_plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_and_full(self: Recorder, *_job: object) -> None:
        while not self.full:
            os.sched_yield()
        raise SystemRefusal("no room left to write")

    monkeypatch.setattr(Recorder, "_write", slow_and_full)
    monkeypatch.setattr(prober, "REPORT_US", 10_000)
    plan = make_plan(respond(refused).port, "127.9.0.0/20", pace="total_pps = 20000")
    running = Prober(plan, tmp_path / "run", device="lo", checkpoint_rows=64, clock=SystemClock())
    told: list[ProbeProgress] = []

    def give_up(now: ProbeProgress) -> None:
        told.append(now)
        if len(told) > 500:
            running.stop()

    with pytest.raises(SystemRefusal, match="no room"):
        running.run(give_up)
    assert len(told) < 500, "it went on until it was stopped"


@pytest.mark.parametrize("prefix", ["127.9.0.0/29", "127.9.0.0/22"])
def test_machine_that_lets_nothing_out_is_told_apart_from_silence(
    respond: Any, make_plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    plan = make_plan(respond(refused).port, prefix, timeout_s=2.0)
    with monkeypatch.context() as patched:
        patched.setattr(Udp, "send", unreachable)
        with pytest.raises(SystemRefusal, match="unreachable"):
            run(plan, tmp_path / "run")
    assert table(tmp_path / "run", "probe") == [], "nobody counts as asked"
    done = run(plan, tmp_path / "run")
    assert (done.sent, done.answered, done.complete) == (plan.scope().size, plan.scope().size, True)


def test_machine_that_stops_to_let_probes_out_ends_the_run_and_it_continues(
    respond: Any, make_plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    responder = respond(refused)
    plan, send = make_plan(responder.port, "127.9.0.0/20", pace="total_pps = 20000"), Udp.send

    out = 0

    def broken(self: Udp, count: int, start: int = 0) -> int:
        nonlocal out
        if out > 1000:
            return unreachable(self, count, start)
        done = send(self, count, start)
        out += done
        return done

    with monkeypatch.context() as patched:
        patched.setattr(Udp, "send", broken)
        with pytest.raises(SystemRefusal, match="unreachable"):
            run(plan, tmp_path / "run")
    done = run(plan, tmp_path / "run")
    assert (done.complete, done.errors) == (True, 0)
    # Not by what the responder has read so far: it may be behind.
    sent = Counter((r["target_host"], r["errno"]) for r in table(tmp_path / "run", "probe"))
    assert len(sent) == 4096, "nobody is left out"
    assert {errno for _, errno in sent} == {0}


def test_machine_without_room_to_send_is_waited_for_until_it_is_stopped(
    respond: Any, make_plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, send, tries = make_plan(respond(refused).port), Udp.send, 0

    class Waiting(SystemClock):
        slept = 0

        def sleep_us(self, duration_us: int) -> None:
            assert duration_us > 0
            self.slept += 1
            if self.slept == 3:
                first.stop()

    def one_batch(self: Udp, count: int, start: int = 0) -> int:
        nonlocal tries
        if self.size != prober.ROW_OCTETS:
            return send(self, count, start)  # the responder's
        tries += 1
        assert tries < 100, "it spins"
        return send(self, 40) if tries == 1 else 0

    clock = Waiting()
    first = Prober(plan, tmp_path / "run", device="lo", clock=clock, batch=64)
    with monkeypatch.context() as patched:
        patched.setattr(Udp, "send", one_batch)
        stopped = first.run()
    assert (stopped.sent, stopped.answered, stopped.complete, clock.slept) == (40, 40, False, 3)
    done = run(plan, tmp_path / "run")
    assert (done.sent, done.answered, done.complete) == (256, 256, True)
    assert set(asked(table(tmp_path / "run", "probe")).values()) == {1}


def test_host_that_alone_cannot_be_reached_is_a_row(
    respond: Any, make_plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Udp.send

    def some(self: Udp, count: int, start: int = 0) -> int:
        done = send(self, count, start)
        self.tx_errno[start : start + done][self.tx["host"][start : start + done] & 0xFF < 8] = 113
        return done

    plan = make_plan(respond(refused).port, attempts=3)
    monkeypatch.setattr(Udp, "send", some)
    done = run(plan, tmp_path / "run")
    assert (done.sent, done.errors, done.complete) == (248, 8, True)
    assert done.answered == 248, "whom we could not ask has not answered"
    assert run(plan, tmp_path / "run").answered == 248
    assert Counter(r["errno"] for r in table(tmp_path / "run", "probe")) == {0: 248, 113: 8}
