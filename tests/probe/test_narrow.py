"""A complaint in the middle of a run: who is excluded is asked no more, and nothing begins anew."""

from collections import Counter
from pathlib import Path
from typing import Any

import dns.message
import pytest

from dnsonde.clock import SystemClock
from dnsonde.errors import RunError
from dnsonde.probe import narrow, prober, state
from dnsonde.probe.plan import Plan, read_plan
from dnsonde.probe.prober import ProbeProgress, Prober

CONTROL = "192.0.2.80"
EXCLUDED = "127.9.0.64/26"


def refused(query: bytes, _last: int) -> list[bytes]:
    return [query[:2] + b"\x81\x85" + query[4:]]


def right(query: bytes, _last: int) -> list[bytes]:
    message = dns.message.make_response(dns.message.from_wire(query), recursion_available=True)
    if message.question[0].rdtype == dns.rdatatype.A:
        message.answer.append(dns.rrset.from_text(message.question[0].name, 1, "IN", "A", CONTROL))
    return [message.to_wire()]


@pytest.fixture
def plan_of(plan_text: Any, tmp_path: Path) -> Any:
    def made(port: int, *excluded: str, **more: Any) -> Plan:
        text = plan_text(port, **more)
        named = ", ".join(f'"{prefix}"' for prefix in excluded)
        return read_plan(text.replace("[zone]", f"exclude = [{named}]\n[zone]"), tmp_path)

    return made


def run(plan: Plan, folder: Path, *, until: int | None = None, **more: Any) -> ProbeProgress:
    """Run a plan, to the end or until so many were sent."""
    measuring = Prober(plan, folder, device="lo", clock=SystemClock(), **more)
    asked_to: list[ProbeProgress] = []

    def stop(now: ProbeProgress) -> None:
        if until is not None and now.sent >= until and not asked_to:
            asked_to.append(now)
            measuring.stop()

    return measuring.run(stop)


@pytest.fixture(autouse=True)
def _told_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prober, "REPORT_US", 1)


def excluded(asked: Counter[str]) -> int:
    return sum(count for target, count in asked.items() if 64 <= int(target, 16) & 0xFF < 128)


def test_excluded_targets_are_left_out_and_the_others_asked_once(
    respond: Any, plan_of: Any, tmp_path: Path
) -> None:
    responder, folder = respond(refused), tmp_path / "run"
    pace = "total_pps = 2000"
    begun = run(plan_of(responder.port, pace=pace), folder, until=50)
    before = excluded(responder.targets())
    assert 50 <= begun.sent < 256
    told: list[state.Narrowing] = []
    plan = plan_of(responder.port, EXCLUDED, pace=pace)
    done = run(plan, folder, on_narrowed=told.append)
    asked = responder.targets()
    assert excluded(asked) == before, "nobody was asked after the exclusion"
    assert set(asked.values()) == {1}
    assert len(asked) == 192 + before
    assert (done.complete, done.sent, done.targets) == (True, 192 + before, 192)
    found = state.load(folder)
    assert found is not None
    assert [(e.addresses, e.prefixes) for e in found.exclusions] == [(64, [EXCLUDED])]
    assert told == found.exclusions
    assert "64 addresses are excluded since the run began (127.9.0.64/26)" in narrow.sentence(told[0])
    run(plan, folder, on_narrowed=told.append)
    assert len(told) == 1, "it is told once"


def test_who_is_excluded_is_not_characterised(respond: Any, plan_of: Any, tmp_path: Path) -> None:
    responder, folder = respond(right), tmp_path / "run"
    more = {"characterise": True, "timeout_s": 1.0}
    begun = run(plan_of(responder.port, **more), folder, until=256)
    assert not begun.complete
    assert begun.recursive > 128
    before = excluded(responder.targets())
    done = run(plan_of(responder.port, EXCLUDED, **more), folder)
    assert done.complete
    assert excluded(responder.targets()) == before
    others = [count for target, count in responder.targets().items() if int(target, 16) & 0xFF < 64]
    assert max(others) > 1, "the others are"


def test_shards_stay_disjoint_and_complete(respond: Any, plan_of: Any, tmp_path: Path) -> None:
    responder = respond(refused)
    for number in (1, 2, 3):
        shard = f'"{number}/3"'
        folder = tmp_path / f"run-{number}"
        # Shards of one measurement share its key.
        if number > 1:
            first = state.load(tmp_path / "run-1")
            assert first is not None
            folder.mkdir()
            plan = plan_of(responder.port, shard=shard)
            narrow.keep(folder, plan.scope())
            state.save(folder, state.State(first.run, first.key, plan.digest, 1))
        else:
            run(plan_of(responder.port, shard=shard, pace="total_pps = 2000"), folder, until=1)
        assert run(plan_of(responder.port, EXCLUDED, shard=shard), folder).complete
    asked = responder.targets()
    assert set(asked.values()) == {1}
    assert len(asked) - excluded(asked) == 192


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"prefixes": "127.9.0.0/23"}, r"it names 127\.9\.1\.0/24, which was not in it"),
        ({"excluded": []}, r"it names 127\.9\.0\.64/26, which it has excluded"),
        ({"attempts": 2}, "other targets, port, zone, attempts or shard"),
        ({"port": 1}, "other targets, port, zone, attempts or shard"),
    ],
)  # fmt: skip
def test_any_other_change_of_the_scope_is_refused(
    respond: Any, plan_of: Any, tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    port, folder = respond(refused).port, tmp_path / "run"
    run(plan_of(port, pace="total_pps = 2000"), folder, until=1)
    run(plan_of(port, EXCLUDED, pace="total_pps = 2000"), folder, until=2)
    named = change.pop("excluded", [EXCLUDED])
    with pytest.raises(RunError, match=why):
        run(plan_of(change.pop("port", port), *named, **change), folder)


def test_a_run_of_an_older_dnsonde_and_a_damaged_scope_are_refused(
    respond: Any, plan_of: Any, tmp_path: Path
) -> None:
    port, folder = respond(refused).port, tmp_path / "run"
    run(plan_of(port), folder)
    (folder / narrow.FILE).write_bytes(b"PAR1")
    with pytest.raises(RunError, match="cannot be read"):
        run(plan_of(port, EXCLUDED), folder)
    (folder / narrow.FILE).unlink()
    assert run(plan_of(port), folder).complete, "the same plan continues without it"
    with pytest.raises(RunError, match="another plan"):
        run(plan_of(port, EXCLUDED), folder)
