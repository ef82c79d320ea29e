"""What a failed poll means for a watch: trouble in polling is never trouble of the task."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import DAY, NOW, seen, watch_of
from watcher.core.polling.poll_errors import MAX_BACKOFF_S, PARKED_S, SUSPECT_S, on_poll_error, overdue_since, polled_alone, wait_range
from watcher.core.polling.transitions import WatchSettings, advance
from watcher.errors import (
    BatchFailed,
    Busy,
    CredentialsRejected,
    Denied,
    Invalid,
    NotFound,
    RemoteError,
    Throttled,
    Unavailable,
    Unreadable,
)
from watcher.kinds.catalog import builtin_catalog
from watcher.model import EventType

KIND = builtin_catalog()["speaker-search"]
ERRORS: dict[str, RemoteError] = {
    cls.reason: cls("code") for cls in (Throttled, Unavailable, Busy, NotFound, Denied, Invalid, CredentialsRejected, Unreadable)
}
ERRORS["batch"] = BatchFailed(Denied("code"))
FOREIGN = Unreadable("404", foreign=True)
ENDS = {
    ("not_found", "not_found"),
    ("not_found", "expired"),
    ("not_found", "deadline"),
    ("denied", "denied"),
    ("invalid", "invalid"),
    ("unreadable", "deadline"),
    ("busy", "busy"),
}
"""Which error may end a watch, and with which reason."""
NEVER_THE_TASKS = ["throttled", "unavailable", "credentials", "batch"]


def after(*errors, watch=None, suspect=False, clock=0.0, **settings):
    """The last step after errors of (reason, seconds from NOW). `clock`: how far the wall clock is off, in seconds."""
    watch, before = watch or watch_of(), None
    for reason, at in errors:
        error = FOREIGN if reason == "foreign" else ERRORS[reason]
        repeated, before = reason == before, reason
        taken = on_poll_error(KIND, watch, error, NOW + at + clock, WatchSettings(**settings), mono=at, suspect=suspect, repeated=repeated)
        watch = taken.watch
    return taken


def test_every_remote_error_is_covered() -> None:
    """Each subclass of RemoteError has a case in this file."""
    assert {cls.reason for cls in RemoteError.__subclasses__()} == set(ERRORS)


@given(
    st.lists(st.tuples(st.sampled_from(NEVER_THE_TASKS), st.floats(0, 10 * DAY)), min_size=1, max_size=40).map(
        lambda answers: sorted(answers, key=lambda answer: answer[1])
    )
)
def test_trouble_in_polling_never_ends_a_watch(errors) -> None:
    """Throttling, outages and rejected credentials, however many and after the deadline, end no watch and emit no event."""
    taken = after(*errors)
    assert taken.watch.open
    assert not taken.changed
    assert taken.reason == errors[-1][0]
    assert taken.watch.polls == len(errors)


@given(st.lists(st.tuples(st.sampled_from(sorted(ERRORS)), st.floats(0.1, 900)), max_size=40), st.booleans())
def test_any_series_of_failures_waits_within_bounds_and_ends_once(errors, suspect) -> None:
    """Each wait is a valid range of at most eleven minutes, and a watch ends with one event, for an allowed reason."""
    watch, now = watch_of(), NOW
    for reason, elapsed in errors:
        now += elapsed
        taken = on_poll_error(KIND, watch, ERRORS[reason], now, WatchSettings(), mono=now - NOW, suspect=suspect)
        if not taken.watch.open:
            (transition,) = taken.transitions
            assert taken.reason == transition.reason == taken.watch.end_reason
            assert (transition.type, transition.terminal) == (EventType.ENDED, True)
            assert (reason, transition.reason) in ENDS
            return
        assert not taken.transitions
        low, high = taken.wait_s or (0, 0)
        assert 0 <= low <= high <= PARKED_S[1]
        watch = taken.watch


@pytest.mark.parametrize("reason", ["throttled", "credentials", "batch"])
def test_throttling_and_rejected_credentials_cost_the_task_nothing(reason) -> None:
    """The task has no wait of its own and no failure, because the pace and the circuits slow all calls down."""
    taken = after((reason, 1))
    assert (taken.wait_s, taken.watch.failures, taken.watch.failing_since) == (None, 0, None)


def test_a_busy_task_is_polled_again_soon_and_then_less_often() -> None:
    """The wait after a conflict is half a second to two seconds; each further one in a row doubles it, to half a minute to a minute."""
    waits = [after(*[("busy", at) for at in range(n)]).wait_s for n in range(1, 9)]
    assert waits == [(0.5, 2), (1, 4), (2, 8), (4, 16), (8, 32), (16, 60), (30, 60), (30, 60)]
    assert after(*[("unavailable", at) for at in range(50)], ("busy", 51)).wait_s == (0.5, 2.0), "an outage is no conflict"
    assert after(("denied", 0), ("busy", 1), ("busy", 2)).watch.failures == 1, "a conflict is no denial"


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ([("busy", DAY - 9 + n) for n in range(9)], None),
        ([("busy", DAY - 4 + n) for n in range(7)], "busy"),
        ([("busy", DAY + n) for n in range(5)], None),
        ([("busy", DAY + n) for n in range(6)], "busy"),
        ([("unavailable", DAY - 50 + n) for n in range(99)] + [("busy", DAY + 60)], None),
        ([("denied", DAY - 30), ("busy", DAY - 1), ("busy", DAY + 29)], None),
        ([("denied", DAY - 30), ("busy", DAY - 1), ("busy", DAY + 30)], "busy"),
    ],
)
def test_a_task_that_is_always_busy_ends_at_its_deadline(errors, reason) -> None:
    """With a reason of its own, once a series of conflicts shows that no other answer comes."""
    taken = after(*errors)
    assert taken.watch.end_reason == reason


def test_a_conflict_shortens_no_grace_period() -> None:
    """A task that was busy for minutes and is then not found has its whole grace period."""
    busy = after(*[("busy", 30 * n) for n in range(10)])
    assert after(("not_found", 300), ("not_found", 359), watch=busy.watch).watch.open
    assert not after(("not_found", 300), ("not_found", 360), watch=busy.watch).watch.open


def test_an_outage_backs_off_with_full_jitter_to_a_minute() -> None:
    """The range starts at 0, doubles with each failure, and never exceeds 60 s, even after twelve hours."""
    waits = [after(*[("unavailable", at) for at in range(n)]).wait_s for n in range(1, 9)]
    assert waits == [(0.0, high) for high in (1, 2, 4, 8, 16, 32, 60, 60)]
    assert after(*[("unavailable", 30 * n) for n in range(1440)]).wait_s == (0.0, MAX_BACKOFF_S)
    assert after(*[("unavailable", 30 * n) for n in range(1440)], suspect=True).wait_s == SUSPECT_S, "the circuit decides"


@pytest.mark.parametrize(
    ("misses", "grace", "reason"),
    [
        ([0], 60, None),
        ([0, 20, 59.9], 60, None),
        ([0, 20, 60], 60, "not_found"),
        ([0], 0, "not_found"),
        ([0, 100], 300, None),
    ],
)
def test_a_task_that_is_not_found_has_a_grace_period(misses, grace, reason) -> None:
    """The grace period starts with the first miss, and a miss after it ends the watch."""
    taken = after(*[("not_found", at) for at in misses], not_found_grace=grace)
    assert taken.watch.end_reason == reason
    if reason is None:
        low, high = taken.wait_s
        assert 2.0 <= low <= high <= 10.0


def test_a_step_of_the_clock_ends_no_grace_period() -> None:
    """Setting the clock by twenty minutes between two misses makes the grace period neither shorter nor longer."""
    missed = after(("not_found", 0))
    assert after(("not_found", 5), watch=missed.watch, clock=1200.0).watch.open
    assert not after(("not_found", 60), watch=missed.watch, clock=-1200.0).watch.open


def test_a_task_that_was_found_has_a_new_grace_period() -> None:
    """An observation between two misses cancels the first miss."""
    missed = after(("not_found", 0))
    there = advance(KIND, missed.watch, seen("IN_QUEUE", 20), WatchSettings()).watch
    assert after(("not_found", 65), watch=there).watch.open


@pytest.mark.parametrize("known", [{"admitted_at": NOW - 7 * DAY - 1}, {"created_at": NOW - 7 * DAY - 1}])
def test_a_task_not_found_after_its_retention_is_expired(known) -> None:
    """The service forgets a task after seven days; after that, the first miss ends the watch with `expired`."""
    assert after(("not_found", 0), watch=watch_of(**known)).watch.end_reason == "expired"
    assert after(("not_found", -2), watch=watch_of(**known)).watch.end_reason is None


def test_the_third_denial_ends_the_watch() -> None:
    """After each of the first two denials the wait is 20 to 30 s."""
    assert after(("denied", 0)).wait_s == after(("denied", 0), ("denied", 25)).wait_s == (20.0, 30.0)
    assert after(("denied", 0), ("denied", 25), ("denied", 50)).watch.end_reason == "denied"


def test_denials_while_a_circuit_is_open_do_not_count() -> None:
    """They are about the credentials: no number of them ends a watch, and none is a failure of the task."""
    taken = after(*[("denied", 30 * n) for n in range(100)], suspect=True)
    assert taken.watch.open
    assert taken.watch.failures == 0


def test_an_invalid_request_ends_at_once() -> None:
    """A request that cannot succeed is not repeated."""
    assert after(("invalid", 0)).watch.end_reason == "invalid"


def test_a_task_with_unreadable_replies_is_polled_rarely_from_the_fifth_on() -> None:
    """The first four waits grow; after that the task is polled every ten minutes, and its watch does not end."""
    tries = [after(*[("unreadable", at) for at in range(n)]) for n in range(1, 8)]
    assert [taken.wait_s for taken in tries] == [(0, 1), (0, 2), (0, 4), (0, 8), PARKED_S, PARKED_S, PARKED_S]
    assert all(taken.watch.open for taken in tries)


@pytest.mark.parametrize(("at", "reason"), [(DAY - 1, None), (DAY, "deadline")])
def test_a_watch_with_unreadable_replies_ends_at_its_deadline(at, reason) -> None:
    """A task that is polled rarely does not stay in the set forever."""
    assert after(("unreadable", at)).watch.end_reason == reason


def test_unreadable_replies_end_no_watch_while_a_circuit_is_open() -> None:
    """They may come from a proxy and say nothing about the task, even after its deadline; the next probe may be about it."""
    taken = after(*[("unreadable", 2 * DAY + n) for n in range(20)], suspect=True)
    assert taken.watch.open
    assert taken.wait_s == SUSPECT_S
    assert taken.watch.failures == 0


@pytest.mark.parametrize(("answers", "reason"), [(1, None), (4, None), (5, "deadline")])
def test_foreign_answers_end_a_watch_only_if_others_are_answered(answers, reason) -> None:
    """After its deadline a watch outlives some answers of a proxy, so that a circuit can open; one that gets nothing else ends."""
    assert after(*[("foreign", DAY + n) for n in range(answers)]).watch.end_reason == reason


@pytest.mark.parametrize(("at", "reason"), [(0, None), (600, None), (DAY - 1, None), (DAY, "deadline")])
def test_a_missing_task_ends_at_its_deadline_only_while_nothing_is_found(at, reason) -> None:
    """While `not_found` is open, no grace period and no retention ends a watch."""
    taken = after(("not_found", 0), ("not_found", at), suspect=True, not_found_grace=20)
    assert taken.watch.end_reason == reason
    assert taken.wait_s == (None if reason else (2.0, 5.0))
    old = watch_of(created_at=NOW - 8 * DAY)
    assert after(("not_found", 0), watch=old, suspect=True).watch.open


@pytest.mark.parametrize(("misses", "since"), [([0, 59], None), ([0, 60], 0), ([7, 99], 7)])
def test_a_task_is_overdue_when_one_more_miss_ends_its_watch(misses, since) -> None:
    """The time is that of the first miss in a row."""
    *before, last = misses
    watch = after(*[("not_found", at) for at in before]).watch
    assert overdue_since(KIND, watch, NOW + last, WatchSettings(), mono=last) == since
    assert overdue_since(KIND, watch_of(created_at=NOW - 8 * DAY), NOW, WatchSettings(), mono=3.0) == 3.0


@pytest.mark.parametrize(
    ("errors", "tries"),
    [
        ([("unavailable", n) for n in range(9)] + [("denied", 10)], 1),
        ([("denied", 0), ("unavailable", 5), ("unavailable", 6), ("denied", 30)], 2),
        ([("unavailable", n) for n in range(9)] + [("unreadable", 10)], 1),
        ([("not_found", 0), ("not_found", 10), ("not_found", 20), ("denied", 30)], 1),
    ],
)
def test_outages_and_misses_do_not_count_as_tries(errors, tries) -> None:
    """An outage before a denial or an unreadable reply brings the watch no closer to its end, and the task no closer to rare polls."""
    taken = after(*errors)
    assert taken.watch.open
    assert taken.watch.failures == tries
    assert taken.wait_s != PARKED_S


def test_an_outage_does_not_use_up_the_grace_period() -> None:
    """Ten minutes of outage are not ten minutes of misses; but an outage between two misses does not restart the grace period."""
    assert after(("unavailable", 0), ("unavailable", 590), ("not_found", 600)).watch.open
    assert not after(("not_found", 0), ("unavailable", 30), ("not_found", 61)).watch.open


def test_a_failing_task_backs_off_from_an_outage_too() -> None:
    """The wait in an outage grows to a minute also for a task that was not found before."""
    highs = [after(("not_found", 0), ("unavailable", at)).wait_s[1] for at in (1, 10, 100, 10_000)]
    assert highs == [2.0, 10.0, 60.0, 60.0]


@pytest.mark.parametrize("reason", ERRORS)
def test_the_range_of_a_reason_holds_each_wait(reason) -> None:
    """Each wait after failures in a row is in the range of their reason, whether or not the number of failures is known."""
    for failures in range(1, 12):
        step = after(*[(reason, at) for at in range(failures)], not_found_grace=30)
        if step.watch.ended_at is not None:
            return
        for known in (failures, None):
            low, high = wait_range(reason, WatchSettings(not_found_grace=30), failures=known) or (None, None)
            assert (step.wait_s is None) == (low is None)
            if step.wait_s is not None:
                assert low <= step.wait_s[0] <= step.wait_s[1] <= high


def alone(error: RemoteError) -> RemoteError:
    """The error of a call about this task alone that would fail each call about several tasks."""
    error.alone = True
    return error


def oversized(error: RemoteError) -> RemoteError:
    """The error of a call whose reply was too large."""
    error.oversized = True
    return error


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize(
    ("outcome", "after"),
    [
        (BatchFailed(Denied("code")), True),
        (BatchFailed(oversized(Unreadable("200"))), False),
        (alone(Denied("code")), True),
        (alone(NotFound("code")), True),
        (Denied("code"), False),
        (NotFound("code"), False),
        (seen("IN_QUEUE"), False),
        *((ERRORS[reason], None) for reason in ("throttled", "unavailable", "credentials", "busy")),
        (FOREIGN, None),
    ],
)
def test_a_task_that_would_fail_a_batch_is_polled_alone(outcome, after, before) -> None:
    """Until a poll shows that it does not: its state, or an error that concerns this task only. Trouble in polling changes nothing."""
    assert polled_alone(outcome, before) == (before if after is None else after)
