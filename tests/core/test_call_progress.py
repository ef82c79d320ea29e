from __future__ import annotations

import pytest

from tests.core.facts import watch_of
from watcher.core.polling.call_progress import MAX_WATCHES, CallProgress, CallState, read_progress


def test_the_last_poll_of_each_watch_is_read_back() -> None:
    """What was noted is in the saved text, the last poll of each watch; a watch that was dropped is not."""
    progress = CallProgress()
    progress.note(watch_of(id="a" * 32, polls=4), "unchanged")
    progress.note(watch_of(id="b" * 32, polls=1), "not_found")
    progress.note(watch_of(id="a" * 32, polls=5), "denied")
    progress.note(watch_of(id="c" * 32, polls=9), "changed")
    progress.drop("c" * 32)
    assert read_progress(progress.dump()) == {"b" * 32: CallState(1, "not_found"), "a" * 32: CallState(5, "denied")}


def test_only_changes_are_to_be_saved() -> None:
    """There is something to save after a poll and after a drop, and nothing after it was saved."""
    progress = CallProgress()
    assert not progress.changed
    progress.note(watch_of(polls=1), "busy")
    assert progress.changed
    progress.dump()
    progress.drop("unknown")
    assert not progress.changed
    progress.drop(watch_of().id)
    assert progress.changed


def test_the_number_of_watches_is_bounded() -> None:
    """Beyond the bound, the watch whose last poll is the oldest is left out."""
    progress = CallProgress()
    for n in range(MAX_WATCHES + 3):
        progress.note(watch_of(id=f"{n:032x}", polls=1), "unchanged")
        progress.note(watch_of(id=f"{0:032x}", polls=n), "unchanged")
    found = read_progress(progress.dump())
    assert len(found) == MAX_WATCHES
    assert f"{0:032x}" in found
    assert f"{1:032x}" not in found


def test_a_watch_that_came_with_its_shard_is_noted_until_its_first_poll() -> None:
    """It takes no place of a watch that was polled."""
    progress = CallProgress()
    progress.note_adopted(watch_of(id="a" * 32, polls=4))
    assert read_progress(progress.dump()) == {"a" * 32: CallState(4, "adopted")}
    for n in range(MAX_WATCHES):
        progress.note(watch_of(id=f"{n:032x}", polls=1), "unchanged")
    progress.note_adopted(watch_of(id="b" * 32))
    assert set(read_progress(progress.dump())) == {f"{n:032x}" for n in range(MAX_WATCHES)}


@pytest.mark.parametrize("text", [None, "", "no JSON", "[]", "7", '{"a": 5}', '{"a": [1]}', '{"a": ["x", "y"]}', '{"a": [1, 2, 3]}'])
def test_a_text_that_cannot_be_read_has_no_states(text: str | None) -> None:
    """A text of another version, or none at all, is no error."""
    assert read_progress(text) == {}
