"""Charts as SVG: no script, no style attribute, nothing fetched; told apart by colour and by pattern.

What a style sheet says of lines and letters stands at the elements too, for readers that know no style sheets in SVG.
Colours are those of Okabe and Ito, which people with every kind of colour vision tell apart. Each chart has a title
and a description for screen readers; the same numbers stand beside it as a table.
"""

from collections.abc import Iterator, Sequence
from math import floor, log10

from markupsafe import Markup, escape

from dnsonde.clock import moment, to_the_second
from dnsonde.escape import terminal
from dnsonde.page.content import Bars, Chart, Columns, Spans, cut

WIDTH = 860
LABELS = 230  # left of the bars
RIGHT = 70  # where totals are written
ROW = 24
BAR = 16
LEGEND = 22
HEIGHT = 180  # of the columns
LABEL_CHARS = 30
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800,
           604800, 1209600, 2592000, 7776000, 15552000, 31536000, 63072000, 157680000)  # fmt: skip
PARTS_MOST = 3.0  # pixels below which a part is widened, so that it is seen

# Okabe and Ito's colours, and white lines over some of them.
PAINTS = {
    "blue": ("#0072B2", ""),
    "orange": ("#E69F00", "slanted"),
    "sky": ("#56B4E9", ""),
    "red": ("#D55E00", "level"),
    "green": ("#009E73", "upright"),
    "pink": ("#CC79A7", "slanted"),
    "grey": ("#8A8F94", ""),
    "dark": ("#404040", "upright"),
}
GAP = 6.0  # between those lines


def svg(chart: Chart, number: int) -> Markup:
    """A chart as an SVG element to stand in a page; number: its place among those of the page."""
    name = f"c{number}"
    shape = chart.shape
    paints = shape.paints if isinstance(shape, Bars) and shape.paints else tuple(PAINTS)
    if isinstance(shape, Bars):
        height, body = _bars(shape, paints)
    elif isinstance(shape, Spans):
        height, body = _spans(shape, paints)
    else:
        height, body = _columns(shape, paints)
    head = Markup(
        '<svg viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-labelledby="{n}t {n}d" font-size="12" '
        'xmlns="http://www.w3.org/2000/svg"><title id="{n}t">{title}</title><desc id="{n}d">{tells}</desc>'
    ).format(w=WIDTH, h=round(height), n=name, title=_said(chart.title), tells=_said(chart.tells))
    return head + Markup("").join(body) + Markup("</svg>")


def _said(text: str) -> str:
    return terminal(text, keep="")


def _legend(series: Sequence[str], paints: Sequence[str]) -> tuple[float, list[Markup]]:
    """Coloured squares with their names, in as many lines as they need; one series needs none."""
    if len(series) < 2:
        return 4.0, []
    parts, x, y = [], 0.0, 4.0
    for number, text in enumerate(series):
        width = 24 + 7.2 * _columns_of(text)
        if x + width > WIDTH and x:
            x, y = 0.0, y + LEGEND
        parts.append(_rect(x, y, 12, 12, paints[number], ""))
        parts.append(_text(x + 17, y + 10.5, text))
        x += width + 12
    return y + LEGEND + 4, parts


def _columns_of(text: str) -> int:
    """How wide a text is, in letters: those of Chinese and Japanese are two."""
    return sum(2 if ord(c) > 0x2E80 else 1 for c in text)


def _bars(shape: Bars, paints: Sequence[str]) -> tuple[float, list[Markup]]:
    top, parts = _legend(shape.series, paints)
    most = max((sum(values) for _, values in shape.rows), default=0) or 1
    room = WIDTH - LABELS - RIGHT
    height = top + ROW * len(shape.rows) + 22
    parts += _ruler(most, LABELS, room, top, height - 20)
    for number, (label, values) in enumerate(shape.rows):
        y = top + ROW * number
        parts.append(_text(LABELS - 8, y + BAR - 1, cut(label, LABEL_CHARS), "end"))
        x = float(LABELS)
        for part, value in enumerate(values):
            if value <= 0:
                continue
            width = max(value / most * room, PARTS_MOST)
            tip = f"{label}: {shape.series[part]} {_amount(value)}"
            parts.append(_rect(x, y + 2, width, BAR, paints[part], tip))
            x += width
        parts.append(_text(x + 6, y + BAR - 1, _amount(sum(values)), kind="n"))
    return height, parts


def _ruler(most: float, left: float, room: float, top: float, bottom: float) -> Iterator[Markup]:
    """Upright lines at round numbers, with the number below."""
    step = _round_step(most / 4)
    value = 0.0
    while value <= most:
        x = left + value / most * room
        yield _line(x, top, x, bottom)
        yield _text(x, bottom + 15, _amount(value), "middle", "a")
        value += step


def _round_step(least: float) -> float:
    least = max(least, 1.0)
    base = 10.0 ** floor(log10(least))
    return next(base * f for f in (1, 2, 5, 10) if base * f >= least)


