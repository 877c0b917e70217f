"""The calm summary of a run, on a terminal."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from dnsonde.cli._progress import duration
from dnsonde.escape import terminal
from dnsonde.report import CLASSES, Confusion, Summary

if TYPE_CHECKING:
    from rich.console import Console

    from dnsonde.run import Measured

WRONG_SHOWN = 6  # kinds of error, the most frequent first


def show(measured: "Measured", out: "Console") -> None:
    """Print what was found, what it took, where it lies and what to type next."""
    summary = measured.summary
    if not summary.targets:
        out.print("No target has a verdict yet.")
        return
    out.print(classes(summary))
    out.print()
    share = 100 * summary.open / summary.targets
    out.print(Text(f"{summary.open:,} of {summary.targets:,} hosts are open ({share:.1f} %).", style="bold"))
    if summary.worst:
        out.print("Those that would amplify most:")
        out.print(worst(summary))
    if not measured.delegated:
        out.print()
        for line in untold():
            out.print(line)
    out.print()


def footer(measured: "Measured", out: "Console") -> None:
    """Print what it took, where the run lies and what to type next."""
    out.print(
        f"Took {duration(measured.seconds)}: {measured.probes:,} probes, {measured.replies:,} replies, "
        f"{measured.sightings:,} queries at the authority."
    )
    out.print(f"Run: {terminal(str(measured.folder))}")
    for command in following(measured.folder, measured.summary):
        out.print(Text(f"Next: {command}", style="dim"))


def classes(summary: Summary) -> Table:
    """Hosts by class, in reading order."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("class", no_wrap=True)
    table.add_column("hosts", justify="right", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("what it means")
    for count in summary.counts:
        share = f"{100 * count.hosts / summary.targets:.1f} %"
        style = "yellow" if count.open else ""
        table.add_row(Text(terminal(count.name), style=style), f"{count.hosts:,}", share, count.meaning)
    return table


def worst(summary: Summary) -> Table:
    """The open hosts with the greatest amplification."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2))
    for column in ("address", "class", "amplification", "why"):
        table.add_column(
            column, justify="right" if column == "amplification" else "left", no_wrap=column != "why"
        )
    table.show_header = False
    for host in summary.worst:
        factor = "" if host.amplification is None else f"{host.amplification:.1f}-fold"
        table.add_row(host.address, terminal(host.name), factor, terminal(host.why))
    return table


def untold() -> Iterator[str]:
    """What a known name cannot tell, and what a delegated zone adds."""
    names = ", ".join(name for name, kind in CLASSES.items() if kind.needs_authority)
    yield f"A known name cannot tell apart: {names}. Of these some look open, some silent."
    yield "A zone delegated to dnsonde's own authority adds them, and the address that resolves behind each forwarder."


def accuracy(found: Confusion, out: "Console") -> None:
    """Print the verdicts against a lab's truth, as a table of what was taken for what."""
    wrong = found.wrong
    share = 100 * found.right / max(found.hosts, 1)
    told = f"{found.right:,} of {found.hosts:,} verdicts right ({share:.2f} %)"
    out.print(Text(f"Against the lab's truth: {told}.", style="bold"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), header_style="bold")
    table.add_column("truth", no_wrap=True)
    table.add_column("hosts", justify="right")
    table.add_column("right", justify="right")
    table.add_column("taken for something else")
    for truth in sorted({real for real, _ in found.cells}, key=_place):
        row = {told: n for (real, told), n in found.cells.items() if real == truth}
        hosts = sum(row.values())
        others = [f"{n:,} {told}" for real, told, n in wrong if real == truth][:WRONG_SHOWN]
        table.add_row(truth, f"{hosts:,}", f"{row.get(truth, 0):,}", ", ".join(others) or "-")
    out.print(table)
    out.print()


def following(folder: Path, summary: Summary) -> list[str]:
    """What to type next."""
    chosen = max((c for c in summary.counts if c.open), key=lambda c: c.open, default=None)
    if chosen is None:
        return [f"dnsonde show {folder} --format csv -o hosts.csv"]
    return [f"dnsonde show {folder} --class {chosen.name}"]


def _place(name: str) -> int:
    names = list(CLASSES)
    return names.index(name) if name in names else len(names)
