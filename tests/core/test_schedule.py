"""Which call goes next, and when: the parts of a schedule combined."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import NOW, REF, watch_of
from watcher.core.polling.cadence import STEER_S, Cadence, CadenceSettings
from watcher.core.polling.circuit import PROBE_FIRST_S
from watcher.core.polling.circuits import TURN_S, Circuits
from watcher.core.polling.lane import ADOPTED, MISSING
from watcher.core.polling.pace import Pace, PaceSettings
from watcher.core.polling.pending import PendingSet
from watcher.core.polling.pending_entry import PendingEntry
from watcher.core.polling.schedule import Schedule, state_name
from watcher.core.polling.transitions import WatchSettings, advance
from watcher.errors import CredentialsRejected, NotFound
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Observation, Step, TaskRef, Watch

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


def test_the_wait_after_an_error_is_never_shortened() -> None:
    """Only a watch whose gap the cadence chose may be polled early, alone or in a batch."""
    schedule = put_back("unavailable")
    add(schedule, "b", 10.0)
    (entries, _) = schedule.take(10.0, limit=2) or ((), None)
    assert [entry.watch.ref.params[-1] for entry in entries] == ["b"]
    assert put_back("unavailable").wait(40.0) == pytest.approx(10)


def learn(schedule: Schedule, before: Watch, seen: Observation) -> Step:
    """Learn what this observation shows."""
    step = advance(KIND, before, seen, WatchSettings())
    schedule.learn(KIND, before, seen, step, 0.0)
    return step


def partial(since: float = 100.0) -> Watch:
    """A watch in a provisional status since then, by the service's timestamps."""
    return learn(schedule_of(), watch_of(), Observation("PARTIAL_SUCCESS", since + 3, None, 1.0, 2.0, since)).watch


def samples(schedule: Schedule, status: str) -> list[float]:
    return schedule.cadence.durations(KIND.name, status).samples


def test_the_time_in_a_provisional_status_is_learned() -> None:
    """It ends with a change of the status or of the result, and is no part of the time of running."""
    schedule = schedule_of()
    learn(schedule, partial(100.0), Observation("SUCCEEDED", 150.0, None, 1.0, 2.0, 130.0))
    learn(schedule, partial(100.0), Observation("PARTIAL_SUCCESS", 150.0, {"voiceprint": None, "matches": []}, 1.0, 2.0, 110.0))
    assert samples(schedule, "PARTIAL_SUCCESS") == [30.0, 10.0]
    assert samples(schedule, "IN_PROGRESS") == []


def test_a_result_that_changes_under_an_unmoved_timestamp_is_not_learned() -> None:
    """The service does not say when it changed."""
    schedule = schedule_of()
    learn(schedule, partial(100.0), Observation("PARTIAL_SUCCESS", 150.0, {"voiceprint": None, "matches": []}, 1.0, 2.0, 100.0))
    assert samples(schedule, "PARTIAL_SUCCESS") == []


def test_a_task_that_settles_unchanged_never_left_its_status() -> None:
    """It is a sample at infinity; one that settles with a new result is not."""
    schedule = schedule_of()
    step = learn(schedule, partial(100.0), Observation("PARTIAL_SUCCESS", 800.0, None, 1.0, 2.0, 100.0))
    assert step.reason == "settled"
    assert samples(schedule, "PARTIAL_SUCCESS") == [math.inf]


def test_without_the_services_time_of_the_change_a_provisional_status_is_not_learned() -> None:
    """The times at which the watcher saw the two statuses would contain its own lateness."""
    schedule = schedule_of()
    before = learn(schedule_of(), watch_of(), Observation("PARTIAL_SUCCESS", 103.0)).watch
    learn(schedule, before, Observation("SUCCEEDED", 150.0, None, 1.0, 2.0, 130.0))
    learn(schedule, partial(100.0), Observation("SUCCEEDED", 150.0))
    assert samples(schedule, "PARTIAL_SUCCESS") == []


def test_with_calls_to_spare_the_first_look_goes_at_once() -> None:
    """It waits only while calls are scarce: another task is due, or a call has a price above the floor."""
    schedule = schedule_of()
    for _ in range(100):
        schedule.cadence.first_looks.learn(KIND.name, "", False)
    assert schedule.first_gap(KIND, "", 0.0) == 0
    add(schedule, "a", 0.0)
    assert schedule.first_gap(KIND, "", 1.0) > 0
    schedule.pending.put_back(take(schedule, 1.0).watch, 1.0, 50.0, "cadence")
    schedule.cadence.price = 1.0
    assert schedule.first_gap(KIND, "", 5.0) == 0, "after a burst the price is high for a while, and hardly any call is wanted"
    schedule.unplanned = 6.0
    assert schedule.first_gap(KIND, "", 5.0) > 1


