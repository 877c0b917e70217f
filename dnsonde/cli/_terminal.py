"""The terminal: one way to make its consoles."""

import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

WIDTH = 100  # of what goes to a file or a pipe
WIDTH_MAX = 120  # nobody reads longer lines
NARROW = 60  # columns, below which a list has no columns


def console(*, stderr: bool = False) -> "Console":
    """A rich console that neither guesses markup nor highlights what it is given."""
    from rich.console import Console

    to_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = min(shutil.get_terminal_size().columns, WIDTH_MAX) if to_terminal else WIDTH
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


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
