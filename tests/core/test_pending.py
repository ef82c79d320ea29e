"""The pending set: which watch is due when."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import watch_of
from watcher.core.polling.pending import PendingSet
from watcher.core.polling.pending_entry import PendingEntry
from watcher.model import TaskRef, Watch


def watch(name: str, id_: str = "0", kind: str = "speaker-search", target: str = "default", **facts) -> Watch:
    return watch_of(TaskRef(kind, ("vc", name), target), id=id_, **facts)


def pending_of(*names: str) -> PendingSet:
    """A set with these watches, due one second after another."""
    pending = PendingSet()
    for at, name in enumerate(names):
        pending.add(watch(name), float(at))
    return pending


def take(pending: PendingSet) -> PendingEntry:
    (entry,) = pending.take()
    return entry


def names_of(entries: list[PendingEntry]) -> list[str]:
    return [entry.watch.ref.params[-1] for entry in entries]


def taken(pending: PendingSet) -> list[str]:
    """The names of all watches that can be taken, in order."""
    names = []
    while entries := pending.take():
        names += names_of(entries)
    return names


def test_the_watch_due_first_is_taken_first() -> None:
    """Of two with the same due time, the one added first."""
    pending = PendingSet()
    for name, at in (("b", 2.0), ("a", 1.0), ("c", 2.0)):
        pending.add(watch(name), at)
    assert taken(pending) == ["a", "b", "c"]


def test_a_watch_in_flight_is_not_taken_again() -> None:
    """It comes back with `put_back`, due after its gap."""
    pending = pending_of("a")
    entry = take(pending)
    assert (pending.in_flight, pending.take(), pending.first(), len(pending)) == (1, [], None, 1)
    pending.put_back(entry.watch, 10.0, 5.0, "cadence")
    first = pending.first()
    assert first is not None
    assert (first.due, first.placed_at, first.rate, first.reason, pending.in_flight) == (15.0, 10.0, 0.2, "cadence", 0)


def test_a_finished_watch_is_gone() -> None:
    """Nothing is left of it in the sums."""
    pending = pending_of("a")
    pending.put_back(take(pending).watch, 0.0, 3.0, "cadence")
    pending.finish(take(pending).watch)
    assert (len(pending), pending.in_flight, pending.wanted, dict(pending.counts), pending.first()) == (0, 0, 0.0, {}, None)


# --- poll now --------------------------------------------------------------------------------------


def test_poll_now_makes_a_watch_due() -> None:
    """It is due before all that is due later, a second request changes nothing, and an unknown key is reported."""
    pending = pending_of("a", "b")
    for entry in (take(pending), take(pending)):
        pending.put_back(entry.watch, 10.0, 60.0, "cadence")
    key = watch("b").key
    assert pending.poll_now(key, 20.0)
    assert pending.poll_now(key, 21.0)
    assert not pending.poll_now("unknown", 20.0)
    first = take(pending)
    assert (first.watch.key, first.due, first.reason) == (key, 20.0, "poll_now")
    assert pending.first().watch.key == watch("a").key


def test_poll_now_goes_before_all_overdue_watches() -> None:
    """Several of them go in the order of the requests, waiting or in flight; then the others as before."""
    pending = pending_of("a", "b", "c", "d", "e")
    in_flight = take(pending)
    for name in ("d", "a", "c"):
        assert pending.poll_now(watch(name).key, 1000.0)
    pending.put_back(in_flight.watch, 1000.0, 60.0, "cadence")
    assert taken(pending) == ["d", "c", "a", "b", "e"]


def test_poll_now_takes_effect_when_a_watch_in_flight_is_back() -> None:
    """It is then due at once, whatever the gap is, and one time only."""
    pending = pending_of("a")
    entry = take(pending)
    assert pending.poll_now(entry.watch.key, 1.0)
    assert pending.take() == []
    pending.put_back(entry.watch, 2.0, 60.0, "cadence")
    assert (pending.first().due, pending.first().reason) == (2.0, "poll_now")
    pending.put_back(take(pending).watch, 3.0, 60.0, "cadence")
    assert pending.first().due == 63.0


# --- dropping and replacing ------------------------------------------------------------------------


def test_a_dropped_watch_is_gone() -> None:
    """At once, or when it comes back from its flight."""
    pending = pending_of("a", "b")
    entry = take(pending)
    assert pending.drop(watch("a").key)
    assert pending.drop(watch("b").key)
    assert not pending.drop(watch("b").key)
    assert (len(pending), pending.take()) == (1, [])
    pending.put_back(entry.watch, 2.0, 1.0, "cadence")
    assert (len(pending), pending.in_flight, dict(pending.counts)) == (0, 0, {})


def test_all_watches_of_a_shard_can_be_dropped() -> None:
    """Those in flight are counted until they are back, and no watch of another shard is affected."""
    pending = pending_of("a1", "b1", "a2", "b2")
    entries = pending.take(2)
    pending.drop_where(lambda key: "/a" in key)
    assert (len(pending), pending.in_flight) == (3, 2)
    for entry in entries:
        pending.put_back(entry.watch, 5.0, 1.0, "cadence")
    assert (pending.in_flight, taken(pending)) == (0, ["b2", "b1"])
    assert dict(pending.counts) == {("speaker-search", None): 2}


def test_another_watch_of_a_task_replaces_the_first() -> None:
    """After a task was erased and submitted again, the new watch is due now and the old one is gone."""
    pending = pending_of("a")
    pending.put_back(take(pending).watch, 0.0, 60.0, "cadence")
    pending.add(watch("a", "new"), 5.0)
    assert (len(pending), pending.first().watch.id, pending.first().due) == (1, "new", 5.0)


@pytest.mark.parametrize("returns", ["put_back", "finish"])
def test_another_watch_of_a_task_in_flight_waits_for_its_return(returns) -> None:
    """There is never a second call about a task; when the old watch is back, it is gone and the new one is due."""
    pending = pending_of("a")
    old = take(pending).watch
    pending.drop(old.key)
    pending.add(watch("a", "new"), 5.0)
    assert (pending.take(), pending.in_flight, len(pending)) == ([], 1, 1)
    pending.put_back(old, 6.0, 30.0, "cadence") if returns == "put_back" else pending.finish(old)
    assert (pending.in_flight, len(pending)) == (0, 1)
    assert take(pending).watch.id == "new"
    pending.finish(Watch(*old))
    assert len(pending) == 1


def test_a_drop_also_removes_the_next_watch_of_a_task_in_flight() -> None:
    """The drop concerns the task, not one watch of it."""
    pending = pending_of("a")
    old = take(pending).watch
    pending.add(watch("a", "new"), 5.0)
    pending.drop(old.key)
    pending.finish(old)
    assert (len(pending), pending.take()) == (0, [])


# --- batches ---------------------------------------------------------------------------------------


def test_a_batch_is_the_first_watch_and_those_that_follow_it() -> None:
    """In order of their due times, due or not, up to the limit; they share one call, and each comes back alone."""
    pending = pending_of("a", "b", "c", "d")
    entries = pending.take(3, now=0.0)
    assert names_of(entries) == ["a", "b", "c"]
    assert (pending.in_flight, pending.calls_in_flight) == (3, 1)
    pending.put_back(entries[1].watch, 5.0, 2.0, "cadence")
    pending.finish(entries[0].watch)
    assert (pending.in_flight, pending.calls_in_flight) == (1, 0)
    assert names_of(pending.take(3)) == ["d", "b"]
    assert (pending.in_flight, pending.calls_in_flight) == (3, 1)


def test_a_batch_is_of_one_kind_and_target() -> None:
    """Watches of other groups between them stay in their places."""
    pending = PendingSet()
    one, other, away = watch("a"), watch("b", kind="voice-tone"), watch("c", target="eu")
    for at, each in enumerate((one, other, away, watch("d"), watch("e", kind="voice-tone"), watch("f", target="eu"), watch("g"))):
        pending.add(each, float(at))
    assert names_of(pending.take(2)) == ["a", "d"]
    assert pending.first().watch == other
    assert names_of(pending.take(9)) == ["b", "e"]
    assert names_of(pending.take(9)) == ["c", "f"]
    assert names_of(pending.take(9)) == ["g"]


@pytest.mark.parametrize(("now", "batch"), [(15.0, ["a"]), (20.0, ["a", "b", "c"])])
def test_a_watch_that_waits_because_of_an_error_joins_no_call_before_it_is_due(now, batch) -> None:
    """Otherwise the few tries of a denied task would be used up within a second."""
    pending = pending_of("a", "b", "c")
    for entry, gap, reason in zip(pending.take(3), (10.0, 20.0, 30.0), ("cadence", "denied", "cadence"), strict=True):
        pending.put_back(entry.watch, 0.0, gap, reason)
    assert names_of(pending.take(3, now=now)) == batch


# --- sums ------------------------------------------------------------------------------------------


def test_the_sums_follow_the_watches() -> None:
    """The calls wanted, the watches by kind and status, and the lateness."""
    pending = pending_of("a", "b")
    for status, gap in (("IN_QUEUE", 2.0), ("IN_PROGRESS", 4.0)):
        pending.put_back(take(pending).watch._replace(status=status), 5.0, gap, "cadence")
    assert pending.wanted == 0.75
    assert dict(pending.counts) == {("speaker-search", "IN_QUEUE"): 1, ("speaker-search", "IN_PROGRESS"): 1}
    assert (pending.lateness(6.0), pending.lateness(10.0)) == (0.0, 3.0)


KINDS = {"a": "speaker-search", "b": "speaker-search", "c": "voice-tone", "d": "voice-tone"}
names = st.sampled_from("abcd")
stories = st.lists(
    st.one_of(
        st.tuples(st.just("add"), names),
        st.tuples(st.just("take"), st.integers(1, 3)),
        st.tuples(st.just("put_back"), st.floats(0, 30)),
        st.tuples(st.just("finish"), st.none()),
        st.tuples(st.just("poll_now"), names),
        st.tuples(st.just("drop"), names),
        st.tuples(st.just("drop_where"), st.sets(names)),
        st.tuples(st.just("pass"), st.floats(0, 10)),
    ),
    max_size=80,
)


@given(stories, st.randoms(use_true_random=False))
def test_each_task_is_in_the_set_once_and_in_flight_at_most_once(story, rng) -> None:
    """Over any story, the set has what was added and not removed, the first watch is the one due first, and the sums are right."""
    pending, now, in_flight, present, count = PendingSet(), 0.0, {}, {}, 0
    for what, more in story:
        if what == "add":
            count += 1
            new = watch(more, str(count), KINDS[more], status=rng.choice([None, "IN_QUEUE"]))
            pending.add(new, now)
            present[new.key] = new.id
        elif what == "take":
            first, waiting = pending.first(), {key for key in present if key not in in_flight}
            entries = pending.take(more, now=now)
            group = {key for key in waiting if first is not None and key.startswith(first.watch.ref.kind)}
            assert len(entries) == min(more, len(group))
            assert entries[:1] == ([first] if waiting else [])
            assert [entry.due for entry in entries[1:]] == sorted(entry.due for entry in entries[1:])
            for entry in entries:
                key = entry.watch.key
                assert key in waiting
                assert entry.watch.id == present[key]
                assert entry.watch.ref.kind == entries[0].watch.ref.kind
                in_flight[key] = entry.watch
        elif what in ("put_back", "finish") and in_flight:
            old = in_flight.pop(rng.choice(sorted(in_flight)))
            pending.put_back(old, now, more, "cadence") if what == "put_back" else pending.finish(old)
            if what == "finish" and present.get(old.key) == old.id:
                del present[old.key]
        elif what == "poll_now":
            key = watch(more, kind=KINDS[more]).key
            assert pending.poll_now(key, now) == (key in present or key in in_flight)
        elif what in ("drop", "drop_where"):
            keys = {watch(name, kind=KINDS[name]).key for name in more}
            pending.drop(*keys) if what == "drop" else pending.drop_where(keys.__contains__)
            present = {key: id_ for key, id_ in present.items() if key not in keys}
        elif what == "pass":
            now += more
        entries = {key: pending.get(key) for key in (*present, *in_flight)}
        assert None not in entries.values()
        assert pending.in_flight == len(in_flight)
        assert 0 <= pending.calls_in_flight <= pending.in_flight
        assert abs(pending.wanted - sum(entry.rate for entry in entries.values())) < 1e-6
        assert pending.counts.total() == len(pending) == len(entries)
        assert pending.counts == counted(entry.watch for entry in entries.values())
        first = pending.first()
        assert first is None or first.due == min(entry.due for key, entry in entries.items() if key not in in_flight)


def counted(watches) -> dict[tuple[str, str | None], int]:
    counts: dict[tuple[str, str | None], int] = {}
    for each in watches:
        state = (each.ref.kind, each.status)
        counts[state] = counts.get(state, 0) + 1
    return counts


ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
refs = st.builds(TaskRef, ids, st.lists(ids, max_size=3).map(tuple), st.just("default") | ids)
texts, times = st.none() | st.text(max_size=20), st.none() | st.floats(-1e10, 1e10)
watches = st.builds(
    Watch, refs, st.text(max_size=32), st.floats(0, 1e10), st.floats(0, 1e10), texts, texts, times, times, times, times, times, texts,
    st.integers(0, 2**70), st.integers(0, 9), times, texts, times, st.integers(0, 9), times,
)  # fmt: skip


@given(watches, st.floats(0, 1e9), st.floats(0, 1e6))
def test_a_watch_is_the_same_after_it_was_packed(one: Watch, now: float, gap: float) -> None:
    """Every field and the key survive, whatever the ids and the target look like."""
    pending = PendingSet()
    pending.add(one, now)
    assert take(pending).watch == one
    pending.put_back(one, now, gap, "cadence")
    entry = take(pending)
    assert (entry.watch, entry.watch.key) == (one, replace(one.ref).key)
    assert (entry.due, entry.placed_at, entry.reason) == (now + gap, now, "cadence")
