"""Which messages may be acknowledged when the store is not durable."""

from hypothesis import given
from hypothesis import strategies as st

from watcher.core.intake.unacked_messages import UnackedMessages
from watcher.model import Message

SINKS = ("log", "bus")


def message(id_: str, receipt: str = "r") -> Message:
    return Message(id_, b"", receipt)


def unacked_of(*held: tuple[str, list[str]], sinks=SINKS) -> UnackedMessages:
    unacked = UnackedMessages(sinks)
    for id_, keys in held:
        unacked.hold("queue", message(id_), keys)
    return unacked


def ids(free):
    return [(source, each.id) for source, each in free]


def test_a_message_is_free_when_every_sink_has_settled_each_of_its_tasks() -> None:
    """Neither one sink nor one task is enough."""
    unacked = unacked_of(("m", ["a", "b"]))
    assert unacked.settled("a", "log") == unacked.settled("a", "bus") == unacked.settled("b", "bus") == []
    assert ids(unacked.settled("b", "log")) == [("queue", "m")]
    assert (len(unacked), unacked.held("queue"), unacked.waits_for("a")) == (0, [], False)


def test_a_sink_that_settles_twice_counts_as_one_sink() -> None:
    """Delivery is at least once, so the same sink may settle the last event of a task again."""
    unacked = unacked_of(("m", ["a"]))
    assert [unacked.settled("a", "log") for _ in range(3)] == [[], [], []]


def test_two_messages_for_one_task_are_free_together() -> None:
    """The messages may be of different sources."""
    unacked = unacked_of(("m", ["a"]))
    unacked.settled("a", "log")
    unacked.hold("pipe", message("n"), ["a"])
    assert sorted(ids(unacked.settled("a", "bus"))) == [("pipe", "n"), ("queue", "m")]


def test_a_message_that_comes_again_replaces_its_receipt() -> None:
    """It is held one time, with the newest receipt, and still waits for all of its tasks."""
    unacked = unacked_of(("m", ["a", "b"]))
    unacked.hold("queue", message("m", "newer"), ["b"])
    assert [each.receipt for each in unacked.held("queue")] == ["newer"]
    assert unacked.settled("b", "log") == unacked.settled("b", "bus") == unacked.settled("a", "log") == []
    ((_, free),) = unacked.settled("a", "bus")
    assert free.receipt == "newer"


def test_messages_with_equal_ids_from_two_sources_are_two() -> None:
    """An id is unique within its source only."""
    unacked = unacked_of(("m", ["a"]))
    unacked.hold("pipe", message("m"), ["a"])
    assert (len(unacked), len(unacked.held("queue")), len(unacked.held("pipe"))) == (2, 1, 1)
    unacked.lost("pipe", message("m"))
    assert ids(unacked.done("a")) == [("queue", "m")]


def test_a_task_that_is_done_frees_its_messages_at_once() -> None:
    """An erased task has no further events, whatever the sinks have settled; a later watch of it starts anew."""
    unacked = unacked_of(("m", ["a"]), ("n", ["a", "b"]))
    unacked.settled("a", "log")
    assert ids(unacked.done("a")) == [("queue", "m")]
    assert unacked.done("a") == []
    unacked.hold("queue", message("o"), ["a"])
    assert unacked.settled("a", "bus") == []
    assert ids(unacked.settled("a", "log")) == [("queue", "o")]


def test_a_lost_message_waits_again_when_it_comes_again() -> None:
    """It is not held in the meantime, but its task still counts as waited for, so that it is not acknowledged too early."""
    unacked = unacked_of(("m", ["a"]))
    unacked.settled("a", "log")
    unacked.lost("queue", message("m"))
    unacked.lost("queue", message("m"))
    assert (len(unacked), unacked.held("queue")) == (0, [])
    assert unacked.waits_for("a")
    unacked.hold("queue", message("m", "newer"), ["a"])
    assert [each.receipt for _, each in unacked.settled("a", "bus")] == ["newer"]


def test_an_event_that_is_sent_again_after_its_task_is_done_changes_nothing() -> None:
    """A dead letter that is retried later does not count for a later watch of the same task."""
    unacked = unacked_of(("m", ["a"]))
    for sink in SINKS:
        unacked.settled("a", sink)
    assert unacked.settled("a", "log") == []
    unacked.hold("queue", message("n"), ["a"])
    assert unacked.settled("a", "bus") == []
    assert ids(unacked.settled("a", "log")) == [("queue", "n")]


def test_a_message_of_a_dropped_key_is_neither_held_nor_acknowledged() -> None:
    """Its other tasks are still waited for, because the message comes again; messages without such a key are not affected."""
    unacked = unacked_of(("m", ["a", "b"]), ("n", ["b"]), ("o", ["c"]))
    unacked.settled("a", "log")
    unacked.drop_where(lambda key: key == "a")
    assert [each.id for each in unacked.held("queue")] == ["n", "o"]
    assert (unacked.waits_for("a"), unacked.waits_for("b")) == (False, True)
    assert unacked.settled("a", "bus") == []
    assert ids(unacked.done("b")) == [("queue", "n")]
    unacked.hold("queue", message("m"), ["a"])
    assert unacked.settled("a", "bus") == []
    assert ids(unacked.settled("a", "log")) == [("queue", "m")]


keys = st.sampled_from("abc")
messages = st.sampled_from("mno")
stories = st.lists(
    st.one_of(
        st.tuples(st.just("hold"), messages, st.sets(keys, min_size=1)),
        st.tuples(st.just("settled"), keys, st.sampled_from(SINKS)),
        st.tuples(st.just("lost"), messages, st.none()),
        st.tuples(st.just("drop"), st.sets(keys), st.none()),
    ),
    max_size=40,
)


@given(stories)
def test_a_message_is_freed_exactly_when_its_last_task_is_done(story) -> None:
    """Over any story, each held message is freed when every sink has settled each of its keys since the key was first waited for."""
    unacked, waiting, settled = UnackedMessages(SINKS), {}, {}
    for what, one, other in story:
        free = []
        if what == "hold":
            unacked.hold("queue", message(one), other)
            waiting[one] = waiting.get(one, set()) | other
            for key in other:
                settled.setdefault(key, set())
        elif what == "lost":
            unacked.lost("queue", message(one))
            waiting.pop(one, None)
        elif what == "drop":
            unacked.drop_where(one.__contains__)
            waiting = {id_: keys_ for id_, keys_ in waiting.items() if not keys_ & one}
            settled = {key: sinks for key, sinks in settled.items() if key not in one}
        elif one in settled:
            free = unacked.settled(one, other)
            settled[one].add(other)
            if settled[one] == set(SINKS):
                del settled[one]
                for keys_ in waiting.values():
                    keys_.discard(one)
        else:
            assert unacked.settled(one, other) == []
        done = {id_ for id_, keys_ in waiting.items() if not keys_}
        assert {each.id for _, each in free} == done
        waiting = {id_: keys_ for id_, keys_ in waiting.items() if keys_}
        assert {each.id for each in unacked.held("queue")} == set(waiting)
        assert {key for key in "abc" if unacked.waits_for(key)} == set(settled)
