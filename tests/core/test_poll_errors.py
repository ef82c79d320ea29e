"""What a failed poll means for a watch: trouble in asking is never trouble of the task."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import DAY, NOW, seen, watch_of
from watcher.core.polling.poll_errors import MAX_BACKOFF_S, PARKED_S, on_poll_error
from watcher.core.polling.transitions import WatchSettings, advance
from watcher.errors import (
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
from watcher.kinds import KINDS
from watcher.model import EventType

KIND = KINDS["speaker-search"]
ERRORS = {cls.reason: cls("code") for cls in (Throttled, Unavailable, Busy, NotFound, Denied, Invalid, CredentialsRejected, Unreadable)}
ENDS = {("not_found", "not_found"), ("not_found", "expired"), ("denied", "denied"), ("invalid", "invalid"), ("unreadable", "deadline")}
"""Which error may end a watch, and as what."""
NEVER_THE_TASKS = ["throttled", "unavailable", "busy", "credentials"]


def answers(*errors, watch=None, suspect=False, clock=0.0, **settings):
    """The watch after (reason, seconds from NOW) each, and the last step. `clock`: the wall clock is off by so much."""
    watch = watch or watch_of()
    for reason, at in errors:
        taken = on_poll_error(KIND, watch, ERRORS[reason], NOW + at + clock, WatchSettings(**settings), mono=at, suspect=suspect)
        watch = taken.watch
    return taken


def test_every_error_of_the_world_is_here() -> None:
    """Each class under RemoteError has a case in this file."""
    assert {cls.reason for cls in RemoteError.__subclasses__()} == set(ERRORS)


@given(
    st.lists(st.tuples(st.sampled_from(NEVER_THE_TASKS), st.floats(0, 10 * DAY)), min_size=1, max_size=40).map(
        lambda answers: sorted(answers, key=lambda answer: answer[1])
    )
)
def test_not_being_able_to_ask_never_ends_a_watch(errors) -> None:
    """Throttles, outages, conflicts and bad credentials, however many and long past the deadline, end nothing and tell nothing."""
    taken = answers(*errors)
    assert taken.watch.open
    assert not taken.changed
    assert taken.reason == errors[-1][0]
    assert taken.watch.polls == len(errors)


@given(st.lists(st.tuples(st.sampled_from(sorted(ERRORS)), st.floats(0.1, 900)), max_size=40), st.booleans())
def test_any_series_of_failures_waits_within_bounds_and_ends_once(errors, suspect) -> None:
    """Each wait is a range in order, of at most eleven minutes; only five reasons end a watch, with one event."""
    watch, now = watch_of(), NOW
    for reason, gone in errors:
        now += gone
        taken = on_poll_error(KIND, watch, ERRORS[reason], now, WatchSettings(), mono=now - NOW, suspect=suspect)
        if not taken.watch.open:
            (told,) = taken.transitions
            assert taken.reason == told.reason == taken.watch.end_reason
            assert (told.type, told.terminal) == (EventType.ENDED, True)
            assert (reason, told.reason) in ENDS
            return
        assert not taken.transitions
        low, high = taken.wait_s or (0, 0)
        assert 0 <= low <= high <= PARKED_S[1]
        watch = taken.watch


@pytest.mark.parametrize("reason", ["throttled", "credentials"])
def test_a_throttle_or_a_credential_costs_the_task_nothing(reason) -> None:
    """No wait of its own and no failure: the pace and the circuits carry it."""
    taken = answers((reason, 1))
    assert (taken.wait_s, taken.watch.failures, taken.watch.failing_since) == (None, 0, None)


def test_a_busy_task_is_asked_again_soon() -> None:
    """A conflict waits half a second to two, however often it comes."""
    assert answers(*[("busy", at) for at in range(20)]).wait_s == (0.5, 2.0)


def test_an_outage_backs_off_with_full_jitter_to_a_minute() -> None:
    """The range doubles with each failure, begins at 0, and never reaches beyond 60 s, also after twelve hours."""
    waits = [answers(*[("unavailable", at) for at in range(n)]).wait_s for n in range(1, 9)]
    assert waits == [(0.0, high) for high in (1, 2, 4, 8, 16, 32, 60, 60)]
    assert answers(*[("unavailable", 30 * n) for n in range(1440)]).wait_s == (0.0, MAX_BACKOFF_S)


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
def test_a_task_not_found_has_its_grace(misses, grace, reason) -> None:
    """Not found counts from its first time, and ends the watch when the grace is over."""
    taken = answers(*[("not_found", at) for at in misses], not_found_grace=grace)
    assert taken.watch.end_reason == reason
    if reason is None:
        low, high = taken.wait_s
        assert 2.0 <= low <= high <= 10.0


def test_a_step_of_the_clock_ends_no_grace() -> None:
    """A clock set forward by twenty minutes between two misses makes nobody wait longer, or less."""
    missed = answers(("not_found", 0))
    assert answers(("not_found", 5), watch=missed.watch, clock=1200.0).watch.open
    assert not answers(("not_found", 60), watch=missed.watch, clock=-1200.0).watch.open


def test_a_task_that_is_found_in_time_has_its_grace_again() -> None:
    """An observation between two misses forgives the first."""
    missed = answers(("not_found", 0))
    there = advance(KIND, missed.watch, seen("IN_QUEUE", 20), WatchSettings()).watch
    assert answers(("not_found", 65), watch=there).watch.open


@pytest.mark.parametrize("known", [{"admitted_at": NOW - 7 * DAY - 1}, {"created_at": NOW - 7 * DAY - 1}])
def test_a_task_not_found_after_its_retention_is_expired(known) -> None:
    """The service forgets a task after seven days: then not found means expired, at once."""
    assert answers(("not_found", 0), watch=watch_of(**known)).watch.end_reason == "expired"
    assert answers(("not_found", -2), watch=watch_of(**known)).watch.end_reason is None


def test_the_third_denial_ends_the_watch() -> None:
    """Two denials wait 20 to 30 s each; the third is believed."""
    assert answers(("denied", 0)).wait_s == answers(("denied", 0), ("denied", 25)).wait_s == (20.0, 30.0)
    assert answers(("denied", 0), ("denied", 25), ("denied", 50)).watch.end_reason == "denied"


def test_a_denial_under_suspicion_speaks_of_our_credentials() -> None:
    """While the credential circuit is open no number of denials ends a watch, and none is counted."""
    taken = answers(*[("denied", 30 * n) for n in range(100)], suspect=True)
    assert taken.watch.open
    assert taken.watch.failures == 0


def test_an_invalid_request_ends_at_once() -> None:
    """What cannot heal is not repeated."""
    assert answers(("invalid", 0)).watch.end_reason == "invalid"


def test_an_unreadable_reply_is_tried_five_times_and_then_parked() -> None:
    """Four tries back off; from the fifth on the task is asked about every ten minutes, and not ended."""
    tries = [answers(*[("unreadable", at) for at in range(n)]) for n in range(1, 8)]
    assert [taken.wait_s for taken in tries] == [(0, 1), (0, 2), (0, 4), (0, 8), PARKED_S, PARKED_S, PARKED_S]
    assert all(taken.watch.open for taken in tries)


@pytest.mark.parametrize(("at", "reason"), [(DAY - 1, None), (DAY, "deadline")])
def test_a_task_whose_replies_make_no_sense_ends_at_its_deadline(at, reason) -> None:
    """A parked task does not stay for ever."""
    assert answers(("unreadable", at)).watch.end_reason == reason


def test_replies_without_sense_end_no_watch_while_a_circuit_is_open() -> None:
    """A proxy that answers for the service, past the deadline too, is no word about the task."""
    assert answers(("unreadable", 2 * DAY), suspect=True).watch.open


@pytest.mark.parametrize(
    ("errors", "tries"),
    [
        ([("unavailable", n) for n in range(9)] + [("denied", 10)], 1),
        ([("denied", 0), ("unavailable", 5), ("unavailable", 6), ("denied", 30)], 2),
        ([("unavailable", n) for n in range(9)] + [("unreadable", 10)], 1),
        ([("not_found", 0), ("not_found", 10), ("not_found", 20), ("denied", 30)], 1),
    ],
)
def test_outages_and_misses_are_no_tries_of_another_trouble(errors, tries) -> None:
    """A task is not given up for a denial, nor parked for a garbled reply, because the service was down before."""
    taken = answers(*errors)
    assert taken.watch.open
    assert taken.watch.failures == tries
    assert taken.wait_s != PARKED_S


def test_an_outage_takes_nothing_off_the_grace_of_a_task() -> None:
    """Ten minutes without an answer are no ten minutes of not being found; but an outage between two misses does not start anew."""
    assert answers(("unavailable", 0), ("unavailable", 590), ("not_found", 600)).watch.open
    assert not answers(("not_found", 0), ("unavailable", 30), ("not_found", 61)).watch.open


def test_a_task_in_trouble_backs_off_from_an_outage_too() -> None:
    """The wait of an outage grows to a minute also for a task that was in trouble of its own before."""
    highs = [answers(("not_found", 0), ("unavailable", at)).wait_s[1] for at in (1, 10, 100, 10_000)]
    assert highs == [2.0, 10.0, 60.0, 60.0]