@pytest.mark.parametrize(
    ("seen", "chance"),
    [
        (Observation("IN_QUEUE", NOW + 50, None, NOW - 10, None, NOW - 10), "falls"),
        (Observation("IN_PROGRESS", NOW + 50, None, NOW - 10, NOW + 1, NOW + 1), "falls"),
        (Observation("SUCCEEDED", NOW + 50, None, NOW - 10, NOW - 1, NOW + 1), "rises"),
        (Observation("IN_PROGRESS", NOW + 50), "stays"),
        (Observation("IN_QUEUE", NOW + 50), "stays"),
    ],
)
def test_the_chance_of_an_unseen_change_comes_from_the_services_timestamps(seen, chance) -> None:
    """Whether a task had left its first status when it was submitted does not depend on when it was looked at."""
    schedule = schedule_of()
    looks = schedule.cadence.first_looks
    schedule.learn_first_look(KIND, "queue", watch_of(), seen)
    found = looks.chance(KIND.name, "queue")
    assert found == looks.chance(KIND.name, "")
    assert {"falls": found < 0.5, "rises": found > 0.5, "stays": found == 0.5}[chance]


def test_calls_that_become_rarer_for_ever_never_stop_the_price() -> None:
    """The average of calls without a gap falls to none, and not to a number that has no logarithm."""
    schedule = schedule_of(rate=50)
    for n in range(300):
        schedule.pending.add(watch_of(TaskRef(REF.kind, (REF.params[0], f"t{n}"))), 0.0, ADOPTED)
    schedule.unplanned = 10.0
    for step in range(20_000):
        schedule.steer(step * STEER_S)
    assert schedule.unplanned == 0


def test_while_missing_tasks_wait_a_new_one_is_looked_at_at_once() -> None:
    """Only a task that is found closes the circuit, and those that wait look like a lack of calls."""
    schedule = schedule_of(rate=1)
    for _ in range(100):
        schedule.cadence.first_looks.learn(KIND.name, "", False)
    schedule.cadence.price, schedule.unplanned = 5.0, 1.0
    assert schedule.first_gap(KIND, "", 0.0) > 0
    for name in ("a", "b", "c"):
        schedule.circuits.note(NotFound("404"), [(name, "vc")], 0.0)
    schedule.circuits.overdue(-60.0, "404", 1.0)
    assert schedule.first_gap(KIND, "", 1.0) == 0


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0, 1e6))
def test_nothing_is_learned_from_the_time_of_detection(queued: float, ran: float, late: float) -> None:
    """However late the end is detected, the durations learned are those of the service's timestamps."""
    schedule, begun = schedule_of(), 1_800_000_000.0
    seen = Observation("SUCCEEDED", begun + queued + ran + late, None, begun, begun + queued, begun + queued + ran)
    learn(schedule, watch_of(), seen)
    assert schedule.cadence.durations(KIND.name, "IN_QUEUE").samples == pytest.approx([queued], abs=1e-6)
    assert schedule.cadence.durations(KIND.name, "IN_PROGRESS").samples == pytest.approx([ran], abs=1e-6)


@pytest.mark.parametrize("seen", [Observation("SUCCEEDED", 50.0), Observation("IN_PROGRESS", 50.0, created_at=1.0)])
def test_without_timestamps_nothing_is_learned(seen) -> None:
    """The prior stays, because durations between polls would contain the watcher's own lateness."""
    schedule = schedule_of()
    learn(schedule, watch_of(status="IN_QUEUE", status_since=1.0, seen_at=40.0), seen)
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
    assert prices[0] > 2 * schedule.cadence.floor
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


def trusting(**cadence: float) -> Schedule:
    """A schedule of one watch in a status whose changes are always announced, which was polled just now."""
    schedule = schedule_of(**cadence)
    for _ in range(300):
        schedule.cadence.announcements.learn_announced(KIND.name, "IN_PROGRESS", 0.3)
        for _ in range(20):
            schedule.cadence.announcements.pass_time({(KIND.name, "IN_PROGRESS"): 1}, STEER_S)
    add(schedule, "a", 0.0)
    watch = watch_of(take(schedule, 0.0).watch.ref, status="IN_PROGRESS", status_since=NOW, seen_at=NOW)
    schedule.pending.put_back(watch, 0.0, *schedule.gap(KIND, watch))
    return schedule


def calls_until(schedule: Schedule, end: float) -> list[float]:
    """The times at which the one watch is taken, until `end`. It is not put back."""
    now, taken = 0.0, []
    while (now := now + schedule.wait(now)) < end:
        if schedule.wait(now) == 0:
            taken.append(now)
            take(schedule, now)
    return taken


