"""Which call goes next, and when: the parts of a schedule combined."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import REF, watch_of
from watcher.core.polling.cadence import PROVISIONAL_GAP_S, STEER_S, Cadence, CadenceSettings
from watcher.core.polling.circuit import PROBE_FIRST_S
from watcher.core.polling.circuits import TURN_S, Circuits
from watcher.core.polling.lane import ADOPTED, MISSING
from watcher.core.polling.pace import Pace, PaceSettings
from watcher.core.polling.pending import PendingSet
from watcher.core.polling.pending_entry import PendingEntry
from watcher.core.polling.schedule import Schedule, state_name
from watcher.errors import CredentialsRejected, NotFound
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Observation, TaskRef

KIND = builtin_catalog()[REF.kind]


def schedule_of(rate: float = 10, in_flight: int = 5, **cadence: float | str) -> Schedule:
    pace = Pace(PaceSettings(rate=rate), 0.0)
    pace.restore(rate, 0.0)
    circuits = Circuits().of(REF.target, KIND.service)
    return Schedule(PendingSet(), Cadence(CadenceSettings.model_validate(cadence)), pace, circuits, in_flight)


def add(schedule: Schedule, name: str, now: float) -> None:
    schedule.pending.add(watch_of(TaskRef(REF.kind, (REF.params[0], name))), now)


def take(schedule: Schedule, now: float) -> PendingEntry:
    """The only entry of the next call."""
    call = schedule.take(now)
    assert call is not None
    (entry,), _ = call
    return entry


def test_an_empty_set_makes_no_call() -> None:
    """There is no call to wait for and none to take."""
    schedule = schedule_of()
    assert schedule.wait(0.0) == math.inf
    assert schedule.take(0.0) is None


def test_a_watch_that_is_due_waits_for_the_pace_only() -> None:
    """At 10 calls per second, the first of two goes at once and the second a tenth of a second later."""
    schedule = schedule_of(rate=10)
    add(schedule, "a", 0.0)
    add(schedule, "b", 0.0)
    assert schedule.wait(0.0) == 0
    assert schedule.take(0.0)
    assert schedule.wait(0.0) == pytest.approx(0.1)


def test_no_more_calls_are_in_flight_than_allowed() -> None:
    """The next call waits until one is back."""
    schedule = schedule_of(in_flight=1)
    add(schedule, "a", 0.0)
    add(schedule, "b", 0.0)
    entry = take(schedule, 0.0)
    assert schedule.wait(100.0) == math.inf
    schedule.pending.finish(entry.watch)
    assert schedule.wait(100.0) == 0


def test_a_batch_is_one_call_in_flight_and_one_permit() -> None:
    """Ten tasks in one call cost the pace one call, and leave room for a second call of two."""
    schedule = schedule_of(rate=10, in_flight=2)
    for n in range(30):
        add(schedule, f"t{n}", 0.0)
    for now in (0.0, 0.1):
        assert schedule.wait(now) == 0
        call = schedule.take(now, limit=10)
        assert call is not None
        assert len(call[0]) == 10
    assert (schedule.wait(2.0), schedule.pending.in_flight) == (math.inf, 20)


def test_an_open_circuit_holds_every_call() -> None:
    """The next call goes when its probe is due, and no spare call goes in the meantime."""
    schedule = schedule_of()
    add(schedule, "a", 0.0)
    schedule.circuits.note(CredentialsRejected("ExpiredTokenException"), [("a", "vc")], 0.0)
    assert schedule.wait(0.0) == pytest.approx(5)


def test_a_spare_call_goes_early_but_only_when_it_is_worth_the_floor() -> None:
    """With permits left over, the first watch is polled when its call saves `price_floor`; a fixed interval stays as it is."""
    schedule = schedule_of(price_floor=0.1)
    add(schedule, "a", 0.0)
    entry = take(schedule, 0.0)
    watch = watch_of(entry.watch.ref, status="IN_PROGRESS", status_since=0.0, seen_at=0.0)
    schedule.pending.put_back(entry.watch, 0.0, 50.0, "cadence")
    first = schedule.pending.first()
    assert first is not None
    spare = schedule.cadence.spare_gap(KIND.name, watch.status, 0.0)
    assert 0 < schedule.wait(1.0) <= spare
    assert schedule.wait(40.0) == 0
    fixed = schedule_of(type="fixed")
    add(fixed, "a", 0.0)
    fixed.pending.put_back(take(fixed, 0.0).watch, 0.0, 50.0, "cadence")
    assert fixed.wait(40.0) == pytest.approx(10)


def put_back(reason: str) -> Schedule:
    """A schedule of one watch that was polled just now, and is due in 50 s."""
    schedule = schedule_of()
    add(schedule, "a", 0.0)
    schedule.pending.put_back(take(schedule, 0.0).watch, 0.0, 50.0, reason)
    return schedule


def test_a_provisional_status_gets_spare_calls_no_faster_than_its_own_gap() -> None:
    """A high price at the time of its last poll does not delay calls that are left over."""
    assert put_back("provisional").wait(0.0) == pytest.approx(PROVISIONAL_GAP_S)


def test_the_wait_after_an_error_is_never_shortened() -> None:
    """Only a watch whose gap the cadence chose may be polled early, alone or in a batch."""
    schedule = put_back("unavailable")
    add(schedule, "b", 10.0)
    (entries, _) = schedule.take(10.0, limit=2) or ((), None)
    assert [entry.watch.ref.params[-1] for entry in entries] == ["b"]
    assert put_back("unavailable").wait(40.0) == pytest.approx(10)


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0, 1e6))
def test_nothing_is_learned_from_the_time_of_detection(queued: float, ran: float, late: float) -> None:
    """However late the end is detected, the durations learned are those of the service's timestamps."""
    schedule, begun = schedule_of(), 1_800_000_000.0
    seen = Observation("SUCCEEDED", begun + queued + ran + late, None, begun, begun + queued, begun + queued + ran)
    schedule.learn(KIND, watch_of(), seen, 0.0)
    assert schedule.cadence.durations(KIND.name, "IN_QUEUE").samples == pytest.approx([queued], abs=1e-6)
    assert schedule.cadence.durations(KIND.name, "IN_PROGRESS").samples == pytest.approx([ran], abs=1e-6)


