"""The calm summary of a run, on a terminal."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from dnsonde.cli._progress import duration
from dnsonde.cli._terminal import counted
from dnsonde.escape import terminal, typed
from dnsonde.lang.words import share_of
from dnsonde.probe.state import is_measured
from dnsonde.report import CLASSES, Confusion, Count, Summary, meaning, place

if TYPE_CHECKING:
    from rich.console import Console

    from dnsonde.look import Measured

NARROW = 70  # columns of a terminal
WRONG_SHOWN = 12  # kinds of error, the most frequent first


def show(
    measured: "Measured", out: "Console", truth: Confusion | None = None, continued_by: str = ""
) -> None:
    """Print what was found, what it took, where it lies and what to type next.

    truth: of a lab, to hold the verdicts against; continued_by: the command, where the run is not finished.
    """
    summary = measured.summary
    if not summary.targets:
        asked = measured.probes or not measured.finished
        out.print(
            "No target has a verdict yet." if asked else "There was no address to ask: this shard has none."
        )
        unfinished(measured.unfinished, measured.folder, out, continued_by)
        if measured.probes and not is_measured(measured.folder):
            out.print(f"Judge what is there: dnsonde join {typed(measured.folder)}", soft_wrap=True)
        return
    out.print(classes(summary, truth, narrow=out.width < NARROW))
    out.print()
    if truth is not None:
        accuracy(truth, out)
    share = share_of(summary.open, summary.targets)
    found = f"{summary.open:,} of {counted(summary.targets, 'host', 'hosts')}"
    out.print(Text(f"{found} {'is' if summary.open == 1 else 'are'} open ({share}).", style="bold"))
    unfinished(measured.unfinished, measured.folder, out, continued_by)
    if summary.worst:
        out.print("The strongest amplifiers among them:")
        out.print(worst(summary))
    if not measured.delegated:
        out.print()
        for line in untold():
            out.print(line)
    out.print()
    out.print(
        f"Took {duration(measured.seconds)}: {counted(measured.probes, 'probe', 'probes')}, "
        f"{counted(measured.replies, 'reply', 'replies')}, "
        f"{counted(measured.sightings, 'query', 'queries')} at the authority."
    )
    out.print(f"Run: {terminal(str(measured.folder))}", soft_wrap=True)
    out.print(Text(f"Next: {following(measured)}"), soft_wrap=True)


def unfinished(said: str, folder: Path, out: "Console", continued_by: str = "") -> None:
    """Print what is said of a run that is not finished, if anything, and the command that continues it."""
    if said and is_measured(folder):
        out.print(f"{said} It is being measured: wait until that is done.", soft_wrap=True)
    elif said:
        command = continued_by or f"dnsonde probe PLAN.toml -o {typed(folder)}"
        out.print(f"{said} Continue: {command}", soft_wrap=True)


def classes(summary: Summary, truth: Confusion | None = None, *, narrow: bool = False) -> Table:
    """Hosts by class, in reading order.

    narrow: without what they mean, for which there is no room. With a lab's truth: how many really are of that class,
    and how many of those were recognised, instead of the share.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    numbers = ("hosts", "open", "truth", "right") if truth else ("hosts", "share", "open")
    table.add_column("class", no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    if not narrow:
        table.add_column("what it means")
    hosts = {count.name: count for count in summary.counts}
    for name in sorted({*hosts, *(truth.classes if truth else ())}, key=place):
        count = hosts.get(name, Count(name, 0, 0, meaning(name)))
        opened = Text(f"{count.open:,}", style="yellow") if count.open else Text("-")
        told: list[Text | str]
        if truth:
            told = [opened, f"{truth.of(name):,}", f"{truth.cells.get((name, name), 0):,}"]
        else:
            told = [share_of(count.hosts, summary.targets), opened]
        meant = [] if narrow else [count.meaning]
        table.add_row(terminal(name), f"{count.hosts:,}", *told, *meant)
    return table


def worst(summary: Summary) -> Table:
    """The open hosts with the greatest amplification."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), show_header=False)
    # Where the terminal is narrow an address stays whole, and all else is folded.
    table.add_column(no_wrap=True, min_width=max((len(host.address) for host in summary.worst), default=0))
    for _ in range(3):
        table.add_column(overflow="fold")
    for host in summary.worst:
        factor = "" if host.amplification is None else f"{host.amplification:.1f}-fold"
        egress = "" if host.egress in {None, host.address} else f"by way of {host.egress}"
        table.add_row(host.address, terminal(host.name), factor, egress)
    return table


def untold() -> Iterator[str]:
    """What a known name cannot tell, and what a delegated zone adds."""
    names = ", ".join(name for name, kind in CLASSES.items() if kind.needs_authority)
    yield f"A known name cannot tell apart: {names}. Of these some look open, some silent."
    yield "A zone delegated to dnsonde's own authority adds them, and the address that resolves behind each forwarder."


def accuracy(found: Confusion, out: "Console") -> None:
    """Print what of a lab's truth was not recognised, as what it was taken for."""
    # Rounded down: only all of them are 100 %.
    share = 10_000 * found.right // max(found.hosts, 1) / 100
    told = f"{found.right:,} of {found.hosts:,} verdicts are what the lab's hosts really are ({share:.2f} %)."
    out.print(Text(told, style="bold"))
    wrong = found.wrong
    if wrong:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), header_style="bold")
        for name in ("truth", "taken for", "hosts"):
            table.add_column(name, justify="right" if name == "hosts" else "left", no_wrap=True)
        for truth, taken, hosts in wrong[:WRONG_SHOWN]:
            table.add_row(truth, taken, f"{hosts:,}")
        out.print(table)
    out.print()


def following(measured: "Measured") -> str:
    """What to type next: what says what to do, then who it is about."""
    if not any(count.open for count in measured.summary.counts):
        return f"dnsonde show {typed(measured.folder)} --format csv -o hosts.csv"
    return f"dnsonde report {typed(measured.folder)} -o report.html\n      dnsonde show {typed(measured.folder)} --open"
