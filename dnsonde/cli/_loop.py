"""The demo's second part: a prober like SecShow's comes, and is watched."""

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from dnsonde import stopping
from dnsonde.cli import _progress
from dnsonde.clock import to_the_second
from dnsonde.escape import terminal, typed

if TYPE_CHECKING:
    from rich.console import Console

    from dnsonde.clock import Clock
    from dnsonde.lab.scenario import Scenario
    from dnsonde.loop import Loop

NARROW = 100  # columns: below it the two views stand one below the other


def run_and_show(scenario: "Scenario", folder: Path, clock: "Clock", mode: str, out: "Console") -> int:
    """Let it come, and print both views; the exit code."""
    from dnsonde import run, take
    from dnsonde.loop import loop

    def told(progress: "run.Progress | take.Progress") -> list[str]:
        if isinstance(progress, run.Progress):
            return _progress.probing(progress)
        return _progress.reading(progress)

    out.print()
    with _progress.watch(mode, told) as watcher:
        watcher.say("Now the lab's own prober, with names like SecShow's, sweeps the same network.")
        seen = loop(scenario, folder, clock, on_progress=watcher.tell, on_watch=watcher.tell, say=watcher.say)
    if not seen.measured.finished:
        out.print(
            f"Stopped before the end: the same command with -o {typed(folder)} goes on.", soft_wrap=True
        )
        return stopping.exit_code()
    show(seen, out)
    return 0


def show(seen: "Loop", out: "Console") -> None:
    """Print what the prober learned, how it was seen to come, whether the two agree, and where the report lies."""
    views = {"what the prober learned": _learned(seen), "how we saw it come": _saw(seen)}
    if out.width < NARROW:
        for heading, lines in views.items():
            out.print(Text(heading, style="bold"))
            for line in lines:
                out.print(Text(terminal(line)))
            out.print()
    else:
        table = Table(box=None, pad_edge=False, padding=(0, 4, 0, 0), header_style="bold")
        for heading in views:
            table.add_column(heading, ratio=1)
        for pair in zip_longest(*views.values(), fillvalue=""):
            table.add_row(*(Text(terminal(line)) for line in pair))
        out.print(table)
        out.print()
    both = seen.agreement
    total, opened, resolved, passed, unseen, closed = (
        both.total(name) for name in ("hosts", "open", "resolved", "passed", "unseen", "closed_resolved")
    )
    out.print(Text(f"The two agree on {both.agreed:,} of {total:,} hosts.", style="bold"))
    out.print(
        f"Of {opened:,} open hosts {resolved:,} were seen to answer with recursion, {passed:,} only to pass the "
        f"question on, {unseen:,} neither: those are answered for from elsewhere."
        + (
            f" Wrong data of {closed:,} more looks like an open host to whoever only watches."
            if closed
            else ""
        )
    )
    out.print()
    out.print(f"Capture: {terminal(str(seen.capture))}, {seen.packets:,} packets", soft_wrap=True)
    out.print(f"Report: {terminal(str(seen.report))}", soft_wrap=True)
    out.print(Text(f"Next: xdg-open {typed(seen.report)}"), soft_wrap=True)
    out.print(Text(f"      dnsonde web {typed(seen.lake.parent)}"), soft_wrap=True)


def _learned(seen: "Loop") -> list[str]:
    counts = {count.name: count.open for count in seen.measured.summary.counts}
    told = (
        (seen.measured.summary.open, "hosts resolve for it"),
        (counts.get("recursive_resolver", 0), "of them ask by themselves"),
        (counts.get("recursive_forwarder", 0), "of them have another resolver ask"),
        (counts.get("transparent_forwarder", 0), "pass its questions on under its address"),
        (sum(c.hosts for c in seen.measured.summary.counts if c.name == "refused"), "are closed to it"),
    )
    return [f"{number:>6,}  {words}" for number, words in told]


def _saw(seen: "Loop") -> list[str]:
    if not seen.campaigns:
        return ["nothing that looks like a campaign"]
    first = seen.campaigns[0]
    told = first.evidence
    return [
        f"campaign {told.get('campaign')} below {first.subject}, {first.severity}",
        f"names {told.get('template')}",
        f"from {to_the_second(first.first_us)} UTC for {_progress.duration((first.last_us - first.first_us) / 1e6)}",
        f"{int(told.get('targets') or 0):,} addresses asked",
        f"{int(told.get('answered') or 0):,} answered, {int(told.get('resolved') or 0):,} with recursion",
    ]