@pytest.mark.parametrize("seen", [Observation("SUCCEEDED", 50.0), Observation("IN_PROGRESS", 50.0, created_at=1.0)])
def test_without_timestamps_nothing_is_learned(seen) -> None:
    """The prior stays, because durations between polls would contain the watcher's own lateness."""
    schedule = schedule_of()
    schedule.learn(KIND, watch_of(status="IN_QUEUE", status_since=1.0, seen_at=40.0), seen, 0.0)
    assert schedule.cadence.durations(KIND.name, "IN_QUEUE").samples == []
    assert schedule.cadence.durations(KIND.name, "IN_PROGRESS").samples == []


def test_first_polls_get_their_share_of_the_pace() -> None:
    """When new tasks need a quarter of the pace, the price rises until the others want only the rest: no first poll waits for long."""
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
            (entry,), _ = call
            before = entry.watch
            if before.status is None and now > 200:
                waited.append(now - entry.due)
            since = before.status_since or now
            if now - since > 30:
                schedule.pending.finish(before)
            else:
                watch = watch_of(before.ref, status="IN_PROGRESS", status_since=since, seen_at=now)
                schedule.pending.put_back(watch, now, *schedule.gap(KIND, watch))
    assert schedule.unplanned == pytest.approx(5, rel=0.2)
    assert schedule.pending.wanted + schedule.unplanned == pytest.approx(20, rel=0.25)
    assert sum(waited) / len(waited) < 0.5


def beside(backlog: int, seconds: float, *, cadence: str = "") -> tuple[Schedule, list[float]]:
    """New tasks, three a second that run for 10 s, at 20 calls a second, beside a backlog whose tasks have ended, and the waits
    for their first polls. `cadence` is what was learned before."""
    schedule, waited, now, arrives, steers = schedule_of(rate=20), [], 0.0, 0.0, STEER_S
    schedule.cadence.restore(cadence)
    for n in range(backlog):
        schedule.pending.add(watch_of(TaskRef(REF.kind, (REF.params[0], f"old-{n}"))), 0.0, ADOPTED)
    while now < seconds:
        call_at = now + schedule.wait(now)
        now = min(call_at, arrives, steers)
        if now == arrives:
            add(schedule, f"t-{now}", now)
            arrives += 1 / 3
        elif now == steers:
            schedule.steer(now)
            steers += STEER_S
        else:
            entry = take(schedule, now)
            if entry.reason == "new":
                waited.append(now - entry.due)
            age = now - (entry.watch.status_since or now)
            if entry.reason == ADOPTED or age > 10:
                schedule.pending.finish(entry.watch)
            else:
                watch = watch_of(entry.watch.ref, status="IN_PROGRESS", status_since=now - age, seen_at=now)
                schedule.pending.put_back(watch, now, *schedule.gap(KIND, watch))
    return schedule, waited


