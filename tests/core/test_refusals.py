"""What a refusal means: whether the event or the sink is at fault."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import event_at
from watcher.core.delivery.refusals import CROWD, MANY, DeadEvent, Ground, Refusal, Refusals
from watcher.model import Event

HOUR = 3600.0


def event(task: str) -> Event:
    return event_at(task, 1)


def refuse(refusals: Refusals, *tasks: str, now: float = 0.0, reason: str = "http_422", **more: str):
    """The verdict on a batch in which all of these are refused."""
    return refusals.judge([], [Refusal(event(task), reason, **more) for task in tasks], now)


def accept(refusals: Refusals, *tasks: str, now: float = 0.0):
    """The verdict on a batch in which all of these are accepted."""
    return refusals.judge([event(task) for task in tasks], [], now)


def dead(verdict) -> list[tuple[str, Ground]]:
    return [(each.refusal.event.key, each.ground) for each in verdict.dead]


def keys(events) -> list[str]:
    return [event.key for event in events]


def test_an_event_refused_twice_among_accepted_ones_is_dead() -> None:
    """Refused, another accepted, refused again, another accepted: the event is at fault, and not before that."""
    refusals = Refusals(HOUR)
    assert keys(refuse(refusals, "bad").held) == ["bad"]
    passed = accept(refusals, "good-1")
    assert (dead(passed), keys(passed.released)) == ([], ["bad"])
    assert dead(refuse(refusals, "bad")) == []
    assert dead(accept(refusals, "good-2")) == [("bad", Ground.OTHERS_ACCEPTED)]


def test_an_event_refused_when_the_sink_began_to_refuse_everything_is_delivered() -> None:
    """Accepted ones before and after a time in which everything is refused do not make its events dead letters."""
    refusals = Refusals(HOUR)
    accept(refusals, "good-1")
    for n in range(5):
        assert dead(refuse(refusals, f"held-{n}")) == []
    assert refusals.refuses_everything
    released = keys(accept(refusals, "good-2").released)
    while released:
        task = released.pop(0)
        verdict = accept(refusals, task)
        assert dead(verdict) == []
        released += keys(verdict.released)
    assert not refusals.waiting


def test_a_refused_part_of_a_batch_is_dead_at_once() -> None:
    """The accepted entries of the same batch show that the sink works."""
    refusals = Refusals(HOUR)
    verdict = refusals.judge(
        [event("a"), event("b")], [Refusal(event("c"), "MalformedDetail"), Refusal(event("d"), "http_400", "sink")], 1.0
    )
    assert dead(verdict) == [("c", Ground.SAME_BATCH), ("d", Ground.SAME_BATCH)]
    assert verdict.held == []


def test_a_sink_that_recovers_in_the_middle_of_a_batch_gets_the_rest_once_more() -> None:
    """After it refused everything, what a sink refuses beside its first accepted event is sent again, and is dead only if refused again."""
    refusals = Refusals(HOUR)
    for n in range(MANY):
        refuse(refusals, f"held-{n}")
    assert refusals.refuses_everything
    first = refusals.judge([event("good")], [Refusal(event("bad"), "field")], 1.0)
    assert (dead(first), keys(first.held)) == ([], ["bad"])
    again = refusals.judge([event("good-2")], [Refusal(event("bad"), "field")], 2.0)
    assert dead(again) == [("bad", Ground.SAME_BATCH)]


def test_an_event_that_can_never_be_accepted_is_dead_at_once() -> None:
    """What the adapter knows without asking the sink, such as a size, needs no comparison, and says nothing about the sink."""
    refusals = Refusals(HOUR)
    for n in range(MANY + 1):
        assert dead(refuse(refusals, f"big-{n}", reason="size", cause="event")) == [(f"big-{n}", Ground.UNACCEPTABLE)]
    assert not refusals.refuses_everything


@pytest.mark.parametrize("tasks", [1, 2])
def test_without_anything_to_compare_with_an_event_is_dead_after_the_configured_time(tasks: int) -> None:
    """One or two tasks that are refused alone wait for the configured time, and are sent again in it."""
    refusals = Refusals(120.0)
    names = [f"only-{n}" for n in range(tasks)]
    for now in (0.0, 60.0, 119.0):
        for name in names:
            assert dead(refuse(refusals, name, now=now)) == []
        assert keys([refusals.probe()]) == [names[0]]
    assert dead(refuse(refusals, *names, now=120.0)) == [(name, Ground.NOTHING_TO_COMPARE) for name in names]


def test_at_most_two_events_are_dead_without_a_comparison() -> None:
    """When a third task is refused too, with nothing accepted since, the sink is at fault, however far apart they come."""
    refusals = Refusals(60.0)
    for n in range(10):
        start = n * HOUR
        refuse(refusals, f"task-{n}", now=start)
        assert dead(refuse(refusals, f"task-{n}", now=start + 60.0)) == ([(f"task-{n}", Ground.NOTHING_TO_COMPARE)] if n < 2 else [])
    assert refusals.refuses_everything


def test_an_accepted_event_starts_the_time_anew() -> None:
    """The time without a comparison counts from the last accepted event: from then on there is something to compare with."""
    refusals = Refusals(100.0)
    refuse(refusals, "bad", now=0.0)
    accept(refusals, "good", now=90.0)
    assert dead(refuse(refusals, "bad", now=110.0)) == []
    assert dead(refuse(refusals, "bad", now=190.0)) == [("bad", Ground.NOTHING_TO_COMPARE)]


def test_an_answer_about_the_address_is_never_about_a_lone_event() -> None:
    """A 404 or a 401 is no dead letter without a comparison, however long it lasts; among accepted events it is one."""
    refusals = Refusals(60.0)
    for now in (0.0, 100.0, 10 * HOUR):
        assert dead(refuse(refusals, "a", now=now, reason="http_404", cause="sink")) == []
    accept(refusals, "b")
    refuse(refusals, "a", reason="http_404", cause="sink")
    assert dead(accept(refusals, "c")) == [("a", Ground.OTHERS_ACCEPTED)]


def test_held_events_are_compared_one_at_a_time_and_all_come_to_an_end() -> None:
    """Many events at fault do not look like a sink that refuses everything for ever: each accepted event decides about one."""
    refusals = Refusals(HOUR)
    bad = [f"bad-{n}" for n in range(7)]
    refuse(refusals, *bad)
    ended: list[str] = []
    for n in range(20):
        verdict = accept(refusals, f"good-{n}")
        ended += keys([each.refusal.event for each in verdict.dead])
        assert len(verdict.released) <= 1
        refuse(refusals, *keys(verdict.released))
    assert ended == bad


def test_after_the_sink_recovers_held_events_are_sent_faster_and_faster() -> None:
    """One, then two, then four: a sink that accepts only one event between two outages gets few of them."""
    refusals = Refusals(HOUR)
    refuse(refusals, *(f"held-{n}" for n in range(20)))
    sizes, out = [], keys(accept(refusals, "good").released)
    while out:
        sizes.append(len(out))
        out = [key for task in out for key in keys(accept(refusals, task).released)]
    assert sizes[:4] == [1, 2, 4, 8]
    assert sum(sizes) == 20


def test_an_event_that_the_sink_puts_off_keeps_no_other_one_waiting() -> None:
    """What was released and then failed for another reason is not waited for, and what is known about it is kept."""
    refusals = Refusals(HOUR)
    refuse(refusals, "a", "b")
    assert keys(accept(refusals, "good-1").released) == ["a"]
    refusals.put_off([event("a"), event("other")])
    assert keys(accept(refusals, "good-2").released) == ["b"]
    refuse(refusals, "a")
    assert dead(accept(refusals, "good-3")) == [("a", Ground.OTHERS_ACCEPTED)]


def test_many_held_events_leave_one_batch_at_a_time() -> None:
    """Comparisons must keep up with new refusals, or held events fill the window of the sink."""
    refusals = Refusals(HOUR)
    refuse(refusals, *(f"bad-{n}" for n in range(CROWD + 1)))
    accept(refusals, "good-1")
    assert (refusals.refuses_everything, refusals.one_at_a_time) == (False, True)
    refusals.discard(lambda held: held.key == "bad-1")
    assert not refusals.one_at_a_time


def test_a_probe_is_one_event_at_a_time_in_turn() -> None:
    """While a probe is not answered there is no second one; then the event that was sent longest ago is next."""
    refusals = Refusals(HOUR)
    refuse(refusals, "a", "b", "c")
    assert keys([refusals.probe()]) == ["a"]
    assert refusals.probe() is None
    refuse(refusals, "a")
    assert keys([refusals.probe()]) == ["b"]


def test_a_discarded_event_is_not_waited_for() -> None:
    """An erased task that was to be sent as a probe does not keep the others waiting."""
    refusals = Refusals(HOUR)
    refuse(refusals, "a", "b", "c")
    refusals.probe()
    refusals.discard(lambda held: held.key == "a")
    assert keys([refusals.probe()]) == ["b"]


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 400)), max_size=60), st.floats(0, 300))
def test_no_event_is_dead_while_nothing_is_accepted_beyond_two(steps: list[tuple[int, float]], retry_for: float) -> None:
    """Whatever is refused, in whatever order and however long: without an accepted event at most two tasks have dead letters."""
    refusals, now, ended = Refusals(retry_for), 0.0, set()
    for n, pause in steps:
        now += pause
        if f"t{n}" not in ended:
            refusals.probe()
            ended |= {each.refusal.event.key for each in refuse(refusals, f"t{n}", now=now).dead}
    assert len(ended) < MANY


@given(st.lists(st.sampled_from(["accept", "refuse"]), max_size=80))
def test_nothing_is_lost_or_decided_twice(answers: list[str]) -> None:
    """Each refused event is held, released, accepted, or dead, and never two of these."""
    refusals, fresh, out, ended = Refusals(HOUR), 0, [], []
    for answer in answers:
        probe = refusals.probe()
        out += [] if probe is None else [probe.key]
        if not out:
            out, fresh = [f"t{fresh}"], fresh + 1
        task = out.pop(0)
        verdict = accept(refusals, task) if answer == "accept" else refuse(refusals, task)
        ended += [task] if answer == "accept" else []
        ended += [each.refusal.event.key for each in verdict.dead]
        out += keys(verdict.released)
    assert len(ended) == len(set(ended))
    held = {held.refusal.event.key for held in (*refusals._waiting.values(), *refusals._released.values())}
    assert {f"t{n}" for n in range(fresh)} == set(ended) | held | set(out)


def test_a_dead_event_says_why() -> None:
    """The refusal and the ground are what the dead letter and the log show."""
    (found,) = refuse(Refusals(0.0), "a", reason="http_413").dead
    assert found == DeadEvent(Refusal(event("a"), "http_413"), Ground.NOTHING_TO_COMPARE)
