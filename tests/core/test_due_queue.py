"""Keys by due time, in a bin or in the heap."""

from hypothesis import given
from hypothesis import strategies as st

from watcher.core.polling.due_queue import BIN_S, DueKey, DueQueue

moves = st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 20 * BIN_S) | st.floats(-1e3, 1e9) | st.none()), max_size=60)


@given(moves)
def test_the_first_key_is_the_one_due_first(story) -> None:
    """After any number of pushes, moves and removals, the first key has the lowest due time, and of equal ones the lowest turn."""
    places: dict[str, DueKey] = {}
    queue = DueQueue(places.get)
    for turn, (key, due) in enumerate(story):
        if due is None:
            places.pop(queue.first() or key, None)
        else:
            places[key] = (due, turn)
            queue.push(key, due, turn)
        assert queue.first() == min(places, key=places.__getitem__, default=None)
    while places:
        first = queue.first()
        assert first == min(places, key=places.__getitem__)
        del places[first]
    assert queue.first() is None


def test_a_far_key_is_not_looked_up_before_its_bin_is_first() -> None:
    """A key that moved from bin to bin a hundred times costs nothing while a nearer key is first."""
    places: dict[str, DueKey] = {}
    looked_up = []

    def place_of(key: str) -> DueKey | None:
        looked_up.append(key)
        return places.get(key)

    queue = DueQueue(place_of)
    for turn in range(100):
        places["far"] = (1000.0 + turn * BIN_S, turn)
        queue.push("far", *places["far"])
    places["near"] = (1.0, 100)
    queue.push("near", *places["near"])
    assert queue.first() == "near"
    assert "far" not in looked_up
    del places["near"]
    assert queue.first() == "far"


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 5), st.booleans()), max_size=40), st.integers(0, 8), st.floats(0, 5))
def test_the_first_keys_are_those_due_first(story, count, until) -> None:
    """In order, up to a number and a time; they stay in the queue, and keys that moved or left are not among them."""
    places: dict[str, DueKey] = {}
    queue = DueQueue(places.get)
    for turn, (key, due, leaves) in enumerate(story):
        places[key] = (due, turn)
        queue.push(key, due, turn)
        if leaves:
            del places[key]
    expected = sorted((key for key in places if places[key][0] <= until), key=places.__getitem__)[:count]
    assert queue.firsts(count, until) == expected
    assert queue.firsts(count, until) == expected
    assert queue.first() == min(places, key=places.__getitem__, default=None)
