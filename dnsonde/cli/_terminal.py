"""The terminal: one way to make its consoles."""

import re
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import click

from dnsonde.stopping import is_unread, print_no_more

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

    from rich.console import Console

WIDTH = 100  # of what goes to a file or a pipe
WIDTH_MAX = 120  # nobody reads longer lines
BLANKS = re.compile(r" +$", re.MULTILINE)
NARROW = 60  # columns, below which a list has no columns


def console(*, stderr: bool = False, file: "TextIO | None" = None) -> "Console":
    """A rich console that neither guesses markup nor highlights what it is given; by itself on standard output."""
    from rich.console import Console

    file = file or (sys.stderr if stderr else sys.stdout)
    if file.isatty():
        width = min(shutil.get_terminal_size().columns, WIDTH_MAX)
        return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)
    return Console(
        file=cast("TextIO", _Trimmed(file)), width=WIDTH, markup=False, highlight=False, emoji=False
    )


class _Trimmed:
    """A text file whose lines, written whole, end without the blanks that fill the last column."""

    def __init__(self, file: "TextIO") -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        """Write whole lines."""
        return self._file.write(BLANKS.sub("", text))


@contextmanager
def ending(code: int) -> "Iterator[None]":
    """Print in here: the command ends with this exit code also where nobody reads all of it."""
    try:
        yield
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as error:
        if not is_unread(error):
            raise
        print_no_more()
        raise click.exceptions.Exit(code) from error


def counted(number: int, one: str, many: str) -> str:
    """A number and its noun."""
    return f"{number:,} {one if number == 1 else many}"


def show_list(out: "Console", headings: tuple[str, ...], rows: "Iterable[tuple[str, ...]]") -> None:
    """A name, what it is of if anything, and a sentence, in columns; where narrow, the sentence below the others."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    if out.width < NARROW:
        for name, *of, sentence in rows:
            out.print(Text(f"{name} ({', '.join(of)})" if of else name, style="bold"))
            out.print(Padding(Text(sentence), (0, 0, 0, 2)))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=heading != headings[-1])
    for *cells, sentence in rows:
        table.add_row(*cells, Text(sentence))
    out.print(table)
