"""The pending set: which watch is due when."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import watch_of
from watcher.core.polling.lane import ADOPTED
from watcher.core.polling.pending import CREDIT, PendingSet
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


@pytest.mark.parametrize(("now", "batch"), [(15.0, ["a", "c"]), (20.0, ["a", "b", "c"])])
def test_a_watch_that_waits_because_of_an_error_joins_no_call_before_it_is_due(now, batch) -> None:
    """Otherwise the few tries of a denied task would be used up within a second."""
    pending = pending_of("a", "b", "c")
    for entry, gap, reason in zip(pending.take(3), (10.0, 20.0, 30.0), ("cadence", "denied", "cadence"), strict=True):
        pending.put_back(entry.watch, 0.0, gap, reason)
    assert names_of(pending.take(3, now=now)) == batch


# --- lanes -----------------------------------------------------------------------------------------


def lanes_of(backlog: int, fresh: int) -> PendingSet:
    """A set with so many watches in each lane, all due at 0."""
    pending = PendingSet()
    for lane, count in (("old", backlog), ("new", fresh)):
        for n in range(count):
            pending.add(watch(f"{lane}-{n}"), 0.0, ADOPTED if lane == "old" else "new")
    return pending


def lanes_taken(pending: PendingSet, count: int, now: float = 0.0) -> list[str]:
    """The lanes of the next calls."""
    return [names_of(pending.take(now=now))[0].split("-")[0] for _ in range(count)]


def test_while_both_lanes_are_due_each_gets_half_of_the_calls() -> None:
    """Of any 2n calls n go to each lane, in the order of its watches; the rest of the longer lane follows."""
    pending = lanes_of(backlog=12, fresh=10)
    names = taken(pending)
    for calls in range(0, 21, 2):
        assert sum(name.startswith("old") for name in names[:calls]) == calls / 2
    assert [name for name in names if name.startswith("old")] == [f"old-{n}" for n in range(12)]
    assert [name for name in names if name.startswith("new")] == [f"new-{n}" for n in range(10)]


def test_what_a_lane_does_not_need_goes_to_the_other() -> None:
    """Watches of the backlog go while no fresh one is due, and a fresh one goes when it is; without a backlog all calls are fresh."""
    pending = lanes_of(backlog=5, fresh=1)
    pending.put_back(take(pending).watch, 0.0, 10.0, "cadence")
    assert lanes_taken(pending, 3, now=9.0) == ["old"] * 3
    assert lanes_taken(pending, 2, now=10.0) == ["new", "old"]
    assert lanes_taken(lanes_of(backlog=0, fresh=5), 5) == ["new"] * 5


def test_fresh_watches_catch_up_on_a_few_calls() -> None:
    """After a time with fewer fresh calls than their half, a burst of new watches goes at once, up to a bound."""
    pending = lanes_of(backlog=200, fresh=0)
    lanes_taken(pending, 100)
    for n in range(100):
        pending.add(watch(f"new-{n}"), 0.0)
    burst = lanes_taken(pending, CREDIT + 21)
    assert burst[: CREDIT + 1] == ["new"] * (CREDIT + 1)
    assert burst[CREDIT + 1 :] == ["old", "new"] * 10


@pytest.mark.parametrize("endless", ["old", "new"])
def test_nothing_starves(endless) -> None:
    """However many watches of one lane are due all the time, all watches of the other one are taken with half of the calls."""
    pending, waiting = lanes_of(backlog=30, fresh=30), 30
    for call in range(2 * 30 + CREDIT):
        name = names_of(pending.take(now=float(call)))[0]
        waiting -= not name.startswith(endless)
        pending.add(watch(f"{endless}-more-{call}"), float(call), ADOPTED if endless == "old" else "new")
    assert waiting == 0


def test_poll_now_goes_before_both_lanes() -> None:
    """A watch of the backlog too, and the lanes share the other calls as before."""
    pending = lanes_of(backlog=4, fresh=3)
    assert lanes_taken(pending, 2) == ["new", "old"]
    for name in ("old-3", "new-2"):
        assert pending.poll_now(watch(name).key, 50.0)
    assert pending.backlog == 2
    assert taken(pending) == ["old-3", "new-2", "new-1", "old-1", "old-2"]


def test_a_backlog_catches_up_on_no_calls() -> None:
    """After a time in which none of it was due, it gets half of the calls, not all of them."""
    pending = lanes_of(backlog=5, fresh=60)
    for _ in range(10):
        pending.put_back(pending.take(now=0.0)[0].watch, 0.0, 75.0, "cadence")
    assert lanes_taken(pending, 40, now=1.0) == ["new"] * 40
    assert lanes_taken(pending, 6, now=99.0) == ["old", "new"] * 3


def test_a_watch_of_the_backlog_stays_there_until_the_backlog_has_caught_up() -> None:
    """All of them are polled before one is polled twice, whatever a poll showed; when none is overdue any more, they are fresh."""
    pending = lanes_of(backlog=4, fresh=0)
    for reason in ("cadence", "denied", "throttled"):
        pending.put_back(pending.take(now=10.0)[0].watch, 10.0, 0.0 if reason == "throttled" else 5.0, reason)
    assert pending.backlog == 4
    last = pending.take(now=16.0)[0]
    assert names_of([last]) == ["old-3"]
    pending.put_back(last.watch, 16.0, 5.0, "cadence")
    assert [names_of(pending.take(now=16.0))[0] for _ in range(3)] == ["old-2", "old-0", "old-1"]
    assert pending.backlog == 1
    for n in range(3):
        pending.put_back(watch(f"old-{n}"), 17.0, 5.0, "cadence")
    assert pending.backlog == 1
    pending.put_back(pending.take(now=21.0)[0].watch, 21.0, 5.0, "cadence")
    assert (pending.backlog, len(pending)) == (0, 4)


def test_a_missing_task_of_a_backlog_is_left_out_as_any_other() -> None:
    """While the circuit for missing tasks is open, the backlog goes on with the others."""
    pending = lanes_of(backlog=3, fresh=0)
    pending.put_back(pending.take(now=0.0)[0].watch, 0.0, 1.0, "not_found")
    pending.finish(pending.take(now=1.0)[0].watch)
    assert names_of(pending.take(now=2.0, missing=False)) == ["old-2"]
    assert pending.first(2.0, missing=False) is None
    assert names_of(pending.take(now=2.0)) == ["old-0"]


def test_the_calls_wanted_by_a_backlog_are_known() -> None:
    """They are a part of all calls wanted, as long as the watches are in the backlog."""
    pending = lanes_of(backlog=3, fresh=1)
    for gap in (2.0, 4.0, 5.0):
        pending.put_back(pending.take(now=1.0)[0].watch, 1.0, gap, "cadence")
    assert (pending.wanted, pending.backlog_wanted) == (pytest.approx(0.95), pytest.approx(0.45))
    pending.poll_now(watch("old-0").key, 1.0)
    pending.put_back(pending.take(now=1.0)[0].watch, 1.0, 10.0, "cadence")
    assert (pending.wanted, pending.backlog_wanted) == (pytest.approx(0.8), pytest.approx(0.2))
    for n in range(3):
        pending.drop(watch(f"old-{n}").key)
    assert (pending.wanted, pending.backlog_wanted, pending.backlog) == (pytest.approx(0.5), pytest.approx(0.0), 0)


@pytest.mark.parametrize(
    ("taken_before", "limit", "batch"),
    [
        (0, 3, ["new-0", "new-1", "old-0"]),
        (0, 9, ["new-0", "new-1", "old-0", "old-1", "old-2", "new-later"]),
        (1, 3, ["old-0", "old-1", "old-2"]),
        (1, 9, ["old-0", "old-1", "old-2", "new-1", "new-later"]),
    ],
)
def test_the_others_in_a_call_come_from_both_lanes(taken_before, limit, batch) -> None:
    """First those of the lane whose turn it is, then those of the other one, then those that are not due yet; no missing task."""
    pending = PendingSet()
    for name in ("new-later", "missing"):
        pending.add(watch(name), 0.0)
        pending.put_back(take(pending).watch, 0.0, 60.0 if name == "new-later" else 1.0, "cadence" if name == "new-later" else "not_found")
    for name in ("old-0", "old-1", "old-2", "new-0", "new-1"):
        pending.add(watch(name), 0.0, ADOPTED if name.startswith("old") else "new")
    for _ in range(taken_before):
        pending.finish(pending.take(now=0.5)[0].watch)
    assert names_of(pending.take(limit, now=0.5)) == batch
    assert pending.calls_in_flight == 1


def test_a_call_of_the_backlog_takes_none_of_another_group() -> None:
    """Neither of another kind nor of another target."""
    pending = PendingSet()
    for name, kind, target in (("a", "speaker-search", "default"), ("b", "voice-tone", "default"), ("c", "speaker-search", "eu")):
        pending.add(watch(name, kind=kind, target=target), 0.0, ADOPTED)
    assert [names_of(pending.take(9)) for _ in range(3)] == [["a"], ["b"], ["c"]]


def test_each_lane_has_its_own_lateness() -> None:
    """The lateness of all is that of the lane that is later."""
    pending = lanes_of(backlog=1, fresh=0)
    pending.add(watch("new"), 7.0)
    assert (pending.lateness(10.0), pending.lateness(10.0, backlog=False), pending.lateness(10.0, fresh=False)) == (10.0, 3.0, 10.0)
    pending.drop(watch("old-0").key)
    assert (pending.lateness(10.0), pending.lateness(10.0, backlog=False), pending.lateness(10.0, fresh=False)) == (3.0, 3.0, 0.0)


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
        st.tuples(st.just("adopt"), names),
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
    """Over any story, the set has what was added and not removed, the first watch is one that is due first, and the sums are right."""
    pending, now, in_flight, present, count = PendingSet(), 0.0, {}, {}, 0
    for what, more in story:
        if what in ("add", "adopt"):
            count += 1
            new = watch(more, str(count), KINDS[more], status=rng.choice([None, "IN_QUEUE"]))
            pending.add(new, now, "new" if what == "add" else ADOPTED)
            present[new.key] = new.id
        elif what == "take":
            first, waiting = pending.first(now), {key for key in present if key not in in_flight}
            entries = pending.take(more, now=now)
            group = {key for key in waiting if first is not None and key.startswith(first.watch.ref.kind)}
            assert len(entries) == min(more, len(group))
            assert entries[:1] == ([first] if waiting else [])
            for key in (entry.watch.key for entry in entries):
                assert key in waiting
            for entry in entries:
                assert entry.watch.id == present[entry.watch.key]
                assert entry.watch.ref.kind == entries[0].watch.ref.kind
                in_flight[entry.watch.key] = entry.watch
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
        waiting = [entry for key, entry in entries.items() if key not in in_flight]
        assert pending.backlog == sum(entry.backlog for entry in waiting)
        assert abs(pending.backlog_wanted - sum(entry.rate for entry in entries.values() if entry.backlog)) < 1e-6
        first = pending.first(now)
        assert (first is None) == (not waiting)
        assert first is None or first.due == min(entry.due for entry in first_choices(waiting, first, now))


def first_choices(waiting: list[PendingEntry], first: PendingEntry, now: float) -> list[PendingEntry]:
    """The entries before none of which `first` may go: those to poll now; those of its lane while both are due; else all."""
    if any(entry.reason == "poll_now" for entry in waiting):
        return [entry for entry in waiting if entry.reason == "poll_now"]
    lanes = [[entry for entry in waiting if entry.backlog == backlog] for backlog in (False, True)]
    if all(any(entry.due <= now for entry in lane) for lane in lanes):
        return lanes[first.backlog]
    return waiting


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
    st.integers(0, 2**70), st.integers(0, 9), times, texts, texts, times, st.integers(0, 9), times,
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


# --- outer params, and tasks that are polled alone ----------------------------------------------------


def outer_of(ref: TaskRef) -> tuple[str, ...]:
    return ref.params[:-1]


def in_cluster(cluster: str, name: str) -> Watch:
    return watch_of(TaskRef("speaker-search", (cluster, name)))


def test_a_batch_never_mixes_outer_params() -> None:
    """Tasks of two clusters are polled in calls of their own: a call names one cluster."""
    pending = PendingSet(outer_of)
    for at, (cluster, name) in enumerate((("one", "a"), ("two", "b"), ("one", "c"), ("two", "d"))):
        pending.add(in_cluster(cluster, name), float(at))
    assert [names_of(pending.take(9)) for _ in range(2)] == [["a", "c"], ["b", "d"]]


def test_a_watch_that_is_polled_alone_shares_no_call() -> None:
    """Neither as the first of a call nor as a rider, until it may again; another watch of the task starts anew."""
    pending = pending_of("a", "b", "c")
    for entry in pending.take(3):
        pending.poll_alone(entry.watch.key, alone=entry.watch.key == watch("a").key)
        pending.put_back(entry.watch, 0.0, 1.0, "cadence")
    assert [names_of(pending.take(9)) for _ in range(2)] == [["a"], ["b", "c"]]
    for name in ("b", "c", "a"):
        pending.put_back(watch(name), 1.0, 1.0, "cadence")
    assert [names_of(pending.take(9)) for _ in range(2)] == [["b", "c"], ["a"]], "it stays so, whatever the outcome was"
    pending.add(watch("a", "new"), 5.0)
    pending.finish(watch("a"))
    for name in ("b", "c"):
        pending.put_back(watch(name), 5.0, 1.0, "cadence")
    assert names_of(pending.take(9)) == ["a", "b", "c"]


clusters = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.tuples(st.sampled_from("xyz"), st.sampled_from("abc"))),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.sampled_from(["put_back", "alone", "missing", "finish"]), st.floats(0, 3)),
        st.tuples(st.just("pass"), st.floats(0, 5)),
    ),
    max_size=60,
)


@given(clusters, st.randoms(use_true_random=False))
def test_over_any_story_the_first_watch_is_taken_with_others_of_its_cluster(story, rng) -> None:
    """The head is one that is due first of all groups, riders are of its group and may be polled, and a lone task shares no call."""
    pending, now, in_flight = PendingSet(outer_of), 0.0, {}
    for what, more in story:
        if what == "add":
            new = in_cluster(*more)
            if new.key not in pending:
                pending.add(new, now)
        elif what == "take":
            keys = [in_cluster(c, n).key for c in "xyz" for n in "abc"]
            waiting_now = [entry for key in keys if key not in in_flight and (entry := pending.get(key)) is not None]
            entries = pending.take(more, now=now)
            in_flight |= {entry.watch.key: entry for entry in entries}
            assert bool(entries) == bool(waiting_now)
            if entries:
                head, *riders = entries
                assert head.due == min(entry.due for entry in waiting_now)
                assert all(entry.watch.ref.params[0] == head.watch.ref.params[0] for entry in riders)
                assert all((entry.reason == "not_found") == (head.reason == "not_found") for entry in riders)
                assert not riders or not any(entry.alone for entry in entries)
        elif what == "pass":
            now += more
        elif in_flight:
            key = rng.choice(sorted(in_flight))
            watch_back = in_flight.pop(key).watch
            if what == "finish":
                pending.finish(watch_back)
                continue
            pending.poll_alone(key, alone=what == "alone")
            pending.put_back(watch_back, now, more, "not_found" if what == "missing" else "cadence")
