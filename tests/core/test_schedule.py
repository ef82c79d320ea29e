"""Which call goes next, and when."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import REF, watch_of
from watcher.core.polling.cadence import PROVISIONAL_GAP_S, STEER_S, Cadence, CadenceSettings
from watcher.core.polling.circuits import Circuits
from watcher.core.polling.pace import Pace, PaceSettings
from watcher.core.polling.pending import PendingSet
from watcher.core.polling.schedule import Schedule
from watcher.errors import CredentialsRejected
from watcher.kinds import KINDS
from watcher.model import Observation, TaskRef

KIND = KINDS[REF.kind]


def schedule_of(rate: float = 10, in_flight: int = 5, **cadence: float | str) -> Schedule:
    pace = Pace(PaceSettings(rate=rate), 0.0)
    pace.restore(rate, 0.0)
    return Schedule(PendingSet(), Cadence(CadenceSettings.model_validate(cadence)), pace, Circuits(), in_flight)


def add(schedule: Schedule, name: str, now: float) -> None:
    schedule.pending.add(watch_of(TaskRef(REF.kind, (REF.params[0], name))), now)


def test_nothing_pending_is_waited_for_without_end() -> None:
    """There is nobody to ask about."""
    schedule = schedule_of()
    assert schedule.wait(0.0) == math.inf
    assert schedule.take(0.0) is None


def test_what_is_due_waits_for_the_pace_alone() -> None:
    """Two due: one at once, the other a tenth of a second later."""
    schedule = schedule_of(rate=10)
    add(schedule, "a", 0.0)
    add(schedule, "b", 0.0)
    assert schedule.wait(0.0) == 0
    assert schedule.take(0.0)
    assert schedule.wait(0.0) == pytest.approx(0.1)


def test_no_more_calls_than_may_be_in_flight() -> None:
    """The next one waits until one is back."""
    schedule = schedule_of(in_flight=1)
    add(schedule, "a", 0.0)
    add(schedule, "b", 0.0)
    call = schedule.take(0.0)
    assert call is not None
    assert schedule.wait(100.0) == math.inf
    schedule.pending.finish(call[0].watch)
    assert schedule.wait(100.0) == 0


def test_an_open_circuit_holds_every_call() -> None:
    """Until its probe is due, and no spare call goes meanwhile."""
    schedule = schedule_of()
    add(schedule, "a", 0.0)
    schedule.circuits.note(CredentialsRejected("ExpiredTokenException"), "a", "vc", 0.0)
    assert schedule.wait(0.0) == pytest.approx(5)


def test_a_spare_call_goes_before_it_is_due_but_not_before_it_is_worth_the_floor() -> None:
    """With permits to spare, the first in line goes when its call saves `price_floor`; a fixed interval is kept as it is."""
    schedule = schedule_of(price_floor=0.1)
    add(schedule, "a", 0.0)
    call = schedule.take(0.0)
    assert call is not None
    watch = watch_of(call[0].watch.ref, status="IN_PROGRESS", status_since=0.0, seen_at=0.0)
    schedule.pending.put_back(call[0].watch, 0.0, 50.0, "cadence")
    first = schedule.pending.first()
    assert first is not None
    spare = schedule.cadence.spare_gap(KIND.name, watch.status, 0.0)
    assert 0 < schedule.wait(1.0) <= spare
    assert schedule.wait(40.0) == 0
    fixed = schedule_of(type="fixed")
    add(fixed, "a", 0.0)
    again = fixed.take(0.0)
    assert again is not None
    fixed.pending.put_back(again[0].watch, 0.0, 50.0, "cadence")
    assert fixed.wait(40.0) == pytest.approx(10)


def put_back(why: str) -> Schedule:
    """One watch that was looked at just now, and is due in 50 s."""
    schedule = schedule_of()
    add(schedule, "a", 0.0)
    call = schedule.take(0.0)
    assert call is not None
    schedule.pending.put_back(call[0].watch, 0.0, 50.0, why)
    return schedule


def test_a_provisional_status_gets_spare_calls_no_faster_than_its_own_gap() -> None:
    """What nobody else needs is not withheld from it because a price was high when it was put back."""
    assert put_back("provisional").wait(0.0) == pytest.approx(PROVISIONAL_GAP_S)


def test_a_setback_is_waited_out() -> None:
    """Only what waits by the cadence may go early: trouble is given its time."""
    assert put_back("unavailable").wait(40.0) == pytest.approx(10)


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0, 1e6))
def test_nothing_is_learned_from_the_time_of_detection(queued: float, ran: float, late: float) -> None:
    """However late the end is seen, what is learned are the service's own durations."""
    schedule, begun = schedule_of(), 1_800_000_000.0
    seen = Observation("SUCCEEDED", begun + queued + ran + late, None, begun, begun + queued, begun + queued + ran)
    schedule.learn(KIND, watch_of(), seen, 0.0)
    assert schedule.cadence.durations(KIND.name, "IN_QUEUE").samples == pytest.approx([queued], abs=1e-6)
    assert schedule.cadence.durations(KIND.name, "IN_PROGRESS").samples == pytest.approx([ran], abs=1e-6)


@pytest.mark.parametrize("seen", [Observation("SUCCEEDED", 50.0), Observation("IN_PROGRESS", 50.0, created_at=1.0)])
def test_without_timestamps_nothing_is_learned(seen) -> None:
    """The prior stands: a guess from when we looked would only teach us our own lateness."""
    schedule = schedule_of()
    schedule.learn(KIND, watch_of(status="IN_QUEUE", status_since=1.0, seen_at=40.0), seen, 0.0)
    assert schedule.cadence.durations(KIND.name, "IN_QUEUE").samples == []
    assert schedule.cadence.durations(KIND.name, "IN_PROGRESS").samples == []


def test_first_looks_have_their_share_of_the_pace() -> None:
    """A quarter of the pace goes to tasks that are new: the price rises until the rest is wanted, and no first look waits for long."""
    schedule, waited, now, arrives, steers = schedule_of(rate=20), [], 0.0, 0.0, STEER_S
    while now < 400:
        call_at = now + schedule.wait(now)
        now = min(call_at, arrives, steers)
        if now == arrives:
            add(schedule, f"t-{now}", now)
            arrives += 0.2
        elif now == steers:
            schedule.steer(now)
            steers += STEER_S
        elif (call := schedule.take(now)) is not None:
            before = call[0].watch
            if before.status is None and now > 200:
                waited.append(now - call[0].due)
            since = before.status_since or now
            if now - since > 30:
                schedule.pending.finish(before)
            else:
                watch = watch_of(before.ref, status="IN_PROGRESS", status_since=since, seen_at=now)
                schedule.pending.put_back(watch, now, *schedule.gap(KIND, watch))
    assert schedule.unplanned == pytest.approx(5, rel=0.2)
    assert schedule.pending.wanted + schedule.unplanned == pytest.approx(20, rel=0.25)
    assert sum(waited) / len(waited) < 0.5
