"""Findings on a terminal: worst first, then what was read, and what was assumed."""

import os
import sys
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dnsonde.cli._progress import duration, octets
from dnsonde.clock import to_the_second
from dnsonde.escape import terminal, typed
from dnsonde.lang.words import per_cent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console

    from dnsonde.owners.owner import Owner
    from dnsonde.take import Taken
    from dnsonde.watch import Found

STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "", "info": "dim"}
FILES = 20  # shown one by one
TYPED = 3  # files of a command to type next
SUBJECT_WIDTH = 24
NARROW = 90  # columns of a terminal, below which a finding has lines of its own instead of a row
NAMED = 4  # detectors, or files that were known; of more, their number is told


def tell(
    found: "Found",
    form: str,
    output: Path | None,
    limit: int,
    lake: Path | None = None,
    *,
    fail_on: str | None = None,
    known: int = 0,
) -> int:
    """Write the findings; the exit code, 1 where one is as bad as `fail_on`. A reader who stops early changes nothing.

    lake: where whose their subjects are may be known; known: how many others are not shown, since they were before.
    """
    from dnsonde.cli._terminal import ending

    code = int(bool(fail_on and found.at_least(fail_on)))
    with ending(code):
        _write(found, form, output, limit, lake, known)
    return code


def _write(found: "Found", form: str, output: Path | None, limit: int, lake: Path | None, known: int) -> None:
    """Write them; what was assumed goes to stderr where stdout is for machines."""
    from dnsonde.cli._terminal import console
    from dnsonde.table.finding import written

    owners = _owners(lake, found) if lake else {}
    before = _before(known, lake) if known and lake else ""
    if form != "table":
        from dnsonde.view.whose import with_owners
        from dnsonde.write import write

        err = console(stderr=True)
        assumed(found, err)
        write(written(with_owners(found.findings, owners)), form, output or sys.stdout.buffer)
        if before:
            err.print(before)
        return
    if output is None:
        show(found, console(), limit, owners, before, lake)
        return
    from dnsonde.whole import whole

    text = StringIO()
    show(found, console(file=text), limit, owners, before, lake)
    with whole(output) as file:
        file.write(text.getvalue().encode())


def _owners(lake: Path, found: "Found") -> "Mapping[str, Owner]":
    """Whose the subjects are, by subject, where `dnsonde enrich` learned it."""
    from dnsonde.table.schema import ENRICHMENT
    from dnsonde.table.store import row_count

    if not row_count(lake, ENRICHMENT):
        return {}
    from dnsonde.view.open import open_view
    from dnsonde.view.whose import owners_of

    return owners_of(open_view(lake, found.findings))


def _before(known: int, lake: Path) -> str:
    which = "1 finding that was" if known == 1 else f"{known:,} findings that were"
    return f"{which} told before {'is' if known == 1 else 'are'} not shown; `dnsonde detect {typed(lake)}` shows all."


def show(
    found: "Found",
    out: "Console",
    limit: int,
    owners: "Mapping[str, Owner] | None" = None,
    before: str = "",
    lake: Path | None = None,
) -> None:
    """Print findings (at most `limit`, 0 for all), the files that were read, and what stands behind it.

    before: a sentence on those that are not shown, since they were before; lake: that keeps them.
    """
    assumed(found, out)
    rows = found.findings.to_pylist()
    if not rows:
        out.print(Text("Nothing new was found." if before else "Nothing was found.", style="bold"))
    else:
        _table(rows[: limit or None], out, owners or {})
        left = len(rows) - len(rows[: limit or None])
        if left:
            out.print(f"... and {left:,} more: --limit 0 shows all, --format csv -o FILE keeps them.")
    out.print()
    read(found.taken, out)
    if before:
        out.print()
        out.print(Text(before))
    if rows:
        out.print()
        lines = _following(rows[0]["detector"], found, lake)
        out.print("Next: " + "\n      ".join(lines), soft_wrap=True)


def _following(detector: str, found: "Found", lake: Path | None) -> tuple[str, ...]:
    """What to type next: what the worst finding is, and the report, which says what to do about all of them."""
    explain = f"dnsonde explain {detector}"
    if lake is not None:
        return f"dnsonde report {typed(lake)} -o report.html", explain
    paths = [row["path"] for row in found.taken.accounts]
    few = len(paths) <= TYPED and all(Path(path).is_file() for path in paths)
    files = " ".join(typed(Path(path)) for path in paths) if few else "FILES"
    home = "" if found.guessed else "".join(f" --home {prefix}" for prefix in found.home)
    return explain, f"dnsonde ingest {files} -o lake", f"dnsonde report lake{home} -o report.html"


def assumed(found: "Found", out: "Console") -> None:
    """Say what home was taken for, and what rests on it; and when that was, if it is kept."""
    if found.kept:
        out.print(
            f"Findings of {to_the_second(found.looked_us)} UTC; nothing has changed since, and --fresh looks again."
        )
    if found.remembered:
        names = ", ".join(map(str, found.home))
        out.print(f"No --home was given: home is {names}, as when this lake was looked into before.")
    if found.guessed is None:
        if found.kept or found.remembered:
            out.print()
        return
    if found.guessed.prefixes:
        names = ", ".join(str(p) for p in found.guessed.prefixes)
        are = "are" if len(found.guessed.prefixes) > 1 else "is"
        out.print(f"No --home was given: {names} {are} taken for home, since {found.guessed.why}.")
        out.print("Which side is yours matters to most findings: name your prefixes with --home to be sure.")
    else:
        out.print(f"No --home was given, and none can be guessed: {found.guessed.why}.")
        blind = ", ".join(found.blind) if len(found.blind) <= NAMED else f"{len(found.blind)} detectors"
        out.print(
            f"What rests on which addresses are yours is therefore not found, by {blind}: name your prefixes with "
            "--home."
        )
    out.print()


