"""Which tasks ride along in a call that is made anyway."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import watch_of
from watcher.core.polling.cadence import Cadence, CadenceSettings
from watcher.core.polling.lane import ADOPTED
from watcher.core.polling.pending_entry import PendingEntry
from watcher.core.polling.riders import LEAST_S, Riders
from watcher.core.polling.schedule import planned_polls
from watcher.kinds.catalog import builtin_catalog
from watcher.model import TaskRef

KIND = builtin_catalog()["speaker-search"]
PRICE_S = 1.0


def riders_of(**settings: float | str) -> Riders:
    """Tasks run for 10 s almost exactly, and wait in the queue for 0 to 40 s: a call now is worth nothing, or something."""
    cadence = Cadence(CadenceSettings.model_validate(settings), [KIND])
    for n in range(200):
        cadence.learn(KIND.name, "IN_PROGRESS", 10 + n / 1000, now=float(n))
        cadence.learn(KIND.name, "IN_QUEUE", n / 5, now=float(n))
    cadence.price = PRICE_S
    return Riders(cadence)


def waiting(name: str, status: str | None, *, polled: float, due: float, reason: str = "cadence") -> PendingEntry:
    """A task whose status began at 0, and that was polled last then: both in seconds of one clock."""
    watch = watch_of(
        TaskRef(KIND.name, ("vc", name)), status=status, status_since=0.0 if status else None, seen_at=polled if status else None
    )
    return PendingEntry(watch, due, polled, 1 / max(0.05, due - polled), reason)


def planned(riders: Riders, name: str, status: str, polled: float) -> PendingEntry:
    """A task that the cadence planned when it was polled last."""
    return waiting(name, status, polled=polled, due=polled + riders.cadence.gap(KIND.name, status, polled))


def names_of(entries: list[PendingEntry]) -> list[str]:
    return [entry.watch.ref.params[-1] for entry in entries]


def test_the_tasks_with_the_most_lag_ride_not_those_that_are_due_first() -> None:
    """Running tasks become due soon but cannot have ended yet; those in the queue become due later and may have left it by now."""
    riders, now = riders_of(), 9.0
    entries = [planned(riders, f"run-{n}", "IN_PROGRESS", 0.0) for n in range(5)] + [
        planned(riders, f"queue-{n}", "IN_QUEUE", 3.0) for n in range(5)
    ]
    by_due = sorted(entries, key=lambda entry: entry.due)
    assert all(entry.due > now for entry in entries)
    chosen = riders.choose(by_due, 5, now)
    assert names_of(chosen) == [f"queue-{n}" for n in range(5)]
    assert sum(riders.lag(entry, now) for entry in chosen) > 3 * sum(riders.lag(entry, now) for entry in by_due[:5])


def test_a_task_that_cannot_have_changed_does_not_ride() -> None:
    """Its next poll would come at the same time: no lag can have accrued, whether it was polled now or before."""
    riders = riders_of()
    riders.cadence.durations(KIND.name, "IN_PROGRESS")._prior_weight = 0.0  # no prior: nothing ends before 10 s
    early = planned(riders, "early", "IN_PROGRESS", 1.0)
    assert riders.lag(early, 5.0) == 0.0
    assert riders.choose([early], 10, 5.0) == []
    again = planned(riders, "early", "IN_PROGRESS", 5.0)
    assert again.due == pytest.approx(early.due, abs=0.05)


def test_no_task_rides_within_the_shortest_gap() -> None:
    """Room in a call is no reason to poll a task more often than `min_gap`."""
    riders = riders_of(min_gap=2)
    entry = planned(riders, "a", "IN_QUEUE", 10.0)
    assert riders.choose([entry], 10, 11.9) == []
    assert riders.choose([entry], 10, 12.0) == [entry]


def test_due_tasks_ride_before_all_others() -> None:
    """One that does not ride needs a call of its own; among them, those without a known lag come first."""
    riders = riders_of()
    late = waiting("late", "IN_QUEUE", polled=0.0, due=6.0)
    later = waiting("later", "IN_QUEUE", polled=4.0, due=7.0)
    retry = waiting("retry", "IN_QUEUE", polled=5.0, due=8.0, reason="unavailable")
    old = waiting("old", "IN_QUEUE", polled=8.0, due=8.0, reason=ADOPTED)
    soon = waiting("soon", "IN_QUEUE", polled=0.0, due=9.5)
    assert names_of(riders.choose([late, later, retry, old, soon], 5, 9.0)) == ["retry", "old", "late", "later", "soon"]


def test_a_first_look_rides() -> None:
    """It waits for its price only where it would need a call of its own."""
    riders = riders_of()
    new = waiting("new", None, polled=0.0, due=30.0, reason="new")
    assert riders.choose([new], 1, 0.1) == [new]


@pytest.mark.parametrize("type_", ["fixed", "backoff"])
def test_without_the_accrual_rule_those_that_were_polled_longest_ago_ride(type_) -> None:
    """A fixed interval expects nothing, so the time since the last poll decides; what was never polled comes first."""
    riders = riders_of(type=type_, every=60)
    entries = [waiting(name, "IN_QUEUE", polled=polled, due=100.0) for name, polled in (("a", 20.0), ("b", 10.0), ("c", 30.0))]
    entries.append(waiting("new", None, polled=39.0, due=39.0, reason="new"))
    assert names_of(riders.choose(entries, 3, 40.0)) == ["new", "b", "a"]


@given(
    st.lists(st.tuples(st.sampled_from(["IN_QUEUE", "IN_PROGRESS"]), st.floats(0, 12)), min_size=1, max_size=12),
    st.integers(1, 12),
    st.floats(0, 30),
)
def test_no_task_that_stays_behind_has_more_lag_than_one_that_rides(tasks, room, now) -> None:
    """Of those that are due, and of the others; and no place stays empty that a task with lag could have."""
    riders = riders_of()
    entries = sorted((planned(riders, str(n), status, polled) for n, (status, polled) in enumerate(tasks)), key=lambda entry: entry.due)
    chosen = riders.choose(entries, room, now)
    worth = [entry for entry in entries if riders.lag(entry, now) >= LEAST_S]
    assert len(chosen) == min(room, len(worth))
    assert all(entry in worth for entry in chosen)
    left = [entry for entry in worth if entry not in chosen]
    for due in (True, False):
        behind = max((riders.lag(entry, now) for entry in left if (entry.due <= now) == due), default=-math.inf)
        assert all(riders.lag(entry, now) >= behind for entry in chosen if (entry.due <= now) == due)
    assert not (any(entry.due <= now for entry in left) and any(entry.due > now for entry in chosen))


def test_a_rider_counts_by_the_part_of_its_gap() -> None:
    """Twenty tasks with a gap of 1 s and eighty with one of 60 s in one call want one call a second, not one in five seconds."""
    entries = [waiting(str(n), "IN_QUEUE", polled=0.0, due=1.0 if n < 20 else 60.0) for n in range(100)]
    wanted = sum(entry.rate for entry in entries)
    assert wanted / planned_polls(entries, 1.0) == pytest.approx(1.0)
    assert planned_polls(entries, 0.3) == pytest.approx(planned_polls(entries, 1.0)), "a spare call is early for all of them"
    assert planned_polls(entries[:1], 0.3) == 1.0