def test_a_gap_that_relies_on_announcements_is_longer_and_counts_as_such() -> None:
    """The watch wants the calls of its whole gap, not those of the reviews in between, which take none."""
    schedule, blind = trusting(price_floor=1.0), schedule_of(price_floor=1.0)
    entry = schedule.pending.first()
    assert entry is not None
    gap, short = schedule.cadence.gap(KIND.name, "IN_PROGRESS", 0.0), blind.cadence.gap(KIND.name, "IN_PROGRESS", 0.0)
    assert (entry.reason, entry.due) == ("announcements", gap / 4)
    assert schedule.pending.wanted == pytest.approx(1 / gap)
    assert gap > 2 * short
    assert calls_until(schedule, 100.0) == [pytest.approx(gap, rel=0.01)]


def test_when_announcements_stop_a_long_gap_ends_at_its_next_review() -> None:
    """The call goes when the silence is noticed, if the gap without announcements is over."""
    schedule = trusting(price_floor=1.0)
    gap = schedule.cadence.gap(KIND.name, "IN_PROGRESS", 0.0)
    for _ in range(1000):
        schedule.cadence.announcements.pass_time({(KIND.name, "IN_PROGRESS"): 1}, STEER_S)
    (call,) = calls_until(schedule, 100.0)
    blind = schedule.cadence.gap(KIND.name, "IN_PROGRESS", 0.0)
    assert blind <= call <= blind + gap / 4
    assert call < 0.75 * gap


def test_a_notification_is_polled_at_once_and_its_poll_decides_how_far_silence_is_trusted() -> None:
    """When the poll shows no change, the next gap is that without announcements: another one may not come."""
    schedule = trusting(price_floor=1.0)
    first = schedule.pending.first()
    assert first is not None
    assert schedule.poll_now(first.watch.key, 7.0, NOW + 7.0)
    assert schedule.wait(7.0) == 0
    assert take(schedule, 7.0).reason == "poll_now"
    watch = first.watch._replace(seen_at=NOW + 7.1)
    gap, reason = schedule.gap(KIND, watch)
    assert (gap, reason) == (schedule_of(price_floor=1.0).gap(KIND, watch)[0], "cadence")
    schedule.pending.put_back(watch, 7.1, gap, reason)
    assert schedule.wait(7.1) > 1, "it is not polled again and again"
    assert not schedule.poll_now("another", 8.0, NOW + 8.0)


def test_the_time_of_open_tasks_is_the_clock_of_silence() -> None:
    """Each adjustment of the price counts it: after a while with many open tasks and no announcement, none are waited for."""
    schedule = trusting()
    assert schedule.cadence.trust(KIND.name, "IN_PROGRESS").share > 0.9
    for _ in range(300):
        schedule.steer(1.0)
    assert schedule.cadence.trust(KIND.name, "IN_PROGRESS").share == 0


def test_a_call_that_a_notification_causes_is_unplanned_only_by_the_rest_of_its_gap() -> None:
    """The part of the gap that has passed was counted as a call wanted already: the price would be too high, and calls left unspent."""
    schedule = schedule_of()
    for name in ("a", "b", "c"):
        add(schedule, name, 0.0)
        schedule.pending.put_back(take(schedule, 0.0).watch, 0.0, 40.0, "cadence")
    schedule.steer(0.0)
    before = schedule.unplanned
    for name, at in (("a", 10.0), ("b", 40.0)):
        schedule.poll_now(TaskRef(REF.kind, (REF.params[0], name)).key, at, NOW + at)
        assert take(schedule, at).reason == "poll_now"
    schedule.steer(40.0)
    assert schedule.unplanned == pytest.approx(before * 0.95 + 0.75 / 10)


def test_the_poll_of_a_notification_teaches_whether_it_announced_the_change() -> None:
    """The delay is the time from the change at the service to the arrival; the time of the poll has no part in it."""
    schedule = schedule_of()
    add(schedule, "a", 0.0)
    before = take(schedule, 0.0).watch._replace(status="IN_PROGRESS", started_at=NOW, status_since=NOW, seen_at=NOW)
    schedule.pending.put_back(before, 0.0, 50.0, "cadence")
    schedule.poll_now(before.key, 12.0, NOW + 12.0)
    learn(schedule, before, Observation("SUCCEEDED", NOW + 30, None, NOW, NOW, NOW + 11.5))
    known = schedule.cadence.announcements.get(KIND.name, "IN_PROGRESS")
    assert known is not None
    assert (known.announced, known.delay_s) == (1.0, 0.5)
