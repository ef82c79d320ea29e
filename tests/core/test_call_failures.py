"""When failed calls are worth a line of the log."""

from __future__ import annotations

from watcher.core.polling.call_failures import IN_A_ROW, PERIOD_S, CallFailures


def test_before_the_first_answer_one_failure_is_worth_a_line() -> None:
    """The first failed call since the start is, and the next ones are again after a minute."""
    failures = CallFailures()
    assert [failures.failed(now) for now in (0.0, 1.0, PERIOD_S, PERIOD_S + 1)] == [True, False, True, False]
    assert failures.in_a_row == 4


def test_after_an_answer_several_in_a_row_are_needed() -> None:
    """Failures between answers are no line; as many as `IN_A_ROW` without an answer between them are."""
    failures = CallFailures()
    for now in range(10):
        failures.answered()
        assert not any(failures.failed(now) for _ in range(IN_A_ROW - 1))
    assert failures.failed(10.0)
    assert failures.in_a_row == IN_A_ROW
