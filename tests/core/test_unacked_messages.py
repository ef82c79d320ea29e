"""Which messages may be acknowledged where the store forgets."""

from hypothesis import given
from hypothesis import strategies as st

from watcher.core.intake.unacked_messages import UnackedMessages
from watcher.model import Message

SINKS = ("log", "bus")


def message(id_: str, receipt: str = "r") -> Message:
    return Message(id_, b"", receipt)


def receipts_of(*held: tuple[str, list[str]], sinks=SINKS) -> UnackedMessages:
    receipts = UnackedMessages(sinks)
    for id_, keys in held:
        receipts.hold("queue", message(id_), keys)
    return receipts


def ids(free):
    return [(source, each.id) for source, each in free]


def test_a_message_is_free_when_every_sink_told_of_every_task_in_it() -> None:
    """Neither one sink nor one task is enough."""
    receipts = receipts_of(("m", ["a", "b"]))
    assert receipts.told("a", "log") == receipts.told("a", "bus") == receipts.told("b", "bus") == []
    assert ids(receipts.told("b", "log")) == [("queue", "m")]
    assert (len(receipts), receipts.held("queue"), receipts.waits_for("a")) == (0, [], False)


def test_a_sink_that_tells_twice_is_one_sink() -> None:
    """At least once is no more than once."""
    receipts = receipts_of(("m", ["a"]))
    assert [receipts.told("a", "log") for _ in range(3)] == [[], [], []]


def test_two_messages_for_one_task_are_free_together() -> None:
    """Of whichever source."""
    receipts = receipts_of(("m", ["a"]))
    receipts.told("a", "log")
    receipts.hold("pipe", message("n"), ["a"])
    assert sorted(ids(receipts.told("a", "bus"))) == [("pipe", "n"), ("queue", "m")]


def test_a_message_that_comes_again_renews_its_receipt() -> None:
    """It is held once, under the newest receipt, and still waits for what it waited for."""
    receipts = receipts_of(("m", ["a", "b"]))
    receipts.hold("queue", message("m", "newer"), ["b"])
    assert [each.receipt for each in receipts.held("queue")] == ["newer"]
    assert receipts.told("b", "log") == receipts.told("b", "bus") == receipts.told("a", "log") == []
    ((_, free),) = receipts.told("a", "bus")
    assert free.receipt == "newer"


def test_messages_of_equal_id_from_two_sources_are_two() -> None:
    """Ids belong to their sources."""
    receipts = receipts_of(("m", ["a"]))
    receipts.hold("pipe", message("m"), ["a"])
    assert (len(receipts), len(receipts.held("queue")), len(receipts.held("pipe"))) == (2, 1, 1)
    receipts.lost("pipe", message("m"))
    assert ids(receipts.done("a")) == [("queue", "m")]


def test_an_erased_task_frees_its_messages_at_once() -> None:
    """Nothing more will come of it, whoever has been told."""
    receipts = receipts_of(("m", ["a"]), ("n", ["a", "b"]))
    receipts.told("a", "log")
    assert ids(receipts.done("a")) == [("queue", "m")]
    assert receipts.done("a") == []
    receipts.hold("queue", message("o"), ["a"])
    assert receipts.told("a", "bus") == []
    assert ids(receipts.told("a", "log")) == [("queue", "o")]


def test_a_lost_message_is_held_again_until_all_are_told() -> None:
    """It is kept no longer; its task is waited for all the same, so that the message, come again, is not freed before its time."""
    receipts = receipts_of(("m", ["a"]))
    receipts.told("a", "log")
    receipts.lost("queue", message("m"))
    receipts.lost("queue", message("m"))
    assert (len(receipts), receipts.held("queue")) == (0, [])
    assert receipts.waits_for("a")
    receipts.hold("queue", message("m", "newer"), ["a"])
    assert [each.receipt for _, each in receipts.told("a", "bus")] == ["newer"]


def test_an_event_sent_again_after_all_is_done_leaves_nothing_behind() -> None:
    """A dead letter that is retried later counts for no later watch of the same task."""
    receipts = receipts_of(("m", ["a"]))
    for sink in SINKS:
        receipts.told("a", sink)
    assert receipts.told("a", "log") == []
    receipts.hold("queue", message("n"), ["a"])
    assert receipts.told("a", "bus") == []
    assert ids(receipts.told("a", "log")) == [("queue", "n")]


keys = st.sampled_from("abc")
stories = st.lists(
    st.one_of(
        st.tuples(st.just("hold"), st.sampled_from("mno"), st.sets(keys, min_size=1)),
        st.tuples(st.just("told"), keys, st.sampled_from(SINKS)),
        st.tuples(st.just("lost"), st.sampled_from("mno"), st.none()),
    ),
    max_size=40,
)


@given(stories)
def test_nothing_is_freed_before_its_time_nor_kept_beyond_it(story) -> None:
    """Over any story each message held is freed exactly when, for each of its keys, every sink told since it was first waited for."""
    receipts, waiting, told = UnackedMessages(SINKS), {}, {}
    for what, one, other in story:
        free = []
        if what == "hold":
            receipts.hold("queue", message(one), other)
            waiting[one] = waiting.get(one, set()) | other
            for key in other:
                told.setdefault(key, set())
        elif what == "lost":
            receipts.lost("queue", message(one))
            waiting.pop(one, None)
        elif one in told:
            free = receipts.told(one, other)
            told[one].add(other)
            if told[one] == set(SINKS):
                del told[one]
                for keys_ in waiting.values():
                    keys_.discard(one)
        else:
            assert receipts.told(one, other) == []
        done = {id_ for id_, keys_ in waiting.items() if not keys_}
        assert {each.id for _, each in free} == done
        waiting = {id_: keys_ for id_, keys_ in waiting.items() if keys_}
        assert {each.id for each in receipts.held("queue")} == set(waiting)
        assert {key for key in "abc" if receipts.waits_for(key)} == set(told)
