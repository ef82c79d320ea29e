"""What one sink takes next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import event_at
from watcher.core.delivery.sink_queue import WINDOW, SinkQueue


def lane_of(*events: tuple[str, int]) -> SinkQueue:
    lane = SinkQueue()
    lane.add(event_at(key, position) for key, position in events)
    return lane


def places(batch):
    return [(event.key, event.position) for event in batch]


def test_each_task_goes_in_order_one_event_at_a_time() -> None:
    """The next event of a task is not taken before the one under way is settled."""
    lane = lane_of(("a", 1), ("a", 2), ("b", 3))
    first = lane.take(0, 10)
    assert places(first) == [("a", 1), ("b", 3)]
    assert lane.take(0, 10) == []
    lane.settle(first)
    assert places(lane.take(0, 10)) == [("a", 2)]


def test_a_batch_is_no_longer_than_its_limit_and_fair() -> None:
    """Those left over come first the next time."""
    lane = lane_of(*((f"k{n}", n) for n in range(5)), ("k0", 5))
    batch = lane.take(0, 2)
    lane.settle(batch)
    assert places(batch) == [("k0", 0), ("k1", 1)]
    assert places(lane.take(0, 10)) == [("k2", 2), ("k3", 3), ("k4", 4), ("k0", 5)]


def test_a_task_that_rests_is_passed_by_others() -> None:
    """Its event waits until then, in its place, and the attempts are counted until it is settled."""
    lane = lane_of(("a", 1), ("a", 2), ("b", 3))
    held, other = lane.take(0, 10)
    lane.settle([other])
    lane.rest(held, until=5.0)
    assert (lane.tries("a"), lane.wait(1.0), lane.take(4.9, 10)) == (1, 4.0, [])
    assert lane.wait(9.0) == 0
    again = lane.take(5.0, 10)
    assert places(again) == [("a", 1)]
    lane.settle(again)
    assert lane.tries("a") == 0
    assert places(lane.take(5.0, 10)) == [("a", 2)]


def test_an_empty_lane_waits_for_nothing() -> None:
    """Nor does one whose events are all under way; one with something ready does not wait."""
    lane = lane_of()
    assert lane.wait(0) is None
    lane.add([event_at("a", 1)])
    assert lane.wait(0) == 0
    lane.take(0, 1)
    assert lane.wait(0) is None


def test_a_dropped_task_is_sent_no_more() -> None:
    """What waits and what rests is gone; what is under way may still be settled, and is not tried again."""
    lane = lane_of(("ready", 1), ("rests", 2), ("way", 3), ("way", 4), ("stays", 5))
    batch = lane.take(0, 10)
    lane.rest(batch[0], until=0.0)
    lane.rest(batch[1], until=9.0)
    for key in ("ready", "rests", "way", "nobody"):
        lane.drop(key)
    assert len(lane) == 2
    lane.rest(batch[2], until=1.0)
    lane.settle([batch[3]])
    assert (len(lane), lane.take(100, 10), lane.wait(0), lane.tries("way")) == (0, [], None, 0)


@pytest.mark.parametrize("state", ["ready", "resting", "under way"])
def test_a_task_submitted_again_after_it_was_dropped_goes_once(state) -> None:
    """Its new events are sent in order, none twice in a batch, whatever the old ones were about when they were dropped."""
    lane = lane_of(("a", 1), ("a", 2))
    under_way = lane.take(0, 1) if state != "ready" else []
    if state == "resting":
        lane.rest(under_way[0], until=50.0)
    lane.drop("a")
    lane.add([event_at("a", 3), event_at("a", 4)])
    if state == "under way":
        assert lane.take(0, 10) == []
        lane.rest(under_way[0], until=50.0)
    batch = lane.take(0, 10)
    assert places(batch) == [("a", 3)]
    lane.rest(batch[0], until=90.0)
    assert lane.take(60, 10) == []
    lane.settle(lane.take(90, 10))
    assert places(lane.take(90, 10)) == [("a", 4)]


def test_a_dead_letter_goes_behind_what_its_task_has_waiting() -> None:
    """And does not move the window over the outbox."""
    lane = lane_of(("a", 7), ("a", 8))
    lane.retry(event_at("a", 2))
    order = []
    while batch := lane.take(0, 10):
        order += places(batch)
        lane.settle(batch)
    assert order == [("a", 7), ("a", 8), ("a", 2)]
    assert lane.position == 8


def test_the_window_is_bounded() -> None:
    """Room is what is left of it; it opens as events are settled."""
    lane = SinkQueue()
    lane.add(event_at(f"k{n}", n) for n in range(WINDOW))
    assert (lane.room, lane.position) == (0, WINDOW - 1)
    lane.settle(lane.take(0, 10))
    assert lane.room == 10


class Model:
    """The same contract, kept as one list: (event, state), where a state is ready, under way, or the time to rest until."""

    def __init__(self):
        self.rows = []

    def add(self, event):
        self.rows.append([event, "ready", False])

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

    def rest(self, event, until):
        row = self.head(event.key)
        if row[2]:
            self.rows.remove(row)
        else:
            row[1] = until


keys = st.sampled_from("abc")
operations = st.lists(
    st.one_of(
        st.tuples(st.just("add"), keys),
        st.tuples(st.just("retry"), keys),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("settle"), st.integers(0, 5)),
        st.tuples(st.just("rest"), st.integers(0, 5), st.integers(0, 4)),
        st.tuples(st.just("drop"), keys),
        st.tuples(st.just("pass"), st.integers(1, 3)),
    ),
    max_size=60,
)


@given(operations)
def test_it_behaves_as_a_plain_list_would(story) -> None:
    """Whatever happens in whatever order: a batch holds the first event of tasks that are ready, as many as asked for, each once."""
    lane, model, now, position, way = SinkQueue(), Model(), 0, 0, []
    for what, *more in story:
        if what in ("add", "retry"):
            position += 1
            event = event_at(more[0], position)
            lane.add([event]) if what == "add" else lane.retry(event)
            model.add(event)
        elif what == "take":
            ready = model.ready(now)
            batch = lane.take(now, more[0])
            assert len(batch) == min(more[0], len(ready)) == len({event.key for event in batch})
            for event in batch:
                assert event.key in ready
                assert event == model.head(event.key)[0]
                model.head(event.key)[1] = "way"
            way += batch
        elif what in ("settle", "rest") and way:
            event = way.pop(more[0] % len(way))
            if what == "settle":
                lane.settle([event])
                model.settle(event)
            else:
                lane.rest(event, now + more[1])
                model.rest(event, now + more[1])
        elif what == "drop":
            lane.drop(more[0])
            model.drop(more[0])
        elif what == "pass":
            now += more[0]
        assert len(lane) == len(model.rows)
        times = [0 if row[1] == "ready" else max(0, row[1] - now) for row in model.heads() if row[1] != "way"]
        assert lane.wait(now) == (min(times) if times else None)