def _columns(shape: Columns, paints: Sequence[str]) -> tuple[float, list[Markup]]:
    top, parts = _legend([text for text, _ in shape.series], paints)
    bins = max((len(values) for _, values in shape.series), default=0)
    totals = [sum(values[at] for _, values in shape.series) for at in range(bins)]
    most = max(totals, default=0) or 1
    left, room = 64.0, WIDTH - 64.0 - 10
    step = _round_step(most / 4)
    value = 0.0
    while value <= most:
        y = top + HEIGHT - value / most * HEIGHT
        parts += [_line(left, y, left + room, y), _text(left - 6, y + 4, _amount(value), "end", "a")]
        value += step
    width = room / max(bins, 1)
    for at in range(bins):
        y = top + HEIGHT
        when = to_the_second(shape.start_us + at * shape.step_us)
        for number, (text, values) in enumerate(shape.series):
            if values[at]:
                tall = max(values[at] / most * HEIGHT, 1.0)
                y -= tall
                tip = f"{when}: {text} {_amount(values[at])}"
                parts.append(
                    _rect(
                        left + at * width,
                        y,
                        max(width - (1.0 if width > 4 else 0.0), 0.8),
                        tall,
                        paints[number],
                        tip,
                    )
                )
    parts += _times(shape.start_us, shape.start_us + bins * shape.step_us, left, room, top, top + HEIGHT)
    return top + HEIGHT + 24, parts


def _spans(shape: Spans, paints: Sequence[str]) -> tuple[float, list[Markup]]:
    top, parts = _legend(shape.series, paints)
    first = min((start for _, start, _, _ in shape.rows), default=0)
    last = max((end for _, _, end, _ in shape.rows), default=1)
    last = max(last, first + 1)
    room = WIDTH - LABELS - 30
    height = top + ROW * len(shape.rows) + 24
    parts += _times(first, last, LABELS, room, top, height - 22)
    for number, (label, start, end, series) in enumerate(shape.rows):
        y = top + ROW * number
        x = LABELS + (start - first) / (last - first) * room
        width = max((end - start) / (last - first) * room, 5.0)
        tip = f"{label}: {moment(start)} - {moment(end)}, {shape.series[series]}"
        parts.append(_text(LABELS - 8, y + BAR - 1, cut(label, LABEL_CHARS), "end"))
        parts.append(_line(LABELS, y + ROW, LABELS + room, y + ROW))
        parts.append(_rect(x, y + 2, width, BAR, paints[series], tip))
    return height, parts


def _times(first: int, last: int, left: float, room: float, top: float, bottom: float) -> Iterator[Markup]:
    """Upright lines at round times, with the time below."""
    span_s = max((last - first) / 1e6, 1e-6)
    step = next((s for s in STEPS_S if span_s / s <= 6), STEPS_S[-1] * (1 + int(span_s / STEPS_S[-1] / 6)))
    pattern = "%H:%M:%S" if span_s < 600 else "%H:%M" if span_s < 86400 else "%Y-%m-%d"
    value = -(-first // (step * 1_000_000)) * step * 1_000_000
    if value > last:
        value = first
    while value <= last:
        x = left + (value - first) / (last - first) * room
        yield _line(x, top, x, bottom)
        anchor = "start" if x < left + 30 else "end" if x > left + room - 30 else "middle"
        yield _text(x, bottom + 15, f"{moment(value):{pattern}}", anchor, "a")
        value += step * 1_000_000


def _amount(value: float) -> str:
    return f"{value:,.0f}"


def _rect(x: float, y: float, width: float, height: float, paint: str, tip: str) -> Markup:
    """A painted rectangle; `tip` shows when it is pointed at."""
    colour, lines = PAINTS[paint]
    inside = Markup("<title>{}</title>").format(_said(tip)) if tip else Markup("")
    head = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}">')
    drawn = head.format(x, y, width, height, colour) + inside + Markup("</rect>")
    path = "".join(
        f"M{a:.1f},{b:.1f}L{c:.1f},{d:.1f}" for a, b, c, d in _lines(lines, x, y, x + width, y + height)
    )
    return drawn + Markup('<path d="{}" class="w" stroke="#fff"/>').format(path) if path else drawn


def _lines(
    kind: str, x: float, y: float, x2: float, y2: float
) -> Iterator[tuple[float, float, float, float]]:
    """Lines within a rectangle: drawn one by one, since fill patterns become bitmaps on paper."""
    if kind == "level":
        at = y + GAP / 2
        while at < y2:
            yield x, at, x2, at
            at += GAP
    elif kind == "upright":
        at = x + GAP / 2
        while at < x2:
            yield at, y, at, y2
            at += GAP
    elif kind == "slanted":
        at = x + GAP / 2
        while at < x2 + (y2 - y):
            # From the upper edge down to the left, what is outside cut off.
            over = max(at - x2, 0.0)
            under = max(x - (at - (y2 - y)), 0.0)
            yield at - over, y + over, at - (y2 - y) + under, y2 - under
            at += GAP


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "l") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}"{}>{}</text>').format(
        x, y, anchor, kind, Markup(' font-size="11"') if kind != "l" else "", escape(_said(text))
    )


def _line(x: float, y: float, x2: float, y2: float) -> Markup:
    return Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="g" stroke="#ccc"/>').format(
        x, y, x2, y2
    )
