"""The pending set: which watch is due when."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import watch_of
from watcher.core.polling.pending import PendingSet
from watcher.model import TaskRef, Watch


def watch(name: str, id_: str = "0", **facts) -> Watch:
    return watch_of(TaskRef("speaker-search", ("vc", name)), id=id_, **facts)


def pending_of(*names: str) -> PendingSet:
    pending = PendingSet()
    for at, name in enumerate(names):
        pending.add(watch(name), float(at))
    return pending


def taken(pending: PendingSet) -> list[str]:
    """The names of all that can be taken, in order."""
    names = []
    while (entry := pending.take()) is not None:
        names.append(entry.watch.ref.params[-1])
    return names


def test_what_has_been_due_longest_goes_first() -> None:
    """By due time; of equals the one that came first."""
    pending = PendingSet()
    for name, at in (("b", 2.0), ("a", 1.0), ("c", 2.0)):
        pending.add(watch(name), at)
    assert taken(pending) == ["a", "b", "c"]


def test_a_watch_in_flight_is_taken_by_nobody_else() -> None:
    """It comes back with `put_back`, due after its gap."""
    pending = pending_of("a")
    entry = pending.take()
    assert entry is not None
    assert (pending.in_flight, pending.take(), pending.first(), len(pending)) == (1, None, None, 1)
    pending.put_back(entry.watch, 10.0, 5.0, "cadence")
    first = pending.first()
    assert first is not None
    assert (first.due, first.looked, first.rate, first.why, pending.in_flight) == (15.0, 10.0, 0.2, "cadence", 0)


def test_a_watch_that_ended_leaves() -> None:
    """Nothing is left of it, not even in the sums."""
    pending = pending_of("a")
    pending.put_back(pending.take().watch, 0.0, 3.0, "cadence")
    pending.finish(pending.take().watch)
    assert (len(pending), pending.in_flight, pending.wanted, dict(pending.counts), pending.first()) == (0, 0, 0.0, {}, None)


def test_a_hint_makes_it_due_now() -> None:
    """Before what was due earlier than it, and only once; for nobody's task it is none."""
    pending = pending_of("a", "b")
    for entry in (pending.take(), pending.take()):
        pending.put_back(entry.watch, 10.0, 60.0, "cadence")
    key = watch("b").key
    assert pending.hint(key, 20.0)
    assert pending.hint(key, 21.0)
    assert not pending.hint("nobody", 20.0)
    first = pending.take()
    assert (first.watch.key, first.due, first.why) == (key, 20.0, "hint")
    assert pending.first().watch.key == watch("a").key


def test_a_hint_goes_before_all_that_is_overdue() -> None:
    """Hints in the order in which they came, waiting or in flight; then the rest as it was."""
    pending = pending_of("a", "b", "c", "d", "e")
    flying = pending.take()
    assert flying is not None
    for name in ("d", "a", "c"):
        assert pending.hint(watch(name).key, 1000.0)
    pending.put_back(flying.watch, 1000.0, 60.0, "cadence")
    assert taken(pending) == ["d", "c", "a", "b", "e"]


def test_a_hint_in_flight_is_kept_for_the_way_back() -> None:
    """Then it is due at once, whatever gap was wanted."""
    pending = pending_of("a")
    entry = pending.take()
    assert pending.hint(entry.watch.key, 1.0)
    assert pending.take() is None
    pending.put_back(entry.watch, 2.0, 60.0, "cadence")
    assert (pending.first().due, pending.first().why) == (2.0, "hint")
    pending.put_back(pending.take().watch, 3.0, 60.0, "cadence")
    assert pending.first().due == 63.0


def test_a_dropped_watch_is_gone() -> None:
    """At once, or when it comes back from its flight."""
    pending = pending_of("a", "b")
    entry = pending.take()
    assert pending.drop(watch("a").key)
    assert pending.drop(watch("b").key)
    assert not pending.drop(watch("b").key)
    assert (len(pending), pending.take()) == (1, None)
    pending.put_back(entry.watch, 2.0, 1.0, "cadence")
    assert (len(pending), pending.in_flight, dict(pending.counts)) == (0, 0, {})


def test_another_watch_of_a_task_takes_its_place() -> None:
    """A task erased and submitted again: the new watch is due now, the old one is no more."""
    pending = pending_of("a")
    pending.put_back(pending.take().watch, 0.0, 60.0, "cadence")
    pending.add(watch("a", "new"), 5.0)
    assert (len(pending), pending.first().watch.id, pending.first().due) == (1, "new", 5.0)


