"""Which event a sink gets next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import NOW, event_at
from watcher.core.delivery.sink_queue import WINDOW, SinkQueue


def queue_of(*events: tuple[str, int]) -> SinkQueue:
    """A queue with these events (key, position) of shard 0."""
    queue = SinkQueue()
    queue.adopt(0)
    queue.add(0, [event_at(key, position) for key, position in events])
    return queue


def places(batch):
    return [(event.key, event.position) for event in batch]


def test_the_events_of_a_task_go_in_order_one_at_a_time() -> None:
    """The next event of a task is not taken before the one under way is settled."""
    queue = queue_of(("a", 1), ("a", 2), ("b", 3))
    first = queue.take(0, 10)
    assert places(first) == [("a", 1), ("b", 3)]
    assert queue.take(0, 10) == []
    queue.settle(first)
    assert places(queue.take(0, 10)) == [("a", 2)]


def test_a_batch_keeps_its_limit_and_the_rest_comes_first_next_time() -> None:
    """Events that did not fit in a batch go before those that became ready later."""
    queue = queue_of(*((f"k{n}", n) for n in range(5)), ("k0", 5))
    batch = queue.take(0, 2)
    queue.settle(batch)
    assert places(batch) == [("k0", 0), ("k1", 1)]
    assert places(queue.take(0, 10)) == [("k2", 2), ("k3", 3), ("k4", 4), ("k0", 5)]


def test_a_postponed_event_delays_only_its_own_task() -> None:
    """It waits until its time, in its place, and its attempts are counted until it is settled."""
    queue = queue_of(("a", 1), ("a", 2), ("b", 3))
    held, other = queue.take(0, 10)
    queue.settle([other])
    queue.postpone(held, until=5.0)
    assert (queue.attempts("a"), queue.wait(1.0), queue.take(4.9, 10)) == (1, 4.0, [])
    assert queue.wait(9.0) == 0
    again = queue.take(5.0, 10)
    assert places(again) == [("a", 1)]
    queue.settle(again)
    assert queue.attempts("a") == 0
    assert places(queue.take(5.0, 10)) == [("a", 2)]


def test_an_empty_queue_waits_for_no_time() -> None:
    """Nor does a queue whose events are all under way; one with a ready event does not wait at all."""
    queue = queue_of()
    assert queue.wait(0) is None
    queue.add(0, [event_at("a", 1)])
    assert queue.wait(0) == 0
    queue.take(0, 1)
    assert queue.wait(0) is None


def test_a_dropped_task_gets_no_further_attempt() -> None:
    """Ready and postponed events are removed; an event under way may still be settled, and is not retried."""
    queue = queue_of(("ready", 1), ("postponed", 2), ("way", 3), ("way", 4), ("stays", 5))
    batch = queue.take(0, 10)
    queue.postpone(batch[0], until=0.0)
    queue.postpone(batch[1], until=9.0)
    for key in ("ready", "postponed", "way", "unknown"):
        queue.drop(key)
    assert len(queue) == 2
    assert [queue.is_dropped(event) for event in batch] == [False, False, True, False]
    queue.postpone(batch[2], until=1.0)
    queue.settle([batch[3]])
    assert (len(queue), queue.take(100, 10), queue.wait(0), queue.attempts("way")) == (0, [], None, 0)


def test_only_unwanted_events_are_dropped() -> None:
    """The other events of the task go on in order."""
    queue = queue_of(("a", 1), ("a", 2), ("a", 3))
    queue.drop("a", lambda event: event.position == 2)
    (first,) = queue.take(0, 10)
    queue.settle([first])
    assert [first.position, *(event.position for event in queue.take(0, 10))] == [1, 3]


@pytest.mark.parametrize("state", ["ready", "postponed", "under way"])
def test_a_task_submitted_again_after_a_drop_starts_anew(state) -> None:
    """Its new events are sent in order, none twice in a batch, whatever the state of the old events was."""
    queue = queue_of(("a", 1), ("a", 2))
    under_way = queue.take(0, 1) if state != "ready" else []
    if state == "postponed":
        queue.postpone(under_way[0], until=50.0)
    queue.drop("a")
    queue.add(0, [event_at("a", 3), event_at("a", 4)])
    if state == "under way":
        assert queue.take(0, 10) == []
        queue.postpone(under_way[0], until=50.0)
    batch = queue.take(0, 10)
    assert places(batch) == [("a", 3)]
    queue.postpone(batch[0], until=90.0)
    assert queue.take(60, 10) == []
    queue.settle(queue.take(90, 10))
    assert places(queue.take(90, 10)) == [("a", 4)]


def test_a_requeued_dead_letter_goes_behind_the_waiting_events_of_its_task() -> None:
    """It does not move the position of its shard."""
    queue = queue_of(("a", 7), ("a", 8))
    assert queue.requeue(event_at("a", 2))
    order = []
    while batch := queue.take(0, 10):
        order += places(batch)
        queue.settle(batch)
    assert order == [("a", 7), ("a", 8), ("a", 2)]
    assert queue.position(0) == 8


def test_the_window_is_bounded() -> None:
    """Room is what is left of the window, and grows as events are settled."""
    queue = queue_of(*((f"k{n}", n) for n in range(WINDOW)))
    assert (queue.room, queue.position(0)) == (0, WINDOW - 1)
    queue.settle(queue.take(0, 10))
    assert queue.room == 10


def test_the_oldest_event_is_the_first_one_of_some_task() -> None:
    """Its commit time is known until it is settled; a retry of an old dead letter does not count."""
    queue = queue_of()
    assert queue.oldest_at is None
    queue.add(0, [event_at("a", 1, at=NOW + 5), event_at("b", 2, at=NOW + 6), event_at("a", 3, at=NOW + 7)])
    queue.requeue(event_at("c", 0, at=NOW - 1000))
    queue.requeue(event_at("b", 0, at=NOW - 1000))
    assert queue.oldest_at == NOW + 5
    batch = queue.take(0, 10)
    assert queue.oldest_at == NOW + 5
    queue.settle(batch)
    assert queue.oldest_at == NOW + 7
    queue.settle(queue.take(0, 10))
    assert queue.oldest_at is None
    queue.add(0, [event_at("c", 0, at=NOW + 8)])
    assert queue.oldest_at == NOW + 8


# --- shards ----------------------------------------------------------------------------------------


def sharded(*shards: int) -> SinkQueue:
    queue = SinkQueue()
    for shard in shards:
        queue.adopt(shard)
    return queue


def test_each_shard_has_a_position() -> None:
    """Positions of different shards are independent of each other, and start at 0."""
    queue = sharded(0, 7)
    queue.add(7, [event_at("b", 3, shard=7)])
    queue.add(0, [event_at("a", 2)])
    assert (sorted(queue.shards), queue.position(0), queue.position(7)) == ([0, 7], 2, 3)
    queue.adopt(7)
    assert queue.position(7) == 3


def test_a_released_shard_leaves_the_others_alone() -> None:
    """Its ready and postponed events are gone, and those of another shard are sent as before."""
    queue = sharded(0, 1)
    queue.add(1, [event_at("ready", 1, shard=1), event_at("postponed", 2, shard=1)])
    queue.add(0, [event_at("a", 1), event_at("a", 2)])
    ready, postponed, other = queue.take(0, 10)
    queue.postpone(postponed, until=9.0)
    queue.postpone(ready, until=0.0)
    queue.release(1)
    assert (list(queue.shards), len(queue), queue.wait(0)) == ([0], 2, None)
    queue.settle([other])
    assert places(queue.take(100, 10)) == [("a", 2)]


def test_an_event_under_way_when_its_shard_is_released_is_not_retried() -> None:
    """It may still be settled; postponed, it is gone."""
    queue = sharded(0, 1)
    queue.add(1, [event_at("b", 1, shard=1), event_at("b", 2, shard=1), event_at("c", 3, shard=1)])
    one, two = queue.take(0, 10)
    queue.release(1)
    assert [queue.is_dropped(one), queue.is_dropped(two), len(queue)] == [True, True, 2]
    queue.settle([one])
    queue.postpone(two, until=1.0)
    assert (len(queue), queue.wait(0)) == (0, None)


def test_a_shard_that_is_adopted_again_starts_from_its_first_unsettled_event() -> None:
    """The new attempt waits for the one that was under way, so that the order of the task is kept."""
    queue = sharded(1)
    queue.add(1, [event_at("b", 1, shard=1), event_at("b", 2, shard=1)])
    (before,) = queue.take(0, 10)
    queue.release(1)
    queue.adopt(1)
    assert queue.position(1) == 0
    queue.add(1, [event_at("b", 1, shard=1), event_at("b", 2, shard=1)])
    assert queue.take(0, 10) == []
    queue.settle([before])
    assert places(queue.take(0, 10)) == [("b", 1)]


def test_events_read_for_an_earlier_adoption_are_ignored() -> None:
    """A read that began before the shard was released must not move the position of the new adoption past unsettled events."""
    queue = sharded(1)
    queue.add(1, [event_at("b", 5, shard=1)], after=0)
    queue.release(1)
    queue.add(1, [event_at("b", 6, shard=1)], after=5)
    assert not queue.requeue(event_at("b", 2, shard=1))
    queue.adopt(1)
    queue.add(1, [event_at("b", 6, shard=1)], after=5)
    assert (len(queue), queue.position(1)) == (0, 0)
    queue.add(1, [event_at("b", 5, shard=1)], after=0)
    assert (len(queue), queue.position(1)) == (1, 5)


class Model:
    """The same contract as one list of [event, state, dropped], where a state is ready, under way, or the time to wait until."""

    def __init__(self):
        self.rows = []
        self.positions = {}

    def add(self, event):
        if event.shard in self.positions:
            self.positions[event.shard] = event.position
            self.rows.append([event, "ready", False])

    def requeue(self, event):
        if event.shard in self.positions:
            self.rows.append([event, "ready", False])

    def release(self, shard):
        self.positions.pop(shard, None)
        for key in {row[0].key for row in self.rows if row[0].shard == shard}:
            self.drop(key)

    def heads(self):
        seen = set()
        return [row for row in self.rows if not (row[0].key in seen or seen.add(row[0].key))]

    def ready(self, now):
        return {row[0].key for row in self.heads() if row[1] != "way" and (row[1] == "ready" or row[1] <= now)}

    def head(self, key):
        return next(row for row in self.heads() if row[0].key == key)

    def drop(self, key):
        kept = [row for row in self.rows if row[0].key != key or row[1] == "way"]
        for row in kept:
            row[2] = row[2] or row[0].key == key
        self.rows = kept

    def settle(self, event):
        self.rows.remove(self.head(event.key))

    def postpone(self, event, until):
        row = self.head(event.key)
        if row[2]:
            self.rows.remove(row)
        else:
            row[1] = until


SHARD = {"a": 0, "b": 0, "c": 1, "d": 2}
keys = st.sampled_from("abcd")
shards = st.sampled_from([0, 1, 2])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("add"), keys),
        st.tuples(st.just("requeue"), keys),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("settle"), st.integers(0, 5)),
        st.tuples(st.just("postpone"), st.integers(0, 5), st.integers(0, 4)),
        st.tuples(st.just("drop"), keys),
        st.tuples(st.just("adopt"), shards),
        st.tuples(st.just("release"), shards),
        st.tuples(st.just("pass"), st.integers(1, 3)),
    ),
    max_size=60,
)


@given(operations)
def test_it_behaves_as_a_plain_list_would(story) -> None:
    """Over any story of several shards, a batch holds the first events of ready tasks, as many as requested, each one time."""
    queue, model, now, position, way = SinkQueue(), Model(), 0, 0, []
    for shard in (0, 1):
        queue.adopt(shard)
        model.positions[shard] = 0
    for what, *more in story:
        if what in ("add", "requeue"):
            position += 1
            event = event_at(more[0], position, shard=SHARD[more[0]], at=NOW + position)
            queue.add(event.shard, [event]) if what == "add" else queue.requeue(event)
            model.add(event) if what == "add" else model.requeue(event)
        elif what == "take":
            ready = model.ready(now)
            batch = queue.take(now, more[0])
            assert len(batch) == min(more[0], len(ready)) == len({event.key for event in batch})
            for event in batch:
                assert event.key in ready
                assert event == model.head(event.key)[0]
                model.head(event.key)[1] = "way"
            way += batch
        elif what in ("settle", "postpone") and way:
            event = way.pop(more[0] % len(way))
            assert queue.is_dropped(event) == model.head(event.key)[2]
            if what == "settle":
                queue.settle([event])
                model.settle(event)
            else:
                queue.postpone(event, now + more[1])
                model.postpone(event, now + more[1])
        elif what == "drop":
            queue.drop(more[0])
            model.drop(more[0])
        elif what == "adopt":
            queue.adopt(more[0])
            model.positions.setdefault(more[0], 0)
        elif what == "release":
            queue.release(more[0])
            model.release(more[0])
        elif what == "pass":
            now += more[0]
        assert {shard: queue.position(shard) for shard in queue.shards} == model.positions
        assert len(queue) == len(model.rows)
        times = [0 if row[1] == "ready" else max(0, row[1] - now) for row in model.heads() if row[1] != "way"]
        assert queue.wait(now) == (min(times) if times else None)


@given(operations)
def test_the_order_of_each_task_is_kept_in_every_story(story) -> None:
    """Within one adoption of its shard, the events of a task are settled in order of position, and none while another is under way."""
    queue, position, way, last = sharded(0, 1, 2), 0, {}, {}
    for what, *more in story:
        if what == "add":
            position += 1
            queue.add(SHARD[more[0]], [event_at(more[0], position, shard=SHARD[more[0]])])
        elif what == "take":
            for event in queue.take(position, more[0]):
                assert event.key not in way
                way[event.key] = event
        elif what in ("settle", "postpone") and way:
            event = way.pop(sorted(way)[more[0] % len(way)])
            if what == "postpone":
                queue.postpone(event, position + more[1])
                continue
            assert event.position > last.get(event.key, 0)
            last[event.key] = event.position
            queue.settle([event])
        elif what == "release":
            queue.release(more[0])
            queue.adopt(more[0])


def test_a_held_event_delays_only_its_own_task_until_it_is_resumed() -> None:
    """A later event of the task never overtakes it, holding sets no timer, and when it is resumed it goes first."""
    queue = queue_of(("a", 1), ("a", 2), ("b", 3), ("b", 4))
    held, other = queue.take(0, 10)
    queue.settle([other])
    assert queue.hold(held)
    assert queue.attempts("a") == 1
    (later,) = queue.take(1e9, 10)
    queue.settle([later])
    assert queue.wait(0) is None
    queue.add(0, [event_at("c", 5)])
    assert queue.resume(held)
    assert not queue.resume(held), "it is ready, and not held any more"
    assert places(queue.take(0, 10)) == [("a", 1), ("c", 5)]


def test_a_held_event_can_be_settled_without_being_sent() -> None:
    """Claimed, it is under way until it is settled; then the next event of its task is ready."""
    queue = queue_of(("a", 1), ("a", 2))
    (held,) = queue.take(0, 10)
    queue.hold(held)
    assert queue.claim(held)
    assert (queue.claim(held), queue.take(0, 10)) == (False, [])
    queue.settle([held])
    assert places(queue.take(0, 10)) == [("a", 2)]


def test_a_held_event_that_is_dropped_keeps_nothing_waiting() -> None:
    """The events of the task that are kept are ready, and what was held cannot be resumed or claimed."""
    queue = queue_of(("a", 1), ("a", 2))
    (held,) = queue.take(0, 10)
    queue.hold(held)
    queue.drop("a", lambda event: event.position == 1)
    assert (queue.resume(held), queue.claim(held)) == (False, False)
    assert places(queue.take(0, 10)) == [("a", 2)]


def test_an_event_that_is_dropped_while_it_is_sent_is_not_held() -> None:
    """Its task was erased meanwhile, so it is removed, and the next event of the task is ready."""
    queue = queue_of(("a", 1), ("a", 2))
    (sent,) = queue.take(0, 10)
    queue.drop("a", lambda event: event.position == 1)
    assert not queue.hold(sent)
    assert places(queue.take(0, 10)) == [("a", 2)]