def test_new_tasks_do_not_wait_for_a_backlog() -> None:
    """With 100 s of calls overdue, new tasks get their first polls at once, and the price is not that of 2,000 more tasks."""
    usual, _ = beside(backlog=0, seconds=100)
    schedule, waited = beside(backlog=2000, seconds=100, cadence=usual.cadence.dump())
    assert schedule.pending.backlog > 0
    assert sum(waited) / len(waited) < 0.5
    assert max(waited) < 3
    assert schedule.cadence.price < 1.0
    assert schedule.unplanned == pytest.approx(3, rel=0.2), "the first polls of the backlog are not counted"


@pytest.mark.parametrize("polled", [False, True])
def test_only_polls_that_follow_the_first_ones_raise_the_price_when_they_are_late(polled) -> None:
    """First polls become fewer at any price. A thousand tasks that were polled and are late show that the price is too low."""
    schedule = schedule_of(rate=10)
    pending = schedule.pending
    for n in range(1000):
        pending.add(watch_of(TaskRef(REF.kind, (REF.params[0], f"old-{n}"))), 0.0, ADOPTED)
    for _ in range(999 if polled else 0):
        pending.put_back(pending.take(now=0.0)[0].watch, 0.0, 1000.0, "cadence")
    if polled:
        pending.finish(pending.take(now=0.0)[0].watch)
    for n in range(50):
        pending.add_in_flight(watch_of(TaskRef(REF.kind, (REF.params[0], f"new-{n}"))), 1995.0)
        pending.put_back(watch_of(TaskRef(REF.kind, (REF.params[0], f"new-{n}"))), 1995.0, 10.0, "cadence")
    schedule.cadence.price = 1.0
    schedule.steer(2000.0)
    assert (schedule.cadence.price > 1.0) == polled


def test_a_backlog_ends_beside_any_load() -> None:
    """Its 500 watches are polled within twice the time that they alone take, and until then the lateness of a steer is theirs."""
    schedule, _ = beside(backlog=500, seconds=30)
    assert schedule.pending.backlog > 0
    assert schedule.steer(31.0) == 31.0
    schedule, _ = beside(backlog=500, seconds=2 * 500 / 20 + 2)
    assert schedule.pending.backlog == 0


def test_a_price_of_batches_counts_calls_not_tasks() -> None:
    """With ten tasks in a call, ten times as many tasks want the same number of calls at the same price as single ones do."""
    prices = []
    for tasks, limit in ((100, 1), (1000, 10)):
        schedule, now = schedule_of(rate=5, in_flight=1), 0.0
        for n in range(tasks):
            add(schedule, f"t{n}", 0.0)
        for _ in range(1000):
            for _ in range(3):
                call = schedule.take(now, limit)
                assert call is not None
                for entry in call[0]:
                    watch = watch_of(entry.watch.ref, status="IN_PROGRESS", status_since=now - 20, seen_at=now)
                    schedule.pending.put_back(watch, now, *schedule.gap(KIND, watch))
            now += STEER_S
            schedule.steer(now)
        assert schedule.tasks_per_call == pytest.approx(limit, rel=0.01)
        prices.append(schedule.cadence.price)
    assert prices[0] > 2 * CadenceSettings().price_floor
    assert prices[1] == pytest.approx(prices[0], rel=0.05)


def test_the_learned_state_keeps_its_names() -> None:
    """A store that an earlier version wrote is read again."""
    assert (state_name("pace", KIND.quota), state_name("cadence", KIND.quota)) == ("pace speaker-search", "cadence speaker-search")