def test_another_watch_of_a_task_in_flight_waits_for_its_return() -> None:
    """There is never a second call about a task; the old watch comes back to nothing, and the new one is due."""
    for returns in ("put_back", "finish"):
        pending = pending_of("a")
        old = pending.take().watch
        pending.drop(old.key)
        pending.add(watch("a", "new"), 5.0)
        assert (pending.take(), pending.in_flight, len(pending)) == (None, 1, 1)
        pending.put_back(old, 6.0, 30.0, "cadence") if returns == "put_back" else pending.finish(old)
        assert (pending.in_flight, len(pending)) == (0, 1)
        new = pending.take()
        assert new.watch.id == "new"
        pending.finish(Watch(*old))
        assert len(pending) == 1


def test_a_new_watch_dropped_while_the_old_is_in_flight_never_begins() -> None:
    """The drop is of the task, not of one watch."""
    pending = pending_of("a")
    old = pending.take().watch
    pending.add(watch("a", "new"), 5.0)
    pending.drop(old.key)
    pending.finish(old)
    assert (len(pending), pending.take()) == (0, None)


def test_the_sums_follow_the_watches() -> None:
    """Calls wanted, and watches by kind and status."""
    pending = pending_of("a", "b")
    for status, gap in (("IN_QUEUE", 2.0), ("IN_PROGRESS", 4.0)):
        pending.put_back(pending.take().watch._replace(status=status), 5.0, gap, "cadence")
    assert pending.wanted == 0.75
    assert dict(pending.counts) == {("speaker-search", "IN_QUEUE"): 1, ("speaker-search", "IN_PROGRESS"): 1}
    assert (pending.lateness(6.0), pending.lateness(10.0)) == (0.0, 3.0)


names = st.sampled_from("abcd")
stories = st.lists(
    st.one_of(
        st.tuples(st.just("add"), names),
        st.tuples(st.just("take"), st.none()),
        st.tuples(st.just("put_back"), st.floats(0, 30)),
        st.tuples(st.just("finish"), st.none()),
        st.tuples(st.just("hint"), names),
        st.tuples(st.just("drop"), names),
        st.tuples(st.just("pass"), st.floats(0, 10)),
    ),
    max_size=80,
)


@given(stories, st.randoms(use_true_random=False))
def test_any_story_keeps_each_task_once_and_in_flight_at_most_once(story, rng) -> None:
    """The set holds what was added and has not left; nothing waits for ever; the sums are those of what stands in it."""
    pending, now, flying, standing, count = PendingSet(), 0.0, {}, {}, 0
    for what, more in story:
        if what == "add":
            count += 1
            new = watch(more, str(count))
            pending.add(new, now)
            standing[new.key] = new.id
        elif what == "take":
            entry = pending.take()
            waiting = {key for key in standing if key not in flying}
            assert (entry is not None) == bool(waiting)
            if entry is not None:
                assert entry.watch.key in waiting
                assert entry.watch.id == standing[entry.watch.key]
                flying[entry.watch.key] = entry.watch
        elif what in ("put_back", "finish") and flying:
            old = flying.pop(rng.choice(sorted(flying)))
            pending.put_back(old, now, more, "cadence") if what == "put_back" else pending.finish(old)
            if what == "finish" and standing.get(old.key) == old.id:
                del standing[old.key]
        elif what == "hint":
            assert pending.hint(watch(more).key, now) == (watch(more).key in standing or watch(more).key in flying)
        elif what == "drop":
            pending.drop(watch(more).key)
            standing.pop(watch(more).key, None)
        elif what == "pass":
            now += more
        entries = {key: pending.get(key) for key in (*standing, *flying)}
        assert None not in entries.values()
        assert pending.in_flight == len(flying)
        assert abs(pending.wanted - sum(entry.rate for entry in entries.values())) < 1e-6
        assert pending.counts.total() == len(pending) == len(entries)
        first = pending.first()
        assert first is None or first.due == min(entry.due for key, entry in entries.items() if key not in flying)


ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
refs = st.builds(TaskRef, ids, st.lists(ids, max_size=3).map(tuple), st.just("default") | ids)
texts, times = st.none() | st.text(max_size=20), st.none() | st.floats(-1e10, 1e10)
watches = st.builds(
    Watch, refs, st.text(max_size=32), st.floats(0, 1e10), st.floats(0, 1e10), texts, texts, times, times, times, times, times, texts,
    st.integers(0, 2**70), st.integers(0, 9), times, texts, times, st.integers(0, 9), times,
)  # fmt: skip


@given(watches, st.floats(0, 1e9), st.floats(0, 1e6))
def test_a_watch_comes_out_of_waiting_as_it_went_in(one: Watch, now: float, gap: float) -> None:
    """Every fact of it, whatever its ids and its target look like, and its key."""
    pending = PendingSet()
    pending.add(one, now)
    assert pending.take().watch == one
    pending.put_back(one, now, gap, "why")
    entry = pending.take()
    assert (entry.watch, entry.watch.key, entry.due, entry.looked, entry.why) == (one, replace(one.ref).key, now + gap, now, "why")
