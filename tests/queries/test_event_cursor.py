"""The cursor of a reader of events, as a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.queries.event_cursor import MARGIN_S, EventCursor, ForeignCursorError, decode_event_cursor, seen_until

STORE = "0f" * 16
NOW = 1_800_000_000.0
RETENTION_S = 7 * 86_400.0

positions = st.dictionaries(st.integers(0, 4096), st.integers(1, 2**62), max_size=70)


@given(positions, st.floats(NOW - RETENTION_S + 1, NOW))
def test_a_cursor_is_read_as_it_was_written(places: dict[int, int], at: float) -> None:
    """The text of a cursor gives back its positions and its time, and has only characters that are safe in a URL."""
    text = EventCursor(STORE, at, places).encode()
    found = decode_event_cursor(text, STORE, NOW, RETENTION_S)
    assert found.positions == places
    assert abs(found.seen_until - at) <= 0.002
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()


@given(st.one_of(st.text(max_size=80), st.binary(max_size=60).map(lambda raw: __import__("base64").urlsafe_b64encode(raw).decode())))
def test_another_text_is_no_cursor(text: str) -> None:
    """A text that no reader was given is refused as such, whatever it contains."""
    with pytest.raises(ValueError, match="cursor"):
        decode_event_cursor(text, STORE, NOW, RETENTION_S)


@given(positions, st.integers(1, 30))
def test_a_shortened_cursor_is_refused(places: dict[int, int], cut: int) -> None:
    """A cursor that lost its last characters gives no positions that its reader has not seen."""
    text = EventCursor(STORE, NOW, places).encode()
    try:
        found = decode_event_cursor(text[:-cut], STORE, NOW, RETENTION_S).positions
    except ValueError:
        return
    assert all(places[shard] >= position for shard, position in found.items())


def test_a_cursor_of_another_store_is_refused() -> None:
    """A cursor continues only in its own store, because another one has other positions."""
    with pytest.raises(ForeignCursorError, match="another store"):
        decode_event_cursor(EventCursor("1e" * 16, NOW, {0: 7}).encode(), STORE, NOW, RETENTION_S)


def test_a_cursor_is_valid_as_long_as_events_are_kept() -> None:
    """A cursor is valid for the retention, and refused afterward: events after it may be erased."""
    text = EventCursor(STORE, NOW, {0: 7}).encode()
    assert decode_event_cursor(text, STORE, NOW + RETENTION_S - 1, RETENTION_S).positions == {0: 7}
    with pytest.raises(ForeignCursorError, match="older"):
        decode_event_cursor(text, STORE, NOW + RETENTION_S + 1, RETENTION_S)


def test_a_cursor_after_an_old_event_is_valid_for_a_while() -> None:
    """A reader of events that are older than the retention can go on from page to page."""
    at = seen_until(NOW - 9 * 86_400, NOW, RETENTION_S)
    text = EventCursor(STORE, at, {0: 7}).encode()
    assert decode_event_cursor(text, STORE, NOW + MARGIN_S - 1, RETENTION_S).positions == {0: 7}
    assert seen_until(NOW - 60, NOW, RETENTION_S) == NOW - 60
