"""What a status in a message means for its new watch, and when the first poll follows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.polling.pending import PendingSet
from watcher.core.polling.submitted_status import advance_by_submission, as_of, rest_of_gap
from watcher.core.polling.transitions import WatchSettings
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Observation, TaskRef, Watch

NOW = 1_790_000_000.0
KIND = builtin_catalog()["voice-tone"]
NEW = Watch(TaskRef("voice-tone", ("vc", "t")), "0" * 32, NOW, NOW + 3600)


def test_the_transition_names_its_origin_and_counts_no_poll() -> None:
    """Only the transition of the message does; the watch was last seen when the service said so."""
    seen = Observation("IN_PROGRESS", NOW, created_at=NOW - 9, started_at=NOW - 4, updated_at=NOW - 4)
    step = advance_by_submission(KIND, NEW, seen, WatchSettings())
    (transition,) = step.transitions
    assert (transition.observed_from, transition.skipped, transition.sequence) == ("submission", ("IN_QUEUE",), 1)
    assert (step.watch.status, step.watch.polls, step.watch.seen_at, step.watch.status_since) == ("IN_PROGRESS", 0, NOW - 4, NOW - 4)


@pytest.mark.parametrize(
    ("times", "at"),
    [
        ({"created_at": NOW - 7}, NOW - 7),
        ({"created_at": NOW - 7, "updated_at": NOW - 1}, NOW - 1),
        ({"updated_at": NOW + 30}, NOW),
        ({}, NOW),
    ],
)
def test_an_observation_is_as_old_as_its_newest_timestamp(times: dict[str, float], at: float) -> None:
    """A clock of the service that is ahead makes it no younger than the message."""
    assert as_of(Observation("IN_QUEUE", NOW, **times)) == at


@given(st.floats(0.01, 3600), st.floats(-100, 1e6))
def test_the_first_poll_is_due_at_the_end_of_the_gap_or_at_once(gap: float, since: float) -> None:
    """Never later than a gap after the service spoke, never in the past."""
    left = rest_of_gap(gap, since)
    assert left == 0 or gap / 2 <= left <= gap
    assert left == 0 if since > gap / 2 else left == pytest.approx(gap - max(0.0, since))


def test_a_watch_that_is_decided_without_a_call_is_in_flight_and_no_call() -> None:
    """Nothing takes it meanwhile, and it takes no place of a call; put back, it is due after its gap."""
    pending = PendingSet()
    entry = pending.add_in_flight(NEW, 10.0)
    assert entry is not None
    assert (len(pending), pending.in_flight, pending.calls_in_flight, pending.take(5)) == (1, 1, 0, [])
    assert pending.add_in_flight(NEW._replace(id="1" * 32), 11.0) is None, "another watch of the task waits for its turn"
    pending.put_back(NEW, 12.0, 5.0, "cadence")
    assert (pending.in_flight, pending.calls_in_flight) == (0, 0)
    first = pending.first()
    assert first is not None
    assert (first.watch.id, first.reason) == ("1" * 32, "new")


def test_one_that_is_dropped_meanwhile_does_not_come_back() -> None:
    """As any watch in flight."""
    pending = PendingSet()
    pending.add_in_flight(NEW, 10.0)
    assert pending.drop(NEW.key)
    pending.put_back(NEW, 12.0, 5.0, "cadence")
    assert (len(pending), pending.first(), pending.wanted) == (0, None, 0)
