"""The wall clock is set while a lab is measured: nothing is lost, and the verdicts are the lab's truth."""

from pathlib import Path
from types import SimpleNamespace as Labs

from dnsonde import look, run
from dnsonde.clock import SystemClock
from dnsonde.probe.plan import load_plan
from dnsonde.probe.prober import Prober


class JumpingClock(SystemClock):
    """Its wall time is set back half an hour, and forward again, all the time."""

    def __init__(self) -> None:
        self.asked = 0

    def now_us(self) -> int:
        self.asked += 1
        return super().now_us() - (self.asked % 3) * 900_000_000


def test_jumps_of_the_wall_clock_change_no_verdict(labs: Labs, tmp_path: Path) -> None:
    scenario = labs.on_free_ports("tiny", slow_delay_ms=(100.0, 300.0), rate_limit_ms=400.0)
    file = run.lab_plan(scenario, tmp_path)
    patient = "timeout_s = 2.0"  # a busy machine's host may be a second late
    file.write_text(file.read_text().replace(patient, f"{patient}\ncharacterise = false"))
    with labs.served(scenario, tmp_path):
        assert Prober(load_plan(file), tmp_path, clock=JumpingClock(), device="lo").run().complete
    run.judge(tmp_path)
    truth = look.at(tmp_path)[1]
    assert truth is not None
    assert (truth.right, truth.wrong) == (256, [])
