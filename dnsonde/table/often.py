"""How often the rows of work that goes on for weeks go to disk."""

LONGEST_US = 300_000_000


def between_us(shortest_us: int, elapsed_us: int, longest_us: int = LONGEST_US) -> int:
    """How long rows may wait, `elapsed_us` after the work began: what a process that is killed may lose.

    A two-hundredth of that time, at least `shortest_us`, at most `longest_us` (or `shortest_us`): with five minutes a
    week is some 3,000 parts, where a part each second would be 600,000.
    """
    return max(shortest_us, min(elapsed_us // 200, longest_us))
