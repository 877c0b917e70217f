"""How often the rows of work that goes on for weeks go to disk."""

LONGEST_US = 300_000_000


def between_us(shortest_us: int, elapsed_us: int) -> int:
    """How long rows may wait, `elapsed_us` after the work began: what a process that is killed may lose.

    A two-hundredth of that time, at least `shortest_us`, at most LONGEST_US (or `shortest_us`): a week is some 3,000
    parts, where a part each second would be 600,000.
    """
    return max(shortest_us, min(elapsed_us // 200, LONGEST_US))