def _table(rows: list[dict[str, Any]], out: "Console", owners: "Mapping[str, Owner]") -> None:
    """A line a finding, in columns; below it whose the subject is, and the summary where something is to be done."""
    from dnsonde.view.whose import SERIOUS, owner_text

    subject = min(max(len(row["subject"]) for row in rows), SUBJECT_WIDTH)
    count = max(5, *(len(f"{row['count']:,}") for row in rows))
    narrow = out.width < NARROW
    indent = (0, 0, 0, 2 if narrow else 10)
    if not narrow:
        names = ("severity", "subject", "what", "since (UTC)", "for", "count", "sure")
        out.print(_line([Text(name, style="bold") for name in names], subject, count))
    for row in rows:
        style = STYLES[row["severity"]]
        since, times = to_the_second(row["first_seen"]), f"{row['count']:,}"
        sure = per_cent(row["confidence"])
        for_ = duration((row["last_seen"] - row["first_seen"]) / 1e6)
        if narrow:
            out.print(Text(terminal(f"{row['severity']}: {row['title']}", keep=""), style=style))
            span = (
                f"since {since} UTC, for {for_}"
                if row["last_seen"] > row["first_seen"]
                else f"at {since} UTC"
            )
            out.print(Padding(Text(f"{span}; count {times}, {sure} sure"), indent))
        else:
            what = row["title"].removeprefix(f"{row['subject']} ")
            told = (
                Text(terminal(text, keep=""), style=style) for text in (row["severity"], row["subject"], what)
            )
            out.print(_line([*told, *map(Text, (since, for_, times, sure))], subject, count))
        if row["subject"] in owners:
            whose = owner_text(owners[row["subject"]])
            out.print(Padding(Text(terminal(whose, keep=""), style="dim"), indent))
        if row["severity"] in SERIOUS:
            out.print(Padding(Text(terminal(row["summary"], keep="")), indent))


def _line(cells: list[Text], subject: int, count: int) -> Table:
    """One line, of the same columns as all others."""
    line = Table.grid(padding=(0, 2, 0, 0), expand=True)
    line.add_column(width=8)
    line.add_column(width=subject, overflow="fold")
    line.add_column(ratio=1)
    line.add_column(width=19)
    line.add_column(width=11, justify="right")
    line.add_column(width=count, justify="right")
    line.add_column(width=5, justify="right")
    line.add_row(*cells)
    return line


def read(taken: "Taken", out: "Console") -> None:
    """Print what became of each file's packets."""
    if taken.accounts:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("read", overflow="fold", ratio=1)
        # Where the terminal is narrow, what is nothing everywhere has no column.
        shown = [n for n in NUMBERS if out.width >= NARROW or any(row[n] for row in taken.accounts)]
        for name in shown:
            table.add_column("size" if name == "bytes" else name, justify="right", no_wrap=True)
        common = _folder(row["path"] for row in taken.accounts) if taken.accounts[1:] else ""
        for row in taken.accounts[:FILES]:
            path = os.path.relpath(row["path"], common) if common else row["path"]
            table.add_row(Text(terminal(path, keep="")), *_numbers(row, shown))
        if len(taken.accounts) > FILES:
            table.add_row(f"... and {len(taken.accounts) - FILES:,} more")
        if len(taken.accounts) > 1:
            total = {name: sum(row[name] for row in taken.accounts) for name in NUMBERS}
            table.add_row(Text("all"), *_numbers(total, shown), style="bold")
        out.print(table)
        for row in taken.accounts[:FILES]:
            if row["note"]:
                out.print(Text(terminal(f"{row['path']}: {row['note']}", keep="")))
    if len(taken.known) > NAMED:
        out.print(f"{len(taken.known):,} files were left: their content was read before.")
    else:
        for path in taken.known:
            out.print(Text(terminal(f"{path}: its content was read before", keep="")))
    for path, why in taken.skipped[:FILES]:
        out.print(Text(terminal(why if path in why else f"{path}: {why}", keep="")))
    if len(taken.skipped) > FILES:
        out.print(f"... and {len(taken.skipped) - FILES:,} more that could not be read.")


def _folder(paths: "Iterable[str]") -> str:
    """Where all of them lie, which need not be said of each; empty where that is the root, or nowhere."""
    folders = {Path(path).parent for path in paths}
    if len({folder.is_absolute() for folder in folders}) > 1:
        return ""
    common = os.path.commonpath(folders)
    return "" if common == os.sep else common


NUMBERS = ("bytes", "packets", "parsed", "ignored", "malformed", "messages")


def _numbers(row: dict[str, Any], shown: list[str]) -> list[str]:
    return [octets(row[name]) if name == "bytes" else f"{row[name]:,}" for name in shown]
