"""How many lines about the same trouble are logged."""

from watcher.core.delivery.log_limit import LINES, PERIOD_S, LogLimit


def test_lines_beyond_the_limit_are_counted_on_the_next_one() -> None:
    """The first lines of a period are logged; the first of the next period says how many were suppressed."""
    limit = LogLimit()
    assert [limit.admit(5.0) for _ in range(LINES)] == [0] * LINES
    assert [limit.admit(5.0 + PERIOD_S - 0.1) for _ in range(7)] == [None] * 7
    assert limit.admit(5.0 + PERIOD_S) == 7
    assert limit.admit(6.0 + PERIOD_S) == 0
