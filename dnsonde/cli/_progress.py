"""The live line: sent, answered, rate, time left; for people, for machines, or for nobody."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import click

from dnsonde.clock import spoken
from dnsonde.escape import terminal

if TYPE_CHECKING:
    from typing import TypeAlias

    from dnsonde import run, take

    Progress: TypeAlias = run.Progress | take.Progress

Phrases = Callable[[Any], list[str]]  # of the caller's kind of progress

BELOW = {"d": "h", "h": "min", "min": "s"}
PLAIN_FIRST_S, PLAIN_SHARE, PLAIN_LAST_S = 2.0, 0.1, 60.0

MODES = click.Choice(["auto", "line", "plain", "jsonl", "none"])

option = click.option(
    "--progress",
    "mode",
    type=MODES,
    default="auto",
    show_default=True,
    help="How to tell the progress, on stderr: a live line, plain lines, JSON lines, nothing; "
    "auto is a line on a terminal and plain elsewhere.",
)


class Watch(Protocol):
    """Who is told how far the work is."""

    def tell(self, progress: "Progress") -> None:
        """Take note of the progress; called several times a second."""
        ...

    def say(self, sentence: str) -> None:
        """Say one sentence, above the live line where there is one."""
        ...


@contextmanager
def watch(mode: str, phrases: Phrases | None = None) -> Iterator[Watch]:
    """A watch of the asked kind, cleared away in the end; `phrases` tells a progress, of a measurement by default."""
    phrases = phrases or probing
    if mode == "auto":
        mode = "line" if sys.stderr.isatty() else "plain"
    if mode == "line":
        line = _Line(phrases)
        try:
            yield line
        finally:
            line.clear()
    else:
        others: dict[str, Callable[[], Watch]] = {
            "plain": lambda: _Plain(phrases), "jsonl": _Jsonl, "none": _Silent
        }  # fmt: skip
        yield others[mode]()


class _Line:
    """One line of the terminal, written again and again."""

    def __init__(self, phrases: Phrases) -> None:
        from rich.live import Live

        from dnsonde.cli._terminal import console

        self._phrases = phrases
        self._live = Live(console=console(stderr=True), refresh_per_second=8, transient=True)
        self._live.start()

    def tell(self, progress: "Progress") -> None:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        row = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=max(progress.total, 1), completed=progress.done, width=24)
        row.add_row(progress.phase, bar, *self._phrases(progress))
        self._live.update(row)

    def say(self, sentence: str) -> None:
        self._live.console.print(sentence)

    def clear(self) -> None:
        self._live.update("")
        self._live.stop()


class _Plain:
    """A line now and then: logs, CI, cron. Often at first, then one a minute; each phase to its end."""

    def __init__(self, phrases: Phrases) -> None:
        self._phrases = phrases
        self._phase, self._ended = "", False
        self._said_s = 0.0

    def tell(self, progress: "Progress") -> None:
        pause_s = min(max(PLAIN_FIRST_S, PLAIN_SHARE * progress.elapsed_s), PLAIN_LAST_S)
        ends = 0 < progress.total <= progress.done and not self._ended
        if progress.phase == self._phase and not ends and progress.elapsed_s - self._said_s < pause_s:
            return
        self._ended = 0 < progress.total <= progress.done
        self._phase, self._said_s = progress.phase, progress.elapsed_s
        self.say("  ".join([progress.phase, *self._phrases(progress)]))

    def say(self, sentence: str) -> None:
        click.echo(sentence, err=True)


class _Jsonl:
    """One JSON object a line."""

    def tell(self, progress: "Progress") -> None:
        click.echo(json.dumps(progress.as_dict()), err=True)

    def say(self, sentence: str) -> None:
        click.echo(json.dumps({"message": sentence}), err=True)


class _Silent:
    """Nothing."""

    def tell(self, progress: "Progress") -> None:
        pass

    def say(self, sentence: str) -> None:
        pass


def probing(progress: "run.Progress") -> list[str]:
    """The progress in words: share, sent, answered, rate, time left; of a server, which has no end: queries."""
    answered = f"{progress.answered:,} answered"
    rate = f"{progress.rate:,.0f}/s" if progress.rate >= 10 else f"{progress.rate:.2g}/s"
    if not progress.total:
        return [f"{progress.sent:,} queries", answered, rate]
    told = [f"{100 * progress.done // progress.total:3d} %", f"{progress.sent:,} sent", answered, rate]
    if progress.left_s is not None:
        told.append(f"{duration(round(progress.left_s))} left")
    return told


def reading(progress: "take.Progress") -> list[str]:
    """The progress in words: share, octets, rate, time left, file; or which detector runs."""
    share = f"{100 * progress.done // progress.total:3d} %" if progress.total else ""
    told = [share, octets(progress.done), f"{octets(progress.rate)}/s"]
    if progress.phase != "reading":
        told = [share]
    elif progress.left_s is not None:
        told.append(f"{duration(round(progress.left_s))} left")
    return [*told, terminal(progress.item, keep="")]


def octets(count: float) -> str:
    """A number of octets as people say it: 812 B, 4.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """A length of time as people say it: 230 ms, 8 s, 2 min 5 s, 3 h 20 min, 4 d 6 h."""
    unit, number, rest = spoken(seconds * 1e6)
    return f"{number} {unit}" + (f" {rest} {BELOW[unit]}" if rest else "")
