"""How often rows go to disk."""

from dnsonde.table.often import LONGEST_US, between_us

S = 1_000_000


def test_a_week_leaves_thousands_of_parts_and_the_longest_wait_is_known() -> None:
    for shortest_us in (S, 30 * S):
        elapsed_us, parts, before_us = 0, 0, 0
        while elapsed_us < 7 * 86_400 * S:
            wait_us = between_us(shortest_us, elapsed_us)
            assert before_us <= wait_us <= LONGEST_US
            elapsed_us, parts, before_us = elapsed_us + wait_us, parts + 1, wait_us
        assert parts < 3500


def test_who_asks_for_more_gets_it() -> None:
    assert between_us(2 * LONGEST_US, 0) == 2 * LONGEST_US
