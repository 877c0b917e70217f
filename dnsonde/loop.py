"""The closed loop: a prober like SecShow's sweeps the lab, its traffic is captured and watched, both are compared."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from threading import Event

from dnsonde import look, run, take, watch
from dnsonde.beside import Ready
from dnsonde.clock import Clock, SystemClock
from dnsonde.lab.scenario import Scenario
from dnsonde.lab.secshow import PROBER, SecShowNames, as_secshow, secshow
from dnsonde.lab.serve import serve
from dnsonde.lang.words import DEFAULT, words
from dnsonde.page.both import Agreement, agreement
from dnsonde.page.html import write_html
from dnsonde.page.lake import Watching
from dnsonde.page.parts import Part, page
from dnsonde.page.run import Measurement
from dnsonde.probe.plan import load_plan
from dnsonde.view.open import open_view
from dnsonde.view.view import Incident
from dnsonde.whole import whole

CAPTURE, LAKE, SWEEP, REPORT = "secshow.pcap", "lake", "secshow", "report.html"


@dataclass(frozen=True, slots=True)
class Loop:
    """What came of it: the prober's run, the capture of it, the lake that this became, and the report about both.

    packets: in the capture; campaigns: what the watch calls a probing campaign, worst first.
    """

    measured: look.Measured
    capture: Path
    lake: Path
    report: Path
    packets: int
    campaigns: tuple[Incident, ...]
    agreement: Agreement


def loop(
    scenario: Scenario,
    folder: Path,
    clock: Clock,
    *,
    on_progress: Callable[[run.Progress], None],
    on_watch: take.Told,
    say: Callable[[str], None],
) -> Loop:
    """Let the lab's prober sweep the lab, and watch the capture of it; all of it below `folder`, new or empty of these.

    The lab writes the capture itself, as its border would see it. No packet leaves the machine.
    """
    there = folder / SWEEP
    there.mkdir(parents=True, exist_ok=True)
    capture = folder / CAPTURE
    with run.lab_beside(as_secshow(scenario), _lab, there, capture) as (chosen, helper):
        path = run.lab_plan(chosen, there, f'attempts = 1\ncharacterise = false\nsource = "{PROBER}"\n')
        plan = load_plan(path)
        run.drive(secshow(plan, there, clock), plan, clock, nullcontext(helper), on_progress, say)
    run.judge(there)
    measured, _truth = look.at(there)

    home = (ip_network(chosen.prefix),)
    # Nobody but root may serve port 53: the lab's hosts have another.
    ports = take.on_ports([chosen.port, chosen.authority.port])
    lake = folder / LAKE
    taken = take.ingest([str(capture)], lake, clock, on_watch, options=ports)
    found = watch.detect([str(lake)], watch.Asked(home=home), clock, on_watch)
    sweep, seen = open_view(there), open_view(lake, found.findings, home)
    facts = (("scope", chosen.prefix), ("zone", plan.zone.name), ("port", str(chosen.port)))
    parts = [
        Part(sweep, Measurement(str(there), delegated=True, finished=measured.finished, facts=facts)),
        Part(seen, Watching(str(lake), tuple(map(str, home)))),
    ]
    report = folder / REPORT
    with whole(report) as out:
        write_html(page(parts, words(DEFAULT)), out)
    campaigns = tuple(i for i in seen.incidents() if i.detector == "probing_campaign")
    packets = sum(account["packets"] for account in taken.accounts)
    return Loop(measured, capture, lake, report, packets, campaigns, agreement(sweep, seen))


def _lab(chosen: Scenario, folder: Path, capture: Path, stop: Event, ready: Ready) -> None:
    """The lab in a child process, with a tape at its border."""
    names = SecShowNames(chosen.authority.zone, PROBER)
    serving = partial(serve, names=names, tape=capture, truth=False)
    serving(chosen, folder, SystemClock(), stop, on_ready=lambda *_: ready())