def test_missing_tasks_wait_for_a_probe_and_others_do_not() -> None:
    """While nothing is found, a task that was not found last is taken only as a probe, and a new one behind it at once."""
    schedule = schedule_of(rate=1000)
    circuits = schedule.circuits
    for name in ("a", "b", "c"):
        add(schedule, name, 0.0)
        entry = take(schedule, 0.0)
        circuits.note(NotFound("404"), [(entry.watch.key, "vc")], 0.0)
        schedule.pending.put_back(entry.watch, 0.0, 1.0, MISSING)
    circuits.overdue(-60.0, "404", 10.0)
    assert schedule.wait(10.0) == PROBE_FIRST_S
    add(schedule, "new", 11.0)
    assert schedule.wait(11.0) == 0
    first = schedule.first(11.0)
    assert first is not None
    assert first.watch.key.endswith("/new")
    assert take(schedule, 11.0).watch == first.watch
    assert schedule.wait(11.0) == pytest.approx(4.0)
    assert take(schedule, 15.0).reason == MISSING
    assert schedule.wait(15.0) == 2 * PROBE_FIRST_S + TURN_S, "one at a time"
    circuits.note(None, [("k", "vc")], 16.0)
    assert schedule.wait(16.0) == 0


def test_two_quotas_of_a_service_take_turns_with_probes_of_missing_tasks() -> None:
    """The tasks under one of them may be there again, while those under the other one are missing for good."""
    first = schedule_of(rate=1000)
    second = Schedule(PendingSet(), first.cadence, Pace(PaceSettings(rate=1000), 0.0), first.circuits, 5)
    for schedule in (first, second):
        for name in ("a", "b"):
            add(schedule, name, 0.0)
    for schedule, name in ((first, "a"), (first, "b"), (second, "c"), (second, "d")):
        entry = take(schedule, 10.0)
        schedule.circuits.note(NotFound("404"), [(name, "vc")], 0.0)
        schedule.pending.put_back(entry.watch, 0.0, 1.0, MISSING)
    first.circuits.overdue(-60.0, "404", 10.0)
    now, probes = 10.0, {"first": 0, "second": 0}
    for _ in range(12):
        now += max(1e-6, min(first.wait(now), second.wait(now)))
        for name, schedule in (("first", first), ("second", second)):
            if schedule.wait(now) == 0:
                entry = take(schedule, now)
                schedule.pending.put_back(entry.watch, now, 1.0, MISSING)
                probes[name] += 1
    assert probes["first"] == probes["second"] > 2


def test_no_call_goes_right_before_a_probe_of_missing_tasks() -> None:
    """A caller that takes a wait of a tenth of a millisecond for none takes no task that is not due, and does not spin."""
    schedule = schedule_of(rate=1000)
    for name in ("a", "b", "c"):
        add(schedule, name, 0.0)
        entry = take(schedule, 0.0)
        schedule.circuits.note(NotFound("404"), [(entry.watch.key, "vc")], 0.0)
        schedule.pending.put_back(entry.watch, 0.0, 1.0, MISSING)
    schedule.circuits.overdue(-60.0, "404", 10.0)
    assert schedule.wait(10.0 + PROBE_FIRST_S - 5e-5) >= 1e-3
    add(schedule, "other", 10.0)
    schedule.pending.put_back(take(schedule, 10.0).watch, 10.0, 60.0, "unavailable")
    assert schedule.wait(10.0 + PROBE_FIRST_S - 5e-5) >= 1e-3
    assert schedule.wait(10.0 + PROBE_FIRST_S) == 0


def test_nothing_but_held_tasks_is_nothing_to_take() -> None:
    """A set with no other task is not empty: it waits for the next probe."""
    schedule = schedule_of()
    add(schedule, "a", 0.0)
    entry = take(schedule, 0.0)
    for n in range(3):
        schedule.circuits.note(NotFound("404"), [(f"k{n}", "vc")], 0.0)
    schedule.circuits.overdue(-60.0, "404", 0.0)
    assert schedule.wait(1.0) == math.inf
    schedule.pending.put_back(entry.watch, 1.0, 0.0, MISSING)
    assert schedule.take(1.0) is None
    assert schedule.wait(1.0) == 4.0
    schedule.pending.poll_now(entry.watch.key, 1.0)
    assert take(schedule, 2.0).reason == "poll_now", "AWS says that the task is there"
