"""A table for people: aligned columns, as wide as the terminal."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO, TextIOWrapper
from itertools import chain, islice
from typing import BinaryIO

import pyarrow as pa
from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from dnsonde.escape import terminal
from dnsonde.table.texts import said

MEASURED = 10_000  # rows, by which the columns are measured
WIDE = 160  # of what goes to a file or a pipe
WORD = 40  # cells: a longer one may be broken, an IPv6 address may not
GAP = "  "


def table(rows: pa.RecordBatchReader, out: BinaryIO) -> None:
    """Write rows as aligned text; whatever would steer a terminal is spelled out.

    Columns are as wide as the first 10,000 rows need, so that any number of rows can be written.
    """
    to_terminal = out.isatty()
    width = shutil.get_terminal_size().columns if to_terminal else WIDE
    names = [terminal(name, keep="") for name in rows.schema.names]
    values = ([_said(value) for value in row] for batch in rows for row in _values(batch))
    first = list(islice(values, MEASURED))
    folds = [pa.types.is_string(field.type) for field in rows.schema]
    widths = _widths(folds, [names, *first], width)
    told = chain(first, values)
    text = TextIOWrapper(out, encoding="utf-8", write_through=True)
    try:
        if widths is None:
            longest = max(map(cell_len, names))
            text.writelines(_one_by_one(names, told, (longest, max(1, width - longest - len(GAP)))))
            return
        right = [_is_number(field.type) for field in rows.schema]
        head = StringIO()
        # Rich knows whether the terminal can show a bold line.
        console = Console(file=head, force_terminal=to_terminal, highlight=False)
        for line in _lines(names, widths, right, folds):
            console.print(Text(line, style="bold"), soft_wrap=True)
        text.write(head.getvalue())
        text.writelines(f"{line}\n" for row in told for line in _lines(row, widths, right, folds))
    finally:
        text.detach()


def _values(batch: pa.RecordBatch) -> Iterable[tuple[object, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _widths(folds: Sequence[bool], told: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Cells of each column, its name first: what it needs, or, where it folds, what has room. None: too little."""
    least = needed = [0] * len(folds)
    for row in told:
        needed = [max(most, cell_len(value)) for most, value in zip(needed, row, strict=True)]
        least = [
            max(most, _longest_word(value) if fold else cell_len(value))
            for most, value, fold in zip(least, row, folds, strict=True)
        ]
    room = width - len(GAP) * (len(needed) - 1)
    if sum(least) > room:
        return None
    # The widest give way first, all down to one width.
    cap = min(max(needed, default=0), room)
    while sum(fit := [max(few, min(most, cap)) for few, most in zip(least, needed, strict=True)]) > room:
        cap -= 1
    return fit


def _longest_word(text: str) -> int:
    return min(max(map(cell_len, text.split(" "))), WORD)


def _lines(
    row: Sequence[str], widths: Sequence[int], right: Sequence[bool], folds: Sequence[bool]
) -> Iterator[str]:
    """The lines of one row; what is no text and too wide for its column reaches into the next."""
    cells = [
        _folded(value, width) if fold else [value]
        for value, width, fold in zip(row, widths, folds, strict=True)
    ]
    for number in range(max(map(len, cells), default=0)):
        line = []
        for lines, width, to_the_right in zip(cells, widths, right, strict=True):
            said = lines[number] if number < len(lines) else ""
            blank = " " * (width - cell_len(said))
            line.append(blank + said if to_the_right else said + blank)
        yield GAP.join(line).rstrip()


def _one_by_one(
    names: Sequence[str], told: Iterable[Sequence[str]], widths: tuple[int, int]
) -> Iterator[str]:
    """A line a value, where columns would be too narrow to be read."""
    for row in told:
        for pair in zip(names, row, strict=True):
            for line in _lines(pair, widths, (False, False), (True, True)):
                yield f"{line}\n"
        yield "\n"


def _folded(text: str, width: int) -> list[str]:
    """A text in lines of at most so many cells, broken between words where there are any."""
    if cell_len(text) <= width:
        return [text]
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(longer) <= width:
            lines[-1] = longer
            continue
        whole = chop_cells(word, width)
        lines += whole if lines[-1] else []
        if not lines[0]:
            lines = whole
    return lines


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _said(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return terminal(said(value), keep="")
